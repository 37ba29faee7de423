//! Changing the users file, for buzonctl(8): one user's line, and every other octet kept.
//!
//! The file is replaced whole, under an exclusive lock on the old one; running daemons read it
//! anew at the next login or letter. No mailbox is made or removed here.

use super::passwd::valid_name;
use crate::conf::Site;
use crate::sys;
use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long somebody else may be changing the file.
const WAIT: Duration = Duration::from_secs(10);

/// Why the file stays as it was.
#[derive(Debug)]
pub enum Error {
    /// No name for a user, and why.
    Name(String),
    /// There is such a user.
    Exists(String),
    /// There is no such user.
    NoSuchUser(String),
    /// Somebody else is changing the file.
    Locked(String),
    /// The file, and what the kernel said.
    Io(String, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Name(why) => f.write_str(why),
            Error::Exists(name) => write!(f, "there is a user '{name}' already"),
            Error::NoSuchUser(name) => write!(f, "there is no user '{name}'"),
            Error::Locked(path) => write!(f, "{path}: somebody else is changing it"),
            Error::Io(path, error) => write!(f, "{path}: {error}"),
        }
    }
}

/// The name as it will stand in the file, in lower case.
pub fn name(name: &str) -> Result<String, Error> {
    let name = name.to_lowercase();
    valid_name(&name).map_err(Error::Name)?;
    Ok(name)
}

/// Adds a user with a stored password, see `scheme::make`. Makes the file if there is none.
pub fn add(site: &Site, name: &str, stored: &str) -> Result<(), Error> {
    change(site, |text| {
        if text.iter().any(|line| is_of(line, name)) {
            return Err(Error::Exists(name.into()));
        }
        if let Some(last) = text.last_mut()
            && !last.ends_with(b"\n")
        {
            last.push(b'\n');
        }
        text.push(format!("{name}:{stored}\n").into());
        Ok(())
    })
}

/// Gives a user another password; the other fields stay.
pub fn passwd(site: &Site, name: &str, stored: &str) -> Result<(), Error> {
    change(site, |text| {
        let line = text.iter_mut().find(|line| is_of(line, name));
        let line = line.ok_or_else(|| Error::NoSuchUser(name.into()))?;
        let mut fields = line.splitn(3, |octet| *octet == b':');
        let (name, rest) = (fields.next().unwrap_or_default(), fields.nth(1));
        let rest = rest.map_or(b"\n".to_vec(), |rest| [b":", rest].concat());
        *line = [name.trim_ascii_end(), b":", stored.as_bytes(), &rest].concat();
        Ok(())
    })
}

/// Takes a user out of the file.
pub fn del(site: &Site, name: &str) -> Result<(), Error> {
    change(site, |text| {
        let before = text.len();
        text.retain(|line| !is_of(line, name));
        if text.len() < before { Ok(()) } else { Err(Error::NoSuchUser(name.into())) }
    })
}

/// Whether a line is this user's.
fn is_of(line: &[u8], name: &str) -> bool {
    let field = line.split(|octet| *octet == b':').next().unwrap_or_default();
    std::str::from_utf8(field.trim_ascii_end()).is_ok_and(|field| field.to_lowercase() == name)
}

/// Reads, changes and replaces the file; the lines come with their ends.
fn change(
    site: &Site,
    edit: impl FnOnce(&mut Vec<Vec<u8>>) -> Result<(), Error>,
) -> Result<(), Error> {
    let path = &site.users;
    let failed = |error| Error::Io(path.display().to_string(), error);
    let mut file = locked(site)?;
    let mut octets = Vec::new();
    file.read_to_end(&mut octets).map_err(failed)?;
    let mut lines: Vec<Vec<u8>> =
        octets.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect();
    edit(&mut lines)?;
    sys::file::replace(path, &lines.concat(), 0o600).map_err(failed)
}

/// The file, locked for us; made if it is missing.
fn locked(site: &Site) -> Result<File, Error> {
    let path = &site.users;
    let failed = |error| Error::Io(path.display().to_string(), error);
    let deadline = Instant::now() + WAIT;
    loop {
        let file = open(site).map_err(failed)?;
        if !sys::lock::exclusive(&file, deadline).map_err(failed)? {
            return Err(Error::Locked(path.display().to_string()));
        }
        // Careful: whoever held the lock has replaced the file, and ours may be the old one.
        let (ours, now) = (file.metadata().map_err(failed)?, std::fs::metadata(path));
        if now.is_ok_and(|now| (now.dev(), now.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
}

fn open(site: &Site) -> io::Result<File> {
    let path: &Path = &site.users;
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path)?;
    // The daemons become mail_owner and must read what root has made; nobody else may.
    if sys::process::is_root()
        && let Some((_, gid)) = sys::process::account(&site.mail_owner)?
    {
        std::os::unix::fs::fchown(&file, None, Some(gid))?;
        file.set_permissions(Permissions::from_mode(0o640))?;
    }
    Ok(file)
}
