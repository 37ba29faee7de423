//! What a session learned of a mailbox, for the next one: `buzon-listing`.
//!
//! A head, then 32 octets for each message in the order of UIDs, then the names of files that say
//! more than can be put together from a base and marks. It is true for as long as `new`, `cur` and
//! the list of UIDs have the stamps in the head; sizes and dates stay true for as long as the
//! UIDVALIDITY does. Derived: whoever deletes it makes the next session read directories.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::checksum::{Checksum, checksum};
use super::super::flags::{Flags, Marks};
use super::super::folders::Status;
use super::super::selected::{Summary, UNKNOWN};
use super::session::{BARE, IN_NEW, ODD};
use crate::sys::dir::{Dir, Stat};

const NAME: &[u8] = b"buzon-listing";
/// Until it is complete.
const TEMPORARY: &[u8] = b"buzon-listing.tmp";
const MAGIC: &[u8; 8] = b"buzonL1\n";
/// A listing beyond this is none of ours.
const LONGEST: u64 = 1 << 31;
const RECORD: usize = 32;
/// So much is read at once: whole records, and whole blocks of the checksum.
const PIECE: usize = 64 * 1024;
/// The numbers of the head, eight octets each; the last is its checksum.
const NUMBERS: usize = 16;
const HEAD: usize = 8 + 8 * NUMBERS;

/// What a listing is true of: the directories and the list of UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth([u64; 6]);

impl Truth {
    /// Of these stamps.
    pub fn of(directories: [SystemTime; 2], list: &Stat) -> Truth {
        let nanos = |time: SystemTime| {
            time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
        };
        let [new, cur] = directories.map(nanos);
        Truth([new, cur, list.id.0, list.id.1, list.size, nanos(list.mtime)])
    }
}

/// A listing.
#[derive(Debug)]
pub struct Listing {
    pub truth: Truth,
    pub uid_validity: u32,
    pub uid_next: u32,
    pub messages: Vec<Summary>,
    /// By UID, names that are odd.
    pub odd: Vec<(u32, Vec<u8>)>,
}

impl Listing {
    /// Reads what was left; `None` where that is nothing, or not whole.
    pub fn read(root: &Dir) -> Option<Listing> {
        Listing::read_file(&Listing::open(root)?).ok()
    }

    /// The file that was left. Nobody writes into it again: the next listing is another file.
    pub fn open(root: &Dir) -> Option<File> {
        root.open_file(NAME).ok()
    }

    /// What such a file is true of.
    pub fn truth_of(file: &File) -> Option<Truth> {
        let mut octets = [0; HEAD];
        file.read_exact_at(&mut octets, 0).ok()?;
        Some(head(&octets)?.0)
    }

    /// Reads such a file; one that is no listing is invalid data.
    pub fn read_file(file: &File) -> io::Result<Listing> {
        Listing::read_pieces(file)?.ok_or_else(|| ErrorKind::InvalidData.into())
    }

    fn read_pieces(file: &File) -> io::Result<Option<Listing>> {
        let mut octets = [0; HEAD];
        file.read_exact_at(&mut octets, 0)?;
        let Some((truth, numbers)) = head(&octets) else { return Ok(None) };
        let size = Stat::of_file(file)?.size.min(LONGEST);
        let [validity, next, count, _, _, _, _, wanted] = numbers;
        let mut left = (size as usize).saturating_sub(HEAD);
        let Some(count) = usize::try_from(count).ok().filter(|count| *count <= left / RECORD)
        else {
            return Ok(None);
        };
        let (mut sum, mut odd) = (Checksum::default(), Vec::new());
        let (mut messages, mut at) = (Vec::with_capacity(count), HEAD as u64);
        let mut piece = vec![0; PIECE.min(left)];
        while left > 0 {
            let piece = &mut piece[..PIECE.min(left)];
            file.read_exact_at(piece, at)?;
            at += piece.len() as u64;
            left -= piece.len();
            sum.feed(piece);
            let (records, _) = piece.as_chunks::<RECORD>();
            let here = records.len().min(count - messages.len());
            messages.extend(records[..here].iter().map(read_record));
            odd.extend_from_slice(&piece[here * RECORD..]);
        }
        let number = |number| u32::try_from(number).ok();
        let read = || {
            (sum.end() == wanted).then_some(Listing {
                truth,
                uid_validity: number(validity)?,
                uid_next: number(next)?,
                messages,
                odd: read_odd(&odd)?,
            })
        };
        Ok(read())
    }

    /// Leaves it for the next. It does not matter if that fails.
    pub fn leave(&self, root: &Dir) {
        let _ = root.unlink(TEMPORARY);
        let written = root.create_file(TEMPORARY).and_then(|mut file| {
            file.write_all(&self.written())?;
            root.rename(TEMPORARY, root, NAME)
        });
        if written.is_err() {
            let _ = root.unlink(TEMPORARY);
        }
    }

    fn written(&self) -> Vec<u8> {
        let mut octets = vec![0; HEAD];
        octets.reserve_exact(self.messages.len() * RECORD);
        self.messages.iter().for_each(|message| octets.extend_from_slice(&record(message)));
        for (uid, name) in &self.odd {
            octets.extend_from_slice(&uid.to_le_bytes());
            octets.push(name.len() as u8);
            octets.extend_from_slice(name);
        }
        let status = count(&self.messages);
        let numbers = [
            u64::from(self.uid_validity),
            u64::from(self.uid_next),
            u64::from(status.messages),
            u64::from(status.recent),
            u64::from(status.unseen),
            u64::from(status.deleted),
            status.octets.unwrap_or(UNKNOWN),
            checksum(&octets[HEAD..]),
        ];
        let mut at = 8;
        octets[..at].copy_from_slice(MAGIC);
        for number in self.truth.0.into_iter().chain(numbers).chain([0]) {
            octets[at..at + 8].copy_from_slice(&number.to_le_bytes());
            at += 8;
        }
        let sum = checksum(&octets[..HEAD - 8]);
        octets[HEAD - 8..HEAD].copy_from_slice(&sum.to_le_bytes());
        octets
    }
}

/// What STATUS counts.
pub fn count(messages: &[Summary]) -> Status {
    let mut status = Status { octets: Some(0), ..Status::default() };
    for message in messages.iter().filter(|message| !message.is_gone()) {
        let flags = message.flags();
        status.messages += 1;
        status.recent += u32::from(message.is(IN_NEW));
        status.unseen += u32::from(!flags.has(Flags::SEEN));
        status.deleted += u32::from(flags.has(Flags::DELETED));
        status.octets = match message.octets {
            UNKNOWN => None,
            octets => status.octets.map(|sum| sum + octets),
        };
    }
    status
}

/// What STATUS asks for, from the head alone, if it is true of these stamps.
pub fn status(root: &Dir, truth: &Truth) -> Option<Status> {
    let mut octets = [0; HEAD];
    root.open_file(NAME).ok()?.read_exact(&mut octets).ok()?;
    let (found, [validity, next, messages, recent, unseen, deleted, sum, _]) = head(&octets)?;
    let number = |number| u32::try_from(number).ok();
    (found == *truth).then_some(Status {
        messages: number(messages)?,
        recent: number(recent)?,
        uid_next: number(next)?,
        uid_validity: number(validity)?,
        unseen: number(unseen)?,
        deleted: number(deleted)?,
        octets: Some(sum).filter(|sum| *sum != UNKNOWN),
    })
}

/// The UIDVALIDITY and the next UID that a session knew, true as long as the one is the other's.
pub fn numbers(root: &Dir) -> Option<(u32, u32)> {
    let mut octets = [0; HEAD];
    root.open_file(NAME).ok()?.read_exact(&mut octets).ok()?;
    let (_, [validity, next, ..]) = head(&octets)?;
    Some((u32::try_from(validity).ok()?, u32::try_from(next).ok()?))
}

fn head(octets: &[u8]) -> Option<(Truth, [u64; 8])> {
    let words = octets.strip_prefix(MAGIC)?.as_chunks::<8>().0;
    let mut numbers = [0; NUMBERS];
    for (number, word) in numbers.iter_mut().zip(words) {
        *number = u64::from_le_bytes(*word);
    }
    let [a, b, c, d, e, f, rest @ .., spare, sum] = numbers;
    let is_whole = spare == 0 && sum == checksum(&octets[..HEAD - 8]);
    is_whole.then_some((Truth([a, b, c, d, e, f]), rest))
}

fn record(message: &Summary) -> [u8; RECORD] {
    let mut octets = [0; RECORD];
    octets[..4].copy_from_slice(&message.uid.to_le_bytes());
    octets[4..8].copy_from_slice(&message.marks.0.to_le_bytes());
    octets[8..16].copy_from_slice(&message.octets.to_le_bytes());
    octets[16..24].copy_from_slice(&message.date.to_le_bytes());
    octets[24..28].copy_from_slice(&message.place.to_le_bytes());
    octets[28] = message.length;
    octets[29] = message.state & (IN_NEW | BARE | ODD);
    octets
}

fn read_record(octets: &[u8; RECORD]) -> Summary {
    let four = |at: usize| {
        u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
    };
    let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
    Summary {
        uid: four(0),
        marks: Marks(four(4)),
        octets: eight(8),
        date: eight(16) as i64,
        place: four(24),
        length: octets[28],
        state: octets[29],
    }
}

fn read_odd(mut octets: &[u8]) -> Option<Vec<(u32, Vec<u8>)>> {
    let mut odd = Vec::new();
    while let Some((head, rest)) = octets.split_at_checked(5) {
        let (name, rest) = rest.split_at_checked(usize::from(head[4]))?;
        odd.push((u32::from_le_bytes([head[0], head[1], head[2], head[3]]), name.to_vec()));
        octets = rest;
    }
    octets.is_empty().then_some(odd)
}
