//! What stands in the name of a message's file: maildir(5), with the sizes that Dovecot and
//! Courier put there.
//!
//! `SECONDS.MmicrosPpidQcount.HOST,S=octets,W=octets:2,FLAGS`. What stands before the colon is
//! the base; it never changes, and all programs know the message by it. `S` counts the octets on
//! disk, `W` those of the wire form, where every line ends in two. Only names are made and read
//! here; no file is touched.

use super::super::flags::Marks;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A size in a name beyond this is taken for a mistake.
const LARGEST: u64 = 1 << 40;

/// A name that no other delivery has, on this host or another.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static HOST: OnceLock<String> = OnceLock::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let host = HOST.get_or_init(|| escape(&crate::sys::hostname().unwrap_or_default()));
    format!("{seconds}.M{micros:06}P{}Q{count}.{host}", std::process::id())
}

/// A host name without the characters that mean something in a file's name.
fn escape(host: &str) -> String {
    match host {
        "" => "localhost".to_string(),
        _ => host.replace('/', "\\057").replace(':', "\\072").replace(',', "\\054"),
    }
}

/// A unique name and the sizes of its message.
pub fn with_sizes(unique: &str, octets: u64, wire: u64) -> String {
    format!("{unique},S={octets},W={wire}")
}

/// The part of a name that never changes.
pub fn base(name: &[u8]) -> &[u8] {
    &name[..memchr::memchr(b':', name).unwrap_or(name.len())]
}

/// The octets on disk, if the name tells.
pub fn octets(base: &[u8]) -> Option<u64> {
    size(base, b",S=")
}

/// The octets in wire form, if the name tells.
pub fn wire_octets(base: &[u8]) -> Option<u64> {
    size(base, b",W=")
}

fn size(base: &[u8], key: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(base, key)?;
    let rest = &base[at + key.len()..];
    number(&rest[..memchr::memchr(b',', rest).unwrap_or(rest.len())])
}

/// Decimal digits and nothing else, within reason.
pub fn number(digits: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (digits[0].is_ascii_digit() && number <= LARGEST).then_some(number)
}

/// When the message came, for sorting: seconds, then microseconds where the name tells them.
pub fn arrival(base: &[u8]) -> (u64, u64) {
    let (seconds, rest) = leading_number(base);
    let unique = rest.strip_prefix(b".").unwrap_or_default();
    let unique = &unique[..memchr::memchr(b'.', unique).unwrap_or(unique.len())];
    match memchr::memchr(b'M', unique) {
        Some(at) => (seconds, leading_number(&unique[at + 1..]).0),
        None => (seconds, 0),
    }
}

fn leading_number(text: &[u8]) -> (u64, &[u8]) {
    let end = text.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(text.len());
    (number(&text[..end]).unwrap_or(0), &text[end..])
}

/// The name with one flag more, flags in order as maildir(5) asks; `None` where there is nothing
/// to change: it has the flag, or what stands behind the colon is in no form we know.
pub fn with_flag(name: &[u8], flag: u8) -> Option<Vec<u8>> {
    let base = base(name);
    let flags = match &name[base.len()..] {
        [] => &[],
        info => info.strip_prefix(b":2,")?,
    };
    if flags.contains(&flag) {
        return None;
    }
    // Dovecot's keywords are small letters, and so stay behind the flags.
    let place = flags.iter().position(|other| *other > flag).unwrap_or(flags.len());
    let (before, behind) = flags.split_at(place);
    Some([base, b":2,", before, &[flag], behind].concat())
}

/// What stands behind the base of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Info {
    /// Nothing.
    Bare,
    /// Letters we know, in order, once each.
    Plain(Marks),
    /// Anything else, with the letters we know among it.
    Odd(Marks),
}

/// Reads the info of a name.
pub fn info(name: &[u8]) -> Info {
    let letters = match &name[base(name).len()..] {
        [] => return Info::Bare,
        [b':', b'2', b',', letters @ ..] => letters,
        _ => return Info::Odd(Marks::default()),
    };
    let (mut marks, mut is_odd) = (0, false);
    for letter in letters {
        match Marks::of_letter(*letter) {
            Some(mark) if mark.0 > marks => marks |= mark.0,
            Some(mark) => (marks, is_odd) = (marks | mark.0, true),
            None => is_odd = true,
        }
    }
    if is_odd { Info::Odd(Marks(marks)) } else { Info::Plain(Marks(marks)) }
}

/// The name of a base with marks.
pub fn with_marks(base: &[u8], marks: Marks) -> Vec<u8> {
    let mut name = Vec::with_capacity(base.len() + 8);
    name.extend_from_slice(base);
    name.extend_from_slice(b":2,");
    name.extend(marks.letters());
    name
}

/// An odd name with other marks, letters that we do not know kept; `None` where what stands behind
/// the colon is in no form we know.
pub fn odd_with_marks(name: &[u8], marks: Marks) -> Option<Vec<u8>> {
    let base = base(name);
    let letters = name[base.len()..].strip_prefix(b":2,")?;
    let strange = letters.iter().copied().filter(|letter| Marks::of_letter(*letter).is_none());
    let mut letters: Vec<u8> = marks.letters().chain(strange).collect();
    letters.sort_unstable();
    letters.dedup();
    Some([base, b":2,", &letters].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_tell_their_time() {
        let (one, two) = (unique(), unique());
        assert_ne!(one, two);
        assert!(arrival(one.as_bytes()) <= arrival(two.as_bytes()));
        assert!(arrival(one.as_bytes()).0 > 1_700_000_000);
        assert!(!one.contains(['/', ':', ',']));
        assert_eq!(escape("a/b:c,d"), "a\\057b\\072c\\054d");
        assert_eq!(with_sizes("1.M2P3.h", 10, 12), "1.M2P3.h,S=10,W=12");
    }

    #[test]
    fn sizes_are_read_where_they_stand() {
        for (name, s, w) in [
            ("1.M2P3.h,S=10,W=12", Some(10), Some(12)),
            ("1.M2P3.h,W=12,S=10", Some(10), Some(12)),
            ("1.M2P3.h,S=10", Some(10), None),
            ("1.M2P3.h", None, None),
            ("1.M2P3.h,S=", None, None),
            ("1.M2P3.h,S=-1,W=+1", None, None),
            ("1.M2P3.h,S=1x,W=99999999999999999999999", None, None),
            ("1.M2P3.h,S=1,W=1099511627777", Some(1), None),
        ] {
            let found = (octets(name.as_bytes()), wire_octets(name.as_bytes()));
            assert_eq!(found, (s, w), "{name}");
        }
    }

    #[test]
    fn arrival_is_read_from_many_kinds_of_name() {
        for (name, expected) in [
            ("1700000000.M12P3.h", (1_700_000_000, 12)),
            ("1700000000.P3M000012Q1.h", (1_700_000_000, 12)),
            ("1700000000.123_4.hoM9", (1_700_000_000, 0)),
            ("1700000000", (1_700_000_000, 0)),
            ("letter", (0, 0)),
            ("", (0, 0)),
        ] {
            assert_eq!(arrival(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn a_flag_finds_its_place() {
        for (name, expected) in [
            ("1.2.h", Some("1.2.h:2,S")),
            ("1.2.h:2,", Some("1.2.h:2,S")),
            ("1.2.h:2,RT", Some("1.2.h:2,RST")),
            ("1.2.h:2,Fab", Some("1.2.h:2,FSab")),
            ("1.2.h:2,FS", None),
            ("1.2.h:1,x", None),
        ] {
            let found = with_flag(name.as_bytes(), b'S');
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn info_is_read_and_written() {
        let marks = |letters: &str| {
            let marks = letters.bytes().filter_map(Marks::of_letter);
            Marks(marks.fold(0, |sum, mark| sum | mark.0))
        };
        for (name, expected) in [
            ("1.h", Info::Bare),
            ("1.h:2,", Info::Plain(marks(""))),
            ("1.h:2,FSac", Info::Plain(marks("FSac"))),
            ("1.h:2,SF", Info::Odd(marks("FS"))),
            ("1.h:2,SS", Info::Odd(marks("S"))),
            ("1.h:2,SX", Info::Odd(marks("S"))),
            ("1.h:1,S", Info::Odd(marks(""))),
            ("1.h:", Info::Odd(marks(""))),
        ] {
            assert_eq!(info(name.as_bytes()), expected, "{name}");
            if let Info::Plain(marks) = expected {
                assert_eq!(with_marks(b"1.h", marks), name.as_bytes());
            }
        }
        for (name, marks, expected) in [
            ("1.h:2,SF", marks("FST"), Some("1.h:2,FST")),
            ("1.h:2,aXS", marks("T"), Some("1.h:2,TX")),
            ("1.h:1,S", marks("T"), None),
        ] {
            let found = odd_with_marks(name.as_bytes(), marks);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{name}");
        }
    }
}
