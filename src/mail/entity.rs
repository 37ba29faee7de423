//! What the header of a part says of it, for a client: RFC 2045, RFC 2183 (disposition), RFC 3282
//! (language), RFC 2557 (location), RFC 1864 (MD5).
//!
//! Values as the message has them; only folds, quotes and comments are gone. What RFC 2231 does to
//! parameters is left to the client, as RFC 3501 §7.4.2 means it.

use super::fields::{fields, unfold};
use super::mime::{media_type, parameters};
use super::tokens::{is_token, is_white, skip_cfws};
use super::tree::{Shape, Tree};
use crate::text::Cursor;

/// Languages of one part that are read.
const LANGUAGES: usize = 100;

/// RFC 2045 §5.1: a name as written, and its value.
pub type Parameter = (Vec<u8>, Vec<u8>);

/// RFC 2183 §2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// `inline`, `attachment`, or another.
    pub kind: Vec<u8>,
    /// `filename` and others.
    pub parameters: Vec<Parameter>,
}

/// A part, as its header tells. Of a field that stands twice the first counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// `text`, in any letters.
    pub media: Vec<u8>,
    /// `plain`.
    pub subtype: Vec<u8>,
    /// Of the media type; a text always has a charset (RFC 2045 §5.2).
    pub parameters: Vec<Parameter>,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding; `7bit` where nothing is said (RFC 2045 §6.1).
    pub encoding: Vec<u8>,
    /// Content-MD5.
    pub md5: Option<Vec<u8>>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-Language.
    pub language: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Vec<u8>>,
}

impl Tree {
    /// What the header of the part at this place of `parts` says.
    pub fn entity(&self, message: &[u8], at: usize) -> Entity {
        let part = &self.parts()[at];
        let mut entity = Entity::new(part.in_digest);
        let mut seen = Vec::new();
        for field in fields(message, part.header.clone()) {
            let prefix = field.name.get(..8).unwrap_or_default();
            if prefix.eq_ignore_ascii_case(b"content-") {
                let name = field.name[8..].to_ascii_lowercase();
                if !seen.contains(&name) && entity.take(&name, field.value) {
                    seen.push(name);
                }
            }
        }
        entity.mend(part.shape);
        entity
    }
}

impl Entity {
    /// What is so if nothing is said (RFC 2045 §5.2, RFC 2046 §5.1.5).
    fn new(in_digest: bool) -> Entity {
        let (media, subtype) = if in_digest { ("message", "rfc822") } else { ("text", "plain") };
        Entity {
            media: media.into(),
            subtype: subtype.into(),
            parameters: Vec::new(),
            id: None,
            description: None,
            encoding: b"7bit".into(),
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
        }
    }

    /// Whether the rest of the name is one of ours.
    fn take(&mut self, name: &[u8], value: &[u8]) -> bool {
        let text = || Some(unfold(value).into_owned());
        match name {
            b"type" => self.take_type(value),
            b"transfer-encoding" => {
                let mut cursor = Cursor::new(value);
                skip_cfws(&mut cursor);
                if let Some(encoding) = cursor.run1(is_token) {
                    self.encoding = encoding.to_vec();
                }
            }
            b"id" => self.id = text(),
            b"description" => self.description = text(),
            b"md5" => self.md5 = text(),
            b"location" => self.location = text(),
            b"disposition" => self.disposition = disposition(value),
            b"language" => self.language = languages(value),
            _ => return false,
        }
        true
    }

    /// RFC 2045 §5.2: what is no type is plain text.
    fn take_type(&mut self, value: &[u8]) {
        let mut cursor = Cursor::new(value);
        let (media, subtype) = media_type(&mut cursor).unwrap_or((b"text", b"plain"));
        self.media = media.to_vec();
        self.subtype = subtype.to_vec();
        self.parameters = parameters(cursor).collect();
    }

    /// What is said must fit what was found: a multipart that could not be taken apart is text, a
    /// message that was not is octets.
    fn mend(&mut self, shape: Shape) {
        let is = |entity: &Entity, media: &str, subtype: &str| {
            entity.media.eq_ignore_ascii_case(media.as_bytes())
                && (subtype.is_empty() || entity.subtype.eq_ignore_ascii_case(subtype.as_bytes()))
        };
        let is_message = is(self, "message", "rfc822") || is(self, "message", "global");
        match shape {
            Shape::Leaf if is(self, "multipart", "") => {
                (self.media, self.subtype) = (b"text".into(), b"plain".into());
                self.parameters.clear();
            }
            Shape::Leaf if is_message => {
                (self.media, self.subtype) = (b"application".into(), b"octet-stream".into());
            }
            _ => {}
        }
        let has_charset =
            self.parameters.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"charset"));
        if is(self, "text", "") && !has_charset {
            self.parameters.push((b"charset".into(), b"us-ascii".into()));
        }
    }
}

fn disposition(value: &[u8]) -> Option<Disposition> {
    let mut cursor = Cursor::new(value);
    skip_cfws(&mut cursor);
    let kind = cursor.run1(is_token)?.to_vec();
    Some(Disposition { kind, parameters: parameters(cursor).collect() })
}

/// RFC 3282 §2.
fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let mut cursor = Cursor::new(value);
    let mut found = Vec::new();
    while found.len() < LANGUAGES && !cursor.at_end() {
        skip_cfws(&mut cursor);
        let tag = cursor.run1(|octet| !is_white(octet) && octet != b',' && octet != b'(');
        found.extend(tag.map(<[u8]>::to_vec));
        skip_cfws(&mut cursor);
        cursor.literal(",");
    }
    found
}
