//! The envelope of a message as IMAP understands it, which is its header: RFC 3501 §7.4.2.
//!
//! Values only: how they are written is the server's affair. They are octets as the message has
//! them, encoded words and all; only folds are gone.

use super::addresses::{Address, addresses};
use super::fields::{fields, unfold};
use std::ops::Range;

/// Who wrote to whom, when, and what about. Of a field that stands twice the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Date.
    pub date: Option<Vec<u8>>,
    /// Subject.
    pub subject: Option<Vec<u8>>,
    /// From.
    pub from: Vec<Address>,
    /// Sender; From if it is missing or empty, as the RFC says.
    pub sender: Vec<Address>,
    /// Reply-To; From if it is missing or empty.
    pub reply_to: Vec<Address>,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Bcc.
    pub bcc: Vec<Address>,
    /// In-Reply-To.
    pub in_reply_to: Option<Vec<u8>>,
    /// Message-ID.
    pub message_id: Option<Vec<u8>>,
}

impl Envelope {
    /// The envelope that the header at `header` of a message makes.
    pub fn new(message: &[u8], header: Range<usize>) -> Envelope {
        let mut envelope = Envelope::default();
        for field in fields(message, header) {
            let mut name = [0; 16];
            let Some(name) = name.get_mut(..field.name.len()) else { continue };
            name.copy_from_slice(field.name);
            name.make_ascii_lowercase();
            envelope.take(name, field.value);
        }
        for other in [&mut envelope.sender, &mut envelope.reply_to] {
            if other.is_empty() {
                other.clone_from(&envelope.from);
            }
        }
        envelope
    }

    fn take(&mut self, name: &[u8], value: &[u8]) {
        let list = match name {
            b"from" => &mut self.from,
            b"sender" => &mut self.sender,
            b"reply-to" => &mut self.reply_to,
            b"to" => &mut self.to,
            b"cc" => &mut self.cc,
            b"bcc" => &mut self.bcc,
            _ => return self.take_text(name, value),
        };
        if list.is_empty() {
            *list = addresses(value);
        }
    }

    fn take_text(&mut self, name: &[u8], value: &[u8]) {
        let text = match name {
            b"date" => &mut self.date,
            b"subject" => &mut self.subject,
            b"in-reply-to" => &mut self.in_reply_to,
            b"message-id" => &mut self.message_id,
            _ => return,
        };
        text.get_or_insert_with(|| unfold(value).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_everything_and_one_with_nothing() {
        let message = b"Date: today\r\nSUBJECT: a\r\n b\r\nFrom: a@b\nTo: c@d\nto: e@f\nCc:\n\
                        Bcc: g: ;\nReply-to: h@i\nSender: ()\nIn-Reply-To: <1>\n <2>\n\
                        Message-ID:\nX-Very-Long-Name-Of-A-Field: x\n\nFrom: no\n";
        let envelope = Envelope::new(message, 0..message.len());
        let text =
            |text: &Option<Vec<u8>>| text.clone().map(|text| String::from_utf8(text).unwrap());
        assert_eq!(text(&envelope.date).as_deref(), Some("today"));
        assert_eq!(text(&envelope.subject).as_deref(), Some("a b"));
        assert_eq!(text(&envelope.in_reply_to).as_deref(), Some("<1> <2>"));
        assert_eq!(text(&envelope.message_id).as_deref(), Some(""));
        assert_eq!(envelope.from, addresses(b"a@b"));
        assert_eq!(envelope.sender, envelope.from);
        assert_eq!(envelope.reply_to, addresses(b"h@i"));
        assert_eq!(envelope.to, addresses(b"c@d"));
        assert_eq!(envelope.cc, []);
        assert_eq!(envelope.bcc, [Address::Group(b"g".to_vec()), Address::GroupEnd]);
        assert_eq!(Envelope::new(b"\nFrom: a", 0..8), Envelope::default());
    }
}
