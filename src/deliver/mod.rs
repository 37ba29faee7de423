//! Delivery: a letter that was received becomes a message in mailboxes.

mod local; // into the mailboxes of this site
#[allow(dead_code)] // until there is a runner
mod outcome; // what became of a recipient
#[allow(dead_code)] // until there is a runner
mod program; // to programs and files
#[allow(dead_code)] // until there is a runner
mod report; // RFC 3464: to the sender
pub mod stdin; // from a program of this host

pub use local::{Failure, Letter, Recipient, local, room};
