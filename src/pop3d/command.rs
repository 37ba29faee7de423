//! A line of octets becomes a command: RFC 1939 §9, RFC 2449 §3.
//!
//! `VERBS` is the one table: what there is, whose rule it is, how it is written, how it is read.
//! What a parser leaves over is refused once for all. Keywords may be in any case. Beyond the
//! RFC, spaces and tabs at the end of a line are dropped, except in a password.

use crate::auth::sasl::Mechanism;
use crate::text::{Cursor, nearest, printable};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a client can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// RFC 2449 §5.
    Capa,
    /// RFC 2595 §4.
    Stls,
    /// RFC 6856 §2.1.
    Utf8,
    /// RFC 1939 §7: the name.
    User(String),
    /// RFC 1939 §7: the password.
    Pass(String),
    /// RFC 1939 §7: the name, and the digest that proves it.
    Apop(String, String),
    /// RFC 5034 §4: the mechanism and the initial response.
    Auth(String, Option<Vec<u8>>),
    /// RFC 5034 §4: a line of an exchange.
    Response(Vec<u8>),
    /// RFC 5034 §4: the client gives the exchange up.
    Cancel,
    /// RFC 1939 §5.
    Stat,
    /// RFC 1939 §5: of one message, or of all.
    List(Option<u32>),
    /// RFC 1939 §5.
    Retr(u32),
    /// RFC 1939 §5.
    Dele(u32),
    /// RFC 1939 §5.
    Noop,
    /// RFC 1939 §5.
    Rset,
    /// RFC 1460 §5.
    Last,
    /// RFC 1939 §7: of a message, so many lines of the body.
    Top(u32, u32),
    /// RFC 1939 §7: of one message, or of all.
    Uidl(Option<u32>),
    /// RFC 1939 §6.
    Quit,
}

/// A row of the table.
pub struct Verb {
    /// The keyword.
    pub name: &'static str,
    /// Whose rule it is.
    pub section: &'static str,
    /// How it is written.
    pub syntax: &'static str,
    parse: fn(&mut Cursor) -> Option<Command>,
}

const fn verb(
    name: &'static str,
    section: &'static str,
    syntax: &'static str,
    parse: fn(&mut Cursor) -> Option<Command>,
) -> Verb {
    Verb { name, section, syntax, parse }
}

/// All commands, in the order of a session.
pub const VERBS: &[Verb] = &[
    verb("CAPA", "RFC 2449 §5", "CAPA", |_| Some(Command::Capa)),
    verb("STLS", "RFC 2595 §4", "STLS", |_| Some(Command::Stls)),
    verb("UTF8", "RFC 6856 §2.1", "UTF8", |_| Some(Command::Utf8)),
    verb("USER", "RFC 1939 §7", "USER name", user),
    verb("PASS", "RFC 1939 §7", "PASS password", pass),
    verb("APOP", "RFC 1939 §7", "APOP name digest", apop),
    verb("AUTH", "RFC 5034 §4", "AUTH mechanism (and a response in base64, if any)", auth),
    verb("STAT", "RFC 1939 §5", "STAT", |_| Some(Command::Stat)),
    verb("LIST", "RFC 1939 §5", "LIST or LIST message-number", |cursor| {
        optional_number(cursor).map(Command::List)
    }),
    verb("RETR", "RFC 1939 §5", "RETR message-number", |cursor| number(cursor).map(Command::Retr)),
    verb("DELE", "RFC 1939 §5", "DELE message-number", |cursor| number(cursor).map(Command::Dele)),
    verb("NOOP", "RFC 1939 §5", "NOOP", |_| Some(Command::Noop)),
    verb("RSET", "RFC 1939 §5", "RSET", |_| Some(Command::Rset)),
    verb("LAST", "RFC 1460 §5", "LAST", |_| Some(Command::Last)),
    verb("TOP", "RFC 1939 §7", "TOP message-number lines", |cursor| {
        Some(Command::Top(number(cursor)?, number(cursor)?))
    }),
    verb("UIDL", "RFC 1939 §7", "UIDL or UIDL message-number", |cursor| {
        optional_number(cursor).map(Command::Uidl)
    }),
    verb("QUIT", "RFC 1939 §6", "QUIT", |_| Some(Command::Quit)),
];

/// Verbs of other protocols, typed at this port.
const SMTP: &[&str] = &["HELO", "EHLO", "LHLO", "MAIL", "RCPT", "DATA", "VRFY", "EXPN", "STARTTLS"];
const IMAP: &[&str] = &["CAPABILITY", "LOGIN", "AUTHENTICATE", "SELECT", "FETCH", "LOGOUT"];

/// Why a line is no command.
#[derive(Clone, Copy)]
pub enum Fault {
    /// No verb of ours, and the one it may have meant.
    Unknown(Option<&'static Verb>),
    /// The verb is ours, what follows it is not.
    Syntax(&'static Verb),
    /// A response in an exchange is no base64.
    NotBase64,
    /// It would be a command of SMTP.
    Smtp,
    /// It would be a command of IMAP.
    Imap,
    /// Longer than any command.
    TooLong,
}

/// The command on a line, and its row in the table.
pub fn parse(line: &[u8]) -> Result<(Command, &'static Verb), Fault> {
    let mut cursor = Cursor::new(line);
    let word = cursor.run(|octet| octet != b' ' && octet != b'\t');
    let Some(verb) = VERBS.iter().find(|verb| word.eq_ignore_ascii_case(verb.name.as_bytes()))
    else {
        return Err(unknown(word, cursor));
    };
    let command = (verb.parse)(&mut cursor).ok_or(Fault::Syntax(verb))?;
    cursor.spaces();
    if cursor.at_end() { Ok((command, verb)) } else { Err(Fault::Syntax(verb)) }
}

/// RFC 5034 §4: a line of an exchange is base64, or `*`.
pub fn parse_response(line: &[u8]) -> Result<(Command, &'static Verb), Fault> {
    let Some(auth) = VERBS.iter().find(|verb| verb.name == "AUTH") else {
        return Err(Fault::NotBase64);
    };
    match line {
        b"*" => Ok((Command::Cancel, auth)),
        _ => match STANDARD.decode(line) {
            Ok(octets) => Ok((Command::Response(octets), auth)),
            Err(_) => Err(Fault::NotBase64),
        },
    }
}

fn unknown(word: &[u8], mut rest: Cursor) -> Fault {
    let is = |word: &[u8], known: &&str| word.eq_ignore_ascii_case(known.as_bytes());
    rest.spaces();
    let second = rest.run(|octet| octet != b' ' && octet != b'\t');
    if SMTP.iter().any(|known| is(word, known)) {
        return Fault::Smtp;
    }
    if IMAP.iter().any(|known| is(second, known)) {
        return Fault::Imap;
    }
    let word = String::from_utf8_lossy(word);
    let meant = nearest(&word, VERBS.iter().map(|verb| verb.name));
    Fault::Unknown(VERBS.iter().find(|verb| Some(verb.name) == meant))
}

/// RFC 6856 §2.2: names may be UTF-8, and what is no UTF-8 is refused.
fn user(cursor: &mut Cursor) -> Option<Command> {
    word(cursor).map(Command::User)
}

/// RFC 1939 §7: spaces are part of the password, which begins behind the first one.
fn pass(cursor: &mut Cursor) -> Option<Command> {
    cursor.literal(" ")?;
    let password = cursor.run1(|octet| octet != 0)?;
    String::from_utf8(password.to_vec()).ok().map(Command::Pass)
}

/// RFC 1939 §7: the digest is 16 octets in hexadecimal, lower case.
fn apop(cursor: &mut Cursor) -> Option<Command> {
    let name = word(cursor)?;
    let digest = word(cursor)?;
    let is_digest = digest.len() == 32 && digest.bytes().all(|octet| octet.is_ascii_hexdigit());
    is_digest.then(|| Command::Apop(name, digest.to_ascii_lowercase()))
}

/// RFC 5034 §4: `=` is an initial response without octets.
fn auth(cursor: &mut Cursor) -> Option<Command> {
    let mechanism = word(cursor)?;
    let initial = match word(cursor).as_deref() {
        None => None,
        Some("=") => Some(Vec::new()),
        Some(response) => Some(STANDARD.decode(response).ok()?),
    };
    Some(Command::Auth(mechanism, initial))
}

/// The next argument, in UTF-8.
fn word(cursor: &mut Cursor) -> Option<String> {
    cursor.spaces();
    let word = cursor.run1(|octet| octet > b' ' && octet != 0x7f)?;
    String::from_utf8(word.to_vec()).ok()
}

/// A number that does not fit is as large as no message's.
fn number(cursor: &mut Cursor) -> Option<u32> {
    cursor.spaces();
    let digits = cursor.run1(|octet| octet.is_ascii_digit())?;
    let value = digits.iter().fold(0u32, |value, digit| {
        value.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
    });
    Some(value)
}

fn optional_number(cursor: &mut Cursor) -> Option<Option<u32>> {
    cursor.spaces();
    if cursor.at_end() { Some(None) } else { number(cursor).map(Some) }
}

impl Command {
    /// The line it came from, for people, without what is secret.
    pub fn shown(&self, line: &[u8]) -> String {
        match self {
            Command::Pass(_) => "PASS ****".into(),
            Command::Apop(name, _) => format!("APOP {} ****", printable(name.as_bytes())),
            // A password may stand where the mechanism was forgotten.
            Command::Auth(mechanism, _) if !Mechanism::is_name(mechanism) => "AUTH ****".into(),
            Command::Auth(mechanism, Some(_)) => format!("AUTH {mechanism} ****"),
            Command::Response(_) => "****".into(),
            _ => printable(line),
        }
    }
}

/// A line that is no command, for people. Where a password may have been meant, only its length
/// is told, and the first word if it is near a verb.
pub fn shown_fault(line: &[u8], before_login: bool) -> String {
    let word = line.split(|octet| octet.is_ascii_whitespace()).next().unwrap_or_default();
    let meant = nearest(&String::from_utf8_lossy(word), VERBS.iter().map(|verb| verb.name));
    match meant {
        None if before_login => format!("({} octets)", line.len()),
        Some(verb) if before_login || matches!(verb, "PASS" | "APOP" | "AUTH") => {
            format!("{} ({} octets)", printable(word), line.len())
        }
        _ => printable(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_their_commands() {
        use Command::*;
        let user = || Some(User("alice".into()));
        let rows: &[(&[u8], Option<Command>)] = &[
            (b"CAPA", Some(Capa)),
            (b"capa  ", Some(Capa)),
            (b"CAPA x", None),
            (b"STLS", Some(Stls)),
            (b"UTF8", Some(Utf8)),
            (b"UTF8 USER", None),
            (b"USER alice", user()),
            (b"user  alice ", user()),
            (b"USER", None),
            (b"USER ", None),
            (b"USER alice smith", None),
            (b"USER jos\xc3\xa9", Some(User("josé".into()))),
            (b"USER jos\xe9", None),
            (b"USER al\0ice", None),
            (b"PASS secret", Some(Pass("secret".into()))),
            (b"PASS  se cret ", Some(Pass(" se cret ".into()))),
            (b"PASS", None),
            (b"PASS ", None),
            (b"PASS s\0cret", None),
            (b"PASS \xff", None),
            (b"APOP a c4c9334bac560ecc979e58001b3e22fb", {
                Some(Apop("a".into(), "c4c9334bac560ecc979e58001b3e22fb".into()))
            }),
            (b"APOP a c4c9", None),
            (b"APOP a", None),
            (b"AUTH PLAIN", Some(Auth("PLAIN".into(), None))),
            (b"AUTH plain =", Some(Auth("plain".into(), Some(vec![])))),
            (b"AUTH PLAIN AGEAYg==", Some(Auth("PLAIN".into(), Some(b"\0a\0b".into())))),
            (b"AUTH PLAIN AGEAYg=", None),
            (b"AUTH PLAIN =AAA", None),
            (b"AUTH PLAIN AA\x01A", None),
            (b"AUTH", None),
            (b"STAT", Some(Stat)),
            (b"STAT 1", None),
            (b"LIST", Some(List(None))),
            (b"LIST ", Some(List(None))),
            (b"LIST 12", Some(List(Some(12)))),
            (b"LIST 1 2", None),
            (b"LIST all", None),
            (b"RETR 1", Some(Retr(1))),
            (b"RETR 0", Some(Retr(0))),
            (b"RETR 99999999999999999999", Some(Retr(u32::MAX))),
            (b"RETR -1", None),
            (b"RETR 1x", None),
            (b"RETR", None),
            (b"DELE 3", Some(Dele(3))),
            (b"DELE 3 4", None),
            (b"NOOP", Some(Noop)),
            (b"RSET", Some(Rset)),
            (b"LAST", Some(Last)),
            (b"TOP 1 10", Some(Top(1, 10))),
            (b"TOP 1", None),
            (b"TOP 1 -1", None),
            (b"UIDL", Some(Uidl(None))),
            (b"UIDL 2", Some(Uidl(Some(2)))),
            (b"QUIT", Some(Quit)),
            (b"qUiT", Some(Quit)),
            (b"QUIT now", None),
            (b"", None),
            (b" QUIT", None),
            (b"QUIT\0", None),
        ];
        for (line, expected) in rows {
            let command = parse(line).ok().map(|(command, _)| command);
            assert_eq!(command, *expected, "{}", printable(line));
        }
    }

    #[test]
    fn faults_say_what_was_meant() {
        let hint = |line: &[u8]| match parse(line) {
            Err(Fault::Unknown(meant)) => meant.map_or("?", |verb| verb.name),
            Err(Fault::Syntax(verb)) => verb.syntax,
            Err(Fault::Smtp) => "SMTP",
            Err(Fault::Imap) => "IMAP",
            _ => "",
        };
        for (line, expected) in [
            ("RETRR 1", "RETR"),
            ("RERT 1", "RETR"),
            ("PAS secret", "PASS"),
            ("UILD", "UIDL"),
            ("XYZZY", "?"),
            ("", "?"),
            ("RETR", "RETR message-number"),
            ("EHLO me", "SMTP"),
            ("mail from:<a@b>", "SMTP"),
            ("a1 login alice secret", "IMAP"),
        ] {
            assert_eq!(hint(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn responses() {
        let response = |line: &[u8]| parse_response(line).ok().map(|(command, _)| command);
        assert_eq!(response(b"*"), Some(Command::Cancel));
        assert_eq!(response(b""), Some(Command::Response(vec![])));
        assert_eq!(response(b"AGEAYg=="), Some(Command::Response(b"\0a\0b".into())));
        assert_eq!(response(b"AGEA*"), None);
        assert_eq!(response(b"AAA=BBB="), None);
    }

    #[test]
    fn no_secret_is_shown() {
        for (line, shown) in [
            ("PASS secret", "PASS ****"),
            ("APOP a c4c9334bac560ecc979e58001b3e22fb", "APOP a ****"),
            ("AUTH PLAIN AGEAYg==", "AUTH PLAIN ****"),
            ("auth plain", "auth plain"),
            ("AUTH AGEAYg==", "AUTH ****"),
            ("USER alice", "USER alice"),
        ] {
            let command = parse(line.as_bytes()).map(|(command, _)| command);
            let command = command.ok().expect("a command");
            assert_eq!(command.shown(line.as_bytes()), shown);
        }
        assert_eq!(Command::Response(vec![]).shown(b"AGEAYg=="), "****");
        for (line, before_login, shown) in [
            ("PAS secret", true, "PAS (10 octets)"),
            ("PAS secret", false, "PAS (10 octets)"),
            ("secret", true, "(6 octets)"),
            ("a1 login alice secret", true, "(21 octets)"),
            ("RETRR 1", true, "RETRR (7 octets)"),
            ("RETRR 1", false, "RETRR 1"),
            ("xyzzy\x07", false, "xyzzy\\x07"),
        ] {
            assert_eq!(shown_fault(line.as_bytes(), before_login), shown, "{line}");
        }
    }

    #[test]
    fn every_verb_is_of_the_length_the_grammar_gives() {
        for verb in VERBS {
            assert!((3..=4).contains(&verb.name.len()), "{}", verb.name);
            assert!(verb.section.starts_with("RFC ") && verb.syntax.starts_with(verb.name));
        }
    }
}
