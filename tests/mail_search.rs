//! SEARCH in one letter that has everything: what is found and what is not. Dovecot 2.3 answers
//! the same but where a row says otherwise.

#![allow(clippy::unwrap_used)]

use buzon::mail::{Search, Tree};

fn letter() -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/letters/search.eml");
    std::fs::read(path).unwrap()
}

#[test]
fn bodies() {
    let message = letter();
    let tree = Tree::new(&message);
    for (text, expected) in [
        ("", true),
        ("preambleword", false),
        ("epilogueword", false),
        ("mimeword", false),
        ("embeddedsubj", false),
        ("EmbeddedBody", true),
        ("octetword", false),
        ("octetword2", false),
        ("dsnword", true),
        ("ÑANDÚ straße", true),
        ("nandu", false),
        ("οδυσσευσ", true),
        (" k", true),
        ("<b>bo", true),
        ("one line", false),
        ("unkword", false),
        ("unkcharset", true),
        ("ñx", true),
        ("--x", false),
        ("ashed", false),
        // Dovecot folds characters one by one.
        ("strasse", true),
        ("fin", true),
    ] {
        assert_eq!(Search::new(text).body(&message, &tree), expected, "{text}");
    }
}

/// A literal of the client's has CRLF; letters have either, and what base64 holds has its own.
#[test]
fn texts_over_the_ends_of_lines() {
    let encoded = "Content-Transfer-Encoding: base64\n\naGVsbG8NCiB3b3JsZA0K\n";
    for message in ["\nhello\n world\n", "\r\nhello\r\n world\r\n", "\nhello\r\n world", encoded] {
        let tree = Tree::new(message.as_bytes());
        for (text, expected) in [
            ("HELLO\r\n world", true),
            ("hello\n world", true),
            ("lo\r\n", true),
            ("\r\n", true),
            ("hello world", false),
            ("hello\r\n\r\n world", false),
        ] {
            let found = Search::new(text).body(message.as_bytes(), &tree);
            assert_eq!(found, expected, "{text:?} in {message:?}");
        }
    }
    let long = format!("\n{}hello\r\n world\r\n", "Hello\r\n".repeat(50_000));
    let tree = Tree::new(long.as_bytes());
    assert!(Search::new("hello\r\nhello\r\n world\r\n").body(long.as_bytes(), &tree));
}

#[test]
fn headers_and_all() {
    let message = letter();
    let tree = Tree::new(&message);
    for (text, expected) in [
        ("mimeword", true),
        ("embeddedsubj", true),
        ("embeddedbody", true),
        ("preambleword", false),
        ("subject: folded", true),
        ("folded subject", true),
        ("content-type: text", true),
        ("ñandú straße", true),
        ("utf-8?q", false),
        ("--x", false),
    ] {
        assert_eq!(Search::new(text).text(&message, &tree), expected, "{text}");
    }
}

#[test]
fn fields() {
    let message = letter();
    let header = Tree::new(&message).parts()[0].header.clone();
    for (name, text, expected) in [
        ("Subject", "folded subject", true),
        ("SUBJECT", "Subject Tab", true),
        ("subject", "tab two", true),
        // Dovecot has one blank here, and looks for two.
        ("subject", "tab  two", true),
        ("Subject", "ÑANDÚ STRASSE", true),
        ("Subject", "nandu", false),
        ("Subject", "", true),
        ("X", "", false),
        ("From", "ana@", true),
        ("From", "\"Quoted", true),
        // Dovecot searches the addresses that it has made of it.
        ("From", "comment", true),
        ("From", "test>, Otra", true),
        ("To", "ana", false),
    ] {
        let found = Search::new(text).field(&message, header.clone(), name.as_bytes());
        assert_eq!(found, expected, "{name} {text}");
    }
}

#[test]
fn words_that_lie_across_pieces() {
    for coding in ["8bit", "base64", "quoted-printable"] {
        let header = format!("Content-Transfer-Encoding: {coding}\n\n");
        for size in (16 * 1024 - 12..16 * 1024 + 4).chain(12_280..12_292) {
            let body = "x".repeat(size) + "ñandú";
            let body = match coding {
                "base64" => base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &body),
                "quoted-printable" => body.replace('ñ', "=C3=b1").replace('ú', "=c3=BA"),
                _ => body,
            };
            let message = [header.as_bytes(), body.as_bytes(), b" and more\n"].concat();
            let tree = Tree::new(&message);
            assert!(Search::new("xÑANDÚ").body(&message, &tree), "{coding} {size}");
            assert!(!Search::new("ñandúx").body(&message, &tree), "{coding} {size}");
        }
    }
}

#[test]
fn charsets() {
    for (charset, body, text, expected) in [
        ("iso-8859-1", &b"\xd1and\xfa"[..], "ñandú", true),
        ("us-ascii", b"\xd1and\xfa", "ñandú", true),
        ("us-ascii", "ñandú".as_bytes(), "ÑANDÚ", true),
        ("koi8-r", b"\xed\xe9\xf2", "мир", true),
        ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本", true),
        ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "F|K", false),
        ("utf-16le", b"a\0b\0", "ab", true),
        ("gbk", b"\xd6\xd0\xce\xc4", "中文", true),
        ("x-unknown", b"plain", "PLAIN", true),
    ] {
        let header = format!("Content-Type: text/plain; charset={charset}\n\n");
        let message = [header.as_bytes(), body].concat();
        let found = Search::new(text).body(&message, &Tree::new(&message));
        assert_eq!(found, expected, "{charset} {text}");
    }
}
