//! FETCH, what we tell of a message: RFC 3501 §7.4.2, RFC 9051 §7.5.2, RFC 3516 §4.2.
//!
//! The response is opened, written item by item, and closed. Of a section that may be large only
//! the announcement is written; its octets stream behind it from wherever they are.

use super::command::{Section, SectionText};
use super::flag::Flag;
use super::response::{end, text};
use super::write;
use chrono::{DateTime, FixedOffset};

/// A response that is being written.
#[derive(Debug)]
pub struct Fetched {
    empty: bool,
}

impl Fetched {
    /// Opens it.
    pub fn open(out: &mut Vec<u8>, number: u32) -> Fetched {
        text(out, format_args!("* {number} FETCH ("));
        Fetched { empty: true }
    }

    /// Closes it.
    pub fn close(self, out: &mut Vec<u8>) {
        out.push(b')');
        end(out);
    }

    /// The name of the next item; its value follows.
    pub fn item(&mut self, out: &mut Vec<u8>, name: &str) {
        if !self.empty {
            out.push(b' ');
        }
        self.empty = false;
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
    }

    /// `FLAGS`
    pub fn flags<'a>(&mut self, out: &mut Vec<u8>, flags: impl IntoIterator<Item = &'a Flag>) {
        self.item(out, "FLAGS");
        write::flags(out, flags);
    }

    /// `INTERNALDATE`
    pub fn internal_date(&mut self, out: &mut Vec<u8>, moment: DateTime<FixedOffset>) {
        self.item(out, "INTERNALDATE");
        write::date_time(out, moment);
    }

    /// `RFC822.SIZE`
    pub fn size(&mut self, out: &mut Vec<u8>, octets: u64) {
        self.item(out, "RFC822.SIZE");
        write::number(out, octets);
    }

    /// `UID`
    pub fn uid(&mut self, out: &mut Vec<u8>, uid: u32) {
        self.item(out, "UID");
        write::number(out, uid.into());
    }

    /// `RFC822`, `RFC822.HEADER` or `RFC822.TEXT`: so many octets follow.
    pub fn rfc822(&mut self, out: &mut Vec<u8>, name: &str, octets: u64) {
        self.item(out, name);
        write::announce(out, octets, false);
    }

    /// `BODY[...]`: so many octets follow; `None` is NIL. `origin` is where they begin, if the
    /// client asked for some octets only.
    pub fn section(
        &mut self,
        out: &mut Vec<u8>,
        section: &Section,
        origin: Option<u64>,
        octets: Option<u64>,
    ) {
        let mut name = Vec::new();
        name.extend_from_slice(b"BODY");
        write_section(&mut name, section);
        self.data(out, &name, origin, octets, false);
    }

    /// `BINARY[...]`: so many octets follow, as a literal8 where they hold NUL.
    pub fn binary(
        &mut self,
        out: &mut Vec<u8>,
        part: &[u32],
        origin: Option<u64>,
        octets: Option<u64>,
        holds_nul: bool,
    ) {
        self.data(out, format!("BINARY[{}]", dotted(part)).as_bytes(), origin, octets, holds_nul);
    }

    /// `BINARY.SIZE[...]`
    pub fn binary_size(&mut self, out: &mut Vec<u8>, part: &[u32], octets: u64) {
        self.item(out, &format!("BINARY.SIZE[{}]", dotted(part)));
        write::number(out, octets);
    }

    fn data(
        &mut self,
        out: &mut Vec<u8>,
        name: &[u8],
        origin: Option<u64>,
        octets: Option<u64>,
        binary: bool,
    ) {
        if !self.empty {
            out.push(b' ');
        }
        self.empty = false;
        out.extend_from_slice(name);
        if let Some(origin) = origin {
            text(out, format_args!("<{origin}>"));
        }
        out.push(b' ');
        match octets {
            Some(octets) => write::announce(out, octets, binary),
            None => write::nil(out),
        }
    }
}

fn dotted(part: &[u32]) -> String {
    part.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

/// `section`, as the client wrote it but for the letters of its keywords.
fn write_section(out: &mut Vec<u8>, section: &Section) {
    out.push(b'[');
    out.extend_from_slice(dotted(&section.part).as_bytes());
    let (name, fields) = match &section.text {
        SectionText::Whole => ("", None),
        SectionText::Header => ("HEADER", None),
        SectionText::Fields(fields) => ("HEADER.FIELDS", Some(fields)),
        SectionText::FieldsNot(fields) => ("HEADER.FIELDS.NOT", Some(fields)),
        SectionText::Text => ("TEXT", None),
        SectionText::Mime => ("MIME", None),
    };
    if !section.part.is_empty() && !name.is_empty() {
        out.push(b'.');
    }
    out.extend_from_slice(name.as_bytes());
    if let Some(fields) = fields {
        out.extend_from_slice(b" (");
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            write::astring(out, field, false);
        }
        out.push(b')');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_octets() {
        let mut out = Vec::new();
        let mut fetched = Fetched::open(&mut out, 7);
        fetched.rfc822(&mut out, "RFC822.TEXT", 2);
        out.extend_from_slice(b"hi");
        fetched.binary(&mut out, &[1, 2], Some(5), Some(3), true);
        out.extend_from_slice(b"a\0b");
        fetched.binary(&mut out, &[], None, None, false);
        fetched.binary_size(&mut out, &[3], 4);
        fetched.section(&mut out, &Section::default(), None, Some(0));
        fetched.close(&mut out);
        let told = String::from_utf8(out).unwrap().replace('\r', "^").replace('\n', "$");
        assert_eq!(
            told,
            "* 7 FETCH (RFC822.TEXT {2}^$hi BINARY[1.2]<5> ~{3}^$a\0b BINARY[] NIL \
             BINARY.SIZE[3] 4 BODY[] {0}^$)^$"
        );
    }
}
