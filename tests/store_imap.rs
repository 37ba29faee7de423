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
    for name in ["", "/", "/a", "a//b", "a.b", "a\nb", &"x".repeat(300), &"ñ".repeat(100)] {
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
    assert!(matches!(folders.delete("z/a"), Err(FolderError::HasChildren)));
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
    both(|_, folders| {
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
    });
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
        deliver_to(&location, b"new\n");
        let changes = one.refresh(true).unwrap();
        assert_eq!((changes.expunged, changes.exists), (vec![2, 2], Some(3)));
        assert_eq!(uids(&one), [1, 4, 5]);
        assert_eq!(one.raw(2).unwrap(), b"X-Head: y\nnew\n");
    });
}

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
fn letters_are_appended_together_or_not_at_all() {
    let (_place, maildir, folders) = place();
    deliver(&maildir, b"waits for its number\n");
    let (validity, given) = append(&folders, "INBOX", &["one\n", "two\n"], SEEN);
    assert_eq!(given, [1, 2]);
    let mut inbox = folders.open("inbox", false).unwrap();
    assert_eq!((inbox.uid_validity(), uids(&inbox)), (validity, vec![1, 2, 3]));
    assert_eq!(inbox.date(1).unwrap(), 1_000_000_000);
    assert_eq!(inbox.octets(1).unwrap(), 5);
    assert_eq!(wire(inbox.read(1).unwrap()), b"two\r\n");
    assert_eq!((inbox.keywords(), inbox.messages()[1].keywords()), (&["Work".to_owned()][..], 1));

    let letter = Letter { sender: "", head: b"", body: Body::Octets(b"x\n") };
    let prepare = || folders.prepare_append("INBOX", &letter, SEEN, &[], None).unwrap();
    drop(prepare());
    let letters = vec![prepare(), prepare()];
    // The second has lost its file.
    let mut names: Vec<_> =
        fs::read_dir(maildir.join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    fs::remove_file(&names[1]).unwrap();
    assert!(folders.commit_append(letters).is_err());
    assert_eq!(fs::read_dir(maildir.join("tmp")).unwrap().count(), 0);
    assert_eq!(inbox.refresh(true).unwrap().exists, None);
    assert_eq!(append(&folders, "INBOX", &["three\n"], SEEN).1, [6]);
    // A letter of long ago is no file that somebody left behind.
    let old = folders.prepare_append("INBOX", &letter, SEEN, &[], Some(1_000_000_000)).unwrap();
    deliver(&maildir, b"four\n");
    drop(folders.open("INBOX", false).unwrap());
    folders.commit_append(vec![old]).unwrap();
    assert!(matches!(
        folders.prepare_append("none", &letter, SEEN, &[], None),
        Err(FolderError::Missing)
    ));
}

#[test]
fn copies_are_second_names_and_moves_renames() {
    use std::os::unix::fs::MetadataExt;
    let (_place, maildir, folders) = place();
    folders.create("Archive/2026", None).unwrap();
    append(&folders, "INBOX", &["one\n", "two\n", "three\n"], SEEN | Flags::FLAGGED);
    let mut inbox = folders.open("INBOX", false).unwrap();
    let (_, pairs) = inbox.copy(&[0, 1], "Archive/2026").unwrap();
    assert_eq!(pairs, [(1, 1), (2, 2)]);
    let links = |folder: &str| {
        let entries = fs::read_dir(maildir.join(folder).join("cur")).unwrap();
        let mut links: Vec<u64> =
            entries.map(|entry| entry.unwrap().metadata().unwrap().nlink()).collect();
        links.sort();
        links
    };
    assert_eq!((links("."), links(".Archive.2026")), (vec![1, 2, 2], vec![2, 2]));
    let (_, pairs) = inbox.move_to(&[2], "Archive/2026").unwrap();
    assert_eq!(pairs, [(3, 3)]);
    assert_eq!(inbox.refresh(true).unwrap().expunged, [3]);
    let mut archive = folders.open("Archive/2026", true).unwrap();
    assert_eq!(flags(&archive), [SEEN | Flags::FLAGGED; 3]);
    assert_eq!(archive.keywords(), ["Work"]);
    assert!(archive.messages().iter().all(|message| message.keywords() == 1));
    assert_eq!(archive.date(2).unwrap(), 1_000_000_000);
    assert_eq!(archive.raw(2).unwrap(), b"three\n");
    assert!(archive.store(&[0], Change::Add, DELETED, 0).is_err());
    assert!(archive.expunge(None).is_err() && archive.move_to(&[0], "INBOX").is_err());

    // One of them went away: nothing is copied.
    let mut other = folders.open("INBOX", false).unwrap();
    other.store(&[1], Change::Add, DELETED, 0).unwrap();
    other.expunge(None).unwrap();
    assert!(inbox.copy(&[0, 1], "Archive/2026").is_err());
    assert!(inbox.move_to(&[0, 1], "Archive/2026").is_err());
    assert!(matches!(inbox.copy(&[0], "none"), Err(FolderError::Missing)));
    assert!(archive.refresh(true).unwrap().exists.is_none());
    assert_eq!(inbox.refresh(true).unwrap().expunged, [2]);

    folders.rename("INBOX", "Old/Post").unwrap();
    assert_eq!(folders.status("INBOX").unwrap().messages, 0);
    assert_eq!(folders.status("Old/Post").unwrap().messages, 1);
    assert_eq!(inbox.refresh(true).unwrap().expunged, [1]);
}

/// Mounted for a test, by root.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: &Path, from: &Path) -> Option<Mounted> {
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.arg("--bind").args([from, path]).stderr(std::process::Stdio::null());
        mounted.status().ok()?.success().then(|| Mounted(path.into()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_copy_to_another_file_system_is_whole() {
    let (_place, maildir, folders) = place();
    let Ok(far) = tempfile::tempdir_in("/dev/shm") else { return };
    folders.create("Far", None).unwrap();
    append(&folders, "INBOX", &["one\n", "two\n"], SEEN);
    let mut inbox = folders.open("INBOX", false).unwrap();
    let Some(_mounted) = Mounted::at(&maildir.join(".Far"), far.path()) else { return };
    assert_eq!(inbox.copy(&[0, 1], "Far").unwrap().1, [(1, 1), (2, 2)]);
    assert_eq!(inbox.move_to(&[0], "Far").unwrap().1, [(1, 3)]);
    assert_eq!(inbox.refresh(true).unwrap().expunged, [1]);
    let mut copies = folders.open("Far", true).unwrap();
    assert_eq!((copies.messages().len(), copies.date(2).unwrap()), (3, 1_000_000_000));
    assert_eq!(copies.raw(2).unwrap(), b"one\n");
    assert_eq!(flags(&copies), [SEEN; 3]);
    assert_eq!(fs::read_dir(far.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(names(&folders), ["INBOX", "Far"]);
}

#[test]
fn what_was_worked_out_is_remembered_for_all() {
    let (_place, maildir, folders) = place();
    append(&folders, "INBOX", &["one\n", "two\n"], SEEN);
    let mut one = folders.open("INBOX", false).unwrap();
    assert_eq!(one.cached(0), None);
    one.remember(0, b"envelope");
    assert_eq!(one.cached(0).unwrap(), b"envelope");
    one.rest();
    assert_eq!(folders.open("INBOX", true).unwrap().cached(0).unwrap(), b"envelope");
    assert_eq!(one.cached(1), None);
    fs::remove_file(maildir.join("buzon-cache")).unwrap();
    let _ = fs::remove_file(maildir.join("buzon-listing"));
    assert_eq!(folders.open("INBOX", true).unwrap().cached(0), None);
    assert_eq!(one.refresh(true).unwrap().exists, None);
}

#[test]
fn a_listing_that_lies_is_not_believed() {
    let (_place, maildir, folders) = place();
    append(&folders, "INBOX", &["one\n", "two\n"], SEEN);
    drop(folders.open("INBOX", false).unwrap());
    std::thread::sleep(std::time::Duration::from_millis(50));
    // Two looks: ours of before was too near to the change.
    drop(folders.open("INBOX", false).unwrap());
    let listing = maildir.join("buzon-listing");
    let whole = fs::read(&listing).unwrap();
    for cut in [0, 7, 100, whole.len() - 1] {
        fs::write(&listing, &whole[..cut]).unwrap();
        assert_eq!(uids(&folders.open("INBOX", true).unwrap()), [1, 2], "{cut}");
    }
    for at in (0..whole.len()).step_by(3) {
        let mut octets = whole.clone();
        octets[at] ^= 0x10;
        fs::write(&listing, &octets).unwrap();
        let selected = folders.open("INBOX", true).unwrap();
        assert_eq!((uids(&selected), flags(&selected)), (vec![1, 2], vec![SEEN; 2]), "{at}");
        assert_eq!(folders.status("INBOX").unwrap().messages, 2);
    }
}

#[test]
fn strange_names_keep_what_is_strange() {
    let (_place, maildir, folders) = place();
    drop(folders.open("INBOX", false).unwrap());
    for name in ["1.a", "2.b:2,SF", "3.c:2,XS", "4.d:1,S", "5.e:2,PSz"] {
        fs::write(maildir.join("cur").join(name), "x\n").unwrap();
    }
    let mut inbox = folders.open("INBOX", false).unwrap();
    let flagged = Flags::FLAGGED;
    let expected = [Flags::NONE, SEEN | flagged, SEEN, Flags::NONE, SEEN];
    assert_eq!(flags(&inbox), expected);
    let changed = inbox.store(&[0, 1, 2, 3, 4], Change::Replace, DELETED, 0).unwrap();
    assert_eq!(changed, [0, 1, 2, 4]);
    let mut names: Vec<String> = fs::read_dir(maildir.join("cur"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["1.a:2,T", "2.b:2,T", "3.c:2,TX", "4.d:1,S", "5.e:2,PTz"]);
    for index in 0..5 {
        assert_eq!(inbox.raw(index).unwrap(), b"x\n");
    }
    inbox.rest();
    assert_eq!(inbox.raw(2).unwrap(), b"x\n");
    drop(inbox);
    let mut inbox = folders.open("INBOX", true).unwrap();
    assert_eq!(inbox.raw(2).unwrap(), b"x\n");
    assert_eq!(inbox.octets(3).unwrap(), 3);
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
    let watches: Vec<_> = (0..5).map(|_| store::Watch::of(&inbox).unwrap()).collect();
    let rings = |watch: &store::Watch, wait: u64| {
        let wait = Some(Duration::from_millis(wait));
        buzon::sys::poll::readable([watch.fd()], wait).unwrap()[0]
    };
    assert!(watches.iter().all(|watch| watch.patience().is_none()));
    assert!(!rings(&watches[0], 0));
    deliver(&maildir, b"one\n");
    assert!(watches.iter().all(|watch| rings(watch, 5_000)));
    assert!(watches[0].silence());
    assert_eq!(inbox.refresh(true).unwrap().exists, Some(1));
    // Ours to see as well: the message was moved to `cur`.
    assert!(rings(&watches[0], 5_000));
    let last = watches.into_iter().next_back().unwrap();
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

#[test]
fn folders_of_mboxes_are_made_renamed_and_removed() {
    let (place, _, folders) = mbox_place();
    let mail = place.path().join("home/mail");
    assert_eq!(names(&folders), ["INBOX"]);
    for name in ["Sent", "a/b/c", "a-b", "inbox/kid", "a.b"] {
        folders.create(name, None).unwrap();
    }
    folders.create("Señal", Some(SpecialUse::Junk)).unwrap();
    let list = ["INBOX", "INBOX/kid", "Sent", "Señal", "a?", "a/b?", "a/b/c", "a-b", "a.b"];
    assert_eq!(names(&folders), list);
    assert!(mail.join("Se&APE-al").is_file() && mail.join("a/b/c").is_file());
    for name in ["Sent", "INBOX", "iNbOx", "Inbox/kid"] {
        assert!(matches!(folders.create(name, None), Err(FolderError::Exists)), "{name}");
    }
    for name in
        ["", "/", "a/", "a//b", ".a", "../x", "a.lock", "a\nb", &"x".repeat(300), "a", "Sent/x"]
    {
        assert!(matches!(folders.create(name, None), Err(FolderError::Invalid(_))), "{name}");
        assert!(!folders.exists(name).unwrap(), "{name}");
    }
    folders.rename("a", "z/a").unwrap();
    folders.rename("Señal", "Basura").unwrap();
    let list = folders.list().unwrap();
    let junk = list.iter().find(|folder| folder.use_ == Some(SpecialUse::Junk)).unwrap();
    assert_eq!(junk.name, "Basura");
    for (from, to) in [("a", "b"), ("none", "b")] {
        assert!(matches!(folders.rename(from, to), Err(FolderError::Missing)), "{from}");
    }
    for (from, to) in [("Sent", "a-b"), ("Sent", "z"), ("Sent", "inbox"), ("Sent", "Sent")] {
        assert!(matches!(folders.rename(from, to), Err(FolderError::Exists)), "{from} {to}");
    }
    assert!(matches!(folders.delete("z"), Err(FolderError::HasChildren)));
    assert!(matches!(folders.delete("INBOX"), Err(FolderError::Invalid(_))));
    assert!(matches!(folders.delete("none"), Err(FolderError::Missing)));
    folders.delete("z/a/b/c").unwrap();
    assert_eq!(names(&folders), ["INBOX", "INBOX/kid", "Basura", "Sent", "a-b", "a.b"]);
    for name in ["Sent", "x/y"] {
        folders.subscribe(name).unwrap();
    }
    folders.unsubscribe("Sent").unwrap();
    assert!(matches!(folders.unsubscribe("Sent"), Err(FolderError::Missing)));
    assert_eq!(folders.subscriptions().unwrap(), ["x/y"]);
    assert_eq!(fs::read_to_string(mail.join(".subscriptions")).unwrap(), "V\t2\n\nx\ty\n");
}

#[test]
fn renaming_an_inbox_moves_its_messages() {
    both(|location, folders| {
        deliver_to(&location, b"one\n");
        folders.rename("INBOX", "Old").unwrap();
        assert_eq!(folders.status("INBOX").unwrap().messages, 0);
        let mut old = folders.open("Old", false).unwrap();
        assert_eq!(old.raw(0).unwrap(), b"X-Head: y\none\n");
    });
}
