//! What a session changes in its own mailbox: flags and keywords, and messages that go.
//!
//! Each change is the rename or the removal of a file under the very name that says what we know
//! of it. Where another was faster the name is no longer true, nothing happens, and we look again.

use std::io::{self, ErrorKind};

use super::super::flags::{Change, Flags, Marks};
use super::super::selected::GONE;
use super::super::{Error, selected};
use super::files::LOOKS;
use super::keywords::Keywords;
use super::session::{BARE, IN_NEW, ODD, Session};
use super::{dotlock, name, uidlist};

impl Session {
    /// The bit of a keyword; see `Selected::keyword`.
    pub fn keyword(&mut self, name: &str, make: bool) -> Result<Option<u32>, Error> {
        if let Some(bit) = self.keywords.find(name) {
            return Ok(Some(bit));
        }
        if !make || self.is_read_only {
            return Ok(None);
        }
        let root = &self.hold()?.maildir;
        let tmp = root.sub(b"tmp")?;
        let lock = dotlock::take(&root.root, uidlist::LOCK, &tmp)?;
        let mut keywords = Keywords::read(&root.root)?;
        let bit = match keywords.find(name) {
            Some(bit) => Some(bit),
            None => keywords.add(&root.root, name)?,
        };
        drop(lock);
        self.keywords = keywords;
        Ok(bit)
    }

    /// Changes marks; see `Selected::store`.
    pub fn store(&mut self, indices: &[u32], change: Change, by: Marks) -> Result<Vec<u32>, Error> {
        self.refuse_read_only()?;
        // What needs no change may need one if another made the last.
        let is_sure = self.is_current()?;
        let (mut changed, mut idle) = (Vec::new(), Vec::new());
        let mut failed = self.store_each(indices, change, by, &mut changed, &mut idle);
        if !is_sure && !idle.is_empty() && failed.is_ok() {
            self.update()?;
            let again = std::mem::take(&mut idle);
            failed = self.store_each(&again, change, by, &mut changed, &mut idle);
            changed.sort_unstable();
        }
        if !changed.is_empty() {
            self.settle()?;
        }
        if failed.is_err() {
            // What the caller is not told now is told by the next refresh.
            for index in &changed {
                self.messages[*index as usize].put(selected::CHANGED, true);
                self.has_news = true;
            }
        }
        failed.map(|()| changed)
    }

    fn store_each(
        &mut self,
        indices: &[u32],
        change: Change,
        by: Marks,
        changed: &mut Vec<u32>,
        idle: &mut Vec<u32>,
    ) -> Result<(), Error> {
        for index in indices {
            match self.store_one(*index as usize, change, by)? {
                true => changed.push(*index),
                false => idle.push(*index),
            }
        }
        Ok(())
    }

    /// Changes the marks of a message; tells whether that changed anything.
    fn store_one(&mut self, index: usize, change: Change, by: Marks) -> Result<bool, Error> {
        for _ in 0..=LOOKS {
            let message = self.messages[index];
            if message.is_gone() {
                return Ok(false);
            }
            let marks = message.marks.changed(change, by, self.keywords.named());
            if marks == message.marks {
                return Ok(false);
            }
            match self.rename(index, marks) {
                Err(error) if error.kind() == ErrorKind::NotFound => self.look(false)?,
                renamed => return Ok(renamed?),
            }
        }
        Ok(false)
    }

    /// Renames the file of a message to say these marks; false where its name cannot.
    fn rename(&mut self, index: usize, marks: Marks) -> io::Result<bool> {
        let message = self.messages[index];
        let old = self.name(index)?;
        let new = match message.is(ODD) {
            true => name::odd_with_marks(&old, marks),
            false => Some(name::with_marks(name::base(&old), marks)),
        };
        let Some(new) = new else { return Ok(false) };
        let places = &self.hold()?.places;
        places.of(message.is(IN_NEW)).rename(&old, &places.cur, &new)?;
        let is_odd = matches!(name::info(&new), name::Info::Odd(_));
        self.note_odd(message.uid, is_odd.then_some(new));
        let message = &mut self.messages[index];
        message.marks = marks;
        message.put(IN_NEW | BARE, false);
        message.put(ODD, is_odd);
        Ok(true)
    }

    /// Keeps the name of a message if it is odd.
    fn note_odd(&mut self, uid: u32, name: Option<Vec<u8>>) {
        match (self.odd.binary_search_by_key(&uid, |(uid, _)| *uid), name) {
            (Ok(at), Some(name)) => self.odd[at].1 = name,
            (Ok(at), None) => drop(self.odd.remove(at)),
            (Err(at), Some(name)) => self.odd.insert(at, (uid, name)),
            (Err(_), None) => {}
        }
    }

    /// Removes messages; see `Selected::expunge`.
    pub fn expunge(&mut self, which: Option<&dyn Fn(u32) -> bool>) -> Result<(), Error> {
        self.refuse_read_only()?;
        self.update()?;
        let (mut removed, mut failed) = (false, None);
        for index in 0..self.shown {
            if which.is_some_and(|wants| !wants(self.messages[index].uid)) {
                continue;
            }
            match self.remove_deleted(index) {
                Ok(is_removed) => removed |= is_removed,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if removed {
            self.settle()?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Removes a message if, at this moment, it is marked as deleted.
    fn remove_deleted(&mut self, index: usize) -> Result<bool, Error> {
        for _ in 0..=LOOKS {
            let message = self.messages[index];
            if message.is_gone() || !message.marks.flags().has(Flags::DELETED) {
                return Ok(false);
            }
            let unlinked = self.name(index).and_then(|name| {
                let places = &self.hold()?.places;
                places.of(message.is(IN_NEW)).unlink(&name)
            });
            match unlinked {
                Err(error) if error.kind() == ErrorKind::NotFound => self.look(false)?,
                unlinked => {
                    unlinked?;
                    self.forget(index);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Notes that we took a message away.
    pub(super) fn forget(&mut self, index: usize) {
        self.messages[index].put(GONE, true);
        self.has_news = true;
    }

    /// Makes what was changed outlive a crash. Our own changes hide those of others from the
    /// stamp, so the next look is a real one.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        self.stamp = None;
        let places = &self.hold()?.places;
        places.cur.sync()?;
        Ok(places.new.sync()?)
    }

    pub(super) fn refuse_read_only(&self) -> Result<(), Error> {
        match self.is_read_only {
            true => Err(io::Error::other("it was opened for reading").into()),
            false => Ok(()),
        }
    }
}
