//! A message read out of an mbox, into memory or a file of our own.

use std::fs::File;
use std::io::{self, Cursor, Seek, Write};
use std::path::Path;

use super::super::{Error, Wire};
use super::lock::Locked;
use super::message;
use super::scan::Entry;
use crate::{limits, sys};

/// The message that lies at `place`, if it is `wanted`.
pub fn copy_out(
    locked: &Locked,
    directory: &Path,
    place: &Entry,
    wanted: &Entry,
) -> Result<Option<Wire>, Error> {
    let mut letter: Letter = match wanted.octets as usize <= limits::LETTER_IN_MEMORY {
        true => Letter::Memory(Cursor::new(Vec::with_capacity(wanted.length as usize))),
        false => Letter::File(sys::file::nameless(directory)?),
    };
    let mut octets = 0;
    let walk = message::read(&locked.file, place.at, place.end(), &mut |text| {
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
    Ok(match letter {
        _ if !is_wanted => None,
        Letter::Memory(octets) => Some(Wire::from_memory(octets.into_inner())),
        Letter::File(mut file) => {
            file.rewind()?;
            Some(Wire::new(file, wanted.octets))
        }
    })
}

/// A letter read out of the mbox.
enum Letter {
    Memory(Cursor<Vec<u8>>),
    File(File),
}

impl Letter {
    fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Letter::Memory(memory) => memory.write_all(octets),
            Letter::File(file) => file.write_all(octets),
        }
    }
}
