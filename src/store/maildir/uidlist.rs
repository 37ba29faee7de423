//! The numbers of messages: `dovecot-uidlist`, version 3, as Dovecot reads and writes it.
//!
//! The first line is `3 V<uidvalidity> N<next uid> G<guid>`, each other one
//! `<uid> [<key><value> ...] :<base of the file's name>`, UIDs rising. Of the keys of a line we
//! know `W`, the octets in wire form, and `P`, a unique-id to be shown instead of our own; all
//! others are kept as they are.
//!
//! The file is read without a lock and changed under `dovecot-uidlist.lock`: new lines are
//! appended and synced, everything else is a new file and a rename. A line is true as soon as it
//! ends. `N` is not updated by appending, so the next UID is the larger of `N` and last + 1.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use super::name;
use crate::sys::dir::{Dir, Stat};

/// The name of the list.
const NAME: &[u8] = b"dovecot-uidlist";
/// The name of its lock.
pub const LOCK: &[u8] = b"dovecot-uidlist.lock";
/// The name of a new one until it is complete; Dovecot's too.
const TEMPORARY: &[u8] = b"dovecot-uidlist.tmp";
/// A list beyond this is no list of ours.
const LONGEST: u64 = 1 << 31;
/// Nobody counts so far honestly, and a next UID that cannot grow would be the end (as in an mbox).
pub const HIGHEST: u32 = u32::MAX / 2;

/// Opens the list of a mailbox, whoever may replace it then.
pub fn open(root: &Dir) -> io::Result<Option<(File, Stat)>> {
    match root.open_file(NAME) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(file) => {
            let stat = Stat::of_file(&file)?;
            Ok(Some((file, stat)))
        }
    }
}

/// What the list of a mailbox is now.
pub fn stat(root: &Dir) -> io::Result<Option<Stat>> {
    match root.stat(NAME) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        stat => stat.map(Some),
    }
}

/// Begins the list of a mailbox that is new.
pub fn begin(root: &Dir, validity: u32) -> io::Result<()> {
    Draft::default().replace(&Uidlist::empty(), validity, 1, root)
}

/// A line of the list: where things stand in its text.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The UID.
    pub uid: u32,
    /// Where the keys begin, behind the UID; the name's colon ends them.
    keys: u32,
    name: u32,
    end: u32,
}

/// The list as it was read.
#[derive(Debug, Default)]
pub struct Uidlist {
    text: Vec<u8>,
    /// One for each message, UIDs rising.
    pub lines: Vec<Line>,
    /// 0 where there is no list, or none that can be understood or trusted.
    pub validity: u32,
    /// What it must be larger than, once there is a new one.
    former: u32,
    /// The next UID to give.
    pub next: u32,
    /// Keys of the first line other than V and N, each with a space before it.
    others: Vec<u8>,
    /// Whether a new line may be appended.
    is_whole: bool,
    /// The file it was read from.
    pub stat: Option<Stat>,
    /// Open still: what stood in it stands there for whoever keeps it, also when there is another.
    pub file: Option<File>,
}

impl Uidlist {
    /// Reads the list of a mailbox. One that is missing or broken is empty.
    pub fn read(root: &Dir) -> io::Result<Uidlist> {
        let Some((file, stat)) = open(root)? else { return Ok(Uidlist::empty()) };
        let mut text = Vec::with_capacity(stat.size.min(LONGEST) as usize + 1);
        (&file).take(LONGEST).read_to_end(&mut text)?;
        let list = Uidlist::parse(text).unwrap_or_else(Uidlist::empty);
        Ok(Uidlist { stat: Some(stat), file: Some(file), ..list })
    }

    fn empty() -> Uidlist {
        Uidlist { next: 1, ..Uidlist::default() }
    }

    /// Whether the file still is as it was read.
    pub fn is_current(&self, root: &Dir) -> io::Result<bool> {
        let now = stat(root)?;
        let is_read = |stat: Stat| stat.size == self.text.len() as u64;
        Ok(now == self.stat && now.is_none_or(is_read))
    }

    /// `None` for what is no list: better new numbers for all messages, and a new UIDVALIDITY
    /// that says so, than one number twice.
    fn parse(text: Vec<u8>) -> Option<Uidlist> {
        let mut list = Uidlist { text, ..Uidlist::empty() };
        let first = memchr::memchr(b'\n', &list.text)?;
        (list.validity, list.next, list.others) = header(&list.text[..first])?;
        let start = list.take_lines(first + 1)?;
        if list.next > HIGHEST {
            return Some(Uidlist { former: list.validity, ..Uidlist::empty() });
        }
        // What stands behind the last line end was being written when we read, or at a crash.
        list.is_whole = start == list.text.len();
        Some(list)
    }

    /// Takes in the lines that begin at a place of the text, and tells where the last ends.
    fn take_lines(&mut self, mut start: usize) -> Option<usize> {
        let from = start;
        for end in memchr::memchr_iter(b'\n', &self.text[from..]).map(|at| from + at) {
            let line = line_at(&self.text, start..end)?;
            start = end + 1;
            let is_rising = self.lines.last().is_none_or(|last| last.uid < line.uid);
            self.lines.push(is_rising.then_some(line)?);
        }
        let behind = self.lines.last().map_or(1, |last| last.uid + 1);
        self.next = self.next.max(behind);
        Some(start)
    }

    /// Where the base of the file's name stands: the place and its length.
    pub fn place(&self, line: Line) -> (u32, u8) {
        (line.name, u8::try_from(line.end - line.name).unwrap_or(u8::MAX))
    }

    /// The base of the file's name.
    pub fn name(&self, line: Line) -> &[u8] {
        &self.text[line.name as usize..line.end as usize]
    }

    /// The keys of a line, each with a space before it.
    fn keys(&self, line: Line) -> &[u8] {
        &self.text[line.keys as usize..line.name as usize - 2]
    }

    /// The value of a key in a line.
    pub fn value(&self, line: Line, key: u8) -> Option<&[u8]> {
        self.keys(line).split(|octet| *octet == b' ').find_map(|word| word.strip_prefix(&[key]))
    }

    /// The octets in wire form, where the line tells.
    pub fn wire_octets(&self, line: Line) -> Option<u64> {
        self.value(line, b'W').and_then(name::number)
    }

    /// Compares the list with one read earlier. Where that one knew higher UIDs an old file was
    /// put back, and its next UIDs may have been given to others: a new UIDVALIDITY is due.
    pub fn distrust(&mut self, earlier_validity: u32, earlier_next: u32) {
        if self.validity == earlier_validity && self.next < earlier_next {
            (self.validity, self.next) = (0, earlier_next);
        }
        self.former = self.former.max(earlier_validity);
    }

    /// The UIDVALIDITY: the one there is, or one that this mailbox never had, after the clock.
    pub fn valid(&self) -> u32 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match self.validity {
            0 => u32::try_from(now).unwrap_or(u32::MAX).max(self.former.saturating_add(1)),
            validity => validity,
        }
    }

    /// Whether new lines may be appended, or only a new file will do.
    pub fn can_grow(&self) -> bool {
        self.is_whole && self.validity > 0
    }
}

/// The first line: UIDVALIDITY, next UID, the other keys.
pub fn header(line: &[u8]) -> Option<(u32, u32, Vec<u8>)> {
    let (mut validity, mut next, mut others) = (0, 0, Vec::new());
    for word in line.strip_prefix(b"3 ")?.split(|octet| *octet == b' ') {
        match word {
            [b'V', value @ ..] => validity = uid(value)?,
            [b'N', value @ ..] => next = uid(value)?,
            [] => {}
            other => others.extend_from_slice(&[b" ", other].concat()),
        }
    }
    (validity > 0 && next > 0).then_some((validity, next, others))
}

fn uid(digits: &[u8]) -> Option<u32> {
    name::number(digits).and_then(|number| u32::try_from(number).ok())
}

/// A line that stands there in a text.
pub fn line_at(text: &[u8], range: Range<usize>) -> Option<Line> {
    let line = &text[range.clone()];
    let digits = memchr::memchr(b' ', line)?;
    let uid = uid(&line[..digits]).filter(|uid| (1..u32::MAX).contains(uid))?;
    // A key begins with a letter, so the first word that begins with a colon is the name.
    let colon = memchr::memchr_iter(b':', line).find(|at| *at > 0 && line[at - 1] == b' ')?;
    let is_name = colon + 1 < line.len() && !line[colon + 1..].contains(&b'/');
    let place = |at: usize| u32::try_from(range.start + at).ok();
    Some(Line {
        uid: is_name.then_some(uid)?,
        keys: place(digits)?,
        name: place(colon + 1)?,
        end: place(line.len())?,
    })
}

/// Lines to be written.
#[derive(Debug, Default)]
pub struct Draft {
    text: Vec<u8>,
}

impl Draft {
    /// A line for a newcomer, with the octets in wire form if they are to be remembered.
    pub fn newcomer(&mut self, uid: u32, wire_octets: Option<u64>, name: &[u8]) {
        let uid = uid.to_string();
        self.line(uid.as_bytes(), wire_octets, name);
    }

    /// A line that was there before, with the octets in wire form if they are to be remembered.
    pub fn keep(&mut self, list: &Uidlist, line: Line, wire_octets: Option<u64>) {
        let uid = line.uid.to_string();
        self.line(&[uid.as_bytes(), list.keys(line)].concat(), wire_octets, list.name(line));
    }

    fn line(&mut self, start: &[u8], wire_octets: Option<u64>, name: &[u8]) {
        self.text.extend_from_slice(start);
        if let Some(octets) = wire_octets {
            self.text.extend_from_slice(format!(" W{octets}").as_bytes());
        }
        self.text.extend_from_slice(b" :");
        self.text.extend_from_slice(name);
        self.text.push(b'\n');
    }

    /// Appends the lines to the list and syncs it. The lock is held.
    pub fn append(&self, list: &mut Uidlist, root: &Dir) -> io::Result<()> {
        let start = list.text.len();
        let file = self.append_at(start as u64, root)?;
        list.text.extend_from_slice(&self.text);
        list.take_lines(start).ok_or_else(|| io::Error::other("a name that fits no list"))?;
        (list.stat, list.file) = (Some(Stat::of_file(&file)?), Some(file));
        Ok(())
    }

    /// Appends the lines to a list of so many octets and syncs it. The lock is held.
    pub fn append_at(&self, size: u64, root: &Dir) -> io::Result<File> {
        let mut file = root.append_file(NAME)?;
        let written = file.write_all(&self.text).and_then(|()| file.sync_data());
        if written.is_err() {
            // Half a line is safe, as after a crash; none is better.
            let _ = file.set_len(size);
        }
        written.map(|()| file)
    }

    /// Replaces the list by these lines. The lock is held.
    pub fn replace(&self, list: &Uidlist, validity: u32, next: u32, root: &Dir) -> io::Result<()> {
        let mut text = format!("3 V{validity} N{next}").into_bytes();
        text.extend_from_slice(&list.others);
        if !list.others.windows(2).any(|pair| pair == b" G") {
            text.extend_from_slice(format!(" G{}", guid()).as_bytes());
        }
        text.push(b'\n');
        text.extend_from_slice(&self.text);
        let _ = root.unlink(TEMPORARY);
        let mut file = root.create_file(TEMPORARY)?;
        let written = (|| {
            file.write_all(&text)?;
            // Careful: synced before it replaces the old one, which would else be lost with it.
            file.sync_all()?;
            root.rename(TEMPORARY, root, NAME)?;
            root.sync()
        })();
        if written.is_err() {
            let _ = root.unlink(TEMPORARY);
        }
        written
    }
}

/// 32 hexadecimal digits that no other mailbox has: the time, the process, the host.
fn guid() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let host = name::unique().into_bytes().into_iter();
    let host = host.fold(0u32, |sum, octet| sum.wrapping_mul(31).wrapping_add(u32::from(octet)));
    format!(
        "{:08x}{:08x}{:08x}{host:08x}",
        now.subsec_nanos(),
        now.as_secs() as u32,
        std::process::id()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn list(place: &Path, text: &str) -> Uidlist {
        std::fs::write(place.join("dovecot-uidlist"), text).unwrap();
        Uidlist::read(&Dir::open(place).unwrap()).unwrap()
    }

    fn text(place: &Path) -> String {
        std::fs::read_to_string(place.join("dovecot-uidlist")).unwrap()
    }

    /// UIDs, next UID, UIDVALIDITY.
    fn numbers(list: &Uidlist) -> (Vec<u32>, u32, u32) {
        (list.lines.iter().map(|line| line.uid).collect(), list.next, list.validity)
    }

    #[test]
    fn lists_whole_and_broken() {
        let place = tempfile::tempdir().unwrap();
        for (text, uids, next, validity) in [
            ("3 V5 N1 Gabc\n", &[][..], 1, 5),
            ("3 V5 N9 Gabc\n1 :a\n2 :b\n", &[1, 2], 9, 5),
            ("3 V5 N1 Gabc\n1 :a\n7 W3 Pz X :b\n", &[1, 7], 8, 5),
            ("3 N4 V5\n1  :a\n", &[1], 4, 5),
            // A line that does not end was being written.
            ("3 V5 N1\n1 :a\n2 :", &[1], 2, 5),
            ("3 V5 N1\n1 :a\n2", &[1], 2, 5),
            // What is no list.
            ("", &[], 1, 0),
            ("3 V5 N1", &[], 1, 0),
            ("\n", &[], 1, 0),
            ("1 5 2\n1 a\n", &[], 1, 0),
            ("3 V0 N1\n", &[], 1, 0),
            ("3 V5\n1 :a\n", &[], 1, 0),
            ("3 V5 N-1\n", &[], 1, 0),
            ("3 V99999999999 N1\n", &[], 1, 0),
            ("3 V5 N1\n2 :a\n1 :b\n", &[], 1, 0),
            ("3 V5 N1\n2 :a\n2 :b\n", &[], 1, 0),
            ("3 V5 N1\n0 :a\n", &[], 1, 0),
            ("3 V5 N1\n4294967295 :a\n", &[], 1, 0),
            ("3 V5 N2147483647\n", &[], 2_147_483_647, 5),
            ("3 V5 N2147483648\n1 :a\n", &[], 1, 0),
            ("3 V5 N1\n2147483647 :a\n", &[], 1, 0),
            ("3 V5 N1\n1 :a\n\n", &[], 1, 0),
            ("3 V5 N1\n1 a\n", &[], 1, 0),
            ("3 V5 N1\n1 W5:a\n", &[], 1, 0),
            ("3 V5 N1\n1 :\n", &[], 1, 0),
            ("3 V5 N1\n1 :../a\n", &[], 1, 0),
            ("\0\0\0\0\n\n", &[], 1, 0),
        ] {
            let list = list(place.path(), text);
            assert_eq!(numbers(&list), (uids.to_vec(), next, validity), "{text:?}");
        }
    }

    #[test]
    fn keys_and_names_are_found() {
        let place = tempfile::tempdir().unwrap();
        let text = "3 V5 N1\n1 :a b:c\n2 S7 W12 Px:y :d\n3 P W1x :e\n4 XW9 :f\n";
        let list = list(place.path(), text);
        let found: Vec<_> = list
            .lines
            .iter()
            .map(|line| (list.name(*line), list.wire_octets(*line), list.value(*line, b'P')))
            .collect();
        assert_eq!(found[0], (&b"a b:c"[..], None, None));
        assert_eq!(found[1], (&b"d"[..], Some(12), Some(&b"x:y"[..])));
        assert_eq!(found[2], (&b"e"[..], None, Some(&b""[..])));
        assert_eq!(found[3], (&b"f"[..], None, None));
    }

    #[test]
    fn lines_are_appended_and_unknown_keys_are_kept() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        let before = "3 V5 N2 G0123 Qq Pp\n1 S7 Zz Px :a\n3 :b\n4 W8 :c\n";
        let old = list(place.path(), before);
        assert!(old.can_grow() && old.is_current(&root).unwrap());
        let mut draft = Draft::default();
        draft.newcomer(5, None, b"d");
        draft.newcomer(6, Some(9), b"e");
        let (mut grown, old) = (old, Uidlist::read(&root).unwrap());
        draft.append(&mut grown, &root).unwrap();
        assert_eq!(text(place.path()), format!("{before}5 :d\n6 W9 :e\n"));
        assert!(grown.is_current(&root).unwrap() && !old.is_current(&root).unwrap());

        let old = Uidlist::read(&root).unwrap();
        assert_eq!(numbers(&grown), numbers(&old));
        assert_eq!(grown.name(grown.lines[4]), b"e");
        assert_eq!(numbers(&old), (vec![1, 3, 4, 5, 6], 7, 5));
        let mut draft = Draft::default();
        for (index, line) in old.lines.iter().enumerate().filter(|(index, _)| *index != 4) {
            draft.keep(&old, *line, (index == 0).then_some(70));
        }
        draft.replace(&old, old.valid(), old.next, &root).unwrap();
        let after = "3 V5 N7 G0123 Qq Pp\n1 S7 Zz Px W70 :a\n3 :b\n4 W8 :c\n5 :d\n";
        assert_eq!(text(place.path()), after);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_cut_line_is_not_appended_to() {
        let place = tempfile::tempdir().unwrap();
        assert!(!list(place.path(), "3 V5 N1\n1 :a\n2 :").can_grow());
        assert!(!list(place.path(), "").can_grow());
        assert!(list(place.path(), "3 V5 N1\n").can_grow());
    }

    #[test]
    fn an_older_list_gets_a_new_validity_and_higher_uids() {
        let place = tempfile::tempdir().unwrap();
        for (text, validity, next, is_trusted) in [
            ("3 V5 N3\n", 5, 3, true),
            ("3 V5 N3\n9 :a\n", 5, 8, true),
            ("3 V5 N3\n", 5, 4, false),
            ("3 V6 N3\n", 5, 4, true),
            ("broken", 5, 4, false),
        ] {
            let mut list = list(place.path(), text);
            list.distrust(validity, next);
            assert_eq!(list.validity > 0, is_trusted, "{text}");
            assert_eq!(list.can_grow(), is_trusted, "{text}");
            assert!(list.validity == 6 || is_trusted == (list.valid() == 5), "{text}");
        }
        // Also where the clock was put back.
        let mut list = list(place.path(), "3 V4000000000 N3\n");
        list.distrust(4_000_000_000, 4);
        assert_eq!((list.valid(), list.next), (4_000_000_001, 4));
    }

    #[test]
    fn a_new_list_has_all_that_dovecot_wants() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        let none = Uidlist::read(&root).unwrap();
        assert!(none.is_current(&root).unwrap());
        Draft::default().replace(&none, none.valid(), none.next, &root).unwrap();
        let text = text(place.path());
        let guid = text.trim_end().rsplit_once(" G").unwrap().1;
        assert!(guid.len() == 32 && guid.bytes().all(|digit| digit.is_ascii_hexdigit()), "{text}");
        assert_eq!(Uidlist::read(&root).unwrap().validity, none.valid());
    }
}
