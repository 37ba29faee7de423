//! Reports as another reader of MIME understands them, and as RFC 3464 draws them.

use super::*;
use crate::mail::forward_path;
use crate::queue::{Recipient, Ret};
use crate::text::Cursor;
use mail_parser::{MessageParser, MimeHeaders, PartType};
use proptest::prelude::*;
use std::collections::HashMap;

const LETTER: &str = "Received: from pc1\n\tby mail.example.test\nFrom: Ana <ana@example.test>\n\
                      To: bob@aula.test\nMessage-ID: <1@example.test>\nSubject: Hola\n\nbody\n.\n\nend\n";
const NOW: u64 = 1_790_000_000;

fn site() -> Site {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("buzon.conf");
    std::fs::write(&path, "hostname mail.example.test\n").unwrap();
    crate::conf::load(Some(&path)).unwrap()
}

fn mailbox(text: &str) -> Mailbox {
    forward_path(&mut Cursor::new(text.as_bytes())).unwrap()
}

fn envelope() -> Envelope {
    Envelope::new("1k3".into(), NOW - 600, Some(mailbox("ana@example.test")))
}

fn said(status: &str, host: Option<&str>, text: &str) -> Said {
    let (status, host) = (status.into(), host.map(Into::into));
    Said { at: NOW - 60, status, host, text: text.into() }
}

fn failed(path: &str, status: &str, host: Option<&str>, text: &str) -> Recipient {
    let state = State::Failed(said(status, host, text));
    Recipient { state, ..Recipient::new(1, mailbox(path)) }
}

fn bob() -> Recipient {
    failed("bob@aula.test", "5.1.1", Some("mx.aula.test"), "550 5.1.1 No such user")
}

fn entry(to: &Recipient, action: Action) -> Entry<'_> {
    let dialogue = ["C: RCPT TO:<bob@aula.test>", "S: 550 5.1.1 No such user"];
    let dialogue = Arc::new(dialogue.map(String::from).to_vec());
    Entry { to, action, dialogue }
}

fn composed(envelope: &Envelope, entries: &[Entry], text: &[u8]) -> String {
    let sender = envelope.reverse_path.clone().unwrap();
    let mut text = io::Cursor::new(text);
    let report = compose(&site(), envelope, &sender, entries, &mut text, NOW + 86_400, NOW);
    let report = String::from_utf8(report.unwrap()).unwrap();
    check(&report);
    report
}

/// What holds for every report.
fn check(report: &str) {
    assert!(!report.contains('\r') && report.ends_with("--\n"));
    assert!(report.lines().all(|line| line.len() <= 998));
    let message = MessageParser::default().parse(report).unwrap();
    let content_type = message.content_type().unwrap();
    assert_eq!((content_type.ctype(), content_type.subtype()), ("multipart", Some("report")));
    assert_eq!(content_type.attribute("report-type"), Some("delivery-status"));
    let PartType::Multipart(parts) = &message.parts[0].body else { panic!("{report}") };
    assert_eq!(parts.len(), 3, "{report}");
    assert_eq!(message.header_raw("Auto-Submitted").unwrap().trim(), "auto-replied");
}

/// The content type and the octets of a part, decoded.
fn part(report: &str, number: usize) -> (String, String) {
    let message = MessageParser::default().parse(report).unwrap();
    let PartType::Multipart(parts) = &message.parts[0].body else { panic!("{report}") };
    let part = &message.parts[parts[number] as usize];
    let content_type = part.content_type().unwrap();
    let kind = format!("{}/{}", content_type.ctype(), content_type.subtype().unwrap());
    let text = match &part.body {
        PartType::Message(inner) => String::from_utf8_lossy(inner.raw_message()).into_owned(),
        _ => String::from_utf8_lossy(part.contents()).into_owned(),
    };
    (kind, text)
}

/// Groups of fields, unfolded.
fn groups(report: &str) -> Vec<HashMap<String, String>> {
    let (_, text) = part(report, 1);
    let text = text.replace("\n ", " ");
    let fields = |group: &str| {
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?}"));
            (name.to_owned(), value.trim().to_owned())
        };
        group.lines().map(field).collect()
    };
    text.trim_end().split("\n\n").map(fields).collect()
}

#[test]
fn a_mailbox_that_is_not() {
    let mut envelope = envelope();
    envelope.envid = Some("QQ+2B1".into());
    let mut bob = bob();
    bob.orcpt = Some("rfc822;b+2Bb@aula.test".into());
    let report = composed(&envelope, &[entry(&bob, Action::Failed)], LETTER.as_bytes());
    let message = MessageParser::default().parse(&report).unwrap();
    let from = message.from().unwrap().first().unwrap();
    assert_eq!(from.address(), Some("MAILER-DAEMON@mail.example.test"));
    assert_eq!(message.to().unwrap().first().unwrap().address(), Some("ana@example.test"));
    assert_eq!(message.in_reply_to().as_text(), Some("1@example.test"));
    assert_eq!(message.references().as_text(), Some("1@example.test"));
    assert_eq!(message.date().unwrap().to_timestamp(), NOW as i64);
    assert!(message.message_id().unwrap().ends_with("@mail.example.test"));

    let (kind, words) = part(&report, 0);
    assert_eq!(kind, "text/plain");
    for said in [
        "<bob@aula.test>\n    There is no such mailbox",
        "mx.aula.test said:\n        550 5.1.1 No such user",
        "Ese buzón no existe",
        "mx.aula.test dijo:\n        550 5.1.1 No such user",
        "    C: RCPT TO:<bob@aula.test>\n    S: 550 5.1.1 No such user\n",
        "postmaster@mail.example.test",
    ] {
        assert!(words.contains(said), "{said:?} in {words}");
    }
    let (kind, _) = part(&report, 1);
    assert_eq!(kind, "message/delivery-status");
    let groups = groups(&report);
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[0]["Original-Envelope-Id"], "QQ+1");
    assert_eq!(groups[0]["Reporting-MTA"], "dns; mail.example.test");
    assert_eq!(groups[0]["Arrival-Date"], date(NOW - 600));
    for (name, value) in [
        ("Original-Recipient", "rfc822; b+b@aula.test"),
        ("Final-Recipient", "rfc822; bob@aula.test"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Remote-MTA", "dns; mx.aula.test"),
        ("Diagnostic-Code", "smtp; 550 5.1.1 No such user"),
        ("Last-Attempt-Date", &date(NOW - 60)),
        ("Final-Log-ID", "1k3"),
    ] {
        assert_eq!(groups[1][name], value);
    }
    assert!(!groups[1].contains_key("Will-Retry-Until"));
    assert_eq!(part(&report, 2), ("message/rfc822".into(), LETTER.into()));
}

#[test]
fn what_comes_back() {
    let header = LETTER.split_once("\n\n").unwrap().0.to_owned() + "\n";
    let whole = ("message/rfc822", LETTER.to_owned());
    let headers = ("text/rfc822-headers", header);
    let bob = bob();
    for (action, ret, expected) in [
        (Action::Failed, None, &whole),
        (Action::Failed, Some(Ret::Full), &whole),
        (Action::Failed, Some(Ret::Headers), &headers),
        (Action::Delayed, Some(Ret::Full), &headers),
        (Action::Delivered, Some(Ret::Full), &headers),
        (Action::Relayed("mx".into()), None, &headers),
    ] {
        let mut envelope = envelope();
        envelope.ret = ret;
        let report = composed(&envelope, &[entry(&bob, action)], LETTER.as_bytes());
        let (kind, text) = part(&report, 2);
        assert_eq!((&*kind, text), (expected.0, expected.1.clone()));
    }
    let large = format!("{LETTER}{}", "x\n".repeat(crate::limits::RETURNED as usize));
    let report = composed(&envelope(), &[entry(&bob, Action::Failed)], large.as_bytes());
    assert_eq!(part(&report, 2), (headers.0.to_owned(), headers.1.clone()));
    let long = format!("{LETTER}{}\n", "x".repeat(999));
    let report = composed(&envelope(), &[entry(&bob, Action::Failed)], long.as_bytes());
    assert_eq!(part(&report, 2), (headers.0.to_owned(), headers.1.clone()));
}

#[test]
fn octets_beyond_ascii() {
    let bob = bob();
    let letter = LETTER.replace("body", "cuerpo de la canción");
    let report = composed(&envelope(), &[entry(&bob, Action::Failed)], letter.as_bytes());
    assert!(report.contains("message/rfc822\nContent-Transfer-Encoding: 8bit\n"));
    assert!(report.split("\n\n").next().unwrap().ends_with("Content-Transfer-Encoding: 8bit"));
    assert_eq!(part(&report, 2).1, letter);

    // RFC 6533: neither the way back nor its header need RFC 6531.
    let mut envelope = envelope();
    envelope.utf8 = true;
    let mut jose = failed("josé@aula.test", "5.1.1", None, "no such user");
    jose.orcpt = Some("utf-8;jos\\x{E9}@aula.test".into());
    let letter = LETTER.replace("To: bob", "To: josé");
    let report = composed(&envelope, &[entry(&jose, Action::Failed)], letter.as_bytes());
    assert!(report.split("\n\n").next().unwrap().is_ascii());
    assert_eq!(part(&report, 1).0, "message/global-delivery-status");
    let groups = groups(&report);
    assert_eq!(groups[1]["Original-Recipient"], "utf-8; josé@aula.test");
    assert_eq!(groups[1]["Final-Recipient"], "utf-8; josé@aula.test");
    assert_eq!(groups[1]["Diagnostic-Code"], "X-Buzon; no such user");
    assert!(!groups[1].contains_key("Remote-MTA"));
    assert!(report.contains("message/global\nContent-Transfer-Encoding: quoted-printable\n"));
    assert!(report.contains("To: jos=C3=A9@aula.test"));
    envelope.ret = Some(Ret::Headers);
    let report = composed(&envelope, &[entry(&jose, Action::Failed)], letter.as_bytes());
    assert!(part(&report, 2).0 == "message/global-headers" && part(&report, 2).1.contains("josé"));
    // All of it in ASCII needs none of it.
    let report = composed(&envelope, &[entry(&bob, Action::Failed)], LETTER.as_bytes());
    assert!(!report.contains("message/global"));
}

#[test]
fn delays_and_successes() {
    let waiting = State::Waiting(Some(said("4.4.1", None, "no connection: refused")));
    let to = Recipient { state: waiting, ..Recipient::new(1, mailbox("bob@aula.test")) };
    let report = composed(&envelope(), &[entry(&to, Action::Delayed)], LETTER.as_bytes());
    let fields = &groups(&report)[1];
    assert_eq!((&*fields["Action"], &*fields["Status"]), ("delayed", "4.4.1"));
    assert_eq!(fields["Will-Retry-Until"], date(NOW + 86_400));
    assert!(report.contains("Subject: Delayed"));

    let to = Recipient { state: State::Done, ..Recipient::new(1, mailbox("bob@aula.test")) };
    for (action, name) in [
        (Action::Delivered, "delivered"),
        (Action::Relayed("mx.aula.test".into()), "relayed"),
        (Action::Expanded, "expanded"),
    ] {
        let dialogue = ["S: 250 2.0.0 ok, got it", "C: QUIT", "S: 221 bye"];
        let dialogue = Arc::new(dialogue.map(String::from).to_vec());
        let entries = [Entry { to: &to, action: action.clone(), dialogue }];
        let report = composed(&envelope(), &entries, LETTER.as_bytes());
        let fields = &groups(&report)[1];
        assert_eq!((&*fields["Action"], &*fields["Status"]), (name, "2.0.0"));
        assert_eq!(fields.contains_key("Remote-MTA"), name == "relayed");
        if name == "relayed" {
            // RFC 3461 §6.3 (i).
            assert_eq!(fields["Diagnostic-Code"], "smtp; 250 2.0.0 ok, got it");
        }
        assert!(!part(&report, 0).1.contains("QUIT"));
    }
}

#[test]
fn a_dialogue_is_told_once_and_not_without_end() {
    let (bob, eva) = (bob(), failed("eva@aula.test", "5.7.1", None, "no"));
    let mut first = entry(&bob, Action::Failed);
    first.dialogue = Arc::new((0..10_000).map(|number| format!("C: NOOP {number}")).collect());
    let second = Entry { to: &eva, action: Action::Failed, dialogue: first.dialogue.clone() };
    let report = composed(&envelope(), &[first, second], LETTER.as_bytes());
    assert_eq!(report.matches("C: NOOP 17\n").count(), 1);
    assert!(report.len() < 2 * crate::limits::REPORT_DIALOGUES && groups(&report).len() == 3);
}

#[test]
fn no_name_or_one_that_is_none() {
    let bob = bob();
    for strange in ["", "<a b@c>", "a@b", "<a>b>", "<>", "<a@b> <c@d>"] {
        let letter = LETTER.replace("<1@example.test>", strange);
        let report = composed(&envelope(), &[entry(&bob, Action::Failed)], letter.as_bytes());
        assert!(!report.contains("In-Reply-To"), "{strange}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever peers say and write, the parts stay three, and the letter what it was.
    #[test]
    fn nothing_breaks_out(
        text in "(.|\n|\r|\t){0,300}",
        status in "([245][.][0-9.]{0,9}|.{0,5})",
        orcpt in "(rfc822;|utf-8;)?([+][0-9A-F]{2}|.|\n|\\\\x[{][0-9A-F]{2,5}[}]){0,40}",
        letter in "([A-Z][a-z-]{1,9}: .{0,30}\n){0,4}\n?(--buzon.{0,20}\n|.{0,90}\n){0,9}",
        utf8: bool,
    ) {
        let mut envelope = envelope();
        envelope.utf8 = utf8;
        envelope.envid = Some(orcpt.clone());
        let mut bob = failed("bob@aula.test", &status, Some(&text), &text);
        bob.orcpt = Some(orcpt);
        let mut entry = entry(&bob, Action::Failed);
        entry.dialogue = Arc::new(vec![text]);
        let sender = envelope.reverse_path.clone().unwrap();
        let mut read = io::Cursor::new(letter.as_bytes());
        let report = compose(&site(), &envelope, &sender, &[entry], &mut read, NOW, NOW).unwrap();
        let report = String::from_utf8(report).unwrap();
        let (kind, given) = part(&report, 2);
        if !kind.ends_with("headers") {
            prop_assert_eq!(given.trim_end(), letter.trim_end());
        }
        check(&report);
        prop_assert_eq!(groups(&report).len(), 2);
    }
}
