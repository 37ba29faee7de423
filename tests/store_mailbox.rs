//! The store from outside: deliveries, and a mailbox read while others are at work in it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use buzon::conf::Location;
use buzon::store::{self, Body, Error, Letter, Mailbox, Prepared, Wire};

/// A directory for the test, and the Maildir in it, not made yet.
fn place() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let maildir = place.path().join("alice/Maildir");
    (place, maildir)
}

fn letter(body: &[u8]) -> Letter<'_> {
    Letter { sender: "", head: b"Return-Path: <a@example.test>\n", body: Body::Octets(body) }
}

fn prepare(maildir: &Path, letter: &Letter) -> Result<Prepared, Error> {
    store::prepare(&Location::Maildir(maildir.into()), letter, Instant::now())
}

/// All of them or none.
fn commit(mut letters: Vec<Prepared>) -> Result<(), Error> {
    letters.iter_mut().try_for_each(Prepared::show)?;
    letters.iter_mut().try_for_each(Prepared::settle)
}

fn deliver(maildir: &Path, body: &[u8]) {
    commit(vec![prepare(maildir, &letter(body)).unwrap()]).unwrap();
}

/// The names in a directory of the box, sorted.
fn names(maildir: &Path, place: &str) -> Vec<String> {
    let entries = fs::read_dir(maildir.join(place)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Puts a file as another program would.
fn put(maildir: &Path, name: &str, content: &str) {
    for place in ["tmp", "new", "cur"] {
        fs::create_dir_all(maildir.join(place)).unwrap();
    }
    fs::write(maildir.join(name), content).unwrap();
}

fn wire(mut wire: Wire) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match wire.chunk().unwrap() {
            [] => return all,
            chunk => all.extend_from_slice(chunk),
        }
    }
}

fn read(mailbox: &mut Mailbox, index: usize) -> String {
    String::from_utf8(wire(mailbox.read(index).unwrap())).unwrap()
}

fn unique_ids(mailbox: &Mailbox) -> Vec<String> {
    mailbox.messages().iter().map(|message| mailbox.unique_id(message)).collect()
}

fn uids(mailbox: &Mailbox) -> Vec<u32> {
    mailbox.messages().iter().map(|message| message.uid).collect()
}

#[test]
fn a_letter_is_its_owners_alone_and_tells_its_sizes() {
    let (_place, maildir) = place();
    let file = tempfile::tempfile().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"From: a\n\nin a file", 0).unwrap();
    let in_file = Letter {
        sender: "",
        head: b"X: y\n",
        body: Body::File { file: &file, at: 0, octets: 18, lines: 2 },
    };
    let two = [letter(b"Subject: x\n\nhello\n"), in_file];
    let prepared = two.iter().map(|letter| prepare(&maildir, letter).unwrap()).collect();
    assert_eq!(names(&maildir, "tmp").len(), 2);
    assert!(names(&maildir, "new").is_empty());
    commit(prepared).unwrap();
    assert!(names(&maildir, "tmp").is_empty());

    let names = names(&maildir, "new");
    assert!(names[0].ends_with(",S=48,W=52"), "{names:?}");
    assert!(names[1].ends_with(",S=24,W=28"), "{names:?}");
    let content = fs::read_to_string(maildir.join("new").join(&names[1])).unwrap();
    assert_eq!(content, "X: y\nFrom: a\n\nin a file\n");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&maildir.join("new").join(&names[0])), 0o600);
    for name in ["", "tmp", "new", "cur", ".."] {
        assert_eq!(mode(&maildir.join(name)), 0o700, "{name}");
    }

    let mut mailbox = Mailbox::open(&maildir).unwrap();
    assert_eq!(mailbox.messages().iter().map(|message| message.octets).sum::<u64>(), 80);
    assert_eq!(read(&mut mailbox, 1).len(), 28);
    assert_eq!(store::used(&Location::Maildir(maildir.clone())).unwrap(), 72);
}

#[test]
fn what_is_prepared_and_dropped_leaves_nothing() {
    let (_place, maildir) = place();
    let one = prepare(&maildir, &letter(b"one\n")).unwrap();
    let two = prepare(&maildir, &letter(b"two\n")).unwrap();
    drop(one);
    assert_eq!(names(&maildir, "tmp").len(), 1);
    commit(vec![two]).unwrap();
    assert!(names(&maildir, "tmp").is_empty());
    assert_eq!(names(&maildir, "new").len(), 1);
}

#[test]
fn a_commit_that_fails_takes_back_what_it_did() {
    let (_place, maildir) = place();
    let bob = maildir.with_file_name("bob");
    let one = prepare(&maildir, &letter(b"one\n")).unwrap();
    let two = prepare(&bob, &letter(b"two\n")).unwrap();
    fs::remove_file(bob.join("tmp").join(&names(&bob, "tmp")[0])).unwrap();
    assert!(matches!(commit(vec![one, two]), Err(Error::Unavailable(_))));
    for (maildir, place) in [(&maildir, "new"), (&maildir, "tmp"), (&bob, "new"), (&bob, "tmp")] {
        assert!(names(maildir, place).is_empty(), "{maildir:?} {place}");
    }
}

#[test]
fn links_are_not_followed() {
    let (place, maildir) = place();
    deliver(&maildir, b"one\n");
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("1.M1P1.h"), "secret\n").unwrap();
    symlink(outside.join("1.M1P1.h"), maildir.join("new/1.M1P1.h")).unwrap();
    symlink(outside.join("1.M1P1.h"), maildir.join("cur/2.M1P1.h:2,S")).unwrap();
    let mailbox = Mailbox::open(&maildir).unwrap();
    assert_eq!(mailbox.messages().len(), 1);

    for name in ["tmp", "new", "cur"] {
        fs::rename(maildir.join(name), maildir.join("aside")).unwrap();
        symlink(&outside, maildir.join(name)).unwrap();
        assert!(name == "cur" || prepare(&maildir, &letter(b"x\n")).is_err(), "{name}");
        assert!(Mailbox::open(&maildir).is_err(), "{name}");
        fs::remove_file(maildir.join(name)).unwrap();
        fs::rename(maildir.join("aside"), maildir.join(name)).unwrap();
    }
    let link = place.path().join("link");
    symlink(&maildir, &link).unwrap();
    assert!(prepare(&link, &letter(b"x\n")).is_err());
    for name in ["buzon.lock", "dovecot-uidlist"] {
        let _ = fs::remove_file(maildir.join(name));
        symlink(outside.join("1.M1P1.h"), maildir.join(name)).unwrap();
        assert!(Mailbox::open_exclusive(&Location::Maildir(maildir.clone())).is_err(), "{name}");
        fs::remove_file(maildir.join(name)).unwrap();
    }
    assert_eq!(fs::read_to_string(outside.join("1.M1P1.h")).unwrap(), "secret\n");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn newcomers_get_their_uids_in_the_order_they_came_and_keep_them() {
    let (_place, maildir) = place();
    for name in ["new/30.M9P1.h", "new/30.M10P1.h", "cur/4.x.h:2,FS", "cur/200.M1P1.h:2,", ".x"] {
        put(&maildir, name, "a\nb");
    }
    let mut mailbox = Mailbox::open(&maildir).unwrap();
    assert_eq!(uids(&mailbox), [1, 2, 3, 4]);
    assert_eq!(mailbox.messages()[0].octets, 6);
    let first = unique_ids(&mailbox);
    assert_eq!(first[3], format!("00000004{:08x}", mailbox.uid_validity()));

    mailbox.mark_seen(&[0, 1, 2]).unwrap();
    assert_eq!(
        names(&maildir, "cur"),
        ["200.M1P1.h:2,", "30.M10P1.h:2,S", "30.M9P1.h:2,S", "4.x.h:2,FS"]
    );
    mailbox.remove(&[3, 1]).unwrap();
    assert_eq!(names(&maildir, "cur"), ["30.M10P1.h:2,S", "4.x.h:2,FS"]);
    deliver(&maildir, b"five\n");
    let mailbox = Mailbox::open(&maildir).unwrap();
    let now = unique_ids(&mailbox);
    assert_eq!(uids(&mailbox), [1, 3, 5]);
    assert_eq!(now[..2], [first[0].clone(), first[2].clone()]);
    assert!(!maildir.join("dovecot-uidlist.lock").exists());
}

#[test]
fn a_list_from_dovecot_is_honoured() {
    let (_place, maildir) = place();
    for (name, content) in [("1.a.h", "x\n"), ("2.b.h", "x\n"), ("3.c.h", "no end"), ("4.d.h", "")]
    {
        put(&maildir, &format!("cur/{name}:2,S"), content);
    }
    let list = maildir.join("dovecot-uidlist");
    let before = "3 V77 N20 Gcafe\n3 P :2.b.h\n5 W1000 Pold-id Yy :1.a.h\n7 :gone\n";
    fs::write(&list, before).unwrap();
    let mailbox = Mailbox::open(&maildir).unwrap();
    assert_eq!(unique_ids(&mailbox), ["2.b.h", "old-id", "000000140000004d", "000000150000004d"]);
    let octets: Vec<u64> = mailbox.messages().iter().map(|message| message.octets).collect();
    assert_eq!(octets, [3, 1000, 8, 0]);
    let after =
        "3 V77 N22 Gcafe\n3 P W3 :2.b.h\n5 W1000 Pold-id Yy :1.a.h\n20 :3.c.h\n21 W0 :4.d.h\n";
    assert_eq!(fs::read_to_string(&list).unwrap(), after);
}

#[test]
fn a_broken_list_makes_all_messages_new() {
    let (_place, maildir) = place();
    put(&maildir, "cur/1.a.h:2,S", "x\n");
    fs::write(maildir.join("dovecot-uidlist"), "3 V77 N20 Gcafe\n9 :1.a.h\n9 :2.b.h\n").unwrap();
    let mailbox = Mailbox::open(&maildir).unwrap();
    assert_eq!(uids(&mailbox), [1]);
    assert!(mailbox.uid_validity() > 77);
}

#[test]
fn an_older_list_put_back_under_our_eyes_changes_the_validity() {
    let (_place, maildir) = place();
    deliver(&maildir, b"one\n");
    let one = Mailbox::open(&maildir).unwrap();
    let list = maildir.join("dovecot-uidlist");
    let backup = fs::read(&list).unwrap();
    deliver(&maildir, b"two\n");
    let mut mailbox = Mailbox::open(&maildir).unwrap();
    assert_eq!(unique_ids(&mailbox)[0], unique_ids(&one)[0]);
    fs::write(&list, backup).unwrap();
    mailbox.remove(&[0]).unwrap();
    let mailbox = Mailbox::open(&maildir).unwrap();
    assert!(mailbox.uid_validity() > one.uid_validity());
    assert_eq!(uids(&mailbox), [3]);
}

#[test]
fn others_rename_and_remove_while_the_box_is_open() {
    let (_place, maildir) = place();
    for number in 1..=4 {
        put(&maildir, &format!("new/{number}.M1P1.h"), &format!("{number}\n"));
    }
    let mut mailbox = Mailbox::open(&maildir).unwrap();
    fs::rename(maildir.join("new/1.M1P1.h"), maildir.join("cur/1.M1P1.h:2,FS")).unwrap();
    fs::rename(maildir.join("new/2.M1P1.h"), maildir.join("cur/2.M1P1.h:2,")).unwrap();
    fs::remove_file(maildir.join("new/3.M1P1.h")).unwrap();
    assert_eq!(read(&mut mailbox, 0), "1\r\n");
    assert!(matches!(mailbox.read(2), Err(Error::Unavailable(_))));
    mailbox.mark_seen(&[1, 2]).unwrap();
    assert_eq!(read(&mut mailbox, 1), "2\r\n");
    mailbox.remove(&[0, 2, 3]).unwrap();
    assert_eq!(names(&maildir, "cur"), ["2.M1P1.h:2,S"]);
    assert!(names(&maildir, "new").is_empty());
}

#[test]
fn only_one_exclusive_reader() {
    let (_place, maildir) = place();
    let mailbox = Mailbox::open_exclusive(&Location::Maildir(maildir.clone())).unwrap();
    assert!(matches!(
        Mailbox::open_exclusive(&Location::Maildir(maildir.clone())),
        Err(Error::Busy)
    ));
    deliver(&maildir, b"one\n");
    assert_eq!(Mailbox::open(&maildir).unwrap().messages().len(), 1);
    drop(mailbox);
    assert_eq!(
        Mailbox::open_exclusive(&Location::Maildir(maildir.clone())).unwrap().messages().len(),
        1
    );
}

#[test]
fn old_files_in_tmp_go() {
    let (_place, maildir) = place();
    for (name, hours) in [("old", 37), ("young", 35)] {
        put(&maildir, &format!("tmp/{name}"), "x");
        let file = fs::File::options().write(true).open(maildir.join("tmp").join(name)).unwrap();
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        file.set_times(fs::FileTimes::new().set_modified(then).set_accessed(then)).unwrap();
    }
    Mailbox::open(&maildir).unwrap();
    assert_eq!(names(&maildir, "tmp"), ["young"]);
}

#[test]
fn used_counts_folders_and_looks_where_names_do_not_tell() {
    let (_place, maildir) = place();
    assert_eq!(store::used(&Location::Maildir(maildir.clone())).unwrap(), 0);
    put(&maildir, "cur/1.a.h,S=1000:2,S", "x");
    put(&maildir, "new/2.b.h", "12345");
    put(&maildir.join(".Sent"), "cur/3.c.h,S=200,W=210:2,", "x");
    put(&maildir.join("no-folder"), "cur/3.c.h,S=200", "x");
    assert_eq!(store::used(&Location::Maildir(maildir.clone())).unwrap(), 1205);
}

/// One thread flips flags without rest, others deliver and list: nothing is ever missing and
/// nothing gets another UID.
#[test]
fn flags_flip_while_the_box_is_listed() {
    let (_place, maildir) = place();
    for number in 0..1500 {
        let name = format!("cur/{}.M1P1.a-host-with-a-long-name.example.test:2,S", 1000 + number);
        put(&maildir, &name, "x\n");
    }
    let known: BTreeMap<u32, String> = {
        let mailbox = Mailbox::open(&maildir).unwrap();
        mailbox.messages().iter().map(|one| (one.uid, mailbox.unique_id(one))).collect()
    };
    assert_eq!(known.len(), 1500);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for name in names(&maildir, "cur") {
                    let flags = if name.ends_with("F") { "" } else { "F" };
                    let base = name.split(':').next().unwrap();
                    let to = maildir.join(format!("cur/{base}:2,{flags}"));
                    let _ = fs::rename(maildir.join("cur").join(&name), to);
                }
            }
        });
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..15 {
                        deliver(&maildir, b"new\n");
                        let mut mailbox = Mailbox::open(&maildir).unwrap();
                        let now: BTreeMap<u32, String> = (mailbox.messages().iter())
                            .map(|one| (one.uid, mailbox.unique_id(one)))
                            .collect();
                        assert!(known.iter().all(|(uid, id)| now.get(uid) == Some(id)));
                        assert_eq!(read(&mut mailbox, 700), "x\r\n");
                    }
                })
            })
            .collect();
        let results: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(results.iter().all(|result| result.is_ok()));
    });
    let mailbox = Mailbox::open(&maildir).unwrap();
    assert_eq!(uids(&mailbox), (1..=1530).collect::<Vec<u32>>());
}

/// Deliveries from many threads while sessions fetch and remove: each letter is there or was
/// removed, none twice.
#[test]
fn deliveries_and_removals_at_once() {
    let (_place, maildir) = place();
    Mailbox::open(&maildir).unwrap();
    let removed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let maildir = &maildir;
            scope.spawn(move || {
                for number in 0..50 {
                    deliver(maildir, format!("letter {writer} {number}\n").as_bytes());
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..30 {
                    let Ok(mut mailbox) =
                        Mailbox::open_exclusive(&Location::Maildir(maildir.clone()))
                    else {
                        std::thread::yield_now();
                        continue;
                    };
                    let all: Vec<usize> = (0..mailbox.messages().len()).collect();
                    let texts: Vec<String> =
                        all.iter().map(|index| read(&mut mailbox, *index)).collect();
                    mailbox.remove(&all).unwrap();
                    removed.lock().unwrap().extend(texts);
                }
            });
        }
    });
    let mut mailbox = Mailbox::open_exclusive(&Location::Maildir(maildir.clone())).unwrap();
    let left = (0..mailbox.messages().len()).map(|index| read(&mut mailbox, index));
    let mut all: Vec<String> = left.collect();
    all.extend(removed.into_inner().unwrap());
    all.sort();
    assert_eq!(all.len(), 200);
    all.dedup();
    assert_eq!(all.len(), 200);
}

/// A tiny file system that is full: told as `Full`, nothing left behind, and what is there can
/// still be read and removed. Needs root, as mount(2) does.
#[test]
fn a_full_disk_is_told_and_can_be_emptied() {
    let (place, _) = place();
    let disk = place.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |options: &[&str]| {
        let command = std::process::Command::new("mount").args(options).arg(&disk).output();
        command.is_ok_and(|output| output.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]) {
        eprintln!("skipped: only root may mount");
        return;
    }
    let maildir = disk.join("Maildir");
    let outcome = std::panic::catch_unwind(|| {
        let big = vec![b'x'; 300 * 1024];
        assert!(matches!(prepare(&maildir, &letter(&big)), Err(Error::Full(_))));
        assert!(names(&maildir, "tmp").is_empty());
        deliver(&maildir, b"one\n");
        Mailbox::open(&maildir).unwrap();
        deliver(&maildir, b"two\n");
        // Whatever room is left is taken.
        let _ = fs::write(disk.join("fill"), &big);
        // A line that was cut asks for a new file, for which there is no room.
        let list = fs::read(maildir.join("dovecot-uidlist")).unwrap();
        fs::write(maildir.join("dovecot-uidlist"), [&list[..], &[b'#'; 1]].concat()).ok();
        let mut mailbox = Mailbox::open_exclusive(&Location::Maildir(maildir.clone())).unwrap();
        assert_eq!(uids(&mailbox), [1]);
        mailbox.remove(&[0]).unwrap();
    });
    std::process::Command::new("umount").arg(&disk).status().unwrap();
    assert!(outcome.is_ok());
}

/// The directories last changed a while ago, as far as anybody can tell.
fn age(maildir: &Path) {
    for place in ["new", "cur"] {
        let directory = fs::File::open(maildir.join(place)).unwrap();
        directory.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    }
}

#[test]
fn a_box_that_did_not_change_is_not_listed_again_and_one_that_did_is() {
    let (_place, maildir) = place();
    for body in [&b"one\n"[..], b"two\n", b"three\n"] {
        deliver(&maildir, body);
    }
    let first = unique_ids(&Mailbox::open(&maildir).unwrap());
    assert!(!maildir.join("buzon-stamp").exists(), "it has just changed");
    age(&maildir);
    assert_eq!(unique_ids(&Mailbox::open(&maildir).unwrap()), first);
    assert!(maildir.join("buzon-stamp").exists());

    // What the list says is what is there, whatever flags the files have in their names.
    let flagged = names(&maildir, "new").remove(1);
    let renamed = format!("{flagged}:2,F");
    fs::rename(maildir.join("new").join(&flagged), maildir.join("cur").join(&renamed)).unwrap();
    Mailbox::open(&maildir).unwrap();
    age(&maildir);
    Mailbox::open(&maildir).unwrap();
    let mut mailbox = Mailbox::open(&maildir).unwrap();
    assert_eq!(unique_ids(&mailbox), first);
    let bodies: Vec<String> = (0..3).map(|index| read(&mut mailbox, index)).collect();
    let ends: Vec<_> = bodies.iter().map(|body| body.lines().last().unwrap()).collect();
    assert_eq!(ends, ["one", "two", "three"]);
    mailbox.mark_seen(&[1]).unwrap();
    assert_eq!(names(&maildir, "cur"), [format!("{flagged}:2,FS")]);
    mailbox.remove(&[0]).unwrap();
    assert_eq!(unique_ids(&Mailbox::open(&maildir).unwrap()), first[1..]);

    // Every change is seen at once.
    age(&maildir);
    Mailbox::open(&maildir).unwrap();
    deliver(&maildir, b"four\n");
    assert_eq!(Mailbox::open(&maildir).unwrap().messages().len(), 3);
    age(&maildir);
    Mailbox::open(&maildir).unwrap();
    fs::remove_file(maildir.join("cur").join(format!("{flagged}:2,FS"))).unwrap();
    assert_eq!(Mailbox::open(&maildir).unwrap().messages().len(), 2);

    // And one that is no stamp is none.
    age(&maildir);
    for stamp in ["", "1 2 3\n", "\0\0\0"] {
        fs::write(maildir.join("buzon-stamp"), stamp).unwrap();
        assert_eq!(Mailbox::open(&maildir).unwrap().messages().len(), 2);
    }
}
