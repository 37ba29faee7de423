//! Strings as we write them: RFC 3501 §4.3, §5.1.3, RFC 9051 §4.3.
//!
//! In quotes where they are short and without line ends; as a literal otherwise. Letters beyond
//! ASCII stand in quotes only for a client that enabled UTF-8 (`utf8`), and only where they are
//! UTF-8.

use super::flag::Flag;
use super::response::end;
use super::syntax;
use crate::limits;
use crate::text::utf7;
use chrono::{DateTime, FixedOffset};

/// `NIL`
pub fn nil(out: &mut Vec<u8>) {
    out.extend_from_slice(b"NIL");
}

/// A number.
pub fn number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// `string`
pub fn string(out: &mut Vec<u8>, octets: &[u8], utf8: bool) {
    let quotable = |octet: &u8| !matches!(octet, b'\r' | b'\n' | 0);
    let fits = octets.len() <= limits::IMAP_QUOTED
        && octets.iter().all(quotable)
        && (octets.is_ascii() || utf8 && std::str::from_utf8(octets).is_ok());
    if !fits {
        return literal(out, octets);
    }
    out.push(b'"');
    for octet in octets {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*octet);
    }
    out.push(b'"');
}

/// `nstring`
pub fn nstring(out: &mut Vec<u8>, octets: Option<&[u8]>, utf8: bool) {
    match octets {
        Some(octets) => string(out, octets, utf8),
        None => nil(out),
    }
}

/// `astring`: bare where it can be. The word NIL is quoted, for clients that read it everywhere.
pub fn astring(out: &mut Vec<u8>, octets: &[u8], utf8: bool) {
    let bare = !octets.is_empty()
        && octets.iter().all(|octet| syntax::is_astring_char(*octet))
        && !octets.eq_ignore_ascii_case(b"NIL");
    match bare {
        true => out.extend_from_slice(octets),
        false => string(out, octets, utf8),
    }
}

/// `literal`. A literal may not hold NUL, which becomes 0x80 as UW-IMAP and Dovecot have it.
pub fn literal(out: &mut Vec<u8>, octets: &[u8]) {
    announce(out, octets.len() as u64, false);
    let start = out.len();
    out.extend_from_slice(octets);
    no_nul(&mut out[start..]);
}

/// What is written in place of NUL where none may be, in octets that are written elsewhere.
///
/// Without a branch, so that it is done to many at a time: every octet of every message passes.
pub fn no_nul(octets: &mut [u8]) {
    octets.iter_mut().for_each(|octet| *octet |= u8::from(*octet == 0) << 7);
}

/// `literal8`, for octets that hold NUL: RFC 3516 §4.2.
pub fn literal8(out: &mut Vec<u8>, octets: &[u8]) {
    announce(out, octets.len() as u64, true);
    out.extend_from_slice(octets);
}

/// The announcement of a literal whose octets the caller writes.
pub fn announce(out: &mut Vec<u8>, octets: u64, binary: bool) {
    if binary {
        out.push(b'~');
    }
    out.push(b'{');
    number(out, octets);
    out.push(b'}');
    end(out);
}

/// The name of a mailbox, always in quotes or as a literal.
pub fn mailbox(out: &mut Vec<u8>, name: &str, utf8: bool) {
    match utf8 {
        true => string(out, name.as_bytes(), true),
        false => string(out, utf7::encode(name).as_bytes(), false),
    }
}

/// Words in parentheses, divided by spaces.
pub fn list<T: AsRef<[u8]>>(out: &mut Vec<u8>, words: impl IntoIterator<Item = T>) {
    out.push(b'(');
    for (at, word) in words.into_iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_ref());
    }
    out.push(b')');
}

/// `flag-list`
pub fn flags<'a>(out: &mut Vec<u8>, flags: impl IntoIterator<Item = &'a Flag>) {
    list(out, flags.into_iter().map(Flag::name));
}

/// `date-time`. Years beyond four digits cannot be written and become the nearest that can.
pub fn date_time(out: &mut Vec<u8>, moment: DateTime<FixedOffset>) {
    use chrono::Datelike;
    let year = moment.year().clamp(0, 9999);
    let text = format!("\"{}-{year:04}{}\"", moment.format("%d-%b"), moment.format(" %H:%M:%S %z"));
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8_lossy(&out).replace('\r', "^").replace('\n', "$")
    }

    #[test]
    fn strings() {
        let long = vec![b'x'; limits::IMAP_QUOTED + 1];
        for (octets, utf8, expected) in [
            (&b"secret"[..], false, "\"secret\"".to_owned()),
            (b"", false, "\"\"".to_owned()),
            (b"a \"b\" \\c", false, r#""a \"b\" \\c""#.to_owned()),
            (b"a\r\nb", false, "{4}^$a^$b".to_owned()),
            ("ñ".as_bytes(), false, "{2}^$ñ".to_owned()),
            ("ñ".as_bytes(), true, "\"ñ\"".to_owned()),
            (b"\xf1", true, "{1}^$\u{fffd}".to_owned()),
            (&long, true, format!("{{1025}}^${}", "x".repeat(1025))),
        ] {
            assert_eq!(written(|out| string(out, octets, utf8)), expected);
        }
        let mut out = Vec::new();
        literal(&mut out, b"a\0b");
        assert!(out.ends_with(b"a\x80b"), "{out:?}");
        assert_eq!(written(|out| literal8(out, b"a\0b")), "~{3}^$a\0b");
        assert_eq!(written(|out| nstring(out, None, false)), "NIL");
        for (octets, expected) in
            [("INBOX", "INBOX"), ("", "\"\""), ("a b", "\"a b\""), ("nil", "\"nil\""), ("a]", "a]")]
        {
            assert_eq!(written(|out| astring(out, octets.as_bytes(), false)), expected);
        }
    }

    #[test]
    fn names_numbers_and_dates() {
        assert_eq!(written(|out| mailbox(out, "Señal & co", false)), "\"Se&APE-al &- co\"");
        assert_eq!(written(|out| mailbox(out, "Señal & co", true)), "\"Señal & co\"");
        for value in [0, 7, 10, 4_294_967_296, u64::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
        for text in ["17-Jul-1996 02:44:25 -0700", "01-Jan-0001 00:00:00 +0000"] {
            let moment = DateTime::parse_from_str(text, "%d-%b-%Y %H:%M:%S %z").unwrap();
            assert_eq!(written(|out| date_time(out, moment)), format!("\"{text}\""));
        }
        let flagged = [Flag::Seen, Flag::Keyword("tarea".into())];
        assert_eq!(written(|out| flags(out, &flagged)), "(\\Seen tarea)");
        assert_eq!(written(|out| flags(out, &[])), "()");
    }
}
