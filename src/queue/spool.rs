//! A letter while it is being received: in memory while it is small, in a file without a name
//! beyond that.
//!
//! Nothing here is durable and nothing needs to be: until the reply to its last line, a letter is
//! the client's. The file goes with the process.

use crate::limits;
use crate::sys::file;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::PathBuf;

/// The letter so far.
pub struct Spool {
    directory: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    octets: u64,
    lines: u64,
}

/// The letter when it is complete.
pub enum Content<'a> {
    /// All of it.
    Memory(&'a [u8]),
    /// A part of a file.
    File {
        /// Open for reading.
        file: &'a File,
        /// Where the letter begins.
        at: u64,
        /// Its length.
        octets: u64,
        /// LFs.
        lines: u64,
    },
}

impl Spool {
    /// An empty letter; `directory` is where it goes when it grows.
    pub fn new(directory: PathBuf) -> Spool {
        Spool { directory, memory: Vec::new(), file: None, octets: 0, lines: 0 }
    }

    /// Room for the octets that come next: append to it, then call `settle`.
    pub fn room(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// Moves to the file what has become too much for memory.
    pub fn settle(&mut self) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() <= limits::LETTER_IN_MEMORY {
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(file::nameless(&self.directory)?);
        }
        self.octets += self.memory.len() as u64;
        self.lines += memchr::memchr_iter(b'\n', &self.memory).count() as u64;
        let written = match &mut self.file {
            Some(file) => file.write_all(&self.memory),
            None => Ok(()),
        };
        self.memory.clear();
        self.memory.shrink_to(limits::TEXT_BUFFER);
        written
    }

    /// Forgets the letter.
    pub fn clear(&mut self) {
        *self = Spool::new(std::mem::take(&mut self.directory));
    }

    /// The whole letter.
    pub fn content(&mut self) -> io::Result<Content<'_>> {
        match &mut self.file {
            None => Ok(Content::Memory(&self.memory)),
            Some(file) => {
                file.write_all(&self.memory)?;
                self.octets += self.memory.len() as u64;
                self.lines += memchr::memchr_iter(b'\n', &self.memory).count() as u64;
                self.memory = Vec::new();
                file.rewind()?;
                Ok(Content::File { file, at: 0, octets: self.octets, lines: self.lines })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn small_letters_stay_in_memory_and_large_ones_leave_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(directory.path().into());
        spool.room().extend_from_slice(b"Subject: a\n");
        spool.settle().unwrap();
        assert!(matches!(spool.content().unwrap(), Content::Memory(b"Subject: a\n")));
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        for _ in 0..10_000 {
            spool.room().extend_from_slice(&line);
            spool.settle().unwrap();
            assert!(spool.memory.capacity() <= 2 * limits::LETTER_IN_MEMORY + 1024);
        }
        let Content::File { mut file, octets, lines, .. } = spool.content().unwrap() else {
            panic!()
        };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((octets, lines), (1_000_011, 10_001));
        assert_eq!((text.len(), text.lines().count()), (1_000_011, 10_001));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let mut spool = Spool::new("/nowhere/at/all".into());
        spool.room().resize(limits::LETTER_IN_MEMORY + 1, b'x');
        assert!(spool.settle().is_err());
    }
}
