//! What is given back of the letter: all of it, or its header (RFC 3461 §4.3 and §6.2).
//!
//! A letter that has no transfer coding of its own in which it could be enclosed, as its lines are
//! too long or hold a NUL or CR, comes back as its header. UTF-8 in a header is encoded, as RFC 6533
//! §4.5 asks where the way back may not know RFC 6531.

use super::{Action, Entry, Part};
use crate::limits;
use crate::queue::{Envelope, Ret};
use std::io::{self, Read, Seek};

/// RFC 5322 §2.1.1: octets of a line without its end.
const LINE: usize = 998;
/// RFC 2045 §6.7: octets of an encoded line, and the sign of a soft break.
const QUOTED_LINE: usize = 75;

/// The letter, as far as it may be given back.
pub(super) struct Original {
    /// The whole fields of its header.
    pub header: Vec<u8>,
    /// All of it, where that is not too much and can be enclosed.
    whole: Option<Vec<u8>>,
}

impl Original {
    pub fn read(text: &mut (impl Read + Seek)) -> io::Result<Original> {
        text.rewind()?;
        let mut octets = Vec::new();
        text.take(limits::RETURNED + 1).read_to_end(&mut octets)?;
        let is_all = octets.len() as u64 <= limits::RETURNED;
        let header = octets[..header_end(&octets, is_all)].to_vec();
        let is_whole = is_all && octets.split(|octet| *octet == b'\n').all(fits);
        Ok(Original { header, whole: is_whole.then_some(octets) })
    }
}

/// Where the empty line is; without one, where the last whole line ends that was read.
fn header_end(octets: &[u8], is_all: bool) -> usize {
    if octets.starts_with(b"\n") {
        return 0;
    }
    match memchr::memmem::find(octets, b"\n\n") {
        Some(end) => end + 1,
        None if is_all => octets.len(),
        None => memchr::memrchr(b'\n', octets).map_or(0, |end| end + 1),
    }
}

fn fits(line: &[u8]) -> bool {
    line.len() <= LINE && !line.contains(&b'\r') && !line.contains(&0)
}

/// The third part.
pub(super) fn part(envelope: &Envelope, entries: &[Entry], original: &Original) -> Part {
    let failed = entries.iter().any(|entry| entry.action == Action::Failed);
    let wanted = failed && envelope.ret != Some(Ret::Headers);
    let header = &original.header;
    let is_global = envelope.utf8 && !header.is_ascii() && std::str::from_utf8(header).is_ok();
    match original.whole.as_ref().filter(|_| wanted) {
        Some(whole) if is_global => part_of("message/global", "Your letter", quoted(whole)),
        Some(whole) => {
            let encoding = if whole.is_ascii() { "7bit" } else { "8bit" };
            Part { encoding, ..part_of("message/rfc822", "Your letter", whole.clone()) }
        }
        None => {
            let description = "The header of your letter";
            let is_plain = header.is_ascii() && header.split(|octet| *octet == b'\n').all(fits);
            match is_global {
                true => part_of("message/global-headers", description, quoted(header)),
                // RFC 6522 §4: a broken header may be quoted-printable.
                false if !is_plain => part_of("text/rfc822-headers", description, quoted(header)),
                false => Part {
                    encoding: "7bit",
                    ..part_of("text/rfc822-headers", description, header.clone())
                },
            }
        }
    }
}

fn part_of(content_type: &'static str, description: &'static str, octets: Vec<u8>) -> Part {
    Part { content_type, encoding: "quoted-printable", description, octets }
}

/// RFC 2045 §6.7, lines ending in LF.
pub(super) fn quoted(text: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(text.len() + text.len() / 8);
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        let inner = line.strip_suffix(b"\n").unwrap_or(line);
        let mut column = 0;
        for (at, octet) in inner.iter().enumerate() {
            let is_last = at + 1 == inner.len();
            let is_literal = match octet {
                b' ' | b'\t' => !is_last,
                b'=' => false,
                octet => octet.is_ascii_graphic(),
            };
            let width = if is_literal { 1 } else { 3 };
            if column + width > QUOTED_LINE {
                output.extend_from_slice(b"=\n");
                column = 0;
            }
            match is_literal {
                true => output.push(*octet),
                false => output.extend_from_slice(format!("={octet:02X}").as_bytes()),
            }
            column += width;
        }
        output.extend_from_slice(&line[inner.len()..]);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(text: &[u8]) -> Original {
        Original::read(&mut Cursor::new(text)).unwrap()
    }

    #[test]
    fn headers_end() {
        for (text, header) in [
            ("A: b\nC: d\n\nbody\n\nmore\n", "A: b\nC: d\n"),
            ("A: b\n", "A: b\n"),
            ("A: b", "A: b"),
            ("\nbody\n", ""),
            ("", ""),
        ] {
            assert_eq!(read(text.as_bytes()).header, header.as_bytes(), "{text:?}");
            assert!(read(text.as_bytes()).whole.is_some());
        }
        let endless = b"A: b\n".repeat(limits::RETURNED as usize);
        let original = read(&endless);
        assert!(original.whole.is_none() && original.header.ends_with(b"b\n"));
        assert!(original.header.len() as u64 <= limits::RETURNED);
    }

    #[test]
    fn what_cannot_be_enclosed() {
        for body in [&b"a\rb\n"[..], b"a\0b\n", b"a\r\n", &[b'x'; 999]] {
            assert!(read(&[b"A: b\n\n", body].concat()).whole.is_none(), "{body:?}");
        }
        assert!(read(&[b"A: b\n\n", &[b'x'; 998][..]].concat()).whole.is_some());
    }

    #[test]
    fn quoted_printable() {
        for (text, expected) in [
            ("a=b\n", "a=3Db\n"),
            ("é \nx\ty", "=C3=A9=20\nx\ty"),
            ("\n\n", "\n\n"),
            ("\0\r\n", "=00=0D\n"),
        ] {
            assert_eq!(String::from_utf8(quoted(text.as_bytes())).unwrap(), expected);
        }
        let long = quoted("ñ".repeat(500).as_bytes());
        assert!(long.split(|octet| *octet == b'\n').all(|line| line.len() <= 76));
        assert_eq!(long.iter().filter(|octet| **octet == b'=').count(), 1000 + 39);
    }
}
