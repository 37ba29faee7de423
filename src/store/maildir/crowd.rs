//! Sessions of this process on one box: one looks, the others wait for the listing that it leaves,
//! and those who read a listing at the same time read it once.
//!
//! Two small tables, a place for each box that is looked at or rested on at the moment. Nothing but
//! time and memory depends on them: who has waited long enough looks itself, so whoever looks may
//! wait for locks and disks, and hang, without holding up the rest for good.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::listing::{Listing, Truth};
use crate::sys::dir::{Dir, Stat};

/// So long the others wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// Device and inode.
type Id = (u64, u64);

static LOOKS: LazyLock<Mutex<HashMap<Id, Arc<Look>>>> = LazyLock::new(Mutex::default);
static LEFT: LazyLock<Mutex<HashMap<Id, Weak<Left>>>> = LazyLock::new(Mutex::default);

/// A look at a box that is under way.
#[derive(Debug, Default)]
struct Look {
    waiting: AtomicUsize,
    is_over: Mutex<bool>,
    over: Condvar,
}

/// The right to look at a box before the others do.
#[derive(Debug)]
pub struct Turn {
    id: Id,
    look: Arc<Look>,
}

impl Turn {
    /// Takes it; or, where another has it, waits until that one is done or the time is over.
    pub fn take(id: Id, until: Instant) -> Option<Turn> {
        let mut looks = locked(&LOOKS);
        let Some(look) = looks.get(&id).cloned() else {
            let look = Arc::<Look>::default();
            looks.insert(id, look.clone());
            return Some(Turn { id, look });
        };
        drop(looks);
        look.waiting.fetch_add(1, Ordering::Relaxed);
        let left = until.saturating_duration_since(Instant::now());
        drop(look.over.wait_timeout_while(locked(&look.is_over), left, |is_over| !*is_over));
        None
    }

    /// Until when somebody who begins to wait now should.
    pub fn deadline() -> Instant {
        Instant::now() + PATIENCE
    }

    /// Whether others wait for what is found.
    pub fn is_awaited(&self) -> bool {
        self.look.waiting.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        locked(&LOOKS).remove(&self.id);
        *locked(&self.look.is_over) = true;
        self.look.over.notify_all();
    }
}

/// A listing that was left, open once for all who want it. It is in memory only while somebody
/// uses it.
#[derive(Debug)]
pub struct Left {
    id: Id,
    file: File,
    listing: Mutex<Weak<Listing>>,
}

impl Left {
    /// What was left last in a box.
    pub fn open(root: &Dir) -> Option<Arc<Left>> {
        let file = Listing::open(root)?;
        let id = Stat::of_file(&file).ok()?.id;
        let mut all = locked(&LEFT);
        if let Some(left) = all.get(&id).and_then(Weak::upgrade) {
            return Some(left);
        }
        let left = Arc::new(Left { id, file, listing: Mutex::default() });
        all.insert(id, Arc::downgrade(&left));
        Some(left)
    }

    /// What it says.
    pub fn read(&self) -> io::Result<Arc<Listing>> {
        if let Some(listing) = locked(&self.listing).upgrade() {
            return Ok(listing);
        }
        let listing = Arc::new(Listing::read_file(&self.file)?);
        *locked(&self.listing) = Arc::downgrade(&listing);
        Ok(listing)
    }

    /// Whether it is true of these stamps, which its head tells.
    pub fn is_true(&self, truth: &Truth) -> bool {
        Listing::truth_of(&self.file).as_ref() == Some(truth)
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let mut all = locked(&LEFT);
        // Careful: another may have been opened since we were let go.
        if all.get(&self.id).is_some_and(|left| left.strong_count() == 0) {
            all.remove(&self.id);
        }
    }
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_looks_and_the_others_wait_for_it_but_not_for_good() {
        let id = (0, 4711);
        let turn = Turn::take(id, Turn::deadline()).unwrap();
        assert!(Turn::take((0, 4712), Turn::deadline()).is_some(), "another box is free");
        // Whoever hangs is left behind.
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(Turn::take(id, soon).is_none() && Instant::now() >= soon);
        let turn = std::thread::scope(|scope| {
            let far = Instant::now() + Duration::from_secs(3600);
            let other = scope.spawn(move || Turn::take(id, far).is_none());
            while turn.look.waiting.load(Ordering::Relaxed) < 2 {
                std::thread::yield_now();
            }
            assert!(turn.is_awaited());
            drop(turn);
            assert!(other.join().unwrap());
            Turn::take(id, far).unwrap()
        });
        drop(turn);
        assert!(!locked(&LOOKS).contains_key(&id));
    }
}
