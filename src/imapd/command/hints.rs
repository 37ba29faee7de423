//! What to say to octets that are no command: the slip, and the way out of it.

use super::Bad;
use super::verbs::{VERBS, Verb};
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
    if let Some(verb) = by_name(first) {
        return bad(None, untagged(&format!("{} {}", verb.name, verb.syntax)));
    }
    if tag.eq_ignore_ascii_case("DONE") && word.is_empty() {
        return bad(None, "DONE ends IDLE, and nobody idles".to_owned());
    }
    if let Some(text) = foreign(word) {
        return bad(Some(tag), text);
    }
    if let Some(text) = foreign(first) {
        return bad(None, text);
    }
    let text = match word {
        b"" if space && !rest.rest().trim_ascii().is_empty() => {
            "One space stands between words, not more".to_owned()
        }
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

/// Something stands behind the last argument.
pub(super) fn left_over(verb: &Verb, rest: Cursor) -> Fault {
    let takes_name = verb.syntax.starts_with("mailbox") || verb.syntax.ends_with(" mailbox");
    if takes_name && rest.rest().first().is_some_and(|octet| octet.is_ascii_alphanumeric()) {
        return Fault::Hint("A name that holds a space is written in quotes".into());
    }
    match verb.syntax {
        "" => Fault::Hint(format!("{} takes no arguments", verb.name).into()),
        _ => Fault::Syntax,
    }
}

#[cfg(test)]
mod tests {
    use crate::imapd::command::{Answer, answer, is_done, parse, shown_fault};

    #[track_caller]
    fn check(rows: &[(&str, &str)]) {
        for (line, part) in rows {
            match parse(line.as_bytes()) {
                Ok(tagged) => panic!("{line}: {:?}", tagged.command),
                Err(bad) => assert!(bad.text.contains(part), "{line}: {}", bad.text),
            }
        }
    }

    #[test]
    fn slips_of_tag_and_verb() {
        check(&[
            ("", "empty line"),
            (" a1 NOOP", "not with a space"),
            ("* NOOP", "begins with a tag"),
            ("a+ NOOP", "no command"),
            ("a1", "verb is missing"),
            ("a1 ", "verb is missing"),
            ("DONE", "ends IDLE"),
            ("a1  NOOP", "One space"),
            ("a1 APPDNE Sent {3}", "'APPDNE' is no command; APPEND?"),
            ("a1 FECTH 1 FLAGS", "FETCH?"),
            ("a1 XYZZY", "'XYZZY' is no command"),
            ("a1 LOGIN(alice secret)", "no command"),
            ("a1 COPY UID 1:3 Sent", "UID COPY 1:3 Sent"),
            ("a1 UID", "UID is followed by"),
            ("a1 UID NOOP", "UID is followed by"),
            ("LOGIN alice secret", "a1 LOGIN user password"),
            ("noop", "tag, as in: a1 NOOP"),
            ("FETCH 1 FLAGS", "a1 FETCH"),
            ("EHLO me", "EHLO is of SMTP"),
            ("a1 USER alice", "USER is of POP3; this is IMAP, and LOGIN may be meant"),
            ("a1 QUIT", "LOGOUT"),
            ("QUIT", "LOGOUT"),
            ("MAIL FROM:<a@b>", "SMTP"),
            ("a1 RETR 1", "FETCH"),
        ]);
        for (line, tag) in [("a1 APPDNE", Some("a1")), ("LOGIN a b", None), ("EHLO me", None)] {
            assert_eq!(parse(line.as_bytes()).unwrap_err().tag.as_deref(), tag, "{line}");
        }
    }

    #[test]
    fn arguments_that_are_none() {
        check(&[
            ("a1 NOOP now", "NOOP takes no arguments"),
            ("a1 LOGIN alice", "Syntax: LOGIN user password"),
            ("a1 LOGIN alice secret more", "Syntax: LOGIN"),
            ("a1 LOGIN alice  secret", "One space"),
            ("a1 LOGIN \"alice secret", "no end"),
            ("a1 LOGIN \"al\\ice\" secret", "written twice"),
            ("a1 LOGIN josé secret", "in quotes"),
            ("a1 LOGIN {5}\r\nalice", "Syntax"),
            ("a1 LOGIN {5}\r\nali", "Syntax"),
            ("a1 LOGIN {5} alice secret", "Syntax"),
            ("a1 LOGIN {2}\r\na\0 secret", "NUL"),
            ("a1 AUTHENTICATE", "Syntax: AUTHENTICATE"),
            ("a1 AUTHENTICATE PLAIN !", "base64"),
            ("a1 ID", "Syntax: ID"),
            ("a1 ID (\"name\")", "Syntax: ID"),
            ("a1 ENABLE", "Syntax: ENABLE"),
            ("a1 SELECT", "Syntax: SELECT mailbox"),
            ("a1 SELECT My Folder", "in quotes"),
            ("a1 SELECT INBOX (CONDSTORE)", "'CONDSTORE' is not known"),
            ("a1 SELECT a%", "Syntax"),
            ("a1 CREATE Sent (USE \\Sent)", "Syntax: CREATE"),
            ("a1 CREATE Sent (ODD)", "no parameter but USE"),
            ("a1 RENAME Sent", "Syntax: RENAME"),
            ("a1 LIST", "Syntax: LIST"),
            ("a1 LIST *", "Syntax: LIST"),
            ("a1 LIST (RECURSIVEMATCH) \"\" *", "SUBSCRIBED"),
            ("a1 LIST (REMOTE RECURSIVEMATCH) \"\" *", "SUBSCRIBED"),
            ("a1 LIST (ODD) \"\" *", "'ODD'"),
            ("a1 LIST \"\" ()", "Nothing stands"),
            ("a1 LIST \"\" * RETURN (ODD)", "'ODD'"),
            ("a1 LIST \"\" * RETURN (STATUS)", "Syntax"),
            ("a1 STATUS INBOX MESSAGES", "in parentheses"),
            ("a1 STATUS INBOX ()", "Nothing stands"),
            ("a1 STATUS INBOX (MESAGES)", "MESSAGES?"),
            ("a1 STATUS INBOX (HIGHESTMODSEQ)", "'HIGHESTMODSEQ' is no item"),
            ("a1 APPEND INBOX", "{octets}"),
            ("a1 APPEND INBOX \"hello\"", "A date and time"),
            ("a1 APPEND INBOX {3} {4}", "Syntax: APPEND"),
            ("a1 APPEND INBOX (\\Recent) {3}", "Recent"),
            ("a1 APPEND INBOX UTF8 ({3}", "literal8"),
            ("a1 APPEND INBOX \"30-Feb-1996 02:44:25 -0700\" {3}", "A date and time"),
            ("a1 APPEND INBOX \"17-Jul-1996 02:44:25 -0775\" {3}", "A date and time"),
            ("a1 APPEND INBOX \"17-Jul-1996 25:44:25 -0700\" {3}", "A date and time"),
        ]);
    }

    #[test]
    fn arguments_of_messages_that_are_none() {
        check(&[
            ("a1 EXPUNGE 1:3", "UID EXPUNGE"),
            ("a1 UID EXPUNGE", "Syntax: UID EXPUNGE uids"),
            ("a1 COPY 1", "Syntax: COPY"),
            ("a1 COPY 0 Sent", "from 1"),
            ("a1 COPY 1,,2 Sent", "Syntax"),
            ("a1 COPY 1: Sent", "Syntax"),
            ("a1 COPY 4294967296 Sent", "larger than 4294967295"),
            ("a1 FETCH 1", "Syntax: FETCH"),
            ("a1 FETCH FLAGS 1", "Syntax: FETCH"),
            ("a1 FETCH 1 FLAGS UID", "in parentheses, as in FETCH 1 (FLAGS UID)"),
            ("a1 FETCH 1 ()", "Nothing stands"),
            ("a1 FETCH 1 (FLAGS  UID)", "One space"),
            ("a1 FETCH 1 (FLAGS UID", "Syntax"),
            ("a1 FETCH 1 (ALL)", "ALL stands alone"),
            ("a1 FETCH 1 FLAG", "FLAGS?"),
            ("a1 FETCH 1 ODD", "'ODD' is no item"),
            ("a1 FETCH 1 BODY.PEEK", "wants a section"),
            ("a1 FETCH 1 BODY[0]", "from 1"),
            ("a1 FETCH 1 BODY[MIME]", "BODY[1.MIME]"),
            ("a1 FETCH 1 BODY[1.]", "no section"),
            ("a1 FETCH 1 BODY[ODD]", "'ODD' is no section"),
            ("a1 FETCH 1 BODY[HEADER", "A section is written"),
            ("a1 FETCH 1 BODY[HEADER.FIELDS ()]", "Nothing stands"),
            ("a1 FETCH 1 BODY[]<0.0>", "At least one octet"),
            ("a1 FETCH 1 BODY[]<5>", "<offset.octets>"),
            ("a1 FETCH 1 BINARY[TEXT]", "Syntax"),
            ("a1 FETCH 1 FLAGS (CHANGEDSINCE 1)", "no modifiers"),
            ("a1 STORE 1 (\\Seen)", "no modifiers"),
            ("a1 STORE 1 +FLAG (\\Seen)", "+FLAGS"),
            ("a1 STORE 1 +FLAGS", "+FLAGS"),
            ("a1 STORE 1 FLAGS (\\Odd)", "\\Odd is no flag"),
            ("a1 STORE 1 FLAGS (\\Recent)", "\\Recent is not"),
            ("a1 SEARCH", "Syntax: SEARCH"),
            ("a1 SEARCH FORM smith", "FROM?"),
            ("a1 SEARCH hello", "TEXT, FROM"),
            ("a1 SEARCH NOT", "Syntax"),
            ("a1 SEARCH OR SEEN", "Syntax"),
            ("a1 SEARCH ()", "Syntax"),
            ("a1 SEARCH RETURN (ODD) ALL", "'ODD'"),
            ("a1 SEARCH RETURN (ALL)", "Syntax"),
            ("a1 SEARCH SINCE 31-Feb-1994", "A date is written"),
            ("a1 SEARCH SINCE yesterday", "A date is written"),
            ("a1 SEARCH OLDER 0", "from 1"),
            ("a1 SEARCH LARGER 9223372036854775808", "larger than"),
        ]);
    }

    #[test]
    fn lines_within_commands() {
        assert_eq!(answer(b"*"), Some(Answer::Cancel));
        assert_eq!(answer(b""), Some(Answer::Octets(vec![])));
        assert_eq!(answer(b"AGEAYg=="), Some(Answer::Octets(b"\0a\0b".to_vec())));
        assert_eq!(answer(b"AGEAYg="), None);
        assert!(is_done(b"done ") && !is_done(b"a1 DONE"));
    }

    #[test]
    fn no_secret_is_shown() {
        for (line, shown) in [
            ("a1 LOGIN alice secret", "a1 LOGIN alice ****"),
            ("a1 login {5}\r\nalice {6}\r\nsecret", "a1 LOGIN alice ****"),
            ("a1 AUTHENTICATE PLAIN AGEAYg==", "a1 AUTHENTICATE PLAIN ****"),
            ("a1 AUTHENTICATE PLAIN", "a1 AUTHENTICATE PLAIN"),
            ("a1 SELECT \"a\x07\"", "a1 SELECT \"a\\x07\""),
        ] {
            let tagged = parse(line.as_bytes()).unwrap();
            assert_eq!(tagged.command.shown(&tagged.tag, line.as_bytes()), shown);
        }
        for (line, before_login, shown) in [
            ("a1 LOGIN alice secret x", true, "a1 LOGIN (23 octets)"),
            ("a1 LOGIN alice secret x", false, "a1 LOGIN (23 octets)"),
            ("a1 LOGN alice secret", true, "a1 LOGN (20 octets)"),
            ("LOGIN alice secret", true, "LOGIN (18 octets)"),
            ("alice secret", true, "(12 octets)"),
            ("secret", true, "(6 octets)"),
            ("a1 PASS secret", false, "a1 PASS (14 octets)"),
            ("a1 FECTH 1 FLAGS", false, "a1 FECTH 1 FLAGS"),
            ("a1 FECTH 1 FLAGS", true, "a1 FECTH (16 octets)"),
        ] {
            assert_eq!(shown_fault(line.as_bytes(), before_login), shown, "{line}");
        }
    }
}
