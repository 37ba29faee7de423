//! What a protocol worked out of messages and wants to find again: `buzon-cache`, one file a
//! mailbox, shared by all sessions.
//!
//! Records are appended, each in one write, and found by UID; a head holds the UIDVALIDITY. Each
//! begins with a key that its format makes of the message itself: where another program gave a UID
//! to another message, nothing of the old one is found. A record that a crash tore is dropped with
//! all behind it. When more than half is of messages that went away the rest is written anew.
//! Derived: whoever deletes it makes others work it out again.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::time::{Duration, Instant};

use super::checksum::checksum;
use super::selected::Summary;
use super::window::Window;
use crate::limits;
use crate::sys::dir::{Dir, Stat};
use crate::sys::lock;

/// Of a mailbox that is a directory.
pub const NAME: &[u8] = b"buzon-cache";
/// Behind the name until it is complete.
const TEMPORARY: &[u8] = b".tmp";
const MAGIC: &[u8; 8] = b"buzonC2\n";
/// The magic, the UIDVALIDITY, four octets that are 0.
const HEAD: usize = 16;
/// Before the octets of a record: UID, length, checksum of the octets, checksum of these numbers.
const RECORD: usize = 16;
/// The first of its octets tell the message from another of this UID.
const KEY: usize = 8;
/// So much is written at once.
const BATCH: usize = 256 * 1024;
/// A file smaller than this is not written anew.
const SMALL: u64 = 256 * 1024;
/// How often we look for what others wrote.
const OTHERS: Duration = Duration::from_secs(1);

/// Where the record of a message is.
#[derive(Clone, Copy, Debug)]
struct Place {
    uid: u32,
    at: u32,
    length: u32,
}

/// The cache of a mailbox, open.
#[derive(Debug)]
pub struct Cache {
    name: Vec<u8>,
    uid_validity: u32,
    /// Whatever is written goes to its end.
    file: File,
    window: Window,
    id: (u64, u64),
    /// By UID.
    index: Vec<Place>,
    /// How far the file was read.
    end: u64,
    looked: Instant,
    /// Whether there is nothing to be read behind the end.
    is_torn: bool,
    /// Records that are not written yet, and where in there they are.
    pending: Vec<u8>,
    places: Vec<Place>,
}

impl Cache {
    /// Opens the cache of a mailbox, which is made if it is missing or of another UIDVALIDITY.
    pub fn open(root: &Dir, name: &[u8], uid_validity: u32) -> io::Result<Cache> {
        let (file, stat) = match open_file(root, name, uid_validity)? {
            Some(opened) => opened,
            None => {
                write_anew(root, name, uid_validity, &[])?;
                open_file(root, name, uid_validity)?.ok_or(ErrorKind::NotFound)?
            }
        };
        let mut cache = Cache {
            name: name.to_vec(),
            uid_validity,
            window: Window::new(file.try_clone()?),
            file,
            id: stat.id,
            index: Vec::new(),
            end: HEAD as u64,
            looked: Instant::now(),
            is_torn: false,
            pending: Vec::new(),
            places: Vec::new(),
        };
        cache.read_on()?;
        Ok(cache)
    }

    /// What is remembered of the message with this key.
    pub fn get(&mut self, uid: u32, key: u64) -> Option<Vec<u8>> {
        self.record(uid)?.strip_prefix(&key.to_le_bytes()).map(<[u8]>::to_vec)
    }

    /// The octets of a record.
    fn record(&mut self, uid: u32) -> Option<&[u8]> {
        if let Some(place) = self.places.iter().rfind(|place| place.uid == uid) {
            return Some(&self.pending[place.at as usize..][..place.length as usize]);
        }
        if self.find(uid).is_none() && self.looked.elapsed() > OTHERS {
            self.read_on().ok()?;
        }
        let Place { at, length, .. } = self.find(uid)?;
        let (head, octets) = self
            .window
            .get(u64::from(at), RECORD + length as usize)
            .ok()?
            .split_at_checked(RECORD)?;
        let is_it = numbers(head) == Some((uid, length, short(octets)));
        is_it.then_some(octets)
    }

    fn find(&self, uid: u32) -> Option<Place> {
        let at = self.index.binary_search_by_key(&uid, |place| place.uid).ok()?;
        Some(self.index[at])
    }

    /// Remembers something of the message with this key. It does not matter if that fails.
    pub fn put(&mut self, root: &Dir, uid: u32, key: u64, octets: &[u8]) {
        let size = self.end + (self.pending.len() + RECORD + KEY + octets.len()) as u64;
        if KEY + octets.len() > limits::CACHE_RECORD || size > limits::CACHE {
            return;
        }
        let head = self.pending.len();
        let at = head + RECORD;
        self.pending.resize(at, 0);
        self.pending.extend_from_slice(&key.to_le_bytes());
        self.pending.extend_from_slice(octets);
        let record = &self.pending[at..];
        let length = record.len() as u32;
        let numbers = head_of(uid, length, short(record));
        self.pending[head..at].copy_from_slice(&numbers);
        self.places.push(Place { uid, at: at as u32, length });
        if self.pending.len() >= BATCH {
            self.flush(root);
        }
    }

    /// Writes what is not written yet.
    pub fn flush(&mut self, root: &Dir) {
        if self.pending.is_empty() {
            return;
        }
        let (pending, places) =
            (std::mem::take(&mut self.pending), std::mem::take(&mut self.places));
        if !root.stat(&self.name).is_ok_and(|stat| stat.id == self.id) {
            // Somebody wrote it anew, or took it away.
            let Ok(other) = Cache::open(root, &self.name, self.uid_validity) else { return };
            *self = other;
        }
        if self.is_torn || self.file.write_all(&pending).is_err() {
            return;
        }
        let end = self.file.stream_position().unwrap_or(0);
        // Where another wrote before us, both are read.
        if end == self.end + pending.len() as u64 {
            let start = self.end as u32;
            let place = |place: Place| Place { at: start + place.at - RECORD as u32, ..place };
            let before = self.index.len();
            self.index.extend(places.into_iter().map(place));
            self.end = end;
            self.sort(before);
        } else {
            let _ = self.read_on();
        }
    }

    /// Writes what is not written yet, and everything anew where that saves room.
    pub fn close(mut self, root: &Dir, messages: &[Summary]) {
        self.flush(root);
        let mut alive = messages.iter().filter(|message| !message.is_gone()).peekable();
        let mut live = Vec::new();
        for place in &self.index {
            while alive.next_if(|message| message.uid < place.uid).is_some() {}
            if alive.peek().is_some_and(|message| message.uid == place.uid) {
                live.push(*place);
            }
        }
        let size = |place: &Place| RECORD as u64 + u64::from(place.length);
        let used = live.iter().map(size).sum::<u64>();
        let is_wasteful = self.end > SMALL && used * 2 < self.end;
        // Only one of us; what others remember meanwhile is lost, and worked out again.
        if (is_wasteful || self.is_torn) && lock::try_exclusive(&self.file).unwrap_or(false) {
            let mut records = Vec::with_capacity(used as usize);
            for place in live {
                if let Some(octets) = self.record(place.uid) {
                    records.extend_from_slice(&head_of(place.uid, place.length, short(octets)));
                    records.extend_from_slice(octets);
                }
            }
            let _ = write_anew(root, &self.name, self.uid_validity, &records);
        }
    }

    /// Reads where records are, from where we stopped.
    fn read_on(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        let size = Stat::of_file(&self.file)?.size;
        let before = self.index.len();
        while self.end + RECORD as u64 <= size && !self.is_torn {
            let Some((uid, length, _)) = numbers(self.window.get(self.end, RECORD)?) else {
                self.is_torn = true;
                break;
            };
            let next = self.end + RECORD as u64 + u64::from(length);
            if next > size.min(limits::CACHE) {
                break;
            }
            self.index.push(Place { uid, at: self.end as u32, length });
            self.end = next;
        }
        self.sort(before);
        Ok(())
    }

    /// Sorts in what was added behind so many. Of two records of a message the later is true.
    fn sort(&mut self, before: usize) {
        if self.index[before.saturating_sub(1)..].is_sorted_by(|a, b| a.uid < b.uid) {
            return;
        }
        self.index.sort_by_key(|place| (place.uid, std::cmp::Reverse(place.at)));
        self.index.dedup_by_key(|place| place.uid);
    }
}

fn open_file(root: &Dir, name: &[u8], uid_validity: u32) -> io::Result<Option<(File, Stat)>> {
    let mut file = match root.append_file(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut head = [0; HEAD];
    let is_ours = file.read_exact(&mut head).is_ok() && head == head_of_file(uid_validity);
    let stat = Stat::of_file(&file)?;
    Ok(is_ours.then_some((file, stat)))
}

/// Replaces the file by one with these records.
fn write_anew(root: &Dir, name: &[u8], uid_validity: u32, records: &[u8]) -> io::Result<()> {
    let temporary = [name, TEMPORARY].concat();
    let _ = root.unlink(&temporary);
    let mut file = root.create_file(&temporary)?;
    let written = (|| {
        file.write_all(&head_of_file(uid_validity))?;
        file.write_all(records)?;
        root.rename(&temporary, root, name)
    })();
    if written.is_err() {
        let _ = root.unlink(&temporary);
    }
    written
}

fn head_of_file(uid_validity: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&uid_validity.to_le_bytes());
    head
}

fn short(octets: &[u8]) -> u32 {
    let sum = checksum(octets);
    (sum ^ (sum >> 32)) as u32
}

fn head_of(uid: u32, length: u32, sum: u32) -> [u8; RECORD] {
    let mut head = [0; RECORD];
    for (at, number) in [uid, length, sum].into_iter().enumerate() {
        head[4 * at..][..4].copy_from_slice(&number.to_le_bytes());
    }
    let sum = short(&head[..12]);
    head[12..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// UID, length and checksum; `None` where that is no head of a record.
fn numbers(head: &[u8]) -> Option<(u32, u32, u32)> {
    let (words, _) = head.as_chunks::<4>();
    let &[uid, length, sum, own] = words else { return None };
    let is_whole = u32::from_le_bytes(own) == short(&head[..12]);
    let number = u32::from_le_bytes;
    is_whole.then(|| (number(uid), number(length), number(sum)))
}

#[cfg(test)]
mod tests {
    use super::super::flags::Marks;
    use super::*;

    fn message(uid: u32) -> Summary {
        let marks = Marks::default();
        Summary { uid, marks, octets: 0, date: 0, place: 0, length: 0, state: 0 }
    }

    fn text(uid: u32) -> Vec<u8> {
        format!("record {uid} ").repeat(20).into_bytes()
    }

    #[test]
    fn records_are_found_by_all() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        let mut one = Cache::open(&root, NAME, 7).unwrap();
        let mut two = Cache::open(&root, NAME, 7).unwrap();
        for uid in (1..2000).rev() {
            assert_eq!(one.get(uid, 5), None);
            one.put(&root, uid, 5, &text(uid));
            assert_eq!(one.get(uid, 5), Some(text(uid)));
        }
        two.put(&root, 1, 5, b"other");
        two.put(&root, 3000, 5, b"");
        two.put(&root, 3001, 5, &vec![0; limits::CACHE_RECORD + 1]);
        two.flush(&root);
        one.flush(&root);
        let mut three = Cache::open(&root, NAME, 7).unwrap();
        for uid in 2..2000 {
            assert_eq!(three.get(uid, 5), Some(text(uid)), "{uid}");
            assert_eq!(one.get(uid, 5), Some(text(uid)), "{uid}");
        }
        assert_eq!((three.get(3000, 5), three.get(3001, 5)), (Some(Vec::new()), None));
        assert_eq!(three.get(1, 5), Some(text(1)));
        two.looked -= OTHERS * 2;
        assert_eq!(two.get(5, 5), Some(text(5)));
        assert_eq!(Cache::open(&root, NAME, 8).unwrap().get(5, 5), None);
    }

    #[test]
    fn what_is_torn_or_wasted_goes() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        let path = place.path().join("buzon-cache");
        let size = || std::fs::metadata(&path).unwrap().len();
        let mut cache = Cache::open(&root, NAME, 7).unwrap();
        (1..3000).for_each(|uid| cache.put(&root, uid, 5, &text(uid)));
        let messages: Vec<Summary> = (1..3000).map(message).collect();
        cache.close(&root, &messages);
        let whole = size();
        assert!(whole > SMALL);

        // A crash leaves zeros behind a part of a record.
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(whole - 100).unwrap();
        file.set_len(whole + 5000).unwrap();
        let mut cache = Cache::open(&root, NAME, 7).unwrap();
        assert_eq!((cache.get(2998, 5), cache.get(2999, 5)), (Some(text(2998)), None));
        cache.put(&root, 2999, 5, b"again");
        cache.close(&root, &messages);
        let mut cache = Cache::open(&root, NAME, 7).unwrap();
        assert_eq!((cache.get(2998, 5), cache.get(2999, 5)), (Some(text(2998)), None));
        cache.put(&root, 2999, 5, b"again");
        cache.close(&root, &messages);

        // An octet that changed.
        let mut octets = std::fs::read(&path).unwrap();
        octets[HEAD + RECORD] ^= 1;
        std::fs::write(&path, octets).unwrap();
        let mut cache = Cache::open(&root, NAME, 7).unwrap();
        assert_eq!((cache.get(1, 5), cache.get(2, 5)), (None, Some(text(2))));
        let old = Cache::open(&root, NAME, 7).unwrap();
        cache.close(&root, &messages[..1000]);
        assert!(size() < whole / 2);
        let mut cache = Cache::open(&root, NAME, 7).unwrap();
        assert_eq!((cache.get(1000, 5), cache.get(1001, 5)), (Some(text(1000)), None));
        let mut old = old;
        assert_eq!(old.get(2000, 5), Some(text(2000)));
        old.put(&root, 5000, 5, b"late");
        old.flush(&root);
        assert_eq!(Cache::open(&root, NAME, 7).unwrap().get(5000, 5), Some(b"late".to_vec()));
    }
}
