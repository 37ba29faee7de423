//! Into mailboxes of this site: prepare for everybody, then commit.
//!
//! What can fail for lack of room happens in the first step: each copy is written and synced where
//! no reader looks. Only when all are there the second step shows them, and syncs again. So either
//! every recipient has the letter on disk when this returns `Ok`, or nobody sees it.

use crate::auth::User;
use crate::limits;
use crate::mail::{Hop, Mailbox, delivered_to, return_path};
use crate::queue::Content;
use crate::store;
use std::time::Instant;

/// One copy to be made.
pub struct Recipient {
    /// As RCPT named it.
    pub forward_path: Mailbox,
    /// Whose mailbox that is.
    pub user: User,
    /// The user's own address, for Delivered-To.
    pub address: Mailbox,
}

/// What is to be delivered.
pub struct Letter<'a> {
    /// `None` for `<>`.
    pub reverse_path: Option<&'a Mailbox>,
    /// The hop it just made.
    pub hop: Hop<'a>,
    /// Header and text.
    pub content: Content<'a>,
}

/// Why nobody got it.
#[derive(Debug)]
pub enum Failure {
    /// The disk is full.
    DiskFull(String),
    /// This user's mailbox has no room for it, now.
    OverQuota(String),
    /// This user's mailbox could not hold it even when empty.
    TooLarge(String),
    /// Anything else that may pass; the reason is for the log.
    Unavailable(String),
}

impl Failure {
    fn of(user: &User, error: store::Error) -> Failure {
        let why = format!("{}: {error}", user.maildir.display());
        match error {
            store::Error::Full(_) => Failure::DiskFull(why),
            store::Error::Busy | store::Error::Unavailable(_) => Failure::Unavailable(why),
        }
    }
}

/// Delivers to all recipients, or to none.
pub fn local(letter: &Letter, recipients: &[Recipient]) -> Result<(), Failure> {
    let began = Instant::now();
    let mut prepared = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        if began.elapsed() > limits::DELIVERY {
            let done = prepared.len();
            let why = format!("only {done} of {} copies in time", recipients.len());
            return Err(Failure::Unavailable(why));
        }
        room(&recipient.user, octets(&letter.content))?;
        let failed = |error| Failure::of(&recipient.user, error);
        prepared.push(prepare(letter, recipient).map_err(failed)?);
    }
    store::commit(prepared).map_err(|error| match error {
        store::Error::Full(error) => Failure::DiskFull(error.to_string()),
        other => Failure::Unavailable(other.to_string()),
    })
}

/// Whether a mailbox has room for so many octets more.
pub fn room(user: &User, octets: u64) -> Result<(), Failure> {
    if user.quota == 0 {
        return Ok(());
    }
    if octets > user.quota {
        return Err(Failure::TooLarge(user.name.clone()));
    }
    let used = store::used(&user.maildir).map_err(|error| Failure::of(user, error))?;
    match used.saturating_add(octets.max(1)) > user.quota {
        true => Err(Failure::OverQuota(user.name.clone())),
        false => Ok(()),
    }
}

fn prepare(letter: &Letter, recipient: &Recipient) -> Result<store::Prepared, store::Error> {
    let head = [
        return_path(letter.reverse_path),
        delivered_to(&recipient.address),
        letter.hop.received(&recipient.forward_path),
    ];
    let head = head.concat();
    let body = match letter.content {
        Content::Memory(octets) => store::Body::Octets(octets),
        Content::File { file, octets, lines } => store::Body::File { file, octets, lines },
    };
    store::prepare(&recipient.user.maildir, &store::Letter { head: head.as_bytes(), body })
}

fn octets(content: &Content) -> u64 {
    match content {
        Content::Memory(octets) => octets.len() as u64,
        Content::File { octets, .. } => *octets,
    }
}
