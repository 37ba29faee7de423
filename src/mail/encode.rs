//! Transfer codings done: RFC 2045 §6.7 (quoted-printable) and §6.8 (base64), and those that came
//! mended, whose lines are too long or hold octets that they must not.
//!
//! Lines come with LF at their ends, in pieces of any size, and go out so. What is decoded again
//! has CRLF there (RFC 2046 §4.1.1).

use super::transfer::CRLF;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// RFC 2045 §6.7 and §6.8: octets of a line.
const LINE: usize = 76;
/// What makes a whole line of base64.
const GROUP: usize = 57;

/// A body being encoded.
pub(super) enum Encoder {
    /// Quoted-printable.
    Quoted {
        column: usize,
        /// A blank that must be written otherwise if the line ends behind it.
        blank: Option<u8>,
        /// It is quoted-printable already, and escapes are kept.
        mend: bool,
    },
    /// Base64.
    Base64 {
        rest: Vec<u8>,
        /// A line end that may belong to the delimiter behind it.
        line_end: bool,
    },
    /// Base64 that it is already, in lines of the right length.
    Lines { column: usize },
}

impl Encoder {
    pub fn quoted(mend: bool) -> Encoder {
        Encoder::Quoted { column: 0, blank: None, mend }
    }

    pub fn base64() -> Encoder {
        Encoder::Base64 { rest: Vec::new(), line_end: false }
    }

    pub fn lines() -> Encoder {
        Encoder::Lines { column: 0 }
    }

    /// Goes on with a line or a piece of one.
    pub fn feed(&mut self, piece: &[u8], output: &mut Vec<u8>) {
        match self {
            Encoder::Quoted { column, blank, mend } => {
                piece.iter().for_each(|octet| quoted(*octet, column, blank, *mend, output));
            }
            Encoder::Base64 { rest, line_end } => {
                if *line_end && !piece.is_empty() {
                    rest.extend_from_slice(&CRLF);
                }
                *line_end = piece.ends_with(b"\n");
                rest.extend_from_slice(piece.strip_suffix(b"\n").unwrap_or(piece));
                let whole = rest.len() - rest.len() % GROUP;
                base64(&rest[..whole], output);
                rest.drain(..whole);
            }
            Encoder::Lines { column } => {
                let is_digit =
                    |octet: &&u8| octet.is_ascii_alphanumeric() || b"+/=".contains(octet);
                for digit in piece.iter().filter(is_digit) {
                    output.push(*digit);
                    *column += 1;
                    if *column == LINE {
                        output.push(b'\n');
                        *column = 0;
                    }
                }
            }
        }
    }

    /// Behind the last octet; the last line end is the delimiter's, if there is one.
    pub fn end(self, delimited: bool, output: &mut Vec<u8>) {
        match self {
            Encoder::Quoted { mut column, blank, mend } => {
                if let Some(blank) = blank {
                    let column = &mut column;
                    if mend {
                        literal(blank, column, output)
                    } else {
                        escape(blank, column, output)
                    }
                }
            }
            Encoder::Base64 { mut rest, line_end } => {
                if line_end && !delimited {
                    rest.extend_from_slice(&CRLF);
                }
                base64(&rest, output);
            }
            Encoder::Lines { column } if column > 0 => output.push(b'\n'),
            Encoder::Lines { .. } => {}
        }
    }
}

fn base64(octets: &[u8], output: &mut Vec<u8>) {
    for group in octets.chunks(GROUP) {
        output.extend_from_slice(STANDARD.encode(group).as_bytes());
        output.push(b'\n');
    }
}

fn quoted(octet: u8, column: &mut usize, blank: &mut Option<u8>, mend: bool, out: &mut Vec<u8>) {
    if let Some(blank) = blank.take() {
        match octet {
            b'\n' if !mend => escape(blank, column, out),
            _ => literal(blank, column, out),
        }
    }
    match octet {
        b'\n' => {
            out.push(b'\n');
            *column = 0;
        }
        b' ' | b'\t' => *blank = Some(octet),
        b'=' if mend => {
            // Careful: what follows may be the rest of an escape, which stays on this line.
            soft_break(3, column, out);
            out.push(b'=');
            *column += 1;
        }
        b'=' => escape(octet, column, out),
        0x21..=0x7e => literal(octet, column, out),
        _ => escape(octet, column, out),
    }
}

fn literal(octet: u8, column: &mut usize, output: &mut Vec<u8>) {
    soft_break(1, column, output);
    output.push(octet);
    *column += 1;
}

fn escape(octet: u8, column: &mut usize, output: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    soft_break(3, column, output);
    output.push(b'=');
    output.push(DIGITS[usize::from(octet >> 4)]);
    output.push(DIGITS[usize::from(octet & 15)]);
    *column += 3;
}

/// Room for so many octets, and for the sign of a soft break behind them.
fn soft_break(octets: usize, column: &mut usize, output: &mut Vec<u8>) {
    if *column + octets > LINE - 1 {
        output.extend_from_slice(b"=\n");
        *column = 0;
    }
}
