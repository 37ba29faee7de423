//! Letters on their way: while they are received, and until everybody has them.
//!
//! `spool` is the letter that comes in; `Queue` are the directories where letters wait, a file each;
//! `Claimed` is one that this process works on; `wake` tells the runner that there is work.

mod claim; // one letter, held by its lock
mod directory; // where letters wait, and their states
pub mod drop; // what users of this host hand in
mod envelope; // from whom, to whom, how far
mod file; // buzon-queue(5)
mod list; // for people and for programs
mod spool; // in memory or in a file without a name
mod text; // the letter in its file
pub mod wake; // the FIFO

pub use claim::{Claim, Claimed};
pub use directory::{Entry, Pending, Place, Queue};
pub use envelope::{Body, Envelope, Goal, Notify, Recipient, Ret, Said, State};
pub use file::Event;
pub use list::{As, list};
pub use spool::{Content, Spool};
pub use text::Text;

#[cfg(test)]
mod tests;
