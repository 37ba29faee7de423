//! Seeing to it that somebody looks at the queue: a runner at work is told, or one is started.
//!
//! A runner opens the FIFO before it scans. So whoever finds nobody there has put a letter where the
//! next runner sees it, and has only to see that there is a next one.

use crate::conf::Site;
use crate::queue::wake;
use crate::sys::{lock, program, thread};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What this process is doing about it.
struct State {
    /// A runner was started, and has not been heard of.
    starting: bool,
    /// Letters came since.
    again: bool,
}

static STATE: Mutex<State> = Mutex::new(State { starting: false, again: false });

/// How often to ask whether it listens, and how long.
const STEP: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(10);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the runner of the site that a letter waits; starts one where there is none.
pub fn summon(site: &Site) {
    match wake::call(&site.queue) {
        Ok(true) => return,
        Ok(false) => {}
        // Cron's runner will find the letter.
        Err(error) => return log::warn!("wake error={error}"),
    }
    {
        let mut state = state();
        if state.starting {
            state.again = true;
            return;
        }
        state.starting = true;
    }
    start(site);
}

fn start(site: &Site) {
    let began = program::runner(site.file.as_deref(), &[]).and_then(|child| {
        let (site, child) = (site.clone(), child);
        thread::spawn("runner", move || attend(&site, child))
    });
    if let Err(error) = began {
        log::warn!("runq error={error}");
        state().starting = false;
    }
}

/// Waits until it listens, starts another if letters came for which it was too early or too late,
/// and buries it in the end.
fn attend(site: &Site, mut child: program::Child) {
    let until = Instant::now() + PATIENCE;
    let listens = || wake::call(&site.queue).unwrap_or(false);
    while !listens() && child.is_alive() && Instant::now() < until {
        lock::pause(STEP);
    }
    let mut state = state();
    let again = std::mem::take(&mut state.again);
    state.starting = again && !listens();
    let starting = state.starting;
    drop(state);
    if starting {
        start(site);
    }
    child.bury();
}
