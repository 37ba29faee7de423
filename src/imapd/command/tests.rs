//! Commands, right and wrong.

use super::*;
use crate::imapd::flag::Flag;
use crate::imapd::gather::Literal;
use chrono::{DateTime, NaiveDate};

fn parsed(line: &str) -> Result<Command, String> {
    let octets = line.as_bytes();
    parse(octets).map(|tagged| tagged.command).map_err(|bad| bad.text.into_owned())
}

fn ranges(ranges: &[(u32, u32)]) -> Written {
    Written::Ranges(ranges.to_vec())
}

fn mailbox(name: &str) -> Mailbox {
    Mailbox::from(name.as_bytes().to_vec())
}

fn pattern(text: &str) -> Pattern {
    Pattern::from(text.as_bytes().to_vec())
}

fn check(rows: &[(&str, Command)]) {
    for (line, expected) in rows {
        assert_eq!(parsed(&format!("a1 {line}")).as_ref(), Ok(expected), "{line}");
        assert_eq!(parsed(&format!("a1 {line}  ")).as_ref(), Ok(expected), "{line} and spaces");
    }
}

#[test]
fn in_any_state_and_before_the_login() {
    use Command::*;
    let login = |user: &str, password: &str| Login(user.into(), password.into());
    let plain = |initial: Option<&[u8]>| Authenticate("PLAIN".into(), initial.map(<[u8]>::to_vec));
    check(&[
        ("CAPABILITY", Capability),
        ("nOOp", Noop),
        ("LOGOUT", Logout),
        ("ID NIL", Id(vec![])),
        ("ID ()", Id(vec![])),
        ("ID (\"name\" \"x\" \"os\" NIL)", {
            Id(vec![(b"name".to_vec(), Some(b"x".to_vec())), (b"os".to_vec(), None)])
        }),
        ("STARTTLS", StartTls),
        ("AUTHENTICATE PLAIN", plain(None)),
        ("AUTHENTICATE PLAIN =", plain(Some(b""))),
        ("AUTHENTICATE PLAIN AGEAYg==", plain(Some(b"\0a\0b"))),
        ("LOGIN alice secret", login("alice", "secret")),
        ("LOGIN \"alice\" \"se cr\\\"et\\\\\"", login("alice", "se cr\"et\\")),
        ("LOGIN alice \"\"", login("alice", "")),
        ("LOGIN \"josé\" \"ñandú\"", login("josé", "ñandú")),
        ("LOGIN {5}\r\nalice {6+}\r\nsec\r\nt", login("alice", "sec\r\nt")),
        ("LOGIN {5}\r\njosé {0}\r\n", login("josé", "")),
    ]);
}

#[test]
fn after_the_login() {
    use Command::*;
    let sent = || mailbox("Sent");
    check(&[
        ("ENABLE IMAP4rev2 UTF8=ACCEPT", Enable(vec!["IMAP4rev2".into(), "UTF8=ACCEPT".into()])),
        ("SELECT inbox", Select(mailbox("inbox"))),
        ("SELECT \"A B\"", Select(mailbox("A B"))),
        ("SELECT {3}\r\nA B", Select(mailbox("A B"))),
        ("SELECT a]b", Select(mailbox("a]b"))),
        ("EXAMINE Sent", Examine(sent())),
        ("CREATE Sent", Create(sent(), vec![])),
        ("CREATE Sent (USE (\\Sent \\archive))", Create(sent(), vec![Use::Sent, Use::Archive])),
        ("CREATE Sent (USE (\\Odd))", Create(sent(), vec![Use::Other("\\Odd".into())])),
        ("DELETE Sent", Delete(sent())),
        ("RENAME Sent Old", Rename(sent(), mailbox("Old"))),
        ("SUBSCRIBE Sent", Subscribe(sent())),
        ("UNSUBSCRIBE Sent", Unsubscribe(sent())),
        ("LSUB \"\" %", Lsub(pattern(""), pattern("%"))),
        ("NAMESPACE", Namespace),
        ("STATUS Sent (MESSAGES)", Status(sent(), vec![StatusItem::Messages])),
        (
            "STATUS Sent (messages RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE APPENDLIMIT)",
            Status(sent(), StatusItem::ALL.to_vec()),
        ),
        ("IDLE", Idle),
    ]);
}

#[test]
fn lists() {
    let basic = |text: &str| List { patterns: vec![pattern(text)], ..List::default() };
    let extended = |list: List| Command::List(List { extended: true, ..list });
    let select = Select { subscribed: true, recursive_match: true, ..Select::default() };
    check(&[
        ("LIST \"\" \"\"", Command::List(basic(""))),
        ("LIST \"\" *", Command::List(basic("*"))),
        ("LIST \"\" {2}\r\na%", Command::List(basic("a%"))),
        ("LIST a/ b%]*", Command::List(List { reference: pattern("a/"), ..basic("b%]*") })),
        ("LIST () \"\" *", extended(basic("*"))),
        ("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" *", extended(List { select, ..basic("*") })),
        ("LIST (remote special-use) \"\" *", {
            let select = Select { remote: true, special_use: true, ..Select::default() };
            extended(List { select, ..basic("*") })
        }),
        ("LIST \"\" (INBOX \"S%\")", {
            extended(List { patterns: vec![pattern("INBOX"), pattern("S%")], ..List::default() })
        }),
        ("LIST \"\" * RETURN ()", extended(basic("*"))),
        ("LIST \"\" * RETURN (CHILDREN SUBSCRIBED STATUS (MESSAGES SIZE) SPECIAL-USE)", {
            let status = vec![StatusItem::Messages, StatusItem::Size];
            let tell = Tell { subscribed: true, children: true, special_use: true, status };
            extended(List { tell, ..basic("*") })
        }),
    ]);
}

#[test]
fn appends() {
    let date = DateTime::parse_from_rfc3339("1996-07-17T02:44:25-07:00").unwrap();
    let literal = Literal { octets: 310, sync: true, binary: false };
    let plain = || Message { flags: vec![], date: None, literal, utf8: false };
    let append = |message| Command::Append(mailbox("Sent"), message);
    let flags = || vec![Flag::Seen, Flag::Keyword("$Junk".into())];
    for (line, expected) in [
        ("APPEND Sent {310}", append(plain())),
        ("APPEND {4}\r\nSent {310}", append(plain())),
        ("APPEND Sent () {310}", append(plain())),
        ("APPEND Sent (\\seen $Junk) {310}", append(Message { flags: flags(), ..plain() })),
        (
            "APPEND Sent (\\Seen $Junk) \"17-Jul-1996 02:44:25 -0700\" {310+}",
            append(Message {
                flags: flags(),
                date: Some(date),
                literal: Literal { sync: false, ..literal },
                utf8: false,
            }),
        ),
        ("APPEND Sent ~{310}", {
            append(Message { literal: Literal { binary: true, ..literal }, ..plain() })
        }),
        ("APPEND Sent UTF8 (~{310}", {
            append(Message { literal: Literal { binary: true, ..literal }, utf8: true, ..plain() })
        }),
    ] {
        let line = format!("a1 {line}");
        assert_eq!(parsed(&line).as_ref(), Ok(&expected), "{line}");
        assert!(append::announces_message(line.as_bytes()), "{line}");
    }
    let next = |line: &str, before: &Message| append::next(line.as_bytes(), before);
    let utf8 = Message { utf8: true, ..plain() };
    assert_eq!(next("", &plain()), Ok(None));
    assert_eq!(next(" ", &plain()), Ok(None));
    assert_eq!(next(" {310}", &plain()), Ok(Some(plain())));
    assert_eq!(next(" (\\Seen $Junk) {310}", &plain()).unwrap().unwrap().flags, flags());
    assert_eq!(next(")", &utf8), Ok(None));
    assert_eq!(next(") {310}", &utf8), Ok(Some(plain())));
    for (line, before) in [(")", plain()), ("", utf8), ("{310}", plain()), (" x", plain())] {
        assert!(next(line, &before).is_err(), "{line}");
    }
}

#[test]
fn in_a_mailbox() {
    use Command::*;
    let set = || ranges(&[(2, 4), (7, 0)]);
    let sent = || mailbox("Sent");
    let store = |how, silent, flags| super::Store { how, silent, flags };
    check(&[
        ("CHECK", Check),
        ("CLOSE", Close),
        ("UNSELECT", Unselect),
        ("EXPUNGE", Expunge(None)),
        ("UID EXPUNGE 2:4,7:*", Expunge(Some(set()))),
        ("COPY 2:4,7:* Sent", Copy { uid: false, set: set(), to: sent() }),
        ("uid copy $ Sent", Copy { uid: true, set: Written::Saved, to: sent() }),
        ("MOVE 2:4,7:* Sent", Move { uid: false, set: set(), to: sent() }),
        ("UID MOVE 2:4,7:* Sent", Move { uid: true, set: set(), to: sent() }),
        ("STORE 2:4,7:* FLAGS ()", {
            Store { uid: false, set: set(), store: store(How::Replace, false, vec![]) }
        }),
        ("STORE $ +FLAGS.SILENT (\\Deleted)", {
            let store = store(How::Add, true, vec![Flag::Deleted]);
            Store { uid: false, set: Written::Saved, store }
        }),
        ("UID STORE 2:4,7:* -flags \\Seen tarea", {
            let flags = vec![Flag::Seen, Flag::Keyword("tarea".into())];
            Store { uid: true, set: set(), store: store(How::Remove, false, flags) }
        }),
    ]);
}

#[test]
fn fetches() {
    use super::Item::*;
    let section = |peek, part: &[u32], text, partial: Option<(u64, u64)>| {
        let partial = partial.map(|(offset, octets)| Partial { offset, octets });
        Item::Section { peek, section: super::Section { part: part.to_vec(), text }, partial }
    };
    let fields = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
    let some = Some(Partial { offset: 5, octets: 10 });
    for (text, items) in [
        ("ALL", vec![Flags, InternalDate, Rfc822Size, Envelope]),
        ("FAST", vec![Flags, InternalDate, Rfc822Size]),
        ("full", vec![Flags, InternalDate, Rfc822Size, Envelope, Body]),
        ("FLAGS", vec![Flags]),
        ("(FLAGS UID)", vec![Flags, Uid]),
        ("(BODY BODYSTRUCTURE)", vec![Body, BodyStructure]),
        ("(RFC822 RFC822.HEADER RFC822.TEXT)", vec![Rfc822, Rfc822Header, Rfc822Text]),
        ("BODY[]", vec![section(false, &[], SectionText::Whole, None)]),
        ("body.peek[]<5.10>", vec![section(true, &[], SectionText::Whole, Some((5, 10)))]),
        ("BODY[1.2.3]", vec![section(false, &[1, 2, 3], SectionText::Whole, None)]),
        ("BODY[HEADER]", vec![section(false, &[], SectionText::Header, None)]),
        ("BODY[TEXT]", vec![section(false, &[], SectionText::Text, None)]),
        ("BODY[4.1.MIME]<0.1>", vec![section(false, &[4, 1], SectionText::Mime, Some((0, 1)))]),
        ("BODY[3.TEXT]", vec![section(false, &[3], SectionText::Text, None)]),
        ("(BODY.PEEK[HEADER.FIELDS (From \"to\")] UID)", {
            let text = SectionText::Fields(fields(&["From", "to"]));
            vec![section(true, &[], text, None), Uid]
        }),
        ("BODY[1.HEADER.FIELDS.NOT (Received)]", {
            vec![section(false, &[1], SectionText::FieldsNot(fields(&["Received"])), None)]
        }),
        ("BINARY[1.2]", vec![Binary { peek: false, part: vec![1, 2], partial: None }]),
        ("BINARY.PEEK[]<5.10>", vec![Binary { peek: true, part: vec![], partial: some }]),
        ("BINARY.SIZE[1]", vec![BinarySize(vec![1])]),
    ] {
        let fetch = |uid| Command::Fetch { uid, set: ranges(&[(1, 0)]), items: items.clone() };
        check(&[
            (&format!("FETCH 1:* {text}"), fetch(false)),
            (&format!("UID FETCH 1:* {text}"), fetch(true)),
        ]);
    }
}

#[test]
fn searches() {
    use super::Key::*;
    let not = |key| Not(Box::new(key));
    let day = NaiveDate::from_ymd_opt(1994, 2, 1).unwrap();
    let header = |name: &str, text: &str| Header(name.into(), text.into());
    for (text, key) in [
        ("ALL", All),
        ("ANSWERED", Has(Flag::Answered)),
        ("UNSEEN", not(Has(Flag::Seen))),
        ("NEW", And(vec![Has(Flag::Recent), not(Has(Flag::Seen))])),
        ("OLD", not(Has(Flag::Recent))),
        ("KEYWORD tarea", Has(Flag::Keyword("tarea".into()))),
        ("UNKEYWORD $Junk", not(Has(Flag::Keyword("$Junk".into())))),
        ("FROM smith", header("FROM", "smith")),
        ("SUBJECT \"a b\"", header("SUBJECT", "a b")),
        ("HEADER X-Spam \"\"", header("X-Spam", "")),
        ("BODY {6}\r\nseñal", Body("señal".into())),
        ("TEXT hello", Text("hello".into())),
        ("BEFORE 1-Feb-1994", Before(day)),
        ("ON \"01-feb-1994\"", On(day)),
        ("SINCE 1-Feb-1994", Since(day)),
        ("SENTBEFORE 1-Feb-1994", SentBefore(day)),
        ("SENTON 1-Feb-1994", SentOn(day)),
        ("SENTSINCE 1-Feb-1994", SentSince(day)),
        ("OLDER 60", Older(60)),
        ("YOUNGER 60", Younger(60)),
        ("LARGER 9223372036854775807", Larger(i64::MAX as u64)),
        ("SMALLER 0", Smaller(0)),
        ("1:3,*", Numbers(ranges(&[(1, 3), (0, 0)]))),
        ("$", Numbers(Written::Saved)),
        ("UID 7", Uids(ranges(&[(7, 7)]))),
        ("NOT (SEEN DRAFT)", not(And(vec![Has(Flag::Seen), Has(Flag::Draft)]))),
        ("OR FLAGGED (ALL)", Or(Box::new(Has(Flag::Flagged)), Box::new(All))),
        ("FLAGGED 2", And(vec![Has(Flag::Flagged), Numbers(ranges(&[(2, 2)]))])),
    ] {
        let search = |uid, returns, charset: Option<&str>| {
            let charset = charset.map(str::to_owned);
            Command::Search { uid, search: Search { returns, charset, key: key.clone() } }
        };
        let all = Returns { all: true, ..Returns::default() };
        let most = Returns { min: true, max: true, count: true, save: true, all: false };
        check(&[
            (&format!("SEARCH {text}"), search(false, None, None)),
            (&format!("UID SEARCH CHARSET UTF-8 {text}"), search(true, None, Some("UTF-8"))),
            (&format!("SEARCH RETURN () {text}"), search(false, Some(all), None)),
            (&format!("UID SEARCH RETURN (MIN MAX COUNT SAVE) CHARSET \"utf-8\" {text}"), {
                search(true, Some(most), Some("utf-8"))
            }),
        ]);
    }
    let deep = |depth| format!("a1 SEARCH {}ALL{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parsed(&deep(50)).is_ok() && parsed(&deep(51)).is_err());
    assert!(parsed(&format!("a1 SEARCH {}ALL", "NOT ".repeat(50))).is_ok());
    assert!(parsed(&format!("a1 SEARCH {}ALL", "NOT ".repeat(10_000))).is_err());
}
