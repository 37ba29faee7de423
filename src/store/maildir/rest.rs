//! A session at rest keeps no messages: they stand in the listing, which it holds open.
//!
//! A listing is never written into, only replaced, so whoever holds it open can read the messages
//! as they were, however the mailbox changes meanwhile; and all that rest on one share it in the
//! page cache. Where the listing is not just what the session knows, the messages stay in memory.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::super::selected::{CHANGED, GONE, RECENT, Summary, UNDATED, UNKNOWN};
use super::super::window::Window;
use super::super::{Error, removed_mailbox};
use super::crowd::Left;
use super::listing::{Listing, Truth};
use super::session::{BARE, IN_NEW, ODD, Session};
use super::uidlist;

/// What is kept of the messages.
#[derive(Debug)]
pub struct Resting {
    listing: Arc<Left>,
    /// The UIDs of those that are recent, which is nothing for a listing.
    recent: Vec<u32>,
}

impl Session {
    /// Puts the messages away, if they can be had again.
    pub(super) fn put_away(&mut self) {
        let is_told = |message: &Summary| !message.is(GONE) && !message.is(CHANGED);
        let is_quiet = self.shown == self.messages.len() && self.messages.iter().all(is_told);
        if self.resting.is_some() || self.is_partial || self.has_news || !is_quiet {
            return;
        }
        let Some(listing) = self.same_listing() else { return };
        let recent = self.messages.iter().filter(|message| message.is(RECENT));
        let recent = recent.map(|message| message.uid).collect();
        self.resting = Some(Resting { listing, recent });
        (self.messages, self.odd, self.shown) = (Vec::new(), Vec::new(), 0);
    }

    /// The listing on disk, if it says at least what this session knows.
    fn same_listing(&mut self) -> Option<Arc<Left>> {
        let truth = Truth::of(self.stamp?, &self.list?);
        let left = Left::open(&self.hold().ok()?.maildir.root)?;
        if !left.is_true(&truth) {
            return None;
        }
        let listing = left.read().ok()?;
        let is_same = listing.uid_validity == self.uid_validity
            && listing.uid_next == self.uid_next
            && listing.odd == self.odd
            && listing.messages.len() == self.messages.len()
            && self.messages.iter().zip(&listing.messages).all(|(ours, kept)| says(kept, ours));
        is_same.then_some(left)
    }

    /// Takes what another session found, if its listing is true by now: of a crowd that waits on
    /// one box, one looks.
    pub(super) fn take_from_others(&mut self) -> Result<bool, Error> {
        // What we moved is recent for us, which only a look of our own tells.
        if !self.arrived.is_empty() {
            return Ok(false);
        }
        let (validity, is_read_only) = (self.uid_validity, self.is_read_only);
        let held = self.hold()?;
        let Some((file, list)) = uidlist::open(&held.maildir.root)? else { return Ok(false) };
        let Some(left) = Left::open(&held.maildir.root) else { return Ok(false) };
        let stamp = held.places.stamp()?;
        if !left.is_true(&Truth::of(stamp, &list)) {
            return Ok(false);
        }
        let Ok(listing) = left.read() else { return Ok(false) };
        let has_new = || listing.messages.iter().any(|one| one.is(IN_NEW));
        if listing.uid_validity != validity || (!is_read_only && has_new()) {
            return Ok(false);
        }
        held.names = Some(Window::new(file));
        self.wake()?;
        (self.stamp, self.list) = (Some(stamp), Some(list));
        (self.uid_next, self.odd) = (listing.uid_next, listing.odd.clone());
        self.merge(listing.messages.iter().copied());
        Ok(true)
    }

    /// Takes the messages back. A listing that was spoilt under our hands leaves nothing that could
    /// be told of their numbers.
    pub(super) fn wake(&mut self) -> io::Result<()> {
        let Some(Resting { listing, recent }) = &self.resting else { return Ok(()) };
        let listing = listing.read().map_err(|error| match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => removed_mailbox(),
            _ => error,
        })?;
        let Listing { messages, odd, .. } = &*listing;
        let (mut messages, odd) = (messages.clone(), odd.clone());
        for message in &mut messages {
            message.put(RECENT, recent.binary_search(&message.uid).is_ok());
        }
        self.shown = messages.len();
        (self.messages, self.odd, self.resting) = (messages, odd, None);
        Ok(())
    }
}

/// Whether a listing says all that we know of a message.
fn says(kept: &Summary, ours: &Summary) -> bool {
    let place = |one: &Summary| (one.uid, one.marks, one.place, one.length, one.state & LASTING);
    place(kept) == place(ours)
        && (ours.octets == UNKNOWN || ours.octets == kept.octets)
        && (ours.date == UNDATED || ours.date == kept.date)
}

/// What a listing keeps of a state.
const LASTING: u8 = IN_NEW | BARE | ODD;
