//! Mailboxes that imapd cannot use, and the response codes that say why (RFC 5530 §3): locked by
//! another program, not what they should be, closed to us, or spoilt in a way nobody thought of.

#![allow(clippy::unwrap_used)]

mod daemons;
mod imap_client;

use daemons::Site;
use imap_client::Session;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// A file that belongs to the owner of the directory it is in.
fn write(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    let owner = fs::metadata(path.parent().unwrap()).unwrap();
    // Who is not root is the owner.
    let _ = chown(path, Some(owner.uid()), Some(owner.gid()));
}

/// A site whose mailboxes are mboxes, and alice's.
fn mbox_site() -> (Site, PathBuf) {
    let site = Site::new("mailbox mbox:~/inbox\nfailure_delay 0s\n");
    let mbox = site.path("mail/alice/inbox");
    (site, mbox)
}

fn refused(session: &mut Session, command: &str, code: &str) {
    let answer = session.ask(command).unwrap();
    let begin = format!("NO [{code}] ");
    assert!(answer.status.starts_with(&begin), "{command}: {answer:?}");
}

#[test]
fn a_mailbox_that_another_program_has_for_too_long() {
    let (site, mbox) = mbox_site();
    write(&mbox, "From bob Sat Nov 21 08:00:00 2026\nSubject: x\n\nx\n\n");
    let lock = mbox.with_extension("lock");
    write(&lock, &format!("{}\n", std::process::id()));
    let imapd = site.start("imapd", &[]);
    let mut session = Session::login(&imapd.address, "alice");
    refused(&mut session, "SELECT INBOX", "INUSE");
    fs::remove_file(lock).unwrap();
    assert!(session.ask("SELECT INBOX").unwrap().is_ok());
}

#[test]
fn a_file_that_is_no_mbox() {
    let (site, mbox) = mbox_site();
    write(&mbox, "Dear diary,\n");
    let imapd = site.start("imapd", &[]);
    let mut session = Session::login(&imapd.address, "alice");
    refused(&mut session, "SELECT INBOX", "CORRUPTION");
    imapd.log.wait_for("is no mbox", 1);
    assert_eq!(fs::read_to_string(mbox).unwrap(), "Dear diary,\n");
}

#[test]
fn folders_that_are_closed_to_us_or_spoilt() {
    let site = Site::new("failure_delay 0s\n");
    let imapd = site.start("imapd", &[]);
    let mut session = Session::login(&imapd.address, "alice");
    for name in ["Closed", "Spoilt"] {
        assert!(session.ask(&format!("CREATE {name}")).unwrap().is_ok());
    }
    let cur = |name: &str| site.maildir("alice").join(format!(".{name}/cur"));
    fs::set_permissions(cur("Closed"), Permissions::from_mode(0o000)).unwrap();
    refused(&mut session, "SELECT Closed", "NOPERM");
    fs::set_permissions(cur("Closed"), Permissions::from_mode(0o700)).unwrap();
    assert!(session.ask("SELECT Closed").unwrap().is_ok());

    fs::remove_dir(cur("Spoilt")).unwrap();
    write(&cur("Spoilt"), "");
    refused(&mut session, "SELECT Spoilt", "SERVERBUG");
}
