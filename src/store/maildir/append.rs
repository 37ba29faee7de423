//! A letter that a client puts into a folder: RFC 3501 §6.3.11, RFC 3502 for many at once.
//!
//! Like a delivery it is written and synced in `tmp/` first. Its flags and date are the client's,
//! and its number is told.

use std::fs::FileTimes;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::super::flags::{Flags, Marks};
use super::super::{Error, Letter};
use super::directories::{Maildir, Places};
use super::intake::{Arrival, Intake};
use super::{delivery, name};
use crate::sys::dir::Dir;

/// A letter that lies in `tmp/`; dropping it takes it away.
#[derive(Debug)]
pub struct Appending {
    folder: PathBuf,
    tmp_name: String,
    base: String,
    flags: Flags,
    keywords: Vec<String>,
}

/// Writes a letter for the folder at a path.
pub fn prepare(
    folder: &Path,
    letter: &Letter,
    flags: Flags,
    keywords: &[String],
    date: Option<i64>,
) -> Result<Appending, Error> {
    let tmp = Maildir::open(folder)?.sub(b"tmp")?;
    let tmp_name = name::unique();
    let file = tmp.create_file(tmp_name.as_bytes())?;
    let base = String::new();
    let keywords = keywords.to_vec();
    // From here on the file is taken away if anything fails.
    let mut appending = Appending { folder: folder.into(), tmp_name, base, flags, keywords };
    let (octets, wire_octets) = delivery::write(&file, letter)?;
    if let Some(seconds) = date {
        // How far back a file can be dated is the file system's: to December 1901 on ext4.
        let since = Duration::from_secs(seconds.unsigned_abs());
        let moment = match seconds < 0 {
            true => UNIX_EPOCH.checked_sub(since),
            false => UNIX_EPOCH.checked_add(since),
        };
        file.set_times(FileTimes::new().set_modified(moment.unwrap_or(UNIX_EPOCH)))?;
    }
    file.sync_all()?;
    appending.base = name::with_sizes(&appending.tmp_name, octets, wire_octets);
    Ok(appending)
}

/// Puts letters into the folder that they were written for, all of them or none.
pub fn commit(letters: Vec<Appending>) -> Result<(u32, Vec<u32>), Error> {
    let Some(first) = letters.first() else { return Ok((0, Vec::new())) };
    if letters.iter().any(|letter| letter.folder != first.folder) {
        return Err(std::io::Error::other("letters for several folders").into());
    }
    let maildir = Maildir::open(&first.folder)?;
    let places = Places::open(&maildir)?;
    let tmp = maildir.sub(b"tmp")?;
    let mut intake = Intake::begin(&maildir, &places, &tmp)?;
    let mut arrivals = Vec::with_capacity(letters.len());
    if !intake.has_room_for(letters.iter().flat_map(|letter| &letter.keywords)) {
        return Err(Error::too_many_keywords());
    }
    for letter in &letters {
        let marks = Marks::of(letter.flags, intake.keywords(&letter.keywords)?);
        arrivals.push(Arrival { base: letter.base.clone(), marks });
    }
    let numbers = intake.number(&arrivals)?;
    let mut done = 0;
    let put = (|| {
        for (letter, arrival) in letters.iter().zip(&arrivals) {
            let (dir, name) = intake.place(arrival);
            tmp.rename(letter.tmp_name.as_bytes(), dir, &name)?;
            done += 1;
        }
        intake.sync(&arrivals)
    })();
    if let Err(error) = put {
        arrivals[..done].iter().for_each(|arrival| intake.take_back(arrival, Dir::unlink));
        return Err(error.into());
    }
    Ok(numbers)
}

impl Drop for Appending {
    fn drop(&mut self) {
        let tmp = Maildir::open(&self.folder).and_then(|maildir| maildir.sub(b"tmp"));
        // Not there any more once it was put into the folder.
        let _ = tmp.and_then(|tmp| tmp.unlink(self.tmp_name.as_bytes()));
    }
}
