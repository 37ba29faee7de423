//! Addresses: RFC 5321 §4.1.2 (Path, Mailbox), RFC 6531 §3.3 for UTF-8.
//!
//! Strict in what is an address, and for people who type forgiving around it: a space before the
//! path is passed over, and the angle brackets may be left out. Source routes are read and
//! ignored (RFC 5321 appendix C).

use crate::limits;
use crate::text::{Cursor, is_atext, is_let_dig};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// `local-part@domain`; the local part without its quoting, the domain as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// Left of the `@`, quotes and backslashes taken away.
    pub local_part: String,
    /// Right of the `@`; empty for `<postmaster>` alone (RFC 5321 §4.5.1).
    pub domain: String,
}

/// What is wrong with a path, in words for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no path where one must be.
    Path(&'static str),
    /// There is, but what it holds is no address.
    Address(&'static str),
}

impl Mailbox {
    /// Whether it can be written in ASCII (RFC 6531 §3.3).
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii() && self.domain.is_ascii()
    }

    /// The host that an address literal names (RFC 5321 §4.1.3).
    pub fn literal(&self) -> Option<std::net::IpAddr> {
        let inner = self.domain.strip_prefix('[')?.strip_suffix(']')?;
        match inner.split_at_checked(5) {
            Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => {
                address.parse::<Ipv6Addr>().ok().map(Into::into)
            }
            _ => inner.parse::<Ipv4Addr>().ok().map(Into::into),
        }
    }
}

impl fmt::Display for Mailbox {
    /// As it stands between angle brackets, quoted where it must be.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let atoms = |part: &str| !part.is_empty() && part.bytes().all(is_atext);
        if self.local_part.split('.').all(atoms) {
            f.write_str(&self.local_part)?;
        } else {
            f.write_str("\"")?;
            for character in self.local_part.chars() {
                if matches!(character, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{character}")?;
            }
            f.write_str("\"")?;
        }
        if self.domain.is_empty() { Ok(()) } else { write!(f, "@{}", self.domain) }
    }
}

/// RFC 5321 §4.1.2 (`Reverse-path`): `None` is the null one, `<>`.
pub fn reverse_path(cursor: &mut Cursor) -> Result<Option<Mailbox>, Fault> {
    cursor.spaces();
    if cursor.literal("<>").is_some() {
        return Ok(None);
    }
    let mailbox = path(cursor)?;
    if mailbox.domain.is_empty() {
        return Err(Fault::Address("a reverse-path needs a domain, as in <ana@example.org>"));
    }
    Ok(Some(mailbox))
}

/// RFC 5321 §4.1.2 (`Forward-path`). Only `<postmaster>` may stand without a domain (§4.1.1.3).
pub fn forward_path(cursor: &mut Cursor) -> Result<Mailbox, Fault> {
    cursor.spaces();
    if cursor.literal("<>").is_some() {
        return Err(Fault::Address("a forward-path names somebody; only MAIL may say <>"));
    }
    let mailbox = path(cursor)?;
    if mailbox.domain.is_empty() && !mailbox.local_part.eq_ignore_ascii_case("postmaster") {
        let bang = mailbox.local_part.contains('!');
        return Err(Fault::Address(match bang {
            true => "bang paths are gone, write <user@domain>",
            false => "the address needs a domain, as in <ana@example.org>",
        }));
    }
    Ok(mailbox)
}

/// A path as this program wrote it down, of any length: what an address of ours was turned into
/// may be longer than what a client may say.
pub fn written_path(cursor: &mut Cursor) -> Result<Option<Mailbox>, Fault> {
    match cursor.literal("<>") {
        Some(()) => Ok(None),
        None => any_path(cursor).map(Some),
    }
}

/// Within the limit, however it is written down again.
fn path(cursor: &mut Cursor) -> Result<Mailbox, Fault> {
    let before = cursor.rest().len();
    let mailbox = any_path(cursor)?;
    let octets = before - cursor.rest().len();
    if octets.max(mailbox.to_string().len() + "<>".len()) > limits::PATH {
        return Err(Fault::Address("the path is longer than 256 octets"));
    }
    Ok(mailbox)
}

/// `"<" [ A-d-l ":" ] Mailbox ">"`, or a Mailbox alone.
fn any_path(cursor: &mut Cursor) -> Result<Mailbox, Fault> {
    let bracket = cursor.literal("<").is_some();
    if bracket && cursor.peek() == Some(b'@') {
        source_route(cursor)?;
    }
    let mailbox = mailbox(cursor)?;
    if bracket {
        cursor.literal(">").ok_or(match cursor.peek() {
            None => Fault::Path("the '>' after the address is missing"),
            Some(_) => Fault::Address("this is no address, see RFC 5321 section 4.1.2"),
        })?;
    }
    match cursor.peek() {
        None | Some(b' ') => Ok(mailbox),
        Some(_) => Err(Fault::Address("this is no address, see RFC 5321 section 4.1.2")),
    }
}

/// `@one,@two:`, which means nothing any more.
fn source_route(cursor: &mut Cursor) -> Result<(), Fault> {
    let fault = Fault::Address("a source route is @host,@host: before the address");
    loop {
        cursor.literal("@").ok_or(fault)?;
        domain(cursor).ok_or(fault)?;
        if cursor.literal(":").is_some() {
            return Ok(());
        }
        cursor.literal(",").ok_or(fault)?;
    }
}

fn mailbox(cursor: &mut Cursor) -> Result<Mailbox, Fault> {
    let local_part = match cursor.peek() {
        None => return Err(Fault::Path("an address is missing, as in <ana@example.org>")),
        Some(b'"') => quoted_string(cursor).ok_or(Fault::Address("the quoted part has no end"))?,
        Some(_) => dot_string(cursor).ok_or(Fault::Address("the part before the @ is no name"))?,
    };
    let domain = match cursor.literal("@") {
        None => String::new(),
        Some(()) => domain(cursor).ok_or(Fault::Address("the part after the @ is no domain"))?,
    };
    // A terminal obeys the controls of Unicode as it does those of ASCII.
    match local_part.chars().chain(domain.chars()).any(char::is_control) {
        true => Err(Fault::Address("control characters are no part of an address")),
        false => Ok(Mailbox { local_part, domain }),
    }
}

/// `Atom *("." Atom)`.
fn dot_string(cursor: &mut Cursor) -> Option<String> {
    let run = cursor.run1(|octet| is_atext(octet) || octet == b'.')?;
    let text = std::str::from_utf8(run).ok()?;
    text.split('.').all(|atom| !atom.is_empty()).then(|| text.to_owned())
}

/// `DQUOTE *QcontentSMTP DQUOTE`.
fn quoted_string(cursor: &mut Cursor) -> Option<String> {
    let mut content = Vec::new();
    cursor.literal("\"")?;
    loop {
        match cursor.take()? {
            b'"' => return String::from_utf8(content).ok(),
            b'\\' => content.push(cursor.take().filter(|octet| (0x20..=0x7e).contains(octet))?),
            octet if octet >= 0x20 && octet != 0x7f => content.push(octet),
            _ => return None,
        }
    }
}

/// `Domain` or `address-literal`; also the argument of EHLO.
pub fn domain(cursor: &mut Cursor) -> Option<String> {
    let run = match cursor.peek()? {
        b'[' => {
            let start = cursor.rest();
            cursor.run(|octet| octet != b']' && octet != b' ' && octet != b'>');
            cursor.literal("]")?;
            &start[..start.len() - cursor.rest().len()]
        }
        _ => cursor.run1(|octet| is_let_dig(octet) || octet == b'-' || octet == b'.')?,
    };
    let text = std::str::from_utf8(run).ok()?.to_owned();
    let mailbox = Mailbox { local_part: String::new(), domain: text };
    let valid = match mailbox.domain.starts_with('[') {
        true => mailbox.literal().is_some(),
        false => mailbox.domain.split('.').all(is_label),
    };
    (valid && mailbox.domain.len() <= limits::DOMAIN).then_some(mailbox.domain)
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reverse(text: &str) -> Result<Option<String>, Fault> {
        let mut cursor = Cursor::new(text.as_bytes());
        reverse_path(&mut cursor).map(|path| path.map(|mailbox| mailbox.to_string()))
    }

    fn forward(text: &str) -> Result<String, Fault> {
        forward_path(&mut Cursor::new(text.as_bytes())).map(|mailbox| mailbox.to_string())
    }

    #[test]
    fn paths() {
        for (text, expected) in [
            ("<ana@example.test>", "ana@example.test"),
            (" <ana@example.test>", "ana@example.test"),
            ("ana@example.test", "ana@example.test"),
            ("ana@example.test SIZE=3", "ana@example.test"),
            ("<@a.test,@b.test:ana@example.test>", "ana@example.test"),
            ("<\"ana maria\"@example.test>", "\"ana maria\"@example.test"),
            ("<\"a\\\"b\\\\c\"@example.test>", "\"a\\\"b\\\\c\"@example.test"),
            ("<\"ana\"@example.test>", "ana@example.test"),
            ("<\"\"@example.test>", "\"\"@example.test"),
            ("<ana@[127.0.0.1]>", "ana@[127.0.0.1]"),
            ("<ana@[IPv6:::1]>", "ana@[IPv6:::1]"),
            ("<ñandú@correo.test>", "ñandú@correo.test"),
            ("<Postmaster>", "Postmaster"),
            ("<a+b-c_d=e@x-y.test>", "a+b-c_d=e@x-y.test"),
        ] {
            assert_eq!(forward(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(reverse("<>"), Ok(None));
        assert_eq!(reverse("  <ana@x>"), Ok(Some("ana@x".into())));
    }

    #[test]
    fn no_paths() {
        for text in [
            "<>",
            "<ana>",
            "<ana@>",
            "<@example.test>",
            "<ana@example.test",
            "<a b@example.test>",
            "<a..b@example.test>",
            "<.a@example.test>",
            "<a@b..c>",
            "<a@-b.test>",
            "<a@b>c",
            "<a@[1]>",
            "<a@[300.1.1.1]>",
            "<\"a@example.test>",
            "<host!ana>",
            "<a@b@c>",
            "",
            "<a@\u{0}>",
            "<a@b,c>",
            "<@a.test:>",
            "<a\u{85}b@x.test>",
        ] {
            assert!(forward(text).is_err(), "{text:?}: {:?}", forward(text));
        }
        assert!(forward(&format!("<{}@x>", "a".repeat(252))).is_ok());
        assert!(forward(&format!("<{}@x>", "a".repeat(253))).is_err());
        assert!(forward(&format!("{}@x", "a".repeat(253))).is_err());
        assert!(forward(&format!("<a@{}>", "b.".repeat(130) + "test")).is_err());
        assert!(reverse("<postmaster>").is_err());
    }
}
