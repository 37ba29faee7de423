//! FETCH: RFC 3501 §6.4.5, RFC 9051 §6.4.5, RFC 3516 (BINARY).
//!
//! A message is read at most once for all items, and not at all where its name, the list of UIDs or
//! the cache know what is asked for. A whole message streams; of the others never more than one is
//! in memory.

use super::command::{Item, Partial, Section, SectionText};
use super::described::{Described, Which};
use super::fetched::Fetched;
use super::flag::Flag;
use super::mailbox::{expunge_issued, flags_of, store_status, too_large};
use super::response::{CRLF, Code, Status};
use super::session::{Imapd, Open, Outcome};
use super::set::Written;
use super::write;
use crate::mail::{Coding, Decoded, Side, Tree, wire_octets};
use crate::net::Hangup;
use crate::store::{self, Change, Flags, Wire};
use chrono::{DateTime, Local};
use std::ops::Range;

/// Octets beyond these do not wait for the end of a response.
const FLUSH: usize = 32 * 1024;

/// A message taken apart, once something wants it.
struct Apart {
    octets: Vec<u8>,
    tree: Tree,
}

/// Why a message cannot be told of.
enum Trouble {
    /// Another program took it away (RFC 2180 §4.1.2).
    Gone,
    /// RFC 3516 §4.3.
    UnknownCte,
    Store(store::Error),
    Hangup(Hangup),
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Trouble {
        match &error {
            store::Error::Unavailable(io) if io.kind() == std::io::ErrorKind::NotFound => {
                Trouble::Gone
            }
            _ => Trouble::Store(error),
        }
    }
}

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
        let seen = self.mark_seen(&items, &indices, open);
        let keywords = open.keywords();
        let mut refusal = None;
        for index in indices {
            let was_marked = seen.binary_search(&index).is_ok();
            match self.one(index, &items, was_marked, &keywords, open) {
                Ok(()) => self.conn.flush_full()?,
                // A UID that is gone is passed over (RFC 3501 §6.4.8).
                Err(Trouble::Gone) if uid => {}
                Err(Trouble::Gone) => refusal = Some(expunge_issued("RFC 2180 §4.1.2")),
                Err(Trouble::UnknownCte) => {
                    let text = "A part is encoded in a way that nobody knows";
                    refusal = Some(Status::no(Code::UnknownCte, text).by("RFC 3516 §4.3"));
                }
                Err(Trouble::Store(error)) if error.is_too_large() => refusal = Some(too_large()),
                Err(Trouble::Store(error)) => return Ok(Err(store_status(error))),
                Err(Trouble::Hangup(hangup)) => return Err(hangup),
            }
        }
        Ok(refusal.map_or(Ok(Status::ok("Fetched")), Err))
    }

    /// What is read is seen (RFC 3501 §2.3.2), unless the client peeks. The indices that were not.
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
            Item::Section { section, partial, .. } if *section == Section::default() => {
                match partial {
                    None => self.whole("BODY[]", at, fetched, open)?,
                    Some(partial) => self.piece(section, *partial, at, fetched, open)?,
                }
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

    /// Some octets of a whole message: clients fetch a large one piece by piece.
    fn piece(
        &mut self,
        section: &Section,
        partial: Partial,
        at: usize,
        fetched: &mut Fetched,
        open: &mut Open,
    ) -> Result<(), Trouble> {
        let rest = open.mailbox.octets(at)?.saturating_sub(partial.offset);
        let wire = open.mailbox.read(at)?;
        let octets = rest.min(partial.octets);
        fetched.section(self.conn.output(), section, Some(partial.offset), Some(octets));
        self.stream(wire, partial.offset, octets)
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

/// RFC 3516 §4.3: whether all that is to be decoded can be, before anything is said.
fn known_codings(
    items: &[Item],
    at: usize,
    apart: &mut Option<Apart>,
    open: &mut Open,
) -> Result<(), Trouble> {
    for item in items {
        let (Item::Binary { part, .. } | Item::BinarySize(part)) = item else { continue };
        let Apart { octets, tree } = take_apart(at, apart, open)?;
        let Some(place) = tree.find(part).filter(|_| !part.is_empty()) else { continue };
        Coding::named(&tree.entity(octets, place).encoding).ok_or(Trouble::UnknownCte)?;
    }
    Ok(())
}

fn ranges_of(section: &Section, apart: &Apart) -> Option<Vec<Range<usize>>> {
    let names: Vec<&[u8]>;
    let side = match &section.text {
        SectionText::Whole => Side::Whole,
        SectionText::Header => Side::Header,
        SectionText::Text => Side::Text,
        SectionText::Mime => Side::Mime,
        SectionText::Fields(fields) | SectionText::FieldsNot(fields) => {
            names = fields.iter().map(Vec::as_slice).collect();
            let not = matches!(section.text, SectionText::FieldsNot(_));
            Side::Fields { names: &names, not }
        }
    };
    apart.tree.section(&apart.octets, &section.part, side)
}

/// Reads a message and takes it apart, once.
fn take_apart<'a>(
    at: usize,
    apart: &'a mut Option<Apart>,
    open: &mut Open,
) -> Result<&'a Apart, Trouble> {
    if apart.is_none() {
        let mut octets = open.mailbox.raw(at)?;
        // The wire form, by which all is counted, has this line end.
        if !octets.is_empty() && !octets.ends_with(b"\n") {
            octets.extend_from_slice(CRLF.as_bytes());
        }
        let tree = Tree::new(&octets);
        *apart = Some(Apart { octets, tree });
    }
    Ok(apart.as_ref().expect("it was just put there"))
}

/// RFC 3516 §4.2: a part without its transfer coding; without a number, the message.
fn decoded(
    part: &[u32],
    at: usize,
    apart: &mut Option<Apart>,
    open: &mut Open,
) -> Result<Option<Vec<u8>>, Trouble> {
    let apart = take_apart(at, apart, open)?;
    let Some(place) = apart.tree.find(part) else { return Ok(None) };
    let mut wire = Vec::new();
    if part.is_empty() {
        unfold_lines(&apart.octets, &mut wire);
        return Ok(Some(wire));
    }
    let encoding = apart.tree.entity(&apart.octets, place).encoding;
    let coding = Coding::named(&encoding).ok_or(Trouble::UnknownCte)?;
    let body = &apart.octets[apart.tree.parts()[place].body.clone()];
    if coding == Coding::Identity {
        unfold_lines(body, &mut wire);
        return Ok(Some(wire));
    }
    Ok(Some(Decoded::new(body, coding).all()))
}

/// RFC 3501 §6.4.5: where the octets begin, if the client asked for some only, and they.
fn slice(octets: Option<&[u8]>, partial: Option<Partial>) -> (Option<u64>, Option<&[u8]>) {
    let (Some(partial), Some(octets)) = (partial, octets) else {
        return (partial.map(|partial| partial.offset), octets);
    };
    let start = usize::try_from(partial.offset).map_or(octets.len(), |at| at.min(octets.len()));
    let end = partial.offset.saturating_add(partial.octets);
    let end = usize::try_from(end).map_or(octets.len(), |at| at.min(octets.len()));
    (Some(partial.offset), Some(&octets[start..end]))
}

/// Lines as they go over the wire: what ends in LF alone gets its CR. NUL has no place in a literal.
fn unfold_lines(text: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\n', rest) {
        out.extend_from_slice(&rest[..at]);
        if rest[..at].last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(b'\n');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    write::no_nul(&mut out[from..]);
}

/// From the cache, or from the message, which the cache then learns.
///
/// Strings in UTF-8 are another text; clients that enabled them are few, and pay.
fn describe(
    at: usize,
    apart: &mut Option<Apart>,
    utf8: bool,
    open: &mut Open,
) -> Result<Described, Trouble> {
    if !utf8 && let Some(described) = Described::cached(at, open) {
        return Ok(described);
    }
    let taken = take_apart(at, apart, open)?;
    let described = Described::new(&taken.octets, &taken.tree, utf8);
    if !utf8 {
        described.remember(at, open);
    }
    Ok(described)
}
