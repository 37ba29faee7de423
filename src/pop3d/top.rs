//! TOP: the header section of a message, the empty line, and so many lines of the body.
//!
//! RFC 1939 §7. It takes a message in pieces, whose lines may be cut anywhere.

use memchr::memchr;

/// How much of a message is still wanted.
#[derive(Debug)]
pub struct Top {
    in_header: bool,
    lines: u32,
    /// Octets of the line under way.
    octets: usize,
}

impl Top {
    /// At the start of a message, of whose body so many lines are wanted.
    pub fn new(lines: u32) -> Top {
        Top { in_header: true, lines, octets: 0 }
    }

    /// The part of the next piece that is wanted; empty means that nothing more is.
    pub fn of<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        let mut taken = 0;
        while taken < piece.len() && (self.in_header || self.lines > 0) {
            let rest = &piece[taken..];
            let Some(end) = memchr(b'\n', rest) else {
                self.octets += rest.len();
                return piece;
            };
            let is_empty = self.octets + end == 1;
            match self.in_header {
                true if is_empty => self.in_header = false,
                true => {}
                false => self.lines -= 1,
            }
            self.octets = 0;
            taken += end + 1;
        }
        &piece[..taken]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tops_in_pieces_of_any_size() {
        let letter = "A: b\r\n c\r\n\r\none\r\n\r\nthree\r\n";
        for (text, lines, expected) in [
            (letter, 0, "A: b\r\n c\r\n\r\n"),
            (letter, 1, "A: b\r\n c\r\n\r\none\r\n"),
            (letter, 2, "A: b\r\n c\r\n\r\none\r\n\r\n"),
            (letter, 3, letter),
            (letter, u32::MAX, letter),
            ("A: b\r\n", 0, "A: b\r\n"),
            ("\r\none\r\n", 0, "\r\n"),
            ("", 5, ""),
        ] {
            for size in [100, 1, 2, 3, 7] {
                let mut top = Top::new(lines);
                let pieces = text.as_bytes().chunks(size).map(|piece| top.of(piece));
                let got: Vec<u8> = pieces.flatten().copied().collect();
                assert_eq!(String::from_utf8_lossy(&got), expected, "{lines} by {size}");
            }
        }
    }
}
