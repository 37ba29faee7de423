//! RFC 5321 §4.2: replies, with the enhanced status codes of RFC 2034 and RFC 3463.
//!
//! A reply knows the rule that gave it, for the transcript, and why it was given where only the
//! log may say so. CRLF is written here and in `net` only.

use std::borrow::Cow;

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// RFC 3463, empty where there is none: greeting, HELO, EHLO, 334, 354.
    pub status: &'static str,
    /// One text a line.
    pub lines: Vec<Cow<'static, str>>,
    /// The section whose rule gave this reply, where it is not the command's own.
    pub rule: Option<&'static str>,
    /// What the log says beside it.
    pub cause: Option<String>,
    /// Whether we hang up after it.
    pub closes: bool,
    /// Whether the client takes UTF-8 in it (RFC 6531 §3.7.4); all others are ASCII.
    pub utf8: bool,
}

impl Reply {
    /// A reply of one line.
    pub fn new(code: u16, status: &'static str, text: impl Into<Cow<'static, str>>) -> Reply {
        let lines = vec![text.into()];
        Reply { code, status, lines, rule: None, cause: None, closes: false, utf8: false }
    }

    /// One more line.
    pub fn and(mut self, text: impl Into<Cow<'static, str>>) -> Reply {
        self.lines.push(text.into());
        self
    }

    /// By which rule, where the command's own section does not say it.
    pub fn by(mut self, rule: &'static str) -> Reply {
        self.rule = Some(rule);
        self
    }

    /// Why, for the log.
    pub fn because(mut self, cause: impl Into<String>) -> Reply {
        self.cause = Some(cause.into());
        self
    }

    /// The last reply of the session.
    pub fn and_close(mut self) -> Reply {
        self.closes = true;
        self
    }

    /// With addresses in UTF-8.
    pub fn in_utf8(mut self) -> Reply {
        self.utf8 = true;
        self
    }

    /// Whether its text is ASCII.
    pub fn is_ascii(&self) -> bool {
        self.lines.iter().all(|line| line.is_ascii())
    }

    /// RFC 5321 §4.2.1: 4yz and 5yz.
    pub fn is_negative(&self) -> bool {
        self.code >= 400
    }

    /// The lines without their ends, in the characters of RFC 5321 §4.2 (`textstring`).
    pub fn shown(&self) -> impl Iterator<Item = String> {
        let last = self.lines.len() - 1;
        let fits = |c: &char| matches!(c, '\t' | ' '..='~') || (self.utf8 && !c.is_ascii());
        self.lines.iter().enumerate().map(move |(at, text)| {
            let dash = if at < last { '-' } else { ' ' };
            let space = if self.status.is_empty() || text.is_empty() { "" } else { " " };
            let text = text.chars().map(|c| if fits(&c) { c } else { '?' });
            format!("{}{dash}{}{space}{}", self.code, self.status, text.collect::<String>())
        })
    }

    /// As it goes over the wire.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(80);
        for line in self.shown() {
            octets.extend_from_slice(line.as_bytes());
            octets.extend_from_slice(b"\r\n");
        }
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets() {
        for (reply, expected) in [
            (Reply::new(250, "2.1.0", "OK"), "250 2.1.0 OK\r\n"),
            (Reply::new(334, "", ""), "334 \r\n"),
            (Reply::new(354, "", "Go on"), "354 Go on\r\n"),
            (Reply::new(550, "5.1.1", "No é\x1b\r\n here"), "550 5.1.1 No ???? here\r\n"),
            (Reply::new(250, "2.1.5", "<é@b>").in_utf8(), "250 2.1.5 <é@b>\r\n"),
            (Reply::new(250, "", "a").and("B").and("C 1"), "250-a\r\n250-B\r\n250 C 1\r\n"),
            (Reply::new(214, "2.0.0", "a").and("b"), "214-2.0.0 a\r\n214 2.0.0 b\r\n"),
        ] {
            assert_eq!(String::from_utf8(reply.octets()).unwrap(), expected);
        }
    }
}
