//! A lock that is a file: `NAME.lock`, as Dovecot and mutt understand it.
//!
//! It holds `PID:HOST` of its owner and is kept for milliseconds. One whose owner is dead on this
//! host is broken at once, any other after it was watched unchanged for two minutes. It is written
//! under another name first, so that no crash leaves one that does not say whose it is.
//! Not here: locks that end with the process by themselves (`sys::lock`).

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::super::Error;
use super::name;
use crate::sys::dir::{Dir, Stat};
use crate::sys::{self, lock};

/// How long a lock may stay the same before it counts as left behind.
const STALE: Duration = Duration::from_secs(120);
/// How long we wait while locks come and go.
const PATIENCE: Duration = Duration::from_secs(150);
/// The first pause before the next look; each is twice as long as the one before, to a limit.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A lock file that is ours; dropping it, also while panicking, takes it away.
#[derive(Debug)]
pub struct Dotlock<'a> {
    dir: &'a Dir,
    name: &'a [u8],
    id: (u64, u64),
}

/// A lock file as it was seen.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    stat: Stat,
    owner: Vec<u8>,
}

/// Takes the lock, waiting while others have it; it is written in `tmp`.
pub fn take<'a>(dir: &'a Dir, name: &'a [u8], tmp: &Dir) -> Result<Dotlock<'a>, Error> {
    let draft = Draft::write(tmp)?;
    let begun = Instant::now();
    let mut pause = PAUSE;
    let mut watched: Option<(Seen, Instant)> = None;
    while begun.elapsed() < PATIENCE {
        match tmp.link(draft.name.as_bytes(), dir, name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            linked => return Ok(linked.map(|()| Dotlock { dir, name, id: draft.id })?),
        }
        let Some(seen) = look(dir, name)? else {
            continue;
        };
        let since = match watched.take() {
            Some((before, since)) if before == seen => since,
            _ => Instant::now(),
        };
        if is_dead(&seen.owner) || since.elapsed() > STALE {
            break_lock(dir, name, &seen)?;
        }
        watched = Some((seen, since));
        lock::pause(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Err(Error::Busy)
}

/// A lock file that is none yet. It goes when the lock is taken or given up.
struct Draft<'a> {
    tmp: &'a Dir,
    name: String,
    id: (u64, u64),
}

impl<'a> Draft<'a> {
    fn write(tmp: &'a Dir) -> io::Result<Draft<'a>> {
        let name = name::unique();
        let mut file = tmp.create_file(name.as_bytes())?;
        let draft = Draft { tmp, name, id: Stat::of_file(&file)?.id };
        // On a full disk the file stays empty and is a lock all the same.
        let _ = file.write_all(owner().as_bytes());
        Ok(draft)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        let _ = self.tmp.unlink(self.name.as_bytes());
    }
}

/// What we write into a lock.
fn owner() -> String {
    format!("{}:{}", std::process::id(), sys::hostname().unwrap_or_default())
}

fn look(dir: &Dir, name: &[u8]) -> io::Result<Option<Seen>> {
    let mut owner = Vec::new();
    let file = match dir.open_file(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    (&file).take(512).read_to_end(&mut owner)?;
    Ok(Some(Seen { stat: Stat::of_file(&file)?, owner }))
}

/// Whether the owner of a lock was a process of this host and is no more.
fn is_dead(owner: &[u8]) -> bool {
    let owner = String::from_utf8_lossy(owner);
    let Some((process, host)) = owner.trim_end().split_once(':') else {
        return false;
    };
    sys::hostname().is_some_and(|ours| ours == host)
        && process.parse().is_ok_and(|process| !lock::is_alive(process))
}

/// Removes a lock that was left behind.
///
/// Careful: two of us may find it dead. If the slower one then removed what stands there, it
/// would be the lock of the faster. So who breaks a lock locks its inode, and looks again.
fn break_lock(dir: &Dir, name: &[u8], seen: &Seen) -> io::Result<()> {
    let file = match dir.append_file(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let is_the_one = Stat::of_file(&file)? == seen.stat;
    if is_the_one && lock::try_exclusive(&file)? {
        remove(dir, name, seen.stat.id);
    }
    Ok(())
}

/// Removes the lock file if it is still this one.
fn remove(dir: &Dir, name: &[u8], id: (u64, u64)) {
    if dir.stat(name).is_ok_and(|stat| stat.id == id) {
        let _ = dir.unlink(name);
    }
}

impl Drop for Dotlock<'_> {
    fn drop(&mut self) {
        remove(self.dir, self.name, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const NAME: &[u8] = b"list.lock";

    fn dead_process() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    fn locked(place: &Path, content: &str) -> Dir {
        std::fs::write(place.join("list.lock"), content).unwrap();
        Dir::open(place).unwrap()
    }

    #[test]
    fn a_lock_says_whose_it_is_and_goes_with_its_guard() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let path = place.path().join("list.lock");
        let lock = take(&dir, NAME, &dir).unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), owner());
        assert!(!is_dead(owner().as_bytes()));
        drop(lock);
        assert!(!path.exists());
        let panicked = std::panic::catch_unwind(|| {
            let _lock = take(&dir, NAME, &dir).unwrap();
            panic!("as it happens");
        });
        assert!(panicked.is_err());
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_of_the_dead_is_broken_at_once() {
        let place = tempfile::tempdir().unwrap();
        let host = sys::hostname().unwrap();
        let dir = locked(place.path(), &format!("{}:{host}\n", dead_process()));
        let begun = Instant::now();
        let _lock = take(&dir, NAME, &dir).unwrap();
        assert!(begun.elapsed() < STALE);
    }

    #[test]
    fn only_the_dead_of_this_host_are_dead() {
        let host = sys::hostname().unwrap();
        let dead = dead_process();
        for (owner, expected) in [
            (format!("{dead}:{host}"), true),
            (format!("{dead}:{host}\n"), true),
            (format!("{dead}:elsewhere.example"), false),
            (format!("{}:{host}", std::process::id()), false),
            (format!("{dead}"), false),
            (format!("x:{host}"), false),
            (String::new(), false),
        ] {
            assert_eq!(is_dead(owner.as_bytes()), expected, "{owner:?}");
        }
    }

    #[test]
    fn a_lock_of_another_is_neither_broken_nor_removed() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let lock = take(&dir, NAME, &dir).unwrap();
        let seen = look(&dir, NAME).unwrap().unwrap();
        let path = place.path().join("list.lock");
        std::fs::rename(&path, place.path().join("aside")).unwrap();
        std::fs::write(&path, "1:elsewhere").unwrap();
        break_lock(&dir, NAME, &seen).unwrap();
        drop(lock);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1:elsewhere");
    }

    #[test]
    fn many_threads_take_turns() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().to_path_buf();
        let host = sys::hostname().unwrap();
        locked(&path, &format!("{}:{host}", dead_process()));
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let dir = Dir::open(&path).unwrap();
                    for _ in 0..50 {
                        let _lock = take(&dir, NAME, &dir).unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
