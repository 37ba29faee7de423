//! Letters that somebody asks for: a host that was away tells the one that holds its mail that it is
//! back (RFC 1985).
//!
//! What is asked for is tried by a runner of its own, before its time. Who may ask is the caller's
//! to see.

use super::run::is_for;
use crate::conf::Site;
use crate::limits;
use crate::queue::{Place, Queue};
use crate::sys::{program, thread};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What was found, and done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing waits.
    Nothing,
    /// These letters are tried now.
    Letters(usize),
    /// So many at least.
    AtLeast(usize),
    /// Those that there are; the queue is too long to be looked through.
    Unknown,
    /// Nothing is done: it is done for others.
    Busy,
}

/// Runners at work for those who asked.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// Counts one of them, until it is dropped.
struct Runner;

impl Runner {
    fn new() -> Option<Runner> {
        let count = AT_WORK.fetch_add(1, Ordering::AcqRel);
        let runner = Runner;
        (count < limits::TURNS).then_some(runner)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        AT_WORK.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Tries now what waits for a domain; `@` before it: or for those below.
pub fn turn(site: &Site, node: &str) -> io::Result<Turn> {
    let found = waiting(site, node)?;
    if found == Turn::Nothing {
        return Ok(found);
    }
    let Some(runner) = Runner::new() else { return Ok(Turn::Busy) };
    let child = program::runner(site.file.as_deref(), &["-R", node])?;
    thread::spawn("runner", move || {
        child.bury();
        drop(runner);
    })?;
    Ok(found)
}

fn waiting(site: &Site, node: &str) -> io::Result<Turn> {
    let queue = Queue::new(&site.queue);
    let (mut entries, mut is_long) = (Vec::new(), false);
    queue.entries(Place::Due, |entry| match entries.len() < limits::TURN_LETTERS {
        true => entries.push(entry),
        false => is_long = true,
    })?;
    // A letter that left meanwhile, or that nobody can read, is not waiting.
    let fits = |entry: &_| matches!(queue.look(Place::Due, entry), Ok(Ok(envelope)) if is_for(&envelope, node));
    let count = entries.iter().filter(|entry| fits(entry)).count();
    Ok(match (count, is_long) {
        (0, false) => Turn::Nothing,
        (count, false) => Turn::Letters(count),
        (0, true) => Turn::Unknown,
        (count, true) => Turn::AtLeast(count),
    })
}
