//! The table of commands, in the order of RFC 3501 §6, those of extensions among them.

use super::append::append;
use super::fetch::{fetch, store};
use super::list::{create, list, lsub, status};
use super::search::search;
use super::{Command, IdField, Mailbox};
use crate::imapd::syntax::{
    Fault, Parsed, astring, atom, exactly, glance, hint, list as items, mailbox, more, nstring,
    sequence_set, space, string,
};
use crate::text::Cursor;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// When a command may be said: RFC 3501 §6.1 to §6.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Any time.
    Any,
    /// Before the login.
    NotAuthenticated,
    /// After the login, a mailbox selected or not.
    Authenticated,
    /// While a mailbox is selected.
    Selected,
}

/// A row of the table.
#[derive(Debug)]
pub struct Verb {
    /// The keyword, or `UID` and the keyword.
    pub name: &'static str,
    /// Whose rule it is.
    pub section: &'static str,
    /// Where RFC 9051 has it; empty where it does not.
    pub rev2: &'static str,
    /// How it is written behind its name.
    pub syntax: &'static str,
    /// When it may be said.
    pub state: State,
    pub(super) parse: fn(&mut Cursor) -> Parsed<Command>,
}

const fn verb(
    state: State,
    name: &'static str,
    section: &'static str,
    rev2: &'static str,
    syntax: &'static str,
    parse: fn(&mut Cursor) -> Parsed<Command>,
) -> Verb {
    Verb { name, section, rev2, syntax, state, parse }
}

use State::{Any, Authenticated, NotAuthenticated, Selected};

/// All commands.
#[rustfmt::skip]
pub const VERBS: &[Verb] = &[
    verb(Any, "CAPABILITY", "RFC 3501 §6.1.1", "RFC 9051 §6.1.1",
        "", |_| Ok(Command::Capability)),
    verb(Any, "NOOP", "RFC 3501 §6.1.2", "RFC 9051 §6.1.2",
        "", |_| Ok(Command::Noop)),
    verb(Any, "LOGOUT", "RFC 3501 §6.1.3", "RFC 9051 §6.1.3",
        "", |_| Ok(Command::Logout)),
    verb(Any, "ID", "RFC 2971 §3.1", "",
        "(\"name\" \"value\" ...), or NIL", id),
    verb(NotAuthenticated, "STARTTLS", "RFC 3501 §6.2.1", "RFC 9051 §6.2.1",
        "", |_| Ok(Command::StartTls)),
    verb(NotAuthenticated, "AUTHENTICATE", "RFC 3501 §6.2.2", "RFC 9051 §6.2.2",
        "mechanism [response in base64]", authenticate),
    verb(NotAuthenticated, "LOGIN", "RFC 3501 §6.2.3", "RFC 9051 §6.2.3",
        "user password", login),
    verb(Authenticated, "ENABLE", "RFC 5161 §3.1", "RFC 9051 §6.3.1",
        "capability ...", enable),
    verb(Authenticated, "SELECT", "RFC 3501 §6.3.1", "RFC 9051 §6.3.2",
        "mailbox", |cursor| open(cursor).map(Command::Select)),
    verb(Authenticated, "EXAMINE", "RFC 3501 §6.3.2", "RFC 9051 §6.3.3",
        "mailbox", |cursor| open(cursor).map(Command::Examine)),
    verb(Authenticated, "CREATE", "RFC 3501 §6.3.3", "RFC 9051 §6.3.4",
        "mailbox [(USE (\\Sent))]", create),
    verb(Authenticated, "DELETE", "RFC 3501 §6.3.4", "RFC 9051 §6.3.5",
        "mailbox", |cursor| one(cursor).map(Command::Delete)),
    verb(Authenticated, "RENAME", "RFC 3501 §6.3.5", "RFC 9051 §6.3.6",
        "mailbox new-name", |cursor| Ok(Command::Rename(one(cursor)?, one(cursor)?))),
    verb(Authenticated, "SUBSCRIBE", "RFC 3501 §6.3.6", "RFC 9051 §6.3.7",
        "mailbox", |cursor| one(cursor).map(Command::Subscribe)),
    verb(Authenticated, "UNSUBSCRIBE", "RFC 3501 §6.3.7", "RFC 9051 §6.3.8",
        "mailbox", |cursor| one(cursor).map(Command::Unsubscribe)),
    verb(Authenticated, "LIST", "RFC 3501 §6.3.8", "RFC 9051 §6.3.9",
        "[(options)] \"\" pattern [RETURN (options)]", list),
    verb(Authenticated, "LSUB", "RFC 3501 §6.3.9", "",
        "\"\" pattern", lsub),
    verb(Authenticated, "NAMESPACE", "RFC 2342 §5", "RFC 9051 §6.3.10",
        "", |_| Ok(Command::Namespace)),
    verb(Authenticated, "STATUS", "RFC 3501 §6.3.10", "RFC 9051 §6.3.11",
        "mailbox (MESSAGES UNSEEN ...)", status),
    verb(Authenticated, "APPEND", "RFC 3501 §6.3.11", "RFC 9051 §6.3.12",
        "mailbox [(flags)] [\"date\"] {octets}", append),
    verb(Authenticated, "IDLE", "RFC 2177 §3", "RFC 9051 §6.3.13",
        "", |_| Ok(Command::Idle)),
    verb(Selected, "CHECK", "RFC 3501 §6.4.1", "",
        "", |_| Ok(Command::Check)),
    verb(Selected, "CLOSE", "RFC 3501 §6.4.2", "RFC 9051 §6.4.1",
        "", |_| Ok(Command::Close)),
    verb(Selected, "UNSELECT", "RFC 3691 §2", "RFC 9051 §6.4.2",
        "", |_| Ok(Command::Unselect)),
    verb(Selected, "EXPUNGE", "RFC 3501 §6.4.3", "RFC 9051 §6.4.3",
        "", expunge),
    verb(Selected, "SEARCH", "RFC 3501 §6.4.4", "RFC 9051 §6.4.4",
        "[RETURN (...)] [CHARSET name] key ...", |cursor| search(cursor, false)),
    verb(Selected, "FETCH", "RFC 3501 §6.4.5", "RFC 9051 §6.4.5",
        "set item, or set (item ...)", |cursor| fetch(cursor, false)),
    verb(Selected, "STORE", "RFC 3501 §6.4.6", "RFC 9051 §6.4.6",
        "set +FLAGS (\\Seen ...)", |cursor| store(cursor, false)),
    verb(Selected, "COPY", "RFC 3501 §6.4.7", "RFC 9051 §6.4.7",
        "set mailbox", |cursor| copy(cursor, false)),
    verb(Selected, "MOVE", "RFC 6851 §3.1", "RFC 9051 §6.4.8",
        "set mailbox", |cursor| move_(cursor, false)),
    verb(Selected, "UID SEARCH", "RFC 3501 §6.4.8", "RFC 9051 §6.4.9",
        "[RETURN (...)] [CHARSET name] key ...", |cursor| search(cursor, true)),
    verb(Selected, "UID FETCH", "RFC 3501 §6.4.8", "RFC 9051 §6.4.9",
        "uids item, or uids (item ...)", |cursor| fetch(cursor, true)),
    verb(Selected, "UID STORE", "RFC 3501 §6.4.8", "RFC 9051 §6.4.9",
        "uids +FLAGS (\\Seen ...)", |cursor| store(cursor, true)),
    verb(Selected, "UID COPY", "RFC 3501 §6.4.8", "RFC 9051 §6.4.9",
        "uids mailbox", |cursor| copy(cursor, true)),
    verb(Selected, "UID MOVE", "RFC 6851 §3.2", "RFC 9051 §6.4.9",
        "uids mailbox", |cursor| move_(cursor, true)),
    verb(Selected, "UID EXPUNGE", "RFC 4315 §2.1", "RFC 9051 §6.4.9",
        "uids", uid_expunge),
];

/// Reads a space and a verb.
pub(super) fn read(cursor: &mut Cursor) -> Option<&'static Verb> {
    cursor.literal(" ")?;
    let find = |cursor: &mut Cursor, prefix: &str| {
        let word = cursor.run(|octet| octet.is_ascii_alphabetic());
        let ends = matches!(cursor.peek(), None | Some(b' ' | b'\t'));
        let named = |verb: &&Verb| {
            let name = verb.name.strip_prefix(prefix).map(str::as_bytes);
            name.is_some_and(|name| name.eq_ignore_ascii_case(word))
        };
        VERBS.iter().find(named).filter(|_| ends)
    };
    if cursor.literal("UID ").is_some() {
        return find(cursor, "UID ");
    }
    find(cursor, "")
}

/// RFC 2971 §3.1.
fn id(cursor: &mut Cursor) -> Parsed<Command> {
    space(cursor)?;
    if cursor.literal("NIL").is_some() {
        return Ok(Command::Id(Vec::new()));
    }
    let field = |cursor: &mut Cursor| -> Parsed<IdField> {
        let name = string(cursor)?.into_owned();
        space(cursor)?;
        Ok((name, nstring(cursor)?.map(Cow::into_owned)))
    };
    items(cursor, field).map(Command::Id)
}

/// RFC 3501 §6.2.2; RFC 4959 §3: `=` is an initial response without octets.
fn authenticate(cursor: &mut Cursor) -> Parsed<Command> {
    space(cursor)?;
    let mechanism = atom(cursor)?;
    if !more(cursor)? {
        return Ok(Command::Authenticate(mechanism, None));
    }
    let response = cursor.run1(|octet| octet > b' ' && octet < 0x7f).ok_or(Fault::Syntax)?;
    let initial = match response {
        b"=" => Ok(Vec::new()),
        base64 => STANDARD.decode(base64),
    };
    match initial {
        Ok(octets) => Ok(Command::Authenticate(mechanism, Some(octets))),
        Err(_) => hint("The response is no base64"),
    }
}

/// RFC 3501 §6.2.3.
fn login(cursor: &mut Cursor) -> Parsed<Command> {
    space(cursor)?;
    let user = astring(cursor)?;
    space(cursor)?;
    let password = astring(cursor)?.into_owned();
    match String::from_utf8(user.into_owned()) {
        Ok(user) => Ok(Command::Login(user, password)),
        Err(_) => hint("The name of the user is no UTF-8"),
    }
}

/// RFC 5161 §3.1.
fn enable(cursor: &mut Cursor) -> Parsed<Command> {
    space(cursor)?;
    let mut capabilities = vec![atom(cursor)?];
    while more(cursor)? {
        capabilities.push(atom(cursor)?);
    }
    Ok(Command::Enable(capabilities))
}

/// A mailbox behind a space.
fn one(cursor: &mut Cursor) -> Parsed<Mailbox> {
    space(cursor)?;
    mailbox(cursor).map(Mailbox::from)
}

/// SELECT and EXAMINE: the parameters of RFC 4466 §2.1 have names, and we know none.
fn open(cursor: &mut Cursor) -> Parsed<Mailbox> {
    let mailbox = one(cursor)?;
    if cursor.literal(" (").is_some() {
        let name = cursor.run(|octet| octet.is_ascii_alphanumeric() || b"-_.:".contains(&octet));
        return hint(format!("The parameter '{}' is not known here", glance(name)));
    }
    Ok(mailbox)
}

fn expunge(cursor: &mut Cursor) -> Parsed<Command> {
    match more(cursor)? {
        true => hint("EXPUNGE takes all that is \\Deleted; UID EXPUNGE takes a set of UIDs"),
        false => Ok(Command::Expunge(None)),
    }
}

fn uid_expunge(cursor: &mut Cursor) -> Parsed<Command> {
    space(cursor)?;
    sequence_set(cursor).map(|set| Command::Expunge(Some(set)))
}

fn copy(cursor: &mut Cursor, uid: bool) -> Parsed<Command> {
    space(cursor)?;
    uid_behind(cursor, uid)?;
    let set = sequence_set(cursor)?;
    Ok(Command::Copy { uid, set, to: one(cursor)? })
}

/// RFC 6851 §3.1.
fn move_(cursor: &mut Cursor, uid: bool) -> Parsed<Command> {
    space(cursor)?;
    uid_behind(cursor, uid)?;
    let set = sequence_set(cursor)?;
    Ok(Command::Move { uid, set, to: one(cursor)? })
}

/// `COPY UID`: two words of the grammar in the wrong order.
fn uid_behind(cursor: &mut Cursor, uid: bool) -> Parsed<()> {
    match exactly(cursor, "UID") {
        Ok(()) if !uid => hint("UID stands before the command, as in UID COPY 1:3 Sent"),
        Ok(()) => Err(Fault::Syntax),
        Err(_) => Ok(()),
    }
}
