//! Whose rights a thread has: accounts borrowed and given back.
//!
//! Only root can try it. Each test borrows made-up uids in a thread of its own.

#![allow(clippy::unwrap_used)]

mod who;

use buzon::sys::identity::{self, Account, borrow, with_mail_group};
use buzon::sys::{program, thread};
use nix::libc;
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Barrier;
use std::time::Instant;
use who::{ALICE, BOB, MAIL, NONE, identity_of, is_root, may_signal};

fn account(uid: u32) -> Account {
    Account { uid, gid: uid, groups: vec![uid, 61_009], mail_gid: MAIL }
}

fn own_identity() -> BTreeMap<String, String> {
    identity_of("/proc/thread-self/status")
}

/// A directory that everybody may enter, with a file of bob's.
fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let file = place.path().join("bob's");
    fs::write(&file, "for bob alone").unwrap();
    chown(&file, Some(BOB), Some(BOB)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    (place, file)
}

#[test]
fn alice_cannot_open_what_is_bobs_and_other_threads_stay_who_they_are() {
    if !is_root() {
        return;
    }
    let (_place, file) = place();
    let before = own_identity();
    let (begun, ended) = (Barrier::new(3), Barrier::new(3));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _alice = borrow(&account(ALICE)).unwrap();
            begun.wait();
            assert_eq!(File::open(&file).unwrap_err().kind(), ErrorKind::PermissionDenied);
            assert_eq!(fs::write(&file, "").unwrap_err().kind(), ErrorKind::PermissionDenied);
            let now = own_identity();
            assert_eq!(now["Uid"], format!("0 {ALICE} 0 {ALICE}"));
            assert_eq!(now["Gid"], format!("{ALICE} {ALICE} {MAIL} {ALICE}"));
            assert_eq!(now["Groups"], format!("{ALICE} 61009"));
            assert_eq!(now["CapEff"], NONE);
            ended.wait();
        });
        scope.spawn(|| {
            let _bob = borrow(&account(BOB)).unwrap();
            begun.wait();
            assert_eq!(fs::read_to_string(&file).unwrap(), "for bob alone");
            ended.wait();
        });
        begun.wait();
        assert_eq!(own_identity(), before);
        assert_eq!(fs::read_to_string(&file).unwrap(), "for bob alone");
        ended.wait();
    });
    assert_eq!(own_identity(), before);
}

#[test]
fn what_is_made_belongs_to_whom_it_was_borrowed_from() {
    if !is_root() {
        return;
    }
    let (place, _file) = place();
    fs::set_permissions(place.path(), Permissions::from_mode(0o777)).unwrap();
    let place = place.path();
    std::thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                for round in 0..200 {
                    let name = place.join(format!("{number}.{round}"));
                    let owner = borrow(&account(ALICE + number)).unwrap();
                    File::create(&name).unwrap();
                    drop(owner);
                    let made = fs::metadata(&name).unwrap();
                    assert_eq!((made.uid(), made.gid()), (ALICE + number, ALICE + number));
                    assert!(!identity::is_borrowed());
                }
            });
        }
    });
}

#[test]
fn a_panic_ends_with_the_daemons_own_ids() {
    if !is_root() {
        return;
    }
    let before = own_identity();
    let panicked = catch_unwind(|| {
        let _alice = borrow(&account(ALICE)).unwrap();
        let _ = with_mail_group(|| -> std::io::Result<()> {
            assert_eq!(own_identity()["Gid"], format!("{ALICE} {MAIL} {ALICE} {MAIL}"));
            panic!("in the middle of it");
        });
    });
    assert!(panicked.is_err());
    assert_eq!(own_identity(), before);
    assert!(!identity::is_borrowed());
}

#[test]
fn root_is_never_lent_and_nothing_is_lent_twice() {
    if !is_root() {
        return;
    }
    for (uid, gid) in [(0, ALICE), (ALICE, 0), (0, 0)] {
        let refused = borrow(&Account { gid, ..account(uid) });
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
    let before = own_identity();
    let alice = borrow(&account(ALICE)).unwrap();
    // With debug assertions that is a panic, without them an error.
    let again = catch_unwind(|| borrow(&account(BOB)).map(drop));
    assert!(!matches!(again, Ok(Ok(()))));
    assert_eq!(own_identity()["Uid"], format!("0 {ALICE} 0 {ALICE}"));
    drop(alice);
    assert_eq!(own_identity(), before);
}

#[test]
fn nothing_is_started_while_borrowed() {
    if !is_root() {
        return;
    }
    let mut before = program::with_sockets(Path::new("/bin/true"), &[]).unwrap();
    let _alice = borrow(&account(ALICE)).unwrap();
    let started = catch_unwind(|| thread::spawn("late", || panic!("it runs")).map(drop));
    assert!(!matches!(started, Ok(Ok(()))));
    let made = catch_unwind(|| program::with_sockets(Path::new("/bin/true"), &[]).map(drop));
    assert!(!matches!(made, Ok(Ok(()))));
    let spawned = before.spawn();
    assert_eq!(spawned.unwrap_err().raw_os_error(), Some(libc::EPERM));
}

#[test]
fn the_mail_group_is_there_for_one_call() {
    if !is_root() {
        return;
    }
    let (place, _file) = place();
    chown(place.path(), Some(0), Some(MAIL)).unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o775)).unwrap();
    let (lock, late) = (place.path().join("alice.lock"), place.path().join("late"));
    assert_eq!(with_mail_group(|| Ok(own_identity())).unwrap(), own_identity());
    let alice = borrow(&account(ALICE)).unwrap();
    let borrowed = own_identity();
    assert_eq!(File::create(&lock).unwrap_err().kind(), ErrorKind::PermissionDenied);
    with_mail_group(|| with_mail_group(|| File::create(&lock))).unwrap();
    assert_eq!(own_identity(), borrowed);
    assert_eq!(File::create(&late).unwrap_err().kind(), ErrorKind::PermissionDenied);
    let made = fs::metadata(&lock).unwrap();
    assert_eq!((made.uid(), made.gid()), (ALICE, MAIL));
    drop(alice);
}

#[test]
fn the_account_cannot_signal_the_thread_that_borrowed_it() {
    if !is_root() {
        return;
    }
    let (begun, ended) = (Barrier::new(2), Barrier::new(2));
    let (process, tid) = (std::process::id() as i32, std::sync::OnceLock::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            tid.set(nix::unistd::gettid().as_raw()).unwrap();
            let _alice = borrow(&account(ALICE)).unwrap();
            begun.wait();
            ended.wait();
        });
        begun.wait();
        assert_eq!(may_signal(ALICE, process, *tid.get().unwrap()), Err(libc::EPERM));
        assert_eq!(may_signal(0, process, *tid.get().unwrap()), Ok(()));
        ended.wait();
    });
}

#[test]
fn a_borrow_is_cheap() {
    if !is_root() {
        return;
    }
    let (account, begun, count) = (account(ALICE), Instant::now(), 20_000);
    (0..count).for_each(|_| drop(borrow(&account).unwrap()));
    let each = begun.elapsed() / count;
    println!("a borrow there and back: {each:?}");
    assert!(each.as_micros() < 1_000);
}
