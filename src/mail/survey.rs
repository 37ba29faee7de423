//! What kind of octets a message is made of, learnt as it passes by: what a host must be able to
//! take, RFC 6152 and RFC 5321 §4.5.3.1.6, and how large it is on the wire, RFC 1870 §3.

use memchr::{memchr, memchr2};

/// RFC 5321 §4.5.3.1.6, RFC 5322 §2.1.1: octets of a line without its end.
pub(super) const LINE: usize = 998;

/// The octets of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// On the wire, where every line ends in CRLF; without what DATA adds for dots.
    pub octets: u64,
    /// Whether there are octets beyond ASCII in the header,
    pub header_eight_bit: bool,
    /// or behind it.
    pub eight_bit: bool,
    /// Whether there is, behind the header, what no line may hold: more than 998 octets, a NUL, a
    /// CR that ends nothing.
    pub needs_folding: bool,
    in_header: bool,
    /// Octets of the line so far.
    line: usize,
    last: u8,
}

impl Survey {
    /// Before the first octet.
    pub fn new() -> Survey {
        Survey {
            octets: 0,
            header_eight_bit: false,
            eight_bit: false,
            needs_folding: false,
            in_header: true,
            line: 0,
            last: b'\n',
        }
    }

    /// Goes on with the next octets; lines end in LF or CRLF.
    pub fn feed(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            let end = memchr(b'\n', text).map_or(text.len(), |at| at + 1);
            let (piece, rest) = text.split_at(end);
            text = rest;
            self.piece(piece);
        }
    }

    /// At most one line.
    fn piece(&mut self, piece: &[u8]) {
        let eight_bit = !piece.is_ascii();
        if self.in_header {
            self.header_eight_bit |= eight_bit;
        } else {
            self.eight_bit |= eight_bit;
        }
        let is_ended = piece.ends_with(b"\n");
        let text = piece.strip_suffix(b"\n").unwrap_or(piece);
        let crlf = is_ended && *text.last().unwrap_or(&self.last) == b'\r';
        let cr_before = self.last == b'\r' && !(text.is_empty() && is_ended);
        let inner = text.strip_suffix(b"\r").unwrap_or(text);
        let cr_at_end = text.ends_with(b"\r") && !is_ended;
        self.line += text.len();
        let length = self.line - usize::from(crlf || cr_at_end);
        let is_odd = cr_before || memchr2(b'\r', 0, inner).is_some() || length > LINE;
        self.needs_folding |= is_odd && !self.in_header;
        self.octets += piece.len() as u64 + u64::from(is_ended && !crlf);
        self.last = *piece.last().unwrap_or(&self.last);
        if is_ended {
            self.in_header &= length > 0;
            self.line = 0;
        }
    }

    /// Behind the last octet: a last line without an end gets one on the wire.
    pub fn end(&mut self) {
        if self.last != b'\n' {
            self.octets += 2;
            self.last = b'\n';
        }
    }
}

impl Default for Survey {
    fn default() -> Survey {
        Survey::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_of_messages() {
        let long = format!("A: b\n\n{}\n", "x".repeat(LINE));
        let longer = format!("A: b\n\n{}\r\n", "x".repeat(LINE + 1));
        let header = format!("A: {}\n\n", "x".repeat(2 * LINE));
        // octets, header, body, folding
        for (message, expected) in [
            ("", (0, false, false, false)),
            ("A: b\n\nc", (11, false, false, false)),
            ("A: b\r\n\r\nc\r\n", (11, false, false, false)),
            ("A: \u{e9}\n\nc\n", (12, true, false, false)),
            ("A: b\r\n\r\n\u{e9}\n", (12, false, true, false)),
            ("A: b\n\n\0\n", (11, false, false, true)),
            ("A: b\n\na\rb\n", (13, false, false, true)),
            ("A: b\n\na\r\r\n", (12, false, false, true)),
            ("A: b\n\na\r", (12, false, false, false)),
            (&long, (1008, false, false, false)),
            (&longer, (1009, false, false, true)),
            (&header, (2003, false, false, false)),
        ] {
            for size in [message.len().max(1), 1, 2, 3] {
                let mut survey = Survey::new();
                message.as_bytes().chunks(size).for_each(|piece| survey.feed(piece));
                survey.end();
                let Survey { octets, header_eight_bit, eight_bit, needs_folding, .. } = survey;
                let found = (octets, header_eight_bit, eight_bit, needs_folding);
                assert_eq!(found, expected, "{message:?} by {size}");
            }
        }
    }
}
