//! Names of mailboxes as clients write them: RFC 3501 §5.1, RFC 9051 §5.1, RFC 6855 §3.
//!
//! Whether `&` begins modified UTF-7 depends on what the client enabled, which no grammar knows:
//! so a command holds the octets, and the session asks for the name.

use crate::imapd::response::{Code, Status};
use crate::text::utf7;

/// A mailbox as the client wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox(Vec<u8>);

/// A reference or a pattern of LIST or LSUB as the client wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern(Vec<u8>);

impl From<Vec<u8>> for Mailbox {
    fn from(octets: Vec<u8>) -> Mailbox {
        Mailbox(octets)
    }
}

impl From<Vec<u8>> for Pattern {
    fn from(octets: Vec<u8>) -> Pattern {
        Pattern(octets)
    }
}

/// The name, or what keeps it from being one. `utf8` is whether the client enabled IMAP4rev2 or
/// UTF8=ACCEPT. Octets beyond ASCII are UTF-8 in any case.
fn decode(octets: &[u8], utf8: bool) -> Result<String, &'static str> {
    if utf8 || !octets.is_ascii() {
        return String::from_utf8(octets.to_vec()).map_err(|_| "The name is no UTF-8");
    }
    utf7::decode(octets).ok_or("The name is no modified UTF-7, where & is written &-")
}

impl Mailbox {
    /// Which mailbox it is; INBOX always in capital letters (RFC 3501 §5.1).
    pub fn name(&self, utf8: bool) -> Result<String, Status> {
        let cannot = |text| Status::no(Code::Cannot, text);
        let name = decode(&self.0, utf8).map_err(cannot)?;
        let control = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
        match name {
            name if name.eq_ignore_ascii_case("INBOX") => Ok("INBOX".to_owned()),
            name if name.contains(control) => {
                Err(cannot("A name holds no control characters").by("RFC 6855 §3"))
            }
            name => Ok(name),
        }
    }
}

impl Pattern {
    /// What it matches against. One that is written wrongly matches what is so written, which is
    /// nothing.
    pub fn text(&self, utf8: bool) -> String {
        decode(&self.0, utf8).unwrap_or_else(|_| String::from_utf8_lossy(&self.0).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_what_the_client_enabled() {
        for (written, utf8, expected) in [
            ("inbox", false, Some("INBOX")),
            ("InBoX", true, Some("INBOX")),
            ("inbox/a", false, Some("inbox/a")),
            ("Se&APE-al", false, Some("Señal")),
            ("Se&APE-al", true, Some("Se&APE-al")),
            ("Señal", false, Some("Señal")),
            ("A & B", true, Some("A & B")),
            ("A & B", false, None),
            ("&AGE-", false, None),
            ("a\tb", false, None),
            ("a\u{85}b", true, None),
            ("&IAgooi-", false, None),
            ("", false, Some("")),
        ] {
            let name = Mailbox(written.into()).name(utf8);
            assert_eq!(name.as_deref().ok(), expected, "{written}");
            if let Err(status) = name {
                assert_eq!(status.code, Some(Code::Cannot));
            }
        }
        assert!(Mailbox(vec![0xff]).name(true).is_err());
        for (written, utf8, expected) in [
            ("Se&APE-*", false, "Señ*"),
            ("A & *", false, "A & *"),
            ("&APE-", true, "&APE-"),
            ("%", false, "%"),
        ] {
            assert_eq!(Pattern(written.into()).text(utf8), expected);
        }
    }
}
