//! A Maildir opened for reading: its messages by UID, their octets in wire form, their removal.
//!
//! What is open is a view: messages that come later are not in it, and one that another program
//! took away is found out when it is read. Nothing is changed but by `remove` and `mark_seen`.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::files::Files;
use super::maildir::{Maildir, Places};
use super::scan::{Entry, Scan};
use super::uidlist::{self, Draft, Uidlist};
use super::{Error, Message, Wire, dotlock, name};
use crate::limits;
use crate::sys::lock;

/// The file whose lock makes a reader the only one of its kind.
const EXCLUSIVE: &[u8] = b"buzon.lock";

/// A Maildir, open.
#[derive(Debug)]
pub struct View {
    maildir: Maildir,
    places: Places,
    files: Files,
    messages: Vec<Message>,
    uid_validity: u32,
    next_uid: u32,
    /// Held until the mailbox is dropped.
    _lock: Option<File>,
}

impl View {
    /// Opens a mailbox, which is made if it is missing.
    pub fn open(maildir: &Path) -> Result<View, Error> {
        View::of(Maildir::open(maildir)?, None)
    }

    /// Opens a mailbox for the only one of those who open it so; `Error::Busy` where another was
    /// first. Deliveries and other programs go on.
    pub fn open_exclusive(maildir: &Path) -> Result<View, Error> {
        let maildir = Maildir::open(maildir)?;
        let file = maildir.root.lock_file(EXCLUSIVE)?;
        match lock::try_exclusive(&file)? {
            true => View::of(maildir, Some(file)),
            false => Err(Error::Busy),
        }
    }

    fn of(maildir: Maildir, lock: Option<File>) -> Result<View, Error> {
        let places = Places::open(&maildir)?;
        maildir.clean_tmp()?;
        let scan = Scan::run(&maildir, &places)?;
        let messages = scan.entries().map(|entry| message(&scan, entry)).collect();
        let Scan { list, files, .. } = scan;
        Ok(View {
            maildir,
            places,
            files,
            messages,
            uid_validity: list.validity,
            next_uid: list.next,
            _lock: lock,
        })
    }

    /// The messages, UIDs rising.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// What makes a UID unique over the life of the mailbox; 0 while it has no message.
    pub fn uid_validity(&self) -> u32 {
        self.uid_validity
    }

    /// Opens the message at an index to be read in wire form.
    pub fn read(&mut self, index: usize) -> Result<Wire, Error> {
        let Message { place: file, octets, .. } = self.messages[index];
        let open = |dir: &_, name: &_| crate::sys::dir::Dir::open_file(dir, name);
        let file = self.files.at(&self.places, file as usize, open)?;
        Ok(Wire::new(file, octets))
    }

    /// Marks the messages at these indices as seen, which moves new ones to `cur`.
    pub fn mark_seen(&mut self, indices: &[usize]) -> Result<(), Error> {
        let mut marked = Ok(());
        for index in indices {
            let file = self.messages[*index].place as usize;
            match self.mark_file_seen(file) {
                // What went away needs no mark.
                Err(error) if error.kind() != ErrorKind::NotFound => marked = Err(error.into()),
                _ => {}
            }
        }
        marked
    }

    fn mark_file_seen(&mut self, file: usize) -> io::Result<()> {
        let cur = &self.places.cur;
        let renamed = self.files.at(&self.places, file, |dir, old| {
            let new = name::with_flag(old, b'S');
            if let Some(new) = &new {
                dir.rename(old, cur, new)?;
            }
            Ok(new)
        })?;
        if let Some(new) = renamed {
            self.files.renamed(file, &new, false);
        }
        Ok(())
    }

    /// Removes the messages at these indices for good. If some cannot be removed the others are,
    /// and the error of the last is returned. One that another program took away is no error.
    pub fn remove(&mut self, indices: &[usize]) -> Result<(), Error> {
        if indices.is_empty() {
            return Ok(());
        }
        let mut failed = None;
        let mut removed = Vec::new();
        for index in indices {
            let Message { uid, place: file, .. } = self.messages[*index];
            match self.files.at(&self.places, file as usize, |dir, name| dir.unlink(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => failed = Some(error),
                _ => removed.push((uid, file)),
            }
        }
        self.places.new.sync()?;
        self.places.cur.sync()?;
        // The messages are gone whether or not the list can be written: lines without files are
        // dropped another time.
        let _ = self.strike_out(removed);
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Takes removed messages out of the list.
    fn strike_out(&self, mut removed: Vec<(u32, u32)>) -> Result<(), Error> {
        removed.sort_unstable();
        let root = &self.maildir.root;
        let tmp = self.maildir.sub(b"tmp")?;
        let _lock = dotlock::take(root, uidlist::LOCK, &tmp)?;
        let mut list = Uidlist::read(root)?;
        list.distrust(self.uid_validity, self.next_uid);
        let mut draft = Draft::default();
        for line in &list.lines {
            let at = removed.binary_search_by_key(&line.uid, |(uid, _)| *uid).ok();
            let file = at.map(|at| removed[at].1 as usize);
            if file.is_none_or(|file| self.files.base(file) != list.name(*line)) {
                draft.keep(&list, *line, None);
            }
        }
        Ok(draft.replace(&list, list.valid(), list.next, root)?)
    }
}

/// A message in the view.
fn message(scan: &Scan, entry: Entry) -> Message {
    let given = entry.line.and_then(|line| scan.list.value(line, b'P'));
    let given = match given {
        // Dovecot's word for the base of the name.
        Some(b"") => Some(scan.files.base(entry.file)),
        given => given,
    };
    // RFC 1939 §7 says what a unique-id may be; anything else would break the listing.
    let is_good = |id: &&[u8]| {
        (1..=limits::UNIQUE_ID).contains(&id.len()) && id.iter().all(|c| crate::text::is_vchar(*c))
    };
    let given = given.filter(is_good).map(|id| String::from_utf8_lossy(id).into());
    Message { unique_id: given, ..Message::new(entry.uid, entry.octets, entry.file) }
}
