//! The door for threads: small stacks, names, and a failure to start one as a value.

use crate::limits;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread with the stack of a session.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).stack_size(limits::STACK).spawn(work)
}
