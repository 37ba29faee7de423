//! APPEND: RFC 3501 §6.3.11, RFC 9051 §6.3.12; several messages in one command: RFC 3502.
//!
//! Its arguments end in the announcement of the message. Behind the message's octets the line goes
//! on, with another message or with nothing; `next` reads that.

use super::Command;
use crate::imapd::flag::Flag;
use crate::imapd::gather::{Literal, literal_at_end};
use crate::imapd::syntax::{
    Fault, Parsed, date_time, exactly, flag, hint, list, mailbox, space, tag,
};
use crate::text::Cursor;
use chrono::{DateTime, FixedOffset};

/// A message to be appended, but for its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its flags.
    pub flags: Vec<Flag>,
    /// Its internal date, if the client gave one.
    pub date: Option<DateTime<FixedOffset>>,
    /// Its octets, which follow.
    pub literal: Literal,
    /// RFC 6855 §4: its header may hold UTF-8; a `)` stands behind it.
    pub utf8: bool,
}

/// Whether these octets end where the message of an APPEND begins: the name of the mailbox, which
/// may be a literal itself, is complete.
pub fn announces_message(octets: &[u8]) -> bool {
    let mut cursor = Cursor::new(octets);
    let cursor = &mut cursor;
    let head = tag(cursor).is_some() && cursor.literal(" APPEND ").is_some();
    head && mailbox(cursor).is_ok() && cursor.peek() == Some(b' ')
}

pub(super) fn append(cursor: &mut Cursor) -> Parsed<Command> {
    space(cursor)?;
    let mailbox = mailbox(cursor)?;
    Ok(Command::Append(mailbox.into(), message(cursor)?))
}

/// `append-message`: RFC 3502, RFC 4466 §3.
fn message(cursor: &mut Cursor) -> Parsed<Message> {
    space(cursor)?;
    let mut flags = Vec::new();
    if cursor.peek() == Some(b'(') {
        flags = list(cursor, flag)?;
        space(cursor)?;
    }
    let mut date = None;
    if cursor.peek() == Some(b'"') {
        date = Some(date_time(cursor)?);
        space(cursor)?;
    }
    let utf8 = cursor.literal("UTF8 (").is_some();
    let announced = cursor.run(|_| true);
    let literal = literal_at_end(announced).filter(|literal| {
        let braces = if literal.binary { b"~{" } else { &b"{"[..] };
        announced.starts_with(braces)
            && announced.iter().filter(|octet| **octet == b'{').count() == 1
    });
    match literal {
        Some(literal) if literal.binary || !utf8 => Ok(Message { flags, date, literal, utf8 }),
        Some(_) => hint("What UTF8 announces is a literal8: UTF8 (~{310}"),
        None => Err(Fault::Syntax),
    }
}

/// What stands behind a message on its line: nothing, or the next message.
pub fn next(line: &[u8], message_before: &Message) -> Parsed<Option<Message>> {
    let mut cursor = Cursor::new(line);
    if message_before.utf8 {
        exactly(&mut cursor, ")")?;
    }
    let mut end = cursor;
    end.spaces();
    if end.at_end() { Ok(None) } else { message(&mut cursor).map(Some) }
}
