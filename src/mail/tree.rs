//! What a message is made of, by places in it: RFC 2045, RFC 2046 §5.
//!
//! Any octets are a message. One pass, no copy, time in proportion to the size: nesting ends at
//! `DEPTH` and counting at `PARTS`, beyond which there are only octets. A missing close delimiter
//! ends with the multipart around it or with the message (RFC 2046 §5.1.2); a delimiter within a
//! header ends the part that never had a body.
//!
//! The parts stand in one vector, each before those within it.

use super::boundary::Boundaries;
use super::fields::{is_blank, line_end};
use super::mime::{self, Kind};
use super::tally::Tally;
use memchr::memmem::Finder;
use std::ops::Range;

/// Parts in parts beyond this are not taken apart.
const DEPTH: usize = 100;
/// Beyond so many parts, the rest of the message belongs to the last.
const PARTS: usize = 10_000;

/// How a part is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Of octets.
    Leaf,
    /// Of parts, at least one: where no delimiter was found an empty one stands in for it.
    Multipart,
    /// Of one message, whose own header and body the only part within it has.
    Message,
}

/// A part; the first one is the whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its header section, the empty line that ends it included.
    pub header: Range<usize>,
    /// Its body, without the line end that belongs to the delimiter behind it.
    pub body: Range<usize>,
    /// How the body is made.
    pub shape: Shape,
    /// The lines of the body.
    pub lines: u64,
    /// The octets of the body in wire form.
    pub octets: u64,
    /// Within a multipart/digest, where parts without a type are messages (RFC 2046 §5.1.5).
    pub(super) in_digest: bool,
    /// Behind all parts within it.
    next: usize,
}

/// A message taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    parts: Vec<Part>,
}

impl Tree {
    /// Takes a message apart. It may have lines that end in LF, in CRLF, or both.
    pub fn new(message: &[u8]) -> Tree {
        let mut parser = Parser::new(message);
        let mut next = parser.header(false);
        loop {
            next = match next {
                Next::Header { digest } => parser.header(digest),
                Next::Body => parser.body(),
                Next::Delimiter(delimiter) => parser.delimiter(&delimiter),
                Next::End => break,
            };
        }
        parser.end_parts(0, message.len());
        Tree { parts: parser.parts }
    }

    /// All parts, each before those within it; the first is the message.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The parts right within the one at this place of `parts`, by their own places.
    pub fn children(&self, part: usize) -> impl Iterator<Item = usize> {
        let end = self.parts.get(part).map_or(0, |part| part.next);
        let first = Some(part + 1).filter(|first| *first < end);
        std::iter::successors(first, move |at| Some(self.parts[*at].next).filter(|at| *at < end))
    }
}

/// What the parser meets next.
enum Next {
    Header { digest: bool },
    Body,
    Delimiter(Delimiter),
    End,
}

struct Delimiter {
    /// Which of the open multiparts it is of.
    level: usize,
    closes: bool,
    /// Where the parts before it end.
    end: usize,
}

/// A part whose end has not been seen.
struct Open {
    part: usize,
    /// The count at the start of its body.
    before: Tally,
}

struct Parser<'a> {
    message: &'a [u8],
    at: usize,
    parts: Vec<Part>,
    open: Vec<Open>,
    /// Of those in `open` that are multiparts and not closed.
    boundaries: Boundaries,
    /// Where in `open` they are.
    owners: Vec<usize>,
    tally: Tally,
    dashes: Finder<'static>,
}

impl<'a> Parser<'a> {
    fn new(message: &'a [u8]) -> Parser<'a> {
        Parser {
            message,
            at: 0,
            parts: Vec::new(),
            open: Vec::new(),
            boundaries: Boundaries::default(),
            owners: Vec::new(),
            tally: Tally::default(),
            dashes: Finder::new(b"\n--"),
        }
    }

    /// A part begins here.
    fn header(&mut self, in_digest: bool) -> Next {
        let start = self.at;
        let delimiter = self.pass_header();
        let end = delimiter.as_ref().map_or(self.at, |delimiter| delimiter.end);
        self.tally.advance(self.message, end);
        self.open.push(Open { part: self.parts.len(), before: self.tally });
        self.parts.push(Part::new(start..end, in_digest));
        if let Some(delimiter) = delimiter {
            return Next::Delimiter(delimiter);
        }
        let has_room = self.open.len() < DEPTH && self.parts.len() < PARTS;
        let (shape, next) = match mime::made(&self.message[start..end], in_digest) {
            Kind::Multipart(boundary) if has_room => {
                self.boundaries.push(boundary);
                self.owners.push(self.open.len() - 1);
                (Shape::Multipart, Next::Body)
            }
            Kind::Message if has_room => (Shape::Message, Next::Header { digest: false }),
            _ => (Shape::Leaf, Next::Body),
        };
        if let Some(part) = self.parts.last_mut() {
            part.shape = shape;
        }
        next
    }

    /// Passes a header and the empty line behind it, or up to a delimiter, which is passed too.
    fn pass_header(&mut self) -> Option<Delimiter> {
        loop {
            let start = self.at;
            let line = &self.message[start..start + line_end(&self.message[start..])];
            let found = line.strip_prefix(b"--").and_then(|text| self.is_delimiter(text));
            self.at += line.len();
            if let Some((level, closes)) = found {
                return Some(Delimiter { level, closes, end: start });
            }
            if is_blank(line) {
                return None;
            }
        }
    }

    fn is_delimiter(&self, text: &[u8]) -> Option<(usize, bool)> {
        if self.parts.len() < PARTS { self.boundaries.delimiter(text) } else { None }
    }

    /// Passes octets up to a delimiter.
    fn body(&mut self) -> Next {
        if self.owners.is_empty() || self.parts.len() >= PARTS {
            return Next::End;
        }
        loop {
            let start = self.at;
            let rest = &self.message[start..];
            if let Some(text) = rest.strip_prefix(b"--") {
                let text = &text[..line_end(text)];
                if let Some((level, closes)) = self.is_delimiter(text) {
                    self.at += 2 + text.len();
                    return Next::Delimiter(Delimiter { level, closes, end: self.body_end(start) });
                }
            }
            match self.dashes.find(rest) {
                Some(line_feed) => self.at += line_feed + 1,
                None => return Next::End,
            }
        }
    }

    /// The line end before a delimiter belongs to it (RFC 2046 §5.1.1), unless it is the one that
    /// ends the header.
    fn body_end(&self, delimiter: usize) -> usize {
        let end = match &self.message[..delimiter] {
            [.., b'\r', b'\n'] => delimiter - 2,
            _ => delimiter - 1,
        };
        let innermost = self.open.last().map_or(0, |open| self.parts[open.part].body.start);
        end.max(innermost)
    }

    fn delimiter(&mut self, delimiter: &Delimiter) -> Next {
        let owner = self.owners[delimiter.level];
        self.end_parts(owner + 1, delimiter.end);
        let keep = delimiter.level + usize::from(!delimiter.closes);
        self.boundaries.truncate(keep);
        self.owners.truncate(keep);
        match self.boundaries.last() {
            Some(boundary) if !delimiter.closes => Next::Header { digest: boundary.digest },
            _ => Next::Body,
        }
    }

    /// All open parts but so many end there.
    fn end_parts(&mut self, keep: usize, end: usize) {
        self.tally.advance(self.message, end);
        while self.open.len() > keep {
            let Some(Open { part: at, before }) = self.open.pop() else { return };
            if self.parts[at].shape == Shape::Multipart && self.parts.len() == at + 1 {
                self.parts.push(Part { next: at + 2, ..Part::new(end..end, false) });
            }
            let next = self.parts.len();
            let part = &mut self.parts[at];
            part.body.end = end;
            part.next = next;
            (part.lines, part.octets) = self.tally.since(&before, self.message, &part.body);
        }
    }
}

impl Part {
    /// A leaf without a body.
    fn new(header: Range<usize>, in_digest: bool) -> Part {
        let body = header.end..header.end;
        Part { header, body, shape: Shape::Leaf, lines: 0, octets: 0, in_digest, next: 0 }
    }
}
