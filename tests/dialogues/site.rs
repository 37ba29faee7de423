//! A fresh site in a temporary directory, and its daemons.
//!
//! A daemon is started when a dialogue first connects to one of its services, with sockets bound
//! to port 0 on 127.0.0.1. Its log goes to a file of the site. Nothing here sleeps for a daemon to
//! be ready: the sockets exist before it does, and a connection waits in them.

use buzon::parley::script::Service;
use buzon::queue::wake::Wake;
use buzon::sys;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User, chown};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The daemons there are, and what each serves.
const DAEMONS: [(&str, Option<&str>, &[&str]); 3] = [
    ("smtpd", option_env!("CARGO_BIN_EXE_smtpd"), &["smtp", "submission", "submissions", "lmtp"]),
    ("pop3d", option_env!("CARGO_BIN_EXE_pop3d"), &["pop3", "pop3s"]),
    ("imapd", option_env!("CARGO_BIN_EXE_imapd"), &["imap", "imaps"]),
];

/// The one whose sockets other hosts know from the start.
const SMTPD: usize = 0;

/// How long a daemon may take for what is asked by a signal.
const PATIENCE: Duration = Duration::from_secs(40);

/// One certificate for all sites of a run.
pub struct Keys {
    /// PEM.
    pub chain: Vec<u8>,
    /// PEM.
    pub key: Vec<u8>,
}

/// A site: its files and the daemons that run.
pub struct Site {
    /// The name a dialogue gave it.
    pub name: String,
    directory: TempDir,
    settings: Vec<(String, String)>,
    letters: usize,
    sockets: Vec<(usize, &'static str, TcpListener)>,
    daemons: Vec<Daemon>,
    /// How far its clock is ahead.
    ahead: Duration,
    /// Held as a runner would, so that the daemons start none.
    wake: Option<Wake>,
}

struct Daemon {
    which: usize,
    child: Child,
}

impl Keys {
    /// A self-signed certificate.
    pub fn make() -> Keys {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "mail.example.test").unwrap();
        let name = name.build();
        let mut certificate = X509::builder().unwrap();
        certificate.set_version(2).unwrap();
        certificate
            .set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap())
            .unwrap();
        certificate.set_subject_name(&name).unwrap();
        certificate.set_issuer_name(&name).unwrap();
        certificate.set_pubkey(&key).unwrap();
        certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        certificate.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
        let names = SubjectAlternativeName::new()
            .dns("mail.example.test")
            .dns("localhost")
            .ip("127.0.0.1")
            .build(&certificate.x509v3_context(None, None))
            .unwrap();
        certificate.append_extension(names).unwrap();
        certificate.sign(&key, MessageDigest::sha256()).unwrap();
        Keys {
            chain: certificate.build().to_pem().unwrap(),
            key: key.private_key_to_pem_pkcs8().unwrap(),
        }
    }
}

/// Where a program of ours is.
pub fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_parley")).with_file_name(name)
}

/// The other format of mailboxes.
pub const MBOX: &str = "mbox:~/inbox";

impl Site {
    /// Files with sensible values for a test; `set` lines override them.
    pub fn new(hostname: &str, domain: &str, keys: &Keys) -> Site {
        let directory = TempDir::with_prefix("buzon-").unwrap();
        let owner = User::from_uid(Uid::effective()).unwrap();
        let owner = owner.filter(|user| !user.uid.is_root()).map_or("nobody".into(), |u| u.name);
        let settings = [
            ("hostname", hostname),
            ("domains", domain),
            ("mail_owner", &owner),
            ("home", "mail/%u"),
            ("spool", "spool"),
            ("queue", "queue"),
            ("dns_zone", "zone"),
            ("run", "run"),
            ("certificate", "cert.pem key.pem"),
            ("clear_text_login", "127.0.0.0/8 ::1"),
            ("failure_delay", "0s"),
            ("apop", "yes"),
        ];
        let settings = settings.map(|(key, value)| (key.into(), value.into())).to_vec();
        let mut site = Site {
            name: hostname.into(),
            directory,
            settings,
            letters: 0,
            sockets: Vec::new(),
            daemons: Vec::new(),
            ahead: Duration::ZERO,
            wake: None,
        };
        for (file, content) in [
            ("users", &b""[..]),
            ("aliases", b""),
            ("zone", b""),
            ("cert.pem", &keys.chain),
            ("key.pem", &keys.key),
        ] {
            site.write(file, content);
        }
        site.own(site.directory.path());
        for directory in ["mail", "spool", "queue", "run"] {
            site.make(&site.path(directory));
        }
        site.wake = Some(Wake::listen(&site.path("queue")).unwrap());
        site.own(&site.path("queue/wake"));
        site.bind(SMTPD);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// As root, everything belongs to the account that the daemons become.
    fn own(&self, path: &Path) {
        if Uid::effective().is_root() {
            let nobody = User::from_name("nobody").unwrap().expect("an account nobody");
            chown(path, Some(nobody.uid), Some(nobody.gid)).unwrap();
            debug_assert_ne!(nobody.gid, Gid::from_raw(0));
        }
    }

    fn make(&self, directory: &Path) {
        if !directory.exists() {
            fs::DirBuilder::new().mode(0o700).create(directory).unwrap();
            self.own(directory);
        }
    }

    fn write(&self, name: &str, content: &[u8]) {
        self.append(name, content, true);
    }

    fn append(&self, name: &str, content: &[u8], anew: bool) {
        let mut options = OpenOptions::new();
        options.create(true).mode(0o600).write(true).truncate(anew).append(!anew);
        options.open(self.path(name)).unwrap().write_all(content).unwrap();
        self.own(&self.path(name));
    }

    /// A line of the configuration instead of the one there is.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        self.settings.retain(|(other, _)| other != key);
        self.settings.push((key.into(), value.into()));
        Ok(())
    }

    /// A user of the users file.
    pub fn user(&mut self, name: &str, password: &str) -> Result<(), String> {
        self.append("users", format!("{name}:{{PLAIN}}{password}\n").as_bytes(), false);
        self.make(&self.path("mail").join(name));
        Ok(())
    }

    /// A line of the aliases file.
    pub fn alias(&mut self, line: &str) -> Result<(), String> {
        self.append("aliases", format!("{line}\n").as_bytes(), false);
        Ok(())
    }

    /// A line of any file of the site.
    pub fn file(&mut self, name: &Path, line: &str) -> Result<(), String> {
        let path = self.directory.path().join(name);
        self.make(path.parent().unwrap());
        self.append(name.to_str().unwrap(), format!("{line}\n").as_bytes(), false);
        Ok(())
    }

    /// A letter into a mailbox, as if it had come; later ones have later names.
    pub fn mail(&mut self, user: &str, folder: Option<&str>, letter: &Path) -> Result<(), String> {
        let content = fs::read(letter).map_err(|e| format!("{}: {e}", letter.display()))?;
        if self.settings.iter().any(|(key, value)| key == "mailbox" && value == MBOX) {
            self.mbox(user, folder, &content);
            return Ok(());
        }
        let mut maildir = self.path("mail").join(user).join("Maildir");
        self.make(&maildir);
        if let Some(folder) = folder {
            maildir = maildir.join(format!(".{folder}"));
            self.make(&maildir);
        }
        for part in ["tmp", "new", "cur"] {
            self.make(&maildir.join(part));
        }
        self.letters += 1;
        let name = format!("{}.M1P1.mail.example.test", 1_100_000_000 + self.letters);
        let path = maildir.join("new").join(name);
        fs::write(&path, content).unwrap();
        self.own(&path);
        Ok(())
    }

    /// The same into an mbox.
    fn mbox(&mut self, user: &str, folder: Option<&str>, content: &[u8]) {
        let mut mbox = format!("mail/{user}/inbox");
        if let Some(folder) = folder {
            self.make(&self.path(&format!("mail/{user}/mail")));
            mbox = format!("mail/{user}/mail/{folder}");
        }
        let end: &[u8] = if content.ends_with(b"\n") || content.is_empty() { b"" } else { b"\n" };
        let from = b"From load@example.test  Sat Nov 21 00:46:04 2026\n";
        self.append(&mbox, &[from, content, end, b"\n"].concat(), false);
    }

    /// Where a service is; its daemon is started if it does not run.
    pub fn address(&mut self, service: Service) -> Result<String, String> {
        let which = DAEMONS.iter().position(|(_, _, names)| names.contains(&service.name));
        let which = which.ok_or_else(|| format!("no daemon serves {} yet", service.name))?;
        if !self.daemons.iter().any(|daemon| daemon.which == which) {
            self.start(which)?;
        }
        let socket = self.sockets.iter().find(|(_, name, _)| *name == service.name);
        let (_, _, socket) = socket.expect("a running daemon has its sockets");
        Ok(socket.local_addr().map_err(|error| error.to_string())?.to_string())
    }

    /// The sockets of a daemon, once for all times that it is started.
    fn bind(&mut self, which: usize) {
        if !self.sockets.iter().any(|(of, ..)| *of == which) {
            for role in DAEMONS[which].2 {
                let socket = TcpListener::bind("127.0.0.1:0").unwrap();
                self.sockets.push((which, role, socket));
            }
        }
    }

    /// The port of its `smtp`.
    pub fn port(&self) -> u16 {
        let socket = self.sockets.iter().find(|(_, name, _)| *name == "smtp");
        socket.unwrap().2.local_addr().unwrap().port()
    }

    /// Its smtpd takes letters.
    pub fn listen(&mut self) -> Result<(), String> {
        let runs = self.daemons.iter().any(|daemon| daemon.which == SMTPD);
        if runs { Ok(()) } else { self.start(SMTPD) }
    }

    /// All that it knows of the domain name system.
    pub fn zone(&self, records: &[String]) {
        self.write("zone", (records.join("\n") + "\n").as_bytes());
    }

    /// From here on its clock is so far ahead of where it was.
    pub fn later(&mut self, time: Duration) {
        self.ahead += time;
    }

    /// From here on daemons start the runner themselves.
    pub fn wake(&mut self) {
        self.wake = None;
    }

    fn start(&mut self, which: usize) -> Result<(), String> {
        let (name, program, _) = DAEMONS[which];
        let program = program.ok_or_else(|| format!("{name} is not built yet"))?;
        self.bind(which);
        self.write_configuration();
        let ours = self.sockets.iter().filter(|(of, ..)| *of == which);
        let ours: Vec<_> =
            ours.map(|(_, role, socket)| (socket.try_clone().unwrap(), *role)).collect();
        let log = OpenOptions::new().create(true).append(true).open(self.log_path(which)).unwrap();
        let mut command = sys::program::with_sockets(Path::new(program), &ours).unwrap();
        command.args(["-d", "-f"]).arg(self.path("buzon.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        self.daemons.push(Daemon { which, child });
        Ok(())
    }

    fn write_configuration(&self) {
        let mut text = String::new();
        for (key, value) in &self.settings {
            writeln!(text, "{key} {value}").unwrap();
        }
        self.write("buzon.conf", text.as_bytes());
    }

    fn log_path(&self, which: usize) -> PathBuf {
        self.path(&format!("{}.log", DAEMONS[which].0))
    }

    /// What the daemons said, for a failure.
    pub fn log(&self) -> String {
        let mut text = String::new();
        for (which, (name, ..)) in DAEMONS.iter().enumerate() {
            let log = fs::read_to_string(self.log_path(which)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(30)..] {
                writeln!(text, "    {name}| {line}").unwrap();
            }
        }
        text
    }

    /// A program of ours on this site, and what it said; its options are put behind `-f FILE`, and
    /// the time of the site before those of runq.
    pub fn run(&mut self, words: &[String]) -> Result<Vec<u8>, String> {
        self.write_configuration();
        let ours = program(&words[0]);
        let mut command = Command::new(&ours);
        command.arg("-f").arg(self.path("buzon.conf"));
        if words[0] == "runq" && !self.ahead.is_zero() {
            command.arg("--at").arg(format!("+{}s", self.ahead.as_secs()));
        }
        let output = command
            .args(&words[1..])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{}: {error}", ours.display()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = [output.stdout, output.stderr].concat();
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&said).trim_end()))
    }

    /// The daemons are gone from one instant to the next.
    pub fn kill(&mut self) -> Result<(), String> {
        for mut daemon in self.daemons.drain(..) {
            daemon.child.kill().and_then(|()| daemon.child.wait()).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// The daemons are asked to end, and once they take no more connections others take over;
    /// sessions under way end as they may.
    pub fn restart(&mut self) -> Result<(), String> {
        let old: Vec<Daemon> = self.daemons.drain(..).collect();
        let which: Vec<usize> = old.iter().map(|daemon| daemon.which).collect();
        for daemon in old {
            self.signal(daemon.which, &daemon.child, Signal::SIGTERM, &["stopping"])?;
            thread::spawn(move || {
                let mut daemon = daemon;
                daemon.child.wait()
            });
        }
        which.into_iter().try_for_each(|which| self.start(which))
    }

    /// The configuration as it is now set is read by the daemons.
    pub fn reload(&mut self) -> Result<(), String> {
        self.write_configuration();
        for daemon in &self.daemons {
            self.signal(daemon.which, &daemon.child, Signal::SIGHUP, &["reload="])?;
        }
        Ok(())
    }

    /// Sends a signal and waits until the daemon's log tells that it was heard.
    fn signal(
        &self,
        which: usize,
        child: &Child,
        signal: Signal,
        words: &[&str],
    ) -> Result<(), String> {
        let path = self.log_path(which);
        let count = || {
            let log = fs::read_to_string(&path).unwrap_or_default();
            log.lines().filter(|line| words.iter().any(|word| line.contains(word))).count()
        };
        let before = count();
        kill(Pid::from_raw(child.id() as i32), signal).map_err(|error| error.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        while count() == before {
            if Instant::now() > deadline {
                return Err(format!("{} did not answer {signal}", DAEMONS[which].0));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The end of a dialogue: no daemon may have died before.
    pub fn end(&mut self) -> Result<(), String> {
        for daemon in &mut self.daemons {
            if let Some(status) = daemon.child.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("{} ended: {status}", DAEMONS[daemon.which].0));
            }
        }
        self.kill()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
