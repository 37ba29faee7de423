//! A Maildir selected: messages by sequence number, joined again with the disk whenever that
//! changed (`join`). What changes it is in `change` and `copy`.
//!
//! A session keeps 32 octets of a message and no names: the base of a name stands in the list of
//! UIDs, which stays open, and what is behind the base follows from the marks. Names for which that
//! is not so are kept beside.

use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::cache::{self, Cache};
use super::super::checksum::checksum;
use super::super::folders::Status;
use super::super::selected::{CHANGED, Changes, RECENT, Summary, UNDATED, UNKNOWN};
use super::super::window::Window;
use super::super::{Error, Wire, removed_mailbox, room_for, wire};
use super::directories::{Maildir, Places};
use super::files::LOOKS;
use super::keywords::Keywords;
use super::listing::{self, Listing, Truth};
use super::rest::Resting;
use super::{name, uidlist};
use crate::limits;
use crate::sys::dir::{Dir, Stat};

/// States of a message in a Maildir: it lies in `new`.
pub const IN_NEW: u8 = 8;
/// Nothing stands behind the base of its name.
pub const BARE: u8 = 16;
/// Something does that marks cannot tell.
pub const ODD: u8 = 32;

/// A Maildir, selected.
#[derive(Debug)]
pub struct Session {
    /// The Maildir of the user, where the other folders are.
    pub(super) top: PathBuf,
    pub(super) path: PathBuf,
    pub(super) id: (u64, u64),
    pub(super) held: Option<Held>,
    pub(super) is_read_only: bool,
    pub(super) messages: Vec<Summary>,
    /// How many of them the caller was told of.
    pub(super) shown: usize,
    /// The highest UID there ever was.
    pub(super) highest: u32,
    /// By UID, names that are odd.
    pub(super) odd: Vec<(u32, Vec<u8>)>,
    /// Bases of files that we moved from `new` and that have no number yet.
    pub(super) arrived: Vec<Vec<u8>>,
    pub(super) uid_validity: u32,
    pub(super) uid_next: u32,
    /// When the directories were as we know them, if that is sure.
    pub(super) stamp: Option<[SystemTime; 2]>,
    pub(super) list: Option<Stat>,
    pub(super) keywords: Keywords,
    /// Whether there is something to tell, and whether that is about keywords.
    pub(super) has_news: bool,
    pub(super) has_new_keywords: bool,
    recent: u32,
    /// Whether the listing on disk lacks something.
    pub(super) has_learned: bool,
    /// Opened when it is wanted.
    cache: Option<Cache>,
    /// Where its messages are while it rests.
    pub(super) resting: Option<Resting>,
    /// Whether messages are in the box that this session does not show.
    pub(super) is_partial: bool,
}

/// What is open while the session is at work.
#[derive(Debug)]
pub struct Held {
    pub maildir: Maildir,
    pub places: Places,
    /// The list of UIDs that the messages know their places in.
    pub names: Option<Window>,
}

impl Session {
    /// Selects the folder at a path, for a user whose Maildir is at `top`.
    pub fn open(top: &Path, path: &Path, is_read_only: bool) -> Result<Session, Error> {
        let maildir = Maildir::open(path)?;
        let places = Places::open(&maildir)?;
        let keywords = Keywords::read(&maildir.root)?;
        let mut session = Session {
            top: top.into(),
            path: path.into(),
            id: maildir.root.stat_self()?.id,
            held: Some(Held { maildir, places, names: None }),
            is_read_only,
            messages: Vec::new(),
            shown: 0,
            highest: 0,
            odd: Vec::new(),
            arrived: Vec::new(),
            uid_validity: 0,
            uid_next: 0,
            stamp: None,
            list: None,
            keywords,
            has_news: false,
            has_new_keywords: false,
            recent: 0,
            has_learned: false,
            cache: None,
            resting: None,
            is_partial: false,
        };
        if !session.take_listing()? {
            session.look_first()?;
        }
        session.messages.retain_mut(|message| {
            message.put(CHANGED, false);
            message.put(RECENT, message.is(RECENT) || (is_read_only && message.is(IN_NEW)));
            !message.is_gone()
        });
        session.shown = session.messages.len();
        session.highest = session.messages.last().map_or(0, |message| message.uid);
        session.count_recent();
        session.has_news = false;
        Ok(session)
    }

    /// Takes the listing that was left, and tells whether it is true. If not, its sizes and dates
    /// are.
    fn take_listing(&mut self) -> Result<bool, Error> {
        let held = self.hold()?;
        let Some((file, list)) = uidlist::open(&held.maildir.root)? else { return Ok(false) };
        let Some(listing) = Listing::read(&held.maildir.root) else { return Ok(false) };
        let stamp = held.places.stamp()?;
        held.names = Some(Window::new(file));
        let Listing { truth, uid_validity, uid_next, messages, odd } = listing;
        let has_new = messages.iter().any(|message| message.is(IN_NEW));
        (self.messages, self.odd) = (messages, odd);
        (self.uid_validity, self.uid_next) = (uid_validity, uid_next);
        (self.stamp, self.list) = (Some(stamp), Some(list));
        Ok(truth == Truth::of(stamp, &list) && (self.is_read_only || !has_new))
    }

    /// The messages that the caller knows.
    pub fn messages(&self) -> &[Summary] {
        &self.messages[..self.shown]
    }

    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> u32 {
        self.uid_validity
    }

    /// The next UID, or one below it.
    pub fn uid_next(&self) -> u32 {
        self.uid_next
    }

    /// The names of keywords.
    pub fn keywords(&self) -> &[String] {
        &self.keywords.names
    }

    /// Tells what is new. Where that cannot be found out, what the caller knows stays as it was.
    pub fn refresh(&mut self, may_expunge: bool) -> Result<Changes, Error> {
        if let Err(error) = self.update() {
            self.wake()?;
            return Err(error);
        }
        let mut changes = Changes {
            keywords: std::mem::take(&mut self.has_new_keywords),
            recent: self.recent,
            ..Changes::default()
        };
        if !self.has_news {
            return Ok(changes);
        }
        let mut index = 0;
        let (mut shown, told) = (0, self.shown);
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
        self.has_news = false;
        for (index, message) in self.messages.iter_mut().enumerate() {
            // A ghost may come back, and is news when it goes.
            self.has_news |= message.is_gone();
            if message.is(CHANGED) && !message.is_gone() {
                message.put(CHANGED, false);
                if index < shown as usize {
                    changes.flags.push(index as u32 + 1);
                }
            }
        }
        self.count_recent();
        changes.recent = self.recent;
        Ok(changes)
    }

    fn count_recent(&mut self) {
        self.recent = self.messages.iter().filter(|message| message.is(RECENT)).count() as u32;
    }

    /// What is open, opened again if need be.
    pub(super) fn hold(&mut self) -> io::Result<&mut Held> {
        let held = match self.held.take() {
            Some(held) => held,
            None => {
                let root = Dir::open(&self.path).map_err(|error| match error.kind() {
                    ErrorKind::NotFound | ErrorKind::NotADirectory => removed_mailbox(),
                    _ => error,
                })?;
                if root.stat_self()?.id != self.id {
                    return Err(removed_mailbox());
                }
                let maildir = Maildir { root };
                let places = Places::open(&maildir)?;
                let list = uidlist::open(&maildir.root)?;
                let names = list.filter(|(_, stat)| Some(*stat) == self.list);
                let names = names.map(|(file, _)| Window::new(file));
                Held { maildir, places, names }
            }
        };
        Ok(self.held.insert(held))
    }

    /// What is open stays open under another name; this looks whether it still has its own.
    pub(super) fn is_in_place(&self) -> io::Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(data) if (data.dev(), data.ino()) == self.id => Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Err(removed_mailbox()),
        }
    }

    /// Gives up what can be had again. Before anything else a `refresh` is needed, which is worth
    /// while soon if this tells so.
    pub fn rest(&mut self) -> bool {
        self.leave_listing();
        self.close_cache();
        self.put_away();
        self.held = None;
        self.stamp.is_none()
    }

    /// Whether the messages are put away.
    pub fn is_at_rest(&self) -> bool {
        self.resting.is_some()
    }

    /// Whether a `refresh` has nothing to tell, for a session at rest.
    pub fn is_quiet(&mut self) -> bool {
        let is_quiet = self.resting.is_some()
            && self.is_current().is_ok_and(|is_current| is_current)
            && !self.has_new_keywords;
        if is_quiet {
            self.held = None;
        }
        is_quiet
    }

    pub(super) fn leave_listing(&mut self) {
        let (Some(stamp), Some(list)) = (self.stamp, self.list) else { return };
        if !self.has_learned || self.is_partial || self.resting.is_some() {
            return;
        }
        let messages = self.messages.iter().filter(|message| !message.is_gone()).copied();
        let listing = Listing {
            truth: Truth::of(stamp, &list),
            uid_validity: self.uid_validity,
            uid_next: self.uid_next,
            messages: messages.collect(),
            odd: self.odd.clone(),
        };
        if let Ok(held) = self.hold() {
            listing.leave(&held.maildir.root);
            self.has_learned = false;
        }
    }

    fn close_cache(&mut self) {
        if let (Some(cache), Some(held)) = (self.cache.take(), &self.held) {
            cache.close(&held.maildir.root, &self.messages);
        }
    }

    /// What was remembered of a message. Its name is its key, as a list of UIDs that was put back
    /// may have given its number to another before.
    pub fn cached(&mut self, index: usize) -> Option<Vec<u8>> {
        let (uid, key) = self.key(index)?;
        self.cache()?.get(uid, key)
    }

    /// Remembers something of a message.
    pub fn remember(&mut self, index: usize, octets: &[u8]) {
        let Some((uid, key)) = self.key(index) else { return };
        if self.cache().is_some()
            && let (Some(cache), Some(held)) = (&mut self.cache, &self.held)
        {
            cache.put(&held.maildir.root, uid, key, octets);
        }
    }

    fn key(&mut self, index: usize) -> Option<(u32, u64)> {
        let Summary { uid, place, length, .. } = self.messages[index];
        let names = self.hold().ok()?.names.as_mut()?;
        let base = names.get(u64::from(place), usize::from(length)).ok()?;
        Some((uid, checksum(base)))
    }

    fn cache(&mut self) -> Option<&mut Cache> {
        if self.cache.is_none() {
            let validity = self.uid_validity;
            self.cache = Cache::open(&self.hold().ok()?.maildir.root, cache::NAME, validity).ok();
        }
        self.cache.as_mut()
    }

    /// The directories that change when messages do.
    pub fn directories(&self) -> Vec<PathBuf> {
        ["new", "cur"].map(|name| self.path.join(name)).into()
    }

    /// Counts for STATUS.
    pub fn status(&self) -> Status {
        let status = listing::count(&self.messages);
        Status { uid_validity: self.uid_validity, uid_next: self.uid_next, ..status }
    }

    /// The part of a message's name that never changes.
    pub(super) fn base(&mut self, index: usize) -> io::Result<Vec<u8>> {
        let Summary { place, length, .. } = self.messages[index];
        let not_found = || io::Error::from(ErrorKind::NotFound);
        let names = self.hold()?.names.as_mut().ok_or_else(not_found)?;
        let base = names.get(u64::from(place), usize::from(length))?;
        let is_name = base.len() == usize::from(length) && !base.contains(&b'/');
        is_name.then(|| base.to_vec()).ok_or_else(not_found)
    }

    /// The name of a message's file.
    pub(super) fn name(&mut self, index: usize) -> io::Result<Vec<u8>> {
        let message = self.messages[index];
        if message.is(ODD)
            && let Ok(at) = self.odd.binary_search_by_key(&message.uid, |(uid, _)| *uid)
        {
            return Ok(self.odd[at].1.clone());
        }
        let base = self.base(index)?;
        Ok(if message.is(BARE) { base } else { name::with_marks(&base, message.marks) })
    }

    /// Does something with the file of a message, where it is now.
    pub(super) fn at<T>(
        &mut self,
        index: usize,
        act: impl Fn(&Dir, &[u8]) -> io::Result<T>,
    ) -> Result<T, Error> {
        for _ in 0..=LOOKS {
            let message = self.messages[index];
            if message.is_gone() {
                break;
            }
            let done = self.name(index).and_then(|name| {
                let held = self.hold()?;
                act(held.places.of(message.is(IN_NEW)), &name)
            });
            match done {
                Err(error) if error.kind() == ErrorKind::NotFound => self.look(false)?,
                done => return Ok(done?),
            }
        }
        Err(Error::gone())
    }

    /// Octets in wire form.
    pub fn octets(&mut self, index: usize) -> Result<u64, Error> {
        if self.messages[index].octets == UNKNOWN {
            let mut file = self.at(index, |dir, name| dir.open_file(name))?;
            self.messages[index].octets = wire::measure(&mut file)?.octets;
            self.has_learned = true;
        }
        Ok(self.messages[index].octets)
    }

    /// When the message came.
    pub fn date(&mut self, index: usize) -> Result<i64, Error> {
        if self.messages[index].date == UNDATED {
            let stat = self.at(index, |dir, name| dir.stat(name))?;
            let seconds = |since: Duration| i64::try_from(since.as_secs()).unwrap_or(0);
            self.messages[index].date = match stat.mtime.duration_since(UNIX_EPOCH) {
                Ok(since) => seconds(since),
                Err(before) => -seconds(before.duration()),
            };
            self.has_learned = true;
        }
        Ok(self.messages[index].date)
    }

    /// Opens a message to be read in wire form.
    pub fn read(&mut self, index: usize) -> Result<Wire, Error> {
        let file = self.at(index, |dir, name| dir.open_file(name))?;
        Ok(Wire::new(file, self.messages[index].octets.min(1 << 40)))
    }

    /// A message as it lies on disk.
    pub fn raw(&mut self, index: usize) -> Result<Vec<u8>, Error> {
        let file = self.at(index, |dir, name| dir.open_file(name))?;
        let mut octets = room_for(Stat::of_file(&file)?.size)?;
        file.take(limits::MESSAGE_IN_MEMORY).read_to_end(&mut octets)?;
        Ok(octets)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave_listing();
        self.close_cache();
    }
}
