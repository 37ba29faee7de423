//! ENVELOPE and BODYSTRUCTURE of the letters in tests/letters, as Dovecot 2.3 answers.
//!
//! `dovecot.txt` has its answers, `ours.txt` those of ours that differ and why. Each block is the
//! name of a letter, its ENVELOPE, its BODYSTRUCTURE (RFC 3501 §7.4.2); all strings are shown
//! quoted, octets beyond ASCII as `\xHH`.

#![allow(clippy::unwrap_used)]

use buzon::mail::{Address, Entity, Envelope, Shape, Side, Tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn letters() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/letters")
}

fn string(octets: &[u8]) -> String {
    let mut shown = String::from("\"");
    for octet in octets {
        match octet {
            b'"' | b'\\' => shown.extend(['\\', char::from(*octet)]),
            b' '..=b'~' => shown.push(char::from(*octet)),
            _ => shown.push_str(&format!("\\x{octet:02x}")),
        }
    }
    shown + "\""
}

fn nstring(octets: Option<&[u8]>) -> String {
    octets.map_or("NIL".into(), string)
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    if items.is_empty() { "NIL".into() } else { format!("({})", items.join(" ")) }
}

fn address(address: &Address) -> String {
    let four = match address {
        Address::Mailbox { name, route, local_part, domain } => {
            [name.as_deref(), route.as_deref(), Some(&local_part[..]), Some(&domain[..])]
        }
        Address::Group(name) => [None, None, Some(&name[..]), None],
        Address::GroupEnd => [None; 4],
    };
    list(four.map(nstring))
}

fn envelope(envelope: &Envelope) -> String {
    let text = |text: &Option<Vec<u8>>| nstring(text.as_deref());
    let people = |people: &[Address]| list(people.iter().map(address));
    list([
        text(&envelope.date),
        text(&envelope.subject),
        people(&envelope.from),
        people(&envelope.sender),
        people(&envelope.reply_to),
        people(&envelope.to),
        people(&envelope.cc),
        people(&envelope.bcc),
        text(&envelope.in_reply_to),
        text(&envelope.message_id),
    ])
}

fn parameters(parameters: &[(Vec<u8>, Vec<u8>)]) -> String {
    list(parameters.iter().flat_map(|(name, value)| [string(name), string(value)]))
}

fn extension(entity: &Entity) -> [String; 3] {
    let disposition = entity.disposition.as_ref().map_or("NIL".into(), |disposition| {
        list([string(&disposition.kind), parameters(&disposition.parameters)])
    });
    let language = list(entity.language.iter().map(|tag| string(tag)));
    [disposition, language, nstring(entity.location.as_deref())]
}

fn structure(message: &[u8], tree: &Tree, at: usize) -> String {
    let part = &tree.parts()[at];
    let entity = tree.entity(message, at);
    let mut items = Vec::new();
    if part.shape == Shape::Multipart {
        items.extend(tree.children(at).map(|child| structure(message, tree, child)));
        items.extend([string(&entity.subtype), parameters(&entity.parameters)]);
    } else {
        items.extend([string(&entity.media), string(&entity.subtype)]);
        items.push(parameters(&entity.parameters));
        items.extend([nstring(entity.id.as_deref()), nstring(entity.description.as_deref())]);
        items.extend([string(&entity.encoding), part.octets.to_string()]);
        if part.shape == Shape::Message {
            let header = tree.parts()[at + 1].header.clone();
            items.push(envelope(&Envelope::new(message, header)));
            items.push(structure(message, tree, at + 1));
        }
        if part.shape == Shape::Message || entity.media.eq_ignore_ascii_case(b"text") {
            items.push(part.lines.to_string());
        }
        items.push(nstring(entity.md5.as_deref()));
    }
    items.extend(extension(&entity));
    list(items)
}

fn answers(file: &str) -> BTreeMap<String, [String; 2]> {
    let text = std::fs::read_to_string(letters().join(file)).unwrap();
    let blocks = text.split("\n\n").map(|block| {
        let lines = block.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    });
    blocks
        .filter(|lines| !lines.is_empty())
        .map(|lines| (lines[0].clone(), [lines[1].clone(), lines[2].clone()]))
        .collect()
}

#[test]
fn letters_look_as_dovecot_shows_them() {
    let (dovecot, ours) = (answers("dovecot.txt"), answers("ours.txt"));
    let mut faults = Vec::new();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(letters()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let message = std::fs::read(&path).unwrap();
            let tree = Tree::new(&message);
            let header = tree.parts()[0].header.clone();
            let found = [envelope(&Envelope::new(&message, header)), structure(&message, &tree, 0)];
            if ours.get(&name).or_else(|| dovecot.get(&name)) != Some(&found) {
                faults.push(format!("{name}\n{}\n{}\n", found[0], found[1]));
            }
            names.push(name);
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    for (name, answer) in &ours {
        assert!(names.contains(name), "{name}: no such letter");
        assert_ne!(dovecot.get(name), Some(answer), "{name}: no difference any more");
    }
}

#[test]
fn sections_of_the_complex_letter() {
    // The example of RFC 3501 §6.4.5, as far as this letter has it.
    let message = std::fs::read(letters().join("seven-types.eml")).unwrap();
    let tree = Tree::new(&message);
    let text = |numbers: &[u32], side| {
        let ranges = tree.section(&message, numbers, side)?;
        let octets: Vec<u8> =
            ranges.into_iter().flat_map(|range| message[range].to_vec()).collect();
        Some(String::from_utf8(octets).unwrap())
    };
    let fields = |names: &'static [&'static [u8]], not| Side::Fields { names, not };
    for (numbers, side, expected) in [
        (&[1][..], Side::Whole, Some("ñandú\n")),
        (&[2], Side::Whole, Some("iVBORw==")),
        (
            &[3],
            Side::Mime,
            Some("Content-Type: audio/basic\nContent-Transfer-Encoding: base64\n\n"),
        ),
        (&[6, 1], Side::Whole, Some("plain")),
        (&[6, 1], Side::Mime, Some("\n")),
        (&[6, 2], Side::Whole, Some("<p>rich</p>")),
        (
            &[6],
            Side::Whole,
            Some("--inner\n\nplain\n--inner\nContent-Type: TEXT/HTML\n\n<p>rich</p>\n--inner--"),
        ),
        (&[8], Side::Text, Some("Three\nlines\nhere")),
        (&[8, 1], Side::Whole, Some("Three\nlines\nhere")),
        (
            &[8],
            fields(&[b"SUBJECT", b"sender"], false),
            Some("Sender: rosa@example.test\nSubject: inside\n\n"),
        ),
        (&[], fields(&[b"X"], false), Some("\n")),
        (
            &[],
            fields(&[b"from", b"to", b"date", b"content-type", b"subject", b"message-id"], true),
            Some("MIME-Version: 1.0\nContent-Language: es, en (what else)\n\n"),
        ),
        (&[9], Side::Whole, None),
        (&[0], Side::Whole, None),
        (&[6, 3], Side::Whole, None),
        (&[1, 1], Side::Whole, None),
        (&[1], Side::Header, None),
        (&[1], Side::Text, None),
        (&[6], Side::Header, None),
        (&[8, 2], Side::Whole, None),
        (&[8, 1, 1], Side::Whole, None),
        (&[], Side::Mime, None),
        (&[7], Side::Header, None),
        (&[u32::MAX], Side::Whole, None),
    ] {
        assert_eq!(text(numbers, side).as_deref(), expected, "{numbers:?} {side:?}");
    }
    assert_eq!(text(&[], Side::Whole).unwrap().as_bytes(), message);
    let header = text(&[], Side::Header).unwrap();
    assert_eq!(header + &text(&[], Side::Text).unwrap(), text(&[], Side::Whole).unwrap());
}

#[test]
fn sections_of_a_message_that_is_one() {
    let message = std::fs::read(letters().join("message-at-the-top.eml")).unwrap();
    let tree = Tree::new(&message);
    let text = |numbers: &[u32], side| {
        let ranges = tree.section(&message, numbers, side)?;
        let octets: Vec<u8> =
            ranges.into_iter().flat_map(|range| message[range].to_vec()).collect();
        Some(String::from_utf8(octets).unwrap())
    };
    let outer = "MIME-Version: 1.0\nContent-Type: message/rfc822\nSubject: around\n\n";
    let inner = "Subject: within\nContent-Type: multipart/mixed; boundary=x\n\n";
    for (numbers, side, expected) in [
        (&[][..], Side::Header, Some(outer)),
        (&[1], Side::Mime, Some(outer)),
        (&[1], Side::Header, Some(inner)),
        (&[1, 1], Side::Whole, Some("a")),
        (&[1, 2], Side::Header, Some("Subject: deeper\n\n")),
        (&[1, 2], Side::Text, Some("b")),
        (&[1, 2, 1], Side::Whole, Some("b")),
        (&[1, 2, 1], Side::Mime, Some("Subject: deeper\n\n")),
        (&[1, 3], Side::Whole, None),
        (&[1, 2, 2], Side::Whole, None),
        (&[2], Side::Whole, None),
    ] {
        assert_eq!(text(numbers, side).as_deref(), expected, "{numbers:?} {side:?}");
    }
    assert_eq!(text(&[1], Side::Whole), text(&[], Side::Text));
    assert_eq!(inner.to_owned() + &text(&[1], Side::Text).unwrap(), text(&[], Side::Text).unwrap());
}
