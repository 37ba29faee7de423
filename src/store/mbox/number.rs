//! The numbers of the messages of an mbox, and what each has to note so that they hold.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::super::flags::Marks;
use super::field;
use super::rewrite::Change;
use super::scan::Entry;
use super::state::State;
use crate::sys;

/// The numbers of a mailbox as its first message and `the state have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// UIDVALIDITY.
    pub validity: u32,
    /// The last UID given.
    pub last: u32,
}

/// The UID of each entry. One that does not rise, or is beyond what was ever given, is no
/// number of ours: such a message gets a new one.
pub fn number(state: &State, entries: &[Entry]) -> (Numbers, Vec<u32>) {
    let State { validity, last, .. } = state;
    let (validity, last) = (*validity, *last);
    let mut numbers = match entries.first().and_then(|first| first.facts.base) {
        Some((same, theirs)) if same == validity => Numbers { validity, last: last.max(theirs) },
        Some((validity, last)) => Numbers { validity, last },
        None if validity > 0 => Numbers { validity, last },
        None => Numbers { validity: (sys::clock::micros() / 1_000_000) as u32, last: 0 },
    };
    let mut before = 0;
    let uids = entries.iter().map(|entry| {
        let uid = entry.facts.uid;
        match uid > before && uid <= numbers.last {
            _ if !entry.is_letter() => return 0,
            true => before = uid,
            false => {
                numbers.last += 1;
                before = numbers.last;
            }
        }
        before
    });
    let uids = uids.collect();
    (numbers, uids)
}

/// Whether nothing is to be written.
pub fn is_current(state: &State, entries: &[Entry], numbers: Numbers, uids: &[u32]) -> bool {
    let base = entries.first().map(|first| first.facts.base);
    let same = |(entry, uid): (&Entry, &u32)| !entry.is_letter() || entry.facts.uid == *uid;
    base.is_none_or(|base| base.is_some_and(|(validity, _)| validity == numbers.validity))
        && (state.validity, state.last) == (numbers.validity, numbers.last)
        && entries.iter().zip(uids).all(same)
        && !entries.iter().any(|entry| entry.facts.is_incomplete)
}

/// What a message shall note.
#[derive(Clone, Copy, Default)]
pub struct Want {
    /// Its UID.
    pub uid: u32,
    /// That it was read.
    pub seen: bool,
    /// That it is no longer new.
    pub old: bool,
    /// All its flags and keywords, where they change.
    pub marks: Option<Marks>,
}

/// Whether a message found now is one that we know. mutt may have lost its UID.
pub fn is_same(found: &Entry, known: &Entry) -> bool {
    found.digest == known.digest && [0, known.facts.uid].contains(&found.facts.uid)
}

/// What has to change so that each message notes what is wanted, and the first the numbers.
pub fn changes(
    file: &File,
    entries: &[Entry],
    numbers: Numbers,
    names: &[String],
    is_removed: impl Fn(usize) -> bool,
    wanted: impl Fn(usize) -> Want,
) -> io::Result<Vec<Change>> {
    let mut base = Some((numbers.validity, numbers.last));
    let mut changes = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        if entry.facts.is_incomplete || is_removed(index) {
            changes.push(Change::Remove);
            continue;
        }
        let want = wanted(index);
        let base = base.take();
        let is_listed = names.is_empty() || entry.listed.count_ones() as usize == names.len();
        let has_base = base.is_none() || (entry.facts.base == base && is_listed);
        let has_uid = !entry.is_letter() || entry.facts.uid == want.uid;
        if has_base
            && has_uid
            && entry.facts.seen >= want.seen
            && entry.facts.old >= want.old
            && want.marks.is_none_or(|marks| marks == entry.marks())
        {
            changes.push(Change::Keep);
            continue;
        }
        let mut head = vec![0; entry.head as usize];
        file.read_exact_at(&mut head, entry.at)?;
        changes.push(Change::Head(field::rewrite(&head, |notes| {
            notes.uid = want.uid;
            notes.base = base;
            if base.is_some() {
                notes.list(names);
            }
            if let Some(marks) = want.marks {
                notes.set_marks(marks, names);
            } else if want.old && entry.is_letter() {
                notes.set_old();
            }
            if want.seen && entry.is_letter() {
                notes.set_seen();
            }
        })));
    }
    Ok(changes)
}
