//! Messages leave an mbox, and notes that need more room come in: what follows has to move.
//!
//! A new file and a rename would be one step, but programs that hold the old one open would lock
//! and append to a file without a name. So the file stays, and its new end is written twice: as a
//! copy behind the old end, synced; then in its place; then the file is cut. Killed anywhere, each
//! message that shall stay is whole in the file, perhaps with a second copy, or pieces of what was
//! to go, beside it; and whoever of us locks the mbox next finishes the work by the plan in `state`.
//! Where nothing is to follow, the cut is all. Notes that fit in their place are one small write.
//! On a full disk there is no copy: see `slide`.

use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::super::Error;
use super::lock::Locked;
use super::message::Digest;
use super::scan::Entry;
use super::state::{Plan, State, Step};
use super::{checkpoint, disk_is_full};

/// What is moved at once.
const CHUNK: usize = if cfg!(test) { 200 } else { 256 * 1024 };

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is.
    Keep,
    /// It goes.
    Remove,
    /// It gets this header, dividing line included.
    Head(Vec<u8>),
}

/// A part of the new end.
enum Piece<'a> {
    /// From a place in the file, so many octets.
    Old(u64, u64),
    /// A header, instead of the one at this place.
    New(u64, &'a [u8]),
}

impl Piece<'_> {
    fn length(&self) -> u64 {
        match self {
            Piece::Old(_, length) => *length,
            Piece::New(_, octets) => octets.len() as u64,
        }
    }
}

/// Makes the changes, one for each entry of a scan made under this lock.
pub fn apply(
    locked: &mut Locked,
    state: &mut State,
    entries: &[Entry],
    changes: &[Change],
) -> Result<(), Error> {
    let mut is_moved = Vec::with_capacity(entries.len());
    for (entry, change) in entries.iter().zip(changes) {
        is_moved.push(match change {
            Change::Keep => false,
            Change::Head(head) if head.len() as u64 == entry.head => {
                in_place(locked, entry, head)?;
                false
            }
            _ => true,
        });
    }
    let Some(first) = is_moved.iter().position(|moved| *moved) else {
        return Ok(locked.file.sync_data()?);
    };
    let mut pieces = Vec::new();
    for (at, entry) in entries.iter().enumerate().skip(first) {
        match &changes[at] {
            Change::Remove => {}
            Change::Head(head) if is_moved[at] => {
                pieces.push(Piece::New(entry.at, head));
                pieces.push(Piece::Old(entry.at + entry.head, entry.length - entry.head));
            }
            _ => pieces.push(Piece::Old(entry.at, entry.length)),
        }
    }
    replace(locked, state, entries[first].at, &pieces)
}

/// Writes what is different. Messages stay where they are whatever happens.
fn in_place(locked: &Locked, entry: &Entry, head: &[u8]) -> io::Result<()> {
    let mut old = vec![0; head.len()];
    locked.file.read_exact_at(&mut old, entry.at)?;
    let differs = |(a, b): (&u8, &u8)| a != b;
    let first = old.iter().zip(head).position(differs);
    let last = old.iter().zip(head).rposition(differs);
    if let (Some(first), Some(last)) = (first, last) {
        checkpoint();
        locked.file.write_all_at(&head[first..=last], entry.at + first as u64)?;
    }
    Ok(())
}

/// Puts these pieces in place of everything from `from` on.
fn replace(
    locked: &mut Locked,
    state: &mut State,
    from: u64,
    pieces: &[Piece],
) -> Result<(), Error> {
    let metadata = locked.file.metadata()?;
    let (end, length) = (metadata.len(), pieces.iter().map(Piece::length).sum());
    if length == 0 {
        checkpoint();
        locked.file.set_len(from)?;
        return Ok(locked.file.sync_data()?);
    }
    let mut plan = Plan {
        step: Step::Copying,
        process: std::process::id().into(),
        inode: metadata.ino(),
        from,
        end,
        // Never over what it is a copy for.
        copy: end.max(from + length),
        length,
        digest: 0,
    };
    state.plan = Some(plan);
    state.write(false)?;
    match copy(locked, &plan, pieces) {
        Ok(digest) => plan.digest = digest,
        Err(error) => {
            locked.file.set_len(end)?;
            state.plan = None;
            state.write(false)?;
            return match Error::from(error) {
                Error::Full(_) if can_slide(from, pieces) => slide(locked, state, plan, pieces),
                error => Err(error),
            };
        }
    }
    Ok(finish(locked, state, plan)?)
}

/// Writes the copy; its digest.
fn copy(locked: &mut Locked, plan: &Plan, pieces: &[Piece]) -> io::Result<u64> {
    let mut at = plan.end;
    let mut put = |locked: &mut Locked, octets: &[u8]| {
        checkpoint();
        locked.refresh();
        locked.file.write_all_at(octets, at)?;
        at += octets.len() as u64;
        io::Result::Ok(())
    };
    disk_is_full()?;
    // Empty lines, which make the last message no other.
    for gap in chunks(plan.end, plan.copy) {
        put(locked, &vec![b'\n'; gap.1])?;
    }
    let mut chunk = room();
    for piece in pieces {
        match piece {
            Piece::New(_, octets) => put(locked, octets)?,
            Piece::Old(from, length) => {
                for (from, length) in chunks(*from, from + length) {
                    locked.file.read_exact_at(&mut chunk[..length], from)?;
                    put(locked, &chunk[..length])?;
                }
            }
        }
    }
    locked.file.sync_data()?;
    digest(locked, plan)
}

/// For one chunk.
fn room() -> Vec<u8> {
    vec![0; CHUNK]
}

/// Parts of what lies between two places.
fn chunks(from: u64, end: u64) -> impl Iterator<Item = (u64, usize)> {
    (from..end).step_by(CHUNK).map(move |at| (at, (end - at).min(CHUNK as u64) as usize))
}

fn digest(locked: &Locked, plan: &Plan) -> io::Result<u64> {
    let mut digest = Digest::default();
    let mut chunk = room();
    for (at, length) in chunks(plan.copy, plan.copy + plan.length) {
        locked.file.read_exact_at(&mut chunk[..length], at)?;
        digest.add(&chunk[..length]);
    }
    Ok(digest.value())
}

/// The copy is whole: moves it into its place, and cuts the file.
fn finish(locked: &mut Locked, state: &mut State, plan: Plan) -> io::Result<()> {
    let proceed = |step, state: &mut State| {
        checkpoint();
        state.plan = Some(Plan { step, ..plan });
        state.write(false)
    };
    proceed(Step::Moving, state)?;
    let mut chunk = room();
    for (at, length) in chunks(0, plan.length) {
        locked.file.read_exact_at(&mut chunk[..length], plan.copy + at)?;
        checkpoint();
        locked.refresh();
        locked.file.write_all_at(&chunk[..length], plan.from + at)?;
    }
    // Careful: the copy goes only when what it is for is on disk.
    locked.file.sync_data()?;
    proceed(Step::Cutting, state)?;
    checkpoint();
    locked.file.set_len(plan.from + plan.length)?;
    locked.file.sync_data()?;
    checkpoint();
    state.plan = None;
    state.write(false)
}

/// Whether each piece fits before the octets that come after it.
fn can_slide(from: u64, pieces: &[Piece]) -> bool {
    let mut to = from;
    pieces.iter().all(|piece| {
        let fits = match piece {
            Piece::Old(at, _) => to <= *at,
            Piece::New(at, octets) => to + octets.len() as u64 <= *at,
        };
        to += piece.length();
        fits
    })
}

/// The pieces move down, each by no more octets at once than lie between its old place and its new
/// one: what has not arrived is still whole at its old place, and the plan says how far we are.
///
/// We differ from ourselves: a kill leaves a message cut until one of us has locked the mbox. But
/// a full disk must not keep anybody from removing messages.
fn slide(
    locked: &mut Locked,
    state: &mut State,
    plan: Plan,
    pieces: &[Piece],
) -> Result<(), Error> {
    let mut to = plan.from;
    let arrived = |state: &mut State, from, copy| {
        let length = plan.end - copy;
        state.plan = Some(Plan { step: Step::Sliding, from, copy, length, ..plan });
        state.write(false)
    };
    let mut chunk = room();
    for piece in pieces {
        let (mut at, length) = match piece {
            Piece::Old(at, length) => (*at, *length),
            Piece::New(at, octets) => {
                arrived(state, to, *at)?;
                checkpoint();
                locked.file.write_all_at(octets, to)?;
                to += octets.len() as u64;
                continue;
            }
        };
        let end = at + length;
        while at < end {
            // What is in its place already need not be moved.
            let most = if at == to { end - at } else { (end - at).min(at - to).min(CHUNK as u64) };
            if at != to {
                arrived(state, to, at)?;
                checkpoint();
                locked.refresh();
                let chunk = &mut chunk[..most as usize];
                locked.file.read_exact_at(chunk, at)?;
                locked.file.write_all_at(chunk, to)?;
            }
            (at, to) = (at + most, to + most);
        }
    }
    arrived(state, to, plan.end)?;
    checkpoint();
    locked.file.set_len(to)?;
    locked.file.sync_data()?;
    state.plan = None;
    Ok(state.write(false)?)
}

/// Finishes what a rewrite left half done when it was killed.
pub fn repair(locked: &mut Locked, state: &mut State) -> Result<(), Error> {
    let Some(plan) = state.plan else {
        return Ok(());
    };
    let metadata = locked.file.metadata()?;
    let end = metadata.len();
    // Where the lock file still was the dead writer's, nobody has touched the mbox since.
    let is_untouched = locked.dead.is_some_and(|dead| u64::from(dead) == plan.process);
    // Whoever comes next, if we are killed too, must know that it still is.
    let plan = Plan { process: std::process::id().into(), ..plan };
    if is_untouched {
        state.plan = Some(plan);
        state.write(false)?;
    }
    let copy_end = plan.copy.saturating_add(plan.length);
    let is_whole = plan.step != Step::Copying
        && metadata.ino() == plan.inode
        && end >= copy_end
        && digest(locked, &plan)? == plan.digest;
    match plan.step {
        // Somebody appended behind the copy.
        _ if is_whole && end > copy_end => {
            replace(locked, state, plan.from, &[Piece::Old(plan.copy, end - plan.copy)])?;
        }
        _ if is_whole => finish(locked, state, plan)?,
        Step::Copying if is_untouched && metadata.ino() == plan.inode && end > plan.end => {
            locked.file.set_len(plan.end)?;
        }
        Step::Sliding if is_untouched && metadata.ino() == plan.inode && end == plan.end => {
            slide(locked, state, plan, &[Piece::Old(plan.copy, plan.length)])?;
        }
        // It was cut, or others have changed it since: messages may be there twice.
        _ => {}
    }
    state.plan = None;
    Ok(state.write(false)?)
}
