//! The dot that ends a text, and the one that hides it: RFC 5321 §4.5.2, RFC 1939 §3.
//!
//! `Unstuff` reads DATA and decides, by the session's line discipline, what ends a line. What it
//! gives out has LF line ends. `Stuff` writes a text whose lines end in CRLF; `Outgoing` one whose
//! lines end in LF or CRLF, as a client must (RFC 5321 §2.3.8).

use memchr::{memchr, memchr2};

/// What ends a line: fixed by the first command of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// Only CRLF does (RFC 5321 §2.3.8).
    Strict,
    /// LF does, and one CR before it is dropped: someone types.
    Lf,
}

/// Where in a line the reader stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Dot,
    DotCr,
    Text,
    Cr,
}

/// Reads a dot-stuffed text in pieces of any size.
pub struct Unstuff {
    discipline: Discipline,
    at: At,
    /// The dot alone on its line was read: what follows is no text.
    pub done: bool,
    /// A CR stood without its LF (RFC 5321 §2.3.8).
    pub bare_cr: bool,
}

impl Unstuff {
    /// At the start of a text.
    pub fn new(discipline: Discipline) -> Unstuff {
        Unstuff { discipline, at: At::Start, done: false, bare_cr: false }
    }

    /// Appends the text in `input` to `text` and tells how many octets were read, which is all of
    /// them unless `done`.
    pub fn feed(&mut self, input: &[u8], text: &mut Vec<u8>) -> usize {
        let mut next = 0;
        while let (Some(&octet), false) = (input.get(next), self.done) {
            if self.at == At::Text {
                let run = memchr2(b'\r', b'\n', &input[next..]).unwrap_or(input.len() - next);
                text.extend_from_slice(&input[next..next + run]);
                next += run;
                if next == input.len() {
                    break;
                }
                self.line_end(input[next], text);
                next += 1;
            } else if self.step(octet, text) {
                next += 1;
            }
        }
        next
    }

    /// Takes one octet outside of running text; `false` leaves it for the next state.
    fn step(&mut self, octet: u8, text: &mut Vec<u8>) -> bool {
        match (self.at, octet) {
            (At::Start, b'.') => self.at = At::Dot,
            (At::Start, _) => {
                self.at = At::Text;
                return false;
            }
            (At::Dot, b'\r') => self.at = At::DotCr,
            (At::Dot, b'\n') if self.discipline == Discipline::Lf => self.done = true,
            (At::DotCr, b'\n') => self.done = true,
            (At::Cr, b'\n') => {
                text.push(b'\n');
                self.at = At::Start;
            }
            (At::Dot, _) => {
                self.at = At::Text;
                return false;
            }
            (At::DotCr | At::Cr, _) => {
                self.bare_cr = true;
                text.push(b'\r');
                self.at = At::Text;
                return false;
            }
            (At::Text, _) => return false,
        }
        true
    }

    fn line_end(&mut self, octet: u8, text: &mut Vec<u8>) {
        if octet == b'\r' {
            self.at = At::Cr;
            return;
        }
        text.push(b'\n');
        // Careful: under the strict discipline a bare LF is text, and no dot behind it counts.
        self.at = if self.discipline == Discipline::Lf { At::Start } else { At::Text };
    }
}

/// Writes a text in pieces of any size, a dot before each that starts a line.
pub struct Stuff {
    line_start: bool,
}

impl Stuff {
    /// At the start of a text.
    pub fn new() -> Stuff {
        Stuff { line_start: true }
    }

    /// Appends `text`, lines ended by CRLF, to `out`.
    pub fn feed(&mut self, mut text: &[u8], out: &mut Vec<u8>) {
        while !text.is_empty() {
            if self.line_start && text[0] == b'.' {
                out.push(b'.');
            }
            let end = memchr(b'\n', text).map_or(text.len(), |at| at + 1);
            out.extend_from_slice(&text[..end]);
            self.line_start = text[end - 1] == b'\n';
            text = &text[end..];
        }
    }

    /// Ends the text.
    pub fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.line_start { b".\r\n" } else { b"\r\n.\r\n" });
    }
}

impl Default for Stuff {
    fn default() -> Stuff {
        Stuff::new()
    }
}

/// Writes a text as a client sends it, in pieces of any size: lines end in CRLF whatever ended them,
/// and a CR that stands alone, which nobody may send, becomes a space.
pub struct Outgoing {
    line_start: bool,
    cr: bool,
}

impl Outgoing {
    /// At the start of a text.
    pub fn new() -> Outgoing {
        Outgoing { line_start: true, cr: false }
    }

    /// Appends `text` to `out`.
    pub fn feed(&mut self, mut text: &[u8], out: &mut Vec<u8>) {
        while let Some(first) = text.first() {
            if std::mem::take(&mut self.cr) && *first != b'\n' {
                out.push(b' ');
                self.line_start = false;
            }
            if self.line_start && *first == b'.' {
                out.push(b'.');
            }
            let run = memchr2(b'\r', b'\n', text).unwrap_or(text.len());
            out.extend_from_slice(&text[..run]);
            self.line_start &= run == 0;
            match text.get(run) {
                Some(b'\n') => {
                    out.extend_from_slice(b"\r\n");
                    self.line_start = true;
                }
                Some(_) => self.cr = true,
                None => return,
            }
            text = &text[run + 1..];
        }
    }

    /// Ends the text. Where its last line did not end, that is ended as well.
    pub fn end(self, out: &mut Vec<u8>) {
        let is_ended = self.line_start && !self.cr;
        out.extend_from_slice(if is_ended { b".\r\n" } else { b"\r\n.\r\n" });
    }
}

impl Default for Outgoing {
    fn default() -> Outgoing {
        Outgoing::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (discipline, input, text, octets left behind the end or None, bare CR)
    type Row = (Discipline, &'static [u8], &'static [u8], Option<usize>, bool);

    const ROWS: &[Row] = &[
        (Discipline::Strict, b"a\r\n.\r\nQUIT", b"a\n", Some(4), false),
        (Discipline::Strict, b".\r\n", b"", Some(0), false),
        (Discipline::Strict, b"..a\r\n.b\r\n.\r\n", b".a\nb\n", Some(0), false),
        // What smugglers send: none of these ends the text.
        (Discipline::Strict, b"a\n.\nMAIL\r\n.\r\n", b"a\n.\nMAIL\n", Some(0), false),
        (Discipline::Strict, b"a\n.\r\nMAIL\r\n.\r\n", b"a\n.\nMAIL\n", Some(0), false),
        (Discipline::Strict, b"a\r\n.\nMAIL\r\n.\r\n", b"a\n\nMAIL\n", Some(0), false),
        (Discipline::Strict, b"a\r.\rMAIL\r\n.\r\n", b"a\r.\rMAIL\n", Some(0), true),
        (Discipline::Strict, b"a\r\n.\rMAIL\r\n.\r\n", b"a\n\rMAIL\n", Some(0), true),
        (Discipline::Strict, b"a\r\n\0.\r\n.\r\n", b"a\n\0.\n", Some(0), false),
        (Discipline::Strict, b"a\r\r\n.\r\n", b"a\r\n", Some(0), true),
        (Discipline::Strict, b"a\n\n.\n", b"a\n\n.\n", None, false),
        (Discipline::Lf, b"a\n.\nQUIT", b"a\n", Some(4), false),
        (Discipline::Lf, b"a\r\n.\r\n", b"a\n", Some(0), false),
        (Discipline::Lf, b"..a\n.b\n.\n", b".a\nb\n", Some(0), false),
        (Discipline::Lf, b"a\rb\n.\n", b"a\rb\n", Some(0), true),
    ];

    #[test]
    fn unstuff_in_one_piece_and_octet_by_octet() {
        for (discipline, input, expected, left, bare_cr) in ROWS {
            for size in [input.len(), 1, 2, 3] {
                let mut reader = Unstuff::new(*discipline);
                let mut text = Vec::new();
                let mut read = 0;
                for piece in input.chunks(size) {
                    read += reader.feed(piece, &mut text);
                    if reader.done {
                        break;
                    }
                }
                let shown = String::from_utf8_lossy(input);
                assert_eq!(text, *expected, "{shown:?} by {size}");
                assert_eq!(reader.done.then(|| input.len() - read), *left, "{shown:?} by {size}");
                assert_eq!(reader.bare_cr, *bare_cr, "{shown:?} by {size}");
            }
        }
    }

    #[test]
    fn stuff() {
        for (text, expected) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a\r\n..b\r\n.c\r\n", "a\r\n...b\r\n..c\r\n.\r\n"),
            ("a.b\r\n\r\n", "a.b\r\n\r\n.\r\n"),
        ] {
            for size in [text.len().max(1), 1, 2] {
                let (mut stuff, mut out) = (Stuff::new(), Vec::new());
                text.as_bytes().chunks(size).for_each(|piece| stuff.feed(piece, &mut out));
                stuff.end(&mut out);
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn outgoing() {
        for (text, expected) in [
            ("", ".\r\n"),
            ("a\n", "a\r\n.\r\n"),
            ("a\r\nb", "a\r\nb\r\n.\r\n"),
            (".\n..b\n.c", "..\r\n...b\r\n..c\r\n.\r\n"),
            ("a\r.\rb\r\r\n.\n", "a . b \r\n..\r\n.\r\n"),
            ("\n\r\n", "\r\n\r\n.\r\n"),
            ("a\n\r", "a\r\n\r\n.\r\n"),
        ] {
            for size in [text.len().max(1), 1, 2] {
                let (mut outgoing, mut out) = (Outgoing::new(), Vec::new());
                text.as_bytes().chunks(size).for_each(|piece| outgoing.feed(piece, &mut out));
                outgoing.end(&mut out);
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{text:?} by {size}");
            }
        }
    }
}
