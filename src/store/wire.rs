//! A message with the line ends of the wire: LF becomes CRLF, CRLF stays, and a last line that
//! does not end is ended. A CR alone is left alone, and so is every other octet; what a protocol
//! does to dots is its own affair.

use std::fs::File;
use std::io::{self, Cursor, Read};

/// What is read at once.
const CHUNK: usize = 64 * 1024;

/// The line feeds without a carriage return before them: what the wire form adds.
pub fn bare_line_feeds(octets: &[u8]) -> u64 {
    bare_line_feeds_after(0, octets)
}

fn bare_line_feeds_after(before: u8, octets: &[u8]) -> u64 {
    let is_bare = |at: &usize| match at {
        0 => before != b'\r',
        _ => octets[at - 1] != b'\r',
    };
    memchr::memchr_iter(b'\n', octets).filter(is_bare).count() as u64
}

/// The size of a message in wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Octets, those that end the last line included.
    pub octets: u64,
    /// Whether the last line ends in the file as well.
    pub is_ended: bool,
}

/// Reads a whole file to learn its size in wire form.
pub fn measure(file: &mut File) -> io::Result<Size> {
    let mut chunk = vec![0; CHUNK];
    let (mut octets, mut last) = (0, b'\n');
    loop {
        let got = read(file, &mut chunk)?;
        let Some(end) = got.last() else {
            let is_ended = last == b'\n';
            return Ok(Size { octets: if is_ended { octets } else { octets + 2 }, is_ended });
        };
        octets += got.len() as u64 + bare_line_feeds_after(last, got);
        last = *end;
    }
}

fn read<'a>(file: &mut impl Read, chunk: &'a mut [u8]) -> io::Result<&'a [u8]> {
    loop {
        match file.read(chunk) {
            Ok(got) => return Ok(&chunk[..got]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A message being read in wire form.
#[derive(Debug)]
pub struct Wire {
    source: Source,
    raw: Vec<u8>,
    wire: Vec<u8>,
    /// The last octet read.
    last: u8,
}

/// Where its octets are.
#[derive(Debug)]
enum Source {
    File(File),
    Memory(Cursor<Vec<u8>>),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::File(file) => file.read(buffer),
            Source::Memory(octets) => octets.read(buffer),
        }
    }
}

impl Wire {
    /// From the beginning of a file of about so many octets.
    pub fn new(file: File, octets: u64) -> Wire {
        Wire::of(Source::File(file), octets)
    }

    /// From octets that were read already.
    pub fn from_memory(octets: Vec<u8>) -> Wire {
        let length = octets.len() as u64;
        Wire::of(Source::Memory(Cursor::new(octets)), length)
    }

    fn of(source: Source, octets: u64) -> Wire {
        // One more, so that a message is read whole at once and the next read finds the end.
        let room = usize::try_from(octets + 1).unwrap_or(CHUNK).min(CHUNK);
        Wire { source, raw: vec![0; room], wire: Vec::with_capacity(room), last: b'\n' }
    }

    /// The next octets; none at the end. Lines, and line ends too, may be cut anywhere.
    pub fn chunk(&mut self) -> io::Result<&[u8]> {
        self.wire.clear();
        let got = read(&mut self.source, &mut self.raw)?;
        let mut from = 0;
        for at in memchr::memchr_iter(b'\n', got) {
            let before = if at == 0 { self.last } else { got[at - 1] };
            if before != b'\r' {
                self.wire.extend_from_slice(&got[from..at]);
                self.wire.extend_from_slice(b"\r\n");
                from = at + 1;
            }
        }
        self.wire.extend_from_slice(&got[from..]);
        match got.last() {
            Some(last) => self.last = *last,
            None if self.last != b'\n' => {
                self.wire.extend_from_slice(b"\r\n");
                self.last = b'\n';
            }
            None => {}
        }
        Ok(&self.wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn file(octets: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(octets).unwrap();
        file.rewind().unwrap();
        file
    }

    /// The wire form, read `room` octets at a time.
    fn wire(octets: &[u8], room: usize) -> Vec<u8> {
        let mut wire = Wire::new(file(octets), room as u64 - 1);
        let mut all = Vec::new();
        loop {
            match wire.chunk().unwrap() {
                [] => return all,
                chunk => all.extend_from_slice(chunk),
            }
        }
    }

    #[test]
    fn lines_end_as_on_the_wire() {
        for (stored, expected) in [
            ("", ""),
            ("a", "a\r\n"),
            ("a\n", "a\r\n"),
            ("a\r\n", "a\r\n"),
            ("a\n\nb\n", "a\r\n\r\nb\r\n"),
            ("a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n"),
            ("a\r\nb\nc", "a\r\nb\r\nc\r\n"),
            ("\n", "\r\n"),
            ("\r\n", "\r\n"),
            ("a\rb\n", "a\rb\r\n"),
            ("a\r", "a\r\r\n"),
            ("a\r\r\n", "a\r\r\n"),
            (".\n..\n", ".\r\n..\r\n"),
            ("\0\u{ff}\n", "\0\u{ff}\r\n"),
        ] {
            for room in [1, 2, 3, 4096] {
                let found = wire(stored.as_bytes(), room);
                assert_eq!(found, expected.as_bytes(), "{stored:?} {room}");
            }
            let size = measure(&mut file(stored.as_bytes())).unwrap();
            assert_eq!(size.octets, expected.len() as u64, "{stored:?}");
            assert_eq!(size.is_ended, stored.is_empty() || stored.ends_with('\n'), "{stored:?}");
        }
    }

    #[test]
    fn a_big_message_needs_no_more_memory_than_a_chunk() {
        let line = b"twenty octets of it\n";
        let stored = line.repeat(500_000);
        let size = measure(&mut file(&stored)).unwrap();
        assert_eq!(size, Size { octets: 10_500_000, is_ended: true });
        let mut wire = Wire::new(file(&stored), size.octets);
        let (mut octets, mut lines) = (0, 0);
        loop {
            let chunk = wire.chunk().unwrap();
            if chunk.is_empty() {
                break;
            }
            assert!(chunk.len() <= 2 * CHUNK);
            octets += chunk.len() as u64;
            lines += memchr::memchr_iter(b'\n', chunk).count();
        }
        assert_eq!((octets, lines), (10_500_000, 500_000));
    }
}
