//! The end of the list of UIDs: enough to give the next numbers, however long the list is.
//!
//! Whoever only adds a message need not read of all the others. What looks unusual is left to
//! `Uidlist`.

use std::io;
use std::os::unix::fs::FileExt;

use super::uidlist;
use crate::sys::dir::Dir;

/// What is read of either end; the first line and two others fit.
const ROOM: usize = 4096;

/// What the list says of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// UIDVALIDITY.
    pub validity: u32,
    /// The next UID to give.
    pub next: u32,
    /// Octets of the list.
    pub size: u64,
}

impl Tail {
    /// Reads both ends of the list of a mailbox; `None` where all of it must be read.
    pub fn read(root: &Dir) -> io::Result<Option<Tail>> {
        let Some((file, stat)) = uidlist::open(root)? else { return Ok(None) };
        let mut room = [0; ROOM];
        let got = file.read_at(&mut room, 0)?;
        let Some(end) = memchr::memchr(b'\n', &room[..got]) else { return Ok(None) };
        let Some((validity, next, _)) = uidlist::header(&room[..end]) else { return Ok(None) };
        if next > uidlist::HIGHEST {
            return Ok(None);
        }
        let from = stat.size.saturating_sub(ROOM as u64).max(end as u64);
        let got = file.read_at(&mut room, from)?;
        // Between two line ends stands the last line, if there is one.
        let Some(lines) = room[..got].strip_suffix(b"\n") else { return Ok(None) };
        let tail = Tail { validity, next, size: from + got as u64 };
        if lines.is_empty() {
            return Ok(Some(tail));
        }
        let Some(start) = memchr::memrchr(b'\n', lines) else { return Ok(None) };
        let last = uidlist::line_at(lines, start + 1..lines.len());
        let last = last.filter(|last| last.uid < uidlist::HIGHEST);
        Ok(last.map(|last| Tail { next: next.max(last.uid + 1), ..tail }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_tells_what_the_whole_tells() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        assert_eq!(Tail::read(&root).unwrap(), None);
        let long: String = (1..500).map(|uid| format!("{uid} W7 :some-name-{uid}\n")).collect();
        let name = "n".repeat(ROOM);
        for text in [
            "3 V5 N1 Gabc\n".into(),
            "3 V5 N9 Gabc\n1 :a\n2 :b\n".into(),
            "3 V5 N1 Gabc\n1 :a\n7 W3 Pz X :b\n".into(),
            format!("3 V5 N1\n{long}"),
            // Left to those who read it all.
            String::new(),
            "3 V5 N1".into(),
            "3 V0 N1\n".into(),
            "3 V5 N1\n1 :a\n2".into(),
            format!("3 V5 N1\n{long}x\n"),
            format!("3 V5 N1\n1 :{name}\n"),
            "3 V5 N2147483648\n".into(),
            "3 V5 N1\n2147483647 :a\n".into(),
        ] {
            std::fs::write(place.path().join("dovecot-uidlist"), &text).unwrap();
            let list = uidlist::Uidlist::read(&root).unwrap();
            let whole = Tail { validity: 5, next: list.next, size: text.len() as u64 };
            let expected = Some(whole).filter(|_| list.can_grow() && !text.contains(&name));
            assert_eq!(Tail::read(&root).unwrap(), expected, "{text}");
        }
    }
}
