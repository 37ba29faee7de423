//! One connection of a replay: replies read whole, as the protocol has them.
//!
//! Where a reply ends is what each protocol says: RFC 5321 §4.2.1 for SMTP, RFC 1939 §3 for POP3.
//! How many are due is what the rows of the file stand for in SMTP, and the commands said in POP3.
//! IMAP is in `imap.rs`.

use super::script::{Act, Protocol, Step};
use super::text::{Captures, Text};
use crate::net::client::{Client, Line};
use std::path::Path;
use std::time::{Duration, Instant};

/// What stands for the command that a greeting answers.
pub(super) const GREETING: &str = "(greeting)";
/// Waiting for a line that may not come.
pub(super) const QUIET: Duration = Duration::from_millis(100);

/// A connection, and where its dialogue stands.
pub(super) struct Talk<'a> {
    pub client: Option<Client>,
    pub protocol: Protocol,
    pub host: String,
    /// Lines said since the last answer.
    pub said: Vec<&'a Step>,
    /// First words of commands that wait for an answer.
    pub pending: Vec<String>,
    /// Raw octets were sent: there may be more answers than rows.
    pub raw: bool,
    /// Why nothing is sent until the next group of rows has passed.
    pub muted: Option<&'static str>,
}

impl Talk<'_> {
    /// Whether the greeting has yet to come.
    pub fn is_new(&self) -> bool {
        self.pending.first().is_some_and(|command| command == GREETING)
    }

    /// The replies to what was said.
    pub fn read(
        &mut self,
        rows: &[&Step],
        patience: Duration,
        notes: &mut Vec<String>,
        captures: &Captures,
        directory: &Path,
    ) -> Vec<Vec<u8>> {
        let fits = |text: &Text, line: &[u8]| {
            text.matches(line, &mut captures.clone(), directory).unwrap_or_default()
        };
        if self.protocol == Protocol::Imap {
            return self.read_imap(rows, patience, notes, &fits);
        }
        let mut got = Vec::new();
        let replies = self.replies(rows);
        let last = rows.iter().rev().find_map(|row| match &row.act {
            Act::Expect(_, text) | Act::ExpectAmong(_, text) => Some(text),
            _ => None,
        });
        let mut read = 0;
        while replies.is_none_or(|replies| read < replies) {
            let command = self.pending.get(read).cloned().unwrap_or_default();
            let patience = if replies.is_none() { patience.min(10 * QUIET) } else { patience };
            let Some(ended) = self.reply(&command, Instant::now() + patience, &mut got) else {
                if self.client.is_none() {
                    notes.push("(closed)".into());
                } else if replies.is_some() {
                    // An answer that comes after all would be taken for another's.
                    notes.push("(silence)".into());
                    self.client = None;
                }
                break;
            };
            read += 1;
            if replies.is_none() && last.is_some_and(|text| fits(text, &ended)) {
                break;
            }
        }
        while self.raw && self.reply("", Instant::now() + QUIET, &mut got).is_some() {}
        self.raw = false;
        got
    }

    /// After an answer: learns the server's name, and sees that neither side waits for the other.
    pub fn keep_step(
        &mut self,
        rows: &[&Step],
        got: &[Vec<u8>],
        patience: Duration,
        notes: &mut Vec<String>,
    ) {
        self.learn_name(got);
        self.pending.clear();
        // A row that asks amid others was answered in the same breath.
        let wants = rows.last().and_then(|row| wanted(self.protocol, row));
        let asked = got.last().and_then(|line| asks(self.protocol, line));
        if wants.is_some() && asked != wants {
            self.muted = Some("the server did not ask for it");
        } else if asked.is_some() && wants.is_none() {
            self.get_out(asked == Some(Asks::Text), patience, notes);
        }
    }

    /// How many replies a group of rows stands for; `None` if only its last row tells.
    fn replies(&self, rows: &[&Step]) -> Option<usize> {
        if self.protocol != Protocol::Smtp {
            return Some(self.pending.len().max(1));
        }
        let mut count = 0;
        let mut within = false;
        let mut among = false;
        for row in rows {
            match &row.act {
                Act::Expect(_, text) if text.is_anything() && within => {}
                Act::Expect(_, text) if text.is_anything() => return None,
                Act::Expect(_, text) => {
                    within = text.source.as_bytes().get(3) == Some(&b'-');
                    count += usize::from(!within);
                }
                // Rows in any order are the lines of one reply.
                Act::ExpectAmong(..) => {
                    count += usize::from(!among);
                    within = false;
                }
                _ => {}
            }
            among = matches!(row.act, Act::ExpectAmong(..));
        }
        Some(count)
    }

    /// One reply, as the protocol ends it: its last line, or its first where more lines follow.
    fn reply(
        &mut self,
        command: &str,
        deadline: Instant,
        got: &mut Vec<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let begin = got.len();
        let more = |first: &[u8]| first.starts_with(b"+OK") && has_lines(command);
        loop {
            let line = match self.client.as_mut()?.read_line(deadline) {
                Ok(Line::Text(line, _)) => line,
                Ok(Line::Late) => return None,
                Ok(Line::Closed) | Err(_) => {
                    self.client = None;
                    return None;
                }
            };
            got.push(line.clone());
            let ends = match self.protocol {
                Protocol::Smtp => line.get(3) != Some(&b'-'),
                Protocol::Pop3 | Protocol::Imap => line == b"." || !more(&got[begin]),
            };
            if ends {
                return Some(line);
            }
        }
    }

    fn learn_name(&mut self, got: &[Vec<u8>]) {
        if self.protocol == Protocol::Smtp && self.host.is_empty() {
            let greeting = String::from_utf8_lossy(got.first().map_or(b"", Vec::as_slice));
            self.host =
                greeting.get(4..).unwrap_or_default().split(' ').next().unwrap_or_default().into();
        }
    }

    /// A server that asked for text or for a password is told that there is none.
    fn get_out(&mut self, text: bool, patience: Duration, notes: &mut Vec<String>) {
        let words: &[u8] = if text { b".\r\n" } else { b"*\r\n" };
        if let Some(client) = &mut self.client {
            let _ = client.write(words);
        }
        let mut got = Vec::new();
        self.reply("", Instant::now() + patience, &mut got);
        for line in got {
            let (words, line) = (String::from_utf8_lossy(words), String::from_utf8_lossy(&line));
            notes.push(format!("then '{}' got {line}", words.trim()));
        }
    }

    pub fn start_tls(&mut self, patience: Duration, notes: &mut Vec<String>) {
        let Some(client) = &mut self.client else { return };
        if let Err(error) = client.start_tls(Instant::now() + patience) {
            notes.push(error.to_string());
            self.client = None;
        }
    }
}

/// What a server can ask for before it gives its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Text,
    Challenge,
}

/// What a reply asks for: RFC 5321 §4.1.1.4, RFC 4954 §4, RFC 5034 §4,
/// RFC 9051 §7.6.
fn asks(protocol: Protocol, line: &[u8]) -> Option<Asks> {
    match protocol {
        Protocol::Smtp if line.starts_with(b"354") => Some(Asks::Text),
        Protocol::Smtp if line.starts_with(b"334") => Some(Asks::Challenge),
        Protocol::Pop3 if line.starts_with(b"+ ") || line == b"+" => Some(Asks::Challenge),
        Protocol::Imap if line.starts_with(b"+") => Some(Asks::Challenge),
        _ => None,
    }
}

fn wanted(protocol: Protocol, row: &Step) -> Option<Asks> {
    match &row.act {
        Act::Expect(_, text) | Act::ExpectAmong(_, text) => asks(protocol, text.source.as_bytes()),
        _ => None,
    }
}

/// Whether the answer to a POP3 command has more lines: RFC 1939 §5 and §7, RFC 2449 §5.
fn has_lines(command: &str) -> bool {
    let upper = command.to_ascii_uppercase();
    let mut words = upper.split_whitespace();
    matches!(
        (words.next().unwrap_or_default(), words.next()),
        ("RETR" | "TOP" | "CAPA", _) | ("LIST" | "UIDL" | "AUTH", None)
    )
}
