//! The header section of a message that passes by, line by line: RFC 5322 §2.2.
//!
//! What final delivery must know (how many hops, where it was delivered before) is noted, and what
//! it replaces (Return-Path, RFC 5321 §4.4) is left out. The body passes untouched; so does
//! everything once a line is longer than any header line could be.

use crate::limits::{self, DELIVERIES, HEADER_LINE};
use crate::text::is_vchar;
use memchr::memchr;

/// Where in the message the filter stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    First,
    Header,
    Dropping,
    Body,
}

/// Reads a message in pieces of any size, lines ended by LF.
pub struct Filter {
    at: At,
    line: Vec<u8>,
    /// Received fields (RFC 5321 §6.3).
    pub hops: usize,
    /// The values of Delivered-To fields (RFC 9228 §4), as written.
    pub delivered_to: Vec<String>,
    /// The value of the first Return-Path field, which is left out.
    pub return_path: Option<String>,
    /// How many of the Delivered-To fields stand above the first Received.
    fresh: usize,
    /// Fields that the message shall have, less those that it has.
    wanted: Vec<(&'static str, String)>,
}

impl Filter {
    /// Before the first octet.
    pub fn new() -> Filter {
        Filter {
            at: At::First,
            line: Vec::new(),
            hops: 0,
            delivered_to: Vec::new(),
            return_path: None,
            fresh: 0,
            wanted: Vec::new(),
        }
    }

    /// RFC 6409 §8: puts those of these fields that are missing at the end of the header.
    pub fn completing(self, wanted: Vec<(&'static str, String)>) -> Filter {
        Filter { wanted, ..self }
    }

    /// Where it was delivered before it made its last hop. What stands above is of the delivery
    /// under way, when another program hands the letter over.
    pub fn delivered_before(&self) -> &[String] {
        &self.delivered_to[self.fresh..]
    }

    /// Appends what shall be kept of `input` to `output`.
    pub fn feed(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        while self.at != At::Body && !input.is_empty() {
            let end = memchr(b'\n', input).map_or(input.len(), |at| at + 1);
            self.line.extend_from_slice(&input[..end]);
            input = &input[end..];
            if self.line.ends_with(b"\n") || self.line.len() > HEADER_LINE {
                self.judge(output);
            }
        }
        output.extend_from_slice(input);
    }

    /// What is left at the end of the message.
    pub fn end(&mut self, output: &mut Vec<u8>) {
        if !self.line.is_empty() {
            self.judge(output);
        }
        if self.at != At::Body && !self.wanted.is_empty() {
            if output.last().is_some_and(|octet| *octet != b'\n') {
                output.push(b'\n');
            }
            self.complete(output);
        }
    }

    fn complete(&mut self, output: &mut Vec<u8>) {
        for (name, value) in self.wanted.drain(..) {
            output.extend_from_slice(format!("{name}: {value}\n").as_bytes());
        }
    }

    fn judge(&mut self, output: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.line);
        let folded = matches!(line[0], b' ' | b'\t') && self.at != At::First;
        match field(&line) {
            _ if folded => {}
            Some((name, text)) if name.eq_ignore_ascii_case(b"Return-Path") => {
                self.at = At::Dropping;
                self.return_path.get_or_insert(value(text));
            }
            Some((name, value)) => {
                self.at = At::Header;
                self.note(name, value);
            }
            None => {
                self.complete(output);
                if self.at == At::First && line != b"\n" {
                    // No header at all: an empty line keeps the text out of ours.
                    output.push(b'\n');
                }
                self.at = At::Body;
            }
        }
        if self.at != At::Dropping {
            output.extend_from_slice(&line);
        }
        if line.len() > HEADER_LINE && !line.ends_with(b"\n") {
            self.at = At::Body;
        }
    }

    fn note(&mut self, name: &[u8], text: &[u8]) {
        self.wanted.retain(|(wanted, _)| !name.eq_ignore_ascii_case(wanted.as_bytes()));
        if name.eq_ignore_ascii_case(b"Received") {
            self.hops += 1;
        } else if name.eq_ignore_ascii_case(b"Delivered-To") && self.delivered_to.len() < DELIVERIES
        {
            // What is longer than any mailbox of ours is none of ours.
            if text.trim_ascii().len() <= limits::PATH + limits::LOCAL_PART {
                self.delivered_to.push(value(text));
                self.fresh += usize::from(self.hops == 0);
            }
        }
    }
}

fn value(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().to_owned()
}

impl Default for Filter {
    fn default() -> Filter {
        Filter::new()
    }
}

/// RFC 5322 §2.2: printable octets up to a colon, blanks before it as of old (§4.5.8); and what
/// follows the colon.
/// Whether a line begins a field.
pub fn is_field(line: &[u8]) -> bool {
    field(line).is_some()
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at(memchr(b':', line)?);
    let name = name.trim_ascii_end();
    let valid = !name.is_empty() && name.iter().all(|octet| is_vchar(*octet));
    valid.then_some((name, &value[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (message, what is kept, hops, delivered to)
    type Row = (&'static str, &'static str, usize, &'static [&'static str]);

    const ROWS: &[Row] = &[
        ("Subject: a\n\nb\n", "Subject: a\n\nb\n", 0, &[]),
        ("Return-Path: <x@y>\nTo: a\n\nb\n", "To: a\n\nb\n", 0, &[]),
        ("To: a\nreturn-path:\n <x@y>\nCc: b\n\n", "To: a\nCc: b\n\n", 0, &[]),
        (
            "Received: a\n b\nReceived: c\n\nReceived: d\n",
            "Received: a\n b\nReceived: c\n\nReceived: d\n",
            2,
            &[],
        ),
        ("Delivered-To: ana@x\n\n", "Delivered-To: ana@x\n\n", 0, &["ana@x"]),
        ("Hi\nthere: you\n", "\nHi\nthere: you\n", 0, &[]),
        ("\nbody\n", "\nbody\n", 0, &[]),
        ("", "", 0, &[]),
        ("To: a", "To: a", 0, &[]),
        ("To: a\nno field\nReceived: x\n", "To: a\nno field\nReceived: x\n", 0, &[]),
        (" folded first\n", "\n folded first\n", 0, &[]),
        // Blanks before the colon, as of old.
        ("Subject : a\nReceived\t: b\n\nc\n", "Subject : a\nReceived\t: b\n\nc\n", 1, &[]),
        ("Return-Path : <x@y>\nTo: a\n\n", "To: a\n\n", 0, &[]),
    ];

    #[test]
    fn in_one_piece_and_octet_by_octet() {
        for (message, kept, hops, delivered) in ROWS {
            for size in [message.len().max(1), 1, 3] {
                let (mut filter, mut output) = (Filter::new(), Vec::new());
                message.as_bytes().chunks(size).for_each(|p| filter.feed(p, &mut output));
                filter.end(&mut output);
                assert_eq!(String::from_utf8(output).unwrap(), *kept, "{message:?} by {size}");
                assert_eq!(
                    (filter.hops, &filter.delivered_to[..]),
                    (*hops, &delivered.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
                );
            }
        }
    }

    #[test]
    fn what_came_with_the_letter() {
        let message = "Return-Path: <x@y>\nReturn-Path: <z>\nDelivered-To: ana@x\nReceived: a\n\
                       Delivered-To: luis@x\n\n";
        let (mut filter, mut output) = (Filter::new(), Vec::new());
        filter.feed(message.as_bytes(), &mut output);
        assert_eq!(filter.return_path.as_deref(), Some("<x@y>"));
        assert_eq!(filter.delivered_to, ["ana@x", "luis@x"]);
        assert_eq!(filter.delivered_before(), ["luis@x"]);
    }

    #[test]
    fn what_is_missing_is_put_behind_the_last_field() {
        let wanted = || vec![("Date", "now".to_owned()), ("From", "ana@x".to_owned())];
        for (message, expected) in [
            ("To: a\n\nb\n", "To: a\nDate: now\nFrom: ana@x\n\nb\n"),
            ("from : a\n b\nTo: c\n\nDate: d\n", "from : a\n b\nTo: c\nDate: now\n\nDate: d\n"),
            ("Date: a\nFrom: b\n\n", "Date: a\nFrom: b\n\n"),
            ("Hi there\n", "Date: now\nFrom: ana@x\n\nHi there\n"),
            ("\nHi\n", "Date: now\nFrom: ana@x\n\nHi\n"),
            ("Date: a", "Date: a\nFrom: ana@x\n"),
            ("", "Date: now\nFrom: ana@x\n"),
            ("Return-Path: <a>\n", "Date: now\nFrom: ana@x\n"),
        ] {
            for size in [message.len().max(1), 1, 3] {
                let (mut filter, mut output) = (Filter::new().completing(wanted()), Vec::new());
                message.as_bytes().chunks(size).for_each(|p| filter.feed(p, &mut output));
                filter.end(&mut output);
                assert_eq!(String::from_utf8(output).unwrap(), expected, "{message:?} by {size}");
            }
        }
    }

    #[test]
    fn a_line_without_end_is_not_gathered() {
        let (mut filter, mut output) = (Filter::new(), Vec::new());
        for _ in 0..100 {
            filter.feed(&[b'x'; 1000], &mut output);
        }
        assert!(filter.line.len() <= HEADER_LINE + 1000);
        filter.end(&mut output);
        assert_eq!(output.len(), 100_001);
    }

    #[test]
    fn values_are_not_gathered_without_end() {
        let mut filter = Filter::new();
        let line = format!("Delivered-To: {}\n", "x".repeat(10_000));
        (0..2_000).for_each(|_| filter.feed(line.as_bytes(), &mut Vec::new()));
        assert!(filter.delivered_to.is_empty());
        (0..2_000).for_each(|_| filter.feed(b"Delivered-To: ana@x\n", &mut Vec::new()));
        assert_eq!(filter.delivered_to.len(), DELIVERIES);
    }
}
