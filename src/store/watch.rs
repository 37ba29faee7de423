//! Being told when a selected mailbox changes, for IDLE (RFC 2177).
//!
//! The process has one inotify instance and one hidden thread that reads it; a directory is watched
//! once, however many sessions sit on it. They sleep in groups, each group on one bell, so that a
//! group costs one descriptor. A bell is rung once and never silenced: who wakes up takes one that
//! has not rung, and then looks, so that nothing falls between. Where the kernel refuses, or others
//! may change the file system unseen, whoever watches has to look once a second, which the log says
//! once. Nothing depends on a bell but time: what changed is found by `refresh`.
//!
//! `start` is called by the main thread before the first session.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::Duration;

use super::Selected;
use crate::sys::inotify::{self, Bell, Event, Watched, Watcher};
use crate::sys::thread;

/// How often to look where nobody tells.
const PERIOD: Duration = Duration::from_secs(1);

/// As many sessions sleep on one bell.
const GROUP: usize = 16;
/// One group of a crowd is told at once; then the next, twice as many, after so long.
const BREATH: Duration = Duration::from_millis(30);

/// Who is to be told of what. The lock is never held while something may wait.
struct Post {
    watcher: Watcher,
    groups: Mutex<Groups>,
}

type Groups = HashMap<Watched, Vec<Arc<Group>>>;

static POST: OnceLock<Arc<Post>> = OnceLock::new();

/// Starts the thread that reads what the kernel tells. Without it everybody looks once a second.
pub fn start() -> io::Result<()> {
    if POST.get().is_some() {
        return Ok(());
    }
    let post = Arc::new(Post { watcher: Watcher::new()?, groups: Mutex::default() });
    let reader = post.clone();
    if POST.set(post).is_ok() {
        thread::spawn("watch", move || reader.read())?;
    }
    Ok(())
}

impl Post {
    fn read(&self) {
        loop {
            match self.watcher.wait() {
                Ok(events) => self.tell(&events),
                Err(error) => {
                    // The kernel tells nothing any more, so everybody is told to look.
                    static SAID: Once = Once::new();
                    SAID.call_once(|| log::error!("watch error={error}"));
                    self.tell(&[Event::Overflow]);
                    crate::sys::lock::pause(PERIOD);
                }
            }
        }
    }

    /// A crowd is told few at first, then more at a time: who looks first leaves a listing for the
    /// rest. A burst is told once.
    fn tell(&self, events: &[Event]) {
        let mut crowds = self.crowds(events);
        let mut few = 1;
        loop {
            for crowd in &mut crowds {
                let now = few.min(crowd.len());
                crowd.drain(..now).for_each(|group| group.ring());
            }
            crowds.retain(|crowd| !crowd.is_empty());
            if crowds.is_empty() {
                return;
            }
            crate::sys::lock::pause(BREATH);
            few *= 2;
        }
    }

    /// The groups that these events concern, by directory, each once.
    fn crowds(&self, events: &[Event]) -> Vec<Vec<Arc<Group>>> {
        let groups = self.groups();
        let mut seen = HashSet::new();
        let once = |crowd: &Vec<Arc<Group>>| {
            let fresh = crowd.iter().filter(|group| seen.insert(Arc::as_ptr(group)));
            fresh.cloned().collect::<Vec<_>>()
        };
        match events.contains(&Event::Overflow) {
            true => groups.values().map(once).collect(),
            false => {
                let directory = |event: &Event| match event {
                    Event::In(watched) => groups.get(watched),
                    Event::Overflow => None,
                };
                events.iter().filter_map(directory).map(once).collect()
            }
        }
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Becomes one of those who are told when something changes in these directories.
    fn join(&self, directories: &[PathBuf]) -> io::Result<Told> {
        let mut told = self.enter(self.add(directories)?)?;
        loop {
            // Careful: the last one to leave may have ended this watch just before we were noted.
            // What we were noted for ends only once we are noted for the other.
            let again = self.add(directories)?;
            if again == told.group.watched {
                return Ok(told);
            }
            told = self.enter(again)?;
        }
    }

    /// Asks the kernel to tell of directories.
    fn add(&self, directories: &[PathBuf]) -> io::Result<Vec<Watched>> {
        let mut watched = Vec::new();
        for directory in directories {
            match self.watcher.add(directory) {
                Ok(one) => watched.push(one),
                Err(error) => {
                    self.end_unwanted(&self.groups(), &watched);
                    return Err(error);
                }
            }
        }
        Ok(watched)
    }

    /// Joins a group that has room, or makes one.
    fn enter(&self, watched: Vec<Watched>) -> io::Result<Told> {
        let mut groups = self.groups();
        let mut there = watched.first().and_then(|first| groups.get(first)).into_iter().flatten();
        let has_room =
            |group: &&Arc<Group>| group.watched == watched && group.state().sleepers < GROUP;
        let group = match there.find(has_room) {
            Some(group) => group.clone(),
            None => {
                let bell = Bell::new().inspect_err(|_| self.end_unwanted(&groups, &watched))?;
                let state = Mutex::new(Sleeping { bell: Arc::new(bell), sleepers: 0 });
                let group = Arc::new(Group { watched, state });
                for one in &group.watched {
                    groups.entry(*one).or_default().push(group.clone());
                }
                group
            }
        };
        group.state().sleepers += 1;
        drop(groups);
        let bell = group.silent_bell().ok();
        Ok(Told { group, bell })
    }

    fn leave(&self, group: &Arc<Group>) {
        let mut groups = self.groups();
        let mut state = group.state();
        state.sleepers -= 1;
        if state.sleepers > 0 {
            return;
        }
        for one in &group.watched {
            if let Some(others) = groups.get_mut(one) {
                others.retain(|other| !Arc::ptr_eq(other, group));
                if others.is_empty() {
                    groups.remove(one);
                }
            }
        }
        self.end_unwanted(&groups, &group.watched);
    }

    fn end_unwanted(&self, groups: &Groups, watched: &[Watched]) {
        let unwanted = watched.iter().filter(|one| !groups.contains_key(one));
        unwanted.for_each(|one| self.watcher.remove(*one));
    }
}

/// Sessions that watch the same directories.
#[derive(Debug)]
struct Group {
    watched: Vec<Watched>,
    state: Mutex<Sleeping>,
}

#[derive(Debug)]
struct Sleeping {
    bell: Arc<Bell>,
    sleepers: usize,
}

impl Group {
    fn ring(&self) {
        self.state().bell.ring();
    }

    /// The bell to sleep on next; what it will be rung for is yet to happen.
    fn silent_bell(&self) -> io::Result<Arc<Bell>> {
        let mut state = self.state();
        if state.bell.has_rung() {
            state.bell = Arc::new(Bell::new()?);
        }
        Ok(state.bell.clone())
    }

    fn state(&self) -> MutexGuard<'_, Sleeping> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a group, and the bell that this session sleeps on.
#[derive(Debug)]
struct Told {
    group: Arc<Group>,
    bell: Option<Arc<Bell>>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(post) = POST.get() {
            post.leave(&self.group);
        }
    }
}

/// A mailbox, watched until this is dropped.
#[derive(Debug)]
pub struct Watch(Option<Told>);

impl Watch {
    /// Watches a mailbox, as the account that this thread is.
    pub fn of(selected: &Selected) -> Watch {
        match Watch::join(&selected.directories()) {
            Ok(told) => Watch(Some(told)),
            Err(why) => {
                static SAID: Once = Once::new();
                SAID.call_once(|| log::warn!("watch error={why:?} look_every=1s"));
                Watch(None)
            }
        }
    }

    fn join(directories: &[PathBuf]) -> Result<Told, String> {
        let post = POST.get().ok_or("not started")?;
        if directories.is_empty() || directories.iter().any(|one| inotify::is_remote(one)) {
            return Err("the file system is remote".into());
        }
        post.join(directories).map_err(|error| error.to_string())
    }

    /// After how long to look although nothing was told; `None` where the kernel tells.
    pub fn patience(&self) -> Option<Duration> {
        self.fd().is_none().then_some(PERIOD)
    }

    /// To be said before a look: what changes from now on is told again.
    pub fn silence(&mut self) {
        if let Some(told) = &mut self.0 {
            // Without a descriptor to be had it looks once a second until there is one.
            told.bell = told.group.silent_bell().ok();
        }
    }

    /// Readable once something may have changed; `None` where nobody tells.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref()?.bell.as_ref().map(|bell| bell.as_fd())
    }
}
