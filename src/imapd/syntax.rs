//! The words that commands are made of: RFC 3501 §9, RFC 9051 §9.
//!
//! Each function stands for a rule of the grammar and bears its name. A command comes as one run
//! of octets, its literals in place behind their announcements. As RFC 6855 §3 allows any time,
//! quoted strings may hold UTF-8.

use super::flag::Flag;
use super::response::CRLF;
use super::set::Written;
use crate::text::{Cursor, printable};
use chrono::{DateTime, FixedOffset, NaiveDate, TimeZone};
use std::borrow::Cow;

/// Why octets are no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They are not in the form of the verb.
    Syntax,
    /// The same, and we know what to say.
    Hint(Cow<'static, str>),
}

/// What a rule makes of octets.
pub type Parsed<T> = Result<T, Fault>;

/// A fault that says something.
pub fn hint<T>(text: impl Into<Cow<'static, str>>) -> Parsed<T> {
    Err(Fault::Hint(text.into()))
}

/// A word of the client's in a hint: not more than a glance takes in, and in ASCII, as texts are
/// until the client enables more (RFC 9051 §9).
pub fn glance(word: &[u8]) -> String {
    printable(&word[..word.len().min(40)]).replace(|c: char| !c.is_ascii(), "?")
}

/// `ATOM-CHAR`
pub fn is_atom_char(octet: u8) -> bool {
    octet > b' ' && octet < 0x7f && !b"(){%*\"\\]".contains(&octet)
}

/// `ASTRING-CHAR`
pub fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']'
}

fn is_tag_char(octet: u8) -> bool {
    is_astring_char(octet) && octet != b'+'
}

fn is_list_char(octet: u8) -> bool {
    is_astring_char(octet) || octet == b'%' || octet == b'*'
}

/// Exactly these octets, letters in either case.
pub fn exactly(cursor: &mut Cursor, expected: &str) -> Parsed<()> {
    cursor.literal(expected).ok_or(Fault::Syntax)
}

/// `SP`: exactly one space.
pub fn space(cursor: &mut Cursor) -> Parsed<()> {
    exactly(cursor, " ")?;
    match cursor.peek() {
        Some(b' ' | b'\t') => hint("One space stands between words, not more"),
        _ => Ok(()),
    }
}

/// Passes a space that has something behind it. Spaces at the end are nothing.
pub fn more(cursor: &mut Cursor) -> Parsed<bool> {
    let mut ahead = *cursor;
    ahead.spaces();
    if ahead.at_end() || cursor.peek() != Some(b' ') {
        return Ok(false);
    }
    space(cursor).map(|()| true)
}

/// `tag`
pub fn tag(cursor: &mut Cursor) -> Option<String> {
    cursor.run1(is_tag_char).map(|tag| String::from_utf8_lossy(tag).into_owned())
}

/// `atom`
pub fn atom(cursor: &mut Cursor) -> Parsed<String> {
    let atom = cursor.run1(is_atom_char).ok_or(Fault::Syntax)?;
    Ok(String::from_utf8_lossy(atom).into_owned())
}

/// A word that is one of the protocol's own: letters, digits, and what joins them.
pub fn word<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    cursor.run(|octet| octet.is_ascii_alphanumeric() || b".-=".contains(&octet))
}

/// `string`
pub fn string<'a>(cursor: &mut Cursor<'a>) -> Parsed<Cow<'a, [u8]>> {
    match cursor.peek() {
        Some(b'"') => quoted(cursor),
        Some(b'{') => literal(cursor).map(Cow::Borrowed),
        _ => Err(Fault::Syntax),
    }
}

/// `astring`
pub fn astring<'a>(cursor: &mut Cursor<'a>) -> Parsed<Cow<'a, [u8]>> {
    if let Some(b'"' | b'{') = cursor.peek() {
        return string(cursor);
    }
    let bare = cursor.run(is_astring_char);
    match cursor.peek() {
        Some(0x80..) => hint("Letters beyond ASCII stand in quotes"),
        _ if bare.is_empty() => Err(Fault::Syntax),
        _ => Ok(Cow::Borrowed(bare)),
    }
}

/// `nstring`
pub fn nstring<'a>(cursor: &mut Cursor<'a>) -> Parsed<Option<Cow<'a, [u8]>>> {
    match cursor.literal("NIL") {
        Some(()) => Ok(None),
        None => string(cursor).map(Some),
    }
}

/// `quoted`
fn quoted<'a>(cursor: &mut Cursor<'a>) -> Parsed<Cow<'a, [u8]>> {
    exactly(cursor, "\"")?;
    let plain = |octet: u8| !b"\"\\\r\n\0".contains(&octet);
    let mut text = Cow::Borrowed(cursor.run(plain));
    loop {
        match cursor.take() {
            Some(b'"') if std::str::from_utf8(&text).is_ok() => return Ok(text),
            Some(b'"') => return hint("What stands in quotes is UTF-8"),
            Some(b'\\') => {
                let special = cursor.take().filter(|octet| matches!(octet, b'"' | b'\\'));
                let Some(special) = special else {
                    return hint("A backslash in quotes is written twice");
                };
                text.to_mut().push(special);
                text.to_mut().extend_from_slice(cursor.run(plain));
            }
            None => return hint("A quoted string has no end"),
            Some(_) => return Err(Fault::Syntax),
        }
    }
}

/// A literal, announced and in place; RFC 7888 §8 for the `+`.
fn literal<'a>(cursor: &mut Cursor<'a>) -> Parsed<&'a [u8]> {
    exactly(cursor, "{")?;
    let octets = number64(cursor)?;
    cursor.literal("+");
    exactly(cursor, "}")?;
    exactly(cursor, CRLF)?;
    let octets = usize::try_from(octets).map_err(|_| Fault::Syntax)?;
    let (text, rest) = cursor.rest().split_at_checked(octets).ok_or(Fault::Syntax)?;
    if memchr::memchr(0, text).is_some() {
        return hint("A literal holds no NUL here");
    }
    *cursor = Cursor::new(rest);
    Ok(text)
}

/// `number`
pub fn number(cursor: &mut Cursor) -> Parsed<u32> {
    let digits = cursor.run1(|octet| octet.is_ascii_digit()).ok_or(Fault::Syntax)?;
    let fits = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    fits.map_or_else(|| hint("A number is larger than 4294967295"), Ok)
}

/// `nz-number`
pub fn nz_number(cursor: &mut Cursor) -> Parsed<u32> {
    match number(cursor)? {
        0 => hint("Numbers count from 1 here"),
        number => Ok(number),
    }
}

/// `number64`: 63 bits.
pub fn number64(cursor: &mut Cursor) -> Parsed<u64> {
    let digits = cursor.run1(|octet| octet.is_ascii_digit()).ok_or(Fault::Syntax)?;
    let fits = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok());
    fits.map_or_else(|| hint("A number is larger than 9223372036854775807"), |n| Ok(n as u64))
}

/// `sequence-set`
pub fn sequence_set(cursor: &mut Cursor) -> Parsed<Written> {
    if cursor.literal("$").is_some() {
        return Ok(Written::Saved);
    }
    let mut ranges = Vec::new();
    loop {
        let first = seq_number(cursor)?;
        let last = match cursor.literal(":") {
            Some(()) => seq_number(cursor)?,
            None => first,
        };
        ranges.push((first, last));
        if cursor.literal(",").is_none() {
            return Ok(Written::Ranges(ranges));
        }
    }
}

fn seq_number(cursor: &mut Cursor) -> Parsed<u32> {
    if cursor.literal("*").is_some() { Ok(0) } else { nz_number(cursor) }
}

/// The name of a mailbox as the client wrote it; `Mailbox::name` tells which that is.
pub fn mailbox(cursor: &mut Cursor) -> Parsed<Vec<u8>> {
    astring(cursor).map(Cow::into_owned)
}

/// `list-mailbox`
pub fn list_mailbox(cursor: &mut Cursor) -> Parsed<Vec<u8>> {
    match cursor.peek() {
        Some(b'"' | b'{') => string(cursor).map(Cow::into_owned),
        _ => cursor.run1(is_list_char).map(<[u8]>::to_vec).ok_or(Fault::Syntax),
    }
}

/// `flag`
pub fn flag(cursor: &mut Cursor) -> Parsed<Flag> {
    if cursor.literal("\\").is_none() {
        return atom(cursor).map(Flag::Keyword);
    }
    let name = atom(cursor)?;
    let system = Flag::SYSTEM.into_iter().find(|flag| flag.name()[1..].eq_ignore_ascii_case(&name));
    match system {
        Some(flag) => Ok(flag),
        None if name.eq_ignore_ascii_case("Recent") => hint("\\Recent is not the client's to set"),
        None => {
            hint(format!("\\{} is no flag; keywords have no backslash", glance(name.as_bytes())))
        }
    }
}

/// Items in parentheses; perhaps none.
pub fn list<T>(cursor: &mut Cursor, item: impl Fn(&mut Cursor) -> Parsed<T>) -> Parsed<Vec<T>> {
    exactly(cursor, "(")?;
    let mut items = Vec::new();
    while cursor.literal(")").is_none() {
        if !items.is_empty() {
            space(cursor)?;
        }
        items.push(item(cursor)?);
    }
    Ok(items)
}

/// Items in parentheses; at least one.
pub fn list1<T>(cursor: &mut Cursor, item: impl Fn(&mut Cursor) -> Parsed<T>) -> Parsed<Vec<T>> {
    list(cursor, item).and_then(|items| match items.is_empty() {
        true => hint("Nothing stands between the parentheses"),
        false => Ok(items),
    })
}

/// `date`
pub fn date(cursor: &mut Cursor) -> Parsed<NaiveDate> {
    let quoted = cursor.literal("\"").is_some();
    let day = cursor.run(|octet| octet.is_ascii_digit());
    let date = date_text(cursor, day).ok_or(Fault::Hint("A date is written 1-Feb-1994".into()))?;
    if quoted {
        exactly(cursor, "\"")?;
    }
    Ok(date)
}

/// `date-text`, its day already read.
fn date_text(cursor: &mut Cursor, day: &[u8]) -> Option<NaiveDate> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = |name: &[u8]| {
        MONTHS.as_bytes().chunks(3).position(|month| month.eq_ignore_ascii_case(name))
    };
    cursor.literal("-")?;
    let month = month(cursor.run(|octet| octet.is_ascii_alphabetic()))?;
    cursor.literal("-")?;
    let year = digits(cursor.run(|octet| octet.is_ascii_digit()), 4)?;
    let day = digits(day, day.len().clamp(1, 2))?;
    NaiveDate::from_ymd_opt(year as i32, month as u32 + 1, day)
}

/// Exactly so many digits.
fn digits(text: &[u8], count: usize) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let all = text.len() == count && text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| all)
}

/// `date-time`
pub fn date_time(cursor: &mut Cursor) -> Parsed<DateTime<FixedOffset>> {
    let form = || Fault::Hint("A date and time is written \"17-Jul-1996 02:44:25 -0700\"".into());
    date_time_text(cursor).ok_or_else(form)
}

fn date_time_text(cursor: &mut Cursor) -> Option<DateTime<FixedOffset>> {
    cursor.literal("\"")?;
    cursor.literal(" ");
    let day = cursor.run(|octet| octet.is_ascii_digit());
    let date = date_text(cursor, day)?;
    cursor.literal(" ")?;
    let hour = digits(cursor.run(|octet| octet.is_ascii_digit()), 2)?;
    cursor.literal(":")?;
    let minute = digits(cursor.run(|octet| octet.is_ascii_digit()), 2)?;
    cursor.literal(":")?;
    // A leap second is the last of its minute.
    let second = digits(cursor.run(|octet| octet.is_ascii_digit()), 2)?;
    let second = if second == 60 { 59 } else { second };
    cursor.literal(" ")?;
    let east = match cursor.take()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let zone = digits(cursor.run(|octet| octet.is_ascii_digit()), 4)? as i32;
    cursor.literal("\"")?;
    let minutes = Some(zone % 100).filter(|minutes| *minutes < 60)?;
    let zone = FixedOffset::east_opt(east * (zone / 100 * 3600 + minutes * 60))?;
    let time = date.and_hms_opt(hour, minute, second)?;
    zone.from_local_datetime(&time).single()
}
