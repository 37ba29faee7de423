//! deliver(8) as other mail programs use it: a letter in, a message in the box, an exit code.

#![allow(clippy::unwrap_used)]

mod daemons;

use daemons::Site;
use std::io::Write;
use std::process::Stdio;

const LETTER: &str = "Received: from a by b; now\nSubject: hola\n\nText\n";

/// Exit code and standard error.
fn deliver(site: &Site, words: &[&str], letter: &[u8]) -> (i32, String) {
    let mut command = site.command("deliver");
    let mut child = command.args(words).stdin(Stdio::piped()).spawn().unwrap();
    // Who refuses the words does not read.
    let _ = child.stdin.take().unwrap().write_all(letter);
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The one message of a box that was empty.
fn only(site: &Site, user: &str) -> String {
    let mut messages = site.messages(user);
    assert_eq!(messages.len(), 1, "{messages:?}");
    for entry in std::fs::read_dir(site.maildir(user).join("new")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    messages.remove(0)
}

#[test]
fn a_letter_and_who_sent_it() {
    let site = Site::new("");
    let crlf = LETTER.replace('\n', "\r\n");
    let from = |line: &str| format!("{line}\n{LETTER}");
    let caller = nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap().name;
    for (words, letter, sender) in [
        (&["-r", "bob@far.test", "alice"][..], LETTER.into(), "bob@far.test"),
        (&["-r", "<bob@far.test>", "alice@example.test"], crlf, "bob@far.test"),
        (&["-r", "", "Alice+list"], LETTER.into(), ""),
        (&["-r", "MAILER-DAEMON", "alice"], LETTER.into(), ""),
        (&["-r", "bob", "alice"], from("From eva@far.test Fri Nov 20 2026"), "bob@example.test"),
        (&["alice"], from("From eva@far.test Fri Nov 20 2026"), "eva@far.test"),
        (&["alice"], from("From MAILER-DAEMON Fri Nov 20 2026"), ""),
        (&["alice"], from("Return-Path: <eva@far.test>"), "eva@far.test"),
        (&["alice"], LETTER.into(), &format!("{caller}@example.test")),
    ] {
        assert_eq!(deliver(&site, words, letter.as_bytes()), (0, String::new()), "{words:?}");
        let expected =
            format!("Return-Path: <{sender}>\nDelivered-To: alice@example.test\n{LETTER}");
        assert_eq!(only(&site, "alice"), expected, "{words:?}");
    }
}

#[test]
fn any_octets_are_a_letter_and_large_ones_too() {
    let site = Site::new("");
    let line = "x".repeat(99) + "\n";
    let large = format!("Subject: large\n\n{}", line.repeat(20_000));
    for (letter, stored) in [(&large[..], &large[..]), ("", ""), ("\0\n.\n", "\n\0\n.\n")] {
        assert_eq!(deliver(&site, &["-r", "", "alice"], letter.as_bytes()), (0, String::new()));
        let head = "Return-Path: <>\nDelivered-To: alice@example.test\n";
        assert!(only(&site, "alice") == format!("{head}{stored}"), "{} octets", stored.len());
    }
}

#[test]
fn exit_codes_say_whether_to_try_again() {
    let mut site = Site::new("message_size 1M\nquota 100k\n");
    let been = |above: &str, below: &str| {
        format!("{above}Received: from a by b; now\n{below}Subject: x\n\nText\n").into_bytes()
    };
    let line = "Delivered-To: alice@example.test\n";
    let hops = "Received: from a by b; now\n".repeat(101);
    let (large, larger) = (vec![b'x'; 200_000], vec![b'x'; 2_000_000]);
    let letter = LETTER.as_bytes().to_vec();
    for (words, letter, code, told) in [
        (&["nobody"][..], letter.clone(), 67, "there is no user 'nobody'"),
        (&["alice@far.test"], letter.clone(), 67, "there is no user"),
        (&["alice", "bob"], letter.clone(), 64, "usage: deliver"),
        (&["-x", "alice"], letter.clone(), 64, "usage: deliver"),
        (&["-r", "a b", "alice"], letter.clone(), 64, "is no address"),
        (&["alice"], been(line, ""), 0, ""),
        (&["alice"], been("", line), 65, "came back"),
        (&["bob"], been("", line), 0, ""),
        (&["alice"], been(&hops, ""), 65, "102 hops"),
        (&["alice"], larger, 65, "2000000 octets"),
        (&["alice"], large, 65, "cannot hold this letter"),
        (&["alice"], vec![b'x'; 99_000], 0, ""),
        (&["alice"], vec![b'x'; 99_000], 75, "the mailbox of alice is full"),
    ] {
        let (found, err) = deliver(&site, words, &letter);
        assert!(found == code && err.contains(told), "{words:?}: {found} {err}");
    }
    assert_eq!((site.messages("alice").len(), site.messages("bob").len()), (2, 1));
    // What root may not write and others neither: a file where the directory should be.
    std::fs::remove_dir_all(site.maildir("bob")).unwrap();
    std::fs::write(site.maildir("bob"), "").unwrap();
    let (code, err) = deliver(&site, &["bob"], &letter);
    assert!(code == 75 && err.contains("bob/Maildir"), "{code} {err}");
    site.change("quota 100k", "quotas 100k");
    let (code, err) = deliver(&site, &["alice"], &letter);
    assert!(code == 78 && err.contains("did you mean 'quota'?"), "{code} {err}");
}
