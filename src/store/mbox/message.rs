//! One message of an mbox, line by line: what of it is the letter, and what the mailbox noted.
//!
//! The letter is what a client sees: without the fields of `field`, with the quoting of `from`
//! undone, without the empty line that divides it from the next. Its digest tells it from others
//! and stays when mutt or Dovecot change their notes.

use std::fs::File;
use std::io;

use super::super::flags::Flags;
use super::field::{self, Own};
use super::from;
use super::lines::{Line, Lines, Part};

/// Words that one message has; what is behind them is not looked at.
const WORDS: usize = 64 * 1024;

/// Tells letters apart. Not against malice: a UID must agree as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Adds a line, or a piece of one; never parts of that.
    pub fn add(&mut self, octets: &[u8]) {
        let (words, rest) = octets.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last));
        self.mix(octets.len() as u64);
    }

    /// One that was noted.
    pub fn of(value: u64) -> Digest {
        Digest(value)
    }

    /// As a number.
    pub fn value(self) -> u64 {
        self.0
    }

    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// What the header notes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Read by somebody.
    pub seen: bool,
    /// No longer new.
    pub old: bool,
    /// Of X-Status.
    pub flags: Flags,
    /// X-UID, 0 where there is none.
    pub uid: u32,
    /// UIDVALIDITY and the last UID.
    pub base: Option<(u32, u32)>,
    /// No letter, but UW's place for notes.
    pub is_notes: bool,
    /// Not written to its end.
    pub is_incomplete: bool,
}

/// A message being read. The dividing line is not fed.
#[derive(Debug, Default)]
pub struct Walk {
    /// What was noted so far.
    pub facts: Facts,
    /// Content-Length.
    pub length: Option<u64>,
    /// Where the body begins.
    pub body_at: Option<u64>,
    /// Whether there is a field that is the mailbox's in one place and the letter's in another.
    pub has_lines: bool,
    /// Of the letter so far.
    pub digest: Digest,
    octets: u64,
    last: u8,
    field: Shown,
    after_length: bool,
    own: Option<Own>,
    /// Words of X-Keywords.
    pub keywords: Vec<u8>,
    /// Words behind the base.
    pub listed: Vec<u8>,
    /// An empty line that may be the last.
    blank: Option<Blank>,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shown {
    #[default]
    Yes,
    /// Programs may change it.
    Undigested,
    No,
}

#[derive(Clone, Copy, Debug)]
enum Blank {
    Lf,
    CrLf,
}

impl Walk {
    /// Takes the next line, and hands what belongs to the letter to `out`.
    pub fn feed(
        &mut self,
        line: Line,
        out: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.body_at.is_none() && line.starts {
            self.header_line(line);
        }
        if self.field == Shown::No {
            return Ok(());
        }
        if let Some(blank) = self.blank.take() {
            let length = match blank {
                Blank::Lf => 1,
                Blank::CrLf => 2,
            };
            self.letter(&field::BLANK[2 - length..], out)?;
        }
        match line.text {
            [b'\n'] if line.starts => self.blank = Some(Blank::Lf),
            [b'\r', b'\n'] if line.starts => self.blank = Some(Blank::CrLf),
            [b'>', text @ ..] if line.starts && from::is_quoted(line.text) => {
                self.letter(text, out)?
            }
            text => self.letter(text, out)?,
        }
        Ok(())
    }

    fn letter(
        &mut self,
        text: &[u8],
        out: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.field == Shown::Yes {
            self.digest.add(text);
        }
        let before = match text {
            [.., before, _] => *before,
            _ => self.last,
        };
        self.last = text.last().copied().unwrap_or(self.last);
        self.octets += text.len() as u64 + u64::from(self.last == b'\n' && before != b'\r');
        out(text)
    }

    fn header_line(&mut self, line: Line) {
        if field::is_blank(line.text) {
            self.body_at = Some(line.at + line.text.len() as u64);
            self.field = Shown::Yes;
            return;
        }
        if field::is_folded(line.text) {
            self.words(line.text);
            return;
        }
        let own = field::own(line.text);
        let is_lines = line.text.get(..6).is_some_and(|name| name.eq_ignore_ascii_case(b"Lines:"));
        self.field = match own {
            Some(_) => Shown::No,
            // mutt and UW write it behind the length; elsewhere it is the letter's.
            None if is_lines && self.after_length => Shown::No,
            None if is_lines => Shown::Undigested,
            None => Shown::Yes,
        };
        self.has_lines |= is_lines;
        self.own = own.map(|(own, _)| own);
        self.after_length = matches!(own, Some((Own::Length, _)));
        if let Some((own, value)) = own {
            self.note(own, value);
            match own {
                Own::Keywords => self.words(value),
                Own::Base | Own::Imap => {
                    self.words(field::base(value).map_or(b"", |(.., words)| words));
                }
                _ => {}
            }
        }
    }

    /// Keywords, wherever their line was broken.
    fn words(&mut self, text: &[u8]) {
        let words = match self.own {
            Some(Own::Keywords) => &mut self.keywords,
            Some(Own::Base | Own::Imap) => &mut self.listed,
            _ => return,
        };
        if words.len() < WORDS {
            words.push(b' ');
            words.extend_from_slice(text.trim_ascii());
        }
    }

    fn note(&mut self, own: Own, value: &[u8]) {
        let facts = &mut self.facts;
        match own {
            Own::Status => {
                facts.seen = value.contains(&b'R');
                facts.old = value.contains(&b'O') || facts.seen;
            }
            Own::Uid => facts.uid = field::number(value).unwrap_or(0),
            Own::Base | Own::Imap => {
                facts.base = field::base(value).map(|(validity, last, _)| (validity, last));
                facts.is_notes |= own == Own::Imap && facts.base.is_some();
            }
            Own::Length => {
                self.length = std::str::from_utf8(value).ok().and_then(|n| n.parse().ok())
            }
            Own::Incomplete => facts.is_incomplete = true,
            Own::XStatus => {
                let set = field::X_STATUS.iter().filter(|(letter, _)| value.contains(letter));
                facts.flags = set.fold(Flags::NONE, |flags, (_, flag)| flags | *flag);
            }
            Own::Keywords => {}
        }
    }

    /// Octets of the letter in wire form, where a last line that does not end is ended.
    pub fn octets(&self) -> u64 {
        match self.last {
            b'\n' | 0 => self.octets,
            _ => self.octets + 2,
        }
    }
}

/// Reads the message that lies from `at` to `end`, and hands the letter to `out`; `None` where no
/// message begins there.
pub fn read(
    file: &File,
    at: u64,
    end: u64,
    out: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<Walk>> {
    let mut lines = Lines::new(Part { file, at, end }, at);
    if !lines.next()?.is_some_and(|line| from::divides(line.text)) {
        return Ok(None);
    }
    let mut walk = Walk::default();
    while let Some(line) = lines.next()? {
        walk.feed(line, out)?;
    }
    Ok(Some(walk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    const DIVIDE: &str = "From a@b  Sat Nov 21 00:46:04 2026\n";

    fn walked(stored: &str) -> (String, Walk) {
        let file = tempfile::tempfile().unwrap();
        let stored = format!("{DIVIDE}{stored}");
        file.write_all_at(stored.as_bytes(), 0).unwrap();
        let mut letter = Vec::new();
        let walk = read(&file, 0, stored.len() as u64, &mut |text| {
            letter.extend_from_slice(text);
            Ok(())
        });
        (String::from_utf8(letter).unwrap(), walk.unwrap().unwrap())
    }

    #[test]
    fn what_is_the_letter() {
        for (stored, letter, octets) in [
            ("To: a\n\nbody\n\n", "To: a\n\nbody\n", 15),
            ("To: a\n\nbody\n", "To: a\n\nbody\n", 15),
            ("To: a\n\nbody", "To: a\n\nbody", 15),
            ("To: a\n\nbody\n\n\n", "To: a\n\nbody\n\n", 17),
            ("To: a\n\n", "To: a\n", 7),
            ("To: a\n\n\n", "To: a\n\n", 9),
            ("To: a\r\n\r\nbody\r\n\r\n", "To: a\r\n\r\nbody\r\n", 15),
            ("To: a\n\n>From me\n>>From me\n> x\n\n", "To: a\n\nFrom me\n>From me\n> x\n", 33),
            ("Status: RO\nTo: a\nX-UID: 7\n 8\nX-Keywords:  \n\nx\n\n", "To: a\n\nx\n", 12),
            ("To: a\nContent-Length: 2\nLines: 1\n\nx\n\n", "To: a\n\nx\n", 12),
            ("To: a\nLines: 1\n\nStatus: x\n\n", "To: a\nLines: 1\n\nStatus: x\n", 30),
            ("", "", 0),
        ] {
            let (found, walk) = walked(stored);
            assert_eq!((found.as_str(), walk.octets()), (letter, octets), "{stored:?}");
        }
    }

    #[test]
    fn notes_do_not_change_the_digest() {
        let digest = |stored: &str| walked(stored).1.digest;
        let plain = digest("To: a\nSubject: b\n\nbody\n\n");
        for stored in [
            "To: a\nSubject: b\nStatus: RO\nContent-Length: 5\nLines: 1\n\nbody\n\n",
            "X-UID: 7\nTo: a\nLines: 1\nSubject: b\n\nbody\n",
        ] {
            assert_eq!(digest(stored), plain, "{stored:?}");
        }
        for stored in ["To: a\nSubject: c\n\nbody\n", "To: a\nSubject: b\n\nbody\n\n\n", "To: a\n"]
        {
            assert_ne!(digest(stored), plain, "{stored:?}");
        }
    }

    #[test]
    fn facts() {
        let (_, walk) = walked("Status: RO\nX-UID: 7\nX-IMAPbase: 5 6 k\nContent-Length: 9\n\nx\n");
        let facts = walk.facts;
        assert_eq!((facts.seen, facts.uid, facts.base), (true, 7, Some((5, 6))));
        assert_eq!((walk.length, walk.body_at), (Some(9), Some(35 + 57)));
        let (_, walk) = walked("Status: O\nX-UID: x\nX-IMAP: 5 6\n\n");
        assert_eq!((walk.facts.seen, walk.facts.uid, walk.facts.is_notes), (false, 0, true));
        let incomplete = String::from_utf8_lossy(field::INCOMPLETE);
        assert!(walked(&format!("{incomplete}\n")).1.facts.is_incomplete);
        let complete = String::from_utf8_lossy(field::COMPLETE);
        assert!(!walked(&format!("{complete}\n")).1.facts.is_incomplete);
    }
}
