//! The parts of a message that passes by: RFC 2045, RFC 2046 §5.
//!
//! It reads pieces of any size, holds back a line or a header at the most, and tells what every
//! octet belongs to. Any octets are a message. Lines are told with LF at their ends, longer ones in
//! pieces; line ends within are those of the message, CRLF or LF.

use super::boundary::Boundaries;
use super::fields::field;
use super::mime::{self, Kind};
use super::transfer::CRLF;
use crate::text::Cursor;
use memchr::memchr;

/// A line is held back up to this, as a boundary (RFC 2046 §5.1.1) is much shorter.
const LINE: usize = 4 * 1024;
/// The header of a part is held back up to this; a longer one is of a part nobody looks into.
const HEADER: usize = 64 * 1024;
/// Parts in parts beyond this are not taken apart.
const DEPTH: usize = 100;
/// Beyond so many parts, the rest of the message belongs to the last.
pub(super) const PARTS: usize = 10_000;

/// What passes.
pub(super) enum Event<'a> {
    /// The header of a part, with the empty line that ends it, if there is one.
    Header(&'a [u8], Passing),
    /// Octets of the body of the part whose header came last.
    Body(&'a [u8]),
    /// That part is over; whether a delimiter follows, to which its last line end belongs.
    End { delimited: bool },
    /// A delimiter.
    Delimiter(&'a [u8]),
    /// What stands before the first part of a multipart or behind the last.
    Between(&'a [u8]),
}

/// A part as its header tells.
pub(super) struct Passing {
    /// RFC 2045 §6.1.
    pub encoding: Vec<u8>,
    /// It has no body of its own, but parts.
    pub is_composite: bool,
    /// It is a message, not part of a multipart.
    pub is_message: bool,
    /// Its octets are not ours to change: it is within a multipart/signed (RFC 1847 §2.1), or is
    /// composite and could not be taken apart.
    pub is_fixed: bool,
}

enum At {
    Header { block: Vec<u8>, digest: bool, is_message: bool },
    Body,
    Between,
}

/// Reads a message.
pub(super) struct Passage {
    /// The boundaries of the multiparts that are open, outermost first,
    open: Boundaries,
    /// and which of them are signed.
    signed: Vec<bool>,
    at: At,
    parts: usize,
    line: Vec<u8>,
    /// Whether `line` begins where a line does.
    line_start: bool,
}

impl Passage {
    /// Before the first octet.
    pub fn new() -> Passage {
        Passage {
            open: Boundaries::default(),
            signed: Vec::new(),
            at: At::Header { block: Vec::new(), digest: false, is_message: true },
            parts: 0,
            line: Vec::new(),
            line_start: true,
        }
    }

    /// Goes on with the next octets.
    pub fn feed(&mut self, mut input: &[u8], tell: &mut impl FnMut(Event)) {
        while !input.is_empty() {
            let end = memchr(b'\n', input).map_or(input.len(), |at| at + 1);
            self.line.extend_from_slice(&input[..end]);
            input = &input[end..];
            if self.line.ends_with(b"\n") {
                let mut line = std::mem::take(&mut self.line);
                if line.ends_with(&CRLF) {
                    line.truncate(line.len() - 2);
                    line.push(b'\n');
                }
                self.take(&line, tell);
                line.clear();
                self.line = line;
            } else if self.line.len() > LINE {
                // A CR at the end may be half of a CRLF.
                let keep = usize::from(self.line.ends_with(b"\r"));
                let rest = self.line.split_off(self.line.len() - keep);
                let line = std::mem::replace(&mut self.line, rest);
                self.take(&line, tell);
            }
        }
    }

    /// Behind the last octet.
    pub fn end(&mut self, tell: &mut impl FnMut(Event)) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take(&line, tell);
        }
        self.end_part(false, tell);
    }

    /// A line with its end, or a piece of a line that is too long.
    fn take(&mut self, line: &[u8], tell: &mut impl FnMut(Event)) {
        let starts = std::mem::replace(&mut self.line_start, line.ends_with(b"\n"));
        if starts && self.delimiter(line, tell) {
            return;
        }
        match &mut self.at {
            At::Between => tell(Event::Between(line)),
            At::Body => tell(Event::Body(line)),
            At::Header { block, .. } => {
                block.extend_from_slice(line);
                if (starts && line == b"\n") || block.len() > HEADER {
                    self.end_header(tell);
                }
            }
        }
    }

    /// RFC 2046 §5.1.2: the boundary of any multipart that is open ends all parts within it.
    fn delimiter(&mut self, line: &[u8], tell: &mut impl FnMut(Event)) -> bool {
        let found = line.strip_prefix(b"--").and_then(|text| self.open.delimiter(text));
        let Some((at, closes)) = found.filter(|_| self.parts < PARTS) else { return false };
        self.end_part(true, tell);
        let keep = if closes { at } else { at + 1 };
        self.open.truncate(keep);
        self.signed.truncate(keep);
        tell(Event::Delimiter(line));
        let digest = self.open.last().is_some_and(|boundary| boundary.digest);
        self.at = match closes {
            true => At::Between,
            false => At::Header { block: Vec::new(), digest, is_message: false },
        };
        true
    }

    fn end_part(&mut self, delimited: bool, tell: &mut impl FnMut(Event)) {
        if matches!(self.at, At::Header { .. }) {
            self.end_header(tell);
        }
        if matches!(self.at, At::Body) {
            tell(Event::End { delimited });
        }
        self.at = At::Between;
    }

    fn end_header(&mut self, tell: &mut impl FnMut(Event)) {
        let At::Header { block, digest, is_message } = std::mem::replace(&mut self.at, At::Body)
        else {
            return;
        };
        self.parts += 1;
        let part = mime::part(&block, digest);
        let is_ended = block == b"\n" || block.ends_with(b"\n\n");
        let has_room = self.open.len() < DEPTH && self.parts < PARTS && is_ended;
        let is_signed = self.signed.last().copied().unwrap_or(false);
        let is_leaf = matches!(part.kind, Kind::Leaf);
        let mut passing = Passing {
            is_composite: false,
            is_message,
            is_fixed: is_signed || !is_leaf || !is_ended || self.parts >= PARTS,
            encoding: part.encoding,
        };
        match part.kind {
            Kind::Multipart(boundary) if has_room => {
                (passing.is_composite, passing.is_fixed) = (true, is_signed);
                self.open.push(boundary);
                self.signed.push(is_signed || is_a(&block, "multipart", "signed"));
                self.at = At::Between;
            }
            Kind::Message if has_room && mime::is_identity(&passing.encoding) => {
                (passing.is_composite, passing.is_fixed) = (true, is_signed);
                self.at = At::Header { block: Vec::new(), digest: false, is_message: true };
            }
            _ => passing.is_fixed |= is_a(&block, "multipart", ""),
        }
        tell(Event::Header(&block, passing));
    }
}

/// Whether the header says that its part is of this type.
fn is_a(header: &[u8], media: &str, subtype: &str) -> bool {
    let value = field(header, 0..header.len(), b"Content-Type").unwrap_or_default();
    mime::media_type(&mut Cursor::new(value)).is_some_and(|(found, sub)| {
        found.eq_ignore_ascii_case(media.as_bytes())
            && (subtype.is_empty() || sub.eq_ignore_ascii_case(subtype.as_bytes()))
    })
}
