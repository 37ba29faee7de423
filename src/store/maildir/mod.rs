//! One file a message: Maildir, with Maildir++ for the folders, shared with Dovecot and mutt.
//!
//! Read in this order: `name` (what a file's name tells), `delivery` (a letter comes in),
//! `directories` (and who is in them), `files` (their listing), `uidlist` and `dotlock` (the numbers
//! that stay), `scan` (both joined), `view` (the box opened once). For sessions that stay: `session`,
//! `join`, `crowd`, `rest`, `change`, `copy`, `append`, `intake`; `folders` for the others. The
//! formats: buzon-maildir(5), dovecot-uidlist(5).

mod append;
mod change;
mod copy;
mod crowd;
mod delivery;
mod directories;
mod dotlock;
mod files;
mod folders;
mod intake;
mod join;
mod keywords;
mod listing;
mod name;
pub mod notes;
mod rest;
mod scan;
mod session;
mod stamp;
pub mod subscriptions;
mod tail;
mod uidlist;
mod view;

pub use append::{Appending, commit as commit_append, prepare as prepare_append};
pub use delivery::{Prepared, prepare};
pub use directories::used;
pub use folders::Tree;
pub use session::Session;
pub use view::View;
