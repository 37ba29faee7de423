//! The kernel and libc: users, locks, durable files, sockets, signals, threads, the log.
//!
//! The only place of `unsafe`; what it offers is shaped like our needs, and no libc type leaves.

pub mod access;
pub mod accounts;
pub mod cached;
pub mod capability;
pub mod certificate;
pub mod child;
pub mod clock;
pub mod crypt;
pub mod dir;
pub mod fifo;
pub mod file;
pub mod identity;
pub mod inotify;
pub mod lock;
pub mod log;
pub mod notify;
pub mod poll;
pub mod process;
pub mod program;
pub mod signal;
pub mod socket;
pub mod terminal;
pub mod thread;
pub mod trusted;

/// The name of this host, as gethostname(2) tells it.
pub fn hostname() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok().filter(|name| !name.is_empty())
}
