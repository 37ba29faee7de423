//! A message read out of an mbox, into memory or a file of our own.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::Path;

use super::super::{Error, Wire};
use super::message;
use super::scan::Entry;
use crate::{limits, sys};

/// The message that lies at `place`, if it is `wanted`.
pub fn copy_out(
    file: &File,
    directory: &Path,
    place: &Entry,
    wanted: &Entry,
) -> Result<Option<Letter>, Error> {
    let mut letter: Letter = match wanted.octets as usize <= limits::LETTER_IN_MEMORY {
        true => Letter::Memory(Cursor::new(Vec::with_capacity(wanted.length as usize))),
        false => Letter::File(sys::file::nameless(directory)?),
    };
    let mut octets = 0;
    let walk = message::read(file, place.at, place.end(), &mut |text| {
        octets += text.len() as u64;
        // What has grown is another letter, and need not be read to its end.
        match octets <= wanted.octets {
            true => letter.write_all(text),
            false => Ok(()),
        }
    })?;
    let is_wanted = walk.is_some_and(|walk| {
        walk.digest == wanted.digest
            && walk.octets() == wanted.octets
            && [0, wanted.facts.uid].contains(&walk.facts.uid)
    });
    Ok(is_wanted.then_some(letter))
}

/// A letter read out of the mbox.
pub enum Letter {
    /// A small one.
    Memory(Cursor<Vec<u8>>),
    /// A large one, in a file without a name.
    File(File),
}

impl Letter {
    /// In wire form, of so many octets.
    pub fn wire(self, octets: u64) -> io::Result<Wire> {
        Ok(match self {
            Letter::Memory(memory) => Wire::from_memory(memory.into_inner()),
            Letter::File(mut file) => {
                file.rewind()?;
                Wire::new(file, octets)
            }
        })
    }

    /// As it lies in the mbox.
    pub fn octets(self) -> io::Result<Vec<u8>> {
        match self {
            Letter::Memory(memory) => Ok(memory.into_inner()),
            Letter::File(mut file) => {
                file.rewind()?;
                let mut octets = Vec::new();
                file.read_to_end(&mut octets)?;
                Ok(octets)
            }
        }
    }

    fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Letter::Memory(memory) => memory.write_all(octets),
            Letter::File(file) => file.write_all(octets),
        }
    }
}
