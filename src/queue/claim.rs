//! One letter of the queue, held by the lock of its file: read, told what happened, and moved on.
//!
//! The lock goes with the process, so that whoever is killed leaves the letter to the next.

use super::Text;
use super::directory::{Entry, Place, Queue};
use super::envelope::Envelope;
use super::file::{self, Event};
use crate::limits;
use crate::sys::dir::{Dir, Stat};
use crate::sys::{clock, file as file_room, lock};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// As much as one event of an attempt takes: a host, what it said, and the words around.
const EVENT: u64 = 1024;

/// What came of trying to take a letter.
#[derive(Debug)]
pub enum Claim {
    /// It is ours.
    Taken(Box<Claimed>),
    /// Another has it, or it has gone on.
    Busy,
    /// It is not understood, and lies in `bad/` now.
    Bad(String),
}

/// A letter that nobody else works on.
#[derive(Debug)]
pub struct Claimed {
    /// How far it has come.
    pub envelope: Envelope,
    /// Its name.
    pub entry: Entry,
    queue: Queue,
    place: Place,
    dir: Dir,
    file: File,
    at: u64,
    octets: u64,
    lines: u64,
    /// Recipients of the head.
    named: usize,
    /// Where the last whole line ends.
    end: u64,
    /// Something could not be written down.
    is_broken: bool,
}

/// A file that was read: the envelope with all that happened, and where the letter is.
pub(super) struct Read {
    pub envelope: Envelope,
    pub at: u64,
    pub octets: u64,
    lines: u64,
    named: usize,
    end: u64,
}

pub(super) fn claim(queue: &Queue, place: Place, entry: &Entry) -> io::Result<Claim> {
    let (dir, name) = (queue.dir(place.name())?, entry.name());
    let file = match dir.append_file(name.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Claim::Busy),
        opened => opened?,
    };
    if !lock::try_exclusive(&file)? {
        return Ok(Claim::Busy);
    }
    // Careful: whoever had it before us may have moved it on just now.
    match dir.stat(name.as_bytes()) {
        Ok(stat) if stat.id == Stat::of_file(&file)?.id => {}
        _ => return Ok(Claim::Busy),
    }
    match read(&file)? {
        Ok(Read { envelope, at, octets, lines, named, end }) => {
            if file.metadata()?.len() > end {
                // A line that a crash cut.
                file.set_len(end)?;
            }
            let (queue, entry) = (queue.clone(), entry.clone());
            Ok(Claim::Taken(Box::new(Claimed {
                envelope,
                entry,
                queue,
                place,
                dir,
                file,
                at,
                octets,
                lines,
                named,
                end,
                is_broken: false,
            })))
        }
        Err(why) => {
            dir.rename(name.as_bytes(), &queue.dir(Place::Bad.name())?, name.as_bytes())?;
            Ok(Claim::Bad(why))
        }
    }
}

/// Reads what stands before and behind the letter, and not the letter.
pub(super) fn read(file: &File) -> io::Result<Result<Read, String>> {
    let length = file.metadata()?.len();
    let mut text = Vec::new();
    let end = loop {
        if let Some(end) = memchr::memmem::find(&text, b"\n\n") {
            break end;
        }
        if text.len() >= limits::ENVELOPE {
            return Ok(Err("the envelope does not end".into()));
        }
        let before = text.len();
        text.resize(before + 4096.max(before), 0);
        let read = file.read_at(&mut text[before..], before as u64)?;
        text.truncate(before + read);
        if read == 0 {
            return Ok(Err("the envelope does not end".into()));
        }
    };
    text.truncate(end + 1);
    let Ok(text) = String::from_utf8(text) else {
        return Ok(Err("the envelope is not UTF-8".into()));
    };
    let head = match file::read(&text) {
        Ok(head) => head,
        Err(why) => return Ok(Err(why)),
    };
    let (at, mut envelope) = (end as u64 + 2, head.envelope);
    let named = envelope.recipients.len();
    let behind = at.saturating_add(head.octets);
    let Some(left) = length.checked_sub(behind).filter(|left| *left <= limits::JOURNAL) else {
        return Ok(Err("the letter is not whole, or too much happened to it".into()));
    };
    let mut journal = vec![0; left as usize];
    file.read_exact_at(&mut journal, behind)?;
    let whole = memchr::memrchr(b'\n', &journal).map_or(0, |end| end + 1);
    let end = behind + whole as u64;
    let journal = String::from_utf8_lossy(&journal[..whole]);
    Ok(file::replay(&mut envelope, &journal).map(|()| Read {
        envelope,
        at,
        octets: head.octets,
        lines: head.lines,
        named,
        end,
    }))
}

impl Claimed {
    /// The letter, opened once more: whoever reads it disturbs nobody.
    pub fn text(&self) -> io::Result<Text> {
        let file = self.dir.open_file(self.entry.name().as_bytes())?;
        Ok(Text { file, at: self.at, octets: self.octets, lines: self.lines, offset: 0 })
    }

    /// Takes room on the disk for what an attempt will write down.
    pub fn reserve(&self) -> io::Result<()> {
        let waiting = self.envelope.recipients.iter().filter(|to| to.is_waiting()).count() as u64;
        file_room::reserve(&self.file, (waiting + 2) * EVENT)
    }

    /// Writes down what happened, seconds since 1970.
    ///
    /// It is not synced: of what a crash of the machine takes away something is done once more.
    /// Careful: after one that failed nothing more is written, as it would be about less than
    /// what happened.
    pub fn note(&mut self, at: u64, events: Vec<Event>) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("what happened before could not be written"));
        }
        let lines: String = events.iter().map(|event| file::line(at, event)).collect();
        if let Err(error) = self.file.write_all(lines.as_bytes()) {
            self.is_broken = true;
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end += lines.len() as u64;
        for event in events {
            file::apply(&mut self.envelope, event).ok_or(io::ErrorKind::InvalidInput)?;
        }
        Ok(())
    }

    /// To be tried again then, seconds since 1970.
    pub fn defer(mut self, due: u64) -> io::Result<()> {
        if self.end - (self.at + self.octets) > limits::JOURNAL / 4 {
            self.shorten()?;
        }
        self.file.sync_all()?;
        let entry = Entry { due, id: std::mem::take(&mut self.entry.id) };
        self.go(Place::Due, entry)
    }

    /// Writes the letter anew, with what holds now behind it.
    fn shorten(&mut self) -> io::Result<()> {
        let (tmp, id) = (self.queue.dir("tmp")?, self.entry.id.as_bytes());
        match tmp.unlink(id) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut new = tmp.create_file(id)?;
        // Whoever finds the new file finds it locked.
        lock::try_exclusive(&new)?;
        let (file, octets) = (self.file.try_clone()?, self.at + self.octets);
        let mut old = Text { file, at: 0, octets, lines: 0, offset: 0 };
        io::copy(&mut old, &mut new)?;
        let now = clock::micros() / 1_000_000;
        let journal = file::journal(&self.envelope, self.named, now);
        new.write_all(journal.as_bytes())?;
        new.sync_all()?;
        tmp.rename(id, &self.dir, self.entry.name().as_bytes())?;
        self.end = octets + journal.len() as u64;
        self.file = new;
        Ok(())
    }

    /// Keeps it until it is released.
    pub fn hold(self) -> io::Result<()> {
        let entry = self.entry.clone();
        self.go(Place::Hold, entry)
    }

    fn go(self, place: Place, to: Entry) -> io::Result<()> {
        let from = Entry { due: self.entry.due, id: to.id.clone() }.name();
        if place == self.place && from == to.name() {
            return Ok(());
        }
        let other = self.queue.dir(place.name())?;
        self.dir.rename_new(from.as_bytes(), &other, to.name().as_bytes())?;
        other.sync()?;
        if place != self.place {
            self.dir.sync()?;
        }
        Ok(())
    }

    /// Nothing is left to be done with it.
    ///
    /// Not synced, as a letter that is there again after a crash tells who has it already.
    pub fn remove(self) -> io::Result<()> {
        self.dir.unlink(self.entry.name().as_bytes())
    }
}
