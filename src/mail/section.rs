//! The sections of a message that a client can ask for: RFC 3501 §6.4.5, RFC 9051 §6.4.5.1.
//!
//! A section is ranges of the message. What it does not have is `None`.

use super::fields::fields;
use super::tree::{Shape, Tree};
use std::ops::Range;

/// Which side of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side<'a> {
    /// The part itself: its body, or without part numbers the whole message.
    Whole,
    /// The header of the message, or of the message that the part is.
    Header,
    /// Of that header the fields of these names, or all others, and the empty line.
    Fields {
        /// In any letters.
        names: &'a [&'a [u8]],
        /// All others.
        not: bool,
    },
    /// The body of that message.
    Text,
    /// The header of the part itself.
    Mime,
}

impl Tree {
    /// The part with these numbers, by its place in `parts`; without numbers, the message.
    pub fn find(&self, numbers: &[u32]) -> Option<usize> {
        let mut at = 0;
        let mut is_message = true; // and not the part that holds it
        for number in numbers {
            if !is_message && self.parts()[at].shape == Shape::Message {
                at += 1;
                is_message = true;
            }
            let index = usize::try_from(*number).ok()?.checked_sub(1)?;
            at = match self.parts()[at].shape {
                Shape::Multipart => self.children(at).nth(index)?,
                // Of a message without parts the body is part 1.
                _ if is_message && index == 0 => at,
                _ => return None,
            };
            is_message = false;
        }
        Some(at)
    }

    /// Where a section stands. Several ranges follow one another without anything between.
    pub fn section(
        &self,
        message: &[u8],
        numbers: &[u32],
        side: Side,
    ) -> Option<Vec<Range<usize>>> {
        let at = self.find(numbers)?;
        let part = &self.parts()[at];
        let of_message = match part.shape {
            _ if numbers.is_empty() => Some(part),
            Shape::Message => self.parts().get(at + 1),
            _ => None,
        };
        Some(match side {
            Side::Whole if numbers.is_empty() => vec![Range { start: 0, end: message.len() }],
            Side::Whole => vec![part.body.clone()],
            Side::Mime if !numbers.is_empty() => vec![part.header.clone()],
            Side::Mime => return None,
            Side::Header => vec![of_message?.header.clone()],
            Side::Text => vec![of_message?.body.clone()],
            Side::Fields { names, not } => subset(message, of_message?.header.clone(), names, not),
        })
    }
}

/// The fields of these names, or all others, and the empty line behind the header.
fn subset(message: &[u8], header: Range<usize>, names: &[&[u8]], not: bool) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut take = |range: Range<usize>| match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    };
    let mut end = header.start;
    for field in fields(message, header.clone()) {
        end = field.range.end;
        if names.iter().any(|name| name.eq_ignore_ascii_case(field.name)) != not {
            take(field.range);
        }
    }
    if end < header.end {
        take(end..header.end);
    }
    ranges
}
