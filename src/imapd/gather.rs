//! A command comes in lines and literals: RFC 3501 §4.3, RFC 7888, RFC 3516 §4.4.
//!
//! A line that ends in `{n}`, `{n+}` or `~{n}` announces n octets, behind which the command goes
//! on. The loop that reads gives each line to a `Gather` and does what it says. Of APPEND only
//! the head is gathered: its message, which may be large, is the loop's to read and to spool.

use super::command::append;
use super::response::CRLF;
use crate::limits;
use std::borrow::Cow;

/// An announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// How many octets follow.
    pub octets: u64,
    /// Whether the client waits to be asked for them.
    pub sync: bool,
    /// `~{n}`: the octets may hold NUL (RFC 3516 §4.4).
    pub binary: bool,
}

/// The literal that a line announces at its end. A number beyond all bounds counts as the
/// largest, so that nobody reads what follows as a command.
pub fn literal_at_end(line: &[u8]) -> Option<Literal> {
    let head = line.strip_suffix(b"}")?;
    let (head, sync) = match head.strip_suffix(b"+") {
        Some(head) => (head, false),
        None => (head, true),
    };
    let end = head.iter().rposition(|octet| !octet.is_ascii_digit())?;
    let (head, digits) = head.split_at(end + 1);
    let head = head.strip_suffix(b"{").filter(|_| !digits.is_empty())?;
    let octets = digits.iter().fold(0u64, |octets, digit| {
        octets.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    });
    Some(Literal { octets, sync, binary: head.ends_with(b"~") })
}

/// What the loop does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The command is whole, or it is an APPEND up to its message: parse `octets`.
    Whole,
    /// Say `+ `, unless the literal is not `sync`; read it, give it to `literal`, read a line.
    Literal(Literal),
    /// Read so many octets, throw them away, read a line. Nothing is asked for.
    Discard(u64),
    /// All that `skip` had to skip is skipped.
    Skipped,
    /// Say BAD with this text; the command is over. The code is TOOBIG (RFC 7888 §5).
    TooBig(Cow<'static, str>),
}

/// What has come of one command.
#[derive(Debug, Default)]
pub struct Gather {
    octets: Vec<u8>,
    lines: usize,
    literals: u64,
    announced: Option<Literal>,
    skipping: Option<Next>,
}

impl Gather {
    /// What was gathered: the text of `command::parse`.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The next line, without its end.
    pub fn line(&mut self, line: &[u8]) -> Next {
        self.announced = literal_at_end(line);
        if self.skipping.is_some() {
            return self.skip_on();
        }
        let without_literals = self.octets.len() - self.literals as usize + line.len();
        if without_literals > limits::IMAP_LINE {
            return self.too_big("The command is too long");
        }
        self.octets.extend_from_slice(line);
        self.lines += 1;
        let Some(literal) = self.announced else { return Next::Whole };
        // A message is the first literal, or the second where the mailbox is one.
        if self.lines <= 2 && append::announces_message(&self.octets) {
            return Next::Whole;
        }
        if literal.octets > limits::IMAP_LITERALS.saturating_sub(self.literals) {
            return self.too_big("The literals of this command are too long");
        }
        Next::Literal(literal)
    }

    /// The octets of the literal that `line` told of.
    pub fn literal(&mut self, octets: &[u8]) {
        self.literals += octets.len() as u64 + CRLF.len() as u64;
        self.octets.extend_from_slice(CRLF.as_bytes());
        self.octets.extend_from_slice(octets);
    }

    /// The loop has read the message that was announced; its line goes on.
    pub fn message(&mut self) {
        self.announced = Some(Literal { octets: 0, sync: false, binary: false });
    }

    /// The line behind a message, which `append::next` reads.
    pub fn behind_message(&mut self, line: &[u8]) {
        self.announced = literal_at_end(line);
    }

    /// The command is refused: what of it is still on its way must be read and thrown away. A
    /// client that waits to be asked sends nothing more.
    pub fn skip(&mut self) -> Next {
        self.skipping = Some(Next::Skipped);
        self.skip_on()
    }

    fn too_big(&mut self, text: &'static str) -> Next {
        self.skipping = Some(Next::TooBig(text.into()));
        self.skip_on()
    }

    fn skip_on(&mut self) -> Next {
        match self.announced.take() {
            Some(Literal { octets, sync: false, .. }) => Next::Discard(octets),
            _ => self.skipping.take().unwrap_or(Next::Skipped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements() {
        let literal = |octets, sync, binary| Some(Literal { octets, sync, binary });
        for (line, expected) in [
            ("a1 LOGIN {5}", literal(5, true, false)),
            ("{5}", literal(5, true, false)),
            ("a1 LOGIN {0005+}", literal(5, false, false)),
            ("a1 APPEND x ~{310}", literal(310, true, true)),
            ("a1 APPEND x ~{310+}", literal(310, false, true)),
            ("x{0}", literal(0, true, false)),
            ("{99999999999999999999999+}", literal(u64::MAX, false, false)),
            ("a1 LOGIN {5} ", None),
            ("a1 LOGIN {5}x", None),
            ("a1 LOGIN {}", None),
            ("a1 LOGIN {+}", None),
            ("a1 LOGIN {-5}", None),
            ("a1 LOGIN {5-}", None),
            ("a1 LOGIN {5++}", None),
            ("5}", None),
            ("}", None),
            ("", None),
        ] {
            assert_eq!(literal_at_end(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_command_in_pieces() {
        let literal = |octets, sync| Next::Literal(Literal { octets, sync, binary: false });
        let mut gather = Gather::default();
        assert_eq!(gather.line(b"a1 LOGIN {5}"), literal(5, true));
        gather.literal(b"alice");
        assert_eq!(gather.line(b" {6+}"), literal(6, false));
        gather.literal(b"secret");
        assert_eq!(gather.line(b""), Next::Whole);
        let whole = format!("a1 LOGIN {{5}}{CRLF}alice {{6+}}{CRLF}secret");
        assert_eq!(gather.octets(), whole.as_bytes());
        assert_eq!(gather.skip(), Next::Skipped);
    }

    #[test]
    fn the_message_of_append_is_left_to_the_loop() {
        let mut gather = Gather::default();
        let mailbox = Literal { octets: 4, sync: true, binary: false };
        assert_eq!(gather.line(b"a1 APPEND {4}"), Next::Literal(mailbox));
        gather.literal(b"Sent");
        assert_eq!(gather.line(b" (\\Seen) {99999999+}"), Next::Whole);
        assert_eq!(gather.skip(), Next::Discard(99_999_999));
        assert_eq!(gather.line(b" (\\Seen) {12+}"), Next::Discard(12));
        assert_eq!(gather.line(b""), Next::Skipped);
        let mut gather = Gather::default();
        assert_eq!(gather.line(b"a1 APPEND Sent {3}"), Next::Whole);
        gather.message();
        gather.behind_message(b" {4+}");
        gather.message();
        assert_eq!(gather.skip(), Next::Discard(0));
        assert_eq!(gather.line(b" {5}"), Next::Skipped);
        for (line, whole) in [
            (&b"a1 APPEND Sent {70000}"[..], true),
            (b"a1 append \"A B\" \"17-Jul-1996 02:44:25 -0700\" {70000}", true),
            (b"a1 APPEND Sent UTF8 (~{70000}", true),
            (b"a1 APPEND Sent{70000}", false),
            (b"a1 NOOP {70000}", false),
        ] {
            assert_eq!(Gather::default().line(line) == Next::Whole, whole, "{line:?}");
        }
    }

    #[test]
    fn too_much() {
        let too_big = |next| matches!(next, Next::TooBig(_));
        assert!(too_big(Gather::default().line(b"a1 LOGIN {70000}")));
        assert!(too_big(Gather::default().line(&[b'x'; limits::IMAP_LINE + 1])));
        let mut gather = Gather::default();
        assert_eq!(gather.line(b"a1 LOGIN {70000+}"), Next::Discard(70_000));
        assert_eq!(gather.line(b" {3+}"), Next::Discard(3));
        assert!(too_big(gather.line(b"")));
        let mut gather = Gather::default();
        for _ in 0..8 {
            assert!(matches!(gather.line(b"a1 SEARCH TEXT {8000}"), Next::Literal(_)));
            gather.literal(&[b'x'; 8000]);
        }
        assert!(too_big(gather.line(b" TEXT {8000}")));
        let mut gather = Gather::default();
        gather.line(b"a1 SEARCH TEXT {65536}");
        gather.literal(&[b'x'; 65_536]);
        assert!(matches!(gather.line(b" TEXT {0}"), Next::Literal(_)));
        assert!(too_big(gather.line(b" TEXT {1}")));
    }
}
