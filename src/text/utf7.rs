//! Modified UTF-7, RFC 3501 §5.1.3: how IMAP4rev1 writes the names of mailboxes.
//!
//! Printable ASCII stands for itself, `&` is `&-`, and the rest is UTF-16 in base64 with `,` for
//! `/`, between `&` and `-`. Only the one right form of a name is read, so that reading and
//! writing give back the same octets.

use super::Cursor;
use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

fn is_plain(octet: u8) -> bool {
    (0x20..0x7f).contains(&octet)
}

/// A name as IMAP4rev1 writes it.
pub fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let plain = |c: char| c.is_ascii() && is_plain(c as u8);
        let end = rest.find(|c| plain(c) != plain(first)).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        rest = behind;
        if plain(first) {
            encoded.push_str(&run.replace('&', "&-"));
        } else {
            let units: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
            encoded.push('&');
            BASE64.encode_string(units, &mut encoded);
            encoded.push('-');
        }
    }
    encoded
}

/// The name that was written so; `None` if nothing is written so.
pub fn decode(encoded: &[u8]) -> Option<String> {
    let mut name = String::with_capacity(encoded.len());
    let mut cursor = Cursor::new(encoded);
    let mut after_base64 = false;
    while let Some(octet) = cursor.take() {
        if octet != b'&' {
            name.push(is_plain(octet).then_some(char::from(octet))?);
            after_base64 = false;
        } else if cursor.literal("-").is_some() {
            name.push('&');
            after_base64 = false;
        } else {
            // Two neighbouring runs would have been one.
            let base64 = cursor.run1(|octet| octet != b'-').filter(|_| !after_base64)?;
            cursor.literal("-")?;
            name.push_str(&shifted(base64)?);
            after_base64 = true;
        }
    }
    Some(name)
}

/// What stands between `&` and `-`: whole characters, none of which could stand for itself.
fn shifted(base64: &[u8]) -> Option<String> {
    let octets = BASE64.decode(base64).ok()?;
    let (pairs, odd) = octets.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    let text = String::from_utf16(&units).ok().filter(|_| odd.is_empty())?;
    let needless = text.bytes().any(is_plain);
    (!needless).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_both_ways() {
        for (name, encoded) in [
            ("INBOX", "INBOX"),
            ("", ""),
            ("A & B", "A &- B"),
            ("&&", "&-&-"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("台北日本語", "&U,BTF2XlZyyKng-"),
            ("☺!", "&Jjo-!"),
            ("Señal", "Se&APE-al"),
            ("ñ&ñ", "&APE-&-&APE-"),
            ("💌", "&2D3cjA-"),
            ("a\tb", "a&AAk-b"),
            ("\u{7f}", "&AH8-"),
            ("á-b", "&AOE--b"),
        ] {
            assert_eq!(encode(name), encoded);
            assert_eq!(decode(encoded.as_bytes()).as_deref(), Some(name), "{encoded}");
        }
    }

    #[test]
    fn bad_forms() {
        for encoded in [
            &b"&"[..],
            b"a&",
            b"&Jjo",
            b"&Jjo!",
            b"&Jjo!-",
            b"&U,BTFw-&ZeVnLIqe-",
            b"&AGE-",
            b"&AG-",
            b"&A-",
            b"&AOF-",
            b"&AOE=-",
            b"&2D0-",
            b"&3Iw-",
            b"&U/BTFw-",
            b"a\tb",
            b"\xc3\xa9",
            b"\x7f",
            b"\0",
        ] {
            assert_eq!(decode(encoded), None, "{}", String::from_utf8_lossy(encoded));
        }
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        let mut seed = 1u32;
        let mut next = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as usize
        };
        let letters = b"&&--AEOPj,+ab/ \xc3";
        let mut read = 0;
        for _ in 0..200_000 {
            let text: Vec<u8> = (0..next() % 9).map(|_| letters[next() % letters.len()]).collect();
            if let Some(name) = decode(&text) {
                read += 1;
                assert_eq!(encode(&name).as_bytes(), text);
            }
        }
        assert!(read > 1_000, "{read}");
    }
}
