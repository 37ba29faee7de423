//! Those who wake at the same time take turns.
//!
//! A message may come into a thousand boxes at once, and everybody who waits there wants to look,
//! with some files and some memory each. At most `limits::AWAKE` do so at a time; a turn that ends
//! is handed to one who waits. Nothing but time depends on it: where no turn has ended for a while
//! those who wait look all the same, so that a few who hang on a disk hold up nobody for good.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits;

/// After so long without the end of a turn nobody waits.
const PATIENCE: Duration = Duration::from_secs(2);

static TURNS: Turns = Turns::new(limits::AWAKE);

/// A turn to look; dropped, it is another's.
#[derive(Debug)]
pub struct Awake(Option<&'static Turns>);

impl Awake {
    /// Waits for it.
    pub fn take() -> Awake {
        TURNS.take(PATIENCE)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        if let Some(turns) = self.0 {
            turns.give_back();
        }
    }
}

#[derive(Debug)]
struct Turns {
    state: Mutex<State>,
    handed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Turns that nobody has.
    free: usize,
    waiting: usize,
    /// Turns that were handed to those who wait, who have not noticed yet.
    handed: usize,
    /// Turns that came to their end.
    ended: u64,
}

impl Turns {
    const fn new(free: usize) -> Turns {
        let state = Mutex::new(State { free, waiting: 0, handed: 0, ended: 0 });
        Turns { state, handed: Condvar::new() }
    }

    fn take(&'static self, patience: Duration) -> Awake {
        let mut state = self.state();
        if state.free > 0 {
            state.free -= 1;
            return Awake(Some(self));
        }
        state.waiting += 1;
        loop {
            let before = state.ended;
            // Careful: who comes later does not take what was handed to one who waits.
            let waited = self.handed.wait_timeout_while(state, patience, |state| state.handed == 0);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.handed > 0 {
                state.handed -= 1;
                return Awake(Some(self));
            }
            if state.ended == before {
                state.waiting -= 1;
                return Awake(None);
            }
        }
    }

    fn give_back(&self) {
        let mut state = self.state();
        state.ended += 1;
        if state.waiting == 0 {
            state.free += 1;
            return;
        }
        state.waiting -= 1;
        state.handed += 1;
        drop(state);
        self.handed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn few_are_awake_at_once_and_each_has_its_turn() {
        static TURNS: Turns = Turns::new(3);
        let (awake, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    let _turn = TURNS.take(Duration::from_secs(3600));
                    most.fetch_max(awake.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    awake.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()));
        let state = TURNS.state();
        assert_eq!((state.free, state.waiting, state.handed), (3, 0, 0));
    }

    #[test]
    fn whoever_hangs_is_left_behind() {
        static TURNS: Turns = Turns::new(1);
        let hangs = TURNS.take(Duration::ZERO);
        assert!(TURNS.take(Duration::from_millis(20)).0.is_none());
        drop(hangs);
        assert_eq!(TURNS.state().free, 1);
        assert!(TURNS.take(Duration::ZERO).0.is_some());
    }
}
