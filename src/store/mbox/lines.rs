//! A file line by line, each with its place; a line without end comes in pieces.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// The longest piece of a line. A longer line is cut here, counted from its start, so that it is cut
/// the same way wherever it lies.
const PIECE: usize = 64 * 1024;
/// What is read at once: little at first, as most parts are small.
const BUFFER: std::ops::RangeInclusive<usize> = 16 * 1024..=4 * PIECE;

/// A line with its LF, or a piece of it.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Where it stands in the file.
    pub at: u64,
    /// Its octets.
    pub text: &'a [u8],
    /// Whether this is the beginning of the line.
    pub starts: bool,
}

/// The reader.
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at: u64,
    starts: bool,
}

/// Part of a file, whose own offset is not moved.
pub struct Part<'a> {
    /// Open for reading.
    pub file: &'a File,
    /// Where the part begins.
    pub at: u64,
    /// Where it ends.
    pub end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.end.saturating_sub(self.at).min(buffer.len() as u64) as usize;
        let got = self.file.read_at(&mut buffer[..room], self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

impl<R: Read> Lines<R> {
    /// `at` is where the input begins in its file.
    pub fn new(input: R, at: u64) -> Lines<R> {
        Lines { input, buffer: Vec::new(), start: 0, end: 0, at, starts: true }
    }

    /// The next line or piece.
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let length = loop {
            let window = &self.buffer[self.start..self.end.min(self.start + PIECE)];
            match memchr::memchr(b'\n', window) {
                Some(last) => break last + 1,
                None if window.len() == PIECE => break PIECE,
                None => {}
            }
            if !self.fill()? {
                break self.end - self.start;
            }
        };
        let text = &self.buffer[self.start..self.start + length];
        if text.is_empty() {
            return Ok(None);
        }
        let line = Line { at: self.at, text, starts: self.starts };
        self.start += length;
        self.at += length as u64;
        self.starts = text.ends_with(b"\n");
        Ok(Some(line))
    }

    /// Reads on; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let room = (2 * self.buffer.len()).clamp(*BUFFER.start(), *BUFFER.end());
        self.buffer.resize(room, 0);
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => {
                    let got = got?;
                    self.end += got;
                    return Ok(got > 0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_pieces() {
        let long = b"x".repeat(2 * PIECE + 5);
        let text = [b"one\n\n", &long[..], b"\nlast"].concat();
        let mut lines = Lines::new(&text[..], 100);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push((line.at, line.text.len(), line.starts));
        }
        let at = 105 + 2 * PIECE as u64;
        assert_eq!(
            seen,
            [
                (100, 4, true),
                (104, 1, true),
                (105, PIECE, true),
                (105 + PIECE as u64, PIECE, false),
                (at, 6, false),
                (at + 6, 4, true)
            ]
        );
    }
}
