//! Delivery: a letter that was received becomes a message in mailboxes.

mod local; // into the mailboxes of this site
pub mod stdin; // from a program of this host

pub use local::{Failure, Letter, Recipient, local, room};
