//! One file a mailbox: mbox (RFC 4155), shared with mutt, Dovecot, procmail and mail(1).
//!
//! Read in this order: `from` (the line that divides), `field` (what programs note in headers),
//! `lines`, `message` and `scan` (the file read), `lock`, `append` (a letter comes in), `state`
//! (what outlives the messages), `rewrite` (messages go), `view` (the mailbox opened), `table` and
//! `work` (what is not read again), `session` (the mailbox selected). The format: buzon-mbox(5).

mod append;
mod field;
mod folders;
mod from;
mod intake;
mod lines;
mod lock;
mod message;
mod number;
mod reading;
mod rewrite;
mod scan;
mod session;
mod state;
mod table;
mod view;
mod work;

#[cfg(test)]
mod tests;
#[cfg(test)]
use tests::{checkpoint, disk_is_full};

/// Where a test may kill us.
#[cfg(not(test))]
fn checkpoint() {}

/// Where a test may say so.
#[cfg(not(test))]
fn disk_is_full() -> std::io::Result<()> {
    Ok(())
}

pub use append::{Prepared, prepare};
pub use folders::{Appending, Tree, commit_append, prepare_append};
pub use session::Session;
pub use view::View;

use std::io::ErrorKind;
use std::path::Path;

use super::Error;
use crate::sys::dir::{Dir, Kind};

/// Folders may hold folders; beyond this depth nobody looks.
const DEPTH: usize = 16;

/// The octets on disk of the INBOX and of all folders.
pub fn used(inbox: &Path, folders: &Path) -> Result<u64, Error> {
    let size = match std::fs::symlink_metadata(inbox) {
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        data => data?.len(),
    };
    match Dir::open(folders) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(size),
        dir => Ok(size + octets_in(&dir?, DEPTH)?),
    }
}

fn octets_in(dir: &Dir, depth: usize) -> Result<u64, Error> {
    let (mut sum, mut deeper) = (0, Vec::new());
    dir.entries(|name, kind| match kind {
        _ if name.starts_with(b".") => {}
        Kind::File => sum += dir.stat(name).map_or(0, |stat| stat.size),
        Kind::Directory if depth > 0 => deeper.push(name.to_vec()),
        _ => {}
    })?;
    for name in deeper {
        match dir.open_dir(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            dir => sum += octets_in(&dir?, depth - 1)?,
        }
    }
    Ok(sum)
}
