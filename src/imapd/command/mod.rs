//! Octets become a command: RFC 3501 §6 and §9, RFC 9051 §6 and §9.
//!
//! `parse` takes what a `Gather` holds. `VERBS` is the one table: what there is, whose rule it is,
//! how it is written, in which states it may be said, how it is read. What a parser leaves over is
//! refused once for all. Beyond the RFC, spaces at the end of a command are dropped.

pub mod append; // RFC 3501 §6.3.11
mod fetch; // RFC 3501 §6.4.5, §6.4.6
mod hints; // what to say to a slip
mod list; // RFC 3501 §6.3.8
mod name; // RFC 3501 §5.1
mod search; // RFC 3501 §6.4.4
#[cfg(test)]
mod tests;
mod verbs; // the table

pub use append::Message;
pub use fetch::{How, Item, Partial, Section, SectionText, Store};
pub use list::{List, Select, StatusItem, Tell};
pub use name::{Mailbox, Pattern};
pub use search::{Key, Returns, Search};
pub use verbs::{State, VERBS, Verb};

use super::flag::Use;
use super::set::Written;
use super::syntax::{Fault, tag};
use crate::auth::sasl::Mechanism;
use crate::text::{Cursor, nearest, printable};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// A field and its value in ID.
pub type IdField = (Vec<u8>, Option<Vec<u8>>);

/// What a client can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// RFC 3501 §6.1.1.
    Capability,
    /// RFC 3501 §6.1.2.
    Noop,
    /// RFC 3501 §6.1.3.
    Logout,
    /// RFC 2971 §3.1: who the client is, if it tells.
    Id(Vec<IdField>),
    /// RFC 3501 §6.2.1.
    StartTls,
    /// RFC 3501 §6.2.2: the mechanism, and the initial response (RFC 4959).
    Authenticate(String, Option<Vec<u8>>),
    /// RFC 3501 §6.2.3: the user and the password.
    Login(String, Vec<u8>),
    /// RFC 5161 §3.1.
    Enable(Vec<String>),
    /// RFC 3501 §6.3.1.
    Select(Mailbox),
    /// RFC 3501 §6.3.2.
    Examine(Mailbox),
    /// RFC 3501 §6.3.3: and what it is for.
    Create(Mailbox, Vec<Use>),
    /// RFC 3501 §6.3.4.
    Delete(Mailbox),
    /// RFC 3501 §6.3.5: from, to.
    Rename(Mailbox, Mailbox),
    /// RFC 3501 §6.3.6.
    Subscribe(Mailbox),
    /// RFC 3501 §6.3.7.
    Unsubscribe(Mailbox),
    /// RFC 3501 §6.3.8.
    List(List),
    /// RFC 3501 §6.3.9: reference and pattern.
    Lsub(Pattern, Pattern),
    /// RFC 2342 §5.
    Namespace,
    /// RFC 3501 §6.3.10.
    Status(Mailbox, Vec<StatusItem>),
    /// RFC 3501 §6.3.11: its first message follows.
    Append(Mailbox, Message),
    /// RFC 2177 §3.
    Idle,
    /// RFC 3501 §6.4.1.
    Check,
    /// RFC 3501 §6.4.2.
    Close,
    /// RFC 3691 §2.
    Unselect,
    /// RFC 3501 §6.4.3; with UIDs RFC 4315 §2.1.
    Expunge(Option<Written>),
    /// RFC 3501 §6.4.4.
    Search {
        /// Whether UIDs are told.
        uid: bool,
        /// What is searched for.
        search: Search,
    },
    /// RFC 3501 §6.4.5.
    Fetch {
        /// Whether the set is one of UIDs.
        uid: bool,
        /// Of which messages.
        set: Written,
        /// What.
        items: Vec<Item>,
    },
    /// RFC 3501 §6.4.6.
    Store {
        /// Whether the set is one of UIDs.
        uid: bool,
        /// In which messages.
        set: Written,
        /// What.
        store: Store,
    },
    /// RFC 3501 §6.4.7.
    Copy {
        /// Whether the set is one of UIDs.
        uid: bool,
        /// Which messages.
        set: Written,
        /// Where to.
        to: Mailbox,
    },
    /// RFC 6851 §3.1.
    Move {
        /// Whether the set is one of UIDs.
        uid: bool,
        /// Which messages.
        set: Written,
        /// Where to.
        to: Mailbox,
    },
}

/// Octets that are a command.
#[derive(Debug)]
pub struct Tagged {
    /// What its reply begins with.
    pub tag: String,
    /// Its row in the table.
    pub verb: &'static Verb,
    /// It.
    pub command: Command,
}

/// Octets that are no command, and the BAD that says so.
#[derive(Debug)]
pub struct Bad {
    /// Their tag; without one the reply is untagged.
    pub tag: Option<String>,
    /// Their verb, if it is one of ours.
    pub verb: Option<&'static Verb>,
    /// What to tell the client.
    pub text: Cow<'static, str>,
}

/// The tag and the verb that a command begins with, so far as they can be seen: enough to refuse
/// it before its literals are asked for.
pub fn head(octets: &[u8]) -> (Option<String>, Option<&'static Verb>) {
    let mut cursor = Cursor::new(octets);
    let tag = tag(&mut cursor);
    let verb = verbs::read(&mut cursor);
    (tag, verb)
}

/// The command that was gathered.
pub fn parse(octets: &[u8]) -> Result<Tagged, Bad> {
    let mut cursor = Cursor::new(octets);
    let Some(tag) = tag(&mut cursor) else { return Err(hints::without_tag(octets)) };
    let mut at = cursor;
    let Some(verb) = verbs::read(&mut at) else { return Err(hints::unknown(tag, cursor)) };
    let parsed = (verb.parse)(&mut at).and_then(|command| {
        at.spaces();
        if at.at_end() { Ok(command) } else { Err(hints::left_over(verb, at)) }
    });
    match parsed {
        Ok(command) => Ok(Tagged { tag, verb, command }),
        Err(fault) => {
            let text = match fault {
                Fault::Syntax => hints::syntax(verb).into(),
                Fault::Hint(text) => text,
            };
            Err(Bad { tag: Some(tag), verb: Some(verb), text })
        }
    }
}

/// A line of an AUTHENTICATE exchange.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The client goes on.
    Octets(Vec<u8>),
    /// `*`: it gives up.
    Cancel,
}

/// RFC 3501 §6.2.2: base64 or `*`; anything else is BAD.
pub fn answer(line: &[u8]) -> Option<Answer> {
    match line {
        b"*" => Some(Answer::Cancel),
        _ => STANDARD.decode(line).ok().map(Answer::Octets),
    }
}

/// RFC 2177 §3: the line that ends IDLE.
pub fn is_done(line: &[u8]) -> bool {
    line.trim_ascii_end().eq_ignore_ascii_case(b"DONE")
}

impl Command {
    /// The octets it came from, for people, without what is secret.
    pub fn shown(&self, tag: &str, octets: &[u8]) -> String {
        match self {
            Command::Login(user, _) => {
                format!("{} LOGIN {} ****", printable(tag.as_bytes()), printable(user.as_bytes()))
            }
            Command::Authenticate(mechanism, Some(_)) => {
                let name = if Mechanism::is_name(mechanism) { mechanism } else { "****" };
                format!("{} AUTHENTICATE {name} ****", printable(tag.as_bytes()))
            }
            // A word that no mechanism can have for a name may be a password.
            Command::Authenticate(mechanism, None) if !Mechanism::is_name(mechanism) => {
                format!("{} AUTHENTICATE ****", printable(tag.as_bytes()))
            }
            _ => printable(octets),
        }
    }
}

/// Octets that are no command, for people. Where a password may have been meant, only their
/// number is told, with tag and verb if a verb can be made out.
pub fn shown_fault(octets: &[u8], before_login: bool) -> String {
    const SECRET: [&str; 6] = ["LOGIN", "AUTHENTICATE", "AUTH", "PASS", "USER", "APOP"];
    let verbs = || VERBS.iter().map(|verb| verb.name).chain(SECRET);
    let mut words = octets.split(|octet| octet.is_ascii_whitespace());
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let near = |word: &[u8]| nearest(&String::from_utf8_lossy(word), verbs());
    let secret = [first, second].into_iter().filter_map(near).any(|verb| SECRET.contains(&verb));
    if !before_login && !secret {
        return printable(octets);
    }
    let count = octets.len();
    match (near(first), near(second)) {
        (_, Some(_)) => format!("{} {} ({count} octets)", printable(first), printable(second)),
        (Some(_), None) => format!("{} ({count} octets)", printable(first)),
        (None, None) => format!("({count} octets)"),
    }
}
