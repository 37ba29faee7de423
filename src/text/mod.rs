//! Bytes without meaning: the character classes of RFC 5234 and RFC 5321, the cursor that every
//! parser uses, the modified UTF-7 of mailbox names, and the nearest word to one that nobody knows.

mod cursor;
pub mod utf7;

pub use cursor::Cursor;

/// RFC 5322 §3.2.3 (`atext`), and any octet of UTF-8 as RFC 6531 §3.3 allows.
pub fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet) || octet >= 0x80
}

/// RFC 5321 §4.1.2 (`Let-dig`), and UTF-8 as RFC 6531 §3.3 allows.
pub fn is_let_dig(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet >= 0x80
}

/// RFC 5234 appendix B.1 (`VCHAR`).
pub fn is_vchar(octet: u8) -> bool {
    (0x21..=0x7e).contains(&octet)
}

/// What a peer wrote, fit for one line of a log or a screen: control characters and octets that
/// are no UTF-8 become `\\xHH`.
pub fn printable(octets: &[u8]) -> String {
    let mut shown = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                    shown.push_str(&format!("\\x{:02x}", u32::from(character)));
                }
                _ => shown.push(character),
            }
        }
        for octet in chunk.invalid() {
            shown.push_str(&format!("\\x{octet:02x}"));
        }
    }
    shown
}

/// The word among `known` that a slip of the finger may have meant: at most two letters dropped,
/// added, changed or swapped, and fewer than half of the word.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    known
        .map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && 2 * distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many edits lie between two words; a swap of neighbours is one.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = usize::from(!a[i - 1].eq_ignore_ascii_case(&b[j - 1]));
                let mut least =
                    (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
                let swapped = i > 1
                    && j > 1
                    && a[i - 1].eq_ignore_ascii_case(&b[j - 2])
                    && a[i - 2].eq_ignore_ascii_case(&b[j - 1]);
                if swapped {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word() {
        let verbs = ["HELO", "EHLO", "MAIL", "VRFY", "SOML", "SAML", "DATA"];
        for (slip, word) in [
            ("VERFY", Some("VRFY")),
            ("vrfy", Some("VRFY")),
            ("SMOL", Some("SOML")),
            ("SMAL", Some("SAML")),
            ("DTA", Some("DATA")),
            ("XYZZY", None),
            ("", None),
            ("GET", None),
        ] {
            assert_eq!(nearest(slip, verbs.into_iter()), word, "{slip}");
        }
    }
}
