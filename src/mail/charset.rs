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
        let start = folded.len();
        folded.extend_from_slice(octets);
        return folded[start..].make_ascii_lowercase();
    }
    let mut rest = octets;
    while !rest.is_empty() {
        let start = folded.len();
        folded.extend_from_slice(&rest[..rest.len().min(BLOCK)]);
        let done = fold_in_place(&mut folded[start..]);
        folded.truncate(start + done);
        rest = &rest[done..];
        if done < BLOCK && !rest.is_empty() {
            rest = &rest[fold_one(rest, folded)..];
        }
    }
}

/// What is folded at once: small, as it is done again when a character grows or shrinks.
const BLOCK: usize = 256;

/// Folds up to the first character that would become longer or shorter, or that is none. Tells how
/// far it came.
fn fold_in_place(text: &mut [u8]) -> usize {
    text.make_ascii_lowercase();
    let mut at = 0;
    while at < text.len() {
        match text[at..] {
            [a, b, c, d, e, f, g, h, ..] if (a | b | c | d | e | f | g | h) < 0x80 => at += 8,
            [0..0x80, ..] => at += 1,
            [lead @ 0xc2..0xe0, next @ 0x80..0xc0, ..] => {
                match SHORT[usize::from(lead & 0x1f) << 6 | usize::from(next & 0x3f)] {
                    [0, 0] => return at,
                    pair => text[at..at + 2].copy_from_slice(&pair),
                }
                at += 2;
            }
            // Quotes and dashes; Chinese, Japanese, Korean: no letters with case.
            [0xe2, 0x80..0x84, 0x80..0xc0, ..]
            | [0xe3..=0xe9 | 0xeb..=0xec, 0x80..0xc0, 0x80..0xc0, ..] => at += 3,
            _ => return at,
        }
    }
    at
}

/// The characters of two octets, as they fold; zeros where that takes more or fewer.
static SHORT: LazyLock<Vec<[u8; 2]>> = LazyLock::new(|| {
    let characters = (0..0x800u32).filter_map(char::from_u32);
    let folds = characters.map(|character| full_fold(character).collect::<String>());
    folds.map(|text| text.as_bytes().try_into().unwrap_or_default()).collect()
});

fn full_fold(character: char) -> impl Iterator<Item = char> {
    character.to_uppercase().flat_map(char::to_lowercase)
}

/// Folds the first character, or the first octet if it begins none. Tells how long it was.
fn fold_one(octets: &[u8], folded: &mut Vec<u8>) -> usize {
    let start = &octets[..octets.len().min(4)];
    let valid = start.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    let character = valid.unwrap_or_else(|| char::from(octets[0]));
    for one in full_fold(character) {
        folded.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
    }
    valid.map_or(1, char::len_utf8)
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
            ("ÿ ß", "Ÿ SS"),
            ("Ⱥ", "ⱥ"),
            ("“Ⴀ” — €", "“ⴀ” — €"),
            ("\u{10400}", "\u{10428}"),
        ] {
            assert_eq!(folded(one.as_bytes()), folded(other.as_bytes()), "{one}");
        }
        assert_ne!(folded("nandu".as_bytes()), folded("ñandú".as_bytes()));
        assert_eq!(folded(b"\xd1and\xda\0"), "ñandú\0");
        assert_eq!(folded(b"\xe2\x80A\xf0\xff"), "â\u{80}aðÿ");
        for length in 200..300 {
            let long = ["x".repeat(length), "ÑaßЖ日😀".repeat(100)].concat();
            let expected = ["x".repeat(length), "ñassж日😀".repeat(100)].concat();
            assert_eq!(folded(long.as_bytes()), expected);
        }
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
