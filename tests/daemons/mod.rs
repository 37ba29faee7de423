//! The real programs on a site of their own: port 0, read from the log's `listening` lines.

#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
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

    /// Starts a daemon; `by` are words before its name, such as a tracer's.
    pub fn start(&self, name: &str, by: &[&OsStr]) -> Daemon {
        let program = Path::new(env!("CARGO_BIN_EXE_smtpd")).with_file_name(name);
        let mut words = by.to_vec();
        words.push(program.as_os_str());
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("-d").arg("-f").arg(self.path("buzon.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        loop {
            let before = said.len();
            assert!(log.read_line(&mut said).unwrap() > 0, "{name} ended: {said}");
            if let Some((_, address)) = said[before..].split_once(" address=") {
                let address = address.trim().to_owned();
                // The log goes on; somebody must read it, or the daemon waits for us.
                std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                return Daemon { child, address };
            }
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
    pub address: String,
}

impl Daemon {
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

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }
}
