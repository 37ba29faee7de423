//! The language of IMAP: what a client's parser (imap-proto) makes of our responses, commands
//! mutated, and commands made to be slow.

#![allow(clippy::unwrap_used)]

use buzon::imapd::command::{self, Command, Item, Section, SectionText, StatusItem};
use buzon::imapd::fetched::Fetched;
use buzon::imapd::flag::Flag;
use buzon::imapd::gather::{Gather, Next};
use buzon::imapd::response::{Code, Status, tagged, untagged};
use buzon::imapd::structure::{Form, body, envelope};
use buzon::imapd::{data, write};
use buzon::mail::{Envelope, Tree};
use imap_proto::{AttributeValue, MailboxDatum, Response, StatusAttribute};
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes, and gives what was written to the client.
#[track_caller]
fn read_back(write: impl Fn(&mut Vec<u8>), check: impl Fn(Response)) {
    let mut out = Vec::new();
    write(&mut out);
    match Response::parse(&out) {
        Ok((rest, response)) => {
            assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(rest));
            check(response);
        }
        Err(error) => panic!("{}: {error:?}", String::from_utf8_lossy(&out)),
    }
}

#[test]
fn status_responses() {
    let codes = vec![
        Code::AppendUid(7, vec![1, 2, 3, 9]),
        Code::BadCharset(&[]),
        Code::BadCharset(&["UTF-8", "US-ASCII"]),
        Code::Capability("IMAP4rev1 AUTH=PLAIN".into()),
        Code::CopyUid(7, vec![(1, 5), (2, 6), (9, 7)]),
        Code::PermanentFlags(vec![Flag::Seen, Flag::Keyword("tarea".into())], true),
        Code::ReadOnly,
        Code::ReadWrite,
        Code::TryCreate,
        Code::UidNext(5),
        Code::UidValidity(6),
        Code::Unseen(7),
    ];
    for code in codes {
        let shown = format!("{code:?}");
        let status = Status::ok("Done").with(code.clone());
        read_back(
            |out| untagged(out, &status),
            |response| {
                let Response::Data { outcome, .. } = response else { panic!("{response:?}") };
                assert_eq!(outcome.information.as_deref(), Some("Done"), "{shown}");
                assert!(outcome.code.is_some(), "{shown}");
            },
        );
    }
    read_back(
        |out| tagged(out, "a1", &Status::no(Code::TryCreate, "No such mailbox")),
        |response| assert!(matches!(response, Response::Done { .. }), "{response:?}"),
    );
}

#[test]
fn of_mailboxes() {
    let name = "Se\u{f1}al \"&\"";
    let listed = data::Listed {
        attributes: &["\\HasNoChildren", "\\Sent"],
        delimiter: Some('/'),
        name,
        ..data::Listed::default()
    };
    read_back(
        |out| data::list(out, &listed, true),
        |response| {
            let Response::MailboxData(MailboxDatum::List(row)) = response else { panic!() };
            // It leaves the backslashes of a quoted string where they are.
            assert_eq!(row.name.replace('\\', ""), name);
            assert_eq!(row.delimiter.as_deref(), Some("/"));
            assert_eq!(row.name_attributes.len(), 2);
        },
    );
    let items = [(StatusItem::Messages, Some(3)), (StatusItem::UidNext, Some(4))];
    read_back(
        |out| data::status(out, name, &items, false),
        |response| {
            let Response::MailboxData(MailboxDatum::Status { mailbox, status }) = response else {
                panic!()
            };
            assert_eq!(mailbox.replace('\\', ""), "Se&APE-al \"&-\"");
            assert_eq!(status, [StatusAttribute::Messages(3), StatusAttribute::UidNext(4)]);
        },
    );
    read_back(
        |out| data::search(out, [1, 5]),
        |response| assert_eq!(response, Response::MailboxData(MailboxDatum::Search(vec![1, 5]))),
    );
    read_back(
        |out| data::flags(out, &Flag::SYSTEM),
        |response| {
            let Response::MailboxData(MailboxDatum::Flags(flags)) = response else { panic!() };
            assert_eq!(flags.len(), 5);
        },
    );
    read_back(
        |out| data::exists(out, 5),
        |response| {
            assert_eq!(response, Response::MailboxData(MailboxDatum::Exists(5)));
        },
    );
    read_back(|out| data::expunge(out, 5), |response| assert_eq!(response, Response::Expunge(5)));
    let who = [(b"name".to_vec(), Some(b"buzon".to_vec()))];
    read_back(|out| data::id(out, &who), |response| assert!(matches!(response, Response::Id(_))));
    read_back(
        |out| data::capability(out, "IMAP4rev1 IDLE"),
        |response| assert!(matches!(response, Response::Capabilities(_))),
    );
}

#[test]
fn of_messages() {
    let text = b"Subject: x\r\n\r\n";
    let section = Section {
        part: vec![],
        text: SectionText::Fields(vec![b"Subject".to_vec(), b"x y".to_vec()]),
    };
    read_back(
        |out| {
            let mut fetched = Fetched::open(out, 3);
            fetched.uid(out, 9);
            fetched.flags(out, &[Flag::Seen]);
            fetched.size(out, 4_000);
            let moment = "1996-07-17T02:44:25-07:00".parse().unwrap();
            fetched.internal_date(out, moment);
            fetched.section(out, &section, Some(0), Some(text.len() as u64));
            out.extend_from_slice(text);
            fetched.section(out, &Section { part: vec![1, 2], ..Section::default() }, None, None);
            fetched.close(out);
        },
        |response| {
            let Response::Fetch(3, values) = response else { panic!("{response:?}") };
            assert_eq!(values[0], AttributeValue::Uid(9));
            assert_eq!(values[2], AttributeValue::Rfc822Size(4_000));
            let date = AttributeValue::InternalDate("17-Jul-1996 02:44:25 -0700".into());
            assert_eq!(values[3], date);
            let AttributeValue::BodySection { index: Some(0), data: Some(data), .. } = &values[4]
            else {
                panic!("{values:?}")
            };
            assert_eq!(data.as_ref(), text);
            assert_eq!(values.len(), 6);
        },
    );
}

#[test]
fn letters_as_a_client_reads_them() {
    let letters = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/letters");
    let mut read = 0;
    for entry in std::fs::read_dir(letters).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let message = std::fs::read(&path).unwrap();
        let tree = Tree::new(&message);
        let value = Envelope::new(&message, tree.parts()[0].header.clone());
        for utf8 in [false, true] {
            // The client takes the texts of a structure for UTF-8.
            if std::str::from_utf8(&message).is_err() {
                continue;
            }
            read += 1;
            let write = |out: &mut Vec<u8>| {
                let mut fetched = Fetched::open(out, 1);
                fetched.item(out, "ENVELOPE");
                envelope(out, &value, utf8);
                // It knows the value of BODY by this name only.
                for extended in [false, true] {
                    fetched.item(out, "BODYSTRUCTURE");
                    body(out, &message, &tree, 0, Form { extended, utf8 });
                }
                fetched.close(out);
            };
            read_back(write, |response| {
                let Response::Fetch(1, values) = response else { panic!("{path:?}") };
                let [AttributeValue::Envelope(read), _, AttributeValue::BodyStructure(_)] =
                    &values[..]
                else {
                    panic!("{path:?}: {values:?}")
                };
                assert_eq!(read.subject.as_deref(), value.subject.as_deref(), "{path:?}");
                let from = read.from.as_ref().map_or(0, Vec::len);
                assert_eq!(from, value.from.len(), "{path:?}");
            });
        }
    }
    assert!(read > 30, "{read}");
}

#[test]
fn a_section_is_told_as_it_was_asked_for() {
    for text in [
        "BODY[]",
        "BODY[1.2]",
        "BODY[HEADER]",
        "BODY[1.TEXT]",
        "BODY[3.MIME]",
        "BODY[HEADER.FIELDS (From \"a b\" nil)]",
        "BODY[2.HEADER.FIELDS.NOT (From)]",
        "BODY[HEADER.FIELDS ({3}\r\na\nb)]",
    ] {
        let asked = items(&format!("a1 FETCH 1 {text}"));
        let [Item::Section { section, .. }] = &asked[..] else { panic!("{text}") };
        let mut out = Vec::new();
        Fetched::open(&mut out, 1).section(&mut out, section, None, None);
        let told = String::from_utf8(out).unwrap();
        let told = told.strip_prefix("* 1 FETCH (").unwrap().strip_suffix(" NIL").unwrap();
        assert_eq!(items(&format!("a1 FETCH 1 {told}")), asked, "{text}");
    }
}

fn items(command: &str) -> Vec<Item> {
    match command::parse(command.as_bytes()).map(|tagged| tagged.command) {
        Ok(Command::Fetch { items, .. }) => items,
        other => panic!("{command}: {other:?}"),
    }
}

const SEEDS: &[&str] = &[
    "a1 NOOP",
    "a1 ID (\"name\" \"x\" \"os\" NIL)",
    "a1 LOGIN {5}\r\nalice {6+}\r\nsecret",
    "a1 AUTHENTICATE PLAIN AGEAYg==",
    "a1 ENABLE IMAP4rev2 UTF8=ACCEPT",
    "a1 SELECT \"A \\\\ \\\" B\"",
    "a1 CREATE Se&APE-al (USE (\\Sent \\Odd))",
    "a1 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (* %) RETURN (CHILDREN STATUS (MESSAGES SIZE))",
    "a1 STATUS \"Señal\" (MESSAGES RECENT UIDNEXT)",
    "a1 APPEND {4}\r\nSent (\\Seen $Junk) \"17-Jul-1996 02:44:25 -0700\" UTF8 (~{310}",
    "a1 SEARCH RETURN (MIN MAX SAVE) CHARSET UTF-8 OR (FROM x NOT 1:3,*) SINCE 1-Feb-1994",
    "a1 UID SEARCH HEADER X-Spam {3}\r\nyes OLDER 60 LARGER 5 KEYWORD tarea $",
    "a1 FETCH 2,4:7,9,12:* (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (From \"To\")]<0.100> UID)",
    "a1 UID FETCH 1:4294967295 (BINARY.PEEK[1]<5.10> BINARY.SIZE[2] RFC822.SIZE)",
    "a1 STORE $ +FLAGS.SILENT (\\Deleted tarea)",
    "a1 UID MOVE 1:* \"Old Mail\"",
];

fn next_random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// Everything that the daemon does with what a client sent.
fn take(octets: &[u8]) -> bool {
    let mut gather = Gather::default();
    for line in octets.split(|octet| *octet == b'\n').take(5) {
        if let Next::Literal(literal) = gather.line(line) {
            gather.literal(&vec![b'x'; literal.octets as usize]);
        }
    }
    gather.skip();
    command::head(octets);
    command::shown_fault(octets, true);
    command::answer(octets);
    let tagged = match command::parse(octets) {
        Ok(tagged) => tagged,
        Err(bad) => {
            let shown = |octet: u8| (b' '..=b'~').contains(&octet);
            assert!(!bad.text.is_empty() && bad.text.bytes().all(shown), "{}", bad.text);
            return false;
        }
    };
    tagged.command.shown(&tagged.tag, octets);
    match tagged.command {
        Command::Fetch { set, .. } | Command::Store { set, .. } | Command::Copy { set, .. } => {
            for largest in [0, 1, 7, u32::MAX] {
                let set = set.resolve(largest).unwrap_or_default();
                assert!(set.ranges().is_sorted_by(|one, next| one.1 < next.0 - 1));
                assert_eq!(set.clip(largest).positions(&[1, 5, 7], |uid| *uid).count(), {
                    [1, 5, 7].iter().filter(|n| **n <= largest && set.contains(**n)).count()
                });
            }
        }
        Command::Select(mailbox) | Command::Create(mailbox, _) | Command::Status(mailbox, _) => {
            for utf8 in [false, true] {
                if let Ok(name) = mailbox.name(utf8) {
                    write::mailbox(&mut Vec::new(), &name, utf8);
                }
            }
        }
        _ => {}
    }
    true
}

#[test]
fn commands_mutated() {
    const SPICE: &[u8] = b" \"\\(){}[]<>.,:*%$+-&~=\r\n\0\x7f\x80\xc3\xff09aZ";
    let mut state = 20_261_121;
    let mut good = 0;
    for round in 0..6_000 {
        let mut octets = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
        for _ in 0..1 + next_random(&mut state) % 4 {
            let at = next_random(&mut state) % octets.len().max(1);
            let spice = SPICE[next_random(&mut state) % SPICE.len()];
            match next_random(&mut state) % 5 {
                0 if at < octets.len() => octets[at] = spice,
                1 => octets.insert(at.min(octets.len()), spice),
                2 if at < octets.len() => drop(octets.remove(at)),
                3 => octets.truncate(at),
                _ => {
                    let other = SEEDS[next_random(&mut state) % SEEDS.len()].as_bytes();
                    let from = next_random(&mut state) % other.len();
                    octets.splice(at..at, other[from..].iter().copied().take(12));
                }
            }
        }
        good += usize::from(take(&octets));
    }
    assert!((200..5_800).contains(&good), "{good}");
}

#[test]
fn no_command_takes_long() {
    const MOST: usize = 64 * 1024;
    for (start, unit, end) in [
        ("a1 SEARCH ", "(", ""),
        ("a1 SEARCH ", "NOT ", "ALL"),
        ("a1 SEARCH ALL", " OR SEEN DRAFT", ""),
        ("a1 FETCH ", "9,", "9 FLAGS"),
        ("a1 FETCH ", "9:1,", "9 FLAGS"),
        ("a1 FETCH 1 (UID", " FLAGS", ")"),
        ("a1 FETCH 1 BODY[1", ".1", "]"),
        ("a1 FETCH 1 BODY[HEADER.FIELDS (a", " a", ")]"),
        ("a1 LOGIN \"", "\\\\", "\" x"),
        ("a1 LOGIN \"", "a", ""),
        ("a1 LOGIN a ", "{", ""),
        ("a1 LOGIN a {", "9", "}"),
        ("a1 SELECT ", "&AOE-", ""),
        ("a1 SELECT ", "&", ""),
        ("a1 LIST \"\" (*", " *", ")"),
        ("a1 STORE 1 FLAGS (a", " a", ")"),
        ("a1 ", "A", ""),
        ("", "A", ""),
        ("", " ", ""),
        ("a1 NOOP", " ", ""),
    ] {
        let command = format!("{start}{}{end}", unit.repeat(MOST / unit.len()));
        let began = Instant::now();
        take(command.as_bytes());
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "{start}{unit}: {took:?}");
    }
    let began = Instant::now();
    let mut gather = Gather::default();
    gather.line(format!("a1 APPEND \"{}{{0}}", "x".repeat(MOST / 2)).as_bytes());
    for _ in 0..MOST / 8 {
        gather.literal(b"");
        gather.line(b"{0}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
