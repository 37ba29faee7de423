//! The mbox from outside: deliveries, and a mailbox read while others rewrite it.

#![allow(clippy::unwrap_used)]

use buzon::conf::Location;
use buzon::store::{self, Body, Error, Letter, Mailbox, Prepared, Wire};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A home of its own.
struct Place {
    _directory: tempfile::TempDir,
    inbox: PathBuf,
    folders: PathBuf,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let inbox = directory.path().join("spool/alice");
        let folders = directory.path().join("home/mail");
        Place { _directory: directory, inbox, folders }
    }

    fn location(&self) -> Location {
        Location::Mbox { inbox: self.inbox.clone(), folders: self.folders.clone() }
    }

    fn try_prepare(&self, body: Body, wait: Duration) -> Result<Prepared, Error> {
        let letter = Letter { sender: "bob@example.test", head: HEAD.as_bytes(), body };
        store::prepare(&self.location(), &letter, Instant::now() + wait)
    }

    fn prepare(&self, body: &[u8]) -> Prepared {
        self.try_prepare(Body::Octets(body), Duration::from_secs(10)).unwrap()
    }

    fn deliver(&self, body: &str) {
        let mut prepared = self.prepare(body.as_bytes());
        prepared.show().unwrap();
        prepared.settle().unwrap();
    }

    fn open(&self) -> Mailbox {
        Mailbox::open_exclusive(&self.location()).unwrap()
    }

    fn content(&self) -> String {
        fs::read_to_string(&self.inbox).unwrap()
    }

    /// As another program would write it.
    fn put(&self, content: &str) {
        fs::create_dir_all(self.inbox.parent().unwrap()).unwrap();
        fs::write(&self.inbox, content.replace("DIVIDE\n", DIVIDE)).unwrap();
    }
}

const HEAD: &str = "Return-Path: <bob@example.test>\n";
const DIVIDE: &str = "From c@d.example  Sat Nov 21 00:46:04 2026\n";

fn wire(mut wire: Wire) -> String {
    let mut all = Vec::new();
    loop {
        match wire.chunk().unwrap() {
            [] => return String::from_utf8(all).unwrap(),
            chunk => all.extend_from_slice(chunk),
        }
    }
}

fn read(mailbox: &mut Mailbox, index: usize) -> String {
    let text = wire(mailbox.read(index).unwrap());
    assert_eq!(text.len() as u64, mailbox.messages()[index].octets, "{text}");
    text
}

fn all(mailbox: &mut Mailbox) -> Vec<String> {
    (0..mailbox.messages().len()).map(|index| read(mailbox, index)).collect()
}

fn unique_ids(mailbox: &Mailbox) -> Vec<String> {
    mailbox.messages().iter().map(|message| mailbox.unique_id(message)).collect()
}

#[test]
fn what_came_in_goes_out_octet_for_octet() {
    let place = Place::new();
    let large = "From a line that is long enough\n>From one\n".repeat(20_000);
    let bodies = [
        "Subject: plain\n\nhello\n",
        "Subject: quoted\n\nFrom me\n>From you\n>>From\nFrom  Sat Nov 21 00:46:04 2026\n",
        "Subject: blank\n\n\n\nend\n\n\n",
        "Subject: header only\n",
        "Subject: no text\n\n",
        "Subject: no end\n\nlast line",
        "\nno header\n",
        &large,
    ];
    bodies.iter().for_each(|body| place.deliver(body));
    let mut mailbox = place.open();
    let expected = bodies.map(|body| {
        let end = if body.ends_with('\n') { "" } else { "\n" };
        format!("{HEAD}{body}{end}").replace('\n', "\r\n")
    });
    assert_eq!(all(&mut mailbox), expected);
    let content = place.content();
    assert!(content.starts_with("From bob@example.test  "), "{content}");
    assert!(content.contains("\n>From me\n>>From you\n>>From\n>From  Sat"), "{content}");
    assert_eq!(fs::metadata(&place.inbox).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(place.inbox.parent().unwrap()).unwrap().count(), 1);

    let folder = place.folders.join("deeper/sent");
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    fs::write(folder, "0123456789").unwrap();
    assert_eq!(store::used(&place.location()).unwrap(), content.len() as u64 + 10);
}

#[test]
fn a_letter_from_a_file_is_the_same() {
    let place = Place::new();
    let file = tempfile::tempfile().unwrap();
    let text = b"Subject: x\n\nFrom a file\nno end";
    std::os::unix::fs::FileExt::write_all_at(&file, text, 0).unwrap();
    let body = Body::File { file: &file, at: 0, octets: text.len() as u64, lines: 3 };
    place.try_prepare(body, Duration::ZERO).unwrap().settle().unwrap();
    let expected = format!("{HEAD}Subject: x\n\nFrom a file\nno end\n").replace('\n', "\r\n");
    assert_eq!(all(&mut place.open()), [expected]);
}

#[test]
fn nobody_outside_marks_a_letter() {
    let place = Place::new();
    place.deliver(
        "Status: RO\nX-UID: 4000000000\n 7\nTo: a\nX-IMAPbase: 1 4000000000\nContent-Length: 1\n\
         X-Incomplete: x\nX-Status: D\n\nX-UID: 5\n",
    );
    let mut mailbox = place.open();
    assert_eq!(mailbox.messages()[0].uid, 1);
    let expected = format!("{HEAD}To: a\n\nX-UID: 5\n").replace('\n', "\r\n");
    assert_eq!(all(&mut mailbox), [expected]);
}

#[test]
fn what_is_not_settled_is_cut_off() {
    let place = Place::new();
    place.deliver("one\n");
    let before = place.content();
    drop(place.prepare(b"Subject: two\n\ntwo\n"));
    assert_eq!(place.content(), before);
    fs::write(&place.inbox, format!("{}no end", before.trim_end())).unwrap();
    place.deliver("three\n");
    assert!(place.content().contains("no end\n\nFrom bob@"), "{}", place.content());
    assert_eq!(place.open().messages().len(), 2);
}

#[test]
fn a_lock_of_another_is_waited_for_so_long() {
    let place = Place::new();
    place.deliver("one\n");
    let lock = place.inbox.with_extension("lock");
    fs::write(&lock, "").unwrap();
    let wait = Duration::from_millis(100);
    let begun = Instant::now();
    assert!(matches!(place.try_prepare(Body::Octets(b"x\n"), wait), Err(Error::Busy)));
    assert!(begun.elapsed() >= wait && begun.elapsed() < 20 * wait);
    let path = lock.clone();
    let remover = std::thread::spawn(move || fs::remove_file(path).unwrap());
    place.deliver("two\n");
    remover.join().unwrap();
    let first = place.prepare(b"three\n");
    assert!(matches!(place.try_prepare(Body::Octets(b"x\n"), wait), Err(Error::Busy)));
    drop(first);
    assert_eq!(place.open().messages().len(), 2);
}

#[test]
fn an_open_mailbox_holds_no_lock() {
    let place = Place::new();
    place.deliver("one\n");
    let mut mailbox = place.open();
    let wire = mailbox.read(0).unwrap();
    place.try_prepare(Body::Octets(b"two\n"), Duration::ZERO).unwrap().settle().unwrap();
    drop(wire);
    assert!(matches!(Mailbox::open_exclusive(&place.location()), Err(Error::Busy)));
    assert_eq!(mailbox.messages().len(), 1);
    drop(mailbox);
    assert_eq!(place.open().messages().len(), 2);
}

#[test]
fn numbers_stay_whoever_rewrites() {
    let place = Place::new();
    ["\none\n", "\ntwo\n", "\nthree\n", "\nfour\n"].iter().for_each(|body| place.deliver(body));
    let length = place.content().len();
    let mut mailbox = place.open();
    let ids = unique_ids(&mailbox);
    assert_eq!(ids[3], format!("00000004{:08x}", mailbox.uid_validity()));
    mailbox.update(&[], &[0, 2]).unwrap();
    // Letters of ours have room for notes.
    assert_eq!(place.content().len(), length);
    assert_eq!(place.content().matches("Status: RO\n").count(), 2);
    drop(mailbox);

    // mutt removes the first and the last, and with them all numbers of the mailbox.
    let content = place.content();
    let parts: Vec<&str> = content.split_inclusive("\n\nFrom ").collect();
    assert_eq!(parts.len(), 4);
    let kept = format!("From {}{}", parts[1], parts[2].strip_suffix("From ").unwrap());
    place.put(
        &kept.replace("Status: RO\n", "").replace("\n\nthree", "\nStatus: RO\nLines: 9\n\nthree"),
    );
    assert_eq!(unique_ids(&place.open()), ids[1..3]);
    place.deliver("five\n");
    let mut mailbox = place.open();
    let now = unique_ids(&mailbox);
    assert_eq!(now[..2], ids[1..3]);
    assert!(now[2].starts_with("00000005"), "{now:?}");
    let every: Vec<usize> = (0..3).collect();
    mailbox.remove(&every).unwrap();
    assert_eq!(place.content(), "");
    drop(mailbox);
    place.deliver("six\n");
    assert!(unique_ids(&place.open())[0].starts_with("00000006"));
}

#[test]
fn an_mbox_of_dovecot_keeps_its_numbers() {
    let place = Place::new();
    place.put(
        "DIVIDE\nX-IMAPbase: 77 0000000020 $Junk\nX-UID: 3\nStatus: RO\nX-Keywords: $Junk     \n\
         Content-Length: 2\n\na\n\nDIVIDE\nTo: b\nX-UID: 20\n\nb\n\nDIVIDE\nTo: c\n\nc\n\n\
         DIVIDE\nX-UID: 9\nX-Status: AF\nTo: d\n\nd\n",
    );
    let mut mailbox = place.open();
    let ids = ["000000030000004d", "000000140000004d", "000000150000004d", "000000160000004d"];
    assert_eq!(unique_ids(&mailbox), ids);
    assert_eq!(all(&mut mailbox)[2..], ["To: c\r\n\r\nc\r\n", "To: d\r\n\r\nd\r\n"]);
    let content = place.content();
    assert!(content.contains("X-IMAPbase: 77 0000000022 $Junk\n"), "{content}");
    assert!(content.contains("X-UID: 22\nX-Status: AF\n"), "{content}");
    drop(mailbox);
    assert_eq!(unique_ids(&place.open()), ids);
    assert_eq!(place.content(), content);
}

#[test]
fn the_message_of_uw_is_no_letter() {
    let place = Place::new();
    let notes = "DIVIDE\nSubject: FOLDER INTERNAL DATA\nX-IMAP: 77 0000000002\nStatus: RO\n\nx\n\n";
    place.put(&format!("{notes}DIVIDE\nTo: b\nX-UID: 2\n\nb\n\nDIVIDE\nTo: c\n\nc\n"));
    let mut mailbox = place.open();
    assert_eq!(unique_ids(&mailbox), ["000000020000004d", "000000030000004d"]);
    mailbox.remove(&[0, 1]).unwrap();
    assert!(place.content().contains("X-IMAP: 77 0000000003\n"), "{}", place.content());
    assert_eq!(place.content().matches("From c@d").count(), 1);
}

#[test]
fn never_other_octets() {
    let place = Place::new();
    let letters = ["\none\n", "\ntwo\n", "\nthree\n", "\nfour\n"];
    letters.iter().for_each(|body| place.deliver(body));
    let mut mailbox = place.open();
    let texts = all(&mut mailbox);
    let content = place.content();

    // The first goes, the third changes, a new one comes first.
    let second = content.match_indices("\n\nFrom ").next().unwrap().0 + 2;
    let changed = content[second..].replace("\n\nthree\n", "\n\nTHREE\n");
    place.put(&format!("DIVIDE\nTo: x\n\nnew\n\n{changed}"));
    assert!(matches!(mailbox.read(0), Err(Error::Unavailable(_))));
    assert_eq!(read(&mut mailbox, 1), texts[1]);
    assert!(matches!(mailbox.read(2), Err(Error::Unavailable(_))));
    assert_eq!(read(&mut mailbox, 3), texts[3]);

    mailbox.update(&[0, 1, 2], &[3]).unwrap();
    let left = place.content();
    assert!(left.contains("new") && left.contains("THREE") && !left.contains("two"), "{left}");
    assert!(left.contains("Status: RO"), "{left}");
    fs::remove_file(&place.inbox).unwrap();
    assert!(matches!(mailbox.read(3), Err(Error::Unavailable(_))));
    mailbox.update(&[3], &[]).unwrap();
    assert!(!place.inbox.exists());
}

#[test]
fn what_is_no_mbox_is_left_alone() {
    let place = Place::new();
    place.put("hello\n");
    assert!(matches!(Mailbox::open_exclusive(&place.location()), Err(Error::Unavailable(_))));
    assert_eq!(place.content(), "hello\n");
    let empty = Place::new();
    assert_eq!(empty.open().messages().len(), 0);
    assert!(!empty.inbox.exists());
    empty.put("");
    assert_eq!(empty.open().messages().len(), 0);
}

/// Deliveries from many threads while sessions fetch and remove: each letter is there or was
/// removed, none twice.
#[test]
fn deliveries_and_removals_at_once() {
    let place = Place::new();
    let removed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let place = &place;
            scope.spawn(move || {
                (0..50).for_each(|number| place.deliver(&format!("letter {writer} {number}\n")));
            });
        }
        scope.spawn(|| {
            for round in 0..40 {
                let mut mailbox = place.open();
                let some: Vec<usize> =
                    (0..mailbox.messages().len()).filter(|index| (index + round) % 3 > 0).collect();
                let texts: Vec<String> =
                    some.iter().map(|index| read(&mut mailbox, *index)).collect();
                mailbox.remove(&some).unwrap();
                removed.lock().unwrap().extend(texts);
            }
        });
    });
    let mut texts = all(&mut place.open());
    texts.extend(removed.into_inner().unwrap());
    texts.sort();
    assert_eq!(texts.len(), 200);
    texts.dedup();
    assert_eq!(texts.len(), 200);
}

/// A tiny file system that is full: told as `Full`, nothing left behind, and what is there can
/// still be read and removed. Needs root, as mount(2) does.
#[test]
fn a_full_disk_is_told_and_can_be_emptied() {
    let place = Place::new();
    let disk = place.inbox.parent().unwrap();
    fs::create_dir_all(disk).unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(disk)
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: only root may mount");
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        place.deliver("one\n");
        let long = "two\n".repeat(5_000);
        place.put(&format!("{}DIVIDE\nTo: x\n\n{long}", place.content()));
        place.deliver("three\n");
        let before = place.content();
        let big = "x".repeat(400 * 1024);
        let full = place.try_prepare(Body::Octets(big.as_bytes()), Duration::ZERO);
        assert!(matches!(full, Err(Error::Full(_))));
        assert_eq!(place.content(), before);
        let _ = fs::write(disk.join("fill"), &big);
        // The second has no room for its number, and is not seen, nor is what comes behind it.
        let mut mailbox = place.open();
        assert_eq!(mailbox.messages().len(), 1);
        assert!(all(&mut mailbox)[0].ends_with("one\r\n"));
        mailbox.update(&[0], &[]).unwrap();
        drop(mailbox);
        assert!(!place.content().contains("one\n"));
        fs::remove_file(disk.join("fill")).unwrap();
        assert!(all(&mut place.open())[0].starts_with("To: x\r\n\r\ntwo\r\n"));
    });
    std::process::Command::new("umount").arg(disk).status().unwrap();
    assert!(outcome.is_ok());
}
