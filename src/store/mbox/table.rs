//! Where the messages of an mbox are and what they note, for the next session: `.buzon-list.NAME`.
//!
//! A head, 72 octets for each message, then the names of keywords. It is true for as long as device,
//! inode, size and time of the file are those in the head. Whoever appends tells there that the
//! file only grew since, and then no more than its end has to be read. Written under the lock of
//! the mbox; read also without, since the sum in the head tells what was read half written.
//! Derived: whoever deletes it makes the next session read the whole file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::checksum::checksum;
use super::super::flags::Flags;
use super::super::folders::Status;
use super::field;
use super::message::{Digest, Facts};
use super::number::Numbers;
use super::scan::Entry;
use crate::sys::dir::{Dir, Stat};

const MAGIC: &[u8; 8] = b"buzonM1\n";
/// The numbers of the head, eight octets each; the last is its checksum.
const NUMBERS: usize = 16;
const HEAD: usize = 8 + 8 * NUMBERS;
const RECORD: usize = 72;
/// A table beyond this is none of ours.
const LONGEST: u64 = 1 << 31;
/// A file that changed less than this ago may change again unseen.
const TICK: Duration = Duration::from_millis(20);

/// What is known of an mbox.
#[derive(Debug)]
pub struct Table {
    pub entries: Vec<Entry>,
    pub numbers: Numbers,
    /// Of keywords, by their bits.
    names: Vec<String>,
    /// How much of the file it tells of.
    pub covers: u64,
}

/// The head: of what it is true, how the file grew since, and what STATUS asks for.
#[derive(Clone, Copy, Debug)]
struct Head {
    id: (u64, u64),
    size: u64,
    mtime: u64,
    grown: (u64, u64),
    numbers: Numbers,
    count: u64,
    sum: u64,
    status: [u64; 4],
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

impl Head {
    fn read(octets: &[u8]) -> Option<Head> {
        let words = octets.get(..HEAD)?.strip_prefix(MAGIC)?.as_chunks::<8>().0;
        let mut numbers = [0; NUMBERS];
        for (number, word) in numbers.iter_mut().zip(words) {
            *number = u64::from_le_bytes(*word);
        }
        let [dev, ino, size, mtime, to, at, validity, last, count, sum, status @ .., spare, own] =
            numbers;
        let is_whole = spare == 0 && own == checksum(&octets[..HEAD - 8]);
        let small = |number| u32::try_from(number).ok();
        is_whole.then_some(Head {
            id: (dev, ino),
            size,
            mtime,
            grown: (to, at),
            numbers: Numbers { validity: small(validity)?, last: small(last)? },
            count,
            sum,
            status,
        })
    }

    fn written(&self) -> [u8; HEAD] {
        let Head { id, size, mtime, grown, numbers, count, sum, status } = *self;
        let (validity, last) = (numbers.validity.into(), numbers.last.into());
        let [a, b, c, d] = status;
        let numbers =
            [id.0, id.1, size, mtime, grown.0, grown.1, validity, last, count, sum, a, b, c, d, 0];
        let mut octets = [0; HEAD];
        octets[..8].copy_from_slice(MAGIC);
        for (at, number) in numbers.into_iter().enumerate() {
            octets[8 + 8 * at..][..8].copy_from_slice(&number.to_le_bytes());
        }
        let own = checksum(&octets[..HEAD - 8]);
        octets[HEAD - 8..].copy_from_slice(&own.to_le_bytes());
        octets
    }

    /// Whether the file is as it was, or only grew.
    fn is_of(&self, stat: &Stat) -> bool {
        self.id == stat.id && self.grown == (stat.size, nanos(stat.mtime))
    }

    fn covers_all(&self) -> bool {
        self.grown == (self.size, self.mtime)
    }
}

/// What is said of a file under its lock, so that any later change can be told from it: the clock
/// of a file system moves in steps, and so ours moves the time of what we wrote back by more.
pub fn settle(file: &File) -> io::Result<Stat> {
    file.set_modified(SystemTime::now() - TICK - Duration::from_millis(1))?;
    Stat::of_file(file)
}

/// Whether a later change would be told.
pub fn is_sure(stat: &Stat) -> bool {
    SystemTime::now().duration_since(stat.mtime).is_ok_and(|age| age > TICK)
}

/// What STATUS asks for, from the head alone.
pub fn status(dir: &Dir, name: &[u8], stat: &Stat) -> Option<Status> {
    let mut octets = [0; HEAD];
    dir.open_file(name).ok()?.read_exact(&mut octets).ok()?;
    let head = Head::read(&octets).filter(|head| head.is_of(stat) && head.covers_all())?;
    let small = |number| u32::try_from(number).ok();
    let [counts, unseen, deleted, octets] = head.status;
    Some(Status {
        messages: small(counts & 0xffff_ffff)?,
        recent: small(counts >> 32)?,
        uid_next: head.numbers.last.checked_add(1)?,
        uid_validity: head.numbers.validity,
        unseen: small(unseen)?,
        deleted: small(deleted)?,
        octets: Some(octets),
    })
}

fn count(entries: &[Entry]) -> [u64; 4] {
    let mut sums = [0; 4];
    for entry in entries.iter().filter(|entry| entry.is_letter()) {
        let flags = entry.marks().flags();
        sums[0] += 1 + (u64::from(!entry.facts.old) << 32);
        sums[1] += u64::from(!flags.has(Flags::SEEN));
        sums[2] += u64::from(flags.has(Flags::DELETED));
        sums[3] += entry.octets;
    }
    sums
}

impl Table {
    /// Reads what was left, if it is true of a file, or of its beginning. The keywords get the
    /// bits that they have in `names`, or the next.
    pub fn read(dir: &Dir, name: &[u8], stat: &Stat, names: &mut Vec<String>) -> Option<Table> {
        let file = dir.open_file(name).ok()?;
        let mut octets = Vec::new();
        octets.reserve_exact(Stat::of_file(&file).ok()?.size.min(LONGEST) as usize + 1);
        file.take(LONGEST).read_to_end(&mut octets).ok()?;
        let head = Head::read(&octets).filter(|head| head.is_of(stat))?;
        let end = usize::try_from(head.count).ok()?.checked_mul(RECORD)?;
        let (records, words) = octets[HEAD..].split_at_checked(end)?;
        let (records, _) = records.as_chunks::<RECORD>();
        let sum = records.iter().fold(checksum(words), |sum, record| sum ^ checksum(record));
        if sum != head.sum {
            return None;
        }
        let mut table = Table {
            entries: records.iter().map(entry).collect(),
            numbers: head.numbers,
            names: std::str::from_utf8(words).ok()?.lines().map(str::to_owned).collect(),
            covers: head.size,
        };
        table.rename(names);
        Some(table)
    }

    fn rename(&mut self, names: &mut Vec<String>) {
        let bits = self.names.iter().map(|name| field::bit(names, name.as_bytes()));
        let bits: Vec<Option<u32>> = bits.collect();
        if (0..).zip(&bits).all(|(at, bit)| *bit == Some(at)) {
            return;
        }
        let renamed = |old: u32| {
            let set = (0..).zip(&bits).filter(|(at, _)| old & (1 << *at) != 0);
            set.filter_map(|(_, bit)| *bit).fold(0, |new, bit| new | (1 << bit))
        };
        for entry in &mut self.entries {
            entry.keywords = renamed(entry.keywords);
            entry.listed = renamed(entry.listed);
        }
    }
}

/// Leaves what is known for the next. `before` is how the file was when the table was last left,
/// `changed` which entries are others since, where none came or went. It does not matter if that
/// fails.
pub fn leave(
    (dir, name): (&Dir, &[u8]),
    stat: &Stat,
    (numbers, entries, names): (Numbers, &[Entry], &[String]),
    since: Option<(&Stat, &[usize])>,
) {
    let words = names.join("\n").into_bytes();
    let mtime = nanos(stat.mtime);
    let head = Head {
        id: stat.id,
        size: stat.size,
        mtime,
        grown: (stat.size, mtime),
        numbers,
        count: entries.len() as u64,
        sum: checksum(&words),
        status: count(entries),
    };
    let patched = since.and_then(|(before, changed)| {
        patch((dir, name), head, before, changed.iter().map(|at| (*at, &entries[*at])), &words)
    });
    if patched.is_none() {
        let _ = write_anew(dir, name, head, entries, &words);
    }
}

/// Writes the records that changed, and the head.
fn patch<'a>(
    (dir, name): (&Dir, &[u8]),
    head: Head,
    before: &Stat,
    changed: impl Iterator<Item = (usize, &'a Entry)>,
    words: &[u8],
) -> Option<()> {
    let file = dir.edit_file(name).ok()?;
    let mut octets = [0; HEAD];
    file.read_exact_at(&mut octets, 0).ok()?;
    let old = Head::read(&octets)?;
    let mut old_words = vec![0; words.len() + 1];
    let end = HEAD as u64 + head.count * RECORD as u64;
    let got = file.read_at(&mut old_words, end).ok()?;
    if old.count != head.count
        || !old.is_of(before)
        || !old.covers_all()
        || &old_words[..got] != words
    {
        return None;
    }
    let mut sum = old.sum;
    for (at, entry) in changed {
        let mut octets = [0; RECORD];
        let at = (HEAD + at * RECORD) as u64;
        file.read_exact_at(&mut octets, at).ok()?;
        let new = record(entry);
        sum ^= checksum(&octets) ^ checksum(&new);
        file.write_all_at(&new, at).ok()?;
    }
    file.write_all_at(&Head { sum, ..head }.written(), 0).ok()
}

fn write_anew(
    dir: &Dir,
    name: &[u8],
    mut head: Head,
    entries: &[Entry],
    words: &[u8],
) -> io::Result<()> {
    let mut octets = vec![0; HEAD];
    octets.reserve_exact(entries.len() * RECORD + words.len());
    for entry in entries {
        let record = record(entry);
        head.sum ^= checksum(&record);
        octets.extend_from_slice(&record);
    }
    octets.extend_from_slice(words);
    octets[..HEAD].copy_from_slice(&head.written());
    let temporary = [name, b".tmp"].concat();
    let _ = dir.unlink(&temporary);
    let mut file = dir.create_file(&temporary)?;
    let written = file.write_all(&octets).and_then(|()| dir.rename(&temporary, dir, name));
    if written.is_err() {
        let _ = dir.unlink(&temporary);
    }
    written
}

/// Tells that the file only grew from one state to the other. It does not matter if that fails.
pub fn grew(directory: &Path, name: &[u8], before: &Stat, after: &Stat) {
    let Ok(file) = Dir::open(directory).and_then(|dir| dir.edit_file(name)) else { return };
    let mut octets = [0; HEAD];
    let known = file.read_exact_at(&mut octets, 0).ok().and_then(|()| Head::read(&octets));
    if let Some(head) = known.filter(|head| head.is_of(before)) {
        let head = Head { grown: (after.size, nanos(after.mtime)), ..head };
        let _ = file.write_all_at(&head.written(), 0);
    }
}

fn record(entry: &Entry) -> [u8; RECORD] {
    let facts = &entry.facts;
    let (validity, last) = facts.base.unwrap_or_default();
    let mut octets = [0; RECORD];
    let (at, date) = (entry.at, entry.date as u64);
    let long = [at, entry.head, entry.length, entry.octets, entry.digest.value(), date];
    for (at, number) in long.into_iter().enumerate() {
        octets[8 * at..][..8].copy_from_slice(&number.to_le_bytes());
    }
    let short = [entry.keywords, entry.listed, validity, last, facts.uid];
    for (at, number) in short.into_iter().enumerate() {
        octets[48 + 4 * at..][..4].copy_from_slice(&number.to_le_bytes());
    }
    octets[68] = facts.flags.0;
    let bits = [facts.seen, facts.old, facts.is_notes, facts.is_incomplete];
    octets[69] = (0..).zip(bits).fold(0, |sum, (at, bit)| sum | u8::from(bit) << at);
    octets
}

fn entry(octets: &[u8; RECORD]) -> Entry {
    let (long, _) = octets.as_chunks::<8>();
    let (short, _) = octets.as_chunks::<4>();
    let long = |at: usize| u64::from_le_bytes(long[at]);
    let short = |at: usize| u32::from_le_bytes(short[12 + at]);
    let is = |bit: u8| octets[69] & (1 << bit) != 0;
    Entry {
        at: long(0),
        head: long(1),
        length: long(2),
        octets: long(3),
        digest: Digest::of(long(4)),
        date: long(5) as i64,
        keywords: short(0),
        listed: short(1),
        facts: Facts {
            seen: is(0),
            old: is(1),
            is_notes: is(2),
            is_incomplete: is(3),
            flags: Flags(octets[68]),
            uid: short(4),
            base: Some((short(2), short(3))).filter(|(validity, _)| *validity > 0),
        },
    }
}
