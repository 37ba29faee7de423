//! What to say to octets that are no command: the slip, and the way out of it.

use super::verbs::{VERBS, Verb};
use super::{Bad, verbs};
use crate::imapd::syntax::{Fault, glance};
use crate::text::{Cursor, nearest};

/// Verbs of SMTP and POP3, whose they are, and which of ours does that.
#[rustfmt::skip]
const FOREIGN: &[(&str, &str, &str)] = &[
    ("EHLO", "SMTP", "CAPABILITY"), ("HELO", "SMTP", "CAPABILITY"),
    ("LHLO", "LMTP", "CAPABILITY"), ("MAIL", "SMTP", "APPEND"),
    ("RCPT", "SMTP", ""), ("DATA", "SMTP", "APPEND"),
    ("VRFY", "SMTP", ""), ("EXPN", "SMTP", ""),
    ("HELP", "SMTP", "CAPABILITY"), ("QUIT", "SMTP and POP3", "LOGOUT"),
    ("AUTH", "SMTP and POP3", "AUTHENTICATE"), ("RSET", "SMTP and POP3", ""),
    ("CAPA", "POP3", "CAPABILITY"), ("STLS", "POP3", "STARTTLS"),
    ("USER", "POP3", "LOGIN"), ("PASS", "POP3", "LOGIN"),
    ("APOP", "POP3", "AUTHENTICATE"), ("STAT", "POP3", "STATUS"),
    ("RETR", "POP3", "FETCH"), ("DELE", "POP3", "STORE"),
    ("TOP", "POP3", "FETCH"), ("UIDL", "POP3", "UID FETCH"),
];

/// How the verb is written.
pub(super) fn syntax(verb: &Verb) -> String {
    format!("Syntax: {} {}", verb.name, verb.syntax).trim_end().to_owned()
}

fn by_name(word: &[u8]) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| word.eq_ignore_ascii_case(verb.name.as_bytes()))
}

fn foreign(word: &[u8]) -> Option<String> {
    let is = |known: &&(&str, &str, &str)| word.eq_ignore_ascii_case(known.0.as_bytes());
    let (name, protocol, ours) = FOREIGN.iter().find(is)?;
    Some(match *ours {
        "" => format!("{name} is of {protocol}; this is IMAP"),
        ours => format!("{name} is of {protocol}; this is IMAP, and {ours} may be meant"),
    })
}

fn untagged(name: &str) -> String {
    format!("Every command begins with a tag, as in: a1 {name}")
}

/// Nothing that could be a tag stands at the beginning.
pub(super) fn without_tag(octets: &[u8]) -> Bad {
    let text = match octets {
        b"" => "An empty line is no command".to_owned(),
        [b' ' | b'\t', ..] => "A command begins with its tag, not with a space".to_owned(),
        _ => untagged("NOOP"),
    };
    Bad { tag: None, verb: None, text: text.into() }
}

/// Behind the tag stands no verb of ours; perhaps the tag is missing.
pub(super) fn unknown(tag: String, rest: Cursor) -> Bad {
    let mut cursor = rest;
    let space = cursor.literal(" ").is_some();
    let word = cursor.run(|octet| octet != b' ');
    let first = tag.as_bytes();
    let bad = |tag, text: String| Bad { tag, verb: None, text: text.into() };
    if let Some(verb) = by_name(first).or_else(|| uid_first(first, word)) {
        return bad(None, untagged(&format!("{} {}", verb.name, verb.syntax)));
    }
    if let Some(text) = foreign(word) {
        return bad(Some(tag), text);
    }
    if let Some(text) = foreign(first) {
        return bad(None, text);
    }
    let text = match word {
        b"" if space => "One space stands between words, not more".to_owned(),
        b"" => "A verb is missing behind the tag, as in: a1 NOOP".to_owned(),
        word if word.eq_ignore_ascii_case(b"UID") => {
            "UID is followed by SEARCH, FETCH, STORE, COPY, MOVE or EXPUNGE".to_owned()
        }
        word => {
            let shown = glance(word);
            match nearest(&shown, VERBS.iter().map(|verb| verb.name)) {
                Some(near) if near.eq_ignore_ascii_case(&shown) => format!("A space ends {near}"),
                Some(near) => format!("'{shown}' is no command; {near}?"),
                None => format!("'{shown}' is no command"),
            }
        }
    };
    bad(Some(tag), text)
}

/// `UID FETCH ...` typed without a tag.
fn uid_first(first: &[u8], second: &[u8]) -> Option<&'static Verb> {
    let uid = first.eq_ignore_ascii_case(b"UID");
    let mut line = Cursor::new(second);
    let name = line.run(|octet| octet.is_ascii_alphabetic());
    let uid_verb = |verb: &&Verb| {
        let rest = verb.name.strip_prefix("UID ");
        rest.is_some_and(|rest| rest.as_bytes().eq_ignore_ascii_case(name))
    };
    verbs::VERBS.iter().filter(|_| uid).find(uid_verb)
}

/// Something stands behind the last argument.
pub(super) fn left_over(verb: &Verb, rest: Cursor) -> Fault {
    let takes_name = verb.syntax == "mailbox" || verb.syntax.ends_with(" mailbox");
    if takes_name && rest.rest().first().is_some_and(|octet| octet.is_ascii_alphanumeric()) {
        return Fault::Hint("A name that holds a space is written in quotes".into());
    }
    match verb.syntax {
        "" => Fault::Hint(format!("{} takes no arguments", verb.name).into()),
        _ => Fault::Syntax,
    }
}
