//! An mbox selected: messages by sequence number, joined again with the file whenever that changed.
//!
//! Each step that changes something locks the file, numbers what is new, and unlocks (`work`): no
//! lock is held while a client is waited for. Otherwise only what the file says of itself is asked,
//! and letters are read in their place, without a lock, as their digests tell whether they are
//! whole. A session keeps 32 octets of a message, and 80 of where it is and what it notes.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::cache::Cache;
use super::super::flags::{Change, Flags, Marks};
use super::super::folders::Status;
use super::super::selected::{CHANGED, Changes, GONE, RECENT, Summary};
use super::super::{Error, Wire, removed_mailbox};
use super::field;
use super::folders::{Place, Tree};
use super::number::{self, Numbers, Want, is_same};
use super::reading::{self, Letter};
use super::scan::{self, Entry};
use super::table::{self, Table};
use super::work::{CACHE, LIST, Purpose, Work};
use crate::sys::dir::{Dir, Stat};

/// An mbox, selected.
#[derive(Debug)]
pub struct Session {
    pub(super) tree: Tree,
    pub(super) place: Place,
    pub(super) is_read_only: bool,
    /// Each with its place among the entries.
    messages: Vec<Summary>,
    /// The file when it was last read.
    entries: Arc<Vec<Entry>>,
    /// How many of them the caller was told of.
    shown: usize,
    highest: u32,
    numbers: Numbers,
    names: Vec<String>,
    told_names: usize,
    has_news: bool,
    /// The file as it was last read, if it is sure that it can be told from a later one.
    stamp: Option<Stat>,
    /// The file, open for reading.
    file: Option<File>,
    /// Opened when it is wanted.
    cache: Option<(Dir, Cache)>,
}

impl Session {
    /// Selects an mbox.
    pub fn open(tree: &Tree, place: Place, is_read_only: bool) -> Result<Session, Error> {
        let mut session = Session {
            tree: tree.clone(),
            place,
            is_read_only,
            messages: Vec::new(),
            entries: Arc::default(),
            shown: 0,
            highest: 0,
            numbers: Numbers { validity: 0, last: 0 },
            names: Vec::new(),
            told_names: 0,
            has_news: false,
            stamp: None,
            file: None,
            cache: None,
        };
        session.look()?;
        session.messages.iter_mut().for_each(|message| message.put(CHANGED, false));
        session.shown = session.messages.len();
        session.told_names = session.names.len();
        session.has_news = false;
        Ok(session)
    }

    /// The messages that the caller knows.
    pub fn messages(&self) -> &[Summary] {
        &self.messages[..self.shown]
    }

    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> u32 {
        self.numbers.validity
    }

    /// The next UID.
    pub fn uid_next(&self) -> u32 {
        self.numbers.last + 1
    }

    /// The names of keywords.
    pub fn keywords(&self) -> &[String] {
        &self.names
    }

    /// The bit of a keyword; it is written down with the first message that has it.
    pub fn keyword(&mut self, name: &str, make: bool) -> Option<u32> {
        let known = self.names.iter().position(|other| other.eq_ignore_ascii_case(name));
        match known {
            Some(at) => Some(at as u32),
            None if make && !self.is_read_only => {
                let bit = field::bit(&mut self.names, name.as_bytes());
                self.told_names += usize::from(bit.is_some());
                bit
            }
            None => None,
        }
    }

    /// Reads the file if it changed.
    fn look(&mut self) -> Result<(), Error> {
        let Some(stat) = self.place.stat()? else { return self.begin().map(drop) };
        if self.stamp == Some(stat) || self.take_table(&stat)? {
            return Ok(());
        }
        self.begin().map(drop)
    }

    /// Takes what another left, if that is true and nothing has to be noted; nothing is locked.
    fn take_table(&mut self, stat: &Stat) -> Result<bool, Error> {
        let Ok(dir) = Dir::open(&self.place.directory) else { return Ok(false) };
        let table = Table::read(&dir, &self.place.beside(LIST), stat, &mut self.names);
        let Some(table) = table.filter(|table| table.covers == stat.size) else { return Ok(false) };
        let fresh = table.entries.iter().filter(|entry| entry.is_letter() && !entry.facts.old);
        let recent: Vec<u32> = fresh.map(|entry| entry.facts.uid).collect();
        if !self.is_read_only && !recent.is_empty() {
            return Ok(false);
        }
        self.join(table.numbers, Arc::new(table.entries), &recent)?;
        self.stamp = Some(*stat);
        Ok(true)
    }

    /// Locks the file, reads what is not known, and takes that in.
    fn begin(&mut self) -> Result<Option<Work>, Error> {
        let purpose = Purpose { takes_recent: !self.is_read_only, ..Purpose::default() };
        let known = self.stamp.map(|stamp| (stamp, self.entries.clone()));
        let work = Work::begin(&self.place, &mut self.names, known, purpose)?;
        match &work {
            Some(work) => self.take_in(work)?,
            None => {
                let numbers = self.place.numbers_of_none()?;
                self.join(numbers, Arc::default(), &[])?;
            }
        }
        Ok(work)
    }

    fn take_in(&mut self, work: &Work) -> Result<(), Error> {
        if self.stamp == Some(work.stat) {
            return Ok(());
        }
        self.join(work.numbers, work.entries.clone(), &work.recent)?;
        self.stamp = Some(work.stat).filter(table::is_sure);
        Ok(())
    }

    /// Puts what was found beside what is known; UIDs rise in both.
    fn join(
        &mut self,
        numbers: Numbers,
        found: Arc<Vec<Entry>>,
        recent: &[u32],
    ) -> Result<(), Error> {
        if ![0, numbers.validity].contains(&self.numbers.validity) {
            return Err(removed_mailbox().into());
        }
        self.numbers = numbers;
        (self.stamp, self.file) = (None, None);
        let known = std::mem::replace(&mut self.entries, found);
        let found = self.entries.iter().enumerate();
        let mut found = found.filter(|(_, entry)| entry.is_letter()).peekable();
        for message in self.messages.iter_mut().filter(|message| !message.is_gone()) {
            while found.next_if(|(_, entry)| entry.facts.uid < message.uid).is_some() {}
            let same = found.next_if(|(_, entry)| entry.facts.uid == message.uid);
            match same.filter(|(_, entry)| is_same(entry, &known[message.place as usize])) {
                Some((place, entry)) => {
                    let marks = entry.marks();
                    let is_changed = message.marks != marks;
                    (message.marks, message.place) = (marks, place as u32);
                    message.put(CHANGED, message.is(CHANGED) || is_changed);
                    self.has_news |= is_changed;
                }
                None => {
                    message.put(GONE, true);
                    self.has_news = true;
                }
            }
        }
        for (place, entry) in found.filter(|(_, entry)| entry.facts.uid > self.highest) {
            let uid = entry.facts.uid;
            let mut message = Summary {
                uid,
                marks: entry.marks(),
                octets: entry.octets,
                date: entry.date,
                place: place as u32,
                length: 0,
                state: 0,
            };
            message.put(RECENT, recent.binary_search(&uid).is_ok());
            self.messages.push(message);
            self.has_news = true;
        }
        self.highest = self.messages.last().map_or(self.highest, |last| last.uid.max(self.highest));
        Ok(())
    }

    /// Tells what is new.
    pub fn refresh(&mut self, may_expunge: bool) -> Result<Changes, Error> {
        self.look()?;
        let mut changes = Changes {
            keywords: std::mem::replace(&mut self.told_names, self.names.len()) != self.names.len(),
            ..Changes::default()
        };
        if std::mem::take(&mut self.has_news) {
            self.tell(may_expunge, &mut changes);
        }
        changes.recent = self.messages.iter().filter(|message| message.is(RECENT)).count() as u32;
        Ok(changes)
    }

    fn tell(&mut self, may_expunge: bool, changes: &mut Changes) {
        let (mut index, mut shown, told) = (0, 0, self.shown);
        self.messages.retain(|message| {
            let is_told = index < told;
            index += 1;
            // What came and went unseen is no news.
            let goes = message.is_gone() && (may_expunge || !is_told);
            if goes && is_told {
                changes.expunged.push(shown + 1);
            } else if is_told {
                shown += 1;
            }
            !goes
        });
        self.shown = self.messages.len();
        changes.exists = (self.shown > shown as usize).then_some(self.shown as u32);
        for (index, message) in self.messages.iter_mut().enumerate() {
            // A ghost is news when it goes.
            self.has_news |= message.is_gone();
            if message.is(CHANGED) && !message.is_gone() {
                message.put(CHANGED, false);
                if index < shown as usize {
                    changes.flags.push(index as u32 + 1);
                }
            }
        }
    }

    /// The directory that changes when the mailbox does: it is locked there.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.place.mbox.parent().map(PathBuf::from).into_iter().collect()
    }

    /// Counts for STATUS.
    pub fn status(&self) -> Status {
        let count = |is: &dyn Fn(&Summary) -> bool| {
            self.messages.iter().filter(|message| is(message)).count() as u32
        };
        Status {
            messages: count(&|_| true),
            recent: count(&|message| message.is(RECENT)),
            unseen: count(&|message| !message.marks.flags().has(Flags::SEEN)),
            deleted: count(&|message| message.marks.flags().has(Flags::DELETED)),
            octets: Some(self.messages.iter().map(|message| message.octets).sum()),
            uid_next: self.uid_next(),
            uid_validity: self.uid_validity(),
        }
    }

    /// Opens a message to be read in wire form.
    pub fn read(&mut self, index: usize) -> Result<Wire, Error> {
        let octets = self.messages[index].octets;
        Ok(self.letter(index)?.wire(octets)?)
    }

    /// A message as it lies on disk, without what belongs to the mailbox.
    pub fn raw(&mut self, index: usize) -> Result<Vec<u8>, Error> {
        Ok(self.letter(index)?.octets()?)
    }

    /// Copies a message out of the file: without a lock where it is found whole in its place, as
    /// its digest tells.
    fn letter(&mut self, index: usize) -> Result<Letter, Error> {
        let message = self.messages[index];
        if message.is_gone() {
            return Err(Error::gone());
        }
        let wanted = self.entries[message.place as usize];
        let spool = self.place.spool().to_owned();
        if self.file.is_none() {
            self.file = self.place.open().ok();
        }
        if let Some(file) = &self.file
            && let Some(letter) = reading::copy_out(file, &spool, &wanted, &wanted)?
        {
            return Ok(letter);
        }
        let (locked, _) = self.place.lock(false)?.ok_or_else(Error::gone)?;
        // Something was changed before it.
        let now = scan::scan(&locked.file)?;
        for found in now.iter().filter(|found| is_same(found, &wanted)) {
            if let Some(letter) = reading::copy_out(&locked.file, &spool, found, &wanted)? {
                return Ok(letter);
            }
        }
        Err(Error::gone())
    }

    /// What was remembered of a message; another program may have put other words under its number.
    pub fn cached(&mut self, index: usize) -> Option<Vec<u8>> {
        let (uid, digest) = self.key(index)?;
        self.cache()?.1.get(uid, digest)
    }

    /// Remembers something of a message.
    pub fn remember(&mut self, index: usize, octets: &[u8]) {
        let Some((uid, digest)) = self.key(index) else { return };
        if let Some((dir, cache)) = self.cache() {
            cache.put(dir, uid, digest, octets);
        }
    }

    fn key(&self, index: usize) -> Option<(u32, u64)> {
        let message = self.messages[index];
        let entry = self.entries.get(message.place as usize).filter(|_| !message.is_gone())?;
        Some((message.uid, entry.digest.value()))
    }

    fn cache(&mut self) -> Option<&mut (Dir, Cache)> {
        if self.cache.is_none() {
            let dir = Dir::open(&self.place.directory).ok()?;
            let cache = Cache::open(&dir, &self.place.beside(CACHE), self.numbers.validity).ok()?;
            self.cache = Some((dir, cache));
        }
        self.cache.as_mut()
    }

    /// Gives up what can be had again.
    pub fn rest(&mut self) {
        self.file = None;
        if let Some((dir, cache)) = self.cache.take() {
            cache.close(&dir, &self.messages);
        }
    }

    /// Changes marks; see `Selected::store`.
    pub fn store(&mut self, indices: &[u32], change: Change, by: Marks) -> Result<Vec<u32>, Error> {
        self.refuse_read_only()?;
        let Some(work) = self.begin()? else { return Ok(Vec::new()) };
        let named = self.names.len() as u32;
        let named = if named == 0 { 0 } else { u32::MAX >> (32 - named) };
        let mut changed = Vec::new();
        let mut fates = vec![Fate::Stays; work.entries.len()];
        for index in indices {
            let message = &mut self.messages[*index as usize];
            let marks = message.marks.changed(change, by, named);
            if !message.is_gone() && marks != message.marks {
                message.marks = marks;
                fates[message.place as usize] = Fate::Marked(marks);
                changed.push(*index);
            }
        }
        if !changed.is_empty() {
            self.apply(work, &fates)?;
        }
        Ok(changed)
    }

    /// Removes messages; see `Selected::expunge`.
    pub fn expunge(&mut self, which: Option<&dyn Fn(u32) -> bool>) -> Result<(), Error> {
        self.refuse_read_only()?;
        let Some(work) = self.begin()? else { return Ok(()) };
        let goes = |message: &&Summary| {
            message.marks.flags().has(Flags::DELETED)
                && which.is_none_or(|wants| wants(message.uid))
        };
        let fates = fates(&work, self.messages().iter().filter(goes));
        self.apply(work, &fates)
    }

    /// Removes messages that were moved away.
    pub(super) fn remove(&mut self, indices: &[u32]) -> Result<(), Error> {
        let Some(work) = self.begin()? else { return Ok(()) };
        let gone = indices.iter().map(|index| &self.messages[*index as usize]);
        let fates = fates(&work, gone);
        self.apply(work, &fates)
    }

    fn apply(&mut self, mut work: Work, fates: &[Fate]) -> Result<(), Error> {
        if !fates.iter().any(|fate| *fate != Fate::Stays) {
            return Ok(());
        }
        let wanted = |index: usize| {
            let marks = match fates[index] {
                Fate::Marked(marks) => Some(marks),
                Fate::Stays | Fate::Goes => None,
            };
            Want { uid: work.entries[index].facts.uid, marks, ..Want::default() }
        };
        let is_removed = |at: usize| fates[at] == Fate::Goes;
        let (file, entries, names) = (&work.locked.file, &work.entries, &self.names);
        let changes = number::changes(file, entries, work.numbers, names, is_removed, wanted)?;
        let applied = work.apply(&changes, &mut self.names);
        self.take_in(&work)?;
        applied
    }

    pub(super) fn lock_and_look(&mut self) -> Result<Work, Error> {
        self.begin()?.ok_or_else(Error::gone)
    }

    /// A message that is there, and where.
    pub(super) fn found(&self, index: usize) -> Result<(Summary, Entry), Error> {
        let message = self.messages[index];
        match message.is_gone() {
            true => Err(Error::gone()),
            false => Ok((message, self.entries[message.place as usize])),
        }
    }

    /// The number of a message, also of one that the caller does not know.
    pub(super) fn uid(&self, index: usize) -> u32 {
        self.messages[index].uid
    }

    pub(super) fn refuse_read_only(&self) -> Result<(), Error> {
        match self.is_read_only {
            true => Err(io::Error::other("it was opened for reading").into()),
            false => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.rest();
    }
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
    Marked(Marks),
}

/// These go, and the others stay.
fn fates<'a>(work: &Work, go: impl Iterator<Item = &'a Summary>) -> Vec<Fate> {
    let mut fates = vec![Fate::Stays; work.entries.len()];
    go.filter(|message| !message.is_gone())
        .for_each(|message| fates[message.place as usize] = Fate::Goes);
    fates
}
