//! What structured fields are made of: RFC 5322 §3.2 and RFC 2045 §5.1. Any octets can be read:
//! what is opened and not closed ends with the field.

use crate::text::Cursor;

/// Passes blanks, line ends and comments (RFC 5322 §3.2.2), nested as deep as they are. The text
/// of the last comment replaces `comment`, if there was one.
pub(super) fn cfws(cursor: &mut Cursor, comment: &mut Option<Vec<u8>>) {
    loop {
        cursor.run(is_white);
        if cursor.peek() != Some(b'(') {
            return;
        }
        *comment = Some(one_comment(cursor));
    }
}

/// Passes blanks, line ends and comments, whatever they say.
pub(super) fn skip_cfws(cursor: &mut Cursor) {
    cfws(cursor, &mut None);
}

fn one_comment(cursor: &mut Cursor) -> Vec<u8> {
    let mut text = Vec::new();
    let mut depth = 0usize;
    while let Some(octet) = cursor.take() {
        match octet {
            b'(' => depth += 1,
            b')' if depth == 1 => break,
            b')' => depth -= 1,
            b'\\' => {
                text.extend(cursor.take());
                continue;
            }
            b'\r' | b'\n' => continue,
            _ => {}
        }
        if depth > 1 || octet != b'(' {
            text.push(octet);
        }
    }
    text
}

/// Reads a quoted string (RFC 5322 §3.2.4), the cursor at its first quote, and appends what it
/// says: without quotes, backslashes and line ends.
pub(super) fn quoted(cursor: &mut Cursor, text: &mut Vec<u8>) {
    cursor.take();
    while let Some(octet) = cursor.take() {
        match octet {
            b'"' => return,
            b'\\' => text.extend(cursor.take()),
            b'\r' | b'\n' => {}
            _ => text.push(octet),
        }
    }
}

/// Blanks and line ends.
pub(super) fn is_white(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// What may stand in an atom. Far more than RFC 5322 §3.2.3 allows is: octets beyond ASCII
/// (RFC 6532 §3.2), controls, and what people write into names without quoting it.
pub(super) fn is_atom(octet: u8) -> bool {
    !is_white(octet) && !b"()<>@,;:\".".contains(&octet)
}

/// RFC 2045 §5.1 (`token`), and octets beyond ASCII.
pub(super) fn is_token(octet: u8) -> bool {
    octet > b' ' && octet != 0x7f && !b"()<>@,;:\\\"/[]?=".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments() {
        for (value, last, rest) in [
            ("", None, ""),
            (" \r\n\tx", None, "x"),
            ("(a) (b (c\\)) d)x", Some("b (c)) d"), "x"),
            ("(a", Some("a"), ""),
            ("((((", Some("((("), ""),
            ("(a\r\n b)", Some("a b"), ""),
        ] {
            let mut cursor = Cursor::new(value.as_bytes());
            let mut comment = None;
            cfws(&mut cursor, &mut comment);
            assert_eq!(comment.as_deref(), last.map(str::as_bytes), "{value:?}");
            assert_eq!(cursor.rest(), rest.as_bytes(), "{value:?}");
        }
    }

    #[test]
    fn quoted_strings() {
        for (value, expected, rest) in [
            ("\"\"x", "", "x"),
            ("\"a \\\"b\\\\\" x", "a \"b\\", " x"),
            ("\"a\r\n b", "a b", ""),
            ("\"a\\", "a", ""),
        ] {
            let mut cursor = Cursor::new(value.as_bytes());
            let mut text = Vec::new();
            quoted(&mut cursor, &mut text);
            assert_eq!((&text[..], cursor.rest()), (expected.as_bytes(), rest.as_bytes()));
        }
    }
}
