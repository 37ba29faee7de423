//! Messages come into a folder with their UIDs known at once: by APPEND, COPY and MOVE.
//!
//! All of them or none. Their numbers are written first, under the lock of the list of UIDs; then
//! each file gets its name in `cur`, or in `new` if nobody marked it, where the next session finds
//! it recent; then the directories are synced. What fails is taken back, and only uses up numbers.
//!
//! Careful: files get their names in the order of their numbers, since a session that has seen a
//! number looks for no lower ones.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use super::super::Error;
use super::super::flags::{KEYWORDS, Marks};
use super::directories::{Maildir, Places};
use super::dotlock::{self, Dotlock};
use super::files::Files;
use super::keywords::Keywords;
use super::listing;
use super::name;
use super::tail::Tail;
use super::uidlist::{self, Draft, Uidlist};
use crate::sys::dir::Dir;

/// A message to come in.
#[derive(Debug)]
pub struct Arrival {
    /// The part of its name that never changes; no other message has it.
    pub base: String,
    /// Its marks, keywords by the numbers of this folder.
    pub marks: Marks,
}

impl Arrival {
    fn is_new(&self) -> bool {
        self.marks == Marks::default()
    }

    fn name(&self) -> Vec<u8> {
        match self.is_new() {
            true => self.base.clone().into_bytes(),
            false => name::with_marks(self.base.as_bytes(), self.marks),
        }
    }
}

/// A folder whose list of UIDs is locked.
#[derive(Debug)]
pub struct Intake<'a> {
    maildir: &'a Maildir,
    places: &'a Places,
    keywords: Keywords,
    _lock: Dotlock<'a>,
}

impl<'a> Intake<'a> {
    /// Locks a folder.
    pub fn begin(maildir: &'a Maildir, places: &'a Places, tmp: &Dir) -> Result<Intake<'a>, Error> {
        let _lock = dotlock::take(&maildir.root, uidlist::LOCK, tmp)?;
        let keywords = Keywords::read(&maildir.root)?;
        Ok(Intake { maildir, places, keywords, _lock })
    }

    /// Whether all these keywords have a name here, or can be given one.
    pub fn has_room_for<'b>(&self, names: impl Iterator<Item = &'b String>) -> bool {
        let new = names.filter(|name| self.keywords.find(name).is_none());
        let new: BTreeSet<String> = new.map(|name| name.to_ascii_lowercase()).collect();
        self.keywords.names.len() + new.len() <= KEYWORDS
    }

    /// The bits of keywords here. One for which there is no room has none.
    pub fn keywords(&mut self, names: &[String]) -> io::Result<u32> {
        let mut bits = 0;
        for name in names {
            let bit = match self.keywords.find(name) {
                None => self.keywords.add(&self.maildir.root, name)?,
                bit => bit,
            };
            bits |= bit.map_or(0, |bit| 1 << bit);
        }
        Ok(bits)
    }

    /// Where a message is to be put, and under which name.
    pub fn place(&self, arrival: &Arrival) -> (&'a Dir, Vec<u8>) {
        (self.places.of(arrival.is_new()), arrival.name())
    }

    /// Makes messages that were put there outlive a crash.
    pub fn sync(&self, arrivals: &[Arrival]) -> io::Result<()> {
        for is_new in [false, true] {
            if arrivals.iter().any(|arrival| arrival.is_new() == is_new) {
                self.places.of(is_new).sync()?;
            }
        }
        Ok(())
    }

    /// Does something with a message that was put there, under whatever name it has got since. It
    /// does not matter if that fails.
    pub fn take_back(&self, arrival: &Arrival, act: impl Fn(&Dir, &[u8]) -> io::Result<()>) {
        let (dir, name) = self.place(arrival);
        if act(dir, &name).is_ok() {
            return;
        }
        // A reader may have moved it.
        if let Ok(mut files) = Files::list(self.places)
            && let Some(index) = files.find(arrival.base.as_bytes())
        {
            let _ = files.at(self.places, index, act);
        }
    }

    /// Gives messages to come their numbers: UIDVALIDITY and UIDs.
    pub fn number(&self, arrivals: &[Arrival]) -> io::Result<(u32, Vec<u32>)> {
        let root = &self.maildir.root;
        let mut draft = Draft::default();
        // A list that was put back does not know all numbers that were given.
        let left = listing::numbers(root);
        let is_old =
            |tail: &Tail| left.is_some_and(|left| left.0 == tail.validity && left.1 > tail.next);
        if let Some(Tail { validity, next, size }) = Tail::read(root)?.filter(|tail| !is_old(tail))
        {
            let uids = add(&mut draft, next, arrivals)?;
            draft.append_at(size, root)?;
            return Ok((validity, uids.collect()));
        }
        let mut list = Uidlist::read(root)?;
        if let Some((validity, next)) = left {
            list.distrust(validity, next);
        }
        list.lines.iter().for_each(|line| draft.keep(&list, *line, None));
        let uids = add(&mut draft, list.next, arrivals)?;
        let validity = list.valid();
        draft.replace(&list, validity, uids.end, root)?;
        Ok((validity, uids.collect()))
    }
}

/// Adds a line for each, and tells their numbers.
fn add(draft: &mut Draft, first: u32, arrivals: &[Arrival]) -> io::Result<Range<u32>> {
    let end = u32::try_from(arrivals.len()).ok().and_then(|count| first.checked_add(count));
    let end = end.filter(|end| *end < u32::MAX);
    let end = end.ok_or_else(|| io::Error::other("UIDs are used up"))?;
    for (uid, arrival) in (first..end).zip(arrivals) {
        draft.newcomer(uid, None, arrival.base.as_bytes());
    }
    Ok(first..end)
}
