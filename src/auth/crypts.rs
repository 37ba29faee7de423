//! Password computations take turns: at most `limits::CRYPTS` at once, `limits::CRYPTS_WAITING`
//! waiting, and beyond that nobody waits.

use super::Error;
use crate::limits::{CRYPTS, CRYPTS_WAITING};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who computes and who waits.
#[derive(Debug, Default)]
pub(super) struct Crypts {
    turns: Mutex<Turns>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    running: usize,
    waiting: usize,
    taken: u64,
}

/// A turn; dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Crypts);

impl Crypts {
    /// Waits for a turn, unless too many do.
    pub fn take(&self) -> Result<Turn<'_>, Error> {
        let mut turns = self.lock();
        if turns.running >= CRYPTS {
            if turns.waiting >= CRYPTS_WAITING {
                return Err(Error::Busy);
            }
            turns.waiting += 1;
            turns = self
                .free
                .wait_while(turns, |turns| turns.running >= CRYPTS)
                .unwrap_or_else(PoisonError::into_inner);
            turns.waiting -= 1;
        }
        turns.running += 1;
        turns.taken += 1;
        Ok(Turn(self))
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns taken since the start.
    #[cfg(test)]
    pub fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// As if so many waited.
    #[cfg(test)]
    pub fn crowd(&self, waiting: usize) {
        self.lock().waiting = waiting;
    }

    /// How many wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.lock().waiting
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.free.notify_one();
    }
}
