//! The files of `new` and `cur`, sorted by the base of their names.
//!
//! Programs rename them at any moment, to move them or to set a flag, so that a listing is out of
//! date as soon as it is made. Whoever finds a file no longer under its name lists again, and
//! again, before it counts as gone. The names lie in one piece of memory, sorted arrays are
//! searched by halving: a box of a hundred thousand messages is no reason to wait.

use std::io::{self, ErrorKind};

use super::maildir::Places;
use super::name;
use crate::sys::dir::{Dir, Kind};

/// How often a file that is missing is looked for again.
pub const LOOKS: u8 = 2;
/// How often something is tried with a file that is there, under another name each time; or that
/// is there and cannot be had, as where `cur` was removed.
const TRIES: u8 = 100;

/// A file with a message.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// The first octets of the base as numbers: what sorts most names without looking further.
    key: [u64; 2],
    start: u32,
    base: u8,
    length: u8,
    is_new: bool,
    /// How many listings in a row it was not in.
    missed: u8,
}

/// All files with messages. They are known by their index, which stays the same.
#[derive(Debug, Default)]
pub struct Files {
    names: Vec<u8>,
    found: Vec<Found>,
}

impl Files {
    /// Lists the files of both directories.
    ///
    /// Careful: `new` comes first. A message moved in between is then seen twice; the other way
    /// round it would not be seen at all.
    pub fn list(places: &Places) -> io::Result<Files> {
        let mut files = Files::default();
        places.new.entries(|name, kind| files.take(name, kind, true))?;
        places.cur.entries(|name, kind| files.take(name, kind, false))?;
        files.sort();
        Ok(files)
    }

    /// Files that are known to be there, in this order, by their bases alone. Their names are
    /// learned when the first of them is wanted.
    pub fn of_bases<'a>(bases: impl Iterator<Item = &'a [u8]>) -> Files {
        let mut files = Files::default();
        bases.for_each(|base| files.add(base, false, 0));
        files
    }

    fn take(&mut self, name: &[u8], kind: Kind, is_new: bool) {
        let is_strange = name.starts_with(b".") || memchr::memchr2(b'\n', b'\r', name).is_some();
        if kind == Kind::File && !is_strange {
            self.add(name, is_new, 0);
        }
    }

    /// Adds a file at the end. What 4 GiB of names cannot hold is left out.
    fn add(&mut self, name: &[u8], is_new: bool, missed: u8) {
        let base = name::base(name);
        let start = u32::try_from(self.names.len());
        let lengths = (u8::try_from(base.len()), u8::try_from(name.len()));
        if let (Ok(start), (Ok(base_length @ 1..), Ok(length))) = (start, lengths) {
            let key = key(base);
            self.names.extend_from_slice(name);
            self.found.push(Found { key, start, base: base_length, length, is_new, missed });
        }
    }

    /// Sorts by base. Of two files with the same base the one in `cur` is kept.
    fn sort(&mut self) {
        let Files { names, found } = self;
        let base = |file: &Found| &names[file.start as usize..][..usize::from(file.base)];
        found.sort_unstable_by(|a, b| {
            let order = a.key.cmp(&b.key).then_with(|| base(a).cmp(base(b)));
            order.then(a.is_new.cmp(&b.is_new))
        });
        found.dedup_by(|later, kept| later.key == kept.key && base(later) == base(kept));
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// The name of a file, flags and all.
    pub fn name(&self, index: usize) -> &[u8] {
        let file = self.found[index];
        &self.names[file.start as usize..][..usize::from(file.length)]
    }

    /// The part of its name that never changes.
    pub fn base(&self, index: usize) -> &[u8] {
        self.base_of(self.found[index])
    }

    fn base_of(&self, file: Found) -> &[u8] {
        &self.names[file.start as usize..][..usize::from(file.base)]
    }

    /// The index of the file with this base.
    pub fn find(&self, base: &[u8]) -> Option<usize> {
        let key = key(base);
        let order = |file: &Found| file.key.cmp(&key).then_with(|| self.base_of(*file).cmp(base));
        self.found.binary_search_by(order).ok()
    }

    /// Takes in those files of another listing that are asked for. Indices change.
    pub fn add_from(&mut self, other: &Files, indices: &[usize]) {
        for index in indices {
            self.add(other.name(*index), other.found[*index].is_new, 0);
        }
        self.sort();
    }

    /// Does something with a file where it is now. Not found means that it is gone.
    pub fn at<T>(
        &mut self,
        places: &Places,
        index: usize,
        act: impl Fn(&Dir, &[u8]) -> io::Result<T>,
    ) -> io::Result<T> {
        for _ in 0..TRIES {
            let file = self.found[index];
            if file.missed >= LOOKS {
                break;
            }
            match act(places.of(file.is_new), self.name(index)) {
                Err(error) if error.kind() == ErrorKind::NotFound => self.refresh(places)?,
                done => return done,
            }
        }
        Err(io::Error::from(ErrorKind::NotFound))
    }

    /// Learns the names that the files have now. One that is missing keeps the name it had.
    fn refresh(&mut self, places: &Places) -> io::Result<()> {
        let now = Files::list(places)?;
        let old = std::mem::take(self);
        for (index, file) in old.found.iter().enumerate() {
            match now.find(old.base(index)) {
                Some(at) => self.add(now.name(at), now.found[at].is_new, 0),
                None => self.add(old.name(index), file.is_new, file.missed.saturating_add(1)),
            }
        }
        Ok(())
    }

    /// Notes that a file was renamed by ourselves.
    pub fn renamed(&mut self, index: usize, name: &[u8], is_new: bool) {
        let (start, length) = (u32::try_from(self.names.len()), u8::try_from(name.len()));
        if let (Ok(start), Ok(length)) = (start, length) {
            self.names.extend_from_slice(name);
            self.found[index] = Found { start, length, is_new, ..self.found[index] };
        }
    }
}

/// The first sixteen octets, so that they compare as the text does.
fn key(base: &[u8]) -> [u64; 2] {
    let mut octets = [0; 16];
    let length = base.len().min(16);
    octets[..length].copy_from_slice(&base[..length]);
    let number = u128::from_be_bytes(octets);
    [(number >> 64) as u64, number as u64]
}
