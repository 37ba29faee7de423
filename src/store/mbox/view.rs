//! An mbox opened for reading.
//!
//! It is locked, read once, numbered, and unlocked. Each later step locks it again and finds its
//! message by UID and digest, wherever other programs have moved it: what it hands out is what it
//! counted, or nothing.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::{Error, Message, Wire};
use super::field;
use super::lock::{self, Locked};
use super::message;
use super::rewrite::{self, Change};
use super::scan::{self, Entry};
use super::state::State;
use crate::limits;
use crate::sys;
use std::os::unix::fs::FileExt;

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

/// The numbers of a mailbox as its first message and `state` have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers {
    validity: u32,
    last: u32,
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
        let (numbers, uids) = self.number(&entries);
        if self.is_current(&entries, numbers, &uids) {
            return Ok(letters(entries));
        }
        let wanted = |index: usize| Want { uid: uids[index], seen: false };
        let changes = changes(&locked.file, &entries, numbers, |_| false, wanted)?;
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
                let (_, given) = self.number(&entries);
                let mut given = given.into_iter();
                entries.retain(|entry| given.next() == Some(entry.facts.uid));
                let entries = letters(entries);
                if entries.is_empty() { Err(Error::Full(error)) } else { Ok(entries) }
            }
            applied => applied.map(|()| letters(entries)),
        }
    }

    /// The UID of each entry. One that does not rise, or is beyond what was ever given, is no
    /// number of ours: such a message gets a new one.
    fn number(&self, entries: &[Entry]) -> (Numbers, Vec<u32>) {
        let State { validity, last, .. } = self.state;
        let mut numbers = match entries.first().and_then(|first| first.facts.base) {
            Some((same, theirs)) if same == validity => {
                Numbers { validity, last: last.max(theirs) }
            }
            Some((validity, last)) => Numbers { validity, last },
            None if validity > 0 => Numbers { validity, last },
            None => Numbers { validity: (sys::clock::micros() / 1_000_000) as u32, last: 0 },
        };
        let mut before = 0;
        let uids = entries.iter().map(|entry| {
            let uid = entry.facts.uid;
            match uid > before && uid <= numbers.last {
                _ if !entry.is_letter() => return 0,
                true => before = uid,
                false => {
                    numbers.last += 1;
                    before = numbers.last;
                }
            }
            before
        });
        let uids = uids.collect();
        (numbers, uids)
    }

    /// Whether nothing is to be written.
    fn is_current(&self, entries: &[Entry], numbers: Numbers, uids: &[u32]) -> bool {
        let base = entries.first().map(|first| first.facts.base);
        let same = |(entry, uid): (&Entry, &u32)| !entry.is_letter() || entry.facts.uid == *uid;
        base.is_none_or(|base| base.is_some_and(|(validity, _)| validity == numbers.validity))
            && (self.state.validity, self.state.last) == (numbers.validity, numbers.last)
            && entries.iter().zip(uids).all(same)
            && !entries.iter().any(|entry| entry.facts.is_incomplete)
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
        if let Some(wire) = self.copy_out(&locked, &wanted, &wanted)? {
            return Ok(wire);
        }
        // Something was changed before it.
        let now = scan::scan(&locked.file)?;
        for found in now.iter().filter(|found| is_same(found, &wanted)) {
            if let Some(wire) = self.copy_out(&locked, found, &wanted)? {
                return Ok(wire);
            }
        }
        Err(gone())
    }

    /// The message that lies at `place`, if it is `wanted`.
    fn copy_out(
        &self,
        locked: &Locked,
        place: &Entry,
        wanted: &Entry,
    ) -> Result<Option<Wire>, Error> {
        let mut letter: Letter = match wanted.octets as usize <= limits::LETTER_IN_MEMORY {
            true => Letter::Memory(Cursor::new(Vec::with_capacity(wanted.length as usize))),
            false => Letter::File(sys::file::nameless(&self.folders)?),
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
        let (numbers, _) = self.number(&entries);
        let wanted = |index: usize| Want {
            uid: entries[index].facts.uid,
            seen: fates[index] == Some(false) || entries[index].facts.seen,
        };
        let is_removed = |index: usize| fates[index] == Some(true);
        let changes = changes(&locked.file, &entries, numbers, is_removed, wanted)?;
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

/// What a message shall note.
#[derive(Clone, Copy)]
struct Want {
    uid: u32,
    seen: bool,
}

/// Whether a message found now is one that we know. mutt may have lost its UID.
fn is_same(found: &Entry, known: &Entry) -> bool {
    found.digest == known.digest && [0, known.facts.uid].contains(&found.facts.uid)
}

fn letters(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.retain(Entry::is_letter);
    entries
}

/// What has to change so that each message notes what is wanted, and the first the numbers.
fn changes(
    file: &File,
    entries: &[Entry],
    numbers: Numbers,
    is_removed: impl Fn(usize) -> bool,
    wanted: impl Fn(usize) -> Want,
) -> io::Result<Vec<Change>> {
    let mut base = Some((numbers.validity, numbers.last));
    let mut changes = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        if entry.facts.is_incomplete || is_removed(index) {
            changes.push(Change::Remove);
            continue;
        }
        let want = wanted(index);
        let base = base.take();
        let has_base = base.is_none() || entry.facts.base == base;
        let has_uid = !entry.is_letter() || entry.facts.uid == want.uid;
        if has_base && has_uid && entry.facts.seen >= want.seen {
            changes.push(Change::Keep);
            continue;
        }
        let mut head = vec![0; entry.head as usize];
        file.read_exact_at(&mut head, entry.at)?;
        changes.push(Change::Head(field::rewrite(&head, |notes| {
            notes.uid = want.uid;
            notes.base = base;
            if want.seen && entry.is_letter() {
                notes.set_seen();
            }
        })));
    }
    Ok(changes)
}
