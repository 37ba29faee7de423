//! A message that came in chunks (RFC 3030) becomes lines: CRLF becomes LF, and a part whose
//! Content-Transfer-Encoding is binary becomes base64 (RFC 3030 §3, RFC 2045 §6).
//!
//! It reads pieces of any size and holds back a line or a header at the most. Any octets are a
//! message: what is no MIME passes as text. A composite part cannot be base64 (RFC 2045 §6.4), so
//! there `binary` becomes `8bit`, and its own parts are looked into.

use super::mime::{self, Boundary, Kind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr;

/// A line is held back up to this, as a boundary (RFC 2046 §5.1.1) is much shorter.
const LINE: usize = 4 * 1024;
/// The header of a part is held back up to this; a longer one is text.
const HEADER: usize = 64 * 1024;
/// Parts in parts beyond this are text.
const DEPTH: usize = 100;
/// RFC 2045 §6.8: 57 octets make a line of 76.
const GROUP: usize = 57;

/// What the octets are part of.
enum At {
    /// A header, so far.
    Header {
        block: Vec<u8>,
        /// Of a part of a digest, which is a message if it does not say otherwise.
        digest: bool,
    },
    Text,
    Binary {
        /// Octets that do not fill a line of base64 yet.
        rest: Vec<u8>,
        /// A CRLF that may belong to the boundary behind it (RFC 2046 §5.1.1).
        crlf: bool,
    },
}

impl At {
    fn header(digest: bool) -> At {
        At::Header { block: Vec::new(), digest }
    }
}

/// Reads a message, and gives out lines that end in LF.
pub struct ToText {
    /// The boundaries of the multiparts that are open, outermost first.
    open: Vec<Boundary>,
    at: At,
    line: Vec<u8>,
    /// Whether `line` begins where a line does.
    line_start: bool,
    /// A CR stood without its LF outside of a binary part (RFC 5321 §2.3.8).
    pub bare_cr: bool,
}

impl ToText {
    /// Before the first octet.
    pub fn new() -> ToText {
        ToText {
            open: Vec::new(),
            at: At::header(false),
            line: Vec::new(),
            line_start: true,
            bare_cr: false,
        }
    }

    /// Appends what `input` becomes to `output`.
    pub fn feed(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        while !input.is_empty() {
            let end = memchr(b'\n', input).map_or(input.len(), |at| at + 1);
            self.line.extend_from_slice(&input[..end]);
            input = &input[end..];
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take(&line, output);
            } else if self.line.len() > LINE {
                // A CR at the end may be half of a CRLF.
                let keep = usize::from(self.line.ends_with(b"\r"));
                let rest = self.line.split_off(self.line.len() - keep);
                let line = std::mem::replace(&mut self.line, rest);
                self.take(&line, output);
            }
        }
    }

    /// What is left at the end of the message.
    pub fn end(&mut self, output: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.line);
        self.take(&line, output);
        if let At::Binary { rest, crlf: true } = &mut self.at {
            rest.extend_from_slice(b"\r\n");
        }
        self.end_part(output);
    }

    /// A line with its end, or a piece of a line that is too long.
    fn take(&mut self, line: &[u8], output: &mut Vec<u8>) {
        let is_boundary = self.line_start && self.boundary(line, output);
        let binary = matches!(self.at, At::Binary { .. });
        self.line_start = if binary { line.ends_with(b"\r\n") } else { line.ends_with(b"\n") };
        if is_boundary {
            return;
        }
        match &mut self.at {
            At::Text => fold(line, &mut self.bare_cr, output),
            At::Header { block, .. } => {
                fold(line, &mut self.bare_cr, block);
                if line == b"\r\n" || line == b"\n" || block.len() > HEADER {
                    self.end_header(output);
                }
            }
            At::Binary { rest, crlf } => {
                if *crlf {
                    rest.extend_from_slice(b"\r\n");
                }
                *crlf = line.ends_with(b"\r\n");
                rest.extend_from_slice(&line[..line.len() - if *crlf { 2 } else { 0 }]);
                let whole = rest.len() - rest.len() % GROUP;
                encode(&rest[..whole], output);
                rest.drain(..whole);
            }
        }
    }

    /// RFC 2046 §5.1.2: the boundary of any multipart that is open ends all parts within it.
    fn boundary(&mut self, line: &[u8], output: &mut Vec<u8>) -> bool {
        let Some(text) = line.strip_prefix(b"--") else { return false };
        let found = self.open.iter().rposition(|boundary| boundary.ends(text).is_some());
        let Some(at) = found else { return false };
        let closes = self.open[at].ends(text) == Some(true);
        self.end_part(output);
        self.open.truncate(if closes { at } else { at + 1 });
        let digest = self.open.last().is_some_and(|boundary| boundary.digest);
        self.at = if closes { At::Text } else { At::header(digest) };
        fold(line, &mut self.bare_cr, output);
        true
    }

    fn end_part(&mut self, output: &mut Vec<u8>) {
        match std::mem::replace(&mut self.at, At::Text) {
            At::Text => {}
            At::Header { block, .. } => output.extend_from_slice(&block),
            At::Binary { rest, .. } => encode(&rest, output),
        }
    }

    /// Says what the part is, and what is to be done with it.
    fn end_header(&mut self, output: &mut Vec<u8>) {
        let At::Header { block, digest } = std::mem::replace(&mut self.at, At::Text) else {
            return;
        };
        let part = mime::part(&block, digest);
        let is_binary = part.encoding.eq_ignore_ascii_case(b"binary");
        let deeper = self.open.len() < DEPTH && block.len() <= HEADER;
        let encoding = match part.kind {
            _ if !is_binary || !deeper => None,
            Kind::Leaf => Some("base64"),
            Kind::Multipart(_) | Kind::Message => Some("8bit"),
        };
        match encoding {
            Some(encoding) => mime::with_encoding(&block, encoding, output),
            None => output.extend_from_slice(&block),
        }
        let is_plain = is_binary || mime::is_identity(&part.encoding);
        match part.kind {
            Kind::Multipart(boundary) if deeper => self.open.push(boundary),
            Kind::Message if deeper && is_plain => self.at = At::header(false),
            Kind::Leaf if encoding.is_some() => {
                self.at = At::Binary { rest: Vec::new(), crlf: false };
            }
            _ => {}
        }
    }
}

impl Default for ToText {
    fn default() -> ToText {
        ToText::new()
    }
}

/// CRLF becomes LF; a CR elsewhere is noted.
fn fold(line: &[u8], bare_cr: &mut bool, output: &mut Vec<u8>) {
    let (text, end) = match line {
        [text @ .., b'\r', b'\n'] => (text, &b"\n"[..]),
        line => (line, &b""[..]),
    };
    *bare_cr |= memchr(b'\r', text).is_some();
    output.extend_from_slice(text);
    output.extend_from_slice(end);
}

fn encode(octets: &[u8], output: &mut Vec<u8>) {
    for group in octets.chunks(GROUP) {
        output.extend_from_slice(STANDARD.encode(group).as_bytes());
        output.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &[u8], size: usize) -> (String, bool) {
        let (mut reader, mut output) = (ToText::new(), Vec::new());
        message.chunks(size).for_each(|piece| reader.feed(piece, &mut output));
        reader.end(&mut output);
        (String::from_utf8_lossy(&output).into_owned(), reader.bare_cr)
    }

    #[test]
    fn parts() {
        for (message, expected, bare_cr) in [
            (&b"Subject: a\r\n\r\nb\r\nc\nd\r\n"[..], "Subject: a\n\nb\nc\nd\n", false),
            (b"Subject: a\r\n\r\nb\rc\r\n", "Subject: a\n\nb\rc\n", true),
            (b"no header", "no header", false),
            (b"", "", false),
            // The whole message is binary: its last CRLF is content.
            (
                b"Content-Transfer-Encoding: Binary\r\n\r\n\0\n\r\xff\r\n",
                "Content-Transfer-Encoding: base64\n\nAAoN/w0K\n",
                false,
            ),
            // A part's last CRLF belongs to the boundary.
            (
                b"Content-Type: multipart/mixed; boundary=\"b 1\"\r\n\
                  Content-Transfer-Encoding:\r\n binary\r\n\r\npreamble\r\n--b 1\r\n\
                  content-transfer-encoding: binary\r\nContent-Type: image/png\r\n\r\n\
                  \0\r\n\r--b 1\n\r\n--b 1\r\n\r\ntext\r\n--b 1--\r\nepilogue\r\n",
                "Content-Type: multipart/mixed; boundary=\"b 1\"\n\
                 Content-Transfer-Encoding: 8bit\n\npreamble\n--b 1\n\
                 content-transfer-encoding: base64\nContent-Type: image/png\n\n\
                 AA0KDS0tYiAxCg==\n--b 1\n\ntext\n--b 1--\nepilogue\n",
                false,
            ),
            // A message in a message.
            (
                b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n\
                  Subject: inner\r\nContent-Transfer-Encoding: binary\r\n\r\n\x01",
                "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n\
                 Subject: inner\nContent-Transfer-Encoding: base64\n\nAQ==\n",
                false,
            ),
            // An outer boundary ends an inner part; parts of a digest are messages.
            (
                b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\
                  Content-Type: multipart/digest; boundary=i\r\n\r\n--i\r\n\r\n\
                  Content-Transfer-Encoding: binary\r\n\r\nx\r\n--o--\r\n",
                "Content-Type: multipart/mixed; boundary=o\n\n--o\n\
                 Content-Type: multipart/digest; boundary=i\n\n--i\n\n\
                 Content-Transfer-Encoding: base64\n\neA==\n--o--\n",
                false,
            ),
            (
                b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=\r\nb\r\n",
                "Content-Transfer-Encoding: quoted-printable\n\na=\nb\n",
                false,
            ),
        ] {
            for size in [message.len().max(1), 1, 2, 7] {
                let (text, cr) = text(message, size);
                assert_eq!(text, expected, "by {size}");
                assert_eq!(cr, bare_cr, "{expected:?} by {size}");
            }
        }
    }

    #[test]
    fn long_binary_lines_are_not_gathered() {
        let mut reader = ToText::new();
        let mut output = Vec::new();
        reader.feed(b"Content-Transfer-Encoding: binary\r\n\r\n", &mut output);
        let octets: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        output.clear();
        for piece in octets.chunks(999) {
            reader.feed(piece, &mut output);
            assert!(reader.line.len() <= LINE + 999);
        }
        reader.end(&mut output);
        let base64: Vec<u8> = output.iter().copied().filter(|octet| *octet != b'\n').collect();
        assert_eq!(STANDARD.decode(base64).unwrap(), octets);
        assert!(output.split(|octet| *octet == b'\n').all(|line| line.len() <= 76));
    }

    #[test]
    fn parts_in_parts_end_somewhere() {
        let mut message = Vec::new();
        for depth in 0..1_000 {
            let header =
                format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n");
            message.extend_from_slice(header.as_bytes());
        }
        let (text, _) = text(&message, 1000);
        assert_eq!(text.len(), message.iter().filter(|octet| **octet != b'\r').count());
    }
}
