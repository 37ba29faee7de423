//! The directories of a Maildir, and who is in them: maildir(5), Maildir++ for the folders.
//!
//! A message is written in `tmp/`, renamed into `new/`, and moved by a reader to `cur/`, where
//! flags stand behind the colon of its name.
//!
//! Not here: what the names say (`name`), the listing (`files`), numbers (`uidlist`).

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::Error;
use super::name;
use crate::sys::dir::{self, Dir, Kind};
use crate::sys::lock;

/// What maildir(5) grants a writer before its file in `tmp/` may go.
const TMP_LIFE: Duration = Duration::from_secs(36 * 3600);
/// Twice what the kernel's clock takes to tick where stamps have fractions of seconds.
const FINE_TICK: Duration = Duration::from_millis(20);
/// And where they have none.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// The top of a Maildir.
#[derive(Debug)]
pub struct Maildir {
    /// Where `tmp`, `new`, `cur`, the list of UIDs and the folders are.
    pub root: Dir,
}

impl Maildir {
    /// Opens a Maildir, which is made if it is missing.
    pub fn open(path: &Path) -> io::Result<Maildir> {
        match Dir::open(path) {
            Ok(root) => Ok(Maildir { root }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                dir::create_path(path)?;
                let maildir = Maildir { root: Dir::open(path)? };
                for name in [b"tmp", b"new", b"cur"] {
                    maildir.sub(name)?;
                }
                Ok(maildir)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens `tmp`, `new` or `cur`, which is made if it is missing.
    pub fn sub(&self, name: &[u8]) -> io::Result<Dir> {
        match self.root.open_dir(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        match self.root.create_dir(name) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => self.root.sync()?,
        }
        self.root.open_dir(name)
    }

    /// Removes what writers left behind in `tmp`. What cannot be removed stays.
    ///
    /// Careful: what a client appends, or is copied, may bear an old date as its mtime.
    pub fn clean_tmp(&self) -> io::Result<()> {
        let tmp = self.sub(b"tmp")?;
        let now = SystemTime::now();
        tmp.entries(|name, kind| {
            let age = tmp.last_use(name).ok().and_then(|last| now.duration_since(last).ok());
            if kind == Kind::File && age.is_some_and(|age| age > TMP_LIFE) {
                let _ = tmp.unlink(name);
            }
        })
    }
}

/// The two directories where messages are.
#[derive(Debug)]
pub struct Places {
    /// Messages that no reader has moved yet.
    pub new: Dir,
    /// The others.
    pub cur: Dir,
}

impl Places {
    /// Opens both.
    pub fn open(maildir: &Maildir) -> io::Result<Places> {
        Ok(Places { new: maildir.sub(b"new")?, cur: maildir.sub(b"cur")? })
    }

    /// The directory of a file.
    pub fn of(&self, is_new: bool) -> &Dir {
        if is_new { &self.new } else { &self.cur }
    }

    /// When they changed, to be compared before and after a look.
    pub fn stamp(&self) -> io::Result<[SystemTime; 2]> {
        Ok([self.new.stat_self()?.mtime, self.cur.stat_self()?.mtime])
    }
}

/// A look at both directories: when it began, and their stamps then.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    begun: SystemTime,
    pub stamp: [SystemTime; 2],
}

impl Look {
    /// Begins to look.
    pub fn begin(places: &Places) -> io::Result<Look> {
        Ok(Look { stamp: places.stamp()?, begun: SystemTime::now() })
    }

    /// Waits until a look can be sure of what it sees; a moment at most.
    pub fn await_tick(places: &Places) -> io::Result<()> {
        let now = SystemTime::now();
        for time in places.stamp()? {
            if let Ok(age) = now.duration_since(time) {
                lock::pause(FINE_TICK.saturating_sub(age));
            }
        }
        Ok(())
    }

    /// Whether nothing can have been renamed since, so that the same stamp means the same files.
    ///
    /// Careful: a directory that had changed just before may have changed again within the same
    /// tick of its clock.
    pub fn was_quiet(&self, places: &Places) -> io::Result<bool> {
        let is_old = |time: SystemTime| {
            let ticks_finely = time.duration_since(UNIX_EPOCH).is_ok_and(|t| t.subsec_nanos() > 0);
            let tick = if ticks_finely { FINE_TICK } else { COARSE_TICK };
            self.begun.duration_since(time).is_ok_and(|age| age >= tick)
        };
        Ok(self.stamp.into_iter().all(is_old) && places.stamp()? == self.stamp)
    }
}

/// The octets on disk of all messages in a Maildir and its Maildir++ folders; none where there is
/// no such Maildir.
pub fn used(maildir: &Path) -> Result<u64, Error> {
    let root = match Dir::open(maildir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        root => root?,
    };
    let mut sum = octets_in(&root)?;
    let mut folders = Vec::new();
    root.entries(|name, kind| {
        if kind == Kind::Directory && name.starts_with(b".") {
            folders.push(name.to_vec());
        }
    })?;
    for folder in folders {
        match root.open_dir(&folder) {
            Ok(folder) => sum += octets_in(&folder)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sum)
}

fn octets_in(folder: &Dir) -> io::Result<u64> {
    let mut sum = 0;
    for place in [&b"new"[..], b"cur"] {
        let place = match folder.open_dir(place) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            place => place?,
        };
        place.entries(|name, kind| {
            if kind == Kind::File {
                // A file that went away meanwhile uses nothing.
                let stat = || place.stat(name).map(|stat| stat.size).unwrap_or(0);
                sum += name::octets(name::base(name)).unwrap_or_else(stat);
            }
        })?;
    }
    Ok(sum)
}
