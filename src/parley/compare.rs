//! What a server said, beside what was expected or what another said.
//!
//! Codes decide: the reply code of SMTP (RFC 5321 §4.2), `+OK` and `-ERR` of POP3 (RFC 1939 §3),
//! OK, NO and BAD of IMAP (RFC 9051 §7.1). Texts are for people, so names, dates and numbers that
//! no two servers share are folded before they are shown side by side.

use super::script::{Act, Protocol, Step};
use super::text::{Captures, Text};
use std::path::Path;

/// The first expected row that no line satisfies; `None` if all is as written.
pub fn first_difference<'a>(
    rows: &[&'a Step],
    lines: &[Vec<u8>],
    captures: &mut Captures,
    directory: &Path,
) -> Option<&'a Step> {
    let mut lines = lines.iter();
    let mut skipping = false;
    let mut among: Vec<(&'a Step, &'a Text)> = Vec::new();
    let mut fits =
        |text: &Text, line: &[u8]| text.matches(line, captures, directory).unwrap_or_default();
    for (at, row) in rows.iter().enumerate() {
        match &row.act {
            Act::Expect(_, text) if text.is_anything() => skipping = true,
            Act::Expect(_, text) => {
                let found = if skipping {
                    lines.any(|line| fits(text, line))
                } else {
                    lines.next().is_some_and(|line| fits(text, line))
                };
                if !found {
                    return Some(row);
                }
                skipping = false;
            }
            Act::ExpectAmong(_, text) => {
                among.push((row, text));
                let next = rows.get(at + 1);
                if next.is_some_and(|next| matches!(next.act, Act::ExpectAmong(..))) {
                    continue;
                }
                while !among.is_empty() {
                    let Some(line) = lines.next() else { return Some(among[0].0) };
                    among.retain(|(_, text)| !fits(text, line));
                }
            }
            _ => {}
        }
    }
    (!skipping && lines.next().is_some()).then(|| rows.last().copied()).flatten()
}

/// The code of a line, if it ends a reply or begins one that counts: `250`, `+OK`, `NO`.
pub fn code(protocol: Protocol, line: &[u8]) -> Option<String> {
    let word = |at: usize| {
        let word = line.split(|octet| *octet == b' ').nth(at)?;
        Some(String::from_utf8_lossy(word).into_owned())
    };
    match protocol {
        Protocol::Smtp => {
            let code = line.get(..3)?;
            let ends = line.get(3) != Some(&b'-') && code.iter().all(u8::is_ascii_digit);
            ends.then(|| String::from_utf8_lossy(code).into_owned())
        }
        Protocol::Pop3 => word(0)
            .map(|word| word.trim_end_matches("...").to_string())
            .filter(|word| ["+OK", "-ERR", "+"].contains(&word.as_str())),
        Protocol::Imap if line.starts_with(b"+") => Some("+".into()),
        // What is told beside an answer, as `* OK [UIDNEXT 5]`, is no code of it.
        Protocol::Imap if line.starts_with(b"* OK [") => {
            line.starts_with(b"* OK [CAPABILITY").then(|| "OK".into())
        }
        Protocol::Imap if line.starts_with(b"* ") => {
            word(1).filter(|word| ["OK", "BAD", "BYE", "PREAUTH"].contains(&word.as_str()))
        }
        Protocol::Imap => {
            word(1).filter(|word| ["OK", "NO", "BAD"].contains(&word.to_uppercase().as_str()))
        }
    }
}

/// The codes that rows expect, as far as they name any.
pub fn expected_codes(protocol: Protocol, rows: &[&Step]) -> Vec<String> {
    let sources = rows.iter().filter_map(|row| match &row.act {
        Act::Expect(_, text) => Some(text.source.as_bytes()),
        // One reply however many rows: `250...SIZE` may be a line within it.
        Act::ExpectAmong(_, text) => {
            Some(text.source.as_bytes()).filter(|source| source.get(3..6) != Some(b"..."))
        }
        _ => None,
    });
    status_codes(protocol, sources)
}

/// The codes of lines that were read; in POP3 only of the lines that are no content.
pub fn status_codes<'a>(protocol: Protocol, lines: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    lines.filter_map(|line| code(protocol, line)).collect()
}

/// What two servers never share is folded: `HOST`, `DATE`, `ID`.
pub fn fold(line: &[u8], host: &str) -> String {
    let line = String::from_utf8_lossy(line);
    let mut words: Vec<String> = Vec::new();
    for (at, word) in line.split(' ').enumerate() {
        let folded = if at == 0 { word.to_string() } else { fold_word(word, host) };
        let repeated = folded == "DATE" && words.last().is_some_and(|last| last == "DATE");
        if !repeated {
            words.push(folded);
        }
    }
    // The first word of a multi-line reply is joined to its text: `250-mail.example.test`.
    match words[0].split_once('-') {
        Some((code, name)) if !host.is_empty() && name == host => words[0] = format!("{code}-HOST"),
        _ => {}
    }
    words.join(" ")
}

fn fold_word(word: &str, host: &str) -> String {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && !"+-".contains(c));
    let digits = bare.chars().filter(char::is_ascii_digit).count();
    let dotted_code = bare.split('.').count() == 3 && bare.len() <= 7;
    let clock = bare.len() == 8 && bare.split(':').count() == 3;
    let zone = bare.len() == 5 && digits == 4 && bare.starts_with(['+', '-']);
    let year = bare.len() == 4 && digits == 4 && (bare.starts_with("19") || bare.starts_with("20"));
    let name = NAMES_OF_DATES.contains(&bare);
    let id = bare.len() >= 7 && digits >= 3 && digits < bare.len() && !dotted_code;
    if !host.is_empty() && bare.eq_ignore_ascii_case(host) {
        word.replacen(bare, "HOST", 1)
    } else if clock || zone || year || name {
        "DATE".into()
    } else if id {
        word.replacen(bare, "ID", 1)
    } else {
        word.into()
    }
}

const NAMES_OF_DATES: [&str; 19] = [
    "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun",
    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::super::script;
    use super::*;

    #[test]
    fn codes_are_where_the_protocol_has_them() {
        use Protocol::{Imap, Pop3, Smtp};
        for (protocol, line, expected) in [
            (Smtp, "250 2.1.0 ok", Some("250")),
            (Smtp, "250-SIZE", None),
            (Smtp, "250", Some("250")),
            (Smtp, "...", None),
            (Pop3, "+OK", Some("+OK")),
            (Pop3, "+OK...", Some("+OK")),
            (Pop3, "-ERR [IN-USE] no", Some("-ERR")),
            (Pop3, "+ ", Some("+")),
            (Pop3, "Subject: x", None),
            (Imap, "a1 NO [X] no", Some("NO")),
            (Imap, "* 3 EXISTS", None),
            (Imap, "* OK [UIDNEXT 5] next", None),
            (Imap, "* OK [CAPABILITY IMAP4rev1] ready", Some("OK")),
            (Imap, "* BYE", Some("BYE")),
        ] {
            assert_eq!(code(protocol, line.as_bytes()).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn what_no_two_servers_share_is_folded() {
        for (line, folded) in [
            ("220 mx.example.test ESMTP Postfix", "220 HOST ESMTP Postfix"),
            ("250-mx.example.test", "250-HOST"),
            ("250 2.0.0 Ok: queued as 4fKz9a0Qz1", "250 2.0.0 Ok: queued as ID"),
            (
                "220 mx.example.test Sendmail; Sat, 21 Nov 2026 00:01:02 GMT",
                "220 HOST Sendmail; DATE 21 DATE GMT",
            ),
            ("250 2.1.0 <a@b.c>... Sender ok", "250 2.1.0 <a@b.c>... Sender ok"),
            ("+OK POP3 <1896.697170952@dbc>", "+OK POP3 <ID>"),
        ] {
            assert_eq!(fold(line.as_bytes(), "mx.example.test"), folded);
        }
    }

    #[test]
    fn the_first_row_that_differs() {
        for (rows, lines, difference) in [
            ("S: 250 ...", "250 ok", None),
            ("S: 250 ...", "500 no", Some(1)),
            ("S: 250 ...", "250 ok\n250 more", Some(1)),
            ("S: 250-a\nS: ...\nS: 250 HELP", "250-a\n250-b\n250-c\n250 HELP", None),
            ("S& 250-b\nS& 250-a\nS& 250 ...", "250-a\n250-x\n250-b\n250 z", None),
            ("S& 250-b\nS& 250-q\nS& 250 ...", "250-a\n250-b\n250 z", Some(2)),
            ("S: ...", "1\n2", None),
            ("S: 1\nS: 2", "1", Some(2)),
        ] {
            let script = script::parse(Path::new("d"), rows).unwrap();
            let rows: Vec<&Step> = script.steps.iter().collect();
            let lines: Vec<Vec<u8>> = lines.split('\n').map(Vec::from).collect();
            let found = first_difference(&rows, &lines, &mut Captures::new(), Path::new(""));
            assert_eq!(found.map(|step| step.line), difference, "{lines:?}");
        }
    }
}
