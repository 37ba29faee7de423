//! Delivery: a letter that was received becomes a message in mailboxes, or leaves.

mod behalf; // programs and files, from the queue
mod change; // what the postmaster does to a queued letter
mod etrn; // RFC 1985: letters that are asked for
mod expand; // what addresses come to
mod explain; // the way of an address, for a person
mod here; // into mailboxes, from the queue
mod lanes; // what is to be done, by destination
mod local; // into the mailboxes of this site
mod logins; // names and passwords at relays
mod notify; // who hears of it
mod outcome; // what became of a recipient
mod program; // to programs and files
mod remote; // to other hosts
mod report; // RFC 3464
mod retry; // when again, and when no more
mod run; // one pass over the queue
pub mod standard; // SMTP on standard input, for a user of this host
pub mod stdin; // from a program of this host
pub mod submit; // from a user of this host, to anybody
mod submitted; // the header such a letter gets
mod summon; // somebody looks at the queue
mod targets; // which hosts, in which order
mod work; // one letter at work

pub use change::{Change, Refused, change};
pub use etrn::{Turn, turn};
pub use expand::recipient;
pub use explain::explain;
pub use local::{Failure, Letter, Recipient, local, room};
pub use logins::logins_fault;
pub use run::{Orders, Runner};
pub use summon::summon;
