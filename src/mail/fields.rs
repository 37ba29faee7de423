//! The fields of a header section, where they stand: RFC 5322 §2.2.
//!
//! Any octets are fields: a line without a colon is all name, and a folded line that continues
//! nothing is one too. Lines end in LF or CRLF. Nothing is copied but what is unfolded.

use memchr::{memchr, memchr2};
use std::borrow::Cow;
use std::ops::Range;

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// What stands before the colon; blanks before it are old (RFC 5322 §4.5) and left out.
    pub name: &'a [u8],
    /// What stands behind it as written, folds within; the line end behind it is left out.
    pub value: &'a [u8],
    /// Where all of it stands in the message, the last line end included.
    pub range: Range<usize>,
}

/// The fields of a header section, in order.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    message: &'a [u8],
    at: usize,
    end: usize,
}

/// The fields of the header section at `header` of a message. An empty line ends it; what the
/// message does not have is not looked for.
pub fn fields(message: &[u8], header: Range<usize>) -> Fields<'_> {
    let end = header.end.min(message.len());
    Fields { message, at: header.start.min(end), end }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let rest = &self.message[self.at..self.end];
        let mut end = line_end(rest);
        if is_blank(&rest[..end]) {
            return None;
        }
        let first = &rest[..end];
        while is_folded(&rest[end..]) {
            end += line_end(&rest[end..]);
        }
        let start = self.at;
        self.at += end;
        let colon = memchr(b':', first);
        let value = colon.map_or(&[][..], |colon| without_end(&rest[colon + 1..end]));
        let name = colon.map_or(without_end(first), |colon| &first[..colon]);
        Some(Field { name: name.trim_ascii_end(), value, range: start..start + end })
    }
}

/// The value of the first field of that name, as written.
pub fn field<'a>(message: &'a [u8], header: Range<usize>, name: &[u8]) -> Option<&'a [u8]> {
    let found = fields(message, header).find(|field| field.name.eq_ignore_ascii_case(name));
    found.map(|field| field.value)
}

/// A value without its folds (RFC 5322 §2.2.3) and without blanks around it.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut unfolded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(end) = memchr(b'\n', rest) {
        unfolded.extend_from_slice(without_end(&rest[..=end]));
        rest = &rest[end + 1..];
    }
    unfolded.extend_from_slice(rest);
    Cow::Owned(unfolded)
}

/// How long the first line is, its end included.
pub(super) fn line_end(octets: &[u8]) -> usize {
    memchr(b'\n', octets).map_or(octets.len(), |at| at + 1)
}

/// Whether a line with its end is empty; so is the end of the message.
pub(super) fn is_blank(line: &[u8]) -> bool {
    matches!(line, [] | [b'\n'] | [b'\r', b'\n'])
}

/// Whether the line that begins here continues the one before it.
pub(super) fn is_folded(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

/// A line without its end.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    match line {
        [text @ .., b'\r', b'\n'] | [text @ .., b'\n'] => text,
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> Vec<(String, String)> {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let all = fields(header.as_bytes(), 0..header.len());
        all.map(|field| (text(field.name), text(field.value))).collect()
    }

    #[test]
    fn names_and_values() {
        for (header, expected) in [
            ("", &[][..]),
            ("\n", &[]),
            ("\r\nA: b\n", &[]),
            ("A: b\nC:d\r\n\nE: f\n", &[("A", " b"), ("C", "d")]),
            ("A: b\n c\r\n\td\nE:\n", &[("A", " b\n c\r\n\td"), ("E", "")]),
            ("A : b", &[("A", " b")]),
            ("no colon\nA: b\n", &[("no colon", ""), ("A", " b")]),
            (" x: y\nA: b\n", &[(" x", " y"), ("A", " b")]),
            ("A: b\n \n\n", &[("A", " b\n ")]),
            (":\n", &[("", "")]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            assert_eq!(shown(header), expected, "{header:?}");
        }
    }

    #[test]
    fn ranges_are_whole_lines() {
        let message = b"xx\nA: b\n c\nD: e\r\n\nbody";
        let found: Vec<_> = fields(message, 3..19).map(|field| field.range).collect();
        assert_eq!(found, [3..11, 11..17]);
        assert_eq!(field(message, 3..19, b"d"), Some(&b" e"[..]));
        assert_eq!(field(message, 3..19, b"f"), None);
        assert_eq!(fields(message, 90..99).count(), 0);
    }

    #[test]
    fn values_on_one_line() {
        for (value, expected) in
            [(" a ", "a"), (" a\r\n b\n\tc", "a b\tc"), ("\n a", "a"), ("a\rb\n c", "a\rb c")]
        {
            assert_eq!(*unfold(value.as_bytes()), *expected.as_bytes(), "{value:?}");
        }
    }
}
