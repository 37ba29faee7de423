//! Header text as people read it: RFC 2047, with folds and runs of blanks made one space.
//!
//! Lenient: a word may be long, stand anywhere, and hold blanks; a character may be split between
//! two words of one charset. A word in an unknown charset or coding stays as it is. The language of
//! RFC 2231 §5 is passed over.

use super::charset::Charset;
use super::tokens::is_white;
use super::transfer::{Coding, Decoded, hexadecimal};
use memchr::memmem::Finder;
use memchr::{memchr, memchr2};
use std::sync::LazyLock;

/// An encoded word (RFC 2047 §2).
struct Word<'a> {
    charset: Charset,
    is_base64: bool,
    text: &'a [u8],
    /// What it takes up, its signs included.
    length: usize,
}

/// Appends the value of a field as text: UTF-8 where it was encoded, else the octets it has.
pub fn decode_words(value: &[u8], text: &mut Vec<u8>) {
    let mut rest = value.trim_ascii();
    // What words of one charset, one after another, have said.
    let mut said: Option<(Charset, Vec<u8>)> = None;
    while let Some(at) = WORD.find(rest) {
        let (before, from) = rest.split_at(at);
        let found = word(from);
        let goes_on = match (&said, &found) {
            (Some((charset, _)), Some(word)) => *charset == word.charset && is_blank(before),
            _ => false,
        };
        if !goes_on {
            let follows = said.is_some() && found.is_some() && is_blank(before);
            flush(&mut said, text);
            if !follows {
                plain(before, text);
            }
        }
        match found {
            Some(word) => {
                let (_, octets) = said.get_or_insert_with(|| (word.charset, Vec::new()));
                word.decode(octets);
                rest = &from[word.length..];
            }
            None => {
                text.extend_from_slice(b"=?");
                rest = &from[2..];
            }
        }
    }
    flush(&mut said, text);
    plain(rest, text);
}

/// Reads the encoded word that begins here, if one does.
fn word(from: &[u8]) -> Option<Word<'_>> {
    let mut pieces = from.get(2..)?.splitn(3, |octet| *octet == b'?');
    let (label, coding, rest) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let label = label.split(|octet| *octet == b'*').next()?;
    let is_base64 = match coding {
        b"B" | b"b" => true,
        b"Q" | b"q" => false,
        _ => return None,
    };
    let end = memchr(b'?', rest)?;
    if rest.get(end + 1) != Some(&b'=') {
        return None;
    }
    let length = from.len() - rest.len() + end + 2;
    Some(Word { charset: Charset::named(label)?, is_base64, text: &rest[..end], length })
}

impl Word<'_> {
    fn decode(&self, octets: &mut Vec<u8>) {
        if self.is_base64 {
            octets.extend(Decoded::new(self.text, Coding::Base64).all());
            return;
        }
        let mut at = 0;
        while let Some(octet) = self.text.get(at) {
            let escaped = self.text.get(at + 1..at + 3).filter(|_| *octet == b'=');
            let escaped = escaped.and_then(hexadecimal);
            octets.push(escaped.unwrap_or(if *octet == b'_' { b' ' } else { *octet }));
            at += if escaped.is_some() { 3 } else { 1 };
        }
    }
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|octet| is_white(*octet))
}

fn flush(said: &mut Option<(Charset, Vec<u8>)>, text: &mut Vec<u8>) {
    if let Some((charset, octets)) = said.take() {
        charset.decode(&octets, text);
    }
}

/// Appends text with runs of blanks and line ends as one space.
pub(super) fn plain(mut octets: &[u8], text: &mut Vec<u8>) {
    while let Some(end) = memchr(b'\n', octets) {
        one_line(octets[..end].trim_ascii_end(), text);
        text.push(b' ');
        octets = octets[end..].trim_ascii_start();
    }
    one_line(octets, text);
}

/// Most lines have no runs of blanks.
fn one_line(mut line: &[u8], text: &mut Vec<u8>) {
    let blank_before_blank =
        |(one, next): &(&u8, &u8)| matches!(**next, b' ') && matches!(**one, b' ');
    let runs = line.iter().zip(line.iter().skip(1)).filter(blank_before_blank).count();
    if runs > 0 || memchr2(b'\t', b'\r', line).is_some() {
        while let Some(at) = line.iter().position(|octet| is_white(*octet)) {
            text.extend_from_slice(&line[..at]);
            text.push(b' ');
            line = line[at..].trim_ascii_start();
        }
    }
    text.extend_from_slice(line);
}

static WORD: LazyLock<Finder> = LazyLock::new(|| Finder::new(b"=?"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (value, expected) in [
            ("", ""),
            (" plain\r\n  text \t here ", "plain text here"),
            // RFC 2047 §8
            ("=?ISO-8859-1?Q?a?=", "a"),
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
            ("x =?utf-8*es?B?w7FhbmTDug==?= y", "x ñandú y"),
            ("=?utf-8?q?=C3?= =?utf-8?q?=B1?=", "ñ"),
            ("=?utf-8?q?a b?=", "a b"),
            ("(=?utf-8?q?a?=)", "(a)"),
            ("\"=?utf-8?q?a?=\"", "\"a\""),
            ("a=?utf-8?q?b?=c", "abc"),
            ("=?koi8-r?Q?=CD=C9=D2?=", "мир"),
            // What is no encoded word.
            ("=?x-unknown?q?a?= =?utf-8?q?b?=", "=?x-unknown?q?a?= b"),
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?a", "=?utf-8?q?a"),
            ("=?utf-8?q?a?", "=?utf-8?q?a?"),
            ("=?=?=?utf-8?q?a?=", "=?=?a"),
            ("=?", "=?"),
            ("=?utf-8?q??=", ""),
            ("=?utf-8?q?=4?=", "=4"),
        ] {
            let mut text = Vec::new();
            decode_words(value.as_bytes(), &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn hostile_values_take_no_time() {
        for piece in ["=?", "=?a?q?", "=?utf-8?q?x?", "=?utf-8?q?a?= ", " ", "?", "=?a"] {
            let mut text = Vec::new();
            decode_words(piece.repeat(1_000_000 / piece.len()).as_bytes(), &mut text);
        }
    }
}
