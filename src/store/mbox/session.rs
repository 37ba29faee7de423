//! An mbox selected: messages by sequence number, joined again with the file whenever that changed.
//!
//! Each step locks the file, reads it, numbers what is new, and unlocks: no lock is held while a
//! client is waited for. Between steps only what the file says of itself is asked.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::super::flags::{Change, Flags, Marks};
use super::super::folders::Status;
use super::super::selected::{CHANGED, Changes, GONE, RECENT, Summary};
use super::super::{Error, Wire, removed_mailbox, room_for};
use super::field;
use super::folders::{Place, Tree};
use super::lock::Locked;
use super::number::{self, Numbers, Want, is_same};
use super::scan::{self, Entry};
use super::state::State;
use super::{message, reading, rewrite};
use crate::sys;
use crate::sys::dir::{Dir, Stat};

/// A file that changed less than this ago may change again unseen.
const TICK: Duration = Duration::from_millis(20);

/// An mbox, selected.
#[derive(Debug)]
pub struct Session {
    pub(super) tree: Tree,
    pub(super) place: Place,
    pub(super) is_read_only: bool,
    messages: Vec<Summary>,
    /// Where each lay when the file was last read.
    pub(super) entries: Vec<Entry>,
    /// How many of them the caller was told of.
    shown: usize,
    highest: u32,
    numbers: Numbers,
    names: Vec<String>,
    told_names: usize,
    has_news: bool,
    /// The file as it was last read, if it is sure that it can be told from a later one.
    stamp: Option<Stat>,
}

/// The file, locked and read.
#[derive(Debug)]
pub struct Work {
    pub locked: Locked,
    pub state: State,
    pub entries: Vec<Entry>,
    pub numbers: Numbers,
    /// UIDs of those that nobody had seen.
    pub recent: Vec<u32>,
}

impl Work {
    /// Locks an mbox and numbers its messages; `None` where there is none. `more` numbers are
    /// kept for messages to come, `names` are those of keywords.
    pub fn begin(
        place: &Place,
        names: &mut Vec<String>,
        (takes_recent, more): (bool, u32),
        make: bool,
    ) -> Result<Option<Work>, Error> {
        let Some((mut locked, mut state)) = place.lock(make)? else { return Ok(None) };
        let mut entries = scan::scan_named(&locked.file, names)?;
        let (mut numbers, uids) = number::number(&state, &entries);
        let is_new = |entry: &Entry| entry.is_letter() && !entry.facts.old;
        let fresh = entries.iter().zip(&uids).filter(|(entry, _)| is_new(entry));
        let recent: Vec<u32> = fresh.map(|(_, uid)| *uid).collect();
        let is_current = number::is_current(&state, &entries, numbers, &uids);
        if is_current && more == 0 && (recent.is_empty() || !takes_recent) {
            return Ok(Some(Work { locked, state, entries, numbers, recent }));
        }
        numbers.last += more;
        let wanted = |index: usize| Want { uid: uids[index], old: takes_recent, ..Want::default() };
        let listed: &[String] = if more > 0 { names } else { &[] };
        let changes = number::changes(&locked.file, &entries, numbers, listed, |_| false, wanted)?;
        // Careful: a number that may be in the file is never given again.
        (state.validity, state.last) = (numbers.validity, numbers.last);
        let written = state.write(true).map_err(Error::from);
        let applied =
            written.and_then(|()| rewrite::apply(&mut locked, &mut state, &entries, &changes));
        entries = scan::scan_named(&locked.file, names)?;
        match applied {
            // A full disk must not keep anybody from reading what has numbers.
            Err(Error::Full(error)) if more > 0 => return Err(Error::Full(error)),
            Err(Error::Full(_)) => {
                let (_, given) = number::number(&state, &entries);
                let mut given = given.into_iter();
                entries.retain(|entry| given.next() == Some(entry.facts.uid));
            }
            applied => applied?,
        }
        Ok(Some(Work { locked, state, entries, numbers, recent }))
    }
}

impl Session {
    /// Selects an mbox.
    pub fn open(tree: &Tree, place: Place, is_read_only: bool) -> Result<Session, Error> {
        let mut session = Session {
            tree: tree.clone(),
            place,
            is_read_only,
            messages: Vec::new(),
            entries: Vec::new(),
            shown: 0,
            highest: 0,
            numbers: Numbers { validity: 0, last: 0 },
            names: Vec::new(),
            told_names: 0,
            has_news: false,
            stamp: None,
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
        match self.place.stat()? {
            Some(stat) if self.stamp == Some(stat) => Ok(()),
            _ => self.begin().map(drop),
        }
    }

    /// Locks the file, reads it, and takes in what is there.
    fn begin(&mut self) -> Result<Option<Work>, Error> {
        let takes = !self.is_read_only;
        let work = Work::begin(&self.place, &mut self.names, (takes, 0), false)?;
        match &work {
            Some(work) => self.take_in(work)?,
            None => {
                let numbers = self.place.numbers_of_none()?;
                self.join(numbers, &[], &[])?;
            }
        }
        Ok(work)
    }

    fn take_in(&mut self, work: &Work) -> Result<(), Error> {
        self.join(work.numbers, &work.entries, &work.recent)?;
        let stat = Stat::of_file(&work.locked.file)?;
        let age = SystemTime::now().duration_since(stat.mtime).unwrap_or_default();
        self.stamp = (age > TICK).then_some(stat);
        Ok(())
    }

    /// Puts what was found beside what is known; UIDs rise in both.
    fn join(&mut self, numbers: Numbers, found: &[Entry], recent: &[u32]) -> Result<(), Error> {
        if ![0, numbers.validity].contains(&self.numbers.validity) {
            return Err(removed_mailbox().into());
        }
        self.numbers = numbers;
        self.stamp = None;
        let mut found = found.iter().filter(|entry| entry.is_letter()).peekable();
        for (message, known) in self.messages.iter_mut().zip(&mut self.entries) {
            while found.next_if(|entry| entry.facts.uid < message.uid).is_some() {}
            let same = found.next_if(|entry| entry.facts.uid == message.uid);
            match same.filter(|entry| is_same(entry, known)) {
                Some(entry) => {
                    let marks = entry.marks();
                    let is_changed = message.marks != marks;
                    message.marks = marks;
                    message.put(CHANGED, message.is(CHANGED) || is_changed);
                    self.has_news |= is_changed;
                    *known = *entry;
                }
                None => {
                    message.put(GONE, true);
                    self.has_news = true;
                }
            }
        }
        for entry in found.filter(|entry| entry.facts.uid > self.highest) {
            let uid = entry.facts.uid;
            let mut message = Summary {
                uid,
                marks: entry.marks(),
                octets: entry.octets,
                date: entry.date,
                place: 0,
                length: 0,
                state: 0,
            };
            message.put(RECENT, recent.binary_search(&uid).is_ok());
            self.messages.push(message);
            self.entries.push(*entry);
            self.has_news = true;
        }
        self.highest = self.entries.last().map_or(self.highest, |last| last.facts.uid);
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
        let mut stays = Vec::with_capacity(self.messages.len());
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
            stays.push(!goes);
            !goes
        });
        let mut stays = stays.into_iter();
        self.entries.retain(|_| stays.next() == Some(true));
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
        if self.messages[index].is_gone() {
            return Err(Error::gone());
        }
        let (locked, _) = self.place.lock(false)?.ok_or_else(Error::gone)?;
        let wanted = self.entries[index];
        let spool = self.place.spool();
        if let Some(wire) = reading::copy_out(&locked, spool, &wanted, &wanted)? {
            return Ok(wire);
        }
        // Something was changed before it.
        let now = scan::scan(&locked.file)?;
        for found in now.iter().filter(|found| is_same(found, &wanted)) {
            if let Some(wire) = reading::copy_out(&locked, spool, found, &wanted)? {
                return Ok(wire);
            }
        }
        Err(Error::gone())
    }

    /// A message as it lies on disk, without what belongs to the mailbox.
    pub fn raw(&mut self, index: usize) -> Result<Vec<u8>, Error> {
        let work = self.begin()?.ok_or_else(Error::gone)?;
        if self.messages[index].is_gone() {
            return Err(Error::gone());
        }
        let entry = self.entries[index];
        let mut octets = room_for(entry.length)?;
        message::read(&work.locked.file, entry.at, entry.end(), &mut |text| {
            octets.extend_from_slice(text);
            Ok(())
        })?;
        Ok(octets)
    }

    /// Changes marks; see `Selected::store`.
    pub fn store(&mut self, indices: &[u32], change: Change, by: Marks) -> Result<Vec<u32>, Error> {
        self.refuse_read_only()?;
        let Some(work) = self.begin()? else { return Ok(Vec::new()) };
        let named = self.names.len() as u32;
        let named = if named == 0 { 0 } else { u32::MAX >> (32 - named) };
        let mut changed = Vec::new();
        for index in indices {
            let message = &mut self.messages[*index as usize];
            let marks = message.marks.changed(change, by, named);
            if !message.is_gone() && marks != message.marks {
                message.marks = marks;
                changed.push(*index);
            }
        }
        if changed.is_empty() {
            return Ok(changed);
        }
        let marks = |session: &Session, entry: &Entry| {
            let index = session.index(entry.facts.uid)?;
            changed.contains_sorted(index as u32).then(|| session.messages[index].marks)
        };
        self.apply(work, |_, _| false, marks)?;
        Ok(changed)
    }

    /// Removes messages; see `Selected::expunge`.
    pub fn expunge(&mut self, which: Option<&dyn Fn(u32) -> bool>) -> Result<(), Error> {
        self.refuse_read_only()?;
        let Some(work) = self.begin()? else { return Ok(()) };
        let goes = |session: &Session, entry: &Entry| {
            let index = session.index(entry.facts.uid).filter(|index| *index < session.shown);
            index.is_some_and(|index| session.messages[index].marks.flags().has(Flags::DELETED))
                && which.is_none_or(|wants| wants(entry.facts.uid))
        };
        self.apply(work, goes, |_, _| None)
    }

    /// Removes messages that were moved away.
    pub(super) fn remove(&mut self, indices: &[u32]) -> Result<(), Error> {
        let Some(work) = self.begin()? else { return Ok(()) };
        let goes = |session: &Session, entry: &Entry| {
            let index = session.index(entry.facts.uid);
            index.is_some_and(|index| indices.contains_sorted(index as u32))
        };
        self.apply(work, goes, |_, _| None)
    }

    fn apply(
        &mut self,
        mut work: Work,
        goes: impl Fn(&Session, &Entry) -> bool,
        marks: impl Fn(&Session, &Entry) -> Option<Marks>,
    ) -> Result<(), Error> {
        let entries = &work.entries;
        let wanted = |index: usize| {
            let entry: &Entry = &entries[index];
            let marks = marks(self, entry).filter(|_| entry.is_letter());
            Want { uid: entry.facts.uid, marks, ..Want::default() }
        };
        let is_removed = |at: usize| entries[at].is_letter() && goes(self, &entries[at]);
        if !(0..entries.len()).any(|at| is_removed(at) || wanted(at).marks.is_some()) {
            return Ok(());
        }
        let file = &work.locked.file;
        let names = &self.names;
        let changes = number::changes(file, entries, work.numbers, names, is_removed, wanted)?;
        let applied = rewrite::apply(&mut work.locked, &mut work.state, &work.entries, &changes);
        work.entries = scan::scan_named(&work.locked.file, &mut self.names)?;
        self.take_in(&work)?;
        applied
    }

    fn index(&self, uid: u32) -> Option<usize> {
        let index = self.messages.binary_search_by_key(&uid, |message| message.uid).ok()?;
        (!self.messages[index].is_gone()).then_some(index)
    }

    /// Those too that the caller does not know.
    pub(super) fn messages_all(&self) -> &[Summary] {
        &self.messages
    }

    pub(super) fn lock_and_look(&mut self) -> Result<Work, Error> {
        self.begin()?.ok_or_else(Error::gone)
    }

    pub(super) fn refuse_read_only(&self) -> Result<(), Error> {
        match self.is_read_only {
            true => Err(io::Error::other("it was opened for reading").into()),
            false => Ok(()),
        }
    }
}

/// Indices that rise, or not.
trait Sorted {
    fn contains_sorted(&self, index: u32) -> bool;
}

impl Sorted for [u32] {
    fn contains_sorted(&self, index: u32) -> bool {
        match self.is_sorted() {
            true => self.binary_search(&index).is_ok(),
            false => self.contains(&index),
        }
    }
}

impl Place {
    /// The numbers of an INBOX that no letter has come to.
    fn numbers_of_none(&self) -> Result<Numbers, Error> {
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

    /// The file as it is, if it is there.
    fn stat(&self) -> Result<Option<Stat>, Error> {
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let parent = self.mbox.parent().and_then(|parent| std::fs::canonicalize(parent).ok());
        let (Some(parent), Some(name)) = (parent, self.mbox.file_name()) else { return Ok(None) };
        match Dir::open(&parent).and_then(|dir| dir.stat(name.as_encoded_bytes())) {
            Err(error) if gone(&error) => Ok(None),
            stat => Ok(Some(stat?)),
        }
    }

    /// Locks it, and finishes what was left half done.
    pub(super) fn lock(&self, make: bool) -> Result<Option<(Locked, State)>, Error> {
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
