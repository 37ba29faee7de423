//! The mailboxes of one user: RFC 3501 §5.1, §6.3; what they are for: RFC 6154.
//!
//! Names are UTF-8, levels are divided by `/`, and INBOX is the inbox in any case. A level that is
//! there only because others are below it can be listed and not selected. What must be remembered
//! beside the mailboxes stands in files of Dovecot where it has one.

use super::{Error, Flags, Letter, Selected, maildir, mbox};
use crate::conf::Location;
use std::io;

/// What a mailbox is for: RFC 6154 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialUse {
    /// Mail that is kept.
    Archive,
    /// Letters that are not finished.
    Drafts,
    /// Mail that nobody asked for.
    Junk,
    /// Copies of what was sent.
    Sent,
    /// Mail that is to go.
    Trash,
}

impl SpecialUse {
    /// Each with the name that such a mailbox has by convention.
    pub const ALL: [(SpecialUse, &str); 5] = [
        (SpecialUse::Archive, "Archive"),
        (SpecialUse::Drafts, "Drafts"),
        (SpecialUse::Junk, "Junk"),
        (SpecialUse::Sent, "Sent"),
        (SpecialUse::Trash, "Trash"),
    ];

    /// The name by convention.
    pub fn name(self) -> &'static str {
        SpecialUse::ALL.iter().find(|(use_, _)| *use_ == self).map_or("", |(_, name)| name)
    }

    pub(super) fn of_name(name: &str) -> Option<SpecialUse> {
        SpecialUse::ALL.iter().find(|(_, other)| *other == name).map(|(use_, _)| *use_)
    }
}

/// A mailbox by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its whole name.
    pub name: String,
    /// Whether there is more to it than the name.
    pub selectable: bool,
    /// Whether there can be others below it.
    pub holds: bool,
    /// What it is for.
    pub use_: Option<SpecialUse>,
}

/// What STATUS tells: RFC 3501 §6.3.10, RFC 9051 §6.3.11.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Messages in all.
    pub messages: u32,
    /// Those that no session has seen.
    pub recent: u32,
    /// The next UID, or one below it.
    pub uid_next: u32,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// Those that nobody has read.
    pub unseen: u32,
    /// Those that go with the next EXPUNGE.
    pub deleted: u32,
    /// Octets in wire form, where that is known; see `Folders::octets`.
    pub octets: Option<u64>,
}

/// Why something could not be done with a mailbox.
#[derive(Debug)]
pub enum FolderError {
    /// There is one of that name.
    Exists,
    /// There is none.
    Missing,
    /// There can be none of that name.
    Invalid(&'static str),
    /// There are others below it.
    HasChildren,
    /// The disk says no.
    Store(Error),
}

impl From<Error> for FolderError {
    fn from(error: Error) -> FolderError {
        FolderError::Store(error)
    }
}

impl From<io::Error> for FolderError {
    fn from(error: io::Error) -> FolderError {
        FolderError::Store(error.into())
    }
}

impl std::fmt::Display for FolderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FolderError::Exists => f.write_str("the mailbox exists"),
            FolderError::Missing => f.write_str("there is no such mailbox"),
            FolderError::HasChildren => f.write_str("there are mailboxes below it"),
            FolderError::Invalid(why) => f.write_str(why),
            FolderError::Store(error) => error.fmt(f),
        }
    }
}

/// The mailboxes of a user.
#[derive(Clone, Debug)]
pub enum Folders {
    /// Maildir++.
    Maildir(maildir::Tree),
    /// One file each.
    Mbox(mbox::Tree),
}

impl Folders {
    /// Of a user whose mail is at a location.
    pub fn of(location: &Location) -> Folders {
        match location {
            Location::Maildir(path) => Folders::Maildir(maildir::Tree::new(path)),
            Location::Mbox { inbox, folders } => Folders::Mbox(mbox::Tree::new(inbox, folders)),
        }
    }

    /// All of them, INBOX first, the others sorted, each below its parents.
    pub fn list(&self) -> Result<Vec<Folder>, FolderError> {
        match self {
            Folders::Maildir(tree) => tree.list(),
            Folders::Mbox(tree) => tree.list(),
        }
    }

    /// Whether there is a mailbox of that name that can be selected.
    pub fn exists(&self, name: &str) -> Result<bool, FolderError> {
        match self {
            Folders::Maildir(tree) => tree.exists(name),
            Folders::Mbox(tree) => tree.exists(name),
        }
    }

    /// The names that the user subscribed to, sorted, whether or not there are such mailboxes.
    pub fn subscriptions(&self) -> Result<Vec<String>, FolderError> {
        match self {
            Folders::Maildir(tree) => tree.subscriptions(),
            Folders::Mbox(tree) => tree.subscriptions(),
        }
    }

    /// Subscribes to a name.
    pub fn subscribe(&self, name: &str) -> Result<(), FolderError> {
        match self {
            Folders::Maildir(tree) => tree.subscribe(name, true),
            Folders::Mbox(tree) => tree.subscribe(name, true),
        }
    }

    /// Takes a name back; `Missing` if it was not subscribed to.
    pub fn unsubscribe(&self, name: &str) -> Result<(), FolderError> {
        match self {
            Folders::Maildir(tree) => tree.subscribe(name, false),
            Folders::Mbox(tree) => tree.subscribe(name, false),
        }
    }

    /// Makes a mailbox. Its UIDVALIDITY is one that this user never had. With a delimiter at its
    /// end the name says that others will come below it: RFC 3501 §6.3.3.
    pub fn create(&self, name: &str, use_: Option<SpecialUse>) -> Result<(), FolderError> {
        match self {
            Folders::Maildir(tree) => tree.create(name.strip_suffix('/').unwrap_or(name), use_),
            Folders::Mbox(tree) => tree.create(name, use_),
        }
    }

    /// Removes a mailbox with all its messages, not those below it (RFC 3501 §6.3.4).
    pub fn delete(&self, name: &str) -> Result<(), FolderError> {
        match self {
            Folders::Maildir(tree) => tree.delete(name),
            Folders::Mbox(tree) => tree.delete(name),
        }
    }

    /// Renames a mailbox and those below it; of INBOX the messages move (RFC 3501 §6.3.5).
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FolderError> {
        match self {
            Folders::Maildir(tree) => tree.rename(from, to),
            Folders::Mbox(tree) => tree.rename(from, to),
        }
    }

    /// Counts without reading messages.
    pub fn status(&self, name: &str) -> Result<Status, FolderError> {
        match self {
            Folders::Maildir(tree) => tree.status(name),
            Folders::Mbox(tree) => tree.status(name),
        }
    }

    /// The octets of a mailbox in wire form; reads messages that nobody ever counted.
    pub fn octets(&self, name: &str) -> Result<u64, FolderError> {
        let mut selected = self.open(name, true)?;
        let mut sum = 0;
        for index in 0..selected.messages().len() {
            sum += match selected.octets(index) {
                Err(error) if error.is_gone() => 0,
                octets => octets?,
            };
        }
        Ok(sum)
    }

    /// Selects a mailbox.
    pub fn open(&self, name: &str, read_only: bool) -> Result<Selected, FolderError> {
        match self {
            Folders::Maildir(tree) => tree.open(name, read_only).map(Selected::Maildir),
            Folders::Mbox(tree) => tree.open(name, read_only).map(Selected::Mbox),
        }
    }

    /// Writes a letter for a mailbox, synced, where nobody sees it; `date` is in seconds since
    /// 1970, now where there is none. Dropping it takes it away.
    pub fn prepare_append(
        &self,
        name: &str,
        letter: &Letter,
        flags: Flags,
        keywords: &[String],
        date: Option<i64>,
    ) -> Result<Appending, FolderError> {
        match self {
            Folders::Maildir(tree) => {
                let path = tree.path(name)?;
                let letter = maildir::prepare_append(&path, letter, flags, keywords, date)?;
                Ok(Appending::Maildir(letter))
            }
            Folders::Mbox(tree) => {
                let place = tree.place(name)?;
                let letter = mbox::prepare_append(place, letter, flags, keywords, date)?;
                Ok(Appending::Mbox(letter))
            }
        }
    }

    /// Puts letters that were written for one mailbox into it, all of them or none. Returns its
    /// UIDVALIDITY and their UIDs.
    pub fn commit_append(&self, letters: Vec<Appending>) -> Result<(u32, Vec<u32>), FolderError> {
        let (mut files, mut parts) = (Vec::new(), Vec::new());
        for letter in letters {
            match letter {
                Appending::Maildir(letter) => files.push(letter),
                Appending::Mbox(letter) => parts.push(letter),
            }
        }
        match self {
            Folders::Maildir(_) => Ok(maildir::commit_append(files)?),
            Folders::Mbox(_) => Ok(mbox::commit_append(&parts)?),
        }
    }
}

/// A letter written for a mailbox; see `Folders::prepare_append`.
#[derive(Debug)]
pub enum Appending {
    /// In `tmp`.
    Maildir(maildir::Appending),
    /// In a file without a name.
    Mbox(mbox::Appending),
}
