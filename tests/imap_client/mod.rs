//! An IMAP client for tests: it keeps what it was told of the mailbox it selected, and finds fault
//! with what it may not be told (RFC 3501 §7.4.1).

#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub type Flags = BTreeSet<String>;

/// What was told of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub uid: Option<u32>,
    pub flags: Option<Flags>,
}

/// What came back for a command.
#[derive(Debug, Default)]
pub struct Answer {
    /// Untagged responses, literals in their place.
    pub untagged: Vec<String>,
    /// What stands behind the tag.
    pub status: String,
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        self.status.starts_with("OK ")
    }

    /// The arguments of a response code, tagged or not.
    pub fn code(&self, name: &str) -> Option<String> {
        let all = self.untagged.iter().map(String::as_str).chain([self.status.as_str()]);
        let begin = format!("[{name}");
        let mut found = all.filter_map(|line| line.split_once(&begin)?.1.split_once(']'));
        found.next().map(|(arguments, _)| arguments.trim().to_owned())
    }
}

pub struct Session {
    stream: BufReader<TcpStream>,
    tag: u32,
    /// The mailbox that is selected, and whether only to be read.
    pub selected: Option<(String, bool)>,
    pub view: Vec<Known>,
}

impl Session {
    pub fn login(address: &str, user: &str) -> Session {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let stream = BufReader::new(stream);
        let mut session = Session { stream, tag: 0, selected: None, view: Vec::new() };
        assert!(session.response().unwrap().starts_with("* OK "));
        assert!(session.ask(&format!("LOGIN {user} secret")).unwrap().is_ok());
        session
    }

    /// A line, with the literals that are in it; `None` where the server has gone.
    fn response(&mut self) -> Option<String> {
        let mut all = Vec::new();
        loop {
            self.stream.read_until(b'\n', &mut all).ok()?;
            if !all.ends_with(b"\r\n") {
                return None;
            }
            let line = &all[..all.len() - 2];
            let count = line.strip_suffix(b"}").and_then(|line| {
                let digits = line.rsplit(|octet| *octet == b'{').next()?;
                std::str::from_utf8(digits).ok()?.parse::<usize>().ok()
            });
            let Some(count) = count else {
                return Some(String::from_utf8(line.to_vec()).unwrap());
            };
            let start = all.len();
            all.resize(start + count, 0);
            self.stream.read_exact(&mut all[start..]).ok()?;
        }
    }

    /// Says a command without waiting for what comes of it; its tag.
    pub fn say(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        let _ = self.stream.get_mut().write_all(format!("{tag} {command}\r\n").as_bytes());
        tag
    }

    /// Says a command and reads what comes of it; `None` where the server has gone.
    pub fn ask(&mut self, command: &str) -> Option<Answer> {
        let tag = self.say(command);
        if command == "IDLE" {
            assert!(self.response()?.starts_with("+ "));
            self.stream.get_mut().write_all(b"DONE\r\n").ok()?;
        }
        let word = command.split(' ').next().unwrap();
        let may_expunge = !matches!(word, "FETCH" | "STORE" | "SEARCH");
        let mut answer = Answer::default();
        loop {
            let line = self.response()?;
            if let Some(status) = line.strip_prefix(&format!("{tag} ")) {
                assert!(!status.starts_with("BAD"), "{command}: {line}");
                answer.status = status.to_owned();
                return Some(answer);
            }
            let text = line.strip_prefix("* ").unwrap_or_else(|| panic!("{command}: {line}"));
            if text.starts_with("BYE") {
                return None;
            }
            self.learn(text, may_expunge);
            answer.untagged.push(text.to_owned());
        }
    }

    /// Whether the server ends the session now.
    pub fn is_ended(&mut self) -> bool {
        self.response().is_none_or(|line| line.starts_with("* BYE"))
    }

    fn learn(&mut self, text: &str, may_expunge: bool) {
        let mut words = text.splitn(3, ' ');
        let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<usize>), words.next())
        else {
            return;
        };
        match what {
            "EXISTS" => {
                assert!(number >= self.view.len(), "{number} EXISTS after {}", self.view.len());
                self.view.resize(number, Known::default());
            }
            "EXPUNGE" => {
                assert!(may_expunge, "EXPUNGE in a command that names numbers");
                assert!((1..=self.view.len()).contains(&number), "{text}");
                self.view.remove(number - 1);
            }
            "FETCH" => {
                assert!((1..=self.view.len()).contains(&number), "{text}");
                let known = &mut self.view[number - 1];
                if let Some(uid) = uid(text) {
                    assert!(known.uid.is_none_or(|before| before == uid), "{text}: {known:?}");
                    known.uid = Some(uid);
                }
                if let Some(flags) = flags(text) {
                    known.flags = Some(flags);
                }
            }
            _ => {}
        }
    }
}

/// The UID in a FETCH response.
pub fn uid(text: &str) -> Option<u32> {
    let at = text.find("UID ")? + 4;
    text[at..].split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The flags in a FETCH response, \Recent left out.
pub fn flags(text: &str) -> Option<Flags> {
    let at = text.find("FLAGS (")? + 7;
    let (list, _) = text[at..].split_once(')')?;
    let named = list.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent");
    Some(named.map(str::to_owned).collect())
}

/// The first literal in a response.
pub fn literal(text: &str) -> Option<&str> {
    let (head, rest) = text.split_once("}\r\n")?;
    let octets = head.rsplit('{').next()?.parse().ok()?;
    rest.get(..octets)
}

/// The numbers of a sequence set, in its order.
pub fn numbers(set: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap();
    let mut all = Vec::new();
    for range in set.split(',').filter(|range| !range.is_empty()) {
        match range.split_once(':') {
            Some((first, last)) => all.extend(number(first)..=number(last)),
            None => all.push(number(range)),
        }
    }
    all
}
