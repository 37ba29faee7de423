//! A message taken apart for FETCH: its sections (RFC 3501 §6.4.5), its parts without their transfer
//! coding (RFC 3516), what the cache keeps of it, and all of that in the form of the wire.

use super::command::{Item, Partial, Section, SectionText};
use super::described::Described;
use super::response::CRLF;
use super::session::Open;
use super::write;
use crate::mail::{Coding, Decoded, Side, Tree, wire_octets};
use crate::net::Hangup;
use crate::store;
use std::ops::Range;

/// A message taken apart, once something wants it.
pub(super) struct Apart {
    pub octets: Vec<u8>,
    pub tree: Tree,
}

/// Where a section is whose octets a client fetches piece by piece, so that the message need not be
/// taken apart for each.
pub(super) struct Located {
    uid: u32,
    section: Section,
    /// In octets of the wire: where in the message it begins, and how long it is.
    place: (u64, u64),
}

impl Located {
    /// Of a section that is in one piece.
    pub fn new(
        uid: u32,
        section: &Section,
        message: &[u8],
        ranges: &[Range<usize>],
    ) -> Option<Located> {
        let [range] = ranges else { return None };
        let before = Range { start: 0, end: range.start };
        let place = (wire_octets(message, &before), wire_octets(message, range));
        Some(Located { uid, section: section.clone(), place })
    }

    /// If it is that one.
    pub fn place(&self, uid: u32, section: &Section) -> Option<(u64, u64)> {
        (self.uid == uid && self.section == *section).then_some(self.place)
    }
}

/// Why a message cannot be told of.
pub(super) enum Trouble {
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

/// RFC 3516 §4.3: whether all that is to be decoded can be, before anything is said.
pub(super) fn known_codings(
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

pub(super) fn ranges_of(section: &Section, apart: &Apart) -> Option<Vec<Range<usize>>> {
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
pub(super) fn take_apart<'a>(
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
pub(super) fn decoded(
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
pub(super) fn slice(
    octets: Option<&[u8]>,
    partial: Option<Partial>,
) -> (Option<u64>, Option<&[u8]>) {
    let (Some(partial), Some(octets)) = (partial, octets) else {
        return (partial.map(|partial| partial.offset), octets);
    };
    let start = usize::try_from(partial.offset).map_or(octets.len(), |at| at.min(octets.len()));
    let end = partial.offset.saturating_add(partial.octets);
    let end = usize::try_from(end).map_or(octets.len(), |at| at.min(octets.len()));
    (Some(partial.offset), Some(&octets[start..end]))
}

/// Lines as they go over the wire: what ends in LF alone gets its CR. NUL has no place in a literal.
pub(super) fn unfold_lines(text: &[u8], out: &mut Vec<u8>) {
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
pub(super) fn describe(
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
