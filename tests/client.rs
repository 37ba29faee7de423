//! The client's side of RFC 5321 with a host whose every reply is written down.

#![allow(clippy::unwrap_used)]

mod remote;

use buzon::mail::Mailbox;
use buzon::net::Trust;
use buzon::net::client::Place;
use buzon::smtp::client::{
    Connection, Encryption, Failure, Letter, Login, Peer, Recipient, Security, Sent, Step, Times,
    Verdict, survey,
};
use proptest::prelude::*;
use remote::{Certificate, Remote};
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

const OPEN: &str = "> 220 mx.example.test\n< EHLO me.test\n";
const OK: &str = "> 250 mx.example.test\n";
/// Without pipelining, up to the text.
const ENVELOPE: &str =
    "< MAIL FROM:<a@b>\n> 250 ok\n< RCPT TO:<x0@c>\n> 250 ok\n< DATA\n> 354 go\n";

/// Reading the roots takes a while, so that those who need no memory of their own share one.
fn shared() -> &'static Trust {
    static TRUST: LazyLock<Trust> = LazyLock::new(trust);
    &TRUST
}

fn trust() -> Trust {
    Trust::new(&[]).unwrap()
}

fn peer(address: SocketAddr) -> Peer<'static> {
    let patient = Duration::from_secs(20);
    Peer {
        place: Place::Tcp { address, source: None },
        name: "mx.example.test",
        hello: "me.test",
        lmtp: false,
        security: Security::Opportunistic,
        implicit_tls: false,
        login: None,
        times: Times { greeting: patient, command: patient, mail: patient, ..Times::default() },
    }
}

fn mailbox(local_part: &str, domain: &str) -> Mailbox {
    Mailbox { local_part: local_part.into(), domain: domain.into() }
}

fn open(remote: &Remote) -> Connection {
    let opened = Connection::open(&peer(remote.address), shared(), None);
    opened.unwrap_or_else(|broken| panic!("{}: {:#?}", broken.failure, broken.dialogue))
}

/// Sends a text from a@b to x0@c, x1@c and so on.
fn send(connection: &mut Connection, count: usize, text: &[u8]) -> Sent {
    let paths: Vec<Mailbox> = (0..count).map(|n| mailbox(&format!("x{n}"), "c")).collect();
    let paths: Vec<&Mailbox> = paths.iter().collect();
    send_to(connection, &paths, text, false)
}

fn send_to(connection: &mut Connection, paths: &[&Mailbox], text: &[u8], utf8: bool) -> Sent {
    let mut content = Cursor::new(text);
    let recipients: Vec<Recipient> = paths
        .iter()
        .map(|path| Recipient { path, notify: Some("NEVER"), orcpt: Some("rfc822;x@c") })
        .collect();
    let survey = survey(&mut content).unwrap();
    let letter = Letter {
        reverse_path: Some(&mailbox("a", "b")),
        recipients: &recipients,
        survey: &survey,
        utf8,
        ret: Some("HDRS"),
        envid: Some("abc"),
    };
    let sent = connection.send(&letter, &mut content);
    assert_eq!(sent.answers.len(), paths.len());
    sent
}

fn shown(sent: &Sent) -> Vec<String> {
    sent.answers.iter().map(ToString::to_string).collect()
}

#[test]
fn letters_one_after_another() {
    let script = format!(
        "{OPEN}> 250-mx.example.test\n> 250-SIZE 1000\n> 250-8BITMIME\n> 250 DSN\n\
         < MAIL FROM:<a@b> SIZE=8 RET=HDRS ENVID=abc\n> 250 ok\n\
         < RCPT TO:<x0@c> NOTIFY=NEVER ORCPT=rfc822;x@c\n> 251 ok\n\
         < DATA\n> 354 go\ntext\n> 250-taken\n> 250 2.0.0 as 17\n\
         < MAIL FROM:<a@b> SIZE=9 BODY=8BITMIME RET\n> 250 ok\n< RCPT\n> 200 ok\n< DATA\n> 354 go\n\
         text\n> 250 ok\n< QUIT\n> 221 bye\n"
    );
    let remote = Remote::new(script);
    let mut connection = open(&remote);
    assert_eq!(connection.server(), "mx.example.test");
    assert_eq!(shown(&send(&mut connection, 1, b"A: b\r\n\n")), ["250 taken / 2.0.0 as 17"]);
    let dialogue = connection.dialogue();
    assert!(dialogue.contains(&"C: (11 octets of text)".into()), "{dialogue:#?}");
    let sent = send(&mut connection, 1, "A\n\n\u{e9}".as_bytes());
    assert_eq!((shown(&sent), sent.failure), (vec!["250 ok".to_owned()], None));
    // What was said of the first letter is not for the sender of the second.
    assert!(!connection.dialogue().iter().any(|line| line.contains("taken")));
    let large = send(&mut connection, 1, &[b'x'; 1200]);
    assert_eq!(shown(&large)[0][..9], *"552 5.3.4");
    assert_eq!(large.answers[0].verdict(), Verdict::Permanent);
    connection.quit();
    assert_eq!(remote.heard().texts, [&b"A: b\r\n\r\n"[..], "A\r\n\r\n\u{e9}\r\n".as_bytes()]);
}

#[test]
fn replies_of_each_class_at_each_command() {
    use Verdict::{Accepted, Permanent, Temporary};
    for (code, verdict) in [
        (200, Accepted),
        (250, Accepted),
        (299, Accepted),
        (421, Temporary),
        (450, Temporary),
        (499, Temporary),
        (500, Permanent),
        (521, Permanent),
        (554, Permanent),
        (599, Permanent),
    ] {
        for step in [Step::Mail, Step::Rcpt, Step::Data, Step::End] {
            if (verdict, step) != (Accepted, Step::End) && verdict == Accepted {
                continue;
            }
            let reply = |at, usual: &str| match at == step {
                true => format!("> {code} so\n"),
                false => format!("> {usual}\n"),
            };
            let mut script = format!("{OPEN}{OK}< MAIL\n{}", reply(Step::Mail, "250 ok"));
            for (at, part, usual) in [
                (Step::Rcpt, "< RCPT\n", "250 ok"),
                (Step::Data, "< DATA\n", "354 go"),
                (Step::End, "text\n", "250 ok"),
            ] {
                let is_behind = step as usize >= at as usize;
                script +=
                    &if is_behind { part.to_owned() + &reply(at, usual) } else { String::new() };
            }
            if code != 421 && verdict != Accepted {
                script += "< RSET\n> 250 ok\n";
            }
            if code != 421 {
                script += &format!("{ENVELOPE}text\n> 250 next\n");
            }
            let remote = Remote::new(script);
            let mut connection = open(&remote);
            let sent = send(&mut connection, 1, b"A: b\n\nc\n");
            assert_eq!(shown(&sent), [format!("{code} so")], "{step:?}");
            assert_eq!(sent.answers[0].verdict(), verdict, "{code} {step:?}");
            assert_eq!((sent.answers[0].step, sent.failure.is_some()), (step, code == 421));
            assert_eq!(connection.is_open(), code != 421);
            if code != 421 {
                assert_eq!(shown(&send(&mut connection, 1, b"d")), ["250 next"], "{code} {step:?}");
            }
            remote.heard();
        }
    }
}

#[test]
fn greetings_and_hellos() {
    for (script, expected) in [
        ("> 554 no mail here\n", "the greeting was 554 no mail here"),
        ("> 521 no mail here\n", "the greeting was 521 no mail here"),
        ("> 421 too busy\n", "the greeting was 421 too busy"),
        ("> SSH-2.0-OpenSSH_9.7\n", "the greeting is none of RFC 5321: 'SSH-2.0-OpenSSH_9.7'"),
        ("> 220-a\n> 220?b\n", "the greeting is none of RFC 5321: '220?b'"),
        ("> 150 hm\n", "the greeting is none of RFC 5321: '150 hm'"),
        ("cut\n", "the connection was cut instead of the greeting"),
        ("> 220 hi\n< EHLO\n> 450 later\n", "the reply to EHLO was 450 later"),
        (
            "> 220 hi\n< EHLO\n> 502 what\n< HELO me.test\n> 550 no\n",
            "the reply to EHLO was 550 no",
        ),
        ("> 220 hi\n< EHLO\ncut\n", "the connection was cut instead of the reply to EHLO"),
    ] {
        let remote = Remote::new(script);
        let broken = Connection::open(&peer(remote.address), shared(), None).err().unwrap();
        assert_eq!(broken.failure.to_string(), expected);
        remote.heard();
    }
    // A server of 1982 has no extensions.
    let script = "> 220 hi\n< EHLO me.test\n> 500 what\n< HELO me.test\n> 250 old.test hi\n\
                  < MAIL FROM:<a@b>\n> 250 ok\n< RCPT TO:<x0@c>\n> 250 ok\n< DATA\n> 354 go\ntext\n\
                  > 250 ok\n";
    let remote = Remote::new(script);
    let mut connection = open(&remote);
    assert_eq!(connection.server(), "old.test");
    assert_eq!(shown(&send(&mut connection, 1, "A: b\n\ncaf\u{e9}\n".as_bytes())), ["250 ok"]);
    let text = String::from_utf8(remote.heard().texts.remove(0)).unwrap();
    assert!(text.ends_with("\r\n\r\ncaf=C3=A9\r\n"), "{text}");
}

#[test]
fn a_host_that_is_not_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let broken = Connection::open(&peer(address), shared(), None).err().unwrap();
    assert!(matches!(broken.failure, Failure::Unreachable(_)), "{:?}", broken.failure);
    assert_eq!(broken.failure.answer().verdict(), Verdict::Temporary);
}

#[test]
fn connections_cut_and_silent_at_each_point() {
    let parts =
        ["< MAIL\n> 250 ok\n", "< RCPT\n> 250 ok\n", "< DATA\n> 354 go\n", "text\n> 250 ok\n"];
    let steps = [Step::Mail, Step::Rcpt, Step::Data, Step::End];
    for (at, step) in steps.into_iter().enumerate() {
        let heard = parts[at].split_once('\n').unwrap().0;
        for end in ["cut", "silence", "> 25"] {
            let script = format!("{OPEN}{OK}{}{heard}\n{end}\n", parts[..at].concat());
            let remote = Remote::new(script);
            let mut peer = peer(remote.address);
            let short = Duration::from_millis(if end == "silence" { 60 } else { 20_000 });
            let times = &mut peer.times;
            (times.mail, times.rcpt, times.data, times.end) = (short, short, short, short);
            let mut connection = Connection::open(&peer, shared(), None).ok().unwrap();
            let sent = send(&mut connection, 1, b"A: b\n\nc\n");
            let failure = match end {
                "cut" => Failure::Cut(step),
                "silence" => Failure::Timeout(step),
                _ => Failure::Garbage(step, "'25'".into()),
            };
            assert_eq!(sent.failure, Some(failure), "{end}");
            let answer = &sent.answers[0];
            assert_eq!((answer.verdict(), answer.from_us), (Verdict::Temporary, true));
            let twice = answer.to_string().contains("may come twice");
            assert_eq!(twice, step == Step::End && end != "> 25");
            // Nothing more is said on it.
            assert!(send(&mut connection, 1, b"d").failure.is_some());
            drop(connection);
            remote.heard();
        }
    }
}

#[test]
fn pipelining() {
    // All is said at once: no reply comes before DATA was heard.
    let hello = format!("{OPEN}> 250-mx.example.test\n> 250 PIPELINING\n");
    let rcpts: String = (0..100).map(|n| format!("< RCPT TO:<x{n}@c>\n")).collect();
    let replies: String = (0..100)
        .map(|n| match n {
            17 => "> 550-5.1.1 who\n> 550 5.1.1 is that\n".to_owned(),
            42 => "> 452 4.5.3 enough\n".to_owned(),
            99 => "> 552 too many\n".to_owned(),
            _ => "> 250 ok\n".to_owned(),
        })
        .collect();
    let script = format!(
        "{hello}< MAIL\n{rcpts}< DATA\n> 250 ok\n{replies}> 354 go\ntext\n> 250 taken\n\
         < MAIL\n< RCPT\n< RCPT\n< DATA\n> 250 ok\n> 550 no\n> 450 no\n> 354 go\ntext\n> 554 nobody\n\
         < RSET\n< MAIL\n< RCPT\n< DATA\n> 250 reset\n> 550 not from you\n> 503 a\n> 503 b\n\
         < RSET\n< MAIL\n< RCPT\n< DATA\n> 250 reset\n> 250 ok\n> 250 ok\n> 451 later\n< QUIT\n> 221 a\n"
    );
    let remote = Remote::new(script);
    let mut connection = open(&remote);
    let sent = send(&mut connection, 100, b"A: b\n\nc\n");
    let failed: Vec<(usize, Verdict)> = (0..100)
        .map(|n| (n, sent.answers[n].verdict()))
        .filter(|(_, verdict)| *verdict != Verdict::Accepted)
        .collect();
    let expected = [(17, Verdict::Permanent), (42, Verdict::Temporary), (99, Verdict::Temporary)];
    assert_eq!(failed, expected);
    assert_eq!(sent.answers[17].to_string(), "550 5.1.1 who / 5.1.1 is that");
    assert_eq!(sent.answers[0].to_string(), "250 taken");
    // RFC 2920 §3.1: DATA is taken though nobody is, so a lone dot goes.
    assert_eq!(shown(&send(&mut connection, 2, b"A: b\n\nc\n")), ["550 no", "450 no"]);
    assert_eq!(shown(&send(&mut connection, 1, b"A")), ["550 not from you"]);
    assert_eq!(shown(&send(&mut connection, 1, b"A")), ["451 later"]);
    connection.quit();
    let heard = remote.heard();
    assert_eq!(heard.texts, [&b"A: b\r\n\r\nc\r\n"[..], b""]);
}

#[test]
fn many_recipients_do_not_fill_the_windows() {
    let domain = format!("{}.test", ["d".repeat(60), "e".repeat(60), "f".repeat(60)].join("."));
    let paths: Vec<Mailbox> = (0..1000).map(|n| mailbox(&format!("x{n}"), &domain)).collect();
    let hello = format!("{OPEN}> 250-mx.example.test\n> 250 PIPELINING\n< MAIL\n> 250 ok\n");
    let long = "o".repeat(480);
    let rcpts = format!("< RCPT\n> 250 {long}\n").repeat(1000);
    let remote = Remote::new(format!("{hello}{rcpts}< DATA\n> 354 go\ntext\n> 250 ok\n"));
    let mut connection = open(&remote);
    let paths: Vec<&Mailbox> = paths.iter().collect();
    let sent = send_to(&mut connection, &paths, b"A", false);
    assert!(sent.answers.iter().all(|answer| answer.to_string() == "250 ok"));
    assert!(connection.dialogue().len() < 300);
    remote.heard();
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let hello = "> 220 hi\n< LHLO me.test\n> 250-mx.example.test\n> 250 PIPELINING\n";
    let script = format!(
        "{hello}< MAIL\n< RCPT\n< RCPT\n< RCPT\n< DATA\n> 250 ok\n> 250 ok\n> 550 no\n> 250 ok\n\
         > 354 go\ntext\n> 250 first\n> 452 4.2.2 third\n\
         < MAIL\n< RCPT\n< RCPT\n< DATA\n> 250 ok\n> 250 ok\n> 250 ok\n> 354 go\ntext\n> 250 first\ncut\n"
    );
    let remote = Remote::new(script);
    let lmtp = Peer { lmtp: true, ..peer(remote.address) };
    let mut connection = Connection::open(&lmtp, shared(), None).ok().unwrap();
    let sent = send(&mut connection, 3, b"A: b\n\nc\n");
    assert_eq!(shown(&sent), ["250 first", "550 no", "452 4.2.2 third"]);
    let sent = send(&mut connection, 2, b"A: b\n\nc\n");
    assert_eq!(sent.failure, Some(Failure::Cut(Step::End)));
    assert_eq!(sent.answers[0].to_string(), "250 first");
    assert_eq!(sent.answers[1].verdict(), Verdict::Temporary);
    remote.heard();
}

#[test]
fn a_lone_dot_ends_lmtp() {
    // RFC 2033 §4.2: DATA must be refused here; a server that takes it may answer the dot or not.
    let script = "> 220 hi\n< LHLO\n> 250-mx\n> 250 PIPELINING\n\
                  < MAIL\n< RCPT\n< DATA\n> 250 ok\n> 550 no\n> 354 go\ntext\n";
    let remote = Remote::new(script);
    let lmtp = Peer { lmtp: true, ..peer(remote.address) };
    let mut connection = Connection::open(&lmtp, shared(), None).ok().unwrap();
    let sent = send(&mut connection, 1, b"A: b\n\nc\n");
    assert_eq!((shown(&sent), sent.failure), (vec!["550 no".to_owned()], None));
    assert!(!connection.is_open());
    assert_eq!(remote.heard().texts, [b""]);
}

#[test]
fn nobody_adds_a_command() {
    let remote = Remote::new(format!("{OPEN}{OK}{ENVELOPE}text\n> 250 ok\n"));
    let mut connection = open(&remote);
    let evil = mailbox("x>\r\nRCPT TO:<y", "c");
    let worse = mailbox("x", "c>\nDATA");
    let spaced = mailbox("x", "c> NOTIFY=<");
    let good = mailbox("x0", "c");
    let sent = send_to(&mut connection, &[&evil, &worse, &spaced, &good], b"A: b\n\nc\n", false);
    assert_eq!(sent.failure, None);
    for answer in &sent.answers[..3] {
        assert_eq!(answer.to_string(), "553 5.1.3 the address holds a control character");
    }
    assert_eq!(sent.answers[3].to_string(), "250 ok");
    assert_eq!(remote.heard().lines.len(), 4);
}

#[test]
fn utf8_goes_where_it_is_offered() {
    let (plain, utf8) = (mailbox("x0", "c"), mailbox("\u{f1}and\u{fa}", "c"));
    let remote = Remote::new(format!("{OPEN}{OK}{ENVELOPE}text\n> 250 ok\n"));
    let mut connection = open(&remote);
    let sent = send_to(&mut connection, &[&utf8, &plain], b"A: b\n\nc\n", true);
    assert_eq!(shown(&sent)[0][..9], *"553 5.6.7");
    assert_eq!(sent.answers[1].to_string(), "250 ok");
    let sent = send_to(&mut connection, &[&plain], "A: \u{e9}\n\nc\n".as_bytes(), true);
    assert_eq!(sent.answers[0].status.as_deref(), Some("5.6.7"));
    remote.heard();
    let script = format!(
        "{OPEN}> 250-mx\n> 250-8BITMIME\n> 250 SMTPUTF8\n\
         < MAIL FROM:<a@b> BODY=8BITMIME SMTPUTF8\n> 250 ok\n< RCPT TO:<\u{f1}and\u{fa}@c>\n> 250 ok\n\
         < DATA\n> 354 go\ntext\n> 250 ok\n"
    );
    let remote = Remote::new(script);
    let mut connection = open(&remote);
    let sent = send_to(&mut connection, &[&utf8], "A: \u{e9}\n\nc\n".as_bytes(), true);
    assert_eq!(shown(&sent), ["250 ok"]);
    remote.heard();
}

#[test]
fn what_is_signed_is_not_changed() {
    let remote = Remote::new(format!("{OPEN}{OK}silence"));
    let mut connection = open(&remote);
    let text = "Content-Type: multipart/signed; boundary=b\n\n--b\n\n\u{e9}\n--b--\n";
    let sent = send(&mut connection, 2, text.as_bytes());
    assert_eq!(sent.answers[1].status.as_deref(), Some("5.6.3"));
    assert_eq!((sent.answers[1].verdict(), sent.failure), (Verdict::Permanent, None));
    drop(connection);
    remote.heard();
}

const TLS: &str = "> 220 hi\n< EHLO\n> 250-mx\n> 250 STARTTLS\n< STARTTLS\n> 220 go\ntls\n";

#[test]
fn tls_as_good_as_it_gets() {
    let certificate = Certificate::new(&["mx.example.test"]);
    let known = Trust::new(&[certificate.pem()]).unwrap();
    let again = "< EHLO\n> 250-mx.example.test\n> 250 SIZE\n";
    let try_it = |script: String, security, trust: &Trust| {
        let remote = Remote::with(script, Some(&certificate));
        let peer = Peer { security, ..peer(remote.address) };
        let opened = Connection::open(&peer, trust, None);
        let result = opened.map(|connection| {
            assert!(connection.offers().size.is_some());
            connection.encryption().clone()
        });
        remote.heard();
        result.map_err(|broken| broken.failure)
    };
    for security in [Security::Opportunistic, Security::Encrypted, Security::Verified] {
        let reached = try_it(format!("{TLS}{again}"), security, &known).unwrap();
        assert_eq!(reached.to_string(), "TLSv1.3 TLS_AES_256_GCM_SHA384, verified");
    }
    // A certificate that nobody knows: on another connection, and remembered.
    let unknown = trust();
    let reached =
        try_it(format!("{TLS}next\n{TLS}{again}"), Security::Encrypted, &unknown).unwrap();
    let Encryption::Tls(secured) = &reached else { panic!("{reached}") };
    assert!(secured.verified.as_ref().is_err_and(|why| why.contains("self-signed")), "{reached}");
    assert_eq!(try_it(format!("{TLS}{again}"), Security::Opportunistic, &unknown), Ok(reached));
    let refused = try_it(TLS.into(), Security::Verified, &unknown);
    assert!(matches!(refused, Err(Failure::Tls(_))), "{refused:?}");
    // TLS that breaks, three times.
    let broken = TLS.replace("tls\n", "> what is this\ncut\n");
    let twice = format!("{broken}next\n{broken}");
    let plain = format!("next\n> 220 hi\n{again}");
    let reached = try_it(format!("{twice}{plain}"), Security::Opportunistic, &trust()).unwrap();
    assert!(matches!(&reached, Encryption::Clear(Some(_))), "{reached}");
    let refused = try_it(twice, Security::Encrypted, &trust());
    assert!(matches!(refused, Err(Failure::Tls(_))), "{refused:?}");
    // Not offered, or offered and refused.
    let (none, no) = (format!("> 220 hi\n{again}"), "< STARTTLS\n> 454 4.7.0 not now\n");
    let refusing = format!("{}{no}", none.replace("250 SIZE", "250-SIZE\n> 250 STARTTLS"));
    for script in [none, refusing] {
        let reached = try_it(script.clone(), Security::Opportunistic, &known).unwrap();
        assert!(reached.to_string().starts_with("in clear: STARTTLS"), "{reached}");
        let refused = try_it(script, Security::Encrypted, &known);
        assert!(matches!(refused, Err(Failure::NoTls(_))), "{refused:?}");
    }
}

#[test]
fn tls_from_the_first_octet_on() {
    let certificate = Certificate::new(&["mx.example.test"]);
    let known = Trust::new(&[certificate.pem()]).unwrap();
    let script = format!("tls\n{OPEN}{OK}{ENVELOPE}text\n> 250 ok\n");
    let remote = Remote::with(script, Some(&certificate));
    let peer = |remote: &Remote| Peer { implicit_tls: true, ..peer(remote.address) };
    let mut connection = Connection::open(&peer(&remote), &known, None).ok().unwrap();
    assert!(connection.encryption().to_string().ends_with(", verified"));
    assert_eq!(shown(&send(&mut connection, 1, &b".\n".repeat(300_000))), ["250 ok"]);
    assert_eq!(remote.heard().texts[0].len(), 900_000);
    // Never in clear.
    let remote = Remote::new("> 220 hi\nnext\n> 220 hi\n");
    let broken = Connection::open(&peer(&remote), &known, None).err().unwrap();
    assert!(matches!(broken.failure, Failure::Tls(_)), "{:?}", broken.failure);
    remote.heard();
}

#[test]
fn a_host_that_does_not_take_the_text() {
    // It reads nothing more until somebody else comes.
    let remote = Remote::new(format!("{OPEN}{OK}{ENVELOPE}next"));
    let mut peer = peer(remote.address);
    peer.times.block = Duration::from_millis(100);
    let mut connection = Connection::open(&peer, shared(), None).ok().unwrap();
    let sent = send(&mut connection, 1, &b"0123456789abcde\n".repeat(2 << 20));
    assert_eq!(sent.failure, Some(Failure::Timeout(Step::Text)));
    assert_eq!(sent.answers[0].verdict(), Verdict::Temporary);
    drop(std::net::TcpStream::connect(remote.address).unwrap());
    remote.heard();
}

#[test]
fn what_cannot_be_read_is_not_sent_as_a_whole() {
    struct Torn(Cursor<Vec<u8>>);
    impl Read for Torn {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(std::io::Error::other("the disk is gone")),
                count => Ok(count),
            }
        }
    }
    impl Seek for Torn {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }
    // What comes is not ended by a dot, but by the end of the connection.
    let remote = Remote::new(format!("{OPEN}{OK}{ENVELOPE}silence"));
    let mut connection = open(&remote);
    let (from, to) = (mailbox("a", "b"), mailbox("x0", "c"));
    let letter = Letter {
        reverse_path: Some(&from),
        recipients: &[Recipient { path: &to, notify: None, orcpt: None }],
        survey: &survey(&mut Cursor::new(b"A: b\n")).unwrap(),
        utf8: false,
        ret: None,
        envid: None,
    };
    let sent = connection.send(&letter, &mut Torn(Cursor::new(b"A: b\n".to_vec())));
    assert_eq!(sent.failure, Some(Failure::Content("the disk is gone".into())));
    assert_eq!(sent.answers[0].verdict(), Verdict::Temporary);
    connection.quit();
    assert_eq!(remote.heard().lines.len(), 4);
}

#[test]
fn words_before_the_handshake_are_not_believed() {
    let injected = TLS.replace("> 220 go\ntls\n", "> 220 go\\r\\n250 trap\nsilence\n");
    let remote = Remote::new(format!("{injected}next\n{injected}"));
    let peer = Peer { security: Security::Encrypted, ..peer(remote.address) };
    let broken = Connection::open(&peer, shared(), None).err().unwrap();
    assert!(matches!(broken.failure, Failure::Tls(_)), "{:?}", broken.failure);
    remote.heard();
}

#[test]
fn logins() {
    let hello = |auth: &str| format!("{OPEN}> 250-mx\n> 250 AUTH {auth}\n");
    for (auth, exchange, expected) in [
        (
            "PLAIN CRAM-MD5",
            "< AUTH CRAM-MD5\n> 334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\n\
             < dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\n> 235 ok\n",
            None,
        ),
        ("LOGIN PLAIN", "< AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\n> 235 ok\n", None),
        (
            "LOGIN",
            "< AUTH LOGIN\n> 334 VXNlcm5hbWU6\n< dGlt\n> 334 UGFzc3dvcmQ6\n< dGFuc3RhYWZ0YW5zdGFhZg==\n\
             > 535 5.7.8 no\n",
            Some("no login: 535 5.7.8 no"),
        ),
        (
            "LOGIN",
            "< AUTH LOGIN\n> 334 \n< dGlt\n> 334 \n< dGFuc3R\n> 334 \n< *\n> 501 gone\n",
            Some("no login: 501 gone"),
        ),
        ("GSSAPI", "", Some("no login: AUTH offers 'GSSAPI', and none will do")),
    ] {
        let remote = Remote::new(format!("{}{exchange}", hello(auth)));
        let login = Some(Login { name: "tim", password: "tanstaaftanstaaf" });
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        let watch = Box::new(move |line: &str| seen.lock().unwrap().push(line.to_owned()));
        let peer = Peer { login, ..peer(remote.address) };
        let failure = match Connection::open(&peer, shared(), Some(watch)) {
            Ok(_) => None,
            Err(broken) => Some(broken.failure.to_string()),
        };
        assert_eq!(failure.as_deref(), expected, "{auth}");
        let lines = lines.lock().unwrap().join("\n");
        for secret in ["dGFuc3R", "AHRpbQ", "dGltIGI5"] {
            assert!(!lines.contains(secret), "{lines}");
        }
        assert!(lines.contains("S: 250 AUTH"), "{lines}");
        remote.heard();
    }
}

/// 0.0.0.0 leads to this host, and is no address of its loopback.
#[test]
fn passwords_are_for_hosts_that_prove_their_names() {
    let certificate = Certificate::new(&["mx.example.test"]);
    let known = Trust::new(&[certificate.pem()]).unwrap();
    let try_it = |script: &str, implicit_tls: bool, trust: &Trust| {
        let remote = Remote::with(script, Some(&certificate));
        let address = SocketAddr::from(([0, 0, 0, 0], remote.address.port()));
        let login = Some(Login { name: "tim", password: "tanstaaftanstaaf" });
        let opened = Connection::open(&Peer { login, implicit_tls, ..peer(address) }, trust, None);
        remote.heard();
        opened.map(drop).map_err(|broken| broken.failure.to_string())
    };
    let asked = "< EHLO\n> 250-mx\n> 250 AUTH PLAIN CRAM-MD5\n";
    let login = format!("{asked}< AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\n> 235 ok\n");
    let (early, implicit) = (format!("{TLS}{login}"), format!("tls\n> 220 hi\n{login}"));
    assert_eq!(try_it(&early, false, &known), Ok(()));
    assert_eq!(try_it(&implicit, true, &known), Ok(()));
    let only = "a password is only for a host whose certificate is valid";
    let clear = format!("> 220 hi\n{asked}");
    for (script, implicit_tls) in [(TLS, false), ("tls\n", true), (&*clear, false)] {
        let refused = try_it(script, implicit_tls, &trust()).unwrap_err();
        assert!(refused.starts_with("TLS ") && refused.ends_with(only), "{refused}");
    }
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b".".to_vec()),
        Just(b"..".to_vec()),
        Just(b".x".to_vec()),
        Just(Vec::new()),
        "[ -~]{0,90}".prop_map(String::into_bytes),
        (900usize..999).prop_map(|count| vec![b'.'; count]),
        proptest::collection::vec(1u8..=255, 0..80),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_arrive_as_they_were(
        lines in proptest::collection::vec(line(), 0..400),
        ended in any::<bool>(),
        crlf in any::<bool>(),
    ) {
        let lines: Vec<Vec<u8>> = lines
            .into_iter()
            .map(|line| line.into_iter().filter(|octet| !b"\r\n".contains(octet)).collect())
            .collect();
        let end: &[u8] = if crlf { b"\r\n" } else { b"\n" };
        let mut text = [&b"A: b"[..], end, end].concat();
        text.extend_from_slice(&lines.join(end));
        if ended {
            text.extend_from_slice(end);
        }
        let mut expected = [&b"A: b\r\n\r\n"[..], &lines.join(&b"\r\n"[..])].concat();
        if !expected.ends_with(b"\r\n") || ended {
            expected.extend_from_slice(b"\r\n");
        }
        let remote = Remote::new(format!("{OPEN}> 250-mx\n> 250 8BITMIME\n{ENVELOPE}text\n> 250 ok\n"));
        let mut connection = open(&remote);
        prop_assert_eq!(shown(&send(&mut connection, 1, &text)), ["250 ok"]);
        let heard = remote.heard();
        prop_assert_eq!(String::from_utf8_lossy(&heard.texts[0]), String::from_utf8_lossy(&expected));
        prop_assert!(heard.texts[0] == expected);
    }
}
