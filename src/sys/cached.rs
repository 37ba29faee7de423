//! A text file that is parsed once, and again whenever it has changed.
//!
//! Nothing depends on what is remembered: without it the file is only read more often. The lock
//! is never held while the file is read, so two threads may read a new file at the same time.

use super::file::{Stamp, stamp};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Clocks of file systems tick slowly: a file as young as this may change once more and look the
/// same.
const UNSURE: Duration = Duration::from_secs(2);

/// What a file said when it was last read.
#[derive(Debug)]
pub struct Cached<T> {
    held: Mutex<Option<Held<T>>>,
}

#[derive(Debug)]
struct Held<T> {
    path: PathBuf,
    stamp: Stamp,
    sure: bool,
    value: Arc<T>,
}

impl<T> Default for Cached<T> {
    fn default() -> Cached<T> {
        Cached { held: Mutex::new(None) }
    }
}

impl<T> Cached<T> {
    /// What the file says now; `None` where there is none. Octets that are no UTF-8 come to
    /// `parse` as U+FFFD, so that one bad line does not lose the others. `news` sees each state
    /// of the file once.
    pub fn get(
        &self,
        path: &Path,
        limit: u64,
        parse: impl FnOnce(&str) -> T,
        news: impl FnOnce(&T),
    ) -> io::Result<Option<Arc<T>>> {
        let Some(now) = stamp(path)? else {
            return Ok(None);
        };
        let mut known = false;
        if let Some(held) = &*self.held.lock().unwrap_or_else(PoisonError::into_inner)
            && held.path == path
            && held.stamp == now
        {
            if held.sure {
                return Ok(Some(held.value.clone()));
            }
            known = true;
        }
        // Careful: the stamp was taken before the file is read; if it changes in between, the
        // old stamp stays beside the new text, and the file is read once more.
        let sure = std::fs::metadata(path)?
            .modified()
            .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > UNSURE));
        let value = Arc::new(parse(&read(path, limit)?));
        if !known {
            news(&value);
        }
        let held = Held { path: path.into(), stamp: now, sure, value: value.clone() };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(Some(value))
    }
}

fn read(path: &Path, limit: u64) -> io::Result<String> {
    let mut octets = Vec::new();
    if File::open(path)?.take(limit + 1).read_to_end(&mut octets)? as u64 > limit {
        return Err(io::Error::other(format!("is larger than {limit} octets")));
    }
    Ok(String::from_utf8(octets)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_file_is_read_again_when_it_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        let (cached, reads, news) = (Cached::default(), Cell::new(0), Cell::new(0));
        let get = || {
            let parse = |text: &str| {
                reads.set(reads.get() + 1);
                text.to_owned()
            };
            cached.get(&path, 10, parse, |_| news.set(news.get() + 1))
        };
        let age = |seconds| {
            let at = SystemTime::now() - Duration::from_secs(seconds);
            File::options().append(true).open(&path).unwrap().set_modified(at).unwrap();
        };
        assert!(get().unwrap().is_none());
        std::fs::write(&path, "one").unwrap();
        age(60);
        assert_eq!(*get().unwrap().unwrap(), "one");
        assert_eq!(*get().unwrap().unwrap(), "one");
        assert_eq!((reads.get(), news.get()), (1, 1));
        std::fs::write(&path, "two").unwrap();
        assert_eq!(*get().unwrap().unwrap(), "two");
        assert_eq!(*get().unwrap().unwrap(), "two");
        assert_eq!((reads.get(), news.get()), (3, 2), "a young file is read again");
        std::fs::write(&path, b"caf\xe9").unwrap();
        assert_eq!(*get().unwrap().unwrap(), "caf\u{fffd}");
        std::fs::write(&path, "far too long").unwrap();
        assert!(get().is_err());
    }
}
