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
use crate::sys::identity::{Borrowed, borrow};
use std::time::{Duration, Instant};

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
    /// The hop it just made; `None` where a program of this host hands it over.
    pub hop: Option<Hop<'a>>,
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
        let why = format!("{}: {error}", user.mailbox.inbox().display());
        match error {
            store::Error::Full(_) => Failure::DiskFull(why),
            store::Error::Busy | store::Error::Unavailable(_) => Failure::Unavailable(why),
        }
    }
}

/// Delivers to all recipients, or to none.
pub fn local(letter: &Letter, recipients: &[Recipient], wait: Duration) -> Result<(), Failure> {
    let began = Instant::now();
    let mut prepared: Vec<Copy> = Vec::with_capacity(recipients.len());
    for recipient in in_order(recipients) {
        if began.elapsed() > limits::DELIVERY {
            let done = prepared.len();
            let why = format!("only {done} of {} copies in time", recipients.len());
            return Err(Failure::Unavailable(why));
        }
        room(&recipient.user, octets(&letter.content))?;
        let copy = prepare(letter, recipient, began + wait)?;
        prepared.push(Copy { user: &recipient.user, prepared: Some(copy) });
    }
    prepared.iter_mut().try_for_each(Copy::show)?;
    prepared.iter_mut().try_for_each(Copy::settle)
}

/// A copy on its way, and whose it is: dropping it takes it away, by the owner's hand.
struct Copy<'a> {
    user: &'a User,
    prepared: Option<store::Prepared>,
}

impl Copy<'_> {
    fn show(&mut self) -> Result<(), Failure> {
        let _owner = owner(self.user)?;
        let shown = self.prepared.as_mut().map_or(Ok(()), store::Prepared::show);
        shown.map_err(|error| Failure::of(self.user, error))
    }

    fn settle(&mut self) -> Result<(), Failure> {
        let _owner = owner(self.user)?;
        let settled = self.prepared.as_mut().map_or(Ok(()), store::Prepared::settle);
        settled.map_err(|error| Failure::of(self.user, error))?;
        self.prepared = None;
        Ok(())
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        if self.prepared.is_some() {
            let _owner = owner(self.user);
            self.prepared = None;
        }
    }
}

/// Mailboxes that are locked are taken in the order of their paths, so that two deliveries never
/// wait for each other.
fn in_order(recipients: &[Recipient]) -> Vec<&Recipient> {
    let mut recipients: Vec<&Recipient> = recipients.iter().collect();
    recipients.sort_by_key(|recipient| recipient.user.mailbox.inbox());
    recipients
}

/// Whoever owns the mailbox touches it.
fn owner(user: &User) -> Result<Option<Borrowed>, Failure> {
    let owner = user.account.as_ref().map(borrow).transpose();
    owner.map_err(|error| Failure::Unavailable(format!("{}: {error}", user.name)))
}

/// Whether a mailbox has room for so many octets more.
pub fn room(user: &User, octets: u64) -> Result<(), Failure> {
    if user.quota == 0 {
        return Ok(());
    }
    if octets > user.quota {
        return Err(Failure::TooLarge(user.name.clone()));
    }
    let _owner = owner(user)?;
    let used = store::used(&user.mailbox).map_err(|error| Failure::of(user, error))?;
    match used.saturating_add(octets.max(1)) > user.quota {
        true => Err(Failure::OverQuota(user.name.clone())),
        false => Ok(()),
    }
}

fn prepare(
    letter: &Letter,
    recipient: &Recipient,
    deadline: Instant,
) -> Result<store::Prepared, Failure> {
    let Recipient { forward_path, user, address } = recipient;
    let head = [
        return_path(letter.reverse_path),
        delivered_to(address),
        letter.hop.as_ref().map_or(String::new(), |hop| hop.received(Some(forward_path))),
    ];
    let head = head.concat();
    let body = match letter.content {
        Content::Memory(octets) => store::Body::Octets(octets),
        Content::File { file, at, octets, lines } => store::Body::File { file, at, octets, lines },
    };
    let _owner = owner(user)?;
    let sender = letter.reverse_path.map_or(String::new(), ToString::to_string);
    let letter = store::Letter { sender: &sender, head: head.as_bytes(), body };
    store::prepare(&user.mailbox, &letter, deadline).map_err(|error| Failure::of(user, error))
}

fn octets(content: &Content) -> u64 {
    match content {
        Content::Memory(octets) => octets.len() as u64,
        Content::File { octets, .. } => *octets,
    }
}
