//! Who a From or To field names: RFC 5322 §3.4, with the old forms of §4.4.
//!
//! Any octets are a list: what is missing is empty, what makes no sense is passed over up to the
//! next comma. Encoded words (RFC 2047) stay as written. `Mailbox` in address.rs is the strict
//! reading, for SMTP.

use super::tokens::{cfws, is_atom, is_white, quoted, skip_cfws};
use crate::text::Cursor;

/// Addresses of one field that are read.
const ADDRESSES: usize = 10_000;

/// One step of an address list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Somebody.
    Mailbox {
        /// The words before the angle bracket, or a comment where there are none.
        name: Option<Vec<u8>>,
        /// The old source route, as `@one,@two`.
        route: Option<Vec<u8>>,
        /// Left of the `@`, without quotes.
        local_part: Vec<u8>,
        /// Right of it; empty where there is none.
        domain: Vec<u8>,
    },
    /// A group of this name begins.
    Group(Vec<u8>),
    /// And ends.
    GroupEnd,
}

/// The addresses in the value of a field.
pub fn addresses(value: &[u8]) -> Vec<Address> {
    let mut cursor = Cursor::new(value);
    let mut list = Vec::new();
    let mut in_group = false;
    while list.len() < ADDRESSES {
        skip_cfws(&mut cursor);
        let start = cursor;
        let mut comment = None;
        let phrase = words(&mut cursor, &mut comment, true);
        match cursor.peek() {
            Some(b':') if !in_group => {
                cursor.take();
                list.push(Address::Group(phrase));
                in_group = true;
                continue;
            }
            Some(b'<') => list.push(angle(&mut cursor, phrase)),
            Some(b'@') => {
                cursor = start;
                let (local_part, domain) = spec(&mut cursor, &mut comment);
                list.push(Address::Mailbox { name: comment, route: None, local_part, domain });
            }
            _ if phrase.is_empty() => {}
            // We differ: other servers invent a domain here. An empty one says what is known, and
            // `None` would be the start of a group (RFC 3501 §7.4.2).
            _ => list.push(Address::Mailbox {
                name: comment,
                route: None,
                local_part: phrase,
                domain: Vec::new(),
            }),
        }
        pass_rest(&mut cursor);
        match cursor.take() {
            None => break,
            Some(b';') if in_group => {
                list.push(Address::GroupEnd);
                in_group = false;
            }
            Some(_) => {}
        }
    }
    if in_group {
        list.push(Address::GroupEnd);
    }
    list
}

/// `"<" [ route ":" ] local-part "@" domain ">"`, and the comment that may be a name.
fn angle(cursor: &mut Cursor, phrase: Vec<u8>) -> Address {
    cursor.take();
    skip_cfws(cursor);
    let route = route(cursor);
    let mut comment = None;
    let (local_part, domain) = spec(cursor, &mut None);
    cursor.run(|octet| !matches!(octet, b'>' | b',' | b';'));
    if cursor.literal(">").is_some() {
        cfws(cursor, &mut comment);
    }
    let name = Some(phrase).filter(|phrase| !phrase.is_empty()).or(comment);
    Address::Mailbox { name, route, local_part, domain }
}

/// RFC 5322 §4.4 (`obs-route`), if there is one.
fn route(cursor: &mut Cursor) -> Option<Vec<u8>> {
    if cursor.peek() != Some(b'@') {
        return None;
    }
    let mut ahead = *cursor;
    let run = ahead.run(|octet| !matches!(octet, b':' | b'>' | b'<' | b'"' | b';'));
    ahead.literal(":")?;
    *cursor = ahead;
    Some(run.iter().copied().filter(|octet| !is_white(*octet)).collect())
}

/// `local-part "@" domain`; each may be missing.
fn spec(cursor: &mut Cursor, comment: &mut Option<Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
    let local_part = words(cursor, &mut None, false);
    match cursor.literal("@") {
        Some(()) => (local_part, domain(cursor, comment)),
        None => (local_part, Vec::new()),
    }
}

/// Words and dots. In a phrase (RFC 5322 §4.1) blanks between them become one space; in a
/// local-part (§4.4) they are nothing beside a dot.
fn words(cursor: &mut Cursor, comment: &mut Option<Vec<u8>>, is_phrase: bool) -> Vec<u8> {
    let mut text = Vec::new();
    let mut after_word = false;
    loop {
        let after_blank = cursor.peek().is_some_and(|octet| is_white(octet) || octet == b'(');
        cfws(cursor, comment);
        let Some(next) = cursor.peek().filter(|next| is_atom(*next) || b"\".".contains(next))
        else {
            return text;
        };
        let is_word = next != b'.';
        if !text.is_empty() && ((after_word && is_word) || (after_blank && is_phrase)) {
            text.push(b' ');
        }
        match next {
            b'"' => quoted(cursor, &mut text),
            b'.' => text.extend(cursor.take()),
            _ => text.extend_from_slice(cursor.run(is_atom)),
        }
        after_word = is_word;
    }
}

/// RFC 5322 §3.4.1 and §4.4 (`obs-domain`): blanks and comments around dots are left out.
fn domain(cursor: &mut Cursor, comment: &mut Option<Vec<u8>>) -> Vec<u8> {
    let mut text = Vec::new();
    cfws(cursor, comment);
    if cursor.peek() == Some(b'[') {
        let literal = cursor.run(|octet| !matches!(octet, b']' | b'>' | b','));
        text.extend(literal.iter().filter(|octet| !is_white(**octet)));
        text.extend(cursor.literal("]").map(|()| b']'));
    }
    loop {
        text.extend_from_slice(cursor.run(|octet| is_atom(octet) || octet == b'.'));
        cfws(cursor, comment);
        let goes_on = match cursor.peek() {
            Some(b'.') => true,
            Some(octet) => text.ends_with(b".") && is_atom(octet),
            None => false,
        };
        if !goes_on {
            return text;
        }
    }
}

/// Passes what is left of an address, up to a comma or semicolon.
fn pass_rest(cursor: &mut Cursor) {
    loop {
        skip_cfws(cursor);
        match cursor.peek() {
            None | Some(b',' | b';') => return,
            Some(b'"') => quoted(cursor, &mut Vec::new()),
            Some(_) => {
                cursor.take();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name|route|local_part|domain`, `name:` and `;`.
    fn shown(value: &str) -> String {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let all = addresses(value.as_bytes());
        let all = all.iter().map(|address| match address {
            Address::Mailbox { name, route, local_part, domain } => [
                name.as_deref().map_or("-".into(), text),
                route.as_deref().map_or("-".into(), text),
                text(local_part),
                text(domain),
            ]
            .join("|"),
            Address::Group(name) => text(name) + ":",
            Address::GroupEnd => ";".into(),
        });
        all.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn as_they_should_be() {
        for (value, expected) in [
            ("a@b", "-|-|a|b"),
            (" Ana María <ana@x.test> ", "Ana María|-|ana|x.test"),
            ("\"Ana, \\\"M\\\"\" <ana@x>, luis@y", "Ana, \"M\"|-|ana|x -|-|luis|y"),
            ("Joe Q. Public <j.q@x>", "Joe Q. Public|-|j.q|x"),
            ("\"a\" b <c@d>", "a b|-|c|d"),
            ("=?utf-8?q?a_b?= <c@d>", "=?utf-8?q?a_b?=|-|c|d"),
            ("\"q x\"@d", "-|-|q x|d"),
            ("c@[192.0.2.1]", "-|-|c|[192.0.2.1]"),
            ("a@b (Full Name)", "Full Name|-|a|b"),
            ("(x) Ana (y) <a@b> (z)", "Ana|-|a|b"),
            ("<a@b> (z)", "z|-|a|b"),
            ("g: a@b, C <c@d>;, e@f", "g: -|-|a|b C|-|c|d ; -|-|e|f"),
            ("undisclosed recipients:;", "undisclosed recipients: ;"),
            ("", ""),
            ("ana\r\n <a@b>,\r\n\tluis@y", "ana|-|a|b -|-|luis|y"),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn as_they_once_were() {
        for (value, expected) in [
            ("<@r,@s:c@d>", "-|@r,@s|c|d"),
            ("A <@r , @s : c@d>", "A|@r,@s|c|d"),
            ("c . d @ e . f", "-|-|c.d|e.f"),
            ("a(x).b(y)@c(z).d", "z|-|a.b|c.d"),
            (",,a@b,,", "-|-|a|b"),
            ("\"a\"b <c@d>", "a b|-|c|d"),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn as_they_should_not_be() {
        for (value, expected) in [
            ("foo", "-|-|foo|"),
            ("foo bar, a@b", "-|-|foo bar| -|-|a|b"),
            ("<>", "-|-||"),
            ("@d", "-|-||d"),
            ("a@", "-|-|a|"),
            ("a <b", "a|-|b|"),
            ("a <b@c, d@e", "a|-|b|c -|-|d|e"),
            ("a@b@c", "-|-|a|b"),
            ("<a@b> <c@d>, e@f", "-|-|a|b -|-|e|f"),
            ("g: h: a@b; c@d", "g: -|-|h| ; -|-|c|d"),
            ("g: a@b", "g: -|-|a|b ;"),
            ("a@b; c@d", "-|-|a|b -|-|c|d"),
            ("\"unclosed <c@d>", "-|-|unclosed <c@d>|"),
            ("[list] ana <a@b>", "[list] ana|-|a|b"),
            (") > ], a@b", "-|-|a|b"),
            ("<@d>", "-|-||d"),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn a_list_ends_somewhere() {
        for piece in ["a,", "<", "(", "\"", ":", "a@b ", "<@a", "@", "((\\"] {
            let hostile = piece.repeat(1_000_000 / piece.len());
            assert!(addresses(hostile.as_bytes()).len() <= ADDRESSES + 1, "{piece}");
        }
    }
}
