//! The header of a letter that a user of this host writes: who it is for, what it lacks, and what
//! nobody else shall read.
//!
//! RFC 6409 §8 lets whoever takes a letter from its writer add Date, Message-ID and From; RFC 5322
//! §3.6.3 wants Bcc taken away. Lines end in LF.

use crate::mail::{Address, Mailbox, addresses, date, field, fields, forward_path, is_field};
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
    pub id: &'a str,
}

/// The header as it leaves: without Bcc, and with what it lacked.
pub(super) fn completed(header: &[u8], writer: &Writer) -> Vec<u8> {
    let hidden = |name: &[u8]| {
        [&b"Bcc"[..], b"Resent-Bcc", b"Return-Path"].iter().any(|it| name.eq_ignore_ascii_case(it))
    };
    let kept = fields(header, 0..header.len()).filter(|field| !hidden(field.name));
    let mut whole: Vec<u8> = kept.flat_map(|field| header[field.range].iter().copied()).collect();
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
        let writer = Writer { sender: Some(&sender), name, hostname: "mx.test", id: "x1" };
        let shown =
            |header: &str| String::from_utf8(completed(header.as_bytes(), &writer)).unwrap();
        let whole = shown("Subject: a\nBCC: secret@x.test,\n other@x.test\nTo: luis\n");
        assert!(whole.starts_with("Subject: a\nTo: luis\nDate: "), "{whole}");
        assert!(whole.ends_with(
            "\nMessage-ID: <x1@mx.test>\nFrom: =?utf-8?B?Sm9zw6kgIlBlcGUi?= <ana@example.test>\n"
        ));
        let whole = "Date: x\nMessage-Id: y\nFrom: z\n";
        assert_eq!(shown(whole), whole);
        assert_eq!(phrase("Ana Gil"), "Ana Gil");
        assert_eq!(phrase("Gil, A. \"x\""), "\"Gil, A. \\\"x\\\"\"");
        assert_eq!(phrase(&"ñ".repeat(30)).matches("=?utf-8?B?").count(), 2);
    }
}
