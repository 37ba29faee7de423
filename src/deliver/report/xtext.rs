//! What ENVID and ORCPT hold, as the sender meant it: xtext (RFC 3461 §4) and unitext (RFC 6533 §3).
//!
//! A peer wrote it. What does not decode to what may stand in a report (no control characters above
//! all, which would begin fields of their own) is told as it came.

use crate::mail::Mailbox;

/// RFC 3461 §4.2 and §4.4 allow 500 octets and 100.
const LONGEST: usize = 500;

/// RFC 3464 §2.2.1: ENVID's value.
pub(super) fn envelope_id(envid: &str) -> String {
    decode(envid).unwrap_or_else(|| as_it_came(envid))
}

/// RFC 3464 §2.3.1: `rfc822; ana@example.test`, of ORCPT's value.
pub(super) fn original_recipient(orcpt: &str) -> String {
    let Some((kind, address)) = orcpt.split_once(';') else {
        return format!("unknown; {}", as_it_came(orcpt));
    };
    let decoded = match kind.eq_ignore_ascii_case("utf-8") {
        true => from_unitext(address),
        false => decode(address),
    };
    let is_atom = !kind.is_empty() && kind.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let kind = if is_atom { kind } else { "unknown" };
    format!("{kind}; {}", decoded.unwrap_or_else(|| as_it_came(address)))
}

/// RFC 3464 §2.3.2, RFC 6533 §4.1: an address of ours.
pub(super) fn final_recipient(mailbox: &Mailbox) -> String {
    let kind = if mailbox.is_ascii() { "rfc822" } else { "utf-8" };
    format!("{kind}; {mailbox}")
}

/// xtext that comes to printable ASCII.
fn decode(text: &str) -> Option<String> {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('+') {
        decoded.push_str(before);
        let (digits, after) = after.split_at_checked(2)?;
        decoded.push(hexadecimal(digits).and_then(char::from_u32)?);
        rest = after;
    }
    decoded.push_str(rest);
    let fits =
        decoded.len() <= LONGEST && decoded.bytes().all(|octet| (0x20..=0x7e).contains(&octet));
    fits.then_some(decoded)
}

/// `\x{F3}` is a character; everything else is itself.
fn from_unitext(text: &str) -> Option<String> {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x{") {
        let (digits, after) = after.split_once('}')?;
        decoded.push_str(before);
        decoded.push(hexadecimal(digits).and_then(char::from_u32)?);
        rest = after;
    }
    decoded.push_str(rest);
    let strange = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let fits = decoded.len() <= LONGEST && !decoded.contains(strange);
    fits.then_some(decoded)
}

fn hexadecimal(digits: &str) -> Option<u32> {
    let valid = (2..=6).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_hexdigit());
    valid.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

fn as_it_came(text: &str) -> String {
    let harmless = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
    text.chars().take(LONGEST).map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_peers_write() {
        for (orcpt, expected) in [
            ("rfc822;ana@example.test", "rfc822; ana@example.test"),
            ("rfc822;ana+2Blista@example.test", "rfc822; ana+lista@example.test"),
            ("RFC822;+22a+20b+22@example.test", "RFC822; \"a b\"@example.test"),
            ("x400;/PN=a", "x400; /PN=a"),
            // No field begins here.
            ("rfc822;a+0AAction:+20delivered", "rfc822; a+0AAction:+20delivered"),
            ("rfc822;a\nAction: delivered", "rfc822; a?Action: delivered"),
            ("rfc822;a+4", "rfc822; a+4"),
            ("rfc822;a+zz", "rfc822; a+zz"),
            ("rfc822;jos+C3+A9", "rfc822; jos+C3+A9"),
            ("utf-8;jos\\x{E9}@example.test", "utf-8; josé@example.test"),
            ("utf-8;josé@example.test", "utf-8; josé@example.test"),
            ("utf-8;a\\x{0A}b", "utf-8; a\\x{0A}b"),
            ("utf-8;a\\x{D800}b", "utf-8; a\\x{D800}b"),
            ("a b;c", "unknown; c"),
            ("nothing", "unknown; nothing"),
        ] {
            assert_eq!(original_recipient(orcpt), expected, "{orcpt}");
        }
        assert_eq!(envelope_id("QQ314159+20+2B"), "QQ314159 +");
        assert_eq!(envelope_id("a\r\nb"), "a??b");
        assert!(envelope_id(&"x".repeat(10_000)).len() <= LONGEST);
    }
}
