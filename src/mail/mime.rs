//! What a MIME header says of its part: RFC 2045 §5 and §6, RFC 2046 §5.

use memchr::memchr;

/// RFC 2046 §5.1.1: the delimiter of a multipart.
pub(super) struct Boundary {
    text: Vec<u8>,
    /// RFC 2046 §5.1.5: parts without a type are messages.
    pub digest: bool,
}

impl Boundary {
    /// Whether a line, its `--` taken away, is this boundary: `Some(true)` for the last.
    pub fn ends(&self, line: &[u8]) -> Option<bool> {
        let rest = line.strip_prefix(self.text.as_slice())?.trim_ascii_end();
        match rest {
            b"" => Some(false),
            b"--" => Some(true),
            _ => None,
        }
    }
}

/// How a part is made.
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

/// Reads the header of a part, perhaps of a digest. Lines end in LF.
pub(super) fn part(header: &[u8], digest: bool) -> Part {
    let content_type = field(header, b"Content-Type");
    let encoding = field(header, b"Content-Transfer-Encoding");
    let encoding = encoding.map_or(b"7bit".to_vec(), |value| value.trim_ascii().to_vec());
    let kind = match content_type {
        Some(value) => kind(&value),
        None if digest => Kind::Message,
        None => Kind::Leaf,
    };
    Part { kind, encoding }
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

/// The value of the first field of that name, unfolded (RFC 5322 §2.2.3).
fn field(header: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut lines = header.split(|octet| *octet == b'\n');
    let first = lines.by_ref().find_map(|line| {
        let colon = memchr(b':', line)?;
        is_name(&line[..colon], name).then(|| line[colon + 1..].to_vec())
    });
    let mut value = first?;
    for line in lines.take_while(|line| matches!(line, [b' ' | b'\t', ..])) {
        value.extend_from_slice(line);
    }
    Some(value)
}

/// RFC 2045 §5.1.
fn kind(value: &[u8]) -> Kind {
    let mut parameters = split(value);
    let media = parameters.next().unwrap_or_default().to_ascii_lowercase();
    if media == b"message/rfc822" || media == b"message/global" {
        return Kind::Message;
    }
    let Some(subtype) = media.strip_prefix(b"multipart/") else { return Kind::Leaf };
    let digest = subtype == b"digest";
    let boundary = parameters.find_map(|parameter| {
        let equals = memchr(b'=', &parameter)?;
        let named = is_name(&parameter[..equals], b"boundary");
        named.then(|| unquoted(parameter[equals + 1..].trim_ascii()))
    });
    match boundary {
        Some(text) if !text.is_empty() => Kind::Multipart(Boundary { text, digest }),
        _ => Kind::Leaf,
    }
}

/// What stands between semicolons, but for those within quotes; comments are left out.
fn split(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    let (mut quoted, mut escaped, mut comments) = (false, false, 0usize);
    for octet in value {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted || comments > 0 => escaped = true,
            b'"' if comments == 0 => quoted = !quoted,
            b'(' if !quoted => comments += 1,
            b')' if comments > 0 => {
                comments -= 1;
                continue;
            }
            b';' if !quoted && comments == 0 => {
                pieces.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if let Some(piece) = pieces.last_mut().filter(|_| comments == 0) {
            piece.push(*octet);
        }
    }
    pieces.into_iter().map(|piece| piece.trim_ascii().to_vec())
}

fn unquoted(text: &[u8]) -> Vec<u8> {
    let [b'"', inner @ .., b'"'] = text else { return text.to_vec() };
    let mut plain = Vec::with_capacity(inner.len());
    let mut octets = inner.iter();
    while let Some(octet) = octets.next() {
        plain.extend(if *octet == b'\\' { octets.next() } else { Some(octet) });
    }
    plain
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
            ("multipart/mixed; boundary=", ""),
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

    #[test]
    fn lines_that_are_boundaries() {
        let boundary = Boundary { text: b"ab".to_vec(), digest: false };
        for (line, expected) in [
            ("ab\r\n", Some(false)),
            ("ab \t\n", Some(false)),
            ("ab--\r\n", Some(true)),
            ("ab-- ", Some(true)),
            ("abc\r\n", None),
            ("a\r\n", None),
        ] {
            assert_eq!(boundary.ends(line.as_bytes()), expected, "{line:?}");
        }
    }
}
