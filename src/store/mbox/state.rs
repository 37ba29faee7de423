//! What must outlive the messages of an mbox: `.buzon-inbox` in the directory of the folders, one
//! line of numbers. Format: buzon-mbox(5).
//!
//! UIDVALIDITY and the last UID stand in the first message too, but whoever removes that removes
//! them, and a UID must never name another message. The plan says what a rewrite was doing when it
//! was killed. The file is read and written under the lock of the mbox; its own lock keeps a second
//! POP3 session away.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::sys::dir::{self, Dir};

/// Of the INBOX.
pub const INBOX: &[u8] = b".buzon-inbox";
/// The line is as long as this, so that one write replaces it whole.
const LINE: usize = 256;

/// The file, open.
#[derive(Debug)]
pub struct State {
    /// Its lock is the session's.
    pub file: File,
    /// UIDVALIDITY, 0 where none was given yet.
    pub validity: u32,
    /// The last UID given.
    pub last: u32,
    /// What a rewrite is doing, or was when it was killed.
    pub plan: Option<Plan>,
}

/// A rewrite: the octets from `from` on are replaced by `length` others, which are kept at `copy`
/// first, behind the `end` of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How far it came.
    pub step: Step,
    /// The process at work.
    pub process: u64,
    /// The inode of the mbox.
    pub inode: u64,
    /// Where the changes begin.
    pub from: u64,
    /// The length of the file before.
    pub end: u64,
    /// Where the copy begins.
    pub copy: u64,
    /// The octets of the copy.
    pub length: u64,
    /// The digest of the copy, once it is whole.
    pub digest: u64,
}

/// Steps of a rewrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The copy is being written.
    Copying,
    /// It is being moved into its place.
    Moving,
    /// It is in its place; what is behind goes.
    Cutting,
    /// There was no room for a copy: what lies at `copy` is being moved to `from`.
    Sliding,
}

const STEPS: [(&str, Step); 4] = [
    ("copying", Step::Copying),
    ("moving", Step::Moving),
    ("cutting", Step::Cutting),
    ("sliding", Step::Sliding),
];

impl State {
    /// Opens the file, which is made if it is missing and `make` says so.
    pub fn open(folders: &Path, make: bool) -> io::Result<Option<State>> {
        State::open_named(folders, INBOX, make)
    }

    /// Opens the file of another mbox, by its name.
    pub fn open_named(folders: &Path, name: &[u8], make: bool) -> io::Result<Option<State>> {
        let dir = match Dir::open(folders) {
            Err(error) if error.kind() == ErrorKind::NotFound && make => {
                dir::create_path(folders)?;
                Dir::open(folders)?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            dir => dir?,
        };
        let file = match dir.edit_file(name) {
            Err(error) if error.kind() == ErrorKind::NotFound && make => {
                let file = dir.lock_file(name)?;
                dir.sync()?;
                file
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut state = State { file, validity: 0, last: 0, plan: None };
        state.read()?;
        Ok(Some(state))
    }

    /// Reads it anew.
    pub fn read(&mut self) -> io::Result<()> {
        let mut line = [0; LINE];
        let got = self.file.read_at(&mut line, 0)?;
        let line = String::from_utf8_lossy(&line[..got]);
        let mut words = line.split_ascii_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
        (self.validity, self.last) = number().zip(number()).unwrap_or_default();
        self.plan = plan(&line);
        Ok(())
    }

    /// Writes it. Numbers must outlive a crash; a plan that is lost leaves messages twice.
    pub fn write(&self, durably: bool) -> io::Result<()> {
        let State { validity, last, plan, .. } = self;
        let plan = plan.map_or_else(String::new, |plan| {
            let step = STEPS.iter().find(|(_, step)| *step == plan.step);
            let step = step.map_or("", |(name, _)| name);
            let Plan { process, inode, from, end, copy, length, digest, .. } = plan;
            format!(" {step} {process} {inode} {from} {end} {copy} {length} {digest}")
        });
        let line = format!("{validity} {last}{plan}");
        let line = format!("{line:<width$}\n", width = LINE - 1);
        self.file.write_all_at(line.as_bytes(), 0)?;
        if durably { self.file.sync_data() } else { Ok(()) }
    }
}

fn plan(line: &str) -> Option<Plan> {
    let mut words = line.split_ascii_whitespace().skip(2);
    let step = words.next()?;
    let (_, step) = *STEPS.iter().find(|(name, _)| *name == step)?;
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
    Some(Plan {
        step,
        process: number()?,
        inode: number()?,
        from: number()?,
        end: number()?,
        copy: number()?,
        length: number()?,
        digest: number()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let place = tempfile::tempdir().unwrap();
        let folders = place.path().join("home/mail");
        assert!(State::open(&folders, false).unwrap().is_none());
        let mut state = State::open(&folders, true).unwrap().unwrap();
        assert_eq!((state.validity, state.last, state.plan), (0, 0, None));
        (state.validity, state.last) = (u32::MAX, 12);
        state.write(true).unwrap();
        for (_, step) in STEPS {
            let max = u64::MAX;
            let plan = Plan {
                step,
                process: 7,
                inode: max,
                from: 1,
                end: max,
                copy: max,
                length: max,
                digest: max,
            };
            state.plan = Some(plan);
            state.write(false).unwrap();
            let again = State::open(&folders, false).unwrap().unwrap();
            assert_eq!((again.validity, again.last, again.plan), (u32::MAX, 12, Some(plan)));
        }
        assert_eq!(state.file.metadata().unwrap().len(), LINE as u64);
        state.plan = None;
        state.write(false).unwrap();
        state.read().unwrap();
        assert_eq!((state.last, state.plan), (12, None));
    }
}
