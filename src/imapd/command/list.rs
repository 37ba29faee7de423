//! LIST and LSUB, basic and extended, and STATUS: RFC 3501 §6.3.8, §6.3.9, §6.3.10, RFC 9051
//! §6.3.9, RFC 5258, RFC 5819, RFC 6154 §5.2.

use super::{Command, Mailbox, Pattern};
use crate::imapd::flag::Use;
use crate::imapd::syntax::{
    Fault, Parsed, atom, exactly, glance, hint, list as items, list_mailbox, list1, mailbox, space,
    word,
};
use crate::text::{Cursor, nearest};

/// What LIST shall list, and what it shall tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// What the patterns begin at.
    pub reference: Pattern,
    /// One, or in the extended form several.
    pub patterns: Vec<Pattern>,
    /// Whether it is the extended form: RFC 5258 §3 has other rules for it.
    pub extended: bool,
    /// Which of the mailboxes that match.
    pub select: Select,
    /// What is told beside the names.
    pub tell: Tell,
}

/// RFC 5258 §3.1: selection options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// Names that are subscribed, whether they exist or not.
    pub subscribed: bool,
    /// Remote mailboxes too.
    pub remote: bool,
    /// Also parents of what was selected, though they were not.
    pub recursive_match: bool,
    /// RFC 6154 §5.2: those with a special use.
    pub special_use: bool,
}

/// RFC 5258 §3.2: return options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tell {
    /// Whether it is subscribed.
    pub subscribed: bool,
    /// Whether it has children.
    pub children: bool,
    /// RFC 6154 §5.2: its special use.
    pub special_use: bool,
    /// RFC 5819 §2: its STATUS; empty where nobody asked.
    pub status: Vec<StatusItem>,
}

/// What STATUS tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusItem {
    /// RFC 3501 §6.3.10.
    Messages,
    /// RFC 3501 §6.3.10.
    Recent,
    /// RFC 3501 §6.3.10.
    UidNext,
    /// RFC 3501 §6.3.10.
    UidValidity,
    /// RFC 3501 §6.3.10.
    Unseen,
    /// RFC 9051 §6.3.11.
    Deleted,
    /// RFC 8438 §2.
    Size,
    /// RFC 7889 §3.2.
    AppendLimit,
}

impl StatusItem {
    /// All of them.
    pub const ALL: [StatusItem; 8] = [
        StatusItem::Messages,
        StatusItem::Recent,
        StatusItem::UidNext,
        StatusItem::UidValidity,
        StatusItem::Unseen,
        StatusItem::Deleted,
        StatusItem::Size,
        StatusItem::AppendLimit,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            StatusItem::Messages => "MESSAGES",
            StatusItem::Recent => "RECENT",
            StatusItem::UidNext => "UIDNEXT",
            StatusItem::UidValidity => "UIDVALIDITY",
            StatusItem::Unseen => "UNSEEN",
            StatusItem::Deleted => "DELETED",
            StatusItem::Size => "SIZE",
            StatusItem::AppendLimit => "APPENDLIMIT",
        }
    }
}

pub(super) fn lsub(cursor: &mut Cursor) -> Parsed<Command> {
    space(cursor)?;
    let reference = mailbox(cursor)?;
    space(cursor)?;
    Ok(Command::Lsub(reference.into(), list_mailbox(cursor)?.into()))
}

pub(super) fn list(cursor: &mut Cursor) -> Parsed<Command> {
    space(cursor)?;
    let mut list = List::default();
    if cursor.peek() == Some(b'(') {
        list.extended = true;
        list.select = select(cursor)?;
        space(cursor)?;
    }
    list.reference = mailbox(cursor)?.into();
    space(cursor)?;
    if cursor.peek() == Some(b'(') {
        list.extended = true;
        list.patterns = list1(cursor, |cursor| list_mailbox(cursor).map(Pattern::from))?;
    } else {
        list.patterns = vec![list_mailbox(cursor)?.into()];
    }
    if cursor.literal(" RETURN ").is_some() {
        list.extended = true;
        list.tell = tell(cursor)?;
    }
    Ok(Command::List(list))
}

/// `list-select-opts`
fn select(cursor: &mut Cursor) -> Parsed<Select> {
    let mut select = Select::default();
    for option in items(cursor, |cursor| Ok(word(cursor).to_ascii_uppercase()))? {
        match &option[..] {
            b"SUBSCRIBED" => select.subscribed = true,
            b"REMOTE" => select.remote = true,
            b"RECURSIVEMATCH" => select.recursive_match = true,
            b"SPECIAL-USE" => select.special_use = true,
            other => return hint(format!("LIST selects by no '{}'", glance(other))),
        }
    }
    if select.recursive_match && !select.subscribed {
        return hint("RECURSIVEMATCH goes with SUBSCRIBED (RFC 5258)");
    }
    Ok(select)
}

/// `list-return-opts`
fn tell(cursor: &mut Cursor) -> Parsed<Tell> {
    let mut tell = Tell::default();
    let options = items(cursor, |cursor| {
        let option = word(cursor).to_ascii_uppercase();
        let status = match &option[..] {
            b"STATUS" => {
                space(cursor)?;
                list1(cursor, status_item)?
            }
            _ => Vec::new(),
        };
        Ok((option, status))
    })?;
    for (option, status) in options {
        match &option[..] {
            b"SUBSCRIBED" => tell.subscribed = true,
            b"CHILDREN" => tell.children = true,
            b"SPECIAL-USE" => tell.special_use = true,
            b"STATUS" => tell.status = status,
            other => return hint(format!("LIST returns no '{}'", glance(other))),
        }
    }
    Ok(tell)
}

pub(super) fn status(cursor: &mut Cursor) -> Parsed<Command> {
    space(cursor)?;
    let mailbox = Mailbox::from(mailbox(cursor)?);
    space(cursor)?;
    if cursor.peek() != Some(b'(') {
        return hint("The items of STATUS stand in parentheses: (MESSAGES UNSEEN)");
    }
    Ok(Command::Status(mailbox, list1(cursor, status_item)?))
}

fn status_item(cursor: &mut Cursor) -> Parsed<StatusItem> {
    let word = word(cursor);
    let known = StatusItem::ALL.into_iter();
    match known.clone().find(|item| word.eq_ignore_ascii_case(item.name().as_bytes())) {
        Some(item) => Ok(item),
        None if word.is_empty() => Err(Fault::Syntax),
        None => {
            let shown = glance(word);
            hint(match nearest(&shown, known.map(StatusItem::name)) {
                Some(near) => format!("'{shown}' is no item of STATUS; {near}?"),
                None => format!("'{shown}' is no item of STATUS"),
            })
        }
    }
}

/// CREATE and its use: RFC 3501 §6.3.3, RFC 6154 §3.
pub(super) fn create(cursor: &mut Cursor) -> Parsed<Command> {
    space(cursor)?;
    let mailbox = Mailbox::from(mailbox(cursor)?);
    let mut uses = Vec::new();
    if cursor.literal(" (").is_some() {
        if cursor.literal("USE ").is_none() {
            return hint("CREATE knows no parameter but USE, as in (USE (\\Sent))");
        }
        uses = items(cursor, special_use)?;
        exactly(cursor, ")")?;
    }
    Ok(Command::Create(mailbox, uses))
}

/// `use-attr`: RFC 6154 §6.
fn special_use(cursor: &mut Cursor) -> Parsed<Use> {
    exactly(cursor, "\\")?;
    let name = format!("\\{}", atom(cursor)?);
    let known = Use::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(&name));
    Ok(known.unwrap_or(Use::Other(name)))
}
