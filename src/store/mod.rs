//! Mailboxes on disk: Maildir and mbox, shared with Dovecot, mutt and procmail while we are at work.
//!
//! Read in this order: `mailbox` (a box opened for reading), `wire` (a message with the line ends of
//! the wire). Maildir: `name` (what a file's name tells), `delivery` (a letter comes in), `maildir`
//! (the directories, and who is in them), `uidlist` and `dotlock` (the numbers that stay), `view`
//! (the box opened). Then `mbox`.
//!
//! Nothing here knows a protocol or a user: the caller has become the owner of the box.

mod delivery;
mod dotlock;
mod files;
mod mailbox;
mod maildir;
mod mbox;
mod name;
mod scan;
mod stamp;
mod uidlist;
mod view;
mod wire;

pub use delivery::{Body, Letter};
pub use mailbox::{Mailbox, Message};
pub use wire::Wire;

use crate::conf::Location;
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
    Maildir(delivery::Prepared),
    /// At the end of an mbox that is still locked.
    Mbox(mbox::Prepared),
}

/// Does all that can fail for lack of room: the letter is written and synced. Locks are waited for
/// until `deadline`.
pub fn prepare(location: &Location, letter: &Letter, deadline: Instant) -> Result<Prepared, Error> {
    match location {
        Location::Maildir(path) => delivery::prepare(path, letter).map(Prepared::Maildir),
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
