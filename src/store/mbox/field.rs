//! What mail programs note in the header of a message in an mbox: `Status`, `X-Status`,
//! `X-Keywords`, `X-UID`, and `X-IMAPbase` in the first.
//!
//! These fields belong to the mailbox, not to the letter: they are left out when one is stored or
//! sent, as Dovecot does. Ours stand together, and end in an `X-Keywords` of blanks, so that later
//! changes fit in their place and nothing has to move.

use super::super::flags::{Flags, KEYWORDS, Marks, is_keyword};
use super::from;

/// A field of the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// R read, O not new.
    Status,
    /// A answered, F flagged, T draft, D to be deleted.
    XStatus,
    /// Words, divided by blanks.
    Keywords,
    /// The number of the message.
    Uid,
    /// UIDVALIDITY, the last UID, all keywords.
    Base,
    /// The same, in the message that UW puts first to hold them.
    Imap,
    /// Octets of the body.
    Length,
    /// A letter that is still being written, or whose writer died.
    Incomplete,
}

const NAMES: [(&[u8], Own); 8] = [
    (b"Status", Own::Status),
    (b"X-Status", Own::XStatus),
    (b"X-Keywords", Own::Keywords),
    (b"X-UID", Own::Uid),
    (b"X-IMAPbase", Own::Base),
    (b"X-IMAP", Own::Imap),
    (b"Content-Length", Own::Length),
    (b"X-Incomplete", Own::Incomplete),
];

/// Room for later changes.
const PAD: usize = 64;
/// A letter that is being written: mutt and Dovecot take it for deleted. As long as `COMPLETE`.
pub const INCOMPLETE: &[u8] =
    b"X-Status: D\nX-Incomplete: its writer is at work, or died.                          \n";
/// What it becomes.
pub const COMPLETE: &[u8] =
    b"X-Keywords:                                                                        \n";

/// The field of the mailbox that a line of a header begins, with its value.
pub fn own(line: &[u8]) -> Option<(Own, &[u8])> {
    if !matches!(line.first(), Some(b'S' | b's' | b'X' | b'x' | b'C' | b'c')) {
        return None;
    }
    let (name, value) = line.split_at(memchr::memchr(b':', &line[..line.len().min(64)])?);
    let name = name.trim_ascii_end();
    let (_, own) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some((*own, value[1..].trim_ascii()))
}

/// Whether a line goes on where the one before it stopped.
pub fn is_folded(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t')) && !is_blank(line)
}

/// An empty line of those who write CRLF.
pub const BLANK: &[u8] = &[0x0d, 0x0a];

/// An empty line, which ends the header.
pub fn is_blank(line: &[u8]) -> bool {
    line == BLANK || line == &BLANK[1..]
}

/// Letters of X-Status.
pub const X_STATUS: [(u8, Flags); 4] =
    [(b'A', Flags::ANSWERED), (b'F', Flags::FLAGGED), (b'T', Flags::DRAFT), (b'D', Flags::DELETED)];

/// Keywords, divided by blanks.
pub fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn is_named(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// The bit of a keyword among names; one that has none gets one while there is room.
pub fn bit(names: &mut Vec<String>, word: &[u8]) -> Option<u32> {
    if let Some(at) = names.iter().position(|name| is_named(word, name)) {
        return Some(at as u32);
    }
    let name = std::str::from_utf8(word).ok()?;
    if names.len() >= KEYWORDS || !is_keyword(name) {
        return None;
    }
    names.push(name.to_owned());
    Some(names.len() as u32 - 1)
}

/// A UID as X-UID has it.
pub fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// UIDVALIDITY and the last UID, and the keywords behind them.
pub fn base(value: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut words = value.splitn(3, |octet| *octet == b' ');
    let (validity, last) = (number(words.next()?)?, number(words.next()?)?);
    // Nobody counts so far honestly, and a last UID that cannot grow would be the end.
    let is_sane = validity > 0 && last < u32::MAX / 2;
    is_sane.then(|| (validity, last, words.next().unwrap_or_default().trim_ascii()))
}

/// The notes in one header, to be changed.
#[derive(Debug, Default)]
pub struct Notes {
    /// Letters of Status.
    pub status: Vec<u8>,
    x_status: Vec<u8>,
    keywords: Vec<u8>,
    /// The UID, 0 for none.
    pub uid: u32,
    /// UIDVALIDITY and the last UID.
    pub base: Option<(u32, u32)>,
    base_keywords: Vec<u8>,
    is_imap: bool,
}

impl Notes {
    fn take(&mut self, own: Own, value: &[u8]) {
        match own {
            Own::Status => self.status = value.to_vec(),
            Own::XStatus => self.x_status = value.to_vec(),
            // There may be two, where a letter was put in with its keywords.
            Own::Keywords => {
                self.keywords = [&self.keywords, &b" "[..], value].concat().trim_ascii().to_vec();
            }
            Own::Uid => self.uid = number(value).unwrap_or(0),
            Own::Base | Own::Imap => {
                self.is_imap = own == Own::Imap;
                let base = base(value);
                self.base = base.map(|(validity, last, _)| (validity, last));
                self.base_keywords = base.map_or_else(Vec::new, |(.., words)| words.to_vec());
            }
            Own::Length | Own::Incomplete => {}
        }
    }

    /// Marks as read.
    pub fn set_seen(&mut self) {
        self.status.retain(|flag| !b"RO".contains(flag));
        self.status.splice(..0, *b"RO");
    }

    /// Notes that it is no longer new.
    pub fn set_old(&mut self) {
        if !self.status.contains(&b'O') {
            self.status.push(b'O');
        }
    }

    /// Notes flags, and those of the keywords that have a name here; others stay.
    pub fn set_marks(&mut self, marks: Marks, names: &[String]) {
        let flags = marks.flags();
        self.status.retain(|letter| !b"RO".contains(letter));
        let status: &[u8] = if flags.has(Flags::SEEN) { b"RO" } else { b"O" };
        self.status.splice(..0, status.iter().copied());
        self.x_status.retain(|letter| !X_STATUS.iter().any(|(known, _)| known == letter));
        let set = X_STATUS.iter().filter(|(_, flag)| flags.has(*flag));
        self.x_status.extend(set.map(|(letter, _)| *letter));
        let named = |word: &&[u8]| names.iter().any(|name| is_named(word, name));
        let mut words: Vec<&[u8]> = words(&self.keywords).filter(|word| !named(word)).collect();
        let bits = marks.keywords();
        let set = names.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
        words.extend(set.map(|(_, name)| name.as_bytes()));
        self.keywords = words.join(&b' ');
    }

    /// Lists keywords beside the base.
    pub fn list(&mut self, names: &[String]) {
        for name in names {
            if !words(&self.base_keywords).any(|word| is_named(word, name)) {
                self.base_keywords.push(b' ');
                self.base_keywords.extend_from_slice(name.as_bytes());
            }
        }
        self.base_keywords = self.base_keywords.trim_ascii().to_vec();
    }

    /// As fields without room.
    pub fn fields(&self) -> Vec<u8> {
        let mut fields = self.write(None);
        let pad = if self.keywords.is_empty() { b"X-Keywords: ".len() + PAD } else { PAD };
        fields.truncate(fields.len() - 1 - pad);
        if !self.keywords.is_empty() {
            fields.push(b'\n');
        }
        fields
    }

    /// As fields, of exactly `room` octets where that is possible.
    fn write(&self, room: Option<usize>) -> Vec<u8> {
        let mut fields = Vec::new();
        let mut field = |name: &str, value: &[u8]| {
            if !value.is_empty() {
                fields.extend_from_slice(name.as_bytes());
                fields.extend_from_slice(value);
                fields.push(b'\n');
            }
        };
        if let Some((validity, last)) = self.base {
            let name = if self.is_imap { "X-IMAP: " } else { "X-IMAPbase: " };
            // Ten digits, so that any UID fits.
            let numbers = format!("{validity} {last:010} ");
            let value = [numbers.as_bytes(), &self.base_keywords].concat();
            field(name, value.trim_ascii_end());
        }
        if self.uid > 0 && !self.is_imap {
            field("X-UID: ", self.uid.to_string().as_bytes());
        }
        field("Status: ", &self.status);
        field("X-Status: ", &self.x_status);
        let name = b"X-Keywords:";
        let least = fields.len() + name.len() + 1 + self.keywords.len() + 1;
        if room == Some(fields.len()) && self.keywords.is_empty() {
            return fields;
        }
        let pad = room.and_then(|room| room.checked_sub(least)).unwrap_or(PAD);
        fields.extend_from_slice(name);
        fields.push(b' ');
        fields.extend_from_slice(&self.keywords);
        fields.resize(least - 1 + pad, b' ');
        fields.push(b'\n');
        fields
    }
}

/// A header, dividing line to empty line, with other notes: in their old place if they fit there,
/// and then it is as long as before.
pub fn rewrite(header: &[u8], change: impl FnOnce(&mut Notes)) -> Vec<u8> {
    let mut notes = Notes::default();
    let mut rest = Vec::with_capacity(header.len() + 2 * PAD);
    // Where the notes stand in the header without them, and their octets if they stand together.
    let mut place = None;
    let mut room = 0;
    let mut together = true;
    let mut current: Option<(Own, Vec<u8>)> = None;
    for line in header.split_inclusive(|octet| *octet == b'\n') {
        match own(line) {
            _ if is_folded(line) && current.is_some() => {
                if let Some((_, value)) = &mut current {
                    value.push(b' ');
                    value.extend_from_slice(line.trim_ascii());
                }
            }
            Some((own, value)) if own != Own::Length && !line.starts_with(from::FROM) => {
                let before = current.replace((own, value.to_vec()));
                before.iter().for_each(|(own, value)| notes.take(*own, value));
                together &= *place.get_or_insert(rest.len()) == rest.len();
            }
            _ => {
                current.take().iter().for_each(|(own, value)| notes.take(*own, value));
                if is_blank(line) {
                    place.get_or_insert(rest.len());
                }
                rest.extend_from_slice(line);
                continue;
            }
        }
        room += line.len();
    }
    current.iter().for_each(|(own, value)| notes.take(*own, value));
    change(&mut notes);
    let fields = notes.write((together && room > 0).then_some(room));
    if !rest.ends_with(b"\n") {
        rest.push(b'\n');
    }
    let place = place.unwrap_or(rest.len());
    rest.splice(place..place, fields);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(header: &str, change: impl FnOnce(&mut Notes)) -> String {
        String::from_utf8(rewrite(header.as_bytes(), change)).unwrap()
    }

    #[test]
    fn our_letters_have_room() {
        assert_eq!(INCOMPLETE.len(), COMPLETE.len());
        let complete = String::from_utf8_lossy(COMPLETE);
        let header = format!("From a  x\nTo: b\n{complete}Subject: c\n\n");
        let first = changed(&header, |notes| (notes.uid, notes.base) = (7, Some((1234567890, 7))));
        let start = "From a  x\nTo: b\nX-IMAPbase: 1234567890 0000000007\nX-UID: 7\nX-Keywords:  ";
        assert!(first.starts_with(start), "{first}");
        assert!(first.ends_with(" \nSubject: c\n\n"), "{first}");
        assert_eq!(first.len(), header.len());
        let second = changed(&first, Notes::set_seen);
        assert!(second.contains("X-UID: 7\nStatus: RO\nX-Keywords:  "), "{second}");
        assert_eq!(second.len(), header.len());
        assert_eq!(changed(&second, Notes::set_seen), second);
    }

    #[test]
    fn others_get_room() {
        for (header, expected) in [
            ("From a  x\nTo: b\n\n", "From a  x\nTo: b\nX-UID: 3\nStatus: RO\nX-Keywords:PAD \n\n"),
            (
                "From a  x\nStatus: O\nTo: b\nX-Status: AF\nContent-Length: 4\n\n",
                "From a  x\nX-UID: 3\nStatus: RO\nX-Status: AF\nX-Keywords:PAD \nTo: b\nContent-Length: 4\n\n",
            ),
            (
                "From a  x\nX-UID: 3\nX-Keywords: one\n two\nStatus: RO\n\n",
                "From a  x\nX-UID: 3\nStatus: RO\nX-Keywords: one two\n\n",
            ),
            ("From a  x\nTo: b", "From a  x\nTo: b\nX-UID: 3\nStatus: RO\nX-Keywords:PAD \n"),
        ] {
            let found = changed(header, |notes| {
                notes.uid = 3;
                notes.set_seen();
            });
            let pad = " ".repeat(PAD);
            let found = found.replace(&pad, "PAD").replace("two \n", "two\n");
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn keywords_and_the_message_of_uw_stay() {
        let header = "From a  x\nX-IMAP: 12 0000000003 one $two\nStatus: RO\n\n";
        let found = changed(header, |notes| notes.base = Some((12, 4)));
        assert_eq!(found, "From a  x\nX-IMAP: 12 0000000004 one $two\nStatus: RO\n\n");
    }

    #[test]
    fn fields_are_known_in_any_case() {
        for (line, expected) in [
            ("Status: RO\n", Some((Own::Status, "RO"))),
            ("STATUS:\n", Some((Own::Status, ""))),
            ("x-uid : 7 \n", Some((Own::Uid, "7"))),
            ("Content-Length: 7\n", Some((Own::Length, "7"))),
            ("Content-Type: x\n", None),
            ("X-Statuses: x\n", None),
            ("Subject: Status: x\n", None),
            ("", None),
        ] {
            let expected = expected.map(|(own, value)| (own, value.as_bytes()));
            assert_eq!(own(line.as_bytes()), expected, "{line}");
        }
        assert_eq!(base(b"12 0000000003 a b"), Some((12, 3, &b"a b"[..])));
        for wrong in ["", "12", "0 1", "12 4294967295", "x 1"] {
            assert_eq!(base(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
