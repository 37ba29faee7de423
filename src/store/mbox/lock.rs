//! The lock of an mbox: first the kernel's, then the file `NAME.lock`, as Debian's policy asks.
//!
//! The kernel's is an open-file-description lock: it keeps two of our threads apart, and excludes
//! the fcntl(2) locks of mutt, Dovecot and procmail. Whoever cannot have the second gives the first
//! back before it waits, so that two who take them in different order never wait for each other.
//! The lock file holds `PID:HOST`, which Dovecot understands, and the libraries that read a PID.
//! One whose process is dead on this host is broken at once, any other after five minutes unchanged.
//!
//! No lock is held while a client is waited for.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::super::Error;
use crate::sys::dir::{self, Dir, Stat};
use crate::sys::identity::with_mail_group;
use crate::sys::{self, lock};

/// How old a lock file may grow that names no living process of this host. Ours are made younger
/// while work goes on.
const STALE: Duration = Duration::from_secs(300);
/// When ours is made younger.
const REFRESH: Duration = Duration::from_secs(60);
/// The first pause before the next try; each is twice as long as the one before, to a limit.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// An mbox that is ours alone; dropping it, also while panicking, gives it back.
#[derive(Debug)]
pub struct Locked {
    /// `None` where the directory is not ours to write: see `lock`.
    dotlock: Option<Dotlock>,
    /// Open for reading and writing.
    pub file: File,
    /// The process whose lock file was found and broken: its work may be half done.
    pub dead: Option<u32>,
}

/// The lock file.
#[derive(Debug)]
struct Dotlock {
    dir: Dir,
    name: Vec<u8>,
    file: File,
    id: (u64, u64),
    touched: Instant,
}

/// Locks an mbox, trying until `deadline`; a missing one is made, or is `None`.
pub fn lock(path: &Path, deadline: Instant, make: bool) -> Result<Option<Locked>, Error> {
    let Some((dir, name)) = place(path, make)? else {
        return Ok(None);
    };
    let lock_name = [&name, &b".lock"[..]].concat();
    let mut pause = PAUSE;
    loop {
        let Some(file) = open(&dir, &name, make)? else {
            return Ok(None);
        };
        if lock::try_exclusive(&file)? {
            // Programs remove an mbox that is empty: the lock may be of a file without a name.
            if !dir
                .stat(&name)
                .is_ok_and(|stat| Stat::of_file(&file).is_ok_and(|f| f.id == stat.id))
            {
                continue;
            }
            let mut dead = None;
            let mut dotlock = Dotlock::take(&dir, &lock_name);
            if matches!(dotlock, Ok(None)) {
                // Careful: the kernel's lock is kept, or another process of ours writes in between,
                // and what the dead one left is taken for untouched.
                dead = with_mail_group(|| break_stale(&dir, &lock_name))?;
                if dead.is_some() {
                    dotlock = Dotlock::take(&dir, &lock_name);
                }
            }
            match dotlock {
                // Careful: a program that the account itself runs may make no file in the mail
                // group's directory. The kernel's lock is enough then, as Debian's policy has
                // everybody take that first; who has taken both already is waited for.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    if dir.stat(&lock_name).is_err() {
                        return Ok(Some(Locked { dotlock: None, file, dead }));
                    }
                }
                Ok(None) => {}
                dotlock => return Ok(Some(Locked { dotlock: dotlock?, file, dead })),
            }
        }
        drop(file);
        if Instant::now() >= deadline {
            return Err(Error::Busy);
        }
        lock::pause(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn place(path: &Path, make: bool) -> io::Result<Option<(Dir, Vec<u8>)>> {
    use std::os::unix::ffi::OsStrExt;
    let name = path.file_name().ok_or_else(|| io::Error::other("is no file"))?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    // The directory may be a link, as /var/spool/mail is; the mbox may not.
    let parent = match std::fs::canonicalize(parent) {
        Err(error) if error.kind() == ErrorKind::NotFound && make => {
            dir::create_path(parent)?;
            std::fs::canonicalize(parent)?
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        parent => parent?,
    };
    Ok(Some((Dir::open(&parent)?, name.as_bytes().to_vec())))
}

fn open(dir: &Dir, name: &[u8], make: bool) -> io::Result<Option<File>> {
    match dir.edit_file(name) {
        Err(error) if error.kind() == ErrorKind::NotFound && make => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => return file.map(Some),
    }
    match with_mail_group(|| dir.create_file(name)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        // Careful: the name must outlive a crash, or the first letter does not.
        _ => dir.sync()?,
    }
    open(dir, name, false)
}

impl Dotlock {
    /// `None` where there is one.
    fn take(dir: &Dir, name: &[u8]) -> io::Result<Option<Dotlock>> {
        let dir = dir.again()?;
        // It is whole before it has a name, so that no crash leaves one that names nobody.
        let made = with_mail_group(|| {
            let mut file = dir.nameless_file()?;
            let _ = file.write_all(owner().as_bytes());
            dir.name_file(&file, name)?;
            Ok(file)
        });
        match made {
            Err(error) if unsupported(&error) => {}
            made => return Dotlock::of(dir, name, made),
        }
        let made = with_mail_group(|| {
            let mut file = dir.create_file(name)?;
            let _ = file.write_all(owner().as_bytes());
            Ok(file)
        });
        Dotlock::of(dir, name, made)
    }

    fn of(dir: Dir, name: &[u8], made: io::Result<File>) -> io::Result<Option<Dotlock>> {
        let file = match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            made => made?,
        };
        let id = Stat::of_file(&file)?.id;
        Ok(Some(Dotlock { dir, name: name.to_vec(), file, id, touched: Instant::now() }))
    }
}

/// NFS has no nameless files, and there may be no /proc.
fn unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unsupported
            | ErrorKind::IsADirectory
            | ErrorKind::NotFound
            | ErrorKind::InvalidInput
    )
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        if self.dir.stat(&self.name).is_ok_and(|stat| stat.id == self.id) {
            let _ = with_mail_group(|| self.dir.unlink(&self.name));
        }
    }
}

impl Locked {
    /// To be called now and then in long work.
    pub fn refresh(&mut self) {
        if let Some(dotlock) = &mut self.dotlock
            && dotlock.touched.elapsed() > REFRESH
        {
            let _ = dotlock.file.set_modified(SystemTime::now());
            dotlock.touched = Instant::now();
        }
    }
}

fn owner() -> String {
    format!("{}:{}", std::process::id(), sys::hostname().unwrap_or_default())
}

/// Removes a lock file that was left behind; tells whose it was, 0 where it does not say. We hold
/// the kernel's lock, so no other of ours is about to do the same.
fn break_stale(dir: &Dir, name: &[u8]) -> io::Result<Option<u32>> {
    let seen = match dir.stat(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        seen => seen?,
    };
    let age = SystemTime::now().duration_since(seen.mtime).unwrap_or_default();
    let owner = owner_of(dir, name);
    let is_dead = owner.is_some_and(|owner| !i32::try_from(owner).is_ok_and(lock::is_alive));
    if !(is_dead || age > STALE) || dir.stat(name).ok() != Some(seen) {
        return Ok(None);
    }
    dir.unlink(name)?;
    Ok(Some(owner.unwrap_or(0)))
}

/// The process of this host that a lock file names. One that may not be read names none.
fn owner_of(dir: &Dir, name: &[u8]) -> Option<u32> {
    let mut owner = Vec::new();
    dir.open_file(name).and_then(|file| file.take(512).read_to_end(&mut owner)).ok()?;
    let owner = String::from_utf8_lossy(&owner);
    let owner = owner.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let process = match owner.split_once(':') {
        Some((process, host)) => {
            sys::hostname().is_some_and(|ours| ours == host).then_some(process)?
        }
        // A PID alone is of this host, for those who write so.
        None => owner,
    };
    // procmail writes a zero.
    process.parse().ok().filter(|process| *process > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn dead_process() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("alice");
        (place, path)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    #[test]
    fn locks_exclude_and_go_with_their_guard() {
        let (place, path) = place();
        assert!(lock(&path, soon(), false).unwrap().is_none());
        let locked = lock(&path, soon(), true).unwrap().unwrap();
        let content = std::fs::read_to_string(place.path().join("alice.lock")).unwrap();
        assert_eq!(content, owner());
        assert!(matches!(lock(&path, soon(), true), Err(Error::Busy)));
        drop(locked);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
        let panicked = std::panic::catch_unwind(|| {
            let _locked = lock(&path, soon(), true).unwrap();
            panic!("as it happens");
        });
        assert!(panicked.is_err());
        assert_eq!(lock(&path, soon(), true).unwrap().unwrap().dead, None);
    }

    #[test]
    fn lock_files_that_were_left_behind() {
        let (place, path) = place();
        let lock_file = place.path().join("alice.lock");
        let host = sys::hostname().unwrap();
        let (dead, living) = (dead_process(), std::process::id());
        for (content, seconds, broken) in [
            (format!("{dead}:{host}"), 0, true),
            (format!("{dead}\n"), 0, true),
            (format!("{dead}:elsewhere.example"), 0, false),
            (format!("{living}\n"), 0, false),
            ("0".into(), 0, false),
            (String::new(), 0, false),
            (format!("{dead}:elsewhere.example"), 301, true),
            (String::new(), 301, true),
            (String::new(), 290, false),
        ] {
            std::fs::write(&lock_file, &content).unwrap();
            let file = File::options().write(true).open(&lock_file).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
            match lock(&path, soon(), true) {
                Ok(locked) => {
                    assert!(broken && locked.unwrap().dead.is_some(), "{content} {seconds}")
                }
                Err(error) => assert!(!broken, "{content} {seconds}: {error}"),
            }
        }
    }

    #[test]
    fn links_and_strange_files_are_refused() {
        let (place, path) = place();
        let other = place.path().join("bob");
        std::fs::write(&other, "").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(lock(&path, soon(), true).is_err());
        std::fs::remove_file(&path).unwrap();
        std::fs::hard_link(&other, &path).unwrap();
        assert!(lock(&path, soon(), true).is_err());
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(lock(&path, soon(), true).is_err());
    }
}
