//! Is this word in that message? RFC 3501 §6.4.4 (BODY, TEXT, HEADER), RFC 9051 §6.4.4.
//!
//! Compared is text: encoded words, transfer codings and charsets undone, case folded. Searched
//! are the bodies of text and message parts, as Dovecot does: pictures and programs hold no words.
//! Text between parts, and an octet that a coding nobody knows has made, belong to none.
//!
//! It works in pieces that the nearest cache holds, and keeps its room from message to message.

use super::charset::{Charset, fold, incomplete};
use super::fields::{field, fields};
use super::mime::{media_type, parameters};
use super::transfer::{Coding, Decoded};
use super::tree::{Part, Shape, Tree};
use super::words::decode_words;
use crate::text::Cursor;
use encoding_rs::Decoder;
use memchr::memmem::Finder;
use std::ops::Range;

/// Header text is looked at when so much of it is there.
const PIECE: usize = 16 * 1024;

/// What is looked for, and room to do it.
#[derive(Debug)]
pub struct Search {
    in_body: Finder<'static>,
    /// It goes on over the end of a line, which is LF here whatever it is in the message.
    has_lines: bool,
    /// In headers a run of blanks is one.
    in_header: Finder<'static>,
    /// Text without case, as far as it is at hand.
    folded: Vec<u8>,
    /// What a transfer coding held.
    decoded: Vec<u8>,
    /// What a charset held, or what a field says.
    text: Vec<u8>,
    /// A character that goes on in the next piece.
    cut: Vec<u8>,
}

impl Search {
    /// For a text in any case.
    pub fn new(text: &str) -> Search {
        let (mut body, mut header, mut blanks) = (Vec::new(), Vec::new(), Vec::new());
        fold(text.as_bytes(), &mut body);
        let has_lines = body.contains(&b'\n');
        if has_lines {
            body.retain(|octet| *octet != b'\r');
        }
        super::words::plain(text.as_bytes(), &mut blanks);
        fold(&blanks, &mut header);
        Search {
            in_body: Finder::new(&body).into_owned(),
            has_lines,
            in_header: Finder::new(&header).into_owned(),
            folded: Vec::new(),
            decoded: Vec::new(),
            text: Vec::new(),
            cut: Vec::new(),
        }
    }

    /// Whether a field of that name has it. An empty text is in every field that is there.
    pub fn field(&mut self, message: &[u8], header: Range<usize>, name: &[u8]) -> bool {
        let mut named =
            fields(message, header).filter(|field| field.name.eq_ignore_ascii_case(name));
        named.any(|field| {
            self.folded.clear();
            self.fold_value(field.value);
            self.is_in_header()
        })
    }

    /// Whether the header or the body has it (TEXT), headers of parts included.
    pub fn text(&mut self, message: &[u8], tree: &Tree) -> bool {
        let mut headers = tree.parts().iter().map(|part| part.header.clone());
        headers.any(|header| self.header(message, header)) || self.body(message, tree)
    }

    /// Whether the body has it (BODY): any text in it, without the headers of parts.
    pub fn body(&mut self, message: &[u8], tree: &Tree) -> bool {
        self.in_body.needle().is_empty() || tree.parts().iter().any(|part| self.part(message, part))
    }

    fn header(&mut self, message: &[u8], header: Range<usize>) -> bool {
        self.folded.clear();
        for field in fields(message, header) {
            fold(field.name, &mut self.folded);
            self.folded.extend_from_slice(b": ");
            self.fold_value(field.value);
            self.folded.push(b'\n');
            if self.folded.len() > PIECE {
                if self.is_in_header() {
                    return true;
                }
                self.folded.clear();
            }
        }
        self.is_in_header()
    }

    fn fold_value(&mut self, value: &[u8]) {
        self.text.clear();
        decode_words(value, &mut self.text);
        fold(&self.text, &mut self.folded);
    }

    fn is_in_header(&self) -> bool {
        self.in_header.find(&self.folded).is_some()
    }

    fn part(&mut self, message: &[u8], part: &Part) -> bool {
        let Some((coding, charset)) = text_of(message, part) else { return false };
        let mut pieces = Decoded::new(&message[part.body.clone()], coding);
        let mut decoder = match charset {
            Charset::Utf8 => None,
            Charset::Other(encoding) => Some(encoding.new_decoder()),
        };
        self.folded.clear();
        self.cut.clear();
        // It goes out of self, and back, so that a piece may stand in it meanwhile.
        let mut decoded = std::mem::take(&mut self.decoded);
        let mut found = false;
        while let Some(piece) = pieces.piece(&mut decoded).filter(|_| !found) {
            match &mut decoder {
                None => self.take_utf8(piece),
                Some(decoder) => self.take_other(piece, decoder),
            }
            found = self.is_in_body();
        }
        self.decoded = decoded;
        found
            || !self.cut.is_empty() && {
                fold(&self.cut, &mut self.folded);
                self.is_in_body()
            }
    }

    fn take_utf8(&mut self, piece: &[u8]) {
        let (whole, cut) = piece.split_at(piece.len() - incomplete(piece));
        if self.cut.is_empty() {
            fold(whole, &mut self.folded);
        } else {
            self.cut.extend_from_slice(whole);
            fold(&self.cut, &mut self.folded);
            self.cut.clear();
        }
        self.cut.extend_from_slice(cut);
    }

    fn take_other(&mut self, piece: &[u8], decoder: &mut Decoder) {
        let Some(room) = decoder.max_utf8_buffer_length(piece.len()) else { return };
        self.text.resize(room, 0);
        let (_, _, length, _) = decoder.decode_to_utf8(piece, &mut self.text, false);
        fold(&self.text[..length], &mut self.folded);
    }

    /// Looks, and keeps what may be the beginning of it.
    fn is_in_body(&mut self) -> bool {
        if self.has_lines && memchr::memchr(b'\r', &self.folded).is_some() {
            self.folded.retain(|octet| *octet != b'\r');
        }
        let found = self.in_body.find(&self.folded).is_some();
        let keep = self.folded.len().min(self.in_body.needle().len() - 1);
        let start = self.folded.len() - keep;
        self.folded.copy_within(start.., 0);
        self.folded.truncate(keep);
        found
    }
}

/// How the body of a part becomes text, if it is to be searched.
fn text_of(message: &[u8], part: &Part) -> Option<(Coding, Charset)> {
    if part.shape != Shape::Leaf {
        return None;
    }
    let header = || part.header.clone();
    let coding = match field(message, header(), b"Content-Transfer-Encoding") {
        Some(value) => Coding::named(value.trim_ascii())?,
        None => Coding::Identity,
    };
    let Some(value) = field(message, header(), b"Content-Type") else {
        return Some((coding, Charset::Utf8));
    };
    let mut cursor = Cursor::new(value);
    let (media, _) = media_type(&mut cursor).unwrap_or((b"text", b"plain"));
    let is = |name: &str| media.eq_ignore_ascii_case(name.as_bytes());
    if !is("text") && !is("message") && !is("multipart") {
        return None;
    }
    let charset = parameters(cursor).find(|(name, _)| name.eq_ignore_ascii_case(b"charset"));
    let charset = charset.and_then(|(_, label)| Charset::named(&label));
    Some((coding, charset.unwrap_or(Charset::Utf8)))
}
