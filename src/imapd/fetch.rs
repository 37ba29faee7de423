//! FETCH: RFC 3501 §6.4.5, RFC 9051 §6.4.5, RFC 3516 (BINARY).
//!
//! A message is read at most once for all items, and not at all where its name, the list of UIDs or
//! the cache know what is asked for. A whole message streams; of the others never more than one is
//! in memory.

use super::apart::{
    Apart, Located, Trouble, decoded, describe, known_codings, ranges_of, slice, take_apart,
    unfold_lines,
};
use super::command::{Item, Partial, Section};
use super::described::Which;
use super::fetched::Fetched;
use super::flag::Flag;
use super::mailbox::{Unreadable, expunge_issued, flags_of};
use super::response::{Code, Status};
use super::session::{Imapd, Open, Outcome};
use super::set::Written;
use super::write;
use crate::mail::{Side, wire_octets};
use crate::net::Hangup;
use crate::store::{self, Change, Flags, Wire};
use chrono::{DateTime, Local};

/// Octets beyond these do not wait for the end of a response.
const FLUSH: usize = 32 * 1024;

impl Imapd<'_> {
    /// RFC 3501 §6.4.5.
    pub(super) fn fetch(
        &mut self,
        uid: bool,
        set: &Written,
        items: &[Item],
        open: &mut Open,
    ) -> Result<Outcome, Hangup> {
        let indices = match open.indices(set, uid) {
            Ok(indices) => indices,
            Err(status) => return Ok(Err(status)),
        };
        let mut items = items.to_vec();
        if uid && !items.contains(&Item::Uid) {
            items.insert(0, Item::Uid);
        }
        let marked = self.mark_seen(&items, &indices, open);
        let mut missed = Vec::new();
        let done = self.each(uid, &indices, &items, &marked, &mut missed, open);
        missed.retain(|index| marked.binary_search(index).is_ok());
        self.unmark(&missed, open);
        done
    }

    /// All FETCH responses. Messages that the client does not get are left in `missed`.
    fn each(
        &mut self,
        uid: bool,
        indices: &[u32],
        items: &[Item],
        marked: &[u32],
        missed: &mut Vec<u32>,
        open: &mut Open,
    ) -> Result<Outcome, Hangup> {
        let keywords = open.keywords();
        let mut refusal = None;
        let mut unreadable = Unreadable::default();
        for (along, index) in indices.iter().enumerate() {
            let was_marked = marked.binary_search(index).is_ok();
            let told = self.one(*index, items, was_marked, &keywords, open);
            let flushed = told.and_then(|()| self.conn.flush_full().map_err(Trouble::Hangup));
            let Err(trouble) = flushed else { continue };
            missed.push(*index);
            match trouble {
                // A UID that is gone is passed over (RFC 3501 §6.4.8).
                Trouble::Gone if uid => {}
                Trouble::Gone => refusal = Some(expunge_issued("RFC 2180 §4.1.2")),
                Trouble::UnknownCte => {
                    let text = "A part is encoded in a way that nobody knows";
                    refusal = Some(Status::no(Code::UnknownCte, text).by("RFC 3516 §4.3"));
                }
                Trouble::Store(error) => {
                    let uid = open.mailbox.messages()[*index as usize].uid;
                    if let Err(status) = unreadable.add(uid, error) {
                        missed.extend(&indices[along + 1..]);
                        return Ok(Err(status));
                    }
                }
                Trouble::Hangup(hangup) => {
                    missed.extend(&indices[along + 1..]);
                    return Err(hangup);
                }
            }
        }
        let refusal = unreadable.status().or(refusal);
        Ok(refusal.map_or(Ok(Status::ok("Fetched")), Err))
    }

    /// What is read is seen (RFC 3501 §2.3.2), unless the client peeks. The indices that were not.
    ///
    /// All are marked at once, before the first is read: one by one each would wait for the disk.
    fn mark_seen(&mut self, items: &[Item], indices: &[u32], open: &mut Open) -> Vec<u32> {
        if open.read_only || !items.iter().any(Item::sets_seen) {
            return Vec::new();
        }
        open.mailbox.store(indices, Change::Add, Flags::SEEN, 0).unwrap_or_else(|error| {
            // What cannot be marked can be read nevertheless.
            log::warn!("{} mark_seen={:?}", self.id, error.to_string());
            Vec::new()
        })
    }

    /// What the client did not get after all, it has not seen.
    fn unmark(&mut self, missed: &[u32], open: &mut Open) {
        if missed.is_empty() {
            return;
        }
        if let Err(error) = open.mailbox.store(missed, Change::Remove, Flags::SEEN, 0) {
            log::warn!("{} unmark={:?}", self.id, error.to_string());
        }
    }

    /// One FETCH response. On trouble nothing of it is said, or where a part is on its way already
    /// the session ends, as nobody could read what follows.
    fn one(
        &mut self,
        index: u32,
        items: &[Item],
        was_marked: bool,
        keywords: &[Flag],
        open: &mut Open,
    ) -> Result<(), Trouble> {
        let at = index as usize;
        if open.mailbox.messages()[at].is_gone() {
            return Err(Trouble::Gone);
        }
        let rev2 = self.rev2;
        let mut apart = None;
        known_codings(items, at, &mut apart, open)?;
        self.conn.flush_full().map_err(Trouble::Hangup)?;
        let start = self.conn.output().len();
        let mut fetched = Fetched::open(self.conn.output(), index + 1);
        self.streamed = false;
        for item in items {
            let done = self.item(item, at, &mut fetched, &mut apart, keywords, open);
            match done {
                Ok(()) => self.flush_item()?,
                Err(trouble) if self.streamed => return Err(self.cut_off(trouble)),
                Err(trouble) => {
                    self.conn.output().truncate(start);
                    return Err(trouble);
                }
            }
        }
        if was_marked && !items.contains(&Item::Flags) {
            let message = &open.mailbox.messages()[at];
            fetched.flags(self.conn.output(), flags_of(message, keywords, rev2));
        }
        fetched.close(self.conn.output());
        Ok(())
    }

    fn item(
        &mut self,
        item: &Item,
        at: usize,
        fetched: &mut Fetched,
        apart: &mut Option<Apart>,
        keywords: &[Flag],
        open: &mut Open,
    ) -> Result<(), Trouble> {
        let (rev2, utf8) = (self.rev2, self.speaks_utf8());
        let message = open.mailbox.messages()[at];
        match item {
            Item::Uid => fetched.uid(self.conn.output(), message.uid),
            Item::Flags => fetched.flags(self.conn.output(), flags_of(&message, keywords, rev2)),
            Item::InternalDate => {
                let date = DateTime::from_timestamp(open.mailbox.date(at)?, 0).unwrap_or_default();
                let local = date.with_timezone(&Local).fixed_offset();
                fetched.internal_date(self.conn.output(), local);
            }
            Item::Rfc822Size => fetched.size(self.conn.output(), open.mailbox.octets(at)?),
            Item::Envelope | Item::Body | Item::BodyStructure => {
                let described = describe(at, apart, utf8, open)?;
                let (name, value) = match item {
                    Item::Envelope => ("ENVELOPE", described.part(Which::Envelope)),
                    Item::Body => ("BODY", described.part(Which::Body)),
                    _ => ("BODYSTRUCTURE", described.part(Which::BodyStructure)),
                };
                fetched.item(self.conn.output(), name);
                self.conn.output().extend_from_slice(value);
            }
            Item::Rfc822 => self.whole("RFC822", at, fetched, open)?,
            Item::Rfc822Header => {
                self.ranges("RFC822.HEADER", Side::Header, at, fetched, apart, open)?
            }
            Item::Rfc822Text => self.ranges("RFC822.TEXT", Side::Text, at, fetched, apart, open)?,
            Item::Section { section, partial: None, .. } if *section == Section::default() => {
                self.whole("BODY[]", at, fetched, open)?;
            }
            Item::Section { section, partial, .. } => {
                self.section(section, *partial, at, fetched, apart, open)?;
            }
            Item::Binary { part, partial, .. } => {
                let decoded = decoded(part, at, apart, open)?;
                let (origin, octets) = slice(decoded.as_deref(), *partial);
                let nul = octets.is_some_and(|octets| memchr::memchr(0, octets).is_some());
                let length = octets.map(|octets| octets.len() as u64);
                fetched.binary(self.conn.output(), part, origin, length, nul);
                self.conn.output().extend_from_slice(octets.unwrap_or_default());
            }
            Item::BinarySize(part) => {
                let octets = decoded(part, at, apart, open)?.map_or(0, |decoded| decoded.len());
                fetched.binary_size(self.conn.output(), part, octets as u64);
            }
        }
        Ok(())
    }

    /// However many items there are, their octets do not pile up.
    fn flush_item(&mut self) -> Result<(), Trouble> {
        if self.conn.output().len() >= FLUSH {
            self.streamed = true;
            self.conn.flush().map_err(Trouble::Hangup)?;
        }
        Ok(())
    }

    fn cut_off(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Hangup(hangup) => Trouble::Hangup(hangup),
            Trouble::Store(error) => {
                log::warn!("{} cut_off={:?}", self.id, error.to_string());
                Trouble::Hangup(Hangup::Lost)
            }
            Trouble::Gone | Trouble::UnknownCte => {
                log::warn!("{} cut_off=\"the message is gone\"", self.id);
                Trouble::Hangup(Hangup::Lost)
            }
        }
    }

    /// A whole message, as the store hands it out: announced, then streamed.
    fn whole(
        &mut self,
        name: &str,
        at: usize,
        fetched: &mut Fetched,
        open: &mut Open,
    ) -> Result<(), Trouble> {
        let octets = open.mailbox.octets(at)?;
        let wire = open.mailbox.read(at)?;
        fetched.rfc822(self.conn.output(), name, octets);
        self.stream(wire, 0, octets)
    }

    /// Some octets of a section, of which is known where in the whole message it begins and how long
    /// it is: clients fetch a large one piece by piece.
    fn piece(
        &mut self,
        section: &Section,
        partial: Partial,
        (start, length): (u64, u64),
        at: usize,
        fetched: &mut Fetched,
        open: &mut Open,
    ) -> Result<(), Trouble> {
        let wire = open.mailbox.read(at)?;
        let octets = length.saturating_sub(partial.offset).min(partial.octets);
        fetched.section(self.conn.output(), section, Some(partial.offset), Some(octets));
        self.stream(wire, start.saturating_add(partial.offset), octets)
    }

    /// What was announced, behind octets that are skipped.
    fn stream(&mut self, mut wire: Wire, skip: u64, octets: u64) -> Result<(), Trouble> {
        self.streamed = true;
        let (mut skip, mut left) = (skip, octets);
        while left > 0 {
            let chunk = wire.chunk().map_err(store::Error::from)?;
            if chunk.is_empty() {
                break;
            }
            let skipped = usize::try_from(skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
            skip -= skipped as u64;
            let chunk = &chunk[skipped..];
            // Careful: exactly what was announced, whatever another program does to the file.
            let here = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
            let out = self.conn.output();
            let from = out.len();
            out.extend_from_slice(&chunk[..here]);
            write::no_nul(&mut out[from..]);
            left -= here as u64;
            self.conn.flush_full().map_err(Trouble::Hangup)?;
        }
        // What the name of the file says of its size may be very wrong.
        while left > 0 {
            let here = left.min(FLUSH as u64);
            let out = self.conn.output();
            out.resize(out.len() + here as usize, b' ');
            left -= here;
            self.conn.flush_full().map_err(Trouble::Hangup)?;
        }
        Ok(())
    }

    fn ranges(
        &mut self,
        name: &str,
        side: Side,
        at: usize,
        fetched: &mut Fetched,
        apart: &mut Option<Apart>,
        open: &mut Open,
    ) -> Result<(), Trouble> {
        let apart = take_apart(at, apart, open)?;
        let ranges = apart.tree.section(&apart.octets, &[], side).unwrap_or_default();
        let length = ranges.iter().map(|range| wire_octets(&apart.octets, range)).sum();
        fetched.rfc822(self.conn.output(), name, length);
        for range in ranges {
            unfold_lines(&apart.octets[range], self.conn.output());
        }
        Ok(())
    }

    fn section(
        &mut self,
        section: &Section,
        partial: Option<Partial>,
        at: usize,
        fetched: &mut Fetched,
        apart: &mut Option<Apart>,
        open: &mut Open,
    ) -> Result<(), Trouble> {
        let uid = open.mailbox.messages()[at].uid;
        if let Some(partial) = partial {
            let place = match *section == Section::default() {
                true => Some((0, open.mailbox.octets(at)?)),
                false => open.located.as_ref().and_then(|known| known.place(uid, section)),
            };
            if let Some(place) = place {
                return self.piece(section, partial, place, at, fetched, open);
            }
        }
        let apart = take_apart(at, apart, open)?;
        let ranges = ranges_of(section, apart);
        let Some(ranges) = ranges else {
            fetched.section(self.conn.output(), section, partial.map(|p| p.offset), None);
            return Ok(());
        };
        match partial {
            None => {
                let length = ranges.iter().map(|range| wire_octets(&apart.octets, range)).sum();
                fetched.section(self.conn.output(), section, None, Some(length));
                for range in ranges {
                    unfold_lines(&apart.octets[range], self.conn.output());
                }
            }
            Some(_) => {
                open.located = Located::new(uid, section, &apart.octets, &ranges);
                let mut wire = Vec::new();
                for range in ranges {
                    unfold_lines(&apart.octets[range], &mut wire);
                }
                let (origin, octets) = slice(Some(&wire), partial);
                let octets = octets.unwrap_or_default();
                fetched.section(self.conn.output(), section, origin, Some(octets.len() as u64));
                self.conn.output().extend_from_slice(octets);
            }
        }
        Ok(())
    }
}
