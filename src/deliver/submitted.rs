//! The header of a letter that a user of this host writes: who it is for, what it lacks, and what
//! nobody else shall read.
//!
//! RFC 6409 §8 lets whoever takes a letter from its writer add Date, Message-ID and From, and §4.2
//! wants every address to have its whole domain; RFC 5322 §3.6.3 wants Bcc taken away. Lines end in
//! LF.

use crate::mail::{
    Address, Field, Mailbox, addresses, date, field, fields, forward_path, is_field, unqualified,
};
use crate::text::Cursor;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Local;

/// RFC 2047 §2: an encoded word has 75 octets at most.
const WORD: usize = 45;

/// Where the header ends, if the text is enough to tell, and whether an empty line follows. What is
/// no field begins the text, as `echo hello | sendmail ana` has it.
pub(super) fn end(text: &[u8], all: bool) -> Option<(usize, bool)> {
    let mut at = 0;
    while at < text.len() {
        let Some(end) = memchr::memchr(b'\n', &text[at..]).map(|end| at + end + 1) else {
            // A line without an end: only at the end of all it is known what it is.
            let is_header = is_field(&text[at..]) || (at > 0 && is_folded(&text[at..]));
            return all.then_some((if is_header { text.len() } else { at }, false));
        };
        let line = &text[at..end];
        if line == b"\n" {
            return Some((at, true));
        }
        if !is_field(line) && (at == 0 || !is_folded(line)) {
            return Some((at, false));
        }
        at = end;
    }
    all.then_some((at, false))
}

fn is_folded(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

/// Who the fields name; of a letter that is sent on (RFC 5322 §3.6.6) those who get it now.
pub(super) fn named(header: &[u8], domain: &str) -> Result<Vec<Mailbox>, String> {
    let is_one = |name: &[u8], of: [&str; 3]| {
        of.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    let resent = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
    let is_resent = fields(header, 0..header.len()).any(|field| is_one(field.name, resent));
    let names = if is_resent { resent } else { ["To", "Cc", "Bcc"] };
    let mut mailboxes = Vec::new();
    for field in fields(header, 0..header.len()).filter(|field| is_one(field.name, names)) {
        mailboxes.extend(listed(field.value, domain)?);
    }
    Ok(mailboxes)
}

/// A list as a field or an argument has it; names without a domain are ours.
pub(super) fn listed(value: &[u8], domain: &str) -> Result<Vec<Mailbox>, String> {
    let mut mailboxes = Vec::new();
    let fault = || format!("'{}' is no address", crate::text::printable(value));
    let all = addresses(value);
    let whole = |address: &Address| !matches!(address, Address::Mailbox { domain, .. } if domain.is_empty());
    // Careful: what was cut at a slip, as in `ana@@aula.test`, is no name of ours.
    let signs = memchr::memchr_iter(b'@', value).count();
    if !all.iter().all(whole) && signs > all.iter().filter(|address| whole(address)).count() {
        return Err(fault());
    }
    for address in all {
        let Address::Mailbox { local_part, domain: named, .. } = address else { continue };
        let part = |octets: Vec<u8>| String::from_utf8(octets).map_err(|_| fault());
        let (local_part, named) = (part(local_part)?, part(named)?);
        let named = if named.is_empty() { domain.to_owned() } else { named };
        // What a field may hold is more than what RCPT may.
        let written = Mailbox { local_part, domain: named }.to_string();
        let mut cursor = Cursor::new(written.as_bytes());
        let read = forward_path(&mut cursor).ok().filter(|_| cursor.at_end());
        mailboxes.push(read.ok_or_else(fault)?);
    }
    Ok(mailboxes)
}

/// Who writes.
pub(super) struct Writer<'a> {
    pub sender: Option<&'a Mailbox>,
    pub name: Option<&'a str>,
    pub hostname: &'a str,
    /// Of addresses that name none.
    pub domain: &'a str,
    pub id: &'a str,
}

/// RFC 5322 §3.6.2, §3.6.3, §3.6.6: fields whose addresses others answer to.
const ADDRESSED: [&str; 10] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Resent-From",
    "Resent-Sender",
    "Resent-Reply-To",
    "Resent-To",
    "Resent-Cc",
];

/// The header as it leaves: without Bcc, and with what it lacked.
pub(super) fn completed(header: &[u8], writer: &Writer) -> Vec<u8> {
    let hidden = |name: &[u8]| {
        [&b"Bcc"[..], b"Resent-Bcc", b"Return-Path"].iter().any(|it| name.eq_ignore_ascii_case(it))
    };
    let kept = fields(header, 0..header.len()).filter(|field| !hidden(field.name));
    let mut whole: Vec<u8> =
        kept.flat_map(|field| qualified(header, field, writer.domain)).collect();
    if !whole.is_empty() && !whole.ends_with(b"\n") {
        whole.push(b'\n');
    }
    let lacks = |name: &[u8]| field(header, 0..header.len(), name).is_none();
    if lacks(b"Date") {
        whole.extend_from_slice(format!("Date: {}\n", date(Local::now())).as_bytes());
    }
    if lacks(b"Message-ID") {
        let line = format!("Message-ID: <{}@{}>\n", writer.id, writer.hostname);
        whole.extend_from_slice(line.as_bytes());
    }
    if let (true, Some(sender)) = (lacks(b"From"), writer.sender) {
        let line = match writer.name {
            Some(name) => format!("From: {} <{sender}>\n", phrase(name)),
            None => format!("From: {sender}\n"),
        };
        whole.extend_from_slice(line.as_bytes());
    }
    whole
}

/// A field with all its domains, and otherwise as it was (RFC 5322 §3.4.1, RFC 6409 §4.2).
fn qualified(header: &[u8], field: Field, domain: &str) -> Vec<u8> {
    let written = &header[field.range];
    if !ADDRESSED.iter().any(|name| field.name.eq_ignore_ascii_case(name.as_bytes())) {
        return written.to_vec();
    }
    let start = memchr::memchr(b':', written).map_or(0, |colon| colon + 1);
    let (mut whole, mut at) = (Vec::with_capacity(written.len()), 0);
    for place in unqualified(field.value).unwrap_or_default() {
        whole.extend_from_slice(&written[at..start + place]);
        whole.push(b'@');
        whole.extend_from_slice(domain.as_bytes());
        at = start + place;
    }
    whole.extend_from_slice(&written[at..]);
    whole
}

/// RFC 5322 §3.2.5; beyond ASCII RFC 2047 §2.
fn phrase(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
    if name.chars().all(plain) {
        return name;
    }
    if name.is_ascii() {
        return format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    }
    let (mut words, mut word) = (Vec::new(), String::new());
    for character in name.chars() {
        if word.len() + character.len_utf8() > WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(character);
    }
    words.push(word);
    let encoded = |word: &String| format!("=?utf-8?B?{}?=", STANDARD.encode(word));
    words.iter().map(encoded).collect::<Vec<_>>().join("\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_ends_where_no_field_is() {
        for (text, told) in [
            ("To: a\n\nb\n", Some((6, true))),
            ("To: a\nhello\n", Some((6, false))),
            ("hello\n", Some((0, false))),
            (" To: a\n", Some((0, false))),
            ("To: a\n b\n\n", Some((9, true))),
            ("\nb", Some((0, true))),
            ("", Some((0, false))),
            ("To: a", Some((5, false))),
            ("To: a\nb", Some((6, false))),
        ] {
            assert_eq!(end(text.as_bytes(), true), told, "{text:?}");
        }
        assert_eq!(end(b"To: a\nSub", false), None);
        assert_eq!(end(b"To: a\n", false), None);
    }

    #[test]
    fn who_is_named() {
        let shown = |header: &str| {
            let named = named(header.as_bytes(), "here.test");
            named.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        for (header, told) in [
            (
                "To: Ana <ana@x.test>, luis\nCc: eva@x.test\n",
                "ana@x.test luis@here.test eva@x.test",
            ),
            ("To: undisclosed-recipients:;\nBcc: a@b.test (A),\n c@d.test\n", "a@b.test c@d.test"),
            ("To: a@b.test\nResent-To: c@d.test\nCc: e@f.test\n", "c@d.test"),
            ("To: \"a b\"@c.test\n", "\"a b\"@c.test"),
            ("Subject: x\n", ""),
        ] {
            assert_eq!(shown(header).as_deref(), Ok(told), "{header}");
        }
        assert!(shown("To: a@b..test\n").is_err());
    }

    #[test]
    fn what_lacks_is_added_and_bcc_goes() {
        let sender = listed(b"ana@example.test", "").unwrap().remove(0);
        let name = Some("José \"Pepe\"");
        let (hostname, domain) = ("mx.test", "d.test");
        let writer = Writer { sender: Some(&sender), name, hostname, domain, id: "x1" };
        let shown =
            |header: &str| String::from_utf8(completed(header.as_bytes(), &writer)).unwrap();
        let whole = shown("Subject: a\nBCC: secret@x.test,\n other@x.test\nTo: luis\n");
        assert!(whole.starts_with("Subject: a\nTo: luis@d.test\nDate: "), "{whole}");
        assert!(whole.ends_with(
            "\nMessage-ID: <x1@mx.test>\nFrom: =?utf-8?B?Sm9zw6kgIlBlcGUi?= <ana@example.test>\n"
        ));
        let whole = "Date: x\nMessage-Id: y\nFrom: z@d.test\n";
        assert_eq!(shown(whole), whole);
        let rest = "Date: x\nMessage-Id: y\n";
        for (field, told) in [
            ("From: root (Cron Daemon)", "From: root@d.test (Cron Daemon)"),
            (
                "from : \"r, t\" <root>\nCC:ana,\n eva@x",
                "from : \"r, t\" <root@d.test>\nCC:ana@d.test,\n eva@x",
            ),
            ("From: a@b\nResent-To: class: ana;", "From: a@b\nResent-To: class: ana@d.test;"),
            ("From: Cron Daemon\nX-To: bob", "From: Cron Daemon\nX-To: bob"),
        ] {
            assert_eq!(shown(&format!("{rest}{field}\n")), format!("{rest}{told}\n"));
        }
        assert_eq!(phrase("Ana Gil"), "Ana Gil");
        assert_eq!(phrase("Gil, A. \"x\""), "\"Gil, A. \\\"x\\\"\"");
        assert_eq!(phrase(&"ñ".repeat(30)).matches("=?utf-8?B?").count(), 2);
    }
}
