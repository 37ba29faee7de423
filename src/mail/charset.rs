//! Charsets, and text that is compared without regard to case.
//!
//! The case folding is Unicode's full one in all but name: every character in upper case and then
//! in lower case, so that `STRASSE` finds `straße` and all three sigmas are one. Accents are kept,
//! and nothing is composed or decomposed. What claims to be ASCII, or nothing at all, is read as
//! UTF-8, and an octet that is none as ISO 8859-1.

use encoding_rs::{Encoding, UTF_8};
use std::sync::LazyLock;

/// How octets become text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Charset {
    /// UTF-8, and ASCII within it.
    Utf8,
    Other(&'static Encoding),
}

impl Charset {
    /// By the name that mail gives; `None` is one that nobody knows.
    pub fn named(label: &[u8]) -> Option<Charset> {
        let label = label.trim_ascii();
        if [&b"us-ascii"[..], b"ascii"].iter().any(|ascii| label.eq_ignore_ascii_case(ascii)) {
            return Some(Charset::Utf8);
        }
        let encoding = Encoding::for_label_no_replacement(label)?;
        Some(if encoding == UTF_8 { Charset::Utf8 } else { Charset::Other(encoding) })
    }

    /// Appends octets as UTF-8; where they already should be, as they are.
    pub fn decode(self, octets: &[u8], text: &mut Vec<u8>) {
        match self {
            Charset::Utf8 => text.extend_from_slice(octets),
            Charset::Other(encoding) => {
                text.extend_from_slice(encoding.decode_without_bom_handling(octets).0.as_bytes());
            }
        }
    }
}

/// Appends a text without regard to case, always in UTF-8.
pub(super) fn fold(octets: &[u8], folded: &mut Vec<u8>) {
    if octets.is_ascii() {
        return fold_ascii(octets, folded);
    }
    for chunk in octets.utf8_chunks() {
        fold_text(chunk.valid(), folded);
        for octet in chunk.invalid() {
            fold_character(char::from(*octet), folded);
        }
    }
}

fn fold_ascii(octets: &[u8], folded: &mut Vec<u8>) {
    let start = folded.len();
    folded.extend_from_slice(octets);
    folded[start..].make_ascii_lowercase();
}

fn fold_text(text: &str, folded: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|octet| !octet.is_ascii()) {
        fold_ascii(&rest.as_bytes()[..at], folded);
        let mut characters = rest[at..].chars();
        if let Some(character) = characters.next() {
            fold_character(character, folded);
        }
        rest = characters.as_str();
    }
    fold_ascii(rest.as_bytes(), folded);
}

/// The characters of two octets, where most letters with case stand: each as it folds, or NUL if it
/// becomes more than one.
static SHORT: LazyLock<Vec<char>> = LazyLock::new(|| {
    let folds = (0..0x800u32).filter_map(char::from_u32).map(|character| {
        let mut all = full_fold(character);
        match (all.next(), all.next()) {
            (Some(one), None) => one,
            _ => '\0',
        }
    });
    folds.collect()
});

fn full_fold(character: char) -> impl Iterator<Item = char> {
    character.to_uppercase().flat_map(char::to_lowercase)
}

fn fold_character(character: char, folded: &mut Vec<u8>) {
    let mut room = [0; 4];
    match SHORT.get(character as usize) {
        // No letters with case: Chinese, Japanese, Korean.
        None if matches!(character, '\u{2e80}'..='\u{a63f}' | '\u{ac00}'..='\u{d7ff}') => {
            folded.extend_from_slice(character.encode_utf8(&mut room).as_bytes());
        }
        Some('\0') | None => {
            for one in full_fold(character) {
                folded.extend_from_slice(one.encode_utf8(&mut room).as_bytes());
            }
        }
        Some(one) => folded.extend_from_slice(one.encode_utf8(&mut room).as_bytes()),
    }
}

/// How many octets at the end are a character that is not all there.
pub(super) fn incomplete(octets: &[u8]) -> usize {
    for (behind, octet) in octets.iter().rev().take(3).enumerate() {
        let length = match octet {
            0x80..0xc0 => continue,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0..=0xff => 4,
            _ => 0,
        };
        return if behind + 1 < length { behind + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(octets: &[u8]) -> String {
        let mut text = Vec::new();
        fold(octets, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn case_is_folded() {
        for (one, other) in [
            ("ABC xyz 1", "abc XYZ 1"),
            ("ÑANDÚ", "ñandú"),
            ("Straße", "STRASSE"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("ПРИВЕТ", "привет"),
            ("ﬁn", "FIN"),
            ("\u{212a}", "k"),
            ("日本", "日本"),
            ("ǆ", "ǅ"),
        ] {
            assert_eq!(folded(one.as_bytes()), folded(other.as_bytes()), "{one}");
        }
        assert_ne!(folded("nandu".as_bytes()), folded("ñandú".as_bytes()));
        assert_eq!(folded(b"\xd1and\xda\0"), "ñandú\0");
    }

    #[test]
    fn charsets() {
        for (label, octets, expected) in [
            (&b"UTF-8"[..], "ñ".as_bytes(), Some("ñ")),
            (b" us-ascii", "ñ".as_bytes(), Some("ñ")),
            (b"ISO-8859-1", b"\xf1", Some("ñ")),
            (b"koi8-r", b"\xcd\xc9\xd2", Some("мир")),
            (b"iso-2022-jp", b"\x1b$BF|K\\\x1b(B", Some("日本")),
            (b"x-unknown", b"x", None),
            (b"", b"x", None),
        ] {
            let found = Charset::named(label).map(|charset| {
                let mut text = Vec::new();
                charset.decode(octets, &mut text);
                String::from_utf8(text).unwrap()
            });
            assert_eq!(found.as_deref(), expected);
        }
    }

    #[test]
    fn characters_that_are_cut() {
        for (octets, expected) in [
            (&b""[..], 0),
            (b"a", 0),
            (b"a\xc3", 1),
            (b"\xc3\xb1", 0),
            (b"\xe2\x82", 2),
            (b"\xf0\x9f\x98", 3),
            (b"\xf0\x9f\x98\x80", 0),
            (b"\x80\x80\x80\x80", 0),
        ] {
            assert_eq!(incomplete(octets), expected, "{octets:?}");
        }
    }
}
