//! The letter in the file of a queued one: header and text, LF line ends, from offset 0 to its end.

use super::Content;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// A letter, open for one reader.
#[derive(Debug)]
pub struct Text {
    pub(super) file: File,
    pub(super) at: u64,
    pub(super) octets: u64,
    pub(super) lines: u64,
    pub(super) offset: u64,
}

impl Text {
    /// As a delivery into a mailbox takes it.
    pub fn content(&self) -> Content<'_> {
        Content::File { file: &self.file, at: self.at, octets: self.octets, lines: self.lines }
    }

    /// What stands behind its first octets, which are `before`.
    pub fn content_behind(&self, before: &[u8]) -> Content<'_> {
        let octets = before.len() as u64;
        let lines = memchr::memchr_iter(b'\n', before).count() as u64;
        let (at, octets) = (self.at + octets, self.octets.saturating_sub(octets));
        Content::File { file: &self.file, at, octets, lines: self.lines.saturating_sub(lines) }
    }

    /// Its length.
    pub fn octets(&self) -> u64 {
        self.octets
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.octets.saturating_sub(self.offset).min(buffer.len() as u64);
        let read = self.file.read_at(&mut buffer[..left as usize], self.at + self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Seek for Text {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let offset = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(by) => self.octets.checked_add_signed(by),
            SeekFrom::Current(by) => self.offset.checked_add_signed(by),
        };
        self.offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}
