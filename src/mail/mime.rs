//! What a MIME header says of its part: RFC 2045 §5 and §6, RFC 2046 §5.
//!
//! Lenient in reading: a parameter may lack its quotes, a field may hold what no grammar knows.

use super::boundary::Boundary;
use super::fields::{field, unfold};
use super::tokens::{is_token, quoted, skip_cfws};
use crate::text::Cursor;
use memchr::memchr;

/// Parameters of one field that are read.
const PARAMETERS: usize = 1_000;

/// How a part is made.
#[derive(Debug)]
pub(super) enum Kind {
    /// Of parts.
    Multipart(Boundary),
    /// Of a message.
    Message,
    /// Of octets.
    Leaf,
}

/// A part, as its header tells.
pub(super) struct Part {
    pub kind: Kind,
    /// RFC 2045 §6.1; `7bit` where nothing is said.
    pub encoding: Vec<u8>,
}

/// Reads the header of a part, perhaps of a digest.
pub(super) fn part(header: &[u8], digest: bool) -> Part {
    let named = |name| field(header, 0..header.len(), name);
    let encoding = named(b"Content-Transfer-Encoding").map(|value| unfold(value).into_owned());
    Part { kind: made(header, digest), encoding: encoding.unwrap_or_else(|| b"7bit".to_vec()) }
}

/// How the part with this header is made, perhaps one of a digest.
pub(super) fn made(header: &[u8], digest: bool) -> Kind {
    match field(header, 0..header.len(), b"Content-Type") {
        Some(value) => kind(value),
        None if digest => Kind::Message,
        None => Kind::Leaf,
    }
}

/// RFC 2045 §6.2: encodings that encode nothing.
pub(super) fn is_identity(encoding: &[u8]) -> bool {
    [&b"7bit"[..], b"8bit", b"binary"].iter().any(|name| encoding.eq_ignore_ascii_case(name))
}

/// Appends the header with another Content-Transfer-Encoding.
pub(super) fn with_encoding(header: &[u8], encoding: &str, output: &mut Vec<u8>) {
    let mut replaced = false;
    for line in header.split_inclusive(|octet| *octet == b'\n') {
        let is_folded = matches!(line, [b' ' | b'\t', ..]);
        if is_folded && replaced {
            continue;
        }
        let name = memchr(b':', line).map(|colon| &line[..colon]);
        replaced = name.is_some_and(|name| is_name(name, b"Content-Transfer-Encoding"));
        match name {
            Some(name) if replaced => {
                output.extend_from_slice(name);
                output.extend_from_slice(format!(": {encoding}\n").as_bytes());
            }
            _ => output.extend_from_slice(line),
        }
    }
}

fn is_name(written: &[u8], name: &[u8]) -> bool {
    written.trim_ascii_end().eq_ignore_ascii_case(name)
}

/// What a Content-Type field says of how its part is made.
fn kind(value: &[u8]) -> Kind {
    let mut cursor = Cursor::new(value);
    let Some((media, subtype)) = media_type(&mut cursor) else { return Kind::Leaf };
    let is = |text: &[u8], word: &str| text.eq_ignore_ascii_case(word.as_bytes());
    if is(media, "message") && (is(subtype, "rfc822") || is(subtype, "global")) {
        return Kind::Message;
    }
    if !is(media, "multipart") {
        return Kind::Leaf;
    }
    let boundary = parameters(cursor).find(|(name, _)| is(name, "boundary"));
    match boundary {
        Some((_, text)) if !text.is_empty() => {
            Kind::Multipart(Boundary { text, digest: is(subtype, "digest") })
        }
        _ => Kind::Leaf,
    }
}

/// RFC 2045 §5.1: `type/subtype`, as written. What follows is left for `parameters`.
pub(super) fn media_type<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], &'a [u8])> {
    skip_cfws(cursor);
    let media = cursor.run1(is_token)?;
    skip_cfws(cursor);
    cursor.literal("/")?;
    skip_cfws(cursor);
    Some((media, cursor.run1(is_token)?))
}

/// RFC 2045 §5.1 (`parameter`): names as written, values without their quotes. What RFC 2231 does
/// to them is left as it is.
pub(super) fn parameters(mut cursor: Cursor) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let parameters = std::iter::from_fn(move || {
        loop {
            skip_cfws(&mut cursor);
            cursor.run(|octet| octet != b';');
            cursor.literal(";")?;
            skip_cfws(&mut cursor);
            let name = cursor.run(is_token);
            skip_cfws(&mut cursor);
            if !name.is_empty() && cursor.literal("=").is_some() {
                return Some((name.to_vec(), parameter_value(&mut cursor)));
            }
        }
    });
    parameters.take(PARAMETERS)
}

/// A value without quotes should be a token; what people write ends at a semicolon or a comment.
fn parameter_value(cursor: &mut Cursor) -> Vec<u8> {
    skip_cfws(cursor);
    if cursor.peek() == Some(b'"') {
        let mut value = Vec::new();
        quoted(cursor, &mut value);
        return value;
    }
    let value = cursor.run(|octet| octet != b';' && octet != b'(');
    unfold(value).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries() {
        for (value, expected) in [
            ("multipart/mixed; boundary=abc", "abc"),
            ("Multipart/Mixed; charset=x; BOUNDARY=\"a;b\"", "a;b"),
            ("multipart/mixed (a; comment) ; boundary = \"q\\\"q\" (more)", "q\"q"),
            ("multipart/mixed;\r\n\tboundary=a b ; x", "a b"),
            ("multipart / mixed; x; =y; boundary=a (b)", "a"),
            ("multipart/mixed; boundary=", ""),
            ("multipart; boundary=abc", ""),
            ("multipart/mixed", ""),
            ("text/plain; boundary=abc", ""),
        ] {
            let found = match kind(value.as_bytes()) {
                Kind::Multipart(boundary) => String::from_utf8(boundary.text).unwrap(),
                _ => String::new(),
            };
            assert_eq!(found, expected, "{value}");
        }
    }
}
