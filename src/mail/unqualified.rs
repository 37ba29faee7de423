//! Addresses without a domain in the value of a field, and where theirs would stand: RFC 5322 §3.4,
//! read strictly but for empty members of a list (§4.4).
//!
//! A field that is no address list has none: what is not understood is not mended. Source routes
//! are not understood here.

use super::tokens::{is_atom, quoted, skip_cfws};
use crate::text::Cursor;

/// Words and dots, with comments between them.
#[derive(Default)]
struct Words {
    many: usize,
    /// One dot between each two words, as in a local part.
    are_dotted: bool,
    /// How much of the value is behind the last of them.
    behind: usize,
}

/// The places, in order, where `@` and a domain are missing; `None` where it is no address list.
pub fn unqualified(value: &[u8]) -> Option<Vec<usize>> {
    // A comment or a string that is not closed takes the mark at the end with it.
    let marked = [value, b"\0"].concat();
    let mut cursor = Cursor::new(&marked);
    let (mut places, mut in_group) = (Vec::new(), false);
    loop {
        let said = words(&mut cursor);
        match cursor.peek() {
            Some(b':') if !in_group && said.many > 0 => {
                cursor.take();
                in_group = true;
                continue;
            }
            Some(b'<') => {
                cursor.take();
                let local_part = words(&mut cursor);
                places.extend(spec(&mut cursor, &local_part)?);
                cursor.literal(">")?;
                skip_cfws(&mut cursor);
            }
            Some(b',' | b';' | 0) if said.many == 0 => {}
            _ => places.extend(spec(&mut cursor, &said)?),
        }
        if in_group && cursor.literal(";").is_some() {
            skip_cfws(&mut cursor);
            in_group = false;
        }
        match cursor.take() {
            Some(b',') => {}
            Some(0) if !in_group && cursor.at_end() => break,
            _ => return None,
        }
    }
    places.iter_mut().for_each(|place| *place = marked.len() - *place);
    Some(places)
}

/// What follows a local part; how much of the value is behind it if that is no domain.
fn spec(cursor: &mut Cursor, local_part: &Words) -> Option<Option<usize>> {
    if !local_part.are_dotted {
        return None;
    }
    if cursor.literal("@").is_none() {
        return Some(Some(local_part.behind));
    }
    skip_cfws(cursor);
    if cursor.literal("[").is_none() {
        return words(cursor).are_dotted.then_some(None);
    }
    cursor.run(|octet| !b"[]\\".contains(&octet));
    cursor.literal("]")?;
    skip_cfws(cursor);
    Some(None)
}

fn words(cursor: &mut Cursor) -> Words {
    let mut words = Words { are_dotted: true, ..Words::default() };
    let mut after_dot = true;
    loop {
        skip_cfws(cursor);
        let is_dot = match cursor.peek() {
            Some(b'.') => cursor.take().is_some(),
            Some(b'"') => {
                quoted(cursor, &mut Vec::new());
                false
            }
            Some(octet) if is_atext(octet) => cursor.run(is_atext).is_empty(),
            _ => {
                words.are_dotted &= !after_dot;
                return words;
            }
        };
        words.are_dotted &= is_dot != after_dot;
        after_dot = is_dot;
        words.many += 1;
        words.behind = cursor.rest().len();
    }
}

/// RFC 5322 §3.2.3, and octets beyond ASCII (RFC 6532 §3.2).
fn is_atext(octet: u8) -> bool {
    is_atom(octet) && !octet.is_ascii_control() && !b"[]\\".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Option<String> {
        let mut whole = value.to_owned();
        for place in unqualified(value.as_bytes())?.into_iter().rev() {
            whole.insert_str(place, "@d");
        }
        Some(whole)
    }

    #[test]
    fn names_get_their_domain_and_all_else_stays() {
        for (value, expected) in [
            (" root (Cron Daemon)", " root@d (Cron Daemon)"),
            ("bob", "bob@d"),
            ("a.b , \"c d\",e@x", "a.b@d , \"c d\"@d,e@x"),
            (
                "Ana \"M\" <ana> (x), <luis\t>,\r\n\teva",
                "Ana \"M\" <ana@d> (x), <luis@d\t>,\r\n\teva@d",
            ),
            ("J. Q. Public <jq>", "J. Q. Public <jq@d>"),
            ("g: a, B <b>;, c", "g: a@d, B <b@d>;, c@d"),
            ("undisclosed recipients:;", "undisclosed recipients:;"),
            ("(a, (b\\)) <c) d", "(a, (b\\)) <c) d@d"),
            ("\"a, <b>\\\"\" <c>", "\"a, <b>\\\"\" <c@d>"),
            ("=?utf-8?q?a=2C_b?= <c>", "=?utf-8?q?a=2C_b?= <c@d>"),
            ("María <maría>", "María <maría@d>"),
            (",,a,,", ",,a@d,,"),
            ("a @ b . c (x), e@[192.0.2.1] (y), f", "a @ b . c (x), e@[192.0.2.1] (y), f@d"),
            ("a . b", "a . b@d"),
            ("", ""),
        ] {
            assert_eq!(shown(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_list_has_none() {
        for value in [
            "foo bar, luis",
            "a..b, luis",
            ".a, luis",
            "a., luis",
            "<>, luis",
            "a@, luis",
            "a@@b, luis",
            "@b, luis",
            "<@r:a@b>, luis",
            "luis, (x",
            "luis, \"x",
            "luis <a",
            "a> luis",
            "luis; ana",
            "g: luis",
            "g: h: luis;",
            ": luis;",
            "g: luis; ana",
            "[x] <luis>",
            "luis\\",
            "a\u{1} <luis>",
            "a@[b, luis",
            "<a> <b>",
            "a b <c> d",
            "(((",
        ] {
            assert_eq!(shown(value), None, "{value}");
        }
    }
}
