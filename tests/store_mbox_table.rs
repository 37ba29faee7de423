//! What an IMAP session knows of an mbox is not read again until it changes; and whatever becomes
//! of what it leaves for the next, only the file is believed.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Instant;

use buzon::conf::Location;
use buzon::store::{self, Body, Change, Flags, Folders, Letter, Selected};

struct Place {
    inbox: PathBuf,
    list: PathBuf,
    location: Location,
    folders: Folders,
    _directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let (inbox, folders) =
            (directory.path().join("spool/alice"), directory.path().join("mail"));
        let list = folders.join(".buzon-list.INBOX");
        let location = Location::Mbox { inbox: inbox.clone(), folders };
        let folders = Folders::of(&location);
        Place { inbox, list, location, folders, _directory: directory }
    }

    fn deliver(&self, body: &str) {
        let body = format!("\n{body}");
        let letter =
            Letter { sender: "", head: b"X-Head: y\n", body: Body::Octets(body.as_bytes()) };
        let mut prepared = store::prepare(&self.location, &letter, Instant::now()).unwrap();
        prepared.show().unwrap();
        prepared.settle().unwrap();
    }

    fn open(&self) -> Selected {
        self.folders.open("INBOX", false).unwrap()
    }

    /// Another program changes octets in their place.
    fn change(&self, from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        let content = fs::read_to_string(&self.inbox).unwrap();
        assert!(content.contains(from), "{content}");
        fs::write(&self.inbox, content.replacen(from, to, 1)).unwrap();
    }

    /// The same, and nobody can tell from outside.
    fn change_unseen(&self, from: &str, to: &str) {
        let before = fs::metadata(&self.inbox).unwrap().modified().unwrap();
        self.change(from, to);
        File::options().write(true).open(&self.inbox).unwrap().set_modified(before).unwrap();
    }
}

fn uids(selected: &Selected) -> Vec<u32> {
    selected.messages().iter().map(|message| message.uid).collect()
}

fn flags(selected: &Selected) -> Vec<Flags> {
    selected.messages().iter().map(|message| message.flags()).collect()
}

const SEEN: Flags = Flags::SEEN;

#[test]
fn what_did_not_change_is_not_read() {
    let place = Place::new();
    ["one\n", "two\n", "three\n"].iter().for_each(|body| place.deliver(body));
    let mut session = place.open();
    // The first is written, and so read, whenever a number is given.
    session.store(&[1], Change::Add, SEEN, 0).unwrap();
    place.change_unseen("Status: RO", "Status: O ");
    // Neither this session nor another reads the file: both tell what they know.
    assert!(session.refresh(true).unwrap().flags.is_empty());
    assert!(place.open().messages()[1].flags().has(SEEN));
    assert_eq!(place.folders.status("INBOX").unwrap().unseen, 2);
    // Of a file that only grew the end is read.
    place.deliver("four\n");
    let changes = session.refresh(true).unwrap();
    assert_eq!((changes.exists, changes.flags), (Some(4), vec![]));
    let append = Letter { sender: "", head: b"To: x\n", body: Body::Octets(b"\nfive\n") };
    let append = place.folders.prepare_append("INBOX", &append, Flags::NONE, &[], None).unwrap();
    place.folders.commit_append(vec![append]).unwrap();
    let changes = session.refresh(true).unwrap();
    assert_eq!((changes.exists, changes.flags), (Some(5), vec![]));
    // What another program did may be more than that.
    let mut file = File::options().append(true).open(&place.inbox).unwrap();
    let text = b"From a@b  Sat Nov 21 00:46:04 2026\nTo: x\n\nsix\n\n";
    std::io::Write::write_all(&mut file, text).unwrap();
    let changes = session.refresh(true).unwrap();
    assert_eq!((changes.exists, changes.flags), (Some(6), vec![2]));
    assert_eq!(place.folders.status("INBOX").unwrap().unseen, 6);
}

#[test]
fn a_change_before_a_delivery_is_seen() {
    let place = Place::new();
    ["one\n", "two\n", "three\n"].iter().for_each(|body| place.deliver(body));
    let (mut one, mut two) = (place.open(), place.open());
    for round in 0..4 {
        two.store(&[round % 3], Change::Add, SEEN, 0).unwrap();
        place.deliver("more\n");
        let changes = one.refresh(true).unwrap();
        assert_eq!(changes.exists, Some(4 + round), "{round}");
        let expected: &[u32] = if round < 3 { &[round + 1] } else { &[] };
        assert_eq!(changes.flags, expected, "{round}");
        two.refresh(true).unwrap();
    }
    // Another program, and then a delivery.
    place.change("Status: RO", "Status: O ");
    place.deliver("more\n");
    assert_eq!(one.refresh(true).unwrap().flags, [1]);
    two.store(&[1], Change::Add, Flags::DELETED, 0).unwrap();
    two.expunge(None).unwrap();
    place.deliver("last\n");
    assert_eq!(one.refresh(true).unwrap().expunged, [2]);
    let mut last = Vec::new();
    let mut wire = one.read(one.messages().len() - 1).unwrap();
    while let chunk @ [_, ..] = wire.chunk().unwrap() {
        last.extend_from_slice(chunk);
    }
    assert_eq!(last, b"X-Head: y\r\n\r\nlast\r\n");
}

#[test]
fn keywords_have_bits_of_their_own_in_each_session() {
    let place = Place::new();
    ["one\n", "two\n"].iter().for_each(|body| place.deliver(body));
    let (mut one, mut two) = (place.open(), place.open());
    let (first, second) = (one.keyword("red", true).unwrap(), two.keyword("blue", true).unwrap());
    one.store(&[0], Change::Add, Flags::NONE, 1 << first.unwrap()).unwrap();
    two.store(&[1], Change::Add, Flags::NONE, 1 << second.unwrap()).unwrap();
    let three = place.open();
    for mut session in [one, two, three] {
        session.refresh(true).unwrap();
        for (index, name) in ["red", "blue"].into_iter().enumerate() {
            let bit = session.keyword(name, false).unwrap().unwrap();
            assert_eq!(session.messages()[index].keywords(), 1 << bit, "{name}");
        }
    }
}

#[test]
fn a_table_that_lies_is_not_believed() {
    let place = Place::new();
    ["one\n", "two\n"].iter().for_each(|body| place.deliver(body));
    let mut session = place.open();
    session.store(&[0, 1], Change::Add, SEEN, 0).unwrap();
    drop(session);
    let whole = fs::read(&place.list).unwrap();
    let agrees = |told: usize| {
        let selected = place.folders.open("INBOX", true).unwrap();
        assert_eq!((uids(&selected), flags(&selected)), (vec![1, 2], vec![SEEN; 2]), "{told}");
        assert_eq!(place.folders.status("INBOX").unwrap().messages, 2, "{told}");
    };
    for cut in [0, 7, 100, whole.len() - 1] {
        fs::write(&place.list, &whole[..cut]).unwrap();
        agrees(cut);
    }
    for at in 0..whole.len() {
        let mut octets = whole.clone();
        octets[at] ^= 0x10;
        fs::write(&place.list, &octets).unwrap();
        agrees(at);
    }
    fs::remove_file(&place.list).unwrap();
    agrees(0);
}

#[test]
fn what_was_worked_out_is_of_a_letter_not_of_a_number() {
    let place = Place::new();
    ["one\n", "two\n"].iter().for_each(|body| place.deliver(body));
    let mut one = place.open();
    one.remember(0, b"envelope");
    assert_eq!(one.cached(0).unwrap(), b"envelope");
    one.rest();
    assert_eq!((place.open().cached(0), one.cached(1)), (Some(b"envelope".to_vec()), None));
    // As mutt does when its user edits a letter.
    place.change("one\n", "ONE\n");
    let mut two = place.open();
    assert_eq!((uids(&two), two.cached(0)), (vec![1, 2], None));
    assert_eq!(two.raw(0).unwrap(), b"X-Head: y\n\nONE\n");
    assert_eq!(one.refresh(true).unwrap().expunged, [1]);
    place.folders.create("a", None).unwrap();
    drop((one, two));
    place.folders.delete("a").unwrap();
    let left = fs::read_dir(place.list.parent().unwrap()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = left.filter(|name| name.ends_with('a')).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn on_a_full_disk_what_has_no_number_stays() {
    let place = Place::new();
    let disk = place.inbox.parent().unwrap();
    fs::create_dir_all(disk).unwrap();
    let options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"];
    let mount = std::process::Command::new("mount").args(options).arg(disk).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: only root may mount");
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        place.deliver(&"one\n".repeat(20));
        let long = "two\n".repeat(5_000);
        let divide = "From a@b  Sat Nov 21 00:46:04 2026";
        let old = fs::read_to_string(&place.inbox).unwrap();
        fs::write(&place.inbox, format!("{old}{divide}\nTo: x\n\n{long}\n")).unwrap();
        place.deliver("three\n");
        let _ = fs::write(disk.join("fill"), vec![0; 400 * 1024]);
        let mut session = place.open();
        assert_eq!(uids(&session), [1]);
        session.store(&[0], Change::Add, Flags::DELETED, 0).unwrap();
        session.expunge(None).unwrap();
        assert_eq!(session.refresh(true).unwrap().expunged, [1]);
        fs::remove_file(disk.join("fill")).unwrap();
        session.refresh(true).unwrap();
        let mut session = place.open();
        assert_eq!(session.messages().len(), 2);
        assert!(session.raw(0).unwrap().starts_with(b"To: x\n\ntwo\n"));
        assert_eq!(session.raw(1).unwrap(), b"X-Head: y\n\nthree\n");
    });
    std::process::Command::new("umount").arg(disk).status().unwrap();
    assert!(outcome.is_ok());
}
