//! A letter comes in, in two steps: everything that can fail for lack of room, then everything
//! that makes it seen.
//!
//! `prepare` writes and syncs a file in `tmp/`; `show` renames it into `new/`, and `settle` syncs the
//! directory. Once that has said yes, the letter outlives a crash.
//! Deliveries need no lock and touch nothing else in the box.

use std::fs::File;
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::{Body, Error, Letter, wire};
use super::directories::Maildir;
use super::name;
use crate::sys::dir::Dir;

/// A letter that lies written and synced in `tmp/`. Unless it is settled, dropping it takes it away.
///
/// It holds no directory open: a thousand recipients must not take a thousand descriptors.
#[derive(Debug)]
pub struct Prepared {
    maildir: PathBuf,
    tmp_name: String,
    /// The name it will have, and keep.
    new_name: String,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Written,
    Shown,
    Settled,
}

/// Writes a letter into the `tmp/` of a Maildir, which is made if it is missing.
pub fn prepare(maildir: &Path, letter: &Letter) -> Result<Prepared, Error> {
    let directories = Maildir::open(maildir)?;
    // What is wrong with `new` is better known now than at `commit`.
    let (tmp, _) = (directories.sub(b"tmp")?, directories.sub(b"new")?);
    let tmp_name = name::unique();
    let file = tmp.create_file(tmp_name.as_bytes())?;
    let maildir = maildir.to_path_buf();
    // From here on the file is taken away if anything fails.
    let mut prepared =
        Prepared { maildir, tmp_name, new_name: String::new(), state: State::Written };
    let (octets, wire_octets) = write(&file, letter)?;
    file.sync_all()?;
    prepared.new_name = name::with_sizes(&prepared.tmp_name, octets, wire_octets);
    Ok(prepared)
}

/// Writes the letter and returns its octets, on disk and in wire form. The store keeps lines: one
/// that does not end is ended.
pub fn write(mut file: &File, letter: &Letter) -> io::Result<(u64, u64)> {
    let head = letter.head;
    let (octets, lines, last) = match letter.body {
        Body::Octets(body) => {
            let end: &[u8] =
                if body.last().is_none_or(|last| *last == b'\n') { b"" } else { b"\n" };
            let mut pieces = [IoSlice::new(head), IoSlice::new(body), IoSlice::new(end)];
            write_all(file, &mut pieces)?;
            let lines = wire::bare_line_feeds(body);
            return Ok(sizes(head, (body.len() + end.len()) as u64, lines + end.len() as u64));
        }
        Body::File { file: mut body, at, octets, lines } => {
            file.write_all(head)?;
            body.seek(SeekFrom::Start(at))?;
            let copied = io::copy(&mut io::Read::take(body, octets), &mut file)?;
            if copied != octets {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            let mut last = [b'\n'];
            if octets > 0 {
                body.read_exact_at(&mut last, at + octets - 1)?;
            }
            (octets, lines, last)
        }
    };
    if last == *b"\n" {
        return Ok(sizes(head, octets, lines));
    }
    file.write_all(b"\n")?;
    Ok(sizes(head, octets + 1, lines + 1))
}

/// The sizes of a head and of a body of so many octets and line ends.
fn sizes(head: &[u8], octets: u64, lines: u64) -> (u64, u64) {
    let octets = head.len() as u64 + octets;
    (octets, octets + wire::bare_line_feeds(head) + lines)
}

/// Writes all pieces, as a rule in one call.
fn write_all(mut file: &File, mut pieces: &mut [IoSlice]) -> io::Result<()> {
    while pieces.iter().any(|piece| !piece.is_empty()) {
        match file.write_vectored(pieces) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(written) => IoSlice::advance_slices(&mut pieces, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Prepared {
    /// Renames the letter into `new/`, where readers look.
    pub fn show(&mut self) -> Result<(), Error> {
        let (from, to) = (self.tmp_name.as_bytes(), self.new_name.as_bytes());
        let maildir = Maildir::open(&self.maildir)?;
        maildir.sub(b"tmp")?.rename(from, &maildir.sub(b"new")?, to)?;
        self.state = State::Shown;
        Ok(())
    }

    /// Makes that outlive a crash.
    ///
    /// Careful: a sync takes a thousand times longer than a rename, so the letters of all
    /// recipients are shown before the first is settled.
    pub fn settle(&mut self) -> Result<(), Error> {
        self.place(b"new")?.sync()?;
        self.state = State::Settled;
        Ok(())
    }

    fn place(&self, name: &[u8]) -> io::Result<Dir> {
        Maildir::open(&self.maildir)?.sub(name)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let (place, name) = match self.state {
            State::Written => (&b"tmp"[..], &self.tmp_name),
            // Where a reader has moved it to `cur` already, the letter comes twice: never lost.
            State::Shown => (&b"new"[..], &self.new_name),
            State::Settled => return,
        };
        let _ = self.place(place).and_then(|place| place.unlink(name.as_bytes()));
    }
}
