//! Being told when a selected mailbox changes, for IDLE (RFC 2177).
//!
//! The process has one inotify instance and one hidden thread that reads it and rings the bells of
//! those who watch; a directory is watched once, however many they are. Where the kernel refuses,
//! or others may change the file system unseen, whoever watches has to look once a second, which
//! the log says once. Nothing depends on a bell but time: what changed is found by `refresh`.
//!
//! `start` is called by the main thread before the first session.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::Duration;

use super::Selected;
use crate::sys::inotify::{self, Bell, Event, Watched, Watcher};
use crate::sys::thread;

/// How often to look where nobody tells.
const PERIOD: Duration = Duration::from_secs(1);

/// As many sessions on one mailbox are told at once.
const FEW: usize = 8;
/// Then the next, twice as many, after so long.
const BREATH: Duration = Duration::from_millis(30);

/// Who is to be told of what. The lock is never held while something may wait.
struct Post {
    watcher: Watcher,
    bells: Mutex<HashMap<Watched, Vec<Arc<Bell>>>>,
}

static POST: OnceLock<Arc<Post>> = OnceLock::new();

/// Starts the thread that reads what the kernel tells. Without it everybody looks once a second.
pub fn start() -> io::Result<()> {
    if POST.get().is_some() {
        return Ok(());
    }
    let post = Arc::new(Post { watcher: Watcher::new()?, bells: Mutex::default() });
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

    fn tell(&self, events: &[Event]) {
        let mut last = None;
        for event in events {
            // A burst is told once.
            if last.replace(event) != Some(event) {
                ring(&self.bells_for(event));
            }
        }
    }

    fn bells_for(&self, event: &Event) -> Vec<Arc<Bell>> {
        let bells = self.bells();
        match event {
            Event::In(watched) => bells.get(watched).cloned().unwrap_or_default(),
            Event::Overflow => bells.values().flatten().cloned().collect(),
        }
    }

    fn bells(&self) -> MutexGuard<'_, HashMap<Watched, Vec<Arc<Bell>>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings a bell whenever something changes in a directory.
    fn add(&self, directory: &Path, bell: &Arc<Bell>) -> io::Result<Watched> {
        let mut watched = self.watcher.add(directory)?;
        loop {
            self.bells().entry(watched).or_default().push(bell.clone());
            // Careful: the last one to leave may have ended this watch just before we were noted.
            match self.watcher.add(directory) {
                Ok(again) if again == watched => return Ok(watched),
                Ok(again) => {
                    self.remove(watched, bell);
                    watched = again;
                }
                Err(error) => {
                    self.remove(watched, bell);
                    return Err(error);
                }
            }
        }
    }

    fn remove(&self, watched: Watched, bell: &Arc<Bell>) {
        let mut bells = self.bells();
        if let Some(others) = bells.get_mut(&watched) {
            if let Some(at) = others.iter().position(|other| Arc::ptr_eq(other, bell)) {
                others.swap_remove(at);
            }
            if others.is_empty() {
                bells.remove(&watched);
                self.watcher.remove(watched);
            }
        }
    }
}

/// A crowd is told few at first, then more at a time: who looks first leaves a listing for the rest.
fn ring(bells: &[Arc<Bell>]) {
    let (mut rest, mut few) = (bells, FEW);
    while rest.len() > few {
        let (now, later) = rest.split_at(few);
        now.iter().for_each(|bell| bell.ring());
        crate::sys::lock::pause(BREATH);
        (rest, few) = (later, few * 2);
    }
    rest.iter().for_each(|bell| bell.ring());
}

/// A mailbox, watched until this is dropped. Its descriptor can be read from once something may
/// have changed.
#[derive(Debug)]
pub struct Watch {
    bell: Arc<Bell>,
    watched: Vec<Watched>,
    is_told: bool,
}

impl Watch {
    /// Watches a mailbox, as the account that this thread is.
    pub fn of(selected: &Selected) -> io::Result<Watch> {
        let mut watch = Watch { bell: Arc::new(Bell::new()?), watched: Vec::new(), is_told: true };
        for directory in selected.directories() {
            if let Err(why) = watch.add(&directory) {
                watch.is_told = false;
                static SAID: Once = Once::new();
                SAID.call_once(|| log::warn!("watch error={why:?} look_every=1s"));
            }
        }
        Ok(watch)
    }

    fn add(&mut self, directory: &Path) -> Result<(), String> {
        let post = POST.get().ok_or("not started")?;
        if inotify::is_remote(directory) {
            return Err("the file system is remote".into());
        }
        let watched = post.add(directory, &self.bell).map_err(|error| error.to_string())?;
        self.watched.push(watched);
        Ok(())
    }

    /// After how long to look although nothing was told; `None` where the kernel tells.
    pub fn patience(&self) -> Option<Duration> {
        (!self.is_told).then_some(PERIOD)
    }

    /// To be said before a look: what changes from now on is told again. Tells whether something
    /// may have changed.
    pub fn silence(&self) -> bool {
        self.bell.silence() || !self.is_told
    }

    /// Readable once something may have changed.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(post) = POST.get() {
            self.watched.iter().for_each(|watched| post.remove(*watched, &self.bell));
        }
    }
}
