//! The maildrop of a session: message-numbers, sizes, and marks that hold until QUIT.
//!
//! RFC 1939 §4: messages are numbered from 1 when it is opened, and new ones are not seen before
//! the next session. RFC 1939 §6: nothing is removed before `update`; dropped without it, the
//! maildrop is as it was.

use super::reply::{Code, Reply};
use super::session::messages;
use crate::auth::User;
use crate::conf::Location;
use crate::store::{Error, Mailbox, Message, Wire};
use crate::sys::identity::{Borrowed, borrow};
use std::fmt;
use std::io::ErrorKind;

/// Bits of a mark.
const DELETED: u8 = 1;
const RETRIEVED: u8 = 2;

/// A mailbox that is ours until the end.
#[derive(Debug)]
pub struct Maildrop {
    mailbox: Mailbox,
    /// One for each message.
    marks: Vec<u8>,
    /// RFC 1460 §5: the highest number retrieved.
    last: u32,
    /// From the login to the end, this thread is the user.
    ///
    /// Careful: the last field, so that the mailbox is closed by its owner's hand.
    _owner: Option<Borrowed>,
}

/// What a session does once it says QUIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Messages sent whole.
    pub retrieved: usize,
    /// Messages marked as deleted.
    pub deleted: usize,
    /// The others.
    pub left: usize,
}

impl Tally {
    /// What it comes to when QUIT is never said.
    pub fn without_update(self) -> Tally {
        Tally { deleted: 0, left: self.left + self.deleted, ..self }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "retrieved={} deleted={} left={}", self.retrieved, self.deleted, self.left)
    }
}

/// The place of a message in the maildrop: its number is one more.
#[derive(Clone, Copy, Debug)]
pub struct Place(usize);

impl Maildrop {
    /// RFC 1939 §4: opens a maildrop, and keeps other sessions out of it. A session that is alone
    /// in its process becomes the user for good.
    pub fn open(user: &User, alone: bool) -> Result<Maildrop, Reply> {
        let mut owner = user.account.as_ref().map(borrow).transpose().map_err(Error::from)?;
        let mailbox = Mailbox::open_exclusive(&user.mailbox).map_err(|error| match error {
            Error::Busy => {
                let text = "another session has the maildrop";
                Reply::code(Code::InUse, text).by("RFC 2449 §8.1.2")
            }
            error => error.into(),
        })?;
        if alone && let Some(owner) = owner.take() {
            owner.settle(matches!(user.mailbox, Location::Mbox { .. })).map_err(Error::from)?;
        }
        let marks = vec![0; mailbox.messages().len()];
        Ok(Maildrop { mailbox, marks, last: 0, _owner: owner })
    }

    /// The messages that are not marked as deleted: how many, and their octets.
    pub fn kept(&self) -> (usize, u64) {
        let kept = self.messages().map(|(_, place)| self.octets(place));
        kept.fold((0, 0), |(count, sum), octets| (count + 1, sum + octets))
    }

    /// The messages that are not marked as deleted, with their numbers.
    pub fn messages(&self) -> impl Iterator<Item = (u32, Place)> {
        let kept = self.marks.iter().enumerate().filter(|(_, mark)| **mark & DELETED == 0);
        kept.map(|(index, _)| (number(index), Place(index)))
    }

    /// The message of a number, unless it is marked as deleted.
    pub fn message(&self, number: u32) -> Result<Place, Reply> {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        match index.and_then(|index| Some((index, self.marks.get(index)?))) {
            Some((_, mark)) if mark & DELETED != 0 => {
                Err(Reply::err(format!("message {number} already deleted")))
            }
            Some((index, _)) => Ok(Place(index)),
            None => {
                let all = messages(self.marks.len());
                Err(Reply::err(format!("no such message, only {all} in maildrop")))
            }
        }
    }

    fn at(&self, place: Place) -> &Message {
        &self.mailbox.messages()[place.0]
    }

    /// RFC 1939 §11: octets as RETR sends them, dots that hide dots not counted.
    pub fn octets(&self, place: Place) -> u64 {
        self.at(place).octets
    }

    /// RFC 1939 §7.
    pub fn unique_id(&self, place: Place) -> String {
        self.mailbox.unique_id(self.at(place))
    }

    /// Opens a message. Another program may have removed it meanwhile.
    pub fn read(&mut self, place: Place) -> Result<Wire, Reply> {
        self.mailbox.read(place.0).map_err(|error| match error {
            Error::Unavailable(error) if error.kind() == ErrorKind::NotFound => {
                let number = number(place.0);
                let text = format!("message {number} was removed by another program");
                Reply::code(Code::SysTemp, text).by("RFC 3206 §4")
            }
            error => error.into(),
        })
    }

    /// A message was retrieved.
    pub fn mark_retrieved(&mut self, place: Place) {
        self.marks[place.0] |= RETRIEVED;
        self.last = self.last.max(number(place.0));
    }

    /// A message shall go.
    pub fn mark_deleted(&mut self, place: Place) {
        self.marks[place.0] |= DELETED;
        self.last = self.last.max(number(place.0));
    }

    /// RFC 1939 §5, RFC 1460 §5: all messages stay, and none was touched as far as LAST knows.
    pub fn reset(&mut self) {
        self.marks.iter_mut().for_each(|mark| *mark &= !DELETED);
        self.last = 0;
    }

    /// RFC 1460 §5.
    ///
    /// We differ: what sessions before this one touched does not count, UIDL is there for that.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// What was done so far.
    pub fn tally(&self) -> Tally {
        let count = |bit| self.marks.iter().filter(|mark| **mark & bit != 0).count();
        let deleted = count(DELETED);
        Tally { retrieved: count(RETRIEVED), deleted, left: self.marks.len() - deleted }
    }

    /// RFC 1939 §6: removes what is marked, notes what was read, and lets others in.
    pub fn update(mut self) -> Result<(), Error> {
        let (mut deleted, mut seen) = (Vec::new(), Vec::new());
        for (index, mark) in self.marks.iter().enumerate() {
            match mark {
                mark if mark & DELETED != 0 => deleted.push(index),
                mark if mark & RETRIEVED != 0 => seen.push(index),
                _ => {}
            }
        }
        self.mailbox.update(&deleted, &seen)
    }
}

/// The message-number of an index.
fn number(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}
