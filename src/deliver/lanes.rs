//! What is to be done, sorted by where it goes: a lane for each destination, so that letters for one
//! host share its connections and a slow one holds up nobody else.
//!
//! All that is shared between the runner and its threads is here, under one lock that is held for
//! moments and never across I/O.

use super::work::Work;
use crate::conf::Way;
use crate::limits;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Where letters go together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Mailboxes of this site.
    Here,
    /// Programs and files of a user, or of the site: theirs to wait for when they are slow.
    Programs(Option<String>),
    /// The hosts of a domain.
    Domain(String),
    /// One host or socket, for whatever domain; whether the domain is one of `tls_require`.
    Relay(Way, bool),
}

impl Lane {
    /// Whether it ends at this host, so that recipients share nothing on their way.
    pub fn is_here(&self) -> bool {
        matches!(self, Lane::Here | Lane::Programs(_))
    }
}

/// Recipients of one letter that go the same way.
pub(super) struct Job {
    /// The letter.
    pub work: Arc<Work>,
    /// Their numbers.
    pub recipients: Vec<usize>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    workers: usize,
    idle: usize,
    news: Arc<Condvar>,
}

#[derive(Default)]
struct Shared {
    lanes: BTreeMap<Lane, State>,
    workers: usize,
    /// No more jobs will come.
    closing: bool,
}

/// The lanes of one runner.
#[derive(Default)]
pub(super) struct Lanes {
    shared: Mutex<Shared>,
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a lane has as much to do as is kept in memory.
    pub fn is_full(&self, lane: &Lane) -> bool {
        let shared = self.lock();
        shared.lanes.get(lane).is_some_and(|state| state.jobs.len() >= limits::LANE)
    }

    /// Adds a job; whether another thread should be started for its lane.
    pub fn add(&self, lane: &Lane, job: Job, (in_all, each): (usize, usize)) -> bool {
        let mut shared = self.lock();
        shared.closing = false;
        let free = shared.workers < in_all;
        let state = shared.lanes.entry(lane.clone()).or_default();
        state.jobs.push_back(job);
        state.news.notify_one();
        let wanted = state.jobs.len() > state.idle && state.workers < each && free;
        if wanted {
            state.workers += 1;
            shared.workers += 1;
        }
        wanted
    }

    /// The next job of a lane, waited for a while where more are to come. `None` ends the thread.
    pub fn next(&self, lane: &Lane, in_all: usize) -> Option<Job> {
        let mut shared = self.lock();
        let mut waited = false;
        loop {
            let crowded = shared.workers >= in_all;
            let closing = shared.closing;
            let state = shared.lanes.get_mut(lane)?;
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if waited || closing || crowded {
                return None;
            }
            waited = true;
            state.idle += 1;
            let news = state.news.clone();
            let (back, _) = news
                .wait_timeout_while(shared, limits::LANE_IDLE, |shared| {
                    !shared.closing
                        && shared.lanes.get(lane).is_some_and(|state| state.jobs.is_empty())
                })
                .unwrap_or_else(PoisonError::into_inner);
            shared = back;
            if let Some(state) = shared.lanes.get_mut(lane) {
                state.idle -= 1;
            }
        }
    }

    /// A thread of a lane is gone; a lane with jobs that nobody works on, if there is one: the
    /// caller starts a thread for it.
    pub fn leave(&self, lane: &Lane, in_all: usize) -> Option<Lane> {
        let mut shared = self.lock();
        shared.workers -= 1;
        if let Some(state) = shared.lanes.get_mut(lane) {
            state.workers -= 1;
            if state.workers == 0 && state.jobs.is_empty() {
                shared.lanes.remove(lane);
            }
        }
        if shared.workers >= in_all {
            return None;
        }
        let waits = |(_, state): &(&Lane, &State)| state.workers == 0 && !state.jobs.is_empty();
        let next = shared.lanes.iter().find(waits).map(|(lane, _)| lane.clone())?;
        if let Some(state) = shared.lanes.get_mut(&next) {
            state.workers += 1;
        }
        shared.workers += 1;
        Some(next)
    }

    /// Says that no more jobs will come, so that nobody waits for them.
    pub fn close(&self) {
        let mut shared = self.lock();
        shared.closing = true;
        shared.lanes.values().for_each(|state| state.news.notify_all());
    }

    /// Threads at work.
    pub fn workers(&self) -> usize {
        self.lock().workers
    }
}
