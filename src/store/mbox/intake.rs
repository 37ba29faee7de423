//! Messages come into an mbox with their UIDs known at once: by APPEND, COPY and MOVE.
//!
//! They wait in files without a name, so that nothing is locked while a client sends them. Then
//! they are appended at one go: all of them or none, since the plan in `state` says where the file
//! ended before. Where they come from another mbox, only one of the two is locked at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use chrono::{Local, TimeZone};

use super::super::flags::{Flags, Marks};
use super::super::selected::Copied;
use super::super::{Body, Error, FolderError, Letter};
use super::field::{COMPLETE, Notes};
use super::folders::{Place, Tree};
use super::lines::Part;
use super::session::Session;
use super::state::{Plan, Step};
use super::work::{Purpose, Work};
use super::{append, checkpoint, message};
use crate::mail;
use crate::sys::{self, dir};

/// A letter that waits.
#[derive(Debug)]
pub struct Appending {
    place: Place,
    spool: Arc<File>,
    at: u64,
    end: u64,
    sender: String,
    flags: Flags,
    keywords: Vec<String>,
    date: i64,
}

/// Writes a letter for a mailbox.
pub fn prepare(
    place: Place,
    letter: &Letter,
    flags: Flags,
    keywords: &[String],
    date: Option<i64>,
) -> Result<Appending, Error> {
    dir::create_path(place.spool())?;
    let spool = sys::file::nameless(place.spool())?;
    let mut writer: &File = &spool;
    io::Write::write_all(&mut writer, letter.head)?;
    match letter.body {
        Body::Octets(octets) => io::Write::write_all(&mut writer, octets)?,
        Body::File { file, at, octets, .. } => {
            io::copy(&mut Part { file, at, end: at + octets }, &mut writer)?;
        }
    }
    let end = spool.metadata()?.len();
    Ok(Appending {
        place,
        spool: Arc::new(spool),
        at: 0,
        end,
        sender: letter.sender.to_owned(),
        flags,
        keywords: keywords.to_vec(),
        date: date.unwrap_or_else(|| Local::now().timestamp()),
    })
}

/// Puts letters into the mailbox that they were written for, all of them with all their keywords,
/// or none.
pub fn commit(letters: &[Appending]) -> Result<(u32, Vec<u32>), Error> {
    bring(letters, true)
}

fn bring(letters: &[Appending], needs_words: bool) -> Result<(u32, Vec<u32>), Error> {
    let Some(first) = letters.first() else { return Ok((0, Vec::new())) };
    if letters.iter().any(|letter| letter.place != first.place) {
        return Err(io::Error::other("letters for several folders").into());
    }
    let mut names = Vec::new();
    let words: Vec<String> =
        letters.iter().flat_map(|letter| letter.keywords.iter().cloned()).collect();
    let count = letters.len() as u32;
    let make = first.place.is_inbox;
    let purpose = Purpose { takes_recent: false, more: count, words: &words, needs_words, make };
    let work = Work::begin(&first.place, &mut names, None, purpose)?;
    let mut work = work.ok_or_else(Error::gone)?;
    let numbers = work.numbers;
    let uids: Vec<u32> = (numbers.last - count + 1..=numbers.last).collect();
    let end = work.locked.file.metadata()?.len();
    let put = put(&mut work, letters, &uids, &names, end);
    if put.is_err() {
        work.locked.file.set_len(end)?;
        work.locked.file.sync_data()?;
    }
    work.state.plan = None;
    work.state.write(false)?;
    put?;
    Ok((numbers.validity, uids))
}

fn put(
    work: &mut Work,
    letters: &[Appending],
    uids: &[u32],
    names: &[String],
    end: u64,
) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let inode = work.locked.file.metadata()?.ino();
    let process = std::process::id().into();
    work.state.plan = Some(Plan {
        step: Step::Copying,
        process,
        inode,
        from: end,
        end,
        copy: end,
        length: 0,
        digest: 0,
    });
    work.state.write(false)?;
    let mut marks = Vec::with_capacity(letters.len());
    let mut at = end;
    for (letter, uid) in letters.iter().zip(uids) {
        let is_first = work.entries.is_empty() && marks.is_empty();
        let base = is_first.then_some((work.numbers.validity, work.numbers.last));
        let body = Part { file: &letter.spool, at: letter.at, end: letter.end };
        let head = letter.fields(*uid, base, names);
        let moment = Local.timestamp_opt(letter.date, 0).earliest().unwrap_or_default();
        let moment = mail::asctime(moment);
        let file = &work.locked.file;
        marks.push(append::write(file, at, (&letter.sender, &moment), &head, body)?);
        work.locked.refresh();
        at = work.locked.file.metadata()?.len();
    }
    work.locked.file.sync_all()?;
    for mark in marks {
        checkpoint();
        work.locked.file.write_all_at(COMPLETE, mark)?;
    }
    work.locked.file.sync_all()?;
    Ok(work.grew()?)
}

impl Appending {
    /// What the mailbox notes of it.
    fn fields(&self, uid: u32, base: Option<(u32, u32)>, names: &[String]) -> Vec<u8> {
        let mut notes = Notes::default();
        (notes.uid, notes.base) = (uid, base);
        let is_named =
            |name: &String| self.keywords.iter().any(|keyword| keyword.eq_ignore_ascii_case(name));
        let bits = names.iter().enumerate().filter(|(_, name)| is_named(name));
        let bits = bits.fold(0, |bits, (bit, _)| bits | (1 << bit));
        let marks = Marks::of(self.flags, bits);
        // What nobody marked is new to the next session.
        if marks != Marks::default() {
            notes.set_marks(marks, names);
        }
        if base.is_some() {
            notes.list(names);
        }
        notes.fields()
    }
}

impl Session {
    /// Copies messages; see `Selected::copy`.
    pub fn copy(&mut self, indices: &[u32], to: &str) -> Result<Copied, FolderError> {
        let place = self.tree.place(to)?;
        let tree: Tree = self.tree.clone();
        let spool = Arc::new(sys::file::nameless(tree.directory())?);
        let mut letters = Vec::with_capacity(indices.len());
        let work = self.lock_and_look()?;
        for index in indices {
            letters.push(self.take_out(&work, *index as usize, &spool, &place)?);
        }
        drop(work);
        // A copy comes with those keywords for which there is room.
        let (validity, uids) = bring(&letters, false)?;
        let from = indices.iter().map(|index| self.uid(*index as usize));
        Ok((validity, from.zip(uids).collect()))
    }

    /// Moves messages; see `Selected::move_to`.
    pub fn move_to(&mut self, indices: &[u32], to: &str) -> Result<Copied, FolderError> {
        self.refuse_read_only()?;
        let copied = self.copy(indices, to)?;
        self.remove(indices)?;
        Ok(copied)
    }

    /// Copies a message to the end of a file of ours.
    fn take_out(
        &self,
        work: &Work,
        index: usize,
        spool: &Arc<File>,
        place: &Place,
    ) -> Result<Appending, Error> {
        let (message, entry) = self.found(index)?;
        let at = spool.metadata()?.len();
        let mut writer: &File = spool;
        let mut writer = io::BufWriter::new(&mut writer);
        message::read(&work.locked.file, entry.at, entry.end(), &mut |text| {
            io::Write::write_all(&mut writer, text)
        })?;
        io::Write::flush(&mut writer)?;
        drop(writer);
        let mut line = vec![0; entry.length.min(1000) as usize];
        work.locked.file.read_exact_at(&mut line, entry.at)?;
        let line = String::from_utf8_lossy(&line);
        let names = self.keywords().iter().enumerate();
        let set = names.filter(|(bit, _)| message.keywords() & (1 << bit) != 0);
        Ok(Appending {
            place: place.clone(),
            spool: spool.clone(),
            at,
            end: spool.metadata()?.len(),
            sender: line.split_ascii_whitespace().nth(1).unwrap_or_default().to_owned(),
            flags: message.marks.flags(),
            keywords: set.map(|(_, name)| name.clone()).collect(),
            date: entry.date,
        })
    }
}
