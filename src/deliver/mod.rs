//! Delivery: a letter that was received becomes a message in mailboxes.

mod local; // into the mailboxes of this site

pub use local::{Failure, Letter, Recipient, local, room};
