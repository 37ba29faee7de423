//! Transfer codings undone: RFC 2045 §6.7 (quoted-printable) and §6.8 (base64).
//!
//! Lenient: octets that base64 does not know are passed over, an escape that is none stands for
//! itself. A piece at a time, so that a large part needs no memory of its size.

use super::fields::without_end;
use super::mime;
use memchr::{memchr, memrchr};

/// What is read at once: small enough for the processor's nearest cache.
const PIECE: usize = 16 * 1024;
/// The line end of text (RFC 2046 §4.1.1).
pub(super) const CRLF: [u8; 2] = [b'\r', b'\n'];

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all: 7bit, 8bit, binary.
    Identity,
    /// RFC 2045 §6.7.
    QuotedPrintable,
    /// RFC 2045 §6.8.
    Base64,
}

impl Coding {
    /// By the name that Content-Transfer-Encoding gives; `None` is one that nobody knows.
    pub fn named(name: &[u8]) -> Option<Coding> {
        match () {
            () if mime::is_identity(name) => Some(Coding::Identity),
            () if name.eq_ignore_ascii_case(b"quoted-printable") => Some(Coding::QuotedPrintable),
            () if name.eq_ignore_ascii_case(b"base64") => Some(Coding::Base64),
            () => None,
        }
    }
}

/// A body being decoded, piece by piece.
#[derive(Clone, Debug)]
pub struct Decoded<'a> {
    rest: &'a [u8],
    coding: Coding,
    /// Base64 digits that make no octet yet.
    bits: u32,
    digits: u32,
}

impl<'a> Decoded<'a> {
    /// At the start of a body, in which lines may end in LF or CRLF.
    pub fn new(body: &'a [u8], coding: Coding) -> Decoded<'a> {
        Decoded { rest: body, coding, bits: 0, digits: 0 }
    }

    /// The next octets, which stand in `room` unless they could stay where they are. A line end in
    /// quoted-printable text becomes CRLF. `None` at the end.
    pub fn piece<'b>(&mut self, room: &'b mut Vec<u8>) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        if self.rest.is_empty() {
            return None;
        }
        let (piece, rest) = self.rest.split_at(cut(self.rest));
        self.rest = rest;
        room.clear();
        match self.coding {
            Coding::Identity => return Some(piece),
            Coding::QuotedPrintable => quoted_printable(piece, room),
            Coding::Base64 => self.base64(piece, room),
        }
        if self.rest.is_empty() {
            self.end_group(room);
        }
        Some(room)
    }

    /// All that is left.
    pub fn all(mut self) -> Vec<u8> {
        let (mut all, mut room) = (Vec::new(), Vec::new());
        while let Some(piece) = self.piece(&mut room) {
            all.extend_from_slice(piece);
        }
        all
    }

    fn base64(&mut self, text: &[u8], output: &mut Vec<u8>) {
        output.reserve(text.len() / 4 * 3 + 3);
        for line in text.split(|octet| *octet == b'\n') {
            let mut line = line;
            if self.digits == 0 {
                let groups = line.chunks_exact(4);
                let done = groups.map_while(|group| group_of(group, output)).count();
                line = &line[4 * done..];
            }
            line.iter().for_each(|octet| self.digit(*octet, output));
        }
    }

    fn digit(&mut self, octet: u8, output: &mut Vec<u8>) {
        let digit = DIGITS[usize::from(octet)];
        if digit < 64 {
            self.bits = self.bits << 6 | u32::from(digit);
            self.digits += 1;
            if self.digits == 4 {
                self.end_group(output);
            }
        } else if octet == b'=' {
            self.end_group(output);
        }
    }

    /// Four digits are three octets, three are two, two are one. Behind padding another text may
    /// begin.
    fn end_group(&mut self, output: &mut Vec<u8>) {
        let whole = self.digits.saturating_sub(1) as usize;
        let octets = (self.bits << (6 * (4 - self.digits))).to_be_bytes();
        output.extend_from_slice(&octets[1..=whole]);
        (self.bits, self.digits) = (0, 0);
    }
}

/// The values of the digits of base64; 64 for octets that are none.
const DIGITS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = [64; 256];
    let mut value = 0;
    while value < 64 {
        digits[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

/// Four digits at once, if they are.
fn group_of(group: &[u8], output: &mut Vec<u8>) -> Option<()> {
    let digit = |at: usize| u32::from(DIGITS[usize::from(group[at])]);
    let (a, b, c, d) = (digit(0), digit(1), digit(2), digit(3));
    if (a | b | c | d) & 64 != 0 {
        return None;
    }
    output.extend_from_slice(&(a << 18 | b << 12 | c << 6 | d).to_be_bytes()[1..]);
    Some(())
}

/// Where a piece ends: behind a line, or else anywhere but within an escape.
fn cut(text: &[u8]) -> usize {
    let Some(piece) = text.get(..PIECE) else { return text.len() };
    match memrchr(b'\n', piece) {
        Some(line_feed) => line_feed + 1,
        None => memrchr(b'=', &piece[PIECE - 2..]).map_or(PIECE, |at| PIECE - 2 + at),
    }
}

fn quoted_printable(text: &[u8], output: &mut Vec<u8>) {
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        let is_ended = line.ends_with(b"\n");
        let mut line = without_end(line);
        if is_ended {
            line = line.trim_ascii_end();
        }
        let soft = line.strip_suffix(b"=");
        unescape(soft.unwrap_or(line), output);
        if is_ended && soft.is_none() {
            output.extend_from_slice(&CRLF);
        }
    }
}

fn unescape(mut line: &[u8], output: &mut Vec<u8>) {
    while let Some(at) = memchr(b'=', line) {
        output.extend_from_slice(&line[..at]);
        let octet = line.get(at + 1..at + 3).and_then(hexadecimal);
        output.push(octet.unwrap_or(b'='));
        line = &line[at + if octet.is_some() { 3 } else { 1 }..];
    }
    output.extend_from_slice(line);
}

/// Two digits, letters in either case.
pub(super) fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let value = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(value(*high)? << 4 | value(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &[u8], coding: Coding) -> String {
        String::from_utf8_lossy(&Decoded::new(text, coding).all()).into_owned()
    }

    #[test]
    fn base64() {
        for (text, expected) in [
            ("", ""),
            ("YQ==", "a"),
            ("YQ", "a"),
            ("Y", ""),
            ("YWI=", "ab"),
            ("YWJj", "abc"),
            ("YW\nJ\r\n j\nZA==\n", "abcd"),
            ("Y*W-Jj", "abc"),
            ("YQ==YWI=YWJj", "aababc"),
            ("====", ""),
            ("YWJjZGVm\r\nZ2hp\r\n", "abcdefghi"),
        ] {
            assert_eq!(decoded(text.as_bytes(), Coding::Base64), expected, "{text:?}");
        }
    }

    #[test]
    fn quoted_printable() {
        for (text, expected) in [
            ("", ""),
            ("a=20b=3D=3d\n", "a b==\r\n"),
            ("a \t\r\nb", "a\r\nb"),
            ("soft =\nbreak=  \r\n s=", "soft break s"),
            ("=XY = =A", "=XY = =A"),
            ("=0A\n", "\n\r\n"),
        ] {
            assert_eq!(decoded(text.as_bytes(), Coding::QuotedPrintable), expected, "{text:?}");
        }
    }

    #[test]
    fn pieces_are_cut_where_it_does_no_harm() {
        for shift in 0..4 {
            let text = [&b"xyz"[..shift], &b"=41".repeat(2 * PIECE)].concat();
            let expected = [&b"xyz"[..shift], &b"A".repeat(2 * PIECE)].concat();
            let found = Decoded::new(&text, Coding::QuotedPrintable).all();
            assert!(found == expected, "{shift}");
            let text = [&b"   "[..shift], &b"QUJD".repeat(2 * PIECE)].concat();
            assert!(Decoded::new(&text, Coding::Base64).all() == b"ABC".repeat(2 * PIECE));
            assert!(Decoded::new(&text, Coding::Identity).all() == text);
        }
        for hostile in [&b"="[..], b"\n", b" "] {
            for coding in [Coding::QuotedPrintable, Coding::Base64] {
                Decoded::new(&hostile.repeat(1_000_000), coding).all();
            }
        }
    }
}
