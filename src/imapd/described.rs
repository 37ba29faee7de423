//! What the cache keeps of a message: ENVELOPE, BODY and BODYSTRUCTURE as they are written, and the
//! fields that clients search for.
//!
//! Derived from the message and from nothing else: a cache that is gone, or holds what cannot be, is
//! made again.

use super::session::Open;
use super::structure::{self, Form};
use crate::mail::{Envelope, Side, Tree};
use crate::store;

/// Fields that are kept for SEARCH.
const FIELDS: [&[u8]; 11] = [
    b"From",
    b"To",
    b"Cc",
    b"Bcc",
    b"Subject",
    b"Date",
    b"Sender",
    b"Reply-To",
    b"Message-ID",
    b"In-Reply-To",
    b"References",
];

/// Its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Envelope,
    Body,
    BodyStructure,
    Fields,
}

/// Three lengths of four octets, then four parts.
pub(super) struct Described(Vec<u8>);

impl Described {
    /// Of a message taken apart. Strings in UTF-8 are another text.
    pub fn new(message: &[u8], tree: &Tree, utf8: bool) -> Described {
        let mut parts: [Vec<u8>; 4] = Default::default();
        let header = tree.parts()[0].header.clone();
        structure::envelope(&mut parts[0], &Envelope::new(message, header), utf8);
        structure::body(&mut parts[1], message, tree, 0, Form { extended: false, utf8 });
        structure::body(&mut parts[2], message, tree, 0, Form { extended: true, utf8 });
        let fields = tree.section(message, &[], Side::Fields { names: &FIELDS, not: false });
        for range in fields.unwrap_or_default() {
            parts[3].extend_from_slice(&message[range]);
        }
        let mut all = Vec::new();
        for part in &parts[..3] {
            all.extend_from_slice(&(part.len() as u32).to_le_bytes());
        }
        parts.iter().for_each(|part| all.extend_from_slice(part));
        Described(all)
    }

    /// Whether a field is among those kept.
    pub fn keeps(field: &[u8]) -> bool {
        FIELDS.iter().any(|kept| kept.eq_ignore_ascii_case(field))
    }

    /// From the cache.
    pub fn cached(index: usize, open: &mut Open) -> Option<Described> {
        let described = Described(open.mailbox.cached(index)?);
        described.ends().map(|_| described)
    }

    /// From the cache, or from the message, which the cache then learns.
    pub fn of(index: usize, open: &mut Open) -> Result<Described, store::Error> {
        if let Some(described) = Described::cached(index, open) {
            return Ok(described);
        }
        let message = open.mailbox.raw(index)?;
        let described = Described::new(&message, &Tree::new(&message), false);
        described.remember(index, open);
        Ok(described)
    }

    /// The cache learns it.
    pub fn remember(&self, index: usize, open: &mut Open) {
        open.mailbox.remember(index, &self.0);
    }

    /// One of its parts.
    pub fn part(&self, which: Which) -> &[u8] {
        let at = which as usize;
        self.ends().map_or(&[], |ends| &self.0[ends[at]..ends[at + 1]])
    }

    /// Where the parts begin and end; `None` if that cannot be.
    fn ends(&self) -> Option<[usize; 5]> {
        let mut ends = [12_usize; 5];
        for at in 0..3 {
            let octets: [u8; 4] = self.0.get(at * 4..at * 4 + 4)?.try_into().ok()?;
            ends[at + 1] = ends[at].checked_add(u32::from_le_bytes(octets) as usize)?;
        }
        ends[4] = self.0.len();
        (ends[3] <= ends[4]).then_some(ends)
    }
}
