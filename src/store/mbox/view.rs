//! An mbox opened for reading.
//!
//! It is locked, read once, numbered, and unlocked. Each later step locks it again and finds its
//! message by UID and digest, wherever other programs have moved it: what it hands out is what it
//! counted, or nothing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::{Error, Message, Wire};
use super::lock::{self, Locked};
use super::number::{self, Want, is_same};
use super::scan::{self, Entry};
use super::state::State;
use super::{reading, rewrite};
use crate::sys;

/// How long we wait for other programs.
const PATIENCE: Duration = Duration::from_secs(30);

/// An mbox, open.
#[derive(Debug)]
pub struct View {
    inbox: PathBuf,
    folders: PathBuf,
    /// UIDVALIDITY, and the lock against other sessions.
    state: State,
    messages: Vec<Message>,
    /// Where they were, with their UIDs, rising.
    entries: Vec<Entry>,
}

impl View {
    /// Opens an mbox for the only one of those who open it so. Deliveries go on.
    pub fn open_exclusive(inbox: &Path, folders: &Path) -> Result<View, Error> {
        let state = State::open(folders, true)?
            .ok_or_else(|| Error::Unavailable(ErrorKind::NotFound.into()))?;
        if !sys::lock::try_exclusive(&state.file)? {
            return Err(Error::Busy);
        }
        let mut view = View {
            inbox: inbox.into(),
            folders: folders.into(),
            state,
            messages: Vec::new(),
            entries: Vec::new(),
        };
        let Some(mut locked) = view.lock()? else {
            return Ok(view);
        };
        view.entries = view.numbered(&mut locked)?;
        let octets = view.entries.iter().map(|entry| (entry.facts.uid, entry.octets));
        let messages = octets.enumerate();
        view.messages =
            messages.map(|(index, (uid, octets))| Message::new(uid, octets, index)).collect();
        Ok(view)
    }

    /// Locks the mbox; `None` where there is none.
    fn lock(&mut self) -> Result<Option<Locked>, Error> {
        let Some(mut locked) = lock::lock(&self.inbox, Instant::now() + PATIENCE, false)? else {
            return Ok(None);
        };
        self.state.read()?;
        rewrite::repair(&mut locked, &mut self.state)?;
        Ok(Some(locked))
    }

    /// The letters, each with a UID; those that have none get one written.
    fn numbered(&mut self, locked: &mut Locked) -> Result<Vec<Entry>, Error> {
        let mut entries = scan::scan(&locked.file)?;
        let (numbers, uids) = number::number(&self.state, &entries);
        if number::is_current(&self.state, &entries, numbers, &uids) {
            return Ok(letters(entries));
        }
        let wanted = |index: usize| Want { uid: uids[index], ..Want::default() };
        let changes = number::changes(&locked.file, &entries, numbers, &[], |_| false, wanted)?;
        // Careful: a number that may be in the file is never given again.
        (self.state.validity, self.state.last) = (numbers.validity, numbers.last);
        let written = self.state.write(true).map_err(Error::from);
        let applied =
            written.and_then(|()| rewrite::apply(locked, &mut self.state, &entries, &changes));
        entries = scan::scan(&locked.file)?;
        match applied {
            // A full disk must not keep anybody from removing messages: the box opens without
            // those that can be given no number now.
            Err(Error::Full(error)) => {
                let (_, given) = number::number(&self.state, &entries);
                let mut given = given.into_iter();
                entries.retain(|entry| given.next() == Some(entry.facts.uid));
                let entries = letters(entries);
                if entries.is_empty() { Err(Error::Full(error)) } else { Ok(entries) }
            }
            applied => applied.map(|()| letters(entries)),
        }
    }

    /// The messages, UIDs rising.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> u32 {
        self.state.validity
    }

    /// Reads the message at an index: first into memory or a file of our own, since the client may
    /// take its time and the mbox is locked only here.
    pub fn read(&mut self, index: usize) -> Result<Wire, Error> {
        let gone = || Error::Unavailable(ErrorKind::NotFound.into());
        let locked = self.lock()?.ok_or_else(gone)?;
        let wanted = self.entries[index];
        if let Some(letter) = reading::copy_out(&locked.file, &self.folders, &wanted, &wanted)? {
            return Ok(letter.wire(wanted.octets)?);
        }
        // Something was changed before it.
        let now = scan::scan(&locked.file)?;
        for found in now.iter().filter(|found| is_same(found, &wanted)) {
            if let Some(letter) = reading::copy_out(&locked.file, &self.folders, found, &wanted)? {
                return Ok(letter.wire(wanted.octets)?);
            }
        }
        Err(gone())
    }

    /// Removes the messages at some indices for good, and marks others as seen. One that another
    /// program took away is no error.
    pub fn update(&mut self, removed: &[usize], seen: &[usize]) -> Result<(), Error> {
        if removed.is_empty() && seen.is_empty() {
            return Ok(());
        }
        let Some(mut locked) = self.lock()? else {
            return Ok(());
        };
        let entries = scan::scan(&locked.file)?;
        let mut fate = vec![None; self.entries.len()];
        removed.iter().for_each(|index| fate[*index] = Some(true));
        seen.iter().for_each(|index| {
            fate[*index].get_or_insert(false);
        });
        let fates: Vec<Option<bool>> =
            entries.iter().map(|entry| fate.get_mut(self.find(entry)?)?.take()).collect();
        let (numbers, _) = number::number(&self.state, &entries);
        let wanted = |index: usize| Want {
            uid: entries[index].facts.uid,
            seen: fates[index] == Some(false) || entries[index].facts.seen,
            ..Want::default()
        };
        let is_removed = |index: usize| fates[index] == Some(true);
        let changes = number::changes(&locked.file, &entries, numbers, &[], is_removed, wanted)?;
        match rewrite::apply(&mut locked, &mut self.state, &entries, &changes) {
            // Notes need room, removals need none.
            Err(Error::Full(_)) if !removed.is_empty() && !seen.is_empty() => {
                drop(locked);
                self.update(removed, &[])
            }
            applied => applied,
        }
    }

    /// The index of what lies there now.
    fn find(&self, entry: &Entry) -> Option<usize> {
        let by_uid = self.entries.binary_search_by_key(&entry.facts.uid, |known| known.facts.uid);
        match by_uid {
            Ok(index) => is_same(entry, &self.entries[index]).then_some(index),
            Err(_) => self.entries.iter().position(|known| is_same(entry, known)),
        }
    }
}

fn letters(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.retain(Entry::is_letter);
    entries
}
