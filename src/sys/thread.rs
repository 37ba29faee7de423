//! The door for threads: small stacks, names, and a failure to start one as a value.

use super::identity;
use crate::limits;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread with the stack of a session; never from one that has borrowed an identity.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    identity::refuse_borrowed("a thread")?;
    Builder::new().name(name.into()).stack_size(limits::STACK).spawn(work)
}
