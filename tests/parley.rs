//! parley(1) against servers that answer as a table tells them: what it prints, what it sends and
//! does not send after a difference, and its exit codes.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A server that greets and answers lines by their beginning; what it hears comes out of the
/// receiver when the client is gone.
fn server(
    greeting: &'static str,
    answers: &'static [(&'static str, &'static str)],
) -> (String, Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (said, heard) = channel();
    thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(greeting.as_bytes()).unwrap();
        let mut lines = Vec::new();
        let mut text = false;
        for line in BufReader::new(peer.try_clone().unwrap()).lines().map_while(Result::ok) {
            let answer = match text && line != "." {
                true => "",
                false => answers.iter().find(|(begin, _)| line.starts_with(begin)).unwrap().1,
            };
            text = answer.starts_with("354") || text && line != ".";
            lines.push(line);
            if peer.write_all(answer.as_bytes()).is_err() || answer.starts_with("221") {
                break;
            }
        }
        said.send(lines).unwrap();
    });
    (address, heard)
}

const GREETING: &str = "220 mx.client.example ESMTP\r\n";
const FRIENDLY: &[(&str, &str)] = &[
    ("EHLO", "250-mx.client.example\r\n250-SIZE\r\n250 HELP\r\n"),
    ("MAIL", "250 2.1.0 ok\r\n"),
    ("RCPT", "250 2.1.5 ok\r\n"),
    ("DATA", "354 go on\r\n"),
    (".", "250 2.0.0 queued as 4fKz9a0Qz1\r\n"),
    ("QUIT", "221 2.0.0 bye\r\n"),
];
const UNFRIENDLY: &[(&str, &str)] = &[
    ("EHLO", "250 mx.client.example\r\n"),
    ("MAIL", "250 ok\r\n"),
    ("RCPT", "550 no\r\n"),
    ("DATA", "503 RCPT first\r\n"),
    ("QUIT", "221 bye\r\n"),
];

/// A server that asks where a refusal is expected, and refuses where it is expected to ask.
const CONTRARY: &[(&str, &str)] = &[
    ("a1", "* CAPABILITY IMAP4rev1\r\n* OK [ALERT] beware\r\na1 OK done\r\n"),
    ("a2", "+ go on\r\n"),
    ("xxxxx", "a2 BAD no\r\n"),
    ("a3", "a3 NO no\r\n"),
    ("a4", "* 1 EXISTS\r\na4 OK one\r\n"),
    ("a5", "a5 BAD no\r\n"),
    ("z9", "* BYE bye\r\nz9 OK bye\r\n"),
];

const LETTER: &str = "# one letter\nuser alice secret\nserver smtp\nS: 220 mail.example.test ...\n\
    C: EHLO me.example\nS: 250-mail.example.test\nS& 250...SIZE\nS& 250 ...\n\
    C: MAIL FROM:<a@me.example>\nS: 250 2.1.0 ...\n\
    C: RCPT TO:<alice@example.test>\nS: 250 2.1.5 ...\nC: DATA\nS: 354 ...\n\
    C: Subject: x\nC: .\nS: 250 2.0.0 ...\nC: QUIT\nS: 221 ...\nclosed\n";
/// The same, where a refusal is expected.
const REFUSED: &str = "server smtp\nS: 220 ...\nC: EHLO me.example\nS: ...\nS: 250 ...\n\
    C: MAIL FROM:<a@me.example>\nS: 250 ...\nC: DATA\nS: 503 ...\nC: QUIT\nS: 221 ...\nclosed\n";

fn parley(script: &str, arguments: &[&str]) -> (Output, String) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("d.txt"), script).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_parley"))
        .current_dir(directory.path())
        .args(["-t", "5"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap();
    (output, said)
}

#[test]
fn a_server_as_the_file_has_it() {
    let (address, heard) = server(GREETING, FRIENDLY);
    let (output, said) = parley(LETTER, &["-v", "d.txt", &address]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("d.txt\n# one letter\n  the server must have: user alice secret\n"));
    assert!(said.contains("  C: DATA\n  S: 354 go on\n"), "{said}");
    assert!(!said.contains('!'), "{said}");
    let words: Vec<String> = heard.recv().unwrap();
    assert_eq!(words[3..], ["DATA", "Subject: x", ".", "QUIT"]);
}

#[test]
fn a_server_that_differs() {
    let (address, heard) = server(GREETING, UNFRIENDLY);
    let (output, said) = parley(LETTER, &["d.txt", &address]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("! S: 550 no\n! line 12 has: S: 250 2.1.5 ...\n"), "{said}");
    assert!(said.contains("-- not sent: the server did not ask for it"), "{said}");
    // No 354, so the text was not sent, and the dialogue went on behind it.
    assert_eq!(heard.recv().unwrap()[3..], ["DATA", "QUIT"]);
}

#[test]
fn a_server_that_asks_for_text_is_brought_back() {
    let (address, heard) = server(GREETING, FRIENDLY);
    let (output, said) = parley(REFUSED, &["d.txt", &address]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("! -- then '.' got 250 2.0.0 queued"), "{said}");
    assert_eq!(heard.recv().unwrap()[2..], ["DATA", ".", "QUIT"]);
}

#[test]
fn two_servers_side_by_side() {
    let (one, _heard) = server(GREETING, FRIENDLY);
    let (other, _too) = server("220 other.example here\r\n", UNFRIENDLY);
    let (output, said) = parley(LETTER, &["d.txt", &one, &other]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let row = |left: &str, right: &str| format!("   {left:46} | {right}\n");
    let same = row("220 HOST ESMTP", "220 HOST here");
    assert!(said.contains(&format!(" {same}")), "{said}");
    let differ = row("250 2.1.5 ok", "550 no");
    assert!(said.contains(&format!("!{differ}")), "{said}");
    assert!(said.contains("250 2.0.0 queued as ID"), "{said}");
}

#[test]
fn a_table_of_codes() {
    let (one, _heard) = server(GREETING, FRIENDLY);
    let (other, _too) = server(GREETING, UNFRIENDLY);
    let (output, said) = parley(LETTER, &["-s", "d.txt", &one, &other]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let rows: Vec<Vec<&str>> =
        said.lines().map(|line| line.split_whitespace().take(4).collect()).collect();
    assert_eq!(rows[0], ["d.txt:11:", "RCPT", "TO:<alice@example.test>:", "250"]);
    assert_eq!(rows[1], ["d.txt:13:", "DATA:", "354", "503"]);
    assert_eq!(rows[2][..3], ["d.txt:16:", ".:", "250"]);
    assert_eq!(rows.len(), 3, "{said}");
}

#[test]
fn exit_codes() {
    for (script, arguments, code, words) in [
        ("server smtp\n", &["d.txt"][..], 64, "the address of a server is needed"),
        ("server smtp\n", &["127.0.0.1:1"], 64, "a dialogue is needed"),
        ("server smtp\n", &["-x"], 64, "usage: parley"),
        ("sevrer smtp\n", &["d.txt", "127.0.0.1:1"], 65, "d.txt:1: 'sevrer' begins no line"),
        ("server smtp\n", &["e.txt", "127.0.0.1:1"], 66, "e.txt: No such file"),
        ("server smtp\nS: 220 ...\n", &["d.txt", "127.0.0.1:1"], 1, "Connection refused"),
        ("server pop3\nserver smtp 2\n2S: 220 ...\n", &["d.txt", "127.0.0.1:1"], 1, "no address"),
    ] {
        let (output, said) = parley(script, arguments);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn imap_is_read_to_the_tags_that_the_rows_have() {
    let (address, heard) = server("* OK ready\r\n", CONTRARY);
    let script = "server imap\nS: * OK ...\nC: a1 CAPABILITY\nS: * CAPABILITY ...\nS: ...\n\
        S: a1 OK ...\nC: a2 SELECT {5}\nS: a2 BAD ...\nC: a3 APPEND x {5}\nS: + ...\n\
        C: hello\nS: a3 OK ...\nC! a4 NOOP\\r\\na5 ODD\\r\\n\nS: * 1 EXISTS\nS: a4 OK ...\n\
        S: a5 BAD ...\nC: z9 LOGOUT\nS: * BYE ...\nS: z9 OK ...\n";
    let (output, said) = parley(script, &["-s", "d.txt", &address]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(
        said,
        "d.txt:7:  a2 SELECT {5}:   BAD  + BAD\n\
         d.txt:9:  a3 APPEND x {5}: +    NO\n\
         d.txt:11: hello:           OK   not sent: the server did not ask for it\n"
    );
    let heard = heard.recv().unwrap();
    let expected = ["a1 CAPABILITY", "a2 SELECT {5}", "xxxxx", "a3 APPEND x {5}", "a4 NOOP"];
    assert_eq!(heard[..5], expected);
    assert_eq!(heard[5..], ["a5 ODD", "z9 LOGOUT"]);
}
