//! The file of a mailbox, locked and known: each change of it by an IMAP session goes through here.
//!
//! What nobody changed is not read again: what the session knows is taken, or the table that
//! another left, and of a file that only grew the end is read.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::super::{Error, removed_mailbox};
use super::field;
use super::folders::Place;
use super::lock::Locked;
use super::number::{self, Numbers, Want};
use super::rewrite::{self, Change};
use super::scan::{self, Entry};
use super::state::State;
use super::table::{self, Table};
use crate::sys;
use crate::sys::dir::{Dir, Stat};

/// The file, locked and known.
#[derive(Debug)]
pub struct Work {
    pub locked: Locked,
    pub state: State,
    pub entries: Arc<Vec<Entry>>,
    pub numbers: Numbers,
    /// UIDs of those that nobody had seen.
    pub recent: Vec<u32>,
    place: Place,
    /// How the file was when the entries were true.
    pub stat: Stat,
}

/// What the work is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Purpose<'a> {
    /// Whether recent messages are no longer that.
    pub takes_recent: bool,
    /// How many numbers are kept for messages to come.
    pub more: u32,
    /// Their keywords.
    pub words: &'a [String],
    /// Whether they come with all of these or not at all.
    pub needs_words: bool,
    /// Whether a missing file is made.
    pub make: bool,
}

impl Work {
    /// Locks an mbox and numbers its messages; `None` where there is none. `known` are the messages
    /// of the file as it was, `names` those of keywords.
    pub fn begin(
        place: &Place,
        names: &mut Vec<String>,
        known: Option<(Stat, Arc<Vec<Entry>>)>,
        purpose: Purpose,
    ) -> Result<Option<Work>, Error> {
        let Some((locked, state)) = place.lock(purpose.make)? else { return Ok(None) };
        let stat = Stat::of_file(&locked.file)?;
        let (entries, is_left) = match known {
            Some((known, entries)) if known == stat => (entries, true),
            _ => {
                let (entries, is_left) = read(place, &locked.file, &stat, names)?;
                (Arc::new(entries), is_left)
            }
        };
        // Careful: the file's own keywords come first, and a full list takes no more.
        let mut bits = purpose.words.iter().map(|word| field::bit(names, word.as_bytes()));
        let has_all = bits.by_ref().all(|bit| bit.is_some());
        if purpose.needs_words && !has_all {
            return Err(Error::too_many_keywords());
        }
        let (numbers, uids) = number::number(&state, &entries);
        let fresh = entries.iter().zip(&uids);
        let fresh = fresh.filter(|(entry, _)| entry.is_letter() && !entry.facts.old);
        let recent: Vec<u32> = fresh.map(|(_, uid)| *uid).collect();
        let is_current = number::is_current(&state, &entries, numbers, &uids);
        let place = place.clone();
        let mut work = Work { locked, state, entries, numbers, recent, place, stat };
        if is_current && purpose.more == 0 && (work.recent.is_empty() || !purpose.takes_recent) {
            if !is_left {
                work.leave(names, None);
            }
            return Ok(Some(work));
        }
        work.write_numbers(names, &uids, purpose)?;
        Ok(Some(work))
    }

    fn write_numbers(
        &mut self,
        names: &mut Vec<String>,
        uids: &[u32],
        Purpose { takes_recent, more, .. }: Purpose,
    ) -> Result<(), Error> {
        self.numbers.last += more;
        let numbers = self.numbers;
        let wanted = |index: usize| Want { uid: uids[index], old: takes_recent, ..Want::default() };
        let listed: &[String] = if more > 0 { names } else { &[] };
        let (file, entries) = (&self.locked.file, &self.entries);
        let changes = number::changes(file, entries, numbers, listed, |_| false, wanted)?;
        // Careful: a number that may be in the file is never given again.
        (self.state.validity, self.state.last) = (numbers.validity, numbers.last);
        let written = self.state.write(true).map_err(Error::from);
        match written.and_then(|()| self.apply(&changes, names)) {
            // A full disk must not keep anybody from reading what has numbers. Careful: the others
            // stay among the entries, or a change would cut them off.
            Err(Error::Full(_)) if more == 0 => {
                let (_, given) = number::number(&self.state, &self.entries);
                let unnumbered = |(entry, uid): &(&mut Entry, u32)| entry.facts.uid != *uid;
                let entries =
                    Arc::make_mut(&mut self.entries).iter_mut().zip(given).filter(unnumbered);
                entries.for_each(|(entry, _)| entry.facts.uid = 0);
                Ok(())
            }
            applied => applied,
        }
    }

    /// Makes the changes, one for each entry; the entries are those of the file after it, whatever
    /// came of it.
    pub fn apply(&mut self, changes: &[Change], names: &mut Vec<String>) -> Result<(), Error> {
        let applied = rewrite::apply(&mut self.locked, &mut self.state, &self.entries, changes);
        let file = &self.locked.file;
        let laid = if applied.is_ok() { laid(&self.entries, changes, names) } else { None };
        let end = Stat::of_file(file)?.size;
        let is_kept = |entries: &Vec<Entry>| entries.last().map_or(0, Entry::end) == end;
        let count = self.entries.len();
        self.entries = match laid.filter(is_kept) {
            Some(entries) => Arc::new(entries),
            None => Arc::new(scan::scan_named(file, names)?),
        };
        let before = std::mem::replace(&mut self.stat, table::settle(file)?);
        if applied.is_ok() {
            let is_still = count == self.entries.len() && before.size == self.stat.size;
            let changed = (0..count).filter(|at| changes[*at] != Change::Keep);
            let changed: Vec<usize> = changed.collect();
            self.leave(names, is_still.then_some((&before, &changed)));
        }
        applied
    }

    /// Leaves what is known for the next, and where all of it stays in its place only what changed.
    fn leave(&self, names: &[String], since: Option<(&Stat, &[usize])>) {
        if !table::is_sure(&self.stat) {
            return;
        }
        if let Ok(dir) = Dir::open(&self.place.directory) {
            let known = (self.numbers, &self.entries[..], names);
            table::leave((&dir, &self.place.beside(LIST)), &self.stat, known, since);
        }
    }

    /// Tells others that what was put behind the entries is all that is new.
    pub fn grew(&mut self) -> io::Result<()> {
        let after = table::settle(&self.locked.file)?;
        table::grew(&self.place.directory, &self.place.beside(LIST), &self.stat, &after);
        self.stat = after;
        Ok(())
    }
}

/// Before the name of a mailbox: what `table` keeps of it.
pub const LIST: &[u8] = b".buzon-list.";
/// What protocols remember.
pub const CACHE: &[u8] = b".buzon-cache.";

/// The messages of a file, and whether the table tells of them all.
fn read(
    place: &Place,
    file: &File,
    stat: &Stat,
    names: &mut Vec<String>,
) -> Result<(Vec<Entry>, bool), Error> {
    let dir = Dir::open(&place.directory)?;
    let Some(table) = Table::read(&dir, &place.beside(LIST), stat, names) else {
        return Ok((scan::scan_named(file, names)?, false));
    };
    let mut entries = table.entries;
    if table.covers == stat.size {
        return Ok((entries, true));
    }
    // What was appended may have ended a line of the last message.
    let from = entries.pop().map_or(0, |last| last.at);
    match scan::scan_from(file, from, names) {
        Ok(rest) => entries.extend(rest),
        Err(_) => entries = scan::scan_named(file, names)?,
    }
    Ok((entries, false))
}

/// Where messages are after a change; `None` where only reading tells.
fn laid(entries: &[Entry], changes: &[Change], names: &mut Vec<String>) -> Option<Vec<Entry>> {
    let mut laid = Vec::with_capacity(entries.len());
    let mut at = entries.first()?.at;
    for (entry, change) in entries.iter().zip(changes) {
        let entry = match change {
            Change::Keep => *entry,
            Change::Remove => continue,
            Change::Head(head) => scan::with_head(entry, head, names)?,
        };
        laid.push(Entry { at, ..entry });
        at += entry.length;
    }
    Some(laid)
}

impl Place {
    /// The numbers of an INBOX that no letter has come to.
    pub fn numbers_of_none(&self) -> Result<Numbers, Error> {
        if !self.is_inbox {
            return Err(removed_mailbox().into());
        }
        let state = State::open_named(&self.directory, &self.state, true)?;
        let Some(mut state) = state else { return Err(Error::gone()) };
        if state.validity == 0 {
            state.validity = (sys::clock::micros() / 1_000_000) as u32;
            state.write(true)?;
        }
        Ok(Numbers { validity: state.validity, last: state.last })
    }

    /// The directory that the file is in, and its name there.
    fn parent(&self) -> io::Result<(Dir, &[u8])> {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        let name = self.mbox.file_name().ok_or_else(not_found)?;
        let parent = self.mbox.parent().ok_or_else(not_found)?;
        Ok((Dir::open(&std::fs::canonicalize(parent)?)?, name.as_encoded_bytes()))
    }

    /// The file as it is, if it is there.
    pub fn stat(&self) -> Result<Option<Stat>, Error> {
        match self.parent().and_then(|(dir, name)| dir.stat(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            stat => Ok(Some(stat?)),
        }
    }

    /// The file, to be read without its lock.
    pub fn open(&self) -> io::Result<File> {
        let (dir, name) = self.parent()?;
        dir.open_file(name)
    }

    /// Locks it, and finishes what was left half done.
    pub fn lock(&self, make: bool) -> Result<Option<(Locked, State)>, Error> {
        let deadline = Instant::now() + super::folders::PATIENCE;
        let Some(mut locked) = super::lock::lock(&self.mbox, deadline, make)? else {
            return Ok(None);
        };
        let state = State::open_named(&self.directory, &self.state, true)?;
        let mut state = state.ok_or_else(Error::gone)?;
        rewrite::repair(&mut locked, &mut state)?;
        Ok(Some((locked, state)))
    }
}
