//! Lines and octets of a message in wire form, where every line ends in CRLF (RFC 5322 §2.1): a
//! bare LF counts as two octets, and a last line that does not end counts as if it did. So much
//! does the store add on the way out.

use memchr::{memchr, memchr_iter};
use std::ops::Range;

/// A count that goes through a message from its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    at: usize,
    lines: u64,
    /// Line feeds without a carriage return.
    bare: u64,
}

impl Tally {
    /// Counts up to there. Never between a CR and its LF.
    pub fn advance(&mut self, message: &[u8], to: usize) {
        if to <= self.at {
            return;
        }
        let span = &message[self.at..to];
        let lines = memchr_iter(b'\n', span).count() as u64;
        self.at = to;
        self.lines += lines;
        self.bare += match memchr(b'\r', span) {
            None => lines,
            Some(_) => lines - crlf(span),
        };
    }

    /// The lines and octets of `range`, which ends here and began at `before`.
    pub fn since(&self, before: &Tally, message: &[u8], range: &Range<usize>) -> (u64, u64) {
        let cut = !range.is_empty() && range.end == message.len() && !message.ends_with(b"\n");
        let lines = self.lines - before.lines + u64::from(cut);
        let octets = range.len() as u64 + self.bare - before.bare + 2 * u64::from(cut);
        (lines, octets)
    }
}

fn crlf(span: &[u8]) -> u64 {
    memchr_iter(b'\r', span).filter(|at| span.get(at + 1) == Some(&b'\n')).count() as u64
}

/// The octets of a range in wire form. It must begin and end where lines do, or before a line end,
/// as every range that a `Tree` tells of does.
pub fn wire_octets(message: &[u8], range: &Range<usize>) -> u64 {
    let before = Tally { at: range.start, ..Tally::default() };
    let mut tally = before;
    tally.advance(message, range.end);
    tally.since(&before, message, range).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_on_the_wire() {
        for (message, range, expected) in [
            ("", 0..0, 0),
            ("a", 0..1, 3),
            ("a", 1..1, 0),
            ("a\n", 0..2, 3),
            ("a\r\nb\nc", 0..6, 9),
            ("a\r\nb\nc", 0..4, 4),
            ("a\r\nb\nc", 3..5, 3),
            ("a\n\nb\n", 2..5, 5),
            ("a\r\r\n", 0..4, 4),
            ("a\r", 0..2, 4),
        ] {
            assert_eq!(wire_octets(message.as_bytes(), &range), expected, "{message:?} {range:?}");
        }
    }
}
