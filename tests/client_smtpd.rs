//! Our client and our server: letters by SMTP, submission and LMTP, in clear and under TLS.

#![allow(clippy::unwrap_used)]

mod daemons;

use buzon::mail::Mailbox;
use buzon::net::Trust;
use buzon::net::client::Place;
use buzon::smtp::client::{
    Connection, Letter, Login, Peer, Recipient, Security, Times, Verdict, survey,
};
use daemons::Site;
use std::io::Cursor;

fn peer(address: &str) -> Peer<'static> {
    Peer {
        place: Place::Tcp { address: address.parse().unwrap(), source: None },
        name: "mail.example.test",
        hello: "aula.test",
        lmtp: false,
        security: Security::Clear,
        implicit_tls: false,
        login: None,
        times: Times::default(),
    }
}

fn mailbox(local_part: &str) -> Mailbox {
    Mailbox { local_part: local_part.into(), domain: "example.test".into() }
}

/// Sends a letter, and gives the codes of the answers back.
fn send(connection: &mut Connection, to: &[&str], text: &str) -> Vec<u16> {
    let mut content = Cursor::new(text);
    let (from, to): (_, Vec<Mailbox>) = (mailbox("alice"), to.iter().map(|n| mailbox(n)).collect());
    let recipient = |path| Recipient { path, notify: None, orcpt: None };
    let letter = Letter {
        reverse_path: Some(&from),
        recipients: &to.iter().map(recipient).collect::<Vec<_>>(),
        survey: &survey(&mut content).unwrap(),
        utf8: false,
        ret: None,
        envid: None,
    };
    let sent = connection.send(&letter, &mut content);
    assert_eq!(sent.failure, None, "{:#?}", connection.dialogue());
    sent.answers.iter().map(|answer| answer.code).collect()
}

#[test]
fn letters_in_clear_under_tls_and_after_a_login() {
    let mut site = Site::new("certificate a.pem a.key\nlmtp 127.0.0.1:0\n");
    site.change("submission none", "submission 127.0.0.1:0");
    site.certify("a", &["mail.example.test"]);
    let trust = Trust::new(&[std::fs::read(site.path("a.pem")).unwrap()]).unwrap();
    let smtpd = site.start("smtpd", &[]);
    let address = |role: &str| {
        let at = ["smtp", "submission", "lmtp"].iter().position(|r| *r == role).unwrap();
        smtpd.addresses[at].clone()
    };
    let login = Some(Login { name: "alice", password: "secret" });
    let mut expected = 0;
    for (role, security, login, encryption) in [
        ("smtp", Security::Clear, None, "in clear"),
        ("smtp", Security::Verified, None, ", verified"),
        ("lmtp", Security::Opportunistic, None, ""),
        ("submission", Security::Encrypted, login, ", verified"),
    ] {
        let peer = Peer { security, login, lmtp: role == "lmtp", ..peer(&address(role)) };
        let opened = Connection::open(&peer, &trust, None);
        let mut connection = opened.unwrap_or_else(|broken| panic!("{role}: {broken:#?}"));
        assert!(connection.offers().pipelining && connection.offers().eight_bit, "{role}");
        assert!(connection.encryption().to_string().ends_with(encryption), "{role}");
        assert_eq!(connection.server(), "mail.example.test");
        for n in 0..3 {
            // Whole, so that the server adds nothing (RFC 6409 §8).
            let basics = "From: a@b\nDate: Sat, 21 Nov 2026 10:00:00 +0000\nMessage-ID: <1@b>\n";
            let text = "x".repeat(n);
            let text = format!("{basics}Subject: {role} {n}\n\n.\n..caf\u{e9}\n{text}");
            assert_eq!(send(&mut connection, &["alice", "nobody", "bob"], &text), [250, 550, 250]);
            let text = format!("{}\n", text.trim_end_matches('\n'));
            expected += 1;
            for user in ["alice", "bob"] {
                let messages = site.messages(user);
                assert_eq!(messages.len(), expected, "{role}");
                assert!(messages.iter().any(|message| message.ends_with(&text)), "{messages:#?}");
            }
        }
        assert_eq!(send(&mut connection, &["nobody"], "a"), [550]);
        connection.quit();
    }
    let wrong = Some(Login { name: "alice", password: "wrong" });
    let peer = Peer { login: wrong, security: Security::Verified, ..peer(&address("submission")) };
    let broken = Connection::open(&peer, &trust, None).err().unwrap();
    assert!(broken.failure.to_string().starts_with("no login: 535"), "{broken:#?}");
    assert_eq!(broken.failure.verdict(), Verdict::Temporary);
    assert!(!broken.dialogue.concat().contains("d3Jvbmc"), "{broken:#?}");
}
