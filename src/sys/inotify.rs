//! Being told of changes in directories: inotify(7), and a bell, an eventfd(2), to pass that on to
//! whoever waits in poll(2).

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::statfs::{FUSE_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, statfs};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something that one thread rings and any number hear. It is rung for good.
#[derive(Debug)]
pub struct Bell {
    event: EventFd,
    has_rung: AtomicBool,
}

impl Bell {
    /// A silent one.
    pub fn new() -> io::Result<Bell> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_value_and_flags(0, flags)?;
        Ok(Bell { event, has_rung: AtomicBool::new(false) })
    }

    /// Its descriptor can be read from ever after.
    pub fn ring(&self) {
        // Careful: whoever is woken finds it rung.
        if !self.has_rung.swap(true, Ordering::SeqCst) {
            let _ = self.event.write(1);
        }
    }

    /// Whether it was rung.
    pub fn has_rung(&self) -> bool {
        self.has_rung.load(Ordering::SeqCst)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// The kernel's promise to tell of directories.
#[derive(Debug)]
pub struct Watcher(Inotify);

/// A directory that is watched, once however often it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watched(WatchDescriptor);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something in this directory.
    In(Watched),
    /// More than the kernel could keep.
    Overflow,
}

impl Watcher {
    /// A new one; the kernel allows a user few.
    pub fn new() -> io::Result<Watcher> {
        Ok(Watcher(Inotify::init(InitFlags::IN_CLOEXEC)?))
    }

    /// Watches for names in a directory that come, go, and change, and files that were written.
    pub fn add(&self, directory: &Path) -> io::Result<Watched> {
        let flags = AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        Ok(Watched(self.0.add_watch(directory, flags)?))
    }

    /// Watches no longer. It does not matter if the kernel had stopped by itself.
    pub fn remove(&self, watched: Watched) {
        let _ = self.0.rm_watch(watched.0);
    }

    /// Waits for something to happen.
    pub fn wait(&self) -> io::Result<Vec<Event>> {
        loop {
            let events = match self.0.read_events() {
                Err(Errno::EINTR) => continue,
                events => events?,
            };
            let event = |event: nix::sys::inotify::InotifyEvent| match event
                .mask
                .contains(AddWatchFlags::IN_Q_OVERFLOW)
            {
                true => Event::Overflow,
                false => Event::In(Watched(event.wd)),
            };
            return Ok(events.into_iter().map(event).collect());
        }
    }
}

/// Whether others may change a directory without this kernel knowing.
pub fn is_remote(directory: &Path) -> bool {
    // 9P, AFS, Ceph, CIFS, Coda, Lustre, SMB2: as in linux/magic.h.
    const OTHERS: [u32; 7] =
        [0x0102_1997, 0x5346_414f, 0x00c3_6400, 0xff53_4d42, 0x7375_7245, 0x0bd0_0bd0, 0xfe53_4d42];
    let known = [NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, FUSE_SUPER_MAGIC];
    statfs(directory).is_ok_and(|stat| {
        let FsType(number) = stat.filesystem_type();
        known.contains(&stat.filesystem_type()) || OTHERS.contains(&(number as u32))
    })
}
