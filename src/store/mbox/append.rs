//! A letter comes in: locked, appended, synced; then unlocked, or cut off again.
//!
//! It is written with a mark that says so, which goes when it is whole. A writer that is killed
//! leaves a message that mutt and Dovecot take for deleted, and that we hide and remove.
//! Fields that belong to a mailbox are left out, wherever the letter has them from: nobody outside
//! marks letters as read or gives them numbers.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use super::super::{Body, Error, Letter};
use super::field::{self, COMPLETE, INCOMPLETE};
use super::from;
use super::lines::{Line, Lines, Part};
use super::lock::{self, Locked};
use super::scan;
use super::state::State;
use super::work::LIST;
use super::{checkpoint, rewrite, table};
use crate::mail;
use crate::sys::dir::Stat;

/// Up to this a letter is one write.
const CHUNK: usize = if cfg!(test) { 200 } else { 512 * 1024 };

/// A letter at the end of an mbox that is still locked. Unless it is settled, dropping it cuts it
/// off.
#[derive(Debug)]
pub struct Prepared {
    locked: Option<Locked>,
    /// How long the mbox was.
    end: u64,
}

/// Appends a letter to an mbox, which is made if it is missing.
pub fn prepare(
    inbox: &Path,
    folders: &Path,
    letter: &Letter,
    deadline: Instant,
) -> Result<Prepared, Error> {
    let Some(mut locked) = lock::lock(inbox, deadline, true)? else {
        return Err(Error::Unavailable(io::ErrorKind::NotFound.into()));
    };
    if locked.dead.is_some() {
        tidy(&mut locked, folders)?;
    }
    let before = Stat::of_file(&locked.file)?;
    let end = before.size;
    // From here on the letter is cut off if anything fails.
    let prepared = Prepared { locked: Some(locked), end };
    if let Some(locked) = &prepared.locked {
        let moment = mail::asctime(chrono::Local::now());
        let (file, from) = (&locked.file, (letter.sender, &moment[..]));
        let mark = match letter.body {
            Body::Octets(octets) => write(file, end, from, letter.head, octets)?,
            Body::File { file: body, at, octets, .. } => {
                write(file, end, from, letter.head, Part { file: body, at, end: at + octets })?
            }
        };
        checkpoint();
        locked.file.write_all_at(COMPLETE, mark)?;
        locked.file.sync_all()?;
        let name = [LIST, b"INBOX"].concat();
        table::grew(folders, &name, &before, &table::settle(&locked.file)?);
    }
    Ok(prepared)
}

/// Whoever had the lock before was killed: finishes a rewrite, and removes half a letter.
fn tidy(locked: &mut Locked, folders: &Path) -> Result<(), Error> {
    // Without its directory nothing was being rewritten.
    if let Ok(Some(mut state)) = State::open(folders, false) {
        rewrite::repair(locked, &mut state)?;
    }
    if let Some(last) = scan::scan(&locked.file).ok().as_ref().and_then(|entries| entries.last())
        && last.facts.is_incomplete
    {
        locked.file.set_len(last.at)?;
    }
    Ok(())
}

/// Writes a letter with its mark; where the mark is.
pub fn write(
    file: &File,
    end: u64,
    (sender, moment): (&str, &str),
    head: &[u8],
    body: impl Read,
) -> io::Result<u64> {
    let mut output = Output { file, at: end, octets: empty_line(file, end)? };
    output.octets.extend_from_slice(&from::line(sender, moment));
    output.octets.extend_from_slice(head);
    let mark = end + output.octets.len() as u64;
    output.octets.extend_from_slice(INCOMPLETE);
    copy(body, &mut output)?;
    output.octets.push(b'\n');
    output.flush()?;
    Ok(mark)
}

/// What must come first, so that an empty line stands before the dividing one.
fn empty_line(file: &File, end: u64) -> io::Result<Vec<u8>> {
    let mut last = *b"\n\n";
    let known = last.len().min(end as usize);
    file.read_exact_at(&mut last[2 - known..], end - known as u64)?;
    Ok(match last {
        _ if end == 0 => Vec::new(),
        [b'\n', b'\n'] => Vec::new(),
        [_, b'\n'] => b"\n".to_vec(),
        _ => b"\n\n".to_vec(),
    })
}

struct Output<'a> {
    file: &'a File,
    at: u64,
    octets: Vec<u8>,
}

impl Output<'_> {
    fn add(&mut self, octets: &[u8]) -> io::Result<()> {
        self.octets.extend_from_slice(octets);
        if self.octets.len() < CHUNK { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        checkpoint();
        self.file.write_all_at(&self.octets, self.at)?;
        self.at += self.octets.len() as u64;
        self.octets.clear();
        Ok(())
    }
}

/// The letter as an mbox has it: quoted, without the fields of a mailbox, its last line ended.
fn copy(body: impl Read, output: &mut Output) -> io::Result<()> {
    let mut lines = Lines::new(body, 0);
    let (mut in_header, mut is_dropped, mut is_ended) = (true, false, true);
    while let Some(Line { text, starts, .. }) = lines.next()? {
        if starts && in_header {
            in_header = !field::is_blank(text);
            is_dropped = match field::is_folded(text) {
                true => is_dropped,
                false => in_header && field::own(text).is_some(),
            };
        }
        if is_dropped {
            continue;
        }
        if starts && from::is_quoted(text) {
            output.add(b">")?;
        }
        output.add(text)?;
        is_ended = text.ends_with(b"\n");
    }
    if is_ended { Ok(()) } else { output.add(b"\n") }
}

impl Prepared {
    /// Unlocks: the letter stays.
    pub fn settle(&mut self) {
        self.locked = None;
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(locked) = &self.locked {
            let _ = locked.file.set_len(self.end).and_then(|()| locked.file.sync_data());
        }
    }
}
