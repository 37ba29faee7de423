//! The directories of the queue. A letter is one file, and where the file is says what it waits for:
//!
//! | directory | name | state |
//! |---|---|---|
//! | `tmp/` | ID | being written; left over from a crash, it was promised to nobody |
//! | `due/` | DUE.ID | to be tried at DUE, seconds since 1970 in ten digits; locked: it is tried now |
//! | `drop/` | ID | handed in by a user of this host, see `drop` |
//! | `hold/` | DUE.ID | nobody touches it until it is released |
//! | `bad/` | DUE.ID | cannot be understood, for a person to look at |
//!
//! A letter is written and synced in `tmp/`, renamed, and the directory synced: then it is promised.

use super::claim::{Claim, claim};
use super::envelope::Envelope;
use super::{Content, file};
use crate::limits;
use crate::sys::dir::{self, Dir};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The queue of a site.
#[derive(Clone, Debug)]
pub struct Queue {
    root: PathBuf,
}

/// Where a letter that is whole can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To be tried when its time has come.
    Due,
    /// Kept until it is released.
    Hold,
    /// Not understood.
    Bad,
}

impl Place {
    /// The directory.
    pub fn name(self) -> &'static str {
        match self {
            Place::Due => "due",
            Place::Hold => "hold",
            Place::Bad => "bad",
        }
    }
}

/// What the name of a letter's file tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// When it is to be tried, seconds since 1970.
    pub due: u64,
    /// Its name.
    pub id: String,
}

impl Entry {
    /// The file's name.
    pub(super) fn name(&self) -> String {
        format!("{:010}.{}", self.due, self.id)
    }

    fn read(name: &[u8]) -> Option<Entry> {
        let (due, id) = std::str::from_utf8(name).ok()?.split_once('.')?;
        let digits = due.len() == 10 && due.bytes().all(|digit| digit.is_ascii_digit());
        (digits && !id.is_empty()).then_some(Entry { due: due.parse().ok()?, id: id.into() })
    }
}

impl Queue {
    /// The queue in a directory, which is made when the first letter comes.
    pub fn new(root: &Path) -> Queue {
        Queue { root: root.into() }
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn dir(&self, name: &str) -> io::Result<Dir> {
        let path = self.root.join(name);
        match Dir::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                dir::create_path(&path)?;
                Dir::open(&path)
            }
            opened => opened,
        }
    }

    /// Writes a letter and syncs it, where nobody looks; `head` are trace fields to put first.
    pub fn prepare(
        &self,
        envelope: &Envelope,
        head: &[u8],
        content: &Content,
    ) -> io::Result<Pending> {
        let (tmp, due) = (self.dir("tmp")?, self.dir("due")?);
        let entry = Entry { due: envelope.arrived, id: envelope.id.clone() };
        let written = tmp.create_file(entry.id.as_bytes())?;
        // From here on the file is taken away if anything fails.
        let pending = Pending { tmp, due, entry, state: State::Written };
        write(&written, envelope, head, content)?;
        written.sync_all()?;
        Ok(pending)
    }

    /// Puts a letter in, for good.
    pub fn put(&self, envelope: &Envelope, head: &[u8], content: &Content) -> io::Result<()> {
        let mut pending = self.prepare(envelope, head, content)?;
        pending.show()?;
        pending.settle()
    }

    /// The letters of a place, in no order.
    pub fn entries(&self, place: Place, mut each: impl FnMut(Entry)) -> io::Result<()> {
        self.dir(place.name())?.entries(|name, _| {
            if let Some(entry) = Entry::read(name) {
                each(entry);
            }
        })
    }

    /// The letter of an id, wherever it is.
    pub fn find(&self, id: &str) -> io::Result<Option<(Place, Entry)>> {
        let mut found = None;
        for place in [Place::Due, Place::Hold, Place::Bad] {
            self.entries(place, |entry| {
                if entry.id == id {
                    found = Some((place, entry));
                }
            })?;
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// Takes a letter, unless another process or thread has it.
    pub fn claim(&self, place: Place, entry: &Entry) -> io::Result<Claim> {
        claim(self, place, entry)
    }

    /// Reads a letter that somebody may be at work on: its envelope as far as it is written.
    pub fn look(&self, place: Place, entry: &Entry) -> io::Result<Result<Envelope, String>> {
        let file = self.open(place, entry)?;
        Ok(super::claim::read(&file)?.map(|read| read.envelope))
    }

    /// The same, and the octets of the text.
    pub fn measure(
        &self,
        place: Place,
        entry: &Entry,
    ) -> io::Result<Result<(Envelope, u64), String>> {
        let file = self.open(place, entry)?;
        Ok(super::claim::read(&file)?.map(|read| (read.envelope, read.octets)))
    }

    /// Lets a file that was not understood be looked at again, as somebody may have mended it.
    ///
    /// Careful: what a user dropped is still the user's file, and goes where it is checked.
    pub fn readmit(&self, entry: &Entry) -> io::Result<()> {
        let (bad, name) = (self.dir("bad")?, entry.name());
        let whose = self.open(Place::Bad, entry)?.metadata()?.uid();
        let is_ours = whose == 0 || whose == std::fs::metadata(&self.root)?.uid();
        let (to, name_there) = match is_ours {
            true => (self.dir("due")?, name.as_bytes()),
            false => (self.dir(super::drop::NAME)?, entry.id.as_bytes()),
        };
        bad.rename_new(name.as_bytes(), &to, name_there)?;
        to.sync()?;
        bad.sync()
    }

    /// Takes away what was begun and not finished by somebody who must be gone.
    pub fn tidy(&self) -> io::Result<()> {
        let (tmp, mut names) = (self.dir("tmp")?, Vec::new());
        tmp.entries(|name, _| names.push(name.to_owned()))?;
        for name in names {
            if tmp
                .stat(&name)
                .is_ok_and(|stat| stat.mtime.elapsed().is_ok_and(|since| since > limits::ABANDONED))
            {
                tmp.unlink(&name)?;
            }
        }
        Ok(())
    }

    /// Throws away a file that was not understood.
    pub fn discard(&self, entry: &Entry) -> io::Result<()> {
        let bad = self.dir("bad")?;
        bad.unlink(entry.name().as_bytes())?;
        bad.sync()
    }

    /// The whole file, for a person to read.
    pub fn open(&self, place: Place, entry: &Entry) -> io::Result<File> {
        self.dir(place.name())?.open_file(entry.name().as_bytes())
    }
}

pub(super) fn write(
    mut file: &File,
    envelope: &Envelope,
    head: &[u8],
    content: &Content,
) -> io::Result<()> {
    let (octets, lines) = match content {
        Content::Memory(text) => (text.len() as u64, line_feeds(text)),
        Content::File { octets, lines, .. } => (*octets, *lines),
    };
    let (octets, lines) = (head.len() as u64 + octets, line_feeds(head) + lines);
    let start = file::head(envelope, octets, lines);
    // Careful: what could not be read again would be promised and lost.
    file::read(start.trim_end()).map_err(io::Error::other)?;
    let mut start = start.into_bytes();
    start.extend_from_slice(head);
    match content {
        Content::Memory(text) => {
            start.extend_from_slice(text);
            file.write_all(&start)
        }
        Content::File { file: text, at, octets, .. } => {
            file.write_all(&start)?;
            let mut text = *text;
            text.seek(SeekFrom::Start(*at))?;
            match io::copy(&mut text.take(*octets), &mut file)? == *octets {
                true => Ok(()),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

fn line_feeds(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// A letter that lies written and synced in `tmp/`. Unless it is settled, dropping it takes it away.
#[derive(Debug)]
pub struct Pending {
    tmp: Dir,
    due: Dir,
    entry: Entry,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Written,
    Shown,
    Settled,
}

impl Pending {
    /// Puts it where runners look.
    pub fn show(&mut self) -> io::Result<()> {
        let (id, name) = (self.entry.id.as_bytes(), self.entry.name());
        self.tmp.rename_new(id, &self.due, name.as_bytes())?;
        self.state = State::Shown;
        Ok(())
    }

    /// Makes that outlive a crash.
    pub fn settle(&mut self) -> io::Result<()> {
        self.due.sync()?;
        self.state = State::Settled;
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let _ = match self.state {
            State::Written => self.tmp.unlink(self.entry.id.as_bytes()),
            // Where a runner has it already it leaves after all: it may come twice, never not.
            State::Shown => self.due.unlink(self.entry.name().as_bytes()),
            State::Settled => Ok(()),
        };
    }
}
