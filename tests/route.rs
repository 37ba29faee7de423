//! `.forward` of accounts: read with their rights, believed only if nobody else could write it.
//!
//! Only root can try it, as only root gives files away.

#![allow(clippy::unwrap_used)]

mod who;

use buzon::conf::{self, Site};
use buzon::mail::Mailbox;
use buzon::route::{self, Refusal, Target};
use buzon::{auth, sys};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use who::{ALICE, BOB, is_root};

/// A site whose users are accounts, with alice's home.
fn site() -> (tempfile::TempDir, Site) {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::set_permissions(at, Permissions::from_mode(0o755)).unwrap();
    let users =
        format!("alice:x:{ALICE}:{ALICE}::{0}/alice\nbob:x:{BOB}:{BOB}::{0}/bob\n", at.display());
    let text = "hostname mail.example.test\ndomains example.test\nsystem_users yes\n";
    fs::write(at.join("buzon.conf"), text).unwrap();
    fs::write(at.join("users"), users).unwrap();
    for (name, uid) in [("alice", ALICE), ("bob", BOB)] {
        fs::create_dir(at.join(name)).unwrap();
        give(&at.join(name), uid, 0o700);
    }
    let site = conf::load(Some(&at.join("buzon.conf"))).unwrap();
    (directory, site)
}

fn give(path: &Path, uid: u32, mode: u32) {
    chown(path, Some(uid), Some(uid)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The targets of alice, or why there are none now.
fn alice(site: &Site) -> Result<Vec<Target>, String> {
    let path = Mailbox { local_part: "alice".into(), domain: "example.test".into() };
    let routed = route::resolve(site, &auth::Live::default(), &route::Live::default(), &path);
    assert!(!sys::identity::is_borrowed());
    match routed {
        Ok(routed) => Ok(routed.into_iter().map(|routed| routed.target).collect()),
        Err(Refusal::Unavailable(why)) => Err(why),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

#[test]
fn whose_file_it_is_decides() {
    if !is_root() {
        return;
    }
    let (directory, site) = site();
    let home = directory.path().join("alice");
    let file = home.join(".forward");
    assert!(matches!(&alice(&site).unwrap()[..], [Target::User(_)]));
    fs::write(&file, "jo@far.test\n").unwrap();
    for (owner, mode, home_owner, home_mode, told) in [
        (ALICE, 0o600, ALICE, 0o700, None),
        (0, 0o644, ALICE, 0o755, None),
        (ALICE, 0o644, 0, 0o755, None),
        (BOB, 0o644, ALICE, 0o755, Some("belongs to uid 61002, not to uid 61001 or root")),
        (ALICE, 0o664, ALICE, 0o755, Some("can be written by others (mode 664), chmod go-w")),
        (ALICE, 0o602, ALICE, 0o755, Some("can be written by others (mode 602)")),
        (ALICE, 0o600, ALICE, 0o770, Some("which can be written by others (mode 770)")),
        (ALICE, 0o600, BOB, 0o755, Some("which belongs to uid 61002")),
        // What cannot be read is no missing file.
        (0, 0o600, ALICE, 0o755, Some("Permission denied")),
        (ALICE, 0o600, BOB, 0o700, Some("Permission denied")),
    ] {
        give(&file, owner, mode);
        give(&home, home_owner, home_mode);
        match (alice(&site), told) {
            (Ok(targets), None) => assert!(matches!(targets[..], [Target::Remote(_)])),
            (Err(why), Some(told)) => {
                assert!(why.starts_with(file.to_str().unwrap()) && why.contains(told), "{why}");
            }
            (found, told) => panic!("{found:?}, not {told:?}"),
        }
    }
    fs::remove_file(&file).unwrap();
    give(&home, 0, 0o700);
    assert!(alice(&site).unwrap_err().contains("Permission denied"), "an unreadable home");
}

#[test]
fn nobody_is_led_to_the_files_of_others() {
    if !is_root() {
        return;
    }
    let (directory, site) = site();
    let (home, secret) = (directory.path().join("alice"), directory.path().join("bob/secret"));
    fs::write(&secret, "eva@far.test\n").unwrap();
    give(&secret, BOB, 0o600);
    symlink(&secret, home.join(".forward")).unwrap();
    assert!(alice(&site).unwrap_err().contains("Permission denied"));
    fs::remove_file(home.join(".forward")).unwrap();
    let text = format!("alice, :include:{}\n", secret.display());
    fs::write(home.join(".forward"), text).unwrap();
    give(&home.join(".forward"), ALICE, 0o600);
    assert!(alice(&site).unwrap_err().contains("bob/secret: Permission denied"));
}

#[test]
fn programs_are_the_users_own() {
    if !is_root() {
        return;
    }
    let (directory, site) = site();
    let file = directory.path().join("alice/.forward");
    fs::write(&file, "\\alice, \"|/usr/bin/vacation alice\", /tmp/copy\n").unwrap();
    give(&file, ALICE, 0o600);
    let targets = alice(&site).unwrap();
    let [Target::User(user), Target::Program { command, owner }, Target::File { owner: same, .. }] =
        &targets[..]
    else {
        panic!("{targets:?}");
    };
    assert_eq!((user.name.as_str(), command.as_str()), ("alice", "/usr/bin/vacation alice"));
    assert_eq!(owner, same);
    assert_eq!(owner.account.as_ref().unwrap().uid, ALICE);
    assert_eq!(owner.home, directory.path().join("alice"));
}
