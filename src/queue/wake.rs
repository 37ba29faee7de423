//! The FIFO that tells a runner of a new letter.
//!
//! Whoever queues a letter writes an octet after the sync. A runner has the FIFO open for as long as
//! it looks at the queue; where nobody has, the writer is told and starts one. A runner that ends
//! closes it first and then looks once more, so that no letter falls between.

use crate::sys::fifo::{self, Reader};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// The name of the FIFO in the queue's directory.
const NAME: &str = "wake";

/// Tells the runner that a letter is there; false if there is no runner.
pub fn call(root: &Path) -> io::Result<bool> {
    fifo::write(&root.join(NAME))
}

/// The runner's end.
#[derive(Debug)]
pub struct Wake(Reader);

impl Wake {
    /// From here on nobody starts another runner.
    pub fn listen(root: &Path) -> io::Result<Wake> {
        fifo::open(&root.join(NAME)).map(Wake)
    }

    /// Whether letters came since it was asked last.
    pub fn heard(&self) -> bool {
        self.0.drain()
    }
}

impl AsFd for Wake {
    /// Readable once a letter came.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
