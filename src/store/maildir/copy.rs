//! Messages into another folder: RFC 3501 §6.4.7, RFC 6851.
//!
//! A copy is a second name for the same file where the file system allows that: no data is
//! written, and the date stays. On another file system data is copied and synced before anything
//! is locked. Moving is renaming.

use std::fs::{File, FileTimes};
use std::io::{self, ErrorKind};

use super::super::Error;
use super::super::flags::KEYWORDS;
use super::super::folders::FolderError;
use super::super::selected::Copied;
use super::directories::{Maildir, Places};
use super::folders::Tree;
use super::intake::{Arrival, Intake};
use super::name;
use super::session::{IN_NEW, Session};
use crate::sys::dir::{Dir, Stat};

/// Where a message was taken from.
#[derive(Debug)]
enum Origin {
    /// It is there still.
    Stays,
    /// It was renamed: from `new` or not, and its name there.
    Renamed(bool, Vec<u8>),
}

/// Data that was copied to a file in the target's `tmp`, which goes unless it was renamed.
struct Data<'a> {
    tmp: &'a Dir,
    name: String,
}

impl Drop for Data<'_> {
    fn drop(&mut self) {
        let _ = self.tmp.unlink(self.name.as_bytes());
    }
}

impl Session {
    /// Copies messages; see `Selected::copy`.
    pub fn copy(&mut self, indices: &[u32], to: &str) -> Result<Copied, FolderError> {
        self.bring(indices, to, false)
    }

    /// Moves messages; see `Selected::move_to`.
    pub fn move_to(&mut self, indices: &[u32], to: &str) -> Result<Copied, FolderError> {
        self.refuse_read_only()?;
        self.bring(indices, to, true)
    }

    fn bring(&mut self, indices: &[u32], to: &str, moves: bool) -> Result<Copied, FolderError> {
        let maildir = Maildir::open(&Tree::new(&self.top).path(to)?)?;
        let (places, tmp) = (Places::open(&maildir)?, maildir.sub(b"tmp")?);
        self.update()?;
        let is_near = self.hold()?.places.cur.stat_self()?.id.0 == places.cur.stat_self()?.id.0;
        let far = if is_near { &[] } else { indices };
        let data = far.iter().map(|index| self.copy_data(*index as usize, &tmp));
        let data = data.collect::<Result<Vec<_>, _>>()?;
        let mut intake = Intake::begin(&maildir, &places, &tmp)?;
        let arrivals = self.arrivals(indices, &mut intake)?;
        let (validity, uids) = intake.number(&arrivals)?;
        let mut origins = Vec::with_capacity(indices.len());
        let put = (|| {
            for (at, (index, arrival)) in indices.iter().zip(&arrivals).enumerate() {
                let (dir, name) = intake.place(arrival);
                origins.push(match data.get(at) {
                    Some(data) => {
                        tmp.rename(data.name.as_bytes(), dir, &name)?;
                        Origin::Stays
                    }
                    None if moves => self.rename_to(*index as usize, dir, &name)?,
                    None => self.link_to(*index as usize, dir, &name, &tmp)?,
                });
            }
            Ok(intake.sync(&arrivals)?)
        })();
        if let Err(error) = put {
            self.undo(&intake, &arrivals, &origins);
            return Err(FolderError::Store(error));
        }
        drop(intake);
        let pairs = indices.iter().map(|index| self.messages[*index as usize].uid).zip(uids);
        let copied = (validity, pairs.collect());
        if moves {
            self.leave_behind(indices, &origins)?;
        }
        Ok(copied)
    }

    /// How the messages are called in the target, keywords by its numbers.
    fn arrivals(&mut self, indices: &[u32], intake: &mut Intake) -> Result<Vec<Arrival>, Error> {
        let messages = indices.iter().map(|index| self.messages[*index as usize]);
        let used = messages.fold(0, |used, message| used | message.keywords());
        let mut there = [0; KEYWORDS];
        for (at, name) in self.keywords.names.iter().enumerate() {
            if used & (1 << at) != 0 && !name.is_empty() {
                there[at] = intake.keywords(std::slice::from_ref(name))?;
            }
        }
        let mut arrivals = Vec::with_capacity(indices.len());
        for index in indices {
            let message = self.messages[*index as usize];
            let bits = (0..KEYWORDS).filter(|at| message.keywords() & (1 << at) != 0);
            let keywords = bits.fold(0, |bits, at| bits | there[at]);
            let base = if message.is_gone() { Err(Error::gone()) } else { Ok(()) }
                .and_then(|()| Ok(self.base(*index as usize)?))?;
            let sizes = name::octets(&base).zip(name::wire_octets(&base));
            let base = match (name::unique(), sizes) {
                (unique, Some((octets, wire))) => name::with_sizes(&unique, octets, wire),
                (unique, None) => unique,
            };
            arrivals.push(Arrival { base, marks: message.marks.with_keywords(keywords) });
        }
        Ok(arrivals)
    }

    fn rename_to(&mut self, index: usize, to: &Dir, name: &[u8]) -> Result<Origin, Error> {
        let old = self.at(index, |dir, old| {
            dir.rename(old, to, name)?;
            Ok(old.to_vec())
        })?;
        Ok(Origin::Renamed(self.messages[index].is(IN_NEW), old))
    }

    fn link_to(&mut self, index: usize, to: &Dir, name: &[u8], tmp: &Dir) -> Result<Origin, Error> {
        match self.at(index, |dir, old| dir.link(old, to, name)) {
            Err(Error::Unavailable(error)) if cannot_link(&error) => {
                let data = self.copy_data(index, tmp)?;
                tmp.rename(data.name.as_bytes(), to, name)?;
                Ok(Origin::Stays)
            }
            linked => linked.map(|()| Origin::Stays),
        }
    }

    /// Copies the file of a message, date and all.
    fn copy_data<'a>(&mut self, index: usize, tmp: &'a Dir) -> Result<Data<'a>, Error> {
        let mut from = self.at(index, |dir, name| dir.open_file(name))?;
        let data = Data { tmp, name: name::unique() };
        let mut file: File = tmp.create_file(data.name.as_bytes())?;
        io::copy(&mut from, &mut file)?;
        file.set_times(FileTimes::new().set_modified(Stat::of_file(&from)?.mtime))?;
        file.sync_all()?;
        Ok(data)
    }

    /// Takes back what was put into the target.
    fn undo(&mut self, intake: &Intake, arrivals: &[Arrival], origins: &[Origin]) {
        let Ok(held) = self.hold() else { return };
        for (arrival, origin) in arrivals.iter().zip(origins) {
            intake.take_back(arrival, |dir, name| match origin {
                Origin::Stays => dir.unlink(name),
                Origin::Renamed(is_new, old) => dir.rename(name, held.places.of(*is_new), old),
            });
        }
    }

    /// Takes messages that were moved away from here.
    fn leave_behind(&mut self, indices: &[u32], origins: &[Origin]) -> Result<(), Error> {
        for (index, origin) in indices.iter().zip(origins) {
            if matches!(origin, Origin::Stays) {
                match self.at(*index as usize, |dir, name| dir.unlink(name)) {
                    Err(error) if error.is_gone() => {}
                    removed => removed?,
                }
            }
            self.forget(*index as usize);
        }
        self.settle()
    }
}

/// Whether a file system, or a file with too many names, says that there can be no link.
fn cannot_link(error: &io::Error) -> bool {
    use ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    [CrossesDevices, PermissionDenied, TooManyLinks, Unsupported].contains(&error.kind())
}
