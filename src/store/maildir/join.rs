//! A session joined with the disk: what is found there put beside what the caller knows.
//!
//! Cheap where nothing changed: the stamps of the two directories and of two files. Where something
//! did, the box is listed again, and joined by UIDs, which rise in both.

use super::super::flags::Marks;
use super::super::selected::{CHANGED, GONE, RECENT, Summary, UNDATED, UNKNOWN};
use super::super::window::Window;
use super::super::{Error, removed_mailbox};
use super::crowd::Turn;
use super::directories::Look;
use super::files;
use super::keywords::Keywords;
use super::name::{self, Info};
use super::scan::{Purpose, Scan};
use super::session::{BARE, Held, IN_NEW, ODD, Session};
use super::uidlist;
use crate::sys::dir::Kind;
use std::time::Instant;

/// So many messages take longer to list twice than to wait until once is enough.
const LARGE: usize = 50_000;

impl Session {
    /// Lists the box for the first time.
    pub(super) fn look_first(&mut self) -> Result<(), Error> {
        if !self.is_read_only {
            self.hold()?.maildir.clean_tmp()?;
            self.take_from_new()?;
        }
        self.await_tick(false)?;
        let known = std::mem::take(&mut self.messages);
        let former = self.uid_validity;
        let mut scan = self.scan(true, Some(&known).filter(|_| former > 0))?;
        if former > 0 && scan.list.validity != former {
            scan = self.scan(true, None)?;
        }
        let is_same = scan.list.validity == former;
        self.take_in(scan, if is_same { &known } else { &[] })
    }

    /// Learns what changed on disk, if anything did.
    pub(super) fn update(&mut self) -> Result<(), Error> {
        if self.is_current()? {
            return Ok(self.wake()?);
        }
        if !self.is_read_only {
            self.take_from_new()?;
        }
        // Of a crowd one looks, and leaves a listing for the others.
        let until = Turn::deadline();
        let mut turn = None;
        loop {
            if self.take_from_others()? {
                return Ok(());
            }
            if turn.is_some() || Instant::now() >= until {
                break;
            }
            turn = Turn::take(self.id, until);
        }
        let is_awaited = || turn.as_ref().is_some_and(Turn::is_awaited);
        self.wake()?;
        self.await_tick(is_awaited())?;
        self.look(true)?;
        if is_awaited() {
            self.leave_listing();
        }
        Ok(())
    }

    fn await_tick(&mut self, is_awaited: bool) -> Result<(), Error> {
        match is_awaited || self.messages.len() > LARGE {
            true => Ok(Look::await_tick(&self.hold()?.places)?),
            false => Ok(()),
        }
    }

    /// Whether nothing has changed on disk but the names of keywords, which are learned. An error
    /// where the mailbox has another name, or none: nothing is to be done there any more.
    pub(super) fn is_current(&mut self) -> Result<bool, Error> {
        self.is_in_place()?;
        self.update_keywords()?;
        let Some(held) = &self.held else { return Ok(false) };
        Ok(held.names.is_some()
            && self.stamp == Some(held.places.stamp()?)
            && self.list == uidlist::stat(&held.maildir.root)?)
    }

    /// Learns the names of keywords, if there are others.
    pub(super) fn update_keywords(&mut self) -> Result<(), Error> {
        self.hold()?;
        let Some(held) = &self.held else { return Ok(()) };
        let root = &held.maildir.root;
        if !self.keywords.is_current(root)? {
            let keywords = Keywords::read(root)?;
            self.has_new_keywords |= keywords.names != self.keywords.names;
            self.keywords = keywords;
        }
        Ok(())
    }

    /// Moves what nobody has seen to `cur`: it is recent for whoever does that.
    pub(super) fn take_from_new(&mut self) -> Result<(), Error> {
        let mut found = Vec::new();
        let mut arrived = Vec::new();
        let Held { places, .. } = self.hold()?;
        places.new.entries(|name, kind| {
            if kind == Kind::File && !files::is_strange(name) {
                found.push(name.to_vec());
            }
        })?;
        for name in found {
            let base = name::base(&name);
            let in_cur = match name::info(&name) {
                Info::Bare => name::with_marks(base, Marks::default()),
                _ => name.clone(),
            };
            // What cannot be moved is read where it is.
            if places.new.rename_new(&name, &places.cur, &in_cur).is_ok() {
                arrived.push(base.to_vec());
            }
        }
        self.arrived.append(&mut arrived);
        self.arrived.sort_unstable();
        Ok(())
    }

    /// Joins the messages with the disk; newcomers are left for later unless `number`.
    ///
    /// Careful: whoever holds the lock of a list of UIDs must not number.
    pub(super) fn look(&mut self, number: bool) -> Result<(), Error> {
        let known = std::mem::take(&mut self.messages);
        let scan = self.scan(number, Some(&known));
        let taken = scan.and_then(|scan| match scan.list.validity == self.uid_validity {
            true => self.take_in(scan, &known),
            false => Err(removed_mailbox().into()),
        });
        let fresh = std::mem::replace(&mut self.messages, known);
        taken?;
        self.merge(fresh.into_iter());
        Ok(())
    }

    fn scan(&mut self, number: bool, known: Option<&Vec<Summary>>) -> Result<Scan, Error> {
        let former = Some((self.uid_validity, self.uid_next)).filter(|former| former.0 > 0);
        let purpose = Purpose { measure: false, number, known: known.map(Vec::as_slice), former };
        let Held { maildir, places, .. } = self.hold()?;
        Scan::with(maildir, places, &purpose)
    }

    /// Makes what a scan found the messages; sizes and dates that are known are kept.
    fn take_in(&mut self, mut scan: Scan, known: &[Summary]) -> Result<(), Error> {
        let mut known = known.iter().peekable();
        let mut odd = Vec::new();
        let mut messages = Vec::with_capacity(scan.files.len());
        let mut is_unsure = false;
        for entry in scan.entries() {
            let uid = entry.line.uid;
            while known.next_if(|message| message.uid < uid).is_some() {}
            let before = known.next_if(|message| message.uid == uid);
            let (place, length) = scan.list.place(entry.line);
            let name = scan.files.name(entry.file);
            let (marks, mut state) = match name::info(name) {
                Info::Bare => (Marks::default(), BARE),
                Info::Plain(marks) => (marks, 0),
                Info::Odd(marks) => (marks, ODD),
            };
            if state == ODD {
                odd.push((uid, name.to_vec()));
            }
            if scan.files.is_new(entry.file) {
                state |= IN_NEW;
                // It came while we looked, and is to be moved.
                is_unsure |= !self.is_read_only;
            }
            let base = scan.files.base(entry.file);
            if self.arrived.binary_search_by(|other| other.as_slice().cmp(base)).is_ok() {
                state |= RECENT;
            }
            let octets = before.map_or(UNKNOWN, |before| before.octets);
            let octets = entry.octets.unwrap_or(octets);
            let date = before.map_or(UNDATED, |before| before.date);
            messages.push(Summary { uid, marks, octets, date, place, length, state });
        }
        self.arrived.retain(|base| scan.is_unnumbered(base));
        (self.messages, self.odd) = (messages, odd);
        (self.uid_validity, self.uid_next) = (scan.list.validity, scan.list.next);
        (self.stamp, self.list) = (scan.stamp.filter(|_| !is_unsure), scan.list.stat);
        self.has_learned = true;
        self.hold()?.names = scan.list.file.take().map(Window::new);
        Ok(())
    }

    /// Puts what was found now beside what the caller knows.
    pub(super) fn merge(&mut self, fresh: impl Iterator<Item = Summary>) {
        let mut fresh = fresh.peekable();
        for old in &mut self.messages {
            // One that comes back after the caller was told that it went would shift all others.
            while fresh.next_if(|message| message.uid < old.uid).is_some() {
                self.is_partial = true;
            }
            match fresh.next_if(|message| message.uid == old.uid) {
                Some(new) => {
                    let is_other = old.marks != new.marks || old.is_gone();
                    let state = new.state | old.state & (RECENT | CHANGED);
                    let octets = if new.octets == UNKNOWN { old.octets } else { new.octets };
                    *old = Summary { state, octets, date: old.date, ..new };
                    old.put(CHANGED, old.is(CHANGED) || is_other);
                    self.has_news |= is_other;
                }
                None => {
                    self.has_news |= !old.is_gone();
                    old.put(GONE, true);
                }
            }
        }
        for mut new in fresh {
            if new.uid <= self.highest {
                self.is_partial = true;
                continue;
            }
            self.highest = new.uid;
            self.has_news = true;
            new.put(RECENT, new.is(RECENT) || (self.is_read_only && new.is(IN_NEW)));
            self.messages.push(new);
        }
    }
}
