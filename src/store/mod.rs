//! Mailboxes on disk: Maildir and mbox, shared with Dovecot, mutt and procmail while we are at work.
//!
//! Read in this order: `letter` (comes in), `mailbox` (a box opened for reading), `wire` (a message
//! with the line ends of the wire); `folders` (all mailboxes of a user), `selected` (one of them),
//! `flags`, `cache`, `watch`, `awake`. Then the formats: `maildir`, `mbox`.
//!
//! Nothing here knows a protocol or a user: the caller has become the owner of the box.

mod awake;
mod cache;
mod checksum;
mod flags;
mod folders;
mod letter;
mod mailbox;
mod maildir;
mod mbox;
mod selected;
pub mod watch;
mod window;
mod wire;

pub use awake::Awake;
pub use flags::{Change, Flags, KEYWORDS};
pub use folders::{Appending, Folder, FolderError, Folders, SpecialUse, Status};
pub use letter::{Body, Letter};
pub use mailbox::{Mailbox, Message};
pub use selected::{Changes, Copied, Selected, Summary};
pub use watch::Watch;
pub use wire::Wire;

use crate::conf::Location;
use crate::limits;
use std::io::{self, ErrorKind};
use std::time::Instant;

/// Why a mailbox could not do it.
#[derive(Debug)]
pub enum Error {
    /// The disk is full, or the owner's share of it.
    Full(io::Error),
    /// Another has held a lock for too long.
    Busy,
    /// Anything else; the next time may be better.
    Unavailable(io::Error),
}

/// A letter that is written where nobody sees it, on its way into a mailbox. Unless it is settled,
/// dropping it takes it away again.
#[derive(Debug)]
pub enum Prepared {
    /// Under `tmp/`.
    Maildir(maildir::Prepared),
    /// At the end of an mbox that is still locked.
    Mbox(mbox::Prepared),
}

/// Does all that can fail for lack of room: the letter is written and synced. Locks are waited for
/// until `deadline`.
pub fn prepare(location: &Location, letter: &Letter, deadline: Instant) -> Result<Prepared, Error> {
    match location {
        Location::Maildir(path) => maildir::prepare(path, letter).map(Prepared::Maildir),
        Location::Mbox { inbox, folders } => {
            mbox::prepare(inbox, folders, letter, deadline).map(Prepared::Mbox)
        }
    }
}

impl Prepared {
    /// Puts the letter where readers look.
    pub fn show(&mut self) -> Result<(), Error> {
        match self {
            Prepared::Maildir(prepared) => prepared.show(),
            Prepared::Mbox(_) => Ok(()),
        }
    }

    /// Makes that outlive a crash, and final.
    pub fn settle(&mut self) -> Result<(), Error> {
        match self {
            Prepared::Maildir(prepared) => prepared.settle(),
            Prepared::Mbox(prepared) => {
                prepared.settle();
                Ok(())
            }
        }
    }
}

/// Octets of a user's mailbox, folders included, as they lie on disk.
pub fn used(location: &Location) -> Result<u64, Error> {
    match location {
        Location::Maildir(path) => maildir::used(path),
        Location::Mbox { inbox, folders } => mbox::used(inbox, folders),
    }
}

/// Room for a message of so many octets, and one more. Careful: the size of a file is whatever its
/// owner says, and memory that cannot be had would end the process.
fn room_for(octets: u64) -> Result<Vec<u8>, Error> {
    if octets > limits::MESSAGE_IN_MEMORY {
        return Err(Error::Unavailable(ErrorKind::FileTooLarge.into()));
    }
    let mut room = Vec::new();
    let reserved = room.try_reserve_exact(octets as usize + 1);
    reserved.map_err(|_| Error::Unavailable(ErrorKind::OutOfMemory.into()))?;
    Ok(room)
}

const REMOVED: ErrorKind = ErrorKind::StaleNetworkFileHandle;

/// What `is_removed_mailbox` tells of.
fn removed_mailbox() -> io::Error {
    io::Error::new(REMOVED, "the mailbox was removed, or numbered anew")
}

impl Error {
    /// Whether it is about a message that another program took away.
    pub fn is_gone(&self) -> bool {
        matches!(self, Error::Unavailable(error) if error.kind() == ErrorKind::NotFound)
    }

    /// Whether the mailbox itself was removed, or another stands in its place.
    pub fn is_removed_mailbox(&self) -> bool {
        matches!(self, Error::Unavailable(error) if error.kind() == REMOVED)
    }

    /// Whether it is about a message that is too large to be held in memory.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Error::Unavailable(error) if error.kind() == ErrorKind::FileTooLarge)
    }

    /// Whether it is about keywords for which the mailbox has no room.
    pub fn is_too_many_keywords(&self) -> bool {
        matches!(self, Error::Unavailable(error) if error.kind() == ErrorKind::ArgumentListTooLong)
    }

    fn too_many_keywords() -> Error {
        Error::Unavailable(ErrorKind::ArgumentListTooLong.into())
    }

    fn gone() -> Error {
        Error::Unavailable(ErrorKind::NotFound.into())
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Full(error),
            _ => Error::Unavailable(error),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Full(error) => write!(f, "no room in the mailbox: {error}"),
            Error::Busy => write!(f, "another program holds the lock of the mailbox"),
            Error::Unavailable(error) => write!(f, "the mailbox cannot be used: {error}"),
        }
    }
}
