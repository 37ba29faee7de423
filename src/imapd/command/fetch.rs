//! FETCH and STORE: RFC 3501 §6.4.5, §6.4.6, RFC 9051 §6.4.5, §6.4.6, RFC 3516 §4.

use super::Command;
use crate::imapd::flag::Flag;
use crate::imapd::syntax::{
    Fault, Parsed, astring, exactly, flag, glance, hint, list, list1, more, number64, nz_number,
    sequence_set, space, word,
};
use crate::text::{Cursor, nearest};

/// What FETCH is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `BODY`: the structure without extension data.
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `ENVELOPE`
    Envelope,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822`
    Rfc822,
    /// `RFC822.HEADER`
    Rfc822Header,
    /// `RFC822.SIZE`
    Rfc822Size,
    /// `RFC822.TEXT`
    Rfc822Text,
    /// `UID`
    Uid,
    /// `BODY[...]` and `BODY.PEEK[...]`
    Section {
        /// Whether the message stays unseen.
        peek: bool,
        /// Which octets.
        section: Section,
        /// Which of those.
        partial: Option<Partial>,
    },
    /// `BINARY[...]` and `BINARY.PEEK[...]`
    Binary {
        /// Whether the message stays unseen.
        peek: bool,
        /// Which part; none is the message.
        part: Vec<u32>,
        /// Which of its decoded octets.
        partial: Option<Partial>,
    },
    /// `BINARY.SIZE[...]`
    BinarySize(Vec<u32>),
}

/// A section of a message: RFC 3501 §6.4.5.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The part, counted from 1 on every level; none is the message.
    pub part: Vec<u32>,
    /// What of it.
    pub text: SectionText,
}

/// What of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SectionText {
    /// All of it: the whole message, or the body of a part.
    #[default]
    Whole,
    /// The header of a message.
    Header,
    /// These fields of it.
    Fields(Vec<Vec<u8>>),
    /// All fields but these.
    FieldsNot(Vec<Vec<u8>>),
    /// The body of a message.
    Text,
    /// The header of a part.
    Mime,
}

/// Some octets of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// How many stand before them.
    pub offset: u64,
    /// At most so many; never none.
    pub octets: u64,
}

impl Item {
    /// Whether fetching it marks the message as seen.
    pub fn sets_seen(&self) -> bool {
        match self {
            Item::Rfc822 | Item::Rfc822Text => true,
            Item::Section { peek, .. } | Item::Binary { peek, .. } => !peek,
            _ => false,
        }
    }
}

const ITEMS: &[&str] = &[
    "ALL",
    "BINARY",
    "BINARY.PEEK",
    "BINARY.SIZE",
    "BODY",
    "BODY.PEEK",
    "BODYSTRUCTURE",
    "ENVELOPE",
    "FAST",
    "FLAGS",
    "FULL",
    "INTERNALDATE",
    "RFC822",
    "RFC822.HEADER",
    "RFC822.SIZE",
    "RFC822.TEXT",
    "UID",
];

/// Its arguments; `uid` is whether they stood behind UID, which is then told unasked.
pub(super) fn fetch(cursor: &mut Cursor, uid: bool) -> Parsed<Command> {
    space(cursor)?;
    let set = sequence_set(cursor)?;
    space(cursor)?;
    let items = if cursor.peek() == Some(b'(') {
        list1(cursor, item)?
    } else {
        let mut ahead = *cursor;
        match macro_items(word(&mut ahead)) {
            Some(items) => {
                *cursor = ahead;
                items
            }
            None => vec![item(cursor)?],
        }
    };
    if more(cursor)? {
        return hint(match cursor.peek() {
            Some(b'(') => "FETCH knows no modifiers here",
            _ => "Several items stand in parentheses, as in FETCH 1 (FLAGS UID)",
        });
    }
    Ok(Command::Fetch { uid, set, items })
}

fn macro_items(word: &[u8]) -> Option<Vec<Item>> {
    let mut items = vec![Item::Flags, Item::InternalDate, Item::Rfc822Size];
    match &word.to_ascii_uppercase()[..] {
        b"FAST" => {}
        b"ALL" => items.push(Item::Envelope),
        b"FULL" => items.extend([Item::Envelope, Item::Body]),
        _ => return None,
    }
    Some(items)
}

/// `fetch-att`
fn item(cursor: &mut Cursor) -> Parsed<Item> {
    let name = word(cursor);
    let upper = name.to_ascii_uppercase();
    let bracket = cursor.peek() == Some(b'[');
    Ok(match &upper[..] {
        b"BODY" | b"BODY.PEEK" if bracket => {
            let (section, partial) = (section(cursor)?, partial(cursor)?);
            Item::Section { peek: upper.len() > 4, section, partial }
        }
        b"BINARY" | b"BINARY.PEEK" if bracket => {
            let (part, partial) = (binary_section(cursor)?, partial(cursor)?);
            Item::Binary { peek: upper.len() > 6, part, partial }
        }
        b"BINARY.SIZE" if bracket => Item::BinarySize(binary_section(cursor)?),
        b"BODY" => Item::Body,
        b"BODYSTRUCTURE" => Item::BodyStructure,
        b"ENVELOPE" => Item::Envelope,
        b"FLAGS" => Item::Flags,
        b"INTERNALDATE" => Item::InternalDate,
        b"RFC822" => Item::Rfc822,
        b"RFC822.HEADER" => Item::Rfc822Header,
        b"RFC822.SIZE" => Item::Rfc822Size,
        b"RFC822.TEXT" => Item::Rfc822Text,
        b"UID" => Item::Uid,
        _ => return unknown(name),
    })
}

fn unknown(name: &[u8]) -> Parsed<Item> {
    let shown = glance(name);
    match nearest(&shown, ITEMS.iter().copied()) {
        Some(exact) if exact.eq_ignore_ascii_case(&shown) => match exact {
            "ALL" | "FAST" | "FULL" => hint(format!("{exact} stands alone, without parentheses")),
            _ => hint(format!("{exact} wants a section, as in {exact}[1]")),
        },
        Some(near) => hint(format!("'{shown}' is no item of FETCH; {near}?")),
        None if name.is_empty() => Err(Fault::Syntax),
        None => hint(format!("'{shown}' is no item of FETCH")),
    }
}

/// `section-binary`: RFC 3516 §7.
fn binary_section(cursor: &mut Cursor) -> Parsed<Vec<u32>> {
    exactly(cursor, "[")?;
    let mut part = Vec::new();
    while cursor.literal("]").is_none() {
        if !part.is_empty() {
            exactly(cursor, ".")?;
        }
        part.push(nz_number(cursor)?);
    }
    Ok(part)
}

/// `section`
fn section(cursor: &mut Cursor) -> Parsed<Section> {
    exactly(cursor, "[")?;
    let mut section = Section::default();
    loop {
        match cursor.peek() {
            Some(b'0'..=b'9') => section.part.push(nz_number(cursor)?),
            Some(b']') if section.part.is_empty() => break,
            _ => {
                section.text = section_text(cursor, section.part.is_empty())?;
                break;
            }
        }
        if cursor.literal(".").is_none() {
            break;
        }
    }
    match cursor.literal("]") {
        Some(()) => Ok(section),
        None => hint("A section is written BODY[], BODY[1.2], BODY[HEADER], BODY[1.MIME] ..."),
    }
}

/// `section-text`, or `section-msgtext` of the whole message.
fn section_text(cursor: &mut Cursor, of_message: bool) -> Parsed<SectionText> {
    let name = word(cursor);
    let fields = |cursor: &mut Cursor| {
        space(cursor)?;
        list1(cursor, |cursor| astring(cursor).map(|name| name.into_owned()))
    };
    match &name.to_ascii_uppercase()[..] {
        b"HEADER" => Ok(SectionText::Header),
        b"HEADER.FIELDS" => fields(cursor).map(SectionText::Fields),
        b"HEADER.FIELDS.NOT" => fields(cursor).map(SectionText::FieldsNot),
        b"TEXT" => Ok(SectionText::Text),
        b"MIME" if of_message => hint("MIME is of a part, as in BODY[1.MIME]"),
        b"MIME" => Ok(SectionText::Mime),
        other => hint(format!("'{}' is no section of a message", glance(other))),
    }
}

/// `partial`
fn partial(cursor: &mut Cursor) -> Parsed<Option<Partial>> {
    if cursor.literal("<").is_none() {
        return Ok(None);
    }
    let form = || Fault::Hint("A part of a section is written <offset.octets>".into());
    let offset = number64(cursor)?;
    cursor.literal(".").ok_or_else(form)?;
    let octets = number64(cursor)?;
    cursor.literal(">").ok_or_else(form)?;
    match octets {
        0 => hint("At least one octet is fetched, as in <0.1>"),
        _ => Ok(Some(Partial { offset, octets })),
    }
}

/// What STORE does with its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `FLAGS`: these and no others.
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// What STORE shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// What with the flags.
    pub how: How,
    /// `.SILENT`: without telling.
    pub silent: bool,
    /// The flags.
    pub flags: Vec<Flag>,
}

/// Its arguments; `uid` is whether they stood behind UID.
pub(super) fn store(cursor: &mut Cursor, uid: bool) -> Parsed<Command> {
    space(cursor)?;
    let set = sequence_set(cursor)?;
    space(cursor)?;
    let how = match cursor.peek() {
        Some(b'+') => How::Add,
        Some(b'-') => How::Remove,
        Some(b'(') => return hint("STORE knows no modifiers here"),
        _ => How::Replace,
    };
    if how != How::Replace {
        cursor.take();
    }
    let form = || Fault::Hint("STORE wants FLAGS, +FLAGS or -FLAGS, then flags: (\\Seen)".into());
    cursor.literal("FLAGS").ok_or_else(form)?;
    let silent = cursor.literal(".SILENT").is_some();
    cursor.peek().filter(|octet| *octet == b' ').ok_or_else(form)?;
    space(cursor)?;
    let flags = if cursor.peek() == Some(b'(') {
        list(cursor, flag)?
    } else {
        let mut flags = vec![flag(cursor)?];
        while more(cursor)? {
            flags.push(flag(cursor)?);
        }
        flags
    };
    Ok(Command::Store { uid, set, store: Store { how, silent, flags } })
}
