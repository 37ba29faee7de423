//! A mailbox opened for reading, in either format.
//!
//! What is open is a view: messages that come later are not in it, and one that another program
//! took away is found out when it is read. Nothing is changed but by `update`, but that an mbox
//! notes the numbers of new messages when it is opened.

use std::path::Path;

use super::{Error, Wire, mbox, view};
use crate::conf::Location;

/// A message in the view.
#[derive(Debug)]
pub struct Message {
    /// Its number in the mailbox, for ever.
    pub uid: u32,
    /// Its octets in wire form.
    pub octets: u64,
    /// Where the format finds it.
    pub(super) place: u32,
    /// A unique-id that it brought from elsewhere.
    pub(super) unique_id: Option<Box<str>>,
}

impl Message {
    pub(super) fn new(uid: u32, octets: u64, place: usize) -> Message {
        Message { uid, octets, place: place as u32, unique_id: None }
    }
}

/// A mailbox, open.
#[derive(Debug)]
pub enum Mailbox {
    /// One file a message.
    Maildir(view::View),
    /// One file for all.
    Mbox(mbox::View),
}

impl Mailbox {
    /// Opens a Maildir, which is made if it is missing.
    pub fn open(maildir: &Path) -> Result<Mailbox, Error> {
        view::View::open(maildir).map(Mailbox::Maildir)
    }

    /// Opens a mailbox for the only one of those who open it so; `Error::Busy` where another was
    /// first. Deliveries and other programs go on.
    pub fn open_exclusive(location: &Location) -> Result<Mailbox, Error> {
        match location {
            Location::Maildir(maildir) => view::View::open_exclusive(maildir).map(Mailbox::Maildir),
            Location::Mbox { inbox, folders } => {
                mbox::View::open_exclusive(inbox, folders).map(Mailbox::Mbox)
            }
        }
    }

    /// The messages, UIDs rising.
    pub fn messages(&self) -> &[Message] {
        match self {
            Mailbox::Maildir(view) => view.messages(),
            Mailbox::Mbox(view) => view.messages(),
        }
    }

    /// What makes a UID unique over the life of the mailbox; 0 while it has no message.
    pub fn uid_validity(&self) -> u32 {
        match self {
            Mailbox::Maildir(view) => view.uid_validity(),
            Mailbox::Mbox(view) => view.uid_validity(),
        }
    }

    /// The unique-id of a message: eight hexadecimal digits of the UID and eight of the
    /// UIDVALIDITY, which is Dovecot's default, or what the message brought instead.
    pub fn unique_id(&self, message: &Message) -> String {
        match &message.unique_id {
            Some(given) => given.to_string(),
            None => format!("{:08x}{:08x}", message.uid, self.uid_validity()),
        }
    }

    /// Opens the message at an index to be read in wire form.
    pub fn read(&mut self, index: usize) -> Result<Wire, Error> {
        match self {
            Mailbox::Maildir(view) => view.read(index),
            Mailbox::Mbox(view) => view.read(index),
        }
    }

    /// Marks the messages at these indices as seen.
    pub fn mark_seen(&mut self, indices: &[usize]) -> Result<(), Error> {
        match self {
            Mailbox::Maildir(view) => view.mark_seen(indices),
            Mailbox::Mbox(view) => view.update(&[], indices),
        }
    }

    /// Removes the messages at these indices for good. One that another program took away is no
    /// error.
    pub fn remove(&mut self, indices: &[usize]) -> Result<(), Error> {
        match self {
            Mailbox::Maildir(view) => view.remove(indices),
            Mailbox::Mbox(view) => view.update(indices, &[]),
        }
    }

    /// Removes some messages and marks others as seen; an error is about those to be removed.
    pub fn update(&mut self, removed: &[usize], seen: &[usize]) -> Result<(), Error> {
        match self {
            Mailbox::Maildir(view) => {
                let done = view.remove(removed);
                if let Err(error) = view.mark_seen(seen) {
                    // What is read twice is no loss.
                    log::warn!("mark_seen={:?}", error.to_string());
                }
                done
            }
            // At one go, since others wait for the lock.
            Mailbox::Mbox(view) => view.update(removed, seen),
        }
    }
}
