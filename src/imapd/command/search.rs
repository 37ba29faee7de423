//! SEARCH: RFC 3501 §6.4.4, RFC 9051 §6.4.4, RFC 4731, RFC 5182, RFC 5032.
//!
//! The many keys come down to few: what a flag key lacks is `Not` what it has, and the keys of
//! addresses and subjects are those of header fields.

use super::Command;
use crate::imapd::flag::Flag;
use crate::imapd::set::Written;
use crate::imapd::syntax::{
    Fault, Parsed, astring, atom, date, glance, hint, list, more, number64, nz_number,
    sequence_set, space, word,
};
use crate::limits;
use crate::text::{Cursor, nearest};
use chrono::NaiveDate;

/// What is searched for, and what is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// RFC 4731 §3.1: `None` where the client did not say RETURN and reads a SEARCH response.
    pub returns: Option<Returns>,
    /// The character set of its strings, where the client named one.
    pub charset: Option<String>,
    /// What a message must be.
    pub key: Key,
}

/// RFC 4731 §3.1, RFC 5182 §2.1: what is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returns {
    /// The least number.
    pub min: bool,
    /// The greatest.
    pub max: bool,
    /// All of them.
    pub all: bool,
    /// How many.
    pub count: bool,
    /// Nothing, but `$` stands for them from now on.
    pub save: bool,
}

/// What a message must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Any.
    All,
    /// All of these; never empty.
    And(Vec<Key>),
    /// One or the other.
    Or(Box<Key>, Box<Key>),
    /// Anything but this.
    Not(Box<Key>),
    /// Marked with this flag.
    Has(Flag),
    /// Of these numbers.
    Numbers(Written),
    /// Of these UIDs.
    Uids(Written),
    /// Came before this day.
    Before(NaiveDate),
    /// Came on this day.
    On(NaiveDate),
    /// Came on this day or later.
    Since(NaiveDate),
    /// Its Date field is before this day.
    SentBefore(NaiveDate),
    /// Its Date field is of this day.
    SentOn(NaiveDate),
    /// Its Date field is of this day or later.
    SentSince(NaiveDate),
    /// RFC 5032 §2: came so many seconds ago, or more.
    Older(u32),
    /// RFC 5032 §2: came within so many seconds.
    Younger(u32),
    /// More octets than this.
    Larger(u64),
    /// Fewer octets than this.
    Smaller(u64),
    /// The field of this name holds this text; without text, the field is there.
    Header(Vec<u8>, Vec<u8>),
    /// The body holds this text.
    Body(Vec<u8>),
    /// Header or body hold this text.
    Text(Vec<u8>),
}

const KEYS: &[&str] = &[
    "ALL",
    "ANSWERED",
    "BCC",
    "BEFORE",
    "BODY",
    "CC",
    "DELETED",
    "DRAFT",
    "FLAGGED",
    "FROM",
    "HEADER",
    "KEYWORD",
    "LARGER",
    "NEW",
    "NOT",
    "OLD",
    "OLDER",
    "ON",
    "OR",
    "RECENT",
    "SEEN",
    "SENTBEFORE",
    "SENTON",
    "SENTSINCE",
    "SINCE",
    "SMALLER",
    "SUBJECT",
    "TEXT",
    "TO",
    "UID",
    "UNANSWERED",
    "UNDELETED",
    "UNDRAFT",
    "UNFLAGGED",
    "UNKEYWORD",
    "UNSEEN",
    "YOUNGER",
];

/// Its arguments; `uid` is whether they stood behind UID.
pub(super) fn search(cursor: &mut Cursor, uid: bool) -> Parsed<Command> {
    let mut returns = None;
    if cursor.literal(" RETURN ").is_some() {
        returns = Some(return_options(cursor)?);
    }
    space(cursor)?;
    let mut charset = None;
    if cursor.literal("CHARSET ").is_some() {
        charset = Some(String::from_utf8_lossy(&astring(cursor)?).into_owned());
        space(cursor)?;
    }
    let mut keys = vec![key(cursor)?];
    while more(cursor)? {
        keys.push(key(cursor)?);
    }
    Ok(Command::Search { uid, search: Search { returns, charset, key: and(keys) } })
}

/// `search-return-opts`: RFC 4731 §3.1 takes `()` for ALL.
fn return_options(cursor: &mut Cursor) -> Parsed<Returns> {
    let mut returns = Returns::default();
    for option in list(cursor, |cursor| Ok(word(cursor).to_ascii_uppercase()))? {
        match &option[..] {
            b"MIN" => returns.min = true,
            b"MAX" => returns.max = true,
            b"ALL" => returns.all = true,
            b"COUNT" => returns.count = true,
            b"SAVE" => returns.save = true,
            other => return hint(format!("SEARCH returns no '{}'", glance(other))),
        }
    }
    if returns == Returns::default() {
        returns.all = true;
    }
    Ok(returns)
}

fn and(mut keys: Vec<Key>) -> Key {
    match keys.len() {
        1 => keys.remove(0),
        _ => Key::And(keys),
    }
}

fn not(key: Key) -> Key {
    Key::Not(Box::new(key))
}

/// A key that others stand in, so far.
enum Nest {
    Not,
    /// Its first key, once it is there.
    Or(Option<Key>),
    List(Vec<Key>),
}

/// `search-key`: a loop, as a client nests keys as it likes and a stack has an end.
fn key(cursor: &mut Cursor) -> Parsed<Key> {
    let mut nests = Vec::new();
    loop {
        if nests.len() > limits::SEARCH_DEPTH {
            return hint("The keys of this SEARCH are nested too deep");
        }
        match opens(cursor)? {
            Some(nest) => nests.push(nest),
            None => {
                let key = plain_key(cursor)?;
                if let Some(whole) = close(cursor, key, &mut nests)? {
                    return Ok(whole);
                }
            }
        }
    }
}

/// Whether a key begins here that others stand in: up to the first of them.
fn opens(cursor: &mut Cursor) -> Parsed<Option<Nest>> {
    if cursor.literal("(").is_some() {
        return Ok(Some(Nest::List(Vec::new())));
    }
    let mut ahead = *cursor;
    let name = word(&mut ahead);
    let nest = match name {
        _ if name.eq_ignore_ascii_case(b"NOT") => Nest::Not,
        _ if name.eq_ignore_ascii_case(b"OR") => Nest::Or(None),
        _ => return Ok(None),
    };
    *cursor = ahead;
    space(cursor)?;
    Ok(Some(nest))
}

/// Behind a key: it takes its place in the innermost of those that wait for one, and ends what ends
/// with it. The outermost one, if that has ended too.
fn close(cursor: &mut Cursor, mut key: Key, nests: &mut Vec<Nest>) -> Parsed<Option<Key>> {
    while let Some(nest) = nests.pop() {
        key = match nest {
            Nest::Not => not(key),
            Nest::Or(Some(one)) => Key::Or(Box::new(one), Box::new(key)),
            Nest::Or(None) => {
                space(cursor)?;
                nests.push(Nest::Or(Some(key)));
                return Ok(None);
            }
            Nest::List(mut keys) => {
                keys.push(key);
                if cursor.literal(")").is_none() {
                    space(cursor)?;
                    nests.push(Nest::List(keys));
                    return Ok(None);
                }
                and(keys)
            }
        };
    }
    Ok(Some(key))
}

/// A key that no others stand in.
fn plain_key(cursor: &mut Cursor) -> Parsed<Key> {
    if let Some(b'0'..=b'9' | b'*' | b'$') = cursor.peek() {
        return sequence_set(cursor).map(Key::Numbers);
    }
    let name = word(cursor).to_ascii_uppercase();
    let name = std::str::from_utf8(&name).unwrap_or_default();
    match flag_key(name) {
        Some(key) => Ok(key),
        None => argument_key(cursor, name),
    }
}

/// Keys without arguments.
fn flag_key(name: &str) -> Option<Key> {
    let system = |name: &str| match name {
        "ANSWERED" => Some(Flag::Answered),
        "DELETED" => Some(Flag::Deleted),
        "DRAFT" => Some(Flag::Draft),
        "FLAGGED" => Some(Flag::Flagged),
        "SEEN" => Some(Flag::Seen),
        _ => None,
    };
    let lacks = name.strip_prefix("UN").and_then(system).map(|flag| not(Key::Has(flag)));
    lacks.or_else(|| system(name).map(Key::Has)).or_else(|| match name {
        "ALL" => Some(Key::All),
        "RECENT" => Some(Key::Has(Flag::Recent)),
        "NEW" => Some(Key::And(vec![Key::Has(Flag::Recent), not(Key::Has(Flag::Seen))])),
        "OLD" => Some(not(Key::Has(Flag::Recent))),
        _ => None,
    })
}

/// Keys with arguments.
fn argument_key(cursor: &mut Cursor, name: &str) -> Parsed<Key> {
    if !KEYS.contains(&name) {
        return unknown(name, cursor);
    }
    space(cursor)?;
    let text = |cursor: &mut Cursor| astring(cursor).map(|text| text.into_owned());
    match name {
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => {
            text(cursor).map(|text| Key::Header(name.into(), text))
        }
        "HEADER" => {
            let field = text(cursor)?;
            space(cursor)?;
            Ok(Key::Header(field, text(cursor)?))
        }
        "BODY" => text(cursor).map(Key::Body),
        "TEXT" => text(cursor).map(Key::Text),
        "KEYWORD" => atom(cursor).map(|name| Key::Has(Flag::Keyword(name))),
        "UNKEYWORD" => atom(cursor).map(|name| not(Key::Has(Flag::Keyword(name)))),
        "BEFORE" => date(cursor).map(Key::Before),
        "ON" => date(cursor).map(Key::On),
        "SINCE" => date(cursor).map(Key::Since),
        "SENTBEFORE" => date(cursor).map(Key::SentBefore),
        "SENTON" => date(cursor).map(Key::SentOn),
        "SENTSINCE" => date(cursor).map(Key::SentSince),
        "OLDER" => nz_number(cursor).map(Key::Older),
        "YOUNGER" => nz_number(cursor).map(Key::Younger),
        "LARGER" => number64(cursor).map(Key::Larger),
        "SMALLER" => number64(cursor).map(Key::Smaller),
        "UID" => sequence_set(cursor).map(Key::Uids),
        _ => Err(Fault::Syntax),
    }
}

fn unknown(name: &str, cursor: &Cursor) -> Parsed<Key> {
    if name.is_empty() {
        return match cursor.peek() {
            None => hint("A search key is missing"),
            Some(_) => Err(Fault::Syntax),
        };
    }
    let shown = glance(name.as_bytes());
    hint(match nearest(name, KEYS.iter().copied()) {
        Some(near) => format!("'{shown}' is no search key; {near}?"),
        None => format!("'{shown}' is no search key; text is searched by TEXT, FROM, SUBJECT ..."),
    })
}
