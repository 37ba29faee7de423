//! Whose rights a thread has: an account borrowed for a while, and given back.

use std::io;
use std::marker::PhantomData;

/// An account of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user id.
    pub uid: u32,
    /// The group id of the login.
    pub gid: u32,
}

/// While this lives, the thread that made it is the account; it does not leave the thread.
#[derive(Debug)]
pub struct Borrowed {
    _thread: PhantomData<*const ()>,
}

/// Becomes an account, in this thread; with none, stays who it is.
pub fn borrow(account: Option<&Account>) -> io::Result<Option<Borrowed>> {
    match account {
        None => Ok(None),
        Some(_) => Err(io::Error::other("identities cannot be borrowed yet")),
    }
}
