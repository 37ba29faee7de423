//! The store as imapd sees it: folders, and mailboxes that several sessions have selected.

#![allow(clippy::unwrap_used)]

mod folders;
mod intake;
mod kept;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use buzon::conf::Location;
use buzon::store::{self, Body, Change, Changes, Flags, Folders, Letter, Selected};

/// A directory for the test, and the Maildir in it, not made yet.
fn place() -> (tempfile::TempDir, PathBuf, Folders) {
    let place = tempfile::tempdir().unwrap();
    let maildir = place.path().join("alice/Maildir");
    let folders = Folders::of(&Location::Maildir(maildir.clone()));
    (place, maildir, folders)
}

/// The same with mboxes.
fn mbox_place() -> (tempfile::TempDir, Location, Folders) {
    let place = tempfile::tempdir().unwrap();
    let (inbox, folders) = (place.path().join("alice"), place.path().join("home/mail"));
    let location = Location::Mbox { inbox, folders };
    let folders = Folders::of(&location);
    (place, location, folders)
}

fn both(act: impl Fn(Location, Folders)) {
    let (_place, maildir, folders) = place();
    act(Location::Maildir(maildir), folders);
    let (_place, location, folders) = mbox_place();
    act(location, folders);
}

fn deliver(maildir: &Path, body: &[u8]) {
    deliver_to(&Location::Maildir(maildir.into()), body);
}

fn deliver_to(location: &Location, body: &[u8]) {
    let letter = Letter { sender: "", head: b"X-Head: y\n", body: Body::Octets(body) };
    let mut prepared = store::prepare(location, &letter, Instant::now()).unwrap();
    prepared.show().unwrap();
    prepared.settle().unwrap();
}

fn uids(selected: &Selected) -> Vec<u32> {
    selected.messages().iter().map(|message| message.uid).collect()
}

fn flags(selected: &Selected) -> Vec<Flags> {
    selected.messages().iter().map(|message| message.flags()).collect()
}

fn names(folders: &Folders) -> Vec<String> {
    let folders = folders.list().unwrap().into_iter();
    folders.map(|folder| folder.name + if folder.selectable { "" } else { "?" }).collect()
}

const SEEN: Flags = Flags::SEEN;
const RECENT: Flags = Flags::RECENT;
const DELETED: Flags = Flags::DELETED;

fn wire(mut wire: store::Wire) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match wire.chunk().unwrap() {
            [] => return all,
            chunk => all.extend_from_slice(chunk),
        }
    }
}

fn append(folders: &Folders, to: &str, bodies: &[&str], flags: Flags) -> (u32, Vec<u32>) {
    let letters = bodies.iter().map(|body| {
        let letter = Letter { sender: "", head: b"", body: Body::Octets(body.as_bytes()) };
        folders.prepare_append(to, &letter, flags, &["Work".into()], Some(1_000_000_000))
    });
    let letters = letters.collect::<Result<Vec<_>, _>>().unwrap();
    folders.commit_append(letters).unwrap()
}

#[test]
fn what_nobody_has_seen_is_recent_once() {
    both(|location, folders| {
        deliver_to(&location, b"one\n");
        deliver_to(&location, b"two\n");
        let examined = folders.open("INBOX", true).unwrap();
        assert_eq!(flags(&examined), [RECENT, RECENT]);
        assert_eq!(folders.status("INBOX").unwrap().recent, 2);
        let mut first = folders.open("INBOX", false).unwrap();
        let mut second = folders.open("INBOX", false).unwrap();
        assert_eq!((flags(&first), flags(&second)), (vec![RECENT; 2], vec![Flags::NONE; 2]));
        assert_eq!((first.recent(), second.recent()), (2, 0));
        let status = folders.status("INBOX").unwrap();
        assert_eq!((status.recent, status.unseen, status.messages), (0, 2, 2));
        deliver_to(&location, b"three\n");
        let changes = second.refresh(false).unwrap();
        assert_eq!(changes, Changes { exists: Some(3), recent: 1, ..Changes::default() });
        let changes = first.refresh(false).unwrap();
        assert_eq!(changes, Changes { exists: Some(3), recent: 2, ..Changes::default() });
        assert_eq!(first.refresh(true).unwrap(), Changes { recent: 2, ..Changes::default() });
    });
}

#[test]
fn two_sessions_see_each_others_changes() {
    both(|location, folders| {
        (0..4).for_each(|_| deliver_to(&location, b"x\n"));
        let mut one = folders.open("INBOX", false).unwrap();
        let mut two = folders.open("INBOX", false).unwrap();
        let junk = one.keyword("Junk", true).unwrap().unwrap();
        let changed = one.store(&[0, 2], Change::Add, SEEN, 1 << junk).unwrap();
        assert_eq!(changed, [0, 2]);
        assert_eq!(one.store(&[0], Change::Add, SEEN, 0).unwrap(), [0; 0]);
        // Of a keyword that it asked for itself it knows.
        assert_eq!(one.refresh(true).unwrap(), Changes { recent: 4, ..Changes::default() });
        let changes = two.refresh(false).unwrap();
        assert_eq!((changes.flags, changes.keywords), (vec![1, 3], true));
        assert_eq!(two.keywords(), ["Junk"]);
        assert_eq!(two.messages()[2].keywords(), 1);
        assert_eq!(two.messages()[2].flags(), SEEN);

        two.store(&[1, 2], Change::Replace, DELETED, 0).unwrap();
        two.expunge(None).unwrap();
        // Sequence numbers stay until it may be told.
        assert_eq!(two.messages().len(), 4);
        assert_eq!(two.refresh(true).unwrap().expunged, [2, 2]);
        assert_eq!(one.refresh(false).unwrap().expunged, [0; 0]);
        assert_eq!(uids(&one), [1, 2, 3, 4]);
        assert!(one.messages()[1].is_gone());
        assert!(one.raw(1).unwrap_err().is_gone());
        assert_eq!(one.store(&[1], Change::Add, SEEN, 0).unwrap(), [0; 0]);
        deliver_to(&location, b"new\n");
        let changes = one.refresh(true).unwrap();
        assert_eq!((changes.expunged, changes.exists), (vec![2, 2], Some(3)));
        assert_eq!(uids(&one), [1, 4, 5]);
        assert_eq!(one.raw(2).unwrap(), b"X-Head: y\nnew\n");
    });
}

#[test]
fn a_mailbox_numbered_anew_or_removed_ends_the_session() {
    let (_place, maildir, folders) = place();
    folders.create("x", None).unwrap();
    append(&folders, "x", &["one\n", "two\n"], SEEN);
    let mut one = folders.open("x", false).unwrap();
    fs::write(maildir.join(".x/dovecot-uidlist"), "3 V77 N9\n").unwrap();
    assert!(one.refresh(true).is_err());
    let mut two = folders.open("x", false).unwrap();
    assert_eq!((two.uid_validity(), uids(&two)), (77, vec![9, 10]));
    two.rest();
    folders.delete("x").unwrap();
    folders.create("x", None).unwrap();
    assert!(two.refresh(true).is_err());
}

#[test]
fn who_watches_is_told() {
    use std::time::Duration;
    let (_place, maildir, folders) = place();
    store::watch::start().unwrap();
    let mut inbox = folders.open("INBOX", false).unwrap();
    inbox.refresh(true).unwrap();
    let mut watches: Vec<_> = (0..40).map(|_| store::Watch::of(&inbox)).collect();
    let rings = |watch: &store::Watch, wait: u64| {
        let wait = Some(Duration::from_millis(wait));
        buzon::sys::poll::readable([watch.fd().unwrap()], wait).unwrap()[0]
    };
    assert!(watches.iter().all(|watch| watch.patience().is_none()));
    assert!(!rings(&watches[0], 0));
    deliver(&maildir, b"one\n");
    assert!(watches.iter().all(|watch| rings(watch, 5_000)));
    watches[0].silence();
    assert_eq!(inbox.refresh(true).unwrap().exists, Some(1));
    // Ours to see as well: the message was moved to `cur`.
    assert!(rings(&watches[0], 5_000));
    let mut last = watches.into_iter().next_back().unwrap();
    last.silence();
    folders.open("INBOX", false).unwrap().store(&[0], Change::Add, SEEN, 0).unwrap();
    assert!(rings(&last, 5_000));
}

#[test]
fn many_at_once_lose_nothing() {
    let (_place, maildir, folders) = place();
    folders.create("Other", None).unwrap();
    let names = ["INBOX", "Other"];
    std::thread::scope(|scope| {
        for worker in 0..4usize {
            let (folders, maildir) = (&folders, &maildir);
            scope.spawn(move || {
                let mut here = folders.open(names[worker % 2], false).unwrap();
                for round in 0..40u32 {
                    let content = format!("{worker} {round}\n");
                    match round % 2 {
                        0 => deliver(maildir, content.as_bytes()),
                        _ => drop(append(folders, names[worker / 2], &[&content], SEEN)),
                    }
                    here.refresh(true).unwrap();
                    let some: Vec<u32> = (0..here.messages().len() as u32).step_by(3).collect();
                    here.store(&some, Change::Add, [SEEN, Flags::FLAGGED][worker / 2], 0).unwrap();
                    // Another may have been faster: then nothing moves.
                    let _ = here.move_to(&some, names[(worker + 1) % 2]);
                    here.refresh(true).unwrap();
                    assert!(here.messages().iter().all(|message| !message.is_gone()));
                }
            });
        }
    });
    let mut contents = Vec::new();
    for name in names {
        let mut folder = folders.open(name, true).unwrap();
        assert!(uids(&folder).is_sorted_by(|a, b| a < b));
        for index in 0..folder.messages().len() {
            let raw = String::from_utf8(folder.raw(index).unwrap()).unwrap();
            contents.push(raw.replace("X-Head: y\n", ""));
        }
    }
    contents.sort();
    let mut expected: Vec<String> =
        (0..4).flat_map(|worker| (0..40).map(move |round| format!("{worker} {round}\n"))).collect();
    expected.sort();
    assert_eq!(contents, expected);
}
