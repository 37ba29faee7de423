//! The store as imapd sees it: folders, and mailboxes that several sessions have selected.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use buzon::conf::Location;
use buzon::store::{
    self, Body, Change, Changes, Flags, FolderError, Folders, Letter, Selected, SpecialUse,
};

/// A directory for the test, and the Maildir in it, not made yet.
fn place() -> (tempfile::TempDir, PathBuf, Folders) {
    let place = tempfile::tempdir().unwrap();
    let maildir = place.path().join("alice/Maildir");
    let folders = Folders::of(&Location::Maildir(maildir.clone()));
    (place, maildir, folders)
}

fn deliver(maildir: &Path, body: &[u8]) {
    let letter = Letter { sender: "", head: b"X-Head: y\n", body: Body::Octets(body) };
    let location = Location::Maildir(maildir.into());
    let mut prepared = store::prepare(&location, &letter, Instant::now()).unwrap();
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

#[test]
fn folders_are_made_renamed_and_removed() {
    let (_place, maildir, folders) = place();
    assert_eq!(names(&folders), ["INBOX"]);
    folders.create("Sent", None).unwrap();
    folders.create("Señal", Some(SpecialUse::Junk)).unwrap();
    folders.create("a/b/c", None).unwrap();
    folders.create("a-b", None).unwrap();
    folders.create("inbox/kid", None).unwrap();
    let list = ["INBOX", "INBOX/kid", "Sent", "Señal", "a?", "a/b?", "a/b/c", "a-b"];
    assert_eq!(names(&folders), list);
    assert!(maildir.join(".Se&APE-al/maildirfolder").exists());
    assert!(maildir.join(".INBOX.kid/cur").exists());
    let use_of = |name: &str| {
        folders.list().unwrap().into_iter().find(|folder| folder.name == name).unwrap().use_
    };
    assert_eq!((use_of("Sent"), use_of("Señal")), (Some(SpecialUse::Sent), Some(SpecialUse::Junk)));

    for name in ["Sent", "INBOX", "iNbOx", "Inbox/kid"] {
        assert!(matches!(folders.create(name, None), Err(FolderError::Exists)), "{name}");
    }
    for name in ["", "/", "a/", "/a", "a//b", "a.b", "a\nb", &"x".repeat(300), &"ñ".repeat(100)] {
        assert!(matches!(folders.create(name, None), Err(FolderError::Invalid(_))), "{name}");
        assert!(!folders.exists(name).unwrap(), "{name}");
    }
    assert!(folders.exists("INBOX").unwrap() && folders.exists("inbox/kid").unwrap());
    assert!(!folders.exists("a").unwrap());

    folders.rename("a", "z/a").unwrap();
    folders.rename("Señal", "Basura").unwrap();
    assert_eq!(use_of("Basura"), Some(SpecialUse::Junk));
    let list = ["INBOX", "INBOX/kid", "Basura", "Sent", "a-b", "z?", "z/a?", "z/a/b?", "z/a/b/c"];
    assert_eq!(names(&folders), list);
    for (from, to) in [("a", "b"), ("none", "b")] {
        assert!(matches!(folders.rename(from, to), Err(FolderError::Missing)), "{from}");
    }
    for (from, to) in [("Sent", "a-b"), ("Sent", "z"), ("Sent", "inbox"), ("Sent", "Sent")] {
        assert!(matches!(folders.rename(from, to), Err(FolderError::Exists)), "{from} {to}");
    }
    assert!(matches!(folders.rename("z", "z/y"), Err(FolderError::Invalid(_))));

    folders.create("z/a", None).unwrap();
    folders.delete("z/a").unwrap();
    assert!(matches!(folders.delete("z/a"), Err(FolderError::Invalid(_))));
    assert!(matches!(folders.delete("INBOX"), Err(FolderError::Invalid(_))));
    assert!(matches!(folders.delete("none"), Err(FolderError::Missing)));
    folders.delete("z/a/b/c").unwrap();
    assert_eq!(names(&folders), ["INBOX", "INBOX/kid", "Basura", "Sent", "a-b"]);
    assert!(
        fs::read_dir(&maildir)
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with("..") })
    );
}

#[test]
fn a_name_that_comes_back_has_another_uidvalidity() {
    let (_place, _, folders) = place();
    let mut last = 0;
    for _ in 0..4 {
        folders.create("x", None).unwrap();
        let validity = folders.status("x").unwrap().uid_validity;
        assert!(validity > last);
        last = validity;
        folders.delete("x").unwrap();
    }
    assert!(matches!(folders.status("x"), Err(FolderError::Missing)));
    assert!(matches!(folders.open("x", true), Err(FolderError::Missing)));
}

#[test]
fn what_nobody_has_seen_is_recent_once() {
    let (_place, maildir, folders) = place();
    deliver(&maildir, b"one\n");
    deliver(&maildir, b"two\n");
    let examined = folders.open("INBOX", true).unwrap();
    assert_eq!(flags(&examined), [RECENT, RECENT]);
    assert_eq!(folders.status("INBOX").unwrap().recent, 2);
    let mut first = folders.open("INBOX", false).unwrap();
    let mut second = folders.open("INBOX", false).unwrap();
    assert_eq!((flags(&first), flags(&second)), (vec![RECENT; 2], vec![Flags::NONE; 2]));
    assert_eq!((first.recent(), second.recent()), (2, 0));
    let status = folders.status("INBOX").unwrap();
    assert_eq!((status.recent, status.unseen, status.messages), (0, 2, 2));
    deliver(&maildir, b"three\n");
    let changes = second.refresh(false).unwrap();
    assert_eq!(changes, Changes { exists: Some(3), recent: 1, ..Changes::default() });
    let changes = first.refresh(false).unwrap();
    assert_eq!(changes, Changes { exists: Some(3), recent: 2, ..Changes::default() });
    assert_eq!(first.refresh(true).unwrap(), Changes { recent: 2, ..Changes::default() });
}

#[test]
fn two_sessions_see_each_others_changes() {
    let (_place, maildir, folders) = place();
    (0..4).for_each(|_| deliver(&maildir, b"x\n"));
    let mut one = folders.open("INBOX", false).unwrap();
    let mut two = folders.open("INBOX", false).unwrap();
    let junk = one.keyword("Junk", true).unwrap().unwrap();
    let changed = one.store(&[0, 2], Change::Add, SEEN, 1 << junk).unwrap();
    assert_eq!(changed, [0, 2]);
    assert_eq!(one.store(&[0], Change::Add, SEEN, 0).unwrap(), [0; 0]);
    assert_eq!(one.refresh(true).unwrap().flags, [0; 0]);
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
    deliver(&maildir, b"new\n");
    let changes = one.refresh(true).unwrap();
    assert_eq!((changes.expunged, changes.exists), (vec![2, 2], Some(3)));
    assert_eq!(uids(&one), [1, 4, 5]);
    assert_eq!(one.raw(2).unwrap(), b"X-Head: y\nnew\n");
}
