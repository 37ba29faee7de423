//! The runner and programs that take letters: each gets one once, and waits for nobody else's.

#![allow(clippy::unwrap_used)]

mod who;

use buzon::mail::forward_path;
use buzon::queue::{Content, Envelope, Place, Queue};
use buzon::sys::clock;
use buzon::text::Cursor;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt; // as root it leaves the other groups as well
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use who::{MAIL, is_root};

struct Site {
    place: TempDir,
    queue: Queue,
}

impl Site {
    /// With a program, `slow`, that waits for a line of `gate`. Each notes its name.
    fn new(aliases: &str, more: &str) -> Site {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let conf = format!(
            "hostname mx.example.test\ndomains example.test\nmail_owner nobody-here\n\
             queue queue\ndns_zone zone\nspool .\nrun .\nusers users\naliases aliases\n\
             home mail/%u\n{more}\n"
        );
        fs::write(at("buzon.conf"), conf).unwrap();
        fs::write(at("zone"), "").unwrap();
        fs::write(at("users"), "ana:{PLAIN}secret\neve:{PLAIN}secret\n").unwrap();
        let here = place.path().display().to_string();
        fs::write(at("aliases"), aliases.replace("HERE", &here)).unwrap();
        let fast = format!("echo x >> {here}/$1\n");
        fs::write(at("fast"), &fast).unwrap();
        fs::write(at("slow"), format!("{fast}read line < {here}/gate\n")).unwrap();
        nix::unistd::mkfifo(&at("gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for home in ["mail", "mail/ana", "mail/eve", "queue"] {
            fs::create_dir(at(home)).unwrap();
        }
        let site = Site { queue: Queue::new(&at("queue")), place };
        for name in ["", "mail", "mail/ana", "mail/eve", "queue", "gate"] {
            site.hand_over(name);
        }
        site
    }

    /// Root runs no programs: then somebody else is the owner of all mail.
    fn hand_over(&self, name: &str) {
        if is_root() {
            chown(self.at(name), Some(MAIL), Some(MAIL)).unwrap();
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn forward(&self, user: &str, command: &str) {
        let name = format!("mail/{user}/.forward");
        let command = command.replace("HERE", &self.place.path().display().to_string());
        fs::write(self.at(&name), command).unwrap();
        fs::set_permissions(self.at(&name), Permissions::from_mode(0o600)).unwrap();
        self.hand_over(&name);
    }

    fn put(&self, to: &str) {
        let now = clock::micros() / 1_000_000;
        let path = |text: &str| forward_path(&mut Cursor::new(text.as_bytes())).unwrap();
        let mut envelope = Envelope::new(clock::id(), now, Some(path("luis@aula.test")));
        envelope.add(path(to));
        self.queue.put(&envelope, b"", &Content::Memory(b"Subject: a\n\nb\n")).unwrap();
        let mut made = vec![self.at("queue")];
        while let Some(path) = made.pop().filter(|_| is_root()) {
            chown(&path, Some(MAIL), Some(MAIL)).unwrap();
            made.extend(fs::read_dir(&path).into_iter().flatten().map(|it| it.unwrap().path()));
        }
    }

    fn runq(&self) -> Command {
        let copy = self.at("runq");
        if !copy.exists() {
            let built = env!("CARGO_BIN_EXE_runq");
            assert!(Command::new("cp").arg(built).arg(&copy).status().unwrap().success());
        }
        let mut command = Command::new(copy);
        command.arg("-d").arg("-f").arg(self.at("buzon.conf"));
        if is_root() {
            command.uid(MAIL).gid(MAIL);
        }
        command
    }

    /// How often a program of this name was run.
    fn count(&self, name: &str) -> usize {
        fs::read_to_string(self.at(name)).map_or(0, |text| text.lines().count())
    }

    /// So many of the slow ones go on, while this lives.
    fn open(&self, count: usize) -> File {
        let mut gate = File::options().read(true).write(true).open(self.at("gate")).unwrap();
        gate.write_all("go\n".repeat(count).as_bytes()).unwrap();
        gate
    }

    fn is_empty(&self) -> bool {
        let mut count = 0;
        self.queue.entries(Place::Due, |_| count += 1).unwrap();
        count == 0
    }
}

/// Nobody waits at the gate of a test that failed.
impl Drop for Site {
    fn drop(&mut self) {
        self.open(100);
    }
}

/// A runner that does not outlive its test.
struct Runner(Child);

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(truth: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !truth() {
        assert!(Instant::now() < end, "it never came true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_a_program_took_is_noted_before_the_next_one_runs() {
    let all = "all: \"|sh HERE/fast first\", \"|sh HERE/slow second\", \"|sh HERE/fast third\"\n";
    let site = Site::new(all, "max_deliveries_per_host 1");
    site.put("all@example.test");
    let runner = Runner(site.runq().spawn().unwrap());
    until(|| site.count("second") > 0);
    drop(runner);
    let _gate = site.open(2);
    assert!(site.runq().status().unwrap().success());
    assert_eq!(["first", "second", "third"].map(|name| site.count(name)), [1, 2, 1]);
    assert!(site.is_empty());
}

#[test]
fn a_slow_program_holds_up_its_owner_alone() {
    let site = Site::new("list: \"|sh HERE/fast alias\"\n", "max_deliveries_per_host 2");
    site.forward("eve", "\"|sh HERE/slow eve\"\n");
    site.forward("ana", "\"|sh HERE/fast ana\"\n");
    for _ in 0..4 {
        site.put("eve@example.test");
    }
    site.put("ana@example.test");
    site.put("list@example.test");
    let mut runner = Runner(site.runq().spawn().unwrap());
    until(|| site.count("ana") == 1 && site.count("alias") == 1 && site.count("eve") == 2);
    let _gate = site.open(4);
    assert!(runner.0.wait().unwrap().success());
    assert_eq!(site.count("eve"), 4);
    assert!(site.is_empty());
}
