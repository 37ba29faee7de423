//! What nothing has changed since: `buzon-stamp`, so that a box that was looked at a while ago need
//! not be listed again.
//!
//! One line holds when `new` and `cur` last changed, and which list of UIDs was true of them. While
//! all of that is still so, the list names every message. The file is derived: without it a box
//! opens slower, and a wrong one is one that matches nothing.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use super::directories::Places;
use crate::sys::dir::{Dir, Stat};

const NAME: &[u8] = b"buzon-stamp";
/// Until it is complete.
const TEMPORARY: &[u8] = b"buzon-stamp.tmp";
/// Its length has a bound.
const LONGEST: u64 = 256;

/// The state of a box: its two directories and its list.
#[derive(Debug, PartialEq, Eq)]
pub struct Stamp(String);

impl Stamp {
    /// Of directories and a list.
    pub fn of(directories: [SystemTime; 2], list: &Stat) -> Stamp {
        let nanos =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let mut text = String::from("1");
        for number in directories.map(nanos) {
            let _ = write!(text, " {number}");
        }
        let (device, inode) = list.id;
        let _ = writeln!(text, " {device} {inode} {} {}", list.size, nanos(list.mtime));
        Stamp(text)
    }

    /// Whether the box is as it was when the stamp was left.
    pub fn is_left(root: &Dir, places: &Places, list: &Stat) -> io::Result<bool> {
        let mut text = String::new();
        let Ok(file) = root.open_file(NAME) else { return Ok(false) };
        let read = file.take(LONGEST).read_to_string(&mut text);
        Ok(read.is_ok() && Stamp::of(places.stamp()?, list).0 == text)
    }

    /// Leaves it for the next look. It does not matter if that fails.
    pub fn leave(&self, root: &Dir) {
        let _ = root.unlink(TEMPORARY);
        let written = root.create_file(TEMPORARY).and_then(|mut file| {
            file.write_all(self.0.as_bytes())?;
            root.rename(TEMPORARY, root, NAME)
        });
        if written.is_err() {
            let _ = root.unlink(TEMPORARY);
        }
    }
}
