//! A mailbox that a session has selected: its messages by sequence number, their flags, and what
//! other programs do to them meanwhile.
//!
//! A message keeps its index until `refresh` tells that it is gone: one that another program took
//! away stays as a ghost, whose content nobody can read, for as long as the caller is not allowed
//! to say so (RFC 3501 §7.4.1). What changed on disk is looked for at each step, cheaply where
//! nothing did; correctness depends on no lock and no notice. Whatever is changed is synced.

use super::flags::{Change, Flags, Marks};
use super::{Error, FolderError, Wire, maildir, mbox};
use std::path::PathBuf;

/// What a session keeps of a message: 32 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its number in the mailbox, for ever.
    pub uid: u32,
    pub(super) marks: Marks,
    /// In wire form, or UNKNOWN.
    pub(super) octets: u64,
    /// Seconds since 1970, or UNDATED.
    pub(super) date: i64,
    /// Where the format finds it.
    pub(super) place: u32,
    pub(super) length: u8,
    pub(super) state: u8,
}

/// Octets not counted yet.
pub(super) const UNKNOWN: u64 = u64::MAX;
/// A date not asked for yet.
pub(super) const UNDATED: i64 = i64::MIN;

/// States that all formats have: this session saw it first.
pub(super) const RECENT: u8 = 1;
/// It is gone, and the caller was not told.
pub(super) const GONE: u8 = 2;
/// Its flags were changed by another, and the caller was not told.
pub(super) const CHANGED: u8 = 4;

impl Summary {
    /// Its flags.
    pub fn flags(&self) -> Flags {
        let recent = if self.is(RECENT) { Flags::RECENT } else { Flags::NONE };
        self.marks.flags() | recent
    }

    /// Its keywords, a bit each; `Selected::keywords` names them.
    pub fn keywords(&self) -> u32 {
        self.marks.keywords()
    }

    /// Whether it is a ghost.
    pub fn is_gone(&self) -> bool {
        self.is(GONE)
    }

    pub(super) fn is(&self, state: u8) -> bool {
        self.state & state != 0
    }

    pub(super) fn put(&mut self, state: u8, is_so: bool) {
        self.state = if is_so { self.state | state } else { self.state & !state };
    }
}

/// What is new to the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Sequence numbers of messages that are gone, each as it is when its turn comes.
    pub expunged: Vec<u32>,
    /// How many messages there are, where some came.
    pub exists: Option<u32>,
    /// How many are recent.
    pub recent: u32,
    /// Sequence numbers of those whose flags or keywords another changed, after all that.
    pub flags: Vec<u32>,
    /// Whether keywords got names.
    pub keywords: bool,
}

/// Where copies are now: the UIDVALIDITY of the mailbox, then each message's UID before and
/// after, in the order asked for.
pub type Copied = (u32, Vec<(u32, u32)>);

/// A mailbox, selected. Dropping it keeps what was learned for the next.
// There is one for a connection, and it is not moved about.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Selected {
    /// One file a message.
    Maildir(maildir::Session),
    /// One file for all.
    Mbox(mbox::Session),
}

impl Selected {
    /// The messages that the caller was told of, UIDs rising. The sequence number of each is its
    /// index and one.
    pub fn messages(&self) -> &[Summary] {
        match self {
            Selected::Maildir(session) => session.messages(),
            Selected::Mbox(session) => session.messages(),
        }
    }

    /// UIDVALIDITY, never 0.
    pub fn uid_validity(&self) -> u32 {
        match self {
            Selected::Maildir(session) => session.uid_validity(),
            Selected::Mbox(session) => session.uid_validity(),
        }
    }

    /// The UID that the next message will have, or one below it.
    pub fn uid_next(&self) -> u32 {
        match self {
            Selected::Maildir(session) => session.uid_next(),
            Selected::Mbox(session) => session.uid_next(),
        }
    }

    /// How many messages are recent.
    pub fn recent(&self) -> u32 {
        self.messages().iter().filter(|message| message.is(RECENT)).count() as u32
    }

    /// The keywords of this mailbox by their bits; an empty one has no name.
    pub fn keywords(&self) -> &[String] {
        match self {
            Selected::Maildir(session) => session.keywords(),
            Selected::Mbox(session) => session.keywords(),
        }
    }

    /// Whether there is room for no further keyword.
    pub fn is_full_of_keywords(&self) -> bool {
        self.keywords().len() >= super::flags::KEYWORDS
    }

    /// The bit of a keyword, in any case. `make` gives it one if need be, of which the next refresh
    /// tells nothing: the caller knows. `None` where it has none and there is no room.
    pub fn keyword(&mut self, name: &str, make: bool) -> Result<Option<u32>, Error> {
        match self {
            Selected::Maildir(session) => session.keyword(name, make),
            Selected::Mbox(session) => Ok(session.keyword(name, make)),
        }
    }

    /// Looks for what is new; cheap where nothing is. Only with `may_expunge` are messages taken
    /// out, and are sequence numbers others.
    pub fn refresh(&mut self, may_expunge: bool) -> Result<Changes, Error> {
        match self {
            Selected::Maildir(session) => session.refresh(may_expunge),
            Selected::Mbox(session) => session.refresh(may_expunge),
        }
    }

    /// Gives messages, descriptors and buffers back while the session is idle. Tells whether it
    /// should look again soon, as it cannot be sure of what it saw. Before anything else a `refresh`
    /// is needed.
    pub fn rest(&mut self) -> bool {
        match self {
            Selected::Maildir(session) => session.rest(),
            Selected::Mbox(session) => {
                session.rest();
                false
            }
        }
    }

    /// Whether the messages are put away, which only a `refresh` changes.
    pub fn is_at_rest(&self) -> bool {
        match self {
            Selected::Maildir(session) => session.is_at_rest(),
            Selected::Mbox(_) => false,
        }
    }

    /// Whether a session that rests would find nothing new.
    pub fn is_quiet(&mut self) -> bool {
        match self {
            Selected::Maildir(session) => session.is_quiet(),
            Selected::Mbox(_) => false,
        }
    }

    /// Octets of the message at an index, in wire form. Read only where nobody ever counted them.
    pub fn octets(&mut self, index: usize) -> Result<u64, Error> {
        match self {
            Selected::Maildir(session) => session.octets(index),
            Selected::Mbox(session) => Ok(session.messages()[index].octets),
        }
    }

    /// When the message at an index came: seconds since 1970.
    pub fn date(&mut self, index: usize) -> Result<i64, Error> {
        match self {
            Selected::Maildir(session) => session.date(index),
            Selected::Mbox(session) => Ok(session.messages()[index].date),
        }
    }

    /// Opens the message at an index to be read in wire form.
    pub fn read(&mut self, index: usize) -> Result<Wire, Error> {
        match self {
            Selected::Maildir(session) => session.read(index),
            Selected::Mbox(session) => session.read(index),
        }
    }

    /// The message at an index as it lies on disk; `Error::is_too_large` for a giant.
    pub fn raw(&mut self, index: usize) -> Result<Vec<u8>, Error> {
        match self {
            Selected::Maildir(session) => session.raw(index),
            Selected::Mbox(session) => session.raw(index),
        }
    }

    /// What `remember` was told of the message at an index, by this session or another.
    pub fn cached(&mut self, index: usize) -> Option<Vec<u8>> {
        match self {
            Selected::Maildir(session) => session.cached(index),
            Selected::Mbox(session) => session.cached(index),
        }
    }

    /// Remembers something that was worked out of the message at an index, for all sessions and
    /// for as long as the message is there; or not, where there is no room.
    pub fn remember(&mut self, index: usize, octets: &[u8]) {
        match self {
            Selected::Maildir(session) => session.remember(index, octets),
            Selected::Mbox(session) => session.remember(index, octets),
        }
    }

    /// Changes flags and keywords of the messages at these indices, and tells which it changed.
    /// Ghosts are left alone.
    pub fn store(
        &mut self,
        indices: &[u32],
        change: Change,
        flags: Flags,
        keywords: u32,
    ) -> Result<Vec<u32>, Error> {
        match self {
            Selected::Maildir(session) => {
                session.store(indices, change, Marks::of(flags, keywords))
            }
            Selected::Mbox(session) => session.store(indices, change, Marks::of(flags, keywords)),
        }
    }

    /// Removes the messages marked as deleted, those only whose UIDs `which` wants; the next
    /// refresh tells.
    pub fn expunge(&mut self, which: Option<&dyn Fn(u32) -> bool>) -> Result<(), Error> {
        match self {
            Selected::Maildir(session) => session.expunge(which),
            Selected::Mbox(session) => session.expunge(which),
        }
    }

    /// Copies messages into a mailbox, all of them or none; flags, keywords and dates are kept.
    pub fn copy(&mut self, indices: &[u32], to: &str) -> Result<Copied, FolderError> {
        match self {
            Selected::Maildir(session) => session.copy(indices, to),
            Selected::Mbox(session) => session.copy(indices, to),
        }
    }

    /// Moves messages into a mailbox, all of them or none; the next refresh tells that they are
    /// gone from here.
    pub fn move_to(&mut self, indices: &[u32], to: &str) -> Result<Copied, FolderError> {
        match self {
            Selected::Maildir(session) => session.move_to(indices, to),
            Selected::Mbox(session) => session.move_to(indices, to),
        }
    }

    /// The directories that change when the mailbox does.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        match self {
            Selected::Maildir(session) => session.directories(),
            Selected::Mbox(session) => session.directories(),
        }
    }
}
