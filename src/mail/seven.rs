//! A message for a host that takes only ASCII in lines of 998 octets: RFC 6152 §3, RFC 2045 §6.
//!
//! It is read twice, in pieces of any size: `Planner` learns which parts must be encoded and how,
//! `ToSeven` does it. Each part is encoded by itself, what is encoded already stays or is mended,
//! and what is signed is left alone (RFC 1847 §2.1): if it cannot go as it is, it cannot go.
//!
//! Header fields are left as they are; where they hold UTF-8 that is RFC 6531's affair.

use super::encode::Encoder;
use super::fields::field;
use super::mime;
use super::passing::{Event, Passage, Passing};
use super::survey::LINE;
use super::transfer::Coding;

/// What must become of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    to: Coding,
    /// It has that coding already.
    mend: bool,
    /// The charset, if the part does not tell it.
    charset: &'static str,
}

/// What must become of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// For each part that has a body of its own.
    changes: Vec<Option<Change>>,
    seven: bool,
    is_impossible: bool,
}

impl Plan {
    /// Whether the host cannot have it at all.
    pub fn is_impossible(&self) -> bool {
        self.is_impossible
    }
}

/// Reads a message to learn what must become of it.
pub struct Planner {
    passage: Passage,
    plan: Plan,
    leaf: Leaf,
}

/// What the body of one part holds.
#[derive(Default)]
struct Leaf {
    coding: Option<Coding>,
    is_fixed: bool,
    octets: u64,
    /// Octets that quoted-printable escapes.
    escapes: u64,
    line: usize,
    eight_bit: bool,
    /// A line that is too long, a NUL, a CR that ends nothing.
    needs_folding: bool,
    no_utf8: bool,
}

impl Planner {
    /// `seven`: no octets beyond ASCII; else only lines are looked at.
    pub fn new(seven: bool) -> Planner {
        let plan = Plan { seven, ..Plan::default() };
        Planner { passage: Passage::new(), plan, leaf: Leaf::default() }
    }

    /// Goes on with the next octets.
    pub fn feed(&mut self, input: &[u8]) {
        let Planner { passage, plan, leaf } = self;
        passage.feed(input, &mut |event| plan.take(&event, leaf));
    }

    /// Behind the last octet.
    pub fn end(mut self) -> Plan {
        let Planner { passage, plan, leaf } = &mut self;
        passage.end(&mut |event| plan.take(&event, leaf));
        self.plan
    }
}

impl Plan {
    fn take(&mut self, event: &Event, leaf: &mut Leaf) {
        match event {
            Event::Header(_, part) if !part.is_composite => {
                let coding = Coding::named(&part.encoding);
                *leaf = Leaf { coding, is_fixed: part.is_fixed, ..Leaf::default() };
            }
            Event::Body(line) => leaf.line(line),
            Event::End { .. } => {
                let change = leaf.change(self.seven);
                let is_left = leaf.eight_bit && self.seven && change.is_none();
                self.is_impossible |= is_left;
                self.changes.push(change);
            }
            Event::Header(..) | Event::Delimiter(_) | Event::Between(_) => {}
        }
    }
}

impl Leaf {
    fn line(&mut self, line: &[u8]) {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let is_odd = |octet: u8| !matches!(octet, b'\t' | b' '..=b'~');
        self.octets += line.len() as u64;
        self.line += text.len();
        if text.iter().any(|octet| is_odd(*octet) || *octet == b'=') {
            let escapes = text.iter().filter(|octet| is_odd(**octet) || **octet == b'=').count();
            self.escapes += escapes as u64;
            self.eight_bit |= !text.is_ascii();
            self.needs_folding |= text.contains(&b'\r') || text.contains(&0);
            self.no_utf8 = self.no_utf8 || std::str::from_utf8(text).is_err();
        }
        self.needs_folding |= self.line > LINE;
        if line.ends_with(b"\n") {
            self.line = 0;
        }
    }

    fn change(&self, seven: bool) -> Option<Change> {
        let is_needed = (seven && self.eight_bit) || self.needs_folding;
        if !is_needed || self.is_fixed {
            return None;
        }
        let charset = match (self.eight_bit, self.no_utf8) {
            (false, _) => "us-ascii",
            (true, false) => "utf-8",
            // RFC 1428 §3: nobody knows.
            (true, true) => "unknown-8bit",
        };
        let coding = self.coding?;
        let to = match coding {
            // Where most of it had to be escaped nobody could read it anyway.
            Coding::Identity if 2 * self.escapes > self.octets => Coding::Base64,
            Coding::Identity => Coding::QuotedPrintable,
            coded => coded,
        };
        Some(Change { to, mend: coding != Coding::Identity, charset })
    }
}

/// Reads the message again, and gives out what the plan makes of it; lines end in LF.
pub struct ToSeven<'a> {
    passage: Passage,
    writer: Writer<'a>,
}

struct Writer<'a> {
    seven: bool,
    changes: std::slice::Iter<'a, Option<Change>>,
    encoder: Option<Encoder>,
    /// Octets of the line so far, outside of all parts.
    column: usize,
}

impl<'a> ToSeven<'a> {
    /// Before the first octet of the message that the plan is of.
    pub fn new(plan: &'a Plan) -> ToSeven<'a> {
        let changes = plan.changes.iter();
        let writer = Writer { seven: plan.seven, changes, encoder: None, column: 0 };
        ToSeven { passage: Passage::new(), writer }
    }

    /// Appends what `input` becomes to `output`.
    pub fn feed(&mut self, input: &[u8], output: &mut Vec<u8>) {
        let writer = &mut self.writer;
        self.passage.feed(input, &mut |event| writer.take(event, output));
    }

    /// What is left at the end of the message.
    pub fn end(mut self, output: &mut Vec<u8>) {
        let writer = &mut self.writer;
        self.passage.end(&mut |event| writer.take(event, output));
    }
}

impl Writer<'_> {
    fn take(&mut self, event: Event, output: &mut Vec<u8>) {
        match event {
            Event::Header(block, part) if part.is_composite => {
                // RFC 2045 §6.4: it must say what its parts hold.
                let is_odd = !part.encoding.eq_ignore_ascii_case(b"7bit")
                    && mime::is_identity(&part.encoding);
                match self.seven && is_odd && !part.is_fixed {
                    true => mime::with_encoding(block, "7bit", output),
                    false => output.extend_from_slice(block),
                }
            }
            Event::Header(block, part) => match self.changes.next().copied().flatten() {
                None => output.extend_from_slice(block),
                Some(change) => {
                    self.encoder = Some(match (change.to, change.mend) {
                        (Coding::Base64, true) => Encoder::lines(),
                        (Coding::Base64, false) => Encoder::base64(),
                        (_, mend) => Encoder::quoted(mend),
                    });
                    header(block, &part, change, output);
                }
            },
            Event::Body(piece) => match &mut self.encoder {
                None => output.extend_from_slice(piece),
                Some(encoder) => encoder.feed(piece, output),
            },
            Event::End { delimited } => {
                if let Some(encoder) = self.encoder.take() {
                    encoder.end(delimited, output);
                }
            }
            Event::Delimiter(line) => output.extend_from_slice(line),
            Event::Between(piece) => self.between(piece, output),
        }
    }

    /// RFC 2046 §5.1.1: nobody is shown this, so it need only be sent.
    fn between(&mut self, piece: &[u8], output: &mut Vec<u8>) {
        for octet in piece {
            self.column = if *octet == b'\n' { 0 } else { self.column + 1 };
            if self.column > LINE {
                output.push(b'\n');
                self.column = 1;
            }
            let is_odd = matches!(octet, 0 | b'\r') || (self.seven && !octet.is_ascii());
            output.push(if is_odd { b'?' } else { *octet });
        }
    }
}

/// Says in the header what the body is now. A body that nobody described was text.
fn header(block: &[u8], part: &Passing, change: Change, output: &mut Vec<u8>) {
    if change.mend {
        output.extend_from_slice(block);
        return;
    }
    let encoding = if change.to == Coding::Base64 { "base64" } else { "quoted-printable" };
    let has = |name| field(block, 0..block.len(), name).is_some();
    let fields = block.strip_suffix(b"\n").unwrap_or(block);
    if has(b"Content-Transfer-Encoding") {
        mime::with_encoding(fields, encoding, output);
    } else {
        output.extend_from_slice(fields);
        output.extend_from_slice(format!("Content-Transfer-Encoding: {encoding}\n").as_bytes());
    }
    if !has(b"Content-Type") {
        let text = format!("Content-Type: text/plain; charset={}\n", change.charset);
        output.extend_from_slice(text.as_bytes());
    }
    if part.is_message && !has(b"MIME-Version") {
        output.extend_from_slice(b"MIME-Version: 1.0\n");
    }
    output.push(b'\n');
}
