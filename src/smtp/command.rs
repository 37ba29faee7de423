//! RFC 5321 §4.1: octets to a `Command`. Pure; what is left over is refused once for all.

use super::parameters::each;
pub use super::parameters::{Parameters, Wishes};
use super::reply::Reply;
pub use super::verbs::{VERBS, Verb, find};
use crate::auth::sasl::Mechanism;
use crate::mail::{Fault, Mailbox, domain, forward_path, reverse_path};
use crate::text::{Cursor, is_vchar, nearest, printable};

/// What a client may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The name the client gives itself.
    Ehlo(String),
    /// The same, before 1995.
    Helo(String),
    /// The reverse-path, `None` for `<>`, and its parameters.
    Mail(Option<Mailbox>, Parameters),
    /// The same to a server of LMTP.
    Lhlo(String),
    /// One forward-path, and what the sender wants to hear of it.
    Rcpt(Mailbox, Wishes),
    /// The letter follows.
    Data,
    /// So many octets of the letter follow, and whether they are the last.
    Bdat(u64, bool),
    /// Forget the letter.
    Rset,
    /// A user or an address, and whether the reply may hold UTF-8 (RFC 6531 §3.7.4.2).
    Vrfy(String, bool),
    /// An alias, and the same.
    Expn(String, bool),
    /// About a command, or about all.
    Help(String),
    /// Nothing.
    Noop,
    /// Good-bye.
    Quit,
    /// TLS now.
    StartTls,
    /// A mechanism, and the client's first response in base64.
    Auth(String, Option<String>),
    /// Whose letters shall leave now: a domain, `@` before it for those below it too, or `#` and
    /// the name of a queue.
    Etrn(String),
    /// SEND, SOML, SAML, TURN.
    Obsolete,
}

/// A line that may be a command: its verb, and the command or the refusal.
pub fn parse(line: &[u8]) -> (Option<&'static Verb>, Result<Command, Reply>) {
    let mut cursor = Cursor::new(line);
    let word = cursor.run(|octet| octet.is_ascii_alphabetic());
    let ends = matches!(cursor.peek(), None | Some(b' ' | b'\t'));
    let Some(verb) = find(word).filter(|_| ends) else { return (None, Err(unknown(line))) };
    let parsed = (verb.parse)(&mut cursor).and_then(|command| {
        cursor.spaces();
        match cursor.at_end() {
            true => Ok(command),
            false => Err(syntax(verb)),
        }
    });
    (Some(verb), parsed)
}

/// As a transcript may show it: without the initial response of AUTH, also where the mechanism was
/// forgotten, and without what was meant as a password in a line that is no command.
pub fn shown(line: &[u8], is_command: bool) -> String {
    const SECRET: [&str; 5] = ["AUTH", "PASS", "LOGIN", "APOP", "PLAIN"];
    let text = printable(line);
    let secret = |word: &str| {
        let word = word.to_ascii_uppercase();
        nearest(&word, SECRET.into_iter()).is_some() || word.contains("AUTH")
    };
    let mut words = text.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(verb), Some(mechanism), response) if is_command && secret(verb) => {
            match (Mechanism::is_name(mechanism), response) {
                (true, None) => text,
                (true, Some(response)) => {
                    format!("{verb} {mechanism} ({} characters)", response.len())
                }
                (false, _) => format!("{verb} ({} characters)", mechanism.len()),
            }
        }
        (Some(verb), Some(_), _) if !is_command && text.split_whitespace().take(2).any(secret) => {
            format!("{} ({} characters)", &verb[..verb.floor_char_boundary(8)], text.len())
        }
        _ => text,
    }
}

fn syntax(verb: &Verb) -> Reply {
    Reply::new(501, "5.5.4", format!("Syntax: {} {}", verb.name, verb.syntax).trim_end().to_owned())
}

/// No command of ours, and perhaps a password: AUTH was said before. It is not said back.
pub fn unsaid() -> Reply {
    Reply::new(500, "5.5.2", "That is no command; HELP lists them").by("RFC 5321 §4.2.4")
}

/// No command of ours: perhaps a slip, perhaps a header field before DATA.
fn unknown(line: &[u8]) -> Reply {
    let word = line.split(|octet| *octet == b' ' || *octet == b'\t').next().unwrap_or(line);
    let shown = printable(&word[..word.len().min(40)]);
    let reply = |text: String| Reply::new(500, "5.5.2", text).by("RFC 5321 §4.2.4");
    if line.is_empty() {
        return reply("An empty line is no command; HELP lists them".into());
    }
    if let Some((name, _)) = shown.split_once(':').filter(|(name, _)| !name.is_empty()) {
        return match find(name.as_bytes()) {
            Some(verb) => reply(format!("{} and a space, not '{shown}'", verb.name)),
            None => reply(format!("'{name}:' is a header field; headers go after DATA")),
        };
    }
    let near = nearest(&shown.to_ascii_uppercase(), VERBS.iter().map(|verb| verb.name));
    reply(match near {
        Some(near) => format!("'{shown}' is no command; {near}?"),
        None => format!("'{shown}' is no command; HELP lists them"),
    })
}

/// RFC 5321 §4.1.1.1: a domain or an address literal.
///
/// We differ: any printable word is taken, as the name decides nothing here; but of ASCII, as
/// RFC 6531 §3.7.1 wants it.
pub(super) fn client(cursor: &mut Cursor) -> Result<String, Reply> {
    cursor.spaces();
    let mut strict = *cursor;
    if let Some(name) = domain(&mut strict).filter(|name| name.is_ascii() && strict.at_end()) {
        *cursor = strict;
        return Ok(name);
    }
    let word = cursor.run(|octet| is_vchar(octet) && !b"()<>\\\"".contains(&octet));
    match word {
        b"" => Err(Reply::new(501, "5.5.4", "Say your name: HELO pc1.example.org")),
        word if word.len() > crate::limits::DOMAIN => {
            Err(Reply::new(501, "5.5.4", "The name is longer than 255 octets"))
        }
        word => Ok(String::from_utf8_lossy(word).into_owned()),
    }
}

pub(super) fn mail(cursor: &mut Cursor) -> Result<Command, Reply> {
    cursor.spaces();
    if cursor.literal("FROM:").is_none() {
        return Err(Reply::new(501, "5.5.4", "Syntax: MAIL FROM:<ana@example.org>"));
    }
    let path = reverse_path(cursor).map_err(|fault| no_path(fault, "5.1.7"))?;
    let mut parameters = Parameters::default();
    each(cursor, |keyword, value| parameters.take(keyword, value))?;
    match &path {
        Some(mailbox) if !parameters.utf8 && !mailbox.is_ascii() => Err(non_ascii(550)),
        _ => Ok(Command::Mail(path, parameters)),
    }
}

/// RFC 3030 §2.
pub(super) fn bdat(cursor: &mut Cursor) -> Result<Command, Reply> {
    // Careful: nobody knows what follows where the number cannot be read.
    let wrong = || Reply::new(501, "5.5.4", "Syntax: BDAT octets [LAST]; good-bye").and_close();
    cursor.spaces();
    let digits = cursor.run1(|octet| octet.is_ascii_digit()).ok_or_else(wrong)?;
    let octets = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    cursor.spaces();
    let last = cursor.literal("LAST").is_some();
    cursor.spaces();
    match octets {
        Some(octets) if cursor.at_end() => Ok(Command::Bdat(octets, last)),
        _ => Err(wrong()),
    }
}

pub(super) fn rcpt(cursor: &mut Cursor) -> Result<Command, Reply> {
    cursor.spaces();
    if cursor.literal("TO:").is_none() {
        return Err(Reply::new(501, "5.5.4", "Syntax: RCPT TO:<luis@example.org>"));
    }
    let path = forward_path(cursor).map_err(|fault| no_path(fault, "5.1.3"))?;
    let mut wishes = Wishes::default();
    each(cursor, |keyword, value| wishes.take(keyword, value))?;
    Ok(Command::Rcpt(path, wishes))
}

/// RFC 1985 §5: a domain name, and perhaps a character before it.
pub(super) fn etrn(cursor: &mut Cursor) -> Result<Command, Reply> {
    cursor.spaces();
    let node = cursor.run(|octet| is_vchar(octet) || octet >= 0x80);
    let name = node.strip_prefix(b"@").or(node.strip_prefix(b"#")).unwrap_or(node);
    let mut name = Cursor::new(name);
    let is_name = domain(&mut name).is_some_and(|name| !name.starts_with('['));
    match is_name && name.at_end() {
        true => Ok(Command::Etrn(String::from_utf8_lossy(node).into_owned())),
        false => Err(Reply::new(501, "5.5.4", "Syntax: ETRN example.org, or ETRN @example.org")),
    }
}

/// RFC 6531 §3.5.
pub fn non_ascii(code: u16) -> Reply {
    let text = "This address is not ASCII, and MAIL did not say SMTPUTF8";
    Reply::new(code, "5.6.7", text).by("RFC 6531 §3.5")
}

fn no_path(fault: Fault, status: &'static str) -> Reply {
    match fault {
        Fault::Path(text) => Reply::new(501, "5.5.4", text),
        Fault::Address(text) => Reply::new(553, status, text).by("RFC 5321 §4.1.2"),
    }
}

pub(super) fn auth(cursor: &mut Cursor) -> Result<Command, Reply> {
    cursor.spaces();
    let mechanism = cursor.run(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet));
    cursor.spaces();
    let initial = cursor.run1(is_vchar);
    match mechanism {
        b"" => Err(Reply::new(501, "5.5.4", "Syntax: AUTH PLAIN, or AUTH LOGIN")),
        name => Ok(Command::Auth(
            String::from_utf8_lossy(name).into_owned(),
            initial.map(|text| String::from_utf8_lossy(text).into_owned()),
        )),
    }
}

/// RFC 6531 §3.7.4.2: what is asked for, and whether SMTPUTF8 stands behind it.
pub(super) fn question(cursor: &mut Cursor, example: &str) -> Result<(String, bool), Reply> {
    let words = rest(cursor);
    match words.rsplit_once(' ') {
        _ if words.is_empty() => Err(Reply::new(501, "5.5.4", format!("Syntax: {example}"))),
        Some((who, last)) if last.eq_ignore_ascii_case("SMTPUTF8") => {
            Ok((who.trim_end().to_owned(), true))
        }
        _ => Ok((words, false)),
    }
}

/// Whatever follows.
pub(super) fn rest(cursor: &mut Cursor) -> String {
    String::from_utf8_lossy(cursor.run(|_| true)).trim().to_owned()
}

pub(super) fn obsolete(cursor: &mut Cursor) -> Result<Command, Reply> {
    rest(cursor);
    Ok(Command::Obsolete)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> (u16, &'static str) {
        match parse(line.as_bytes()).1 {
            Ok(command) => panic!("{line}: {command:?}"),
            Err(reply) => (reply.code, reply.status),
        }
    }

    fn to(local_part: &str, domain: &str) -> Mailbox {
        Mailbox { local_part: local_part.into(), domain: domain.into() }
    }

    #[test]
    fn commands() {
        let plain = Parameters::default();
        for (line, expected) in [
            ("EHLO pc1.example.org", Command::Ehlo("pc1.example.org".into())),
            ("ehlo [127.0.0.1]", Command::Ehlo("[127.0.0.1]".into())),
            ("HELO my_pc ", Command::Helo("my_pc".into())),
            ("MAIL FROM:<>", Command::Mail(None, plain.clone())),
            ("mail from: ana@b", Command::Mail(Some(to("ana", "b")), plain.clone())),
            (
                "MAIL FROM:<a@b> SIZE=12 body=8bitmime SMTPUTF8 AUTH=<>",
                Command::Mail(
                    Some(to("a", "b")),
                    Parameters { size: Some(12), eight_bit: true, utf8: true, ..plain.clone() },
                ),
            ),
            ("RCPT TO:<Postmaster>", Command::Rcpt(to("Postmaster", ""), Wishes::default())),
            ("DATA ", Command::Data),
            ("bdat 86 last", Command::Bdat(86, true)),
            ("BDAT 0", Command::Bdat(0, false)),
            (
                "MAIL FROM:<> BODY=BINARYMIME",
                Command::Mail(None, Parameters { binary: true, ..plain.clone() }),
            ),
            ("NOOP a b", Command::Noop),
            ("HELP", Command::Help(String::new())),
            ("VRFY luis", Command::Vrfy("luis".into(), false)),
            ("VRFY <josé@b> smtputf8", Command::Vrfy("<josé@b>".into(), true)),
            ("EXPN smtputf8", Command::Expn("smtputf8".into(), false)),
            ("AUTH plain", Command::Auth("plain".into(), None)),
            ("AUTH PLAIN =", Command::Auth("PLAIN".into(), Some("=".into()))),
            ("ETRN @Aula.test", Command::Etrn("@Aula.test".into())),
            ("TURN", Command::Obsolete),
            ("SEND FROM:<a@b>", Command::Obsolete),
        ] {
            assert_eq!(parse(line.as_bytes()).1, Ok(expected), "{line}");
        }
    }

    #[test]
    fn refusals() {
        for (line, expected) in [
            ("", (500, "5.5.2")),
            ("VERFY luis", (500, "5.5.2")),
            ("SUBJECT: hi", (500, "5.5.2")),
            ("MAIL\0 FROM:<a@b>", (500, "5.5.2")),
            ("EHLO", (501, "5.5.4")),
            ("EHLO a b", (501, "5.5.4")),
            ("EHLO peña.test", (501, "5.5.4")),
            ("DATA now", (501, "5.5.4")),
            ("QUIT now", (501, "5.5.4")),
            ("MAIL <a@b>", (501, "5.5.4")),
            ("MAIL FROM:", (501, "5.5.4")),
            ("MAIL FROM:<a@b", (501, "5.5.4")),
            ("MAIL FROM:<a>", (553, "5.1.7")),
            ("MAIL FROM:<ñ@b>", (550, "5.6.7")),
            ("MAIL FROM:<a@b> SIZE=x", (501, "5.5.4")),
            ("MAIL FROM:<a@b> SIZE", (501, "5.5.4")),
            ("MAIL FROM:<a@b> SIZE=1 SIZE=1", (501, "5.5.4")),
            ("MAIL FROM:<a@b> BODY=9BIT", (501, "5.5.4")),
            ("BDAT", (501, "5.5.4")),
            ("BDAT x", (501, "5.5.4")),
            ("BDAT 3 FIRST", (501, "5.5.4")),
            ("BDAT 99999999999999999999", (501, "5.5.4")),
            ("MAIL FROM:<a@b> FROB=1", (555, "5.5.4")),
            ("MAIL FROM:<a@b>SIZE=1", (553, "5.1.7")),
            ("RCPT TO:<>", (553, "5.1.3")),
            ("RCPT TO:<luis>", (553, "5.1.3")),
            ("RCPT TO:<a@b> SIZE=1", (555, "5.5.4")),
            ("ETRN", (501, "5.5.4")),
            ("ETRN [192.0.2.1]", (501, "5.5.4")),
            ("ETRN a b", (501, "5.5.4")),
            ("AUTH", (501, "5.5.4")),
            ("VRFY", (501, "5.5.4")),
        ] {
            assert_eq!(code(line), expected, "{line}");
        }
    }

    #[test]
    fn slips_get_their_hint() {
        for (line, hint) in [
            ("VERFY luis", "VRFY?"),
            ("SMOL FROM:<a@b>", "SOML?"),
            ("SMAL FROM:<a@b>", "SAML?"),
            ("SUBJECT: hello", "headers go after DATA"),
            ("MAIL: a@b", "MAIL and a space"),
        ] {
            let Err(reply) = parse(line.as_bytes()).1 else { panic!("{line}") };
            assert!(reply.lines[0].contains(hint), "{line}: {}", reply.lines[0]);
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        assert!(!shown(b"auth plain AGFuYQ==", true).contains("AGFu"));
        assert_eq!(shown(b"AUTH AGFuYQ==", true), "AUTH (8 characters)");
        assert_eq!(shown(b"AUTH CRAM-MD5", true), "AUTH CRAM-MD5");
        for line in [
            "ATUH PLAIN AGFu",
            "AUTHPLAIN AGFu",
            "PASS AGFu",
            "a1 LOGIN ana AGFu",
            "AUTH AGFu AGFu x",
        ] {
            assert!(!shown(line.as_bytes(), false).contains("AGFu"), "{line}");
        }
        assert_eq!(shown(b"MAIL FROM:<a@b> x", false), "MAIL FROM:<a@b> x");
    }
}
