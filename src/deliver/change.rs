//! What the postmaster does to a letter of the queue: `buzonctl queue`.
//!
//! Each of these takes the letter as a runner does, by its lock; where a runner has it, nothing is
//! done. What is to happen afterwards a runner does: reports are its own.

use crate::queue::{Claim, Claimed, Entry, Envelope, Event, Place, Queue, Said, State};
use std::io;

/// What is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nobody touches it until it is released.
    Hold,
    /// It is tried again when its time comes; one that was not understood is read again.
    Release,
    /// It is thrown away, and nobody is told.
    Remove,
    /// It is tried now, as if it had never been.
    Retry,
    /// It goes back to its sender.
    Bounce,
}

impl Change {
    /// The word that asks for it.
    pub fn named(word: &str) -> Option<Change> {
        Some(match word {
            "hold" => Change::Hold,
            "release" => Change::Release,
            "remove" => Change::Remove,
            "retry" => Change::Retry,
            "bounce" => Change::Bounce,
            _ => return None,
        })
    }

    /// Where the letters are that it may be done to.
    fn places(self) -> &'static [Place] {
        match self {
            Change::Hold => &[Place::Due],
            Change::Release => &[Place::Hold, Place::Bad],
            Change::Remove => &[Place::Due, Place::Hold, Place::Bad],
            Change::Retry | Change::Bounce => &[Place::Due, Place::Hold],
        }
    }

    /// Every letter that it may be done to, the oldest first.
    pub fn all(self, queue: &Queue) -> io::Result<Vec<String>> {
        let mut ids = Vec::new();
        for place in self.places() {
            queue.entries(*place, |entry| ids.push(entry.id))?;
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

/// Why nothing was done.
#[derive(Debug)]
pub enum Refused {
    /// There is no such letter.
    Unknown,
    /// It is not in a state for this.
    Not(&'static str),
    /// A runner is at work on it.
    Busy,
    /// The file could not be read or moved.
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Io(error)
    }
}

/// Does it, and tells in a few words what was done.
pub fn change(queue: &Queue, what: Change, id: &str, now: u64) -> Result<String, Refused> {
    let (place, entry) = queue.find(id)?.ok_or(Refused::Unknown)?;
    if !what.places().contains(&place) {
        return Err(Refused::Not(match place {
            Place::Due => "waits for its turn and is not held",
            Place::Hold => "is held already",
            Place::Bad => "is not understood: remove it, or mend and release it",
        }));
    }
    if place == Place::Bad {
        return bad(queue, what, &entry);
    }
    let claimed = match queue.claim(place, &entry)? {
        Claim::Taken(claimed) => claimed,
        Claim::Busy => return Err(Refused::Busy),
        Claim::Bad(_) => return Err(Refused::Not("is not understood, and lies in bad/ now")),
    };
    Ok(taken(*claimed, what, now)?)
}

fn bad(queue: &Queue, what: Change, entry: &Entry) -> Result<String, Refused> {
    Ok(match what {
        Change::Remove => queue.discard(entry).map(|()| "removed, though not understood".into())?,
        _ => queue.readmit(entry).map(|()| "is looked at again".into())?,
    })
}

fn taken(mut claimed: Claimed, what: Change, now: u64) -> io::Result<String> {
    let due = claimed.entry.due;
    let waiting: Vec<usize> = {
        let waiting = claimed.envelope.recipients.iter().filter(|to| to.is_waiting());
        waiting.map(|to| to.number).collect()
    };
    let all = |state: State| {
        waiting.iter().map(|number| Event::State(*number, state.clone())).collect::<Vec<_>>()
    };
    match what {
        Change::Hold => claimed.hold().map(|()| "held".into()),
        Change::Release => claimed.defer(due).map(|()| "released".into()),
        Change::Remove => {
            let octets = claimed.text()?.octets();
            let told = format!("removed: {octets} octets {}", shown(&claimed.envelope));
            claimed.remove().map(|()| told)
        }
        Change::Retry => {
            let events = all(State::Waiting(None)).into_iter().chain([Event::Fresh]);
            claimed.note(now, events.collect())?;
            claimed.defer(now).map(|()| "is tried now".into())
        }
        Change::Bounce => {
            let (status, text) = ("5.0.0".into(), "returned by the postmaster".into());
            let said = Said { at: now, status, host: None, text };
            claimed.note(now, all(State::Failed(said)))?;
            claimed.defer(now).map(|()| "goes back to its sender".into())
        }
    }
}

fn shown(envelope: &Envelope) -> String {
    let from = envelope.reverse_path.as_ref().map_or(String::new(), ToString::to_string);
    let waiting = envelope.recipients.iter().filter(|to| to.is_waiting());
    let to: Vec<String> = waiting.map(|to| format!("<{}>", to.path)).collect();
    format!("from <{from}> to {}", if to.is_empty() { "nobody".into() } else { to.join(", ") })
}
