//! The answers of an IMAP server to a group of rows.
//!
//! Responses without a tag may come at any time (RFC 9051 §2.2.2, §5.2), so the rows tell where
//! the answers end: at each line with a tag and at each `+` they have, in their order. A server
//! that asks for a literal or a challenge where the file has its refusal is given what it asks for,
//! and then refuses; one that refuses where the file has `+` is sent nothing more of the command.

use super::compare::code;
use super::script::{Act, Protocol, Step};
use super::talk::{QUIET, Talk};
use super::text::Text;
use crate::net::client::Line;
use std::time::{Duration, Instant};

/// The most octets that are made up for a server that asks for them.
const MADE_UP: usize = 65_536;

/// Where the answer to one command ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// `+`: the server asks for more of the command (RFC 9051 §7.6).
    Asked,
    /// The line with this tag, or `*` where a command had none.
    Tagged(String),
}

/// What kind of line came.
#[derive(PartialEq, Eq)]
enum Came {
    Asked,
    Ended,
    Between,
    Nothing,
}

impl Talk<'_> {
    /// The lines up to the last that the rows tell of.
    pub(super) fn read_imap(
        &mut self,
        rows: &[&Step],
        patience: Duration,
        notes: &mut Vec<String>,
        fits: &dyn Fn(&Text, &[u8]) -> bool,
    ) -> Vec<Vec<u8>> {
        let mut got = Vec::new();
        let mut said = self.pending.last().cloned().unwrap_or_default();
        for end in ends(rows) {
            loop {
                match (self.came(&end, Instant::now() + patience, &mut got), &end) {
                    (Came::Asked, End::Tagged(_)) => self.give(std::mem::take(&mut said), notes),
                    (Came::Asked | Came::Ended, _) => break,
                    (Came::Between, _) => {}
                    (Came::Nothing, _) => {
                        self.note_nothing(notes);
                        return got;
                    }
                }
            }
        }
        // The rows behind the last end, or all of them: a greeting, what IDLE tells.
        let Some(Act::Expect(_, last) | Act::ExpectAmong(_, last)) =
            rows.last().map(|row| &row.act)
        else {
            return got;
        };
        if last.is_anything() || end(last).is_some() {
            return got;
        }
        let wait = if self.is_new() { patience } else { patience.min(10 * QUIET) };
        let deadline = Instant::now() + wait;
        while !got.last().is_some_and(|line| self.is_new() || fits(last, line)) {
            if self.came(&End::Asked, deadline, &mut got) == Came::Nothing {
                if self.client.is_none() {
                    notes.push("(closed)".into());
                }
                break;
            }
        }
        got
    }

    fn came(&mut self, end: &End, deadline: Instant, got: &mut Vec<Vec<u8>>) -> Came {
        let Some(client) = &mut self.client else { return Came::Nothing };
        let line = match client.read_line(deadline) {
            Ok(Line::Text(line, _)) => line,
            Ok(Line::Late) => return Came::Nothing,
            Ok(Line::Closed) | Err(_) => {
                self.client = None;
                return Came::Nothing;
            }
        };
        let tag = line.split(|octet| *octet == b' ').next().unwrap_or_default();
        let ends = match end {
            End::Tagged(expected) if expected != "*" => tag == expected.as_bytes(),
            // A command without a tag: whatever a server takes for it.
            _ => tag != b"*" || line.starts_with(b"* BAD"),
        };
        let came = match code(Protocol::Imap, &line) {
            Some(code) if code == "+" => Came::Asked,
            Some(_) if ends => Came::Ended,
            _ => Came::Between,
        };
        got.push(line);
        came
    }

    /// What the server asked for: the octets of a literal that was announced, or no password.
    fn give(&mut self, said: String, notes: &mut Vec<String>) {
        let literal = said.strip_suffix('}').and_then(|said| said.rsplit_once('{'));
        let (words, octets) = match literal.and_then(|(_, count)| count.parse::<usize>().ok()) {
            Some(count) => ("the octets", "x".repeat(count.min(MADE_UP)) + "\r\n"),
            None => ("'*'", "*\r\n".into()),
        };
        notes.push(format!("it asked, and got {words}"));
        if let Some(client) = &mut self.client {
            let _ = client.write(octets.as_bytes());
        }
    }

    fn note_nothing(&mut self, notes: &mut Vec<String>) {
        let note = if self.client.is_some() { "(silence)" } else { "(closed)" };
        notes.push(note.into());
        // An answer that comes after all would be taken for another's.
        self.client = None;
    }
}

fn ends(rows: &[&Step]) -> Vec<End> {
    let texts = rows.iter().filter_map(|row| match &row.act {
        Act::Expect(_, text) | Act::ExpectAmong(_, text) => Some(text),
        _ => None,
    });
    texts.filter_map(end).collect()
}

fn end(row: &Text) -> Option<End> {
    let tag = row.source.split(' ').next().unwrap_or_default();
    match code(Protocol::Imap, row.source.as_bytes())?.as_str() {
        "+" => Some(End::Asked),
        "OK" | "BYE" | "PREAUTH" if tag == "*" => None,
        _ => Some(End::Tagged(tag.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::script;
    use super::*;
    use std::path::Path;

    #[test]
    fn the_rows_tell_where_the_answers_end() {
        let tagged = |tag: &str| End::Tagged(tag.into());
        for (rows, expected) in [
            ("S: * OK ...", vec![]),
            ("S& * 1 EXISTS\nS: ...\nS: a2 OK ...", vec![tagged("a2")]),
            ("S: + ...", vec![End::Asked]),
            ("S: * SEARCH 1\nS: a3 OK ...\nS: * SEARCH\nS: a4 NO ...", {
                vec![tagged("a3"), tagged("a4")]
            }),
            ("S: * BAD ...", vec![tagged("*")]),
            ("S: * OK [COPYUID ...] ...\nS: a5 OK ...\nS: * BYE ...", vec![tagged("a5")]),
        ] {
            let script = script::parse(Path::new("d"), rows).unwrap();
            let steps: Vec<&Step> = script.steps.iter().collect();
            assert_eq!(ends(&steps), expected, "{rows}");
        }
    }
}
