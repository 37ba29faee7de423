//! The MIME tree on letters that were changed at random, on hostile ones, and beside mail-parser's
//! reading of the same octets.

#![allow(clippy::unwrap_used)]

use buzon::mail::{
    Envelope, Search, Shape, Side, Tree, decode_words, fields, read_date, wire_octets,
};
use mail_parser::{Encoding, MessageParser, PartType};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::path::Path;
use std::time::{Duration, Instant};

fn corpus() -> Vec<Vec<u8>> {
    let letters = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/letters");
    let entries = std::fs::read_dir(letters).unwrap().map(|entry| entry.unwrap().path());
    let letters = entries.filter(|path| path.extension().is_some_and(|end| end == "eml"));
    let mut letters: Vec<_> = letters.collect();
    letters.sort();
    letters.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// What the store would send, the slow way.
fn wire(octets: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let text =
            line.strip_suffix(b"\n").map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text));
        wire.extend_from_slice(text);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

/// What is true of any tree.
fn check(message: &[u8]) {
    let tree = Tree::new(message);
    let parts = tree.parts();
    assert_eq!(parts[0].header.start, 0);
    assert_eq!(parts[0].body.end, message.len());
    let mut seen = vec![0];
    for (at, part) in parts.iter().enumerate() {
        assert!(part.header.start <= part.header.end, "{part:?}");
        assert_eq!(part.header.end, part.body.start);
        assert!(part.body.start <= part.body.end && part.body.end <= message.len(), "{part:?}");
        let children: Vec<usize> = tree.children(at).collect();
        match part.shape {
            Shape::Leaf => assert!(children.is_empty()),
            Shape::Message => assert_eq!(children, [at + 1]),
            Shape::Multipart => assert!(!children.is_empty()),
        }
        let mut end = part.body.start;
        for child in children.iter().map(|child| &parts[*child]) {
            assert!(end <= child.header.start && child.body.end <= part.body.end);
            end = child.body.end;
        }
        seen.extend(children);
        check_part(message, &tree, at);
    }
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..parts.len()));
    let all: Vec<_> = [Side::Header, Side::Text]
        .into_iter()
        .flat_map(|side| tree.section(message, &[], side).unwrap())
        .map(|range| wire_octets(message, &range))
        .collect();
    assert_eq!(all.iter().sum::<u64>(), wire(message).len() as u64);
}

fn check_part(message: &[u8], tree: &Tree, at: usize) {
    let part = &tree.parts()[at];
    // The line end behind a part belongs to its delimiter: as octets it has none.
    let mut octets = wire(&message[part.body.clone()]);
    if part.body.end < message.len() && !message[..part.body.end].ends_with(b"\n") {
        octets.truncate(octets.len().saturating_sub(if part.body.is_empty() { 0 } else { 2 }));
    }
    assert_eq!(part.octets, octets.len() as u64, "{part:?}");
    assert_eq!(part.lines, octets.split(|octet| *octet == b'\n').count() as u64 - 1);
    assert_eq!(part.octets, wire_octets(message, &part.body));
    tree.entity(message, at);
    Envelope::new(message, part.header.clone());
    for field in fields(message, part.header.clone()) {
        assert!(field.range.end <= part.header.end);
        decode_words(field.value, &mut Vec::new());
        read_date(field.value);
    }
}

#[derive(Clone, Debug)]
enum Change {
    Delete(usize),
    Double(usize),
    Swap(usize, usize),
    Insert(usize, &'static str),
    Octet(usize, u8),
    Cut(usize),
    Splice(usize, usize),
    Crlf,
}

fn change() -> impl Strategy<Value = Change> {
    let pieces = prop::sample::select(vec![
        "--a\n",
        "--a--\n",
        "--x\n",
        "--b",
        "\n",
        "\r\n",
        "\r",
        " ",
        "Content-Type: multipart/mixed; boundary=a\n\n",
        "Content-Type: message/rfc822\n\n",
        "Content-Type: multipart/digest; boundary=\"x\"\n",
        "=?utf-8?b?",
        "\0",
        "\"",
        "(",
        ";",
        ":",
    ]);
    let at = any::<usize>();
    prop_oneof![
        at.prop_map(Change::Delete),
        at.prop_map(Change::Double),
        (at, at).prop_map(|(one, other)| Change::Swap(one, other)),
        (at, pieces).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (at, any::<u8>()).prop_map(|(at, octet)| Change::Octet(at, octet)),
        at.prop_map(Change::Cut),
        (at, at).prop_map(|(one, other)| Change::Splice(one, other)),
        Just(Change::Crlf),
    ]
}

fn changed(letters: &[Vec<u8>], letter: usize, changes: &[Change]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = letters[letter % letters.len()]
        .split_inclusive(|octet| *octet == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    for change in changes {
        let count = lines.len();
        if count == 0 {
            break;
        }
        match change {
            Change::Delete(at) => drop(lines.remove(at % count)),
            Change::Double(at) => lines.insert(at % count, lines[at % count].clone()),
            Change::Swap(one, other) => lines.swap(one % count, other % count),
            Change::Insert(at, piece) => {
                let line = &mut lines[at % count];
                let place = at / count % (line.len() + 1);
                line.splice(place..place, piece.bytes());
            }
            Change::Octet(at, octet) => {
                let line = &mut lines[at % count];
                let place = at / count % line.len();
                line[place] = *octet;
            }
            Change::Cut(at) => lines.truncate(at % count + 1),
            Change::Splice(at, other) => {
                let text = letters[other % letters.len()].clone();
                lines.insert(at % count, text);
            }
            Change::Crlf => {
                lines.iter_mut().for_each(|line| *line = wire(line));
            }
        }
        lines.retain(|line| !line.is_empty());
    }
    lines.concat()
}

/// A tree as mail-parser and we both can tell it: shape and places.
#[derive(Debug, PartialEq)]
struct Node {
    header: usize,
    body: usize,
    end: usize,
    children: Vec<Node>,
}

fn ours(tree: &Tree, at: usize) -> Node {
    let part = &tree.parts()[at];
    let children = tree.children(at).map(|child| ours(tree, child)).collect();
    Node { header: part.header.start, body: part.body.start, end: part.body.end, children }
}

fn theirs(message: &mail_parser::Message, at: usize, base: usize) -> Node {
    let part = &message.parts[at];
    let children = match &part.body {
        PartType::Multipart(parts) => {
            parts.iter().map(|child| theirs(message, *child as usize, base)).collect()
        }
        // A message in base64 it decodes, and then tells of places in that.
        PartType::Message(_) if part.encoding != Encoding::None => Vec::new(),
        PartType::Message(inner) => vec![theirs(inner, 0, base)],
        _ => Vec::new(),
    };
    let place = |offset: u32| base + offset as usize;
    Node {
        header: place(part.offset_header),
        body: place(part.offset_body),
        end: place(part.offset_end),
        children,
    }
}

fn same_shape(one: &Node, other: &Node) -> bool {
    one.children.len() == other.children.len()
        && one.children.iter().zip(&other.children).all(|(one, other)| same_shape(one, other))
}

/// Whether the two agree on where everything stands, but for a line end at an end.
fn same_places(message: &[u8], one: &Node, other: &Node) -> bool {
    let (first, last) = (one.end.min(other.end), one.end.max(other.end));
    (one.header, one.body) == (other.header, other.body)
        && message[first..last].trim_ascii().is_empty()
        && one.children.len() == other.children.len()
        && one
            .children
            .iter()
            .zip(&other.children)
            .all(|(one, other)| same_places(message, one, other))
}

/// `None` where the two read the structure differently, or mail-parser not at all.
fn agrees(message: &[u8]) -> Option<bool> {
    let parsed = MessageParser::new().parse(message)?;
    let (ours, theirs) = (ours(&Tree::new(message), 0), theirs(&parsed, 0, 0));
    same_shape(&ours, &theirs).then(|| same_places(message, &ours, &theirs))
}

/// Where mail-parser reads otherwise: it takes the last Content-Type of a header, not the first; it
/// does not look for outer delimiters within a part nor for any within a header; it decodes a
/// message in base64; it ends a message within a message at its close delimiter. An empty multipart
/// has no part there, and an empty message is none.
#[test]
fn letters_beside_mail_parser() {
    let letters = corpus();
    let agreed = letters.iter().filter(|letter| agrees(letter) == Some(true)).count();
    assert_eq!((agreed, letters.len()), (21, 27));
}

#[test]
fn changed_letters() {
    let letters = corpus();
    let mut runner = TestRunner::deterministic();
    let strategy = (any::<usize>(), prop::collection::vec(change(), 1..8));
    let (mut agreed, mut differed) = (0, 0);
    for _ in 0..2_000 {
        let (letter, changes) = strategy.new_tree(&mut runner).unwrap().current();
        let message = changed(&letters, letter, &changes);
        check(&message);
        match agrees(&message) {
            Some(true) => agreed += 1,
            Some(false) => differed += 1,
            None => {}
        }
    }
    // Of those in which both see the same parts, nearly all are the same to the octet.
    assert!(agreed > 1_000 && differed * 25 < agreed, "{agreed} {differed}");
}

/// A megabyte each, made to take time.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    const SIZE: usize = 1_000_000;
    let fill = |start: String, piece: &str| {
        let room = SIZE.saturating_sub(start.len()) / piece.len();
        (start + &piece.repeat(room)).into_bytes()
    };
    let multipart =
        |boundary: &str| format!("Content-Type: multipart/mixed; boundary={boundary}\n\n");
    let nested = |name: &dyn Fn(usize) -> String| {
        let levels = (0..1_000).map(|level| {
            let boundary = name(level);
            multipart(&boundary) + "--" + &boundary + "\n"
        });
        levels.collect::<String>()
    };
    let typed = |value: &str| format!("Content-Type: text/plain{value}");
    vec![
        ("levels", fill(nested(&|level| format!("b{level}")), "--\n")),
        ("levels, prefixes", fill(nested(&|level| "a".repeat(level + 1)), "--a\n")),
        ("levels, close", fill(nested(&|level| format!("{level:03}")), "--zz\n")),
        ("parts", fill(multipart("b"), "--b\n\nx\n")),
        ("empty parts", fill(multipart("b"), "--b\n")),
        ("messages", fill(String::new(), "Content-Type: message/rfc822\n\n")),
        ("digests", fill(multipart("b").replace("mixed", "digest"), "--b\n\nA: b\n\n")),
        ("fields", fill(String::new(), "a:\n")),
        ("no colons", fill(String::new(), "a\n")),
        ("folds", fill("Subject:".into(), "\n ")),
        ("line feeds", fill(multipart("b"), "\n")),
        ("carriage returns", fill("\n".into(), "\r")),
        ("dashes", fill(multipart("b"), "\n--")),
        ("parameters", fill(typed(""), ";a=b")),
        ("comments", fill(typed(";"), "(")),
        ("quotes", fill(typed(";"), "\"")),
        ("backslashes", fill(typed(";a=\""), "\\")),
        ("addresses", fill("To: ".into(), "a,")),
        ("routes", fill("To: ".into(), "<@")),
        ("words", fill("Subject: ".into(), "=?utf-8?q?=41?= ")),
        ("no words", fill("Subject: ".into(), "=?utf-8?q?")),
        ("languages", fill("Content-Language: ".into(), "(),a")),
        ("base64", fill("Content-Transfer-Encoding: base64\n\n".into(), "Y=\n")),
        ("quoted", fill("Content-Transfer-Encoding: quoted-printable\n\n".into(), "=\n= ")),
    ]
}

#[test]
fn hostile_letters_take_their_size_in_time() {
    let mut search = Search::new("straße");
    for (name, message) in hostile() {
        let start = Instant::now();
        let tree = Tree::new(&message);
        assert!(tree.parts().len() <= 20_000, "{name}");
        Envelope::new(&message, tree.parts()[0].header.clone());
        tree.entity(&message, 0);
        tree.section(&message, &[], Side::Fields { names: &[b"a"], not: true });
        assert!(!search.text(&message, &tree), "{name}");
        // A second on a busy machine; what is quadratic takes minutes.
        assert!(start.elapsed() < Duration::from_secs(10), "{name}: {:?}", start.elapsed());
    }
}
