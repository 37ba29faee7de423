//! What must be remembered of the folders of a Maildir beside them: `buzon-folders`.
//!
//! `validity N` is the highest UIDVALIDITY that a folder had which is gone, was renamed, or was made
//! by us: a name that comes back must not bring numbers back. `use USE NAME` tells what the folder of that
//! name is for, where its maker said so (RFC 6154 §3). It is changed under its own lock, which
//! keeps two sessions from changing folders at the same time.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::Error;
use super::super::folders::{FolderError, SpecialUse};
use crate::sys::dir::Dir;
use crate::sys::lock;

/// Their name in a Maildir.
pub const MAILDIR: &[u8] = b"buzon-folders";
/// And where folders are mboxes, which have no dot in front.
pub const MBOX: &[u8] = b".buzon-folders";
const LOCK: &[u8] = b".lock";
/// Until it is complete.
const TEMPORARY: &[u8] = b".tmp";
/// More is not read.
const LONGEST: u64 = 1 << 20;
/// How long we wait for another session.
const PATIENCE: Duration = Duration::from_secs(30);
/// Dovecot's file for the same, whose name ends in the number.
const DOVECOT: &[u8] = b"dovecot-uidvalidity.";

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    validity: u32,
    uses: Vec<(SpecialUse, String)>,
}

impl Notes {
    /// Reads them.
    pub fn read(root: &Dir, name: &[u8]) -> io::Result<Notes> {
        let mut text = Vec::new();
        match root.open_file(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Notes::default()),
            file => file?.take(LONGEST).read_to_end(&mut text)?,
        };
        let mut notes = Notes::default();
        for line in String::from_utf8_lossy(&text).lines() {
            match line.split_once(' ') {
                Some(("validity", number)) => notes.validity = number.parse().unwrap_or(0),
                Some(("use", rest)) => {
                    if let Some((use_, name)) = rest.split_once(' ')
                        && let Some(use_) = SpecialUse::of_name(use_)
                    {
                        notes.uses.push((use_, name.to_owned()));
                    }
                }
                _ => {}
            }
        }
        Ok(notes)
    }

    /// What a folder is for: as was said, or by convention where nothing was said of that use.
    pub fn use_of(&self, name: &str) -> Option<SpecialUse> {
        match self.uses.iter().find(|(_, other)| other == name) {
            Some((use_, _)) => Some(*use_),
            None => SpecialUse::of_name(name)
                .filter(|use_| !self.uses.iter().any(|(other, _)| other == use_)),
        }
    }

    /// Notes what a folder is for.
    pub fn set_use(&mut self, name: &str, use_: Option<SpecialUse>) {
        self.uses.retain(|(_, other)| other != name);
        self.uses.extend(use_.map(|use_| (use_, name.to_owned())));
    }

    /// Notes that a folder has another name.
    pub fn rename_use(&mut self, from: &str, to: &str) {
        for (_, name) in self.uses.iter_mut().filter(|(_, name)| name == from) {
            *name = to.to_owned();
        }
    }

    /// Notes the UIDVALIDITY of a folder that goes, or goes by another name.
    pub fn had_validity(&mut self, validity: u32) {
        self.validity = self.validity.max(validity);
    }

    /// A UIDVALIDITY that no folder had, after the clock.
    pub fn new_validity(&mut self, root: &Dir) -> io::Result<u32> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut highest = self.validity;
        root.entries(|name, _| {
            let digits = name.strip_prefix(DOVECOT).and_then(|digits| str::from_utf8(digits).ok());
            let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            highest = highest.max(number.unwrap_or(0));
        })?;
        self.validity = u32::try_from(now).unwrap_or(u32::MAX).max(highest.saturating_add(1));
        Ok(self.validity)
    }

    fn write(&self, root: &Dir, file_name: &[u8]) -> io::Result<()> {
        let temporary = &[file_name, TEMPORARY].concat()[..];
        let mut text = format!("validity {}\n", self.validity);
        for (use_, name) in &self.uses {
            text.push_str(&format!("use {} {name}\n", use_.name()));
        }
        let _ = root.unlink(temporary);
        let mut file = root.create_file(temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        root.rename(temporary, root, file_name)?;
        root.sync()
    }
}

/// Does something to folders, alone, and keeps what it notes.
pub fn change<T>(
    root: &Dir,
    name: &[u8],
    act: impl FnOnce(&mut Notes) -> Result<T, FolderError>,
) -> Result<T, FolderError> {
    let file = root.lock_file(&[name, LOCK].concat())?;
    if !lock::exclusive(&file, Instant::now() + PATIENCE)? {
        return Err(Error::Busy.into());
    }
    let before = Notes::read(root, name)?;
    let mut notes = before.clone();
    let done = act(&mut notes)?;
    if notes != before {
        notes.write(root, name)?;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        let ours = Notes { validity: 4_000_000_000, uses: Vec::new() };
        ours.write(&root, MAILDIR).unwrap();
        change(&root, MAILDIR, |notes| {
            assert_eq!(notes.use_of("Sent"), Some(SpecialUse::Sent));
            notes.set_use("My Post/out", Some(SpecialUse::Sent));
            notes.set_use("Trash", None);
            notes.rename_use("My Post/out", "Post/out");
            notes.had_validity(5);
            assert_eq!(notes.new_validity(&root)?, 4_000_000_001);
            Ok(())
        })
        .unwrap();
        let failed = change(&root, MAILDIR, |notes| {
            notes.had_validity(u32::MAX);
            Err::<(), _>(FolderError::Missing)
        });
        assert!(failed.is_err());
        std::fs::write(place.path().join("dovecot-uidvalidity.f0000000"), "").unwrap();
        let mut notes = Notes::read(&root, MAILDIR).unwrap();
        assert_eq!(notes.validity, 4_000_000_001);
        for (name, use_) in [
            ("Post/out", Some(SpecialUse::Sent)),
            ("Sent", None),
            ("Trash", Some(SpecialUse::Trash)),
            ("trash", None),
        ] {
            assert_eq!(notes.use_of(name), use_, "{name}");
        }
        assert_eq!(notes.new_validity(&root).unwrap(), 0xf000_0001);
    }
}
