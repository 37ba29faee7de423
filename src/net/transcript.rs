//! A session as it happens, for a person to read: the time, who speaks, the line, the state before
//! and after, and the section of the RFC whose rule gave the reply.
//!
//! It is written after parsing, by the session, which masks what is secret; octets never come here
//! from the socket directly.

use chrono::Local;
use std::io::Write;

/// Where the lines of one session go.
pub struct Transcript {
    id: Option<String>,
}

impl Transcript {
    /// For the session of that id; one that is off writes nothing.
    pub fn new(on: bool, id: &str) -> Transcript {
        Transcript { id: on.then(|| id.to_owned()) }
    }

    /// Whether anybody reads.
    pub fn is_on(&self) -> bool {
        self.id.is_some()
    }

    /// What the client said, as it may be shown, and the state it said it in.
    pub fn client(&self, shown: &str, state: &str) {
        self.line("C:", shown, state);
    }

    /// What we said: the lines of one reply, the state after it, and the rule.
    pub fn server(&self, lines: impl Iterator<Item = String>, state: &str, rule: &str) {
        if !self.is_on() {
            return;
        }
        let mut lines = lines.peekable();
        while let Some(line) = lines.next() {
            let last = format!("{state}, {rule}");
            self.line("S:", &line, if lines.peek().is_none() { &last } else { "" });
        }
    }

    /// What happened beside the lines: a handshake, an end.
    pub fn event(&self, what: &str) {
        self.line("--", what, "");
    }

    fn line(&self, who: &str, text: &str, note: &str) {
        let Some(id) = &self.id else { return };
        let now = Local::now().format("%H:%M:%S%.3f");
        let line = match note {
            "" => format!("{now} {id} {who} {text}\n"),
            note => format!("{now} {id} {who} {text:<44} [{note}]\n"),
        };
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}
