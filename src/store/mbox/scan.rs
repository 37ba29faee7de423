//! The messages of an mbox: where each begins and ends, and what it notes.
//!
//! A message begins at every line that divides, as mutt and Dovecot see it, but for those that lie
//! within a body whose Content-Length is true: it ends right before a line that divides, or with
//! the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::super::flags::{Flags, Marks};
use super::lines::{Lines, Part};
use super::message::{Digest, Facts, Walk};
use super::{field, from};

/// A message in the file.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Where its dividing line begins.
    pub at: u64,
    /// Octets of the dividing line and the header, empty line included.
    pub head: u64,
    /// Octets in all, up to the next message.
    pub length: u64,
    /// Octets of the letter in wire form.
    pub octets: u64,
    /// Of the letter.
    pub digest: Digest,
    /// What the header notes.
    pub facts: Facts,
    /// Keywords, a bit each.
    pub keywords: u32,
    /// Those that stand behind the base.
    pub listed: u32,
    /// When it came, by the dividing line: seconds since 1970.
    pub date: i64,
}

impl Entry {
    /// Where the next begins.
    pub fn end(&self) -> u64 {
        self.at + self.length
    }

    /// Its flags and keywords.
    pub fn marks(&self) -> Marks {
        let seen = if self.facts.seen { Flags::SEEN } else { Flags::NONE };
        Marks::of(self.facts.flags | seen, self.keywords)
    }

    /// Whether it is a letter to be seen.
    pub fn is_letter(&self) -> bool {
        !self.facts.is_notes && !self.facts.is_incomplete
    }
}

/// Reads the whole file.
pub fn scan(file: &File) -> io::Result<Vec<Entry>> {
    scan_named(file, &mut Vec::new())
}

/// Reads the whole file; new keywords get the next bits.
pub fn scan_named(file: &File, names: &mut Vec<String>) -> io::Result<Vec<Entry>> {
    scan_from(file, 0, names)
}

/// Reads the file from where a message begins.
pub fn scan_from(file: &File, from: u64, names: &mut Vec<String>) -> io::Result<Vec<Entry>> {
    let end = file.metadata()?.len();
    let mut lines = Lines::new(Part { file, at: from, end }, from);
    let mut entries: Vec<Entry> = Vec::new();
    let mut current: Option<(u64, i64, Walk)> = None;
    // A line before this does not divide.
    let mut body_end = 0;
    while let Some(line) = lines.next()? {
        if line.starts && line.at >= body_end && from::divides(line.text) {
            entries.extend(current.take().map(|start| entry(start, line.at, names)));
            current = Some((line.at, from::moment(line.text), Walk::default()));
            continue;
        }
        let Some((.., walk)) = &mut current else {
            let what = "is no mbox: it does not begin with a From line";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        };
        let in_header = walk.body_at.is_none();
        walk.feed(line, &mut |_| Ok(()))?;
        if let (true, Some(body_at), Some(length)) = (in_header, walk.body_at, walk.length) {
            let told = body_at.saturating_add(length);
            if ends_at(file, told, end)? {
                body_end = told;
            }
        }
    }
    entries.extend(current.map(|start| entry(start, end, names)));
    Ok(entries)
}

/// The message with another header, dividing line included; `None` where only reading it tells.
pub fn with_head(entry: &Entry, head: &[u8], names: &mut Vec<String>) -> Option<Entry> {
    let mut lines = Lines::new(head, 0);
    lines.next().ok()??;
    let mut walk = Walk::default();
    while let Some(line) = lines.next().ok()? {
        walk.feed(line, &mut |_| Ok(())).ok()?;
    }
    let octets = head.len() as u64;
    if walk.body_at != Some(octets) || walk.has_lines || entry.head == entry.length {
        return None;
    }
    let length = entry.length - entry.head + octets;
    let listed = bits(&walk.listed, names);
    let keywords = bits(&walk.keywords, names);
    Some(Entry { head: octets, length, facts: walk.facts, keywords, listed, ..*entry })
}

/// The bits of keywords.
fn bits(words: &[u8], names: &mut Vec<String>) -> u32 {
    let bits = field::words(words).filter_map(|word| field::bit(names, word));
    bits.fold(0, |bits, bit| bits | (1 << bit))
}

fn entry((at, date, walk): (u64, i64, Walk), end: u64, names: &mut Vec<String>) -> Entry {
    let listed = bits(&walk.listed, names);
    let keywords = bits(&walk.keywords, names);
    Entry {
        at,
        head: walk.body_at.unwrap_or(end) - at,
        length: end - at,
        octets: walk.octets(),
        digest: walk.digest,
        facts: walk.facts,
        keywords,
        listed,
        date,
    }
}

/// Whether a body can end here.
fn ends_at(file: &File, at: u64, end: u64) -> io::Result<bool> {
    let mut room = [0; from::LOOK + 1];
    let length = end.saturating_sub(at).min(room.len() as u64) as usize;
    if length == 0 {
        return Ok(at == end);
    }
    file.read_exact_at(&mut room[..length], at)?;
    let next = &room[..length];
    let next = next.strip_prefix(b"\n").unwrap_or(next);
    let line = &next[..memchr::memchr(b'\n', next).unwrap_or(next.len())];
    Ok(next.is_empty() || from::divides(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIVIDE: &str = "From a@b  Sat Nov 21 00:46:04 2026\n";

    fn scanned(text: &str) -> io::Result<Vec<Entry>> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(text.replace("DIVIDE\n", DIVIDE).as_bytes(), 0).unwrap();
        scan(&file)
    }

    #[test]
    fn messages_lie_end_to_end() {
        for (text, sizes) in [
            ("", &[][..]),
            ("DIVIDE\nTo: a\n\nbody\n\nDIVIDE\nTo: b\n\nDIVIDE\n", &[15, 7, 0]),
            ("DIVIDE\nTo: a\n\nbody\nDIVIDE\nTo: b\n\nx", &[15, 12]),
            ("DIVIDE\nTo: a\n\n>DIVIDE\n\n", &[45]),
            // A true length hides what looks like a message.
            ("DIVIDE\nContent-Length: 37\n\nx\nDIVIDE\n\nDIVIDE\nx: y\n\n", &[41, 6]),
            ("DIVIDE\nContent-Length: 37\n\nx\nDIVIDE\n", &[41]),
            // And a false one nothing.
            ("DIVIDE\nContent-Length: 36\n\nx\nDIVIDE\n\nDIVIDE\nx: y\n\n", &[5, 0, 6]),
            ("DIVIDE\nContent-Length: 999\n\nx\nDIVIDE\n", &[5, 0]),
            ("DIVIDE\nContent-Length: 18446744073709551615\n\nx\nDIVIDE\n", &[5, 0]),
        ] {
            let entries = scanned(text).unwrap();
            let found: Vec<u64> = entries.iter().map(|entry| entry.octets).collect();
            assert_eq!(found, sizes, "{text:?}");
            assert!(entries.windows(2).all(|pair| pair[0].end() == pair[1].at));
        }
        assert!(scanned("hello\n").is_err());
    }
}
