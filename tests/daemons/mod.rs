//! The real programs on a site of their own: port 0, read from the log's `listening` lines.

#![allow(clippy::unwrap_used, dead_code, missing_docs)]

pub mod load;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub struct Site {
    directory: TempDir,
}

impl Site {
    /// alice and bob, password `secret`, at example.test.
    pub fn new(more: &str) -> Site {
        let directory = TempDir::with_prefix("buzon-").unwrap();
        let site = Site { directory };
        let owner = match nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap() {
            Some(user) if !user.uid.is_root() => user.name,
            _ => "nobody".into(),
        };
        let text = format!(
            "hostname mail.example.test\ndomains example.test\nmail_owner {owner}\n\
             home mail/%u\nspool spool\nrun run\nclear_text_login 127.0.0.0/8\n\
             smtp 127.0.0.1:0\nsubmission none\nsubmissions none\npop3 127.0.0.1:0\npop3s none\n\
             imap 127.0.0.1:0\nimaps none\n\
             {more}"
        );
        for user in ["alice", "bob"] {
            for part in ["cur", "new", "tmp"] {
                fs::create_dir_all(site.maildir(user).join(part)).unwrap();
            }
        }
        fs::write(site.path("buzon.conf"), text).unwrap();
        fs::write(site.path("users"), "alice:{PLAIN}secret\nbob:{PLAIN}secret\n").unwrap();
        fs::write(site.path("aliases"), "").unwrap();
        fs::create_dir(site.path("spool")).unwrap();
        if owner == "nobody" {
            give(site.directory.path());
        }
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn maildir(&self, user: &str) -> PathBuf {
        self.path("mail").join(user).join("Maildir")
    }

    /// Every message of a mailbox, as it lies on disk.
    pub fn messages(&self, user: &str) -> Vec<String> {
        let mut messages = Vec::new();
        for part in ["new", "cur"] {
            for entry in fs::read_dir(self.maildir(user).join(part)).unwrap() {
                messages.push(fs::read_to_string(entry.unwrap().path()).unwrap());
            }
        }
        messages
    }

    /// Other words in the configuration.
    pub fn change(&mut self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("buzon.conf")).unwrap();
        assert!(text.contains(old), "{old}");
        fs::write(self.path("buzon.conf"), text.replace(old, new)).unwrap();
    }

    /// A certificate NAME.pem and its key NAME.key, in place of what is there.
    pub fn certify(&self, name: &str, hosts: &[&str]) {
        let paths = ["pem", "key"].map(|ending| self.path(&format!("{name}.{ending}")));
        paths.iter().for_each(|path| drop(fs::remove_file(path)));
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        buzon::sys::certificate::make(&hosts, &paths[0], &paths[1], None).unwrap();
        if nix::unistd::Uid::effective().is_root() {
            paths.iter().for_each(|path| give(path));
        }
    }

    /// A program of ours on this site, with what it prints kept.
    pub fn command(&self, name: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_smtpd")).with_file_name(name);
        let mut command = Command::new(program);
        command.arg("-f").arg(self.path("buzon.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a daemon; `by` are words before its name, such as a tracer's.
    pub fn start(&self, name: &str, by: &[&OsStr]) -> Daemon {
        let program = Path::new(env!("CARGO_BIN_EXE_smtpd")).with_file_name(name);
        let mut words = by.to_vec();
        words.push(program.as_os_str());
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("-d").arg("-f").arg(self.path("buzon.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let log = Log::follow(child.stderr.take().unwrap());
        let roles = match name {
            "smtpd" => &["smtp", "submission", "submissions", "lmtp"][..],
            "pop3d" => &["pop3", "pop3s"],
            _ => &["imap", "imaps"],
        };
        let text = fs::read_to_string(self.path("buzon.conf")).unwrap();
        let listen = text.lines().filter_map(|line| line.split_once(' '));
        let listen = listen.filter(|(key, _)| roles.contains(key));
        let words = listen.flat_map(|(_, value)| value.split(' ')).filter(|word| *word != "none");
        let listening = log.wait_for("listening ", words.count());
        let addresses: Vec<String> = listening
            .iter()
            .map(|line| line.split_once(" address=").unwrap().1.to_owned())
            .collect();
        Daemon { child, address: addresses[0].clone(), addresses, log }
    }
}

/// What a daemon says, line by line, as it comes.
#[derive(Clone)]
pub struct Log(Arc<(Mutex<Said>, Condvar)>);

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    fn follow(stderr: ChildStderr) -> Log {
        let log = Log(Arc::default());
        let (lines, inner) = (BufReader::new(stderr).lines(), Arc::clone(&log.0));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                inner.0.lock().unwrap().lines.push(line);
                inner.1.notify_all();
            }
            inner.0.lock().unwrap().ended = true;
            inner.1.notify_all();
        });
        log
    }

    /// The lines that hold `words`, once there are so many.
    pub fn wait_for(&self, words: &str, count: usize) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut said = self.0.0.lock().unwrap();
        loop {
            let found: Vec<String> =
                said.lines.iter().filter(|line| line.contains(words)).cloned().collect();
            if found.len() >= count {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !said.ended, "no {count} {words:?}: {:#?}", said.lines);
            said = self.0.1.wait_timeout(said, left).unwrap().0;
        }
    }
}

fn give(path: &Path) {
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    nix::unistd::chown(path, Some(nobody.uid), Some(nobody.gid)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
    }
}

pub struct Daemon {
    child: Child,
    /// Of the first socket.
    pub address: String,
    /// Of all, in the order of the configuration.
    pub addresses: Vec<String>,
    pub log: Log,
}

impl Daemon {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sets a limit of it, as the account that it runs as.
    pub fn prlimit(&self, limit: &str) {
        let pid = self.pid().to_string();
        let words = ["runuser", "-u", "nobody", "--", "prlimit", "--pid", &pid, limit];
        let words = if nix::unistd::Uid::effective().is_root() { &words[..] } else { &words[4..] };
        assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{words:?}");
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// The end of its own will.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM to a process, and the end of what was started.
    pub fn stop(mut self, pid: Option<i32>) {
        let pid = nix::unistd::Pid::from_raw(pid.unwrap_or(self.child.id() as i32));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One client; `None` everywhere means that the server has gone.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(address: &str) -> Option<Client> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
        Some(Client(BufReader::new(stream)))
    }

    pub fn send(&mut self, text: &str) -> Option<()> {
        self.0.get_mut().write_all(text.as_bytes()).ok()
    }

    /// One line without its end; a line cut short was not said.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        line.strip_suffix("\r\n").map(str::to_owned)
    }

    /// The last line of a reply.
    pub fn reply(&mut self) -> Option<String> {
        loop {
            let line = self.line()?;
            if line.as_bytes().get(3) != Some(&b'-') || line.starts_with("-ERR") {
                return Some(line);
            }
        }
    }

    pub fn ask(&mut self, text: &str) -> Option<String> {
        self.send(&format!("{text}\r\n"))?;
        self.reply()
    }

    /// The lines of a multi-line POP3 answer, undotted.
    pub fn lines(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line == "." {
                return Some(lines);
            }
            lines.push(line.strip_prefix('.').unwrap_or(&line).to_owned());
        }
    }

    /// Greeting and EHLO.
    pub fn hello(&mut self) -> Option<()> {
        self.reply().filter(|reply| reply.starts_with("220"))?;
        self.ask("EHLO test.example.test").filter(|reply| reply.starts_with("250")).map(drop)
    }

    /// Sends one letter; its reply after the text.
    pub fn letter(&mut self, to: &[&str], text: &str) -> Option<String> {
        let mut envelope = String::from("MAIL FROM:<load@example.test>\r\n");
        for name in to {
            envelope.push_str(&format!("RCPT TO:<{name}@example.test>\r\n"));
        }
        self.send(&envelope)?;
        for _ in 0..=to.len() {
            let reply = self.reply()?;
            assert!(reply.starts_with("250"), "{reply}");
        }
        let reply = self.ask("DATA")?;
        assert!(reply.starts_with("354"), "{reply}");
        self.ask(&format!("{text}\r\n."))
    }
}

/// The value of a field that the test wrote.
pub fn mark(message: &str) -> String {
    let line = message.lines().find_map(|line| line.strip_prefix("X-Mark: "));
    line.unwrap_or_else(|| panic!("no mark: {message}")).to_owned()
}

/// Differs from run to run; the seed is printed, for a failure.
pub struct Random(u64);

impl Random {
    pub fn new(stream: u64) -> Random {
        let seed = buzon::sys::clock::micros() ^ (stream << 40);
        println!("seed {seed}");
        Random(seed)
    }

    pub fn seeded(seed: u64) -> Random {
        Random(seed)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }
}
