//! What messages are marked with, whatever the format of the mailbox: the flags of RFC 3501 §2.3.2
//! and up to 26 keywords, which a mailbox knows by their numbers.
//!
//! `Flags` and keyword bits are what callers say; `Marks` is both in the 32 bits that a session
//! keeps of each message, in the order of the letters that a Maildir writes.

use std::ops::{BitOr, BitOrAssign};

/// How many keywords a mailbox can name: the small letters.
pub const KEYWORDS: usize = 26;

/// Whether a name is one that a client can say and be told: `flag-keyword` (RFC 3501 §9). Other
/// programs write what they like.
pub fn is_keyword(name: &str) -> bool {
    let is_special = |octet| b"(){%*\"\\]".contains(&octet);
    !name.is_empty() && name.bytes().all(|octet| crate::text::is_vchar(octet) && !is_special(octet))
}

/// Flags of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// None of them.
    pub const NONE: Flags = Flags(0);
    /// It was read.
    pub const SEEN: Flags = Flags(1);
    /// It was replied to.
    pub const ANSWERED: Flags = Flags(2);
    /// It wants attention.
    pub const FLAGGED: Flags = Flags(4);
    /// It goes with the next EXPUNGE.
    pub const DELETED: Flags = Flags(8);
    /// It is not finished.
    pub const DRAFT: Flags = Flags(16);
    /// This session was the first to see it; nobody can set that.
    pub const RECENT: Flags = Flags(32);

    /// Whether it has all of these.
    pub fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

/// What STORE does with flags: RFC 3501 §6.4.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
    /// `FLAGS`
    Replace,
}

/// The letters of maildir(5), a bit each in their order: `DFPRST`, then `a` to `z` for keywords.
/// `P`, passed, is no flag of ours, and is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(pub u32);

const LETTERS: &[u8; 32] = b"DFPRSTabcdefghijklmnopqrstuvwxyz";
const FIRST_KEYWORD: u32 = 6;
const FLAGS: [(Flags, u32); 5] = [
    (Flags::DRAFT, 1 << 0),
    (Flags::FLAGGED, 1 << 1),
    (Flags::ANSWERED, 1 << 3),
    (Flags::SEEN, 1 << 4),
    (Flags::DELETED, 1 << 5),
];

impl Marks {
    /// Of flags and keyword bits. \Recent is no mark.
    pub fn of(flags: Flags, keywords: u32) -> Marks {
        let flags = FLAGS.iter().filter(|(flag, _)| flags.has(*flag));
        let keywords = keywords.checked_shl(FIRST_KEYWORD).unwrap_or(0);
        Marks(flags.fold(keywords, |marks, (_, mark)| marks | mark))
    }

    /// The flags among them.
    pub fn flags(self) -> Flags {
        let flags = FLAGS.iter().filter(|(_, mark)| self.0 & mark != 0);
        flags.fold(Flags::NONE, |flags, (flag, _)| flags | *flag)
    }

    /// The keywords among them, bit 0 for the first.
    pub fn keywords(self) -> u32 {
        self.0 >> FIRST_KEYWORD
    }

    /// The same flags with other keywords.
    pub fn with_keywords(self, keywords: u32) -> Marks {
        Marks(self.0 & ((1 << FIRST_KEYWORD) - 1) | Marks::of(Flags::NONE, keywords).0)
    }

    /// After a change; what callers can name are all flags and the keywords in `named`.
    pub fn changed(self, change: Change, by: Marks, named: u32) -> Marks {
        let all = Flags(!0);
        match change {
            Change::Add => Marks(self.0 | by.0),
            Change::Remove => Marks(self.0 & !by.0),
            Change::Replace => Marks(self.0 & !Marks::of(all, named).0 | by.0),
        }
    }

    /// The mark of a letter.
    pub fn of_letter(letter: u8) -> Option<Marks> {
        LETTERS.iter().position(|other| *other == letter).map(|at| Marks(1 << at))
    }

    /// The letters, in order.
    pub fn letters(self) -> impl Iterator<Item = u8> {
        (0..32).filter(move |at| self.0 & (1 << at) != 0).map(|at| LETTERS[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_letters_and_back() {
        for (flags, keywords, letters) in [
            (Flags::NONE, 0, ""),
            (Flags::SEEN, 0, "S"),
            (Flags::DELETED | Flags::DRAFT | Flags::RECENT, 0, "DT"),
            (Flags::ANSWERED | Flags::FLAGGED | Flags::SEEN, 1, "FRSa"),
            (Flags::NONE, (1 << 25) | 2, "bz"),
        ] {
            let marks = Marks::of(flags, keywords);
            assert_eq!(marks.letters().map(char::from).collect::<String>(), letters);
            assert_eq!(marks.flags() | Flags::RECENT, flags | Flags::RECENT);
            assert_eq!(marks.keywords(), keywords);
            let read = letters.bytes().filter_map(Marks::of_letter);
            assert_eq!(read.fold(0, |sum, mark| sum | mark.0), marks.0);
        }
        assert_eq!(Marks::of_letter(b'A'), None);
    }

    #[test]
    fn keywords_are_atoms() {
        for name in ["$Forwarded", "tarea", "a}b", "[x", "1"] {
            assert!(is_keyword(name), "{name}");
        }
        for name in
            ["", "a b", "a)", "(a", "{3", "\"quo", "\\Seen", "a*", "%", "x]", "\u{e9}", "\r"]
        {
            assert!(!is_keyword(name), "{name}");
        }
    }

    #[test]
    fn what_nobody_can_name_is_never_replaced() {
        let marks = |letters: &str| {
            Marks(letters.bytes().filter_map(Marks::of_letter).fold(0, |sum, mark| sum | mark.0))
        };
        for (before, change, by, after) in [
            ("FS", Change::Add, "S", "FS"),
            ("FPc", Change::Add, "Sa", "FPSac"),
            ("FSa", Change::Remove, "Sa", "F"),
            ("FSP", Change::Replace, "T", "PT"),
            ("Sabz", Change::Replace, "b", "bz"),
        ] {
            let found = marks(before).changed(change, marks(by), 0b11);
            assert_eq!(found, marks(after), "{before} {change:?} {by}");
        }
    }
}
