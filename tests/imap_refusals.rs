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

/// So many letters of alice's, of one text.
fn letters(site: &Site, text: &str, count: u32) -> Vec<PathBuf> {
    let paths = (1..=count).map(|number| {
        let path = site.maildir("alice").join(format!("new/{number}.M1P1.host"));
        write(&path, &format!("Subject: {number}\n\n{text}\n"));
        path
    });
    paths.collect()
}

#[test]
fn a_message_that_cannot_be_read_hides_no_others() {
    let site = Site::new("failure_delay 0s\n");
    let paths = letters(&site, "lunch", 4);
    fs::set_permissions(&paths[1], Permissions::from_mode(0o000)).unwrap();
    let imapd = site.start("imapd", &[]);
    let mut session = Session::login(&imapd.address, "alice");
    assert!(session.ask("SELECT INBOX").unwrap().is_ok());
    for command in ["FETCH 1:4 BODY[TEXT]", "UID FETCH 1:4 BODY[]"] {
        let answer = session.ask(command).unwrap();
        assert!(answer.status.starts_with("NO [NOPERM] "), "{command}: {answer:?}");
        let told: Vec<&str> = answer.untagged.iter().map(|line| &line[..7]).collect();
        assert_eq!(told, ["1 FETCH", "3 FETCH", "4 FETCH"], "{command}");
    }
    imapd.log.wait_for("unreadable=1 first_uid=2 error=", 2);
    let answer = session.ask("SEARCH UNSEEN").unwrap();
    assert_eq!(answer.untagged, ["SEARCH 2"]);

    for (keys, found) in [("TEXT lunch", "SEARCH 1 3 4"), ("NOT SUBJECT 3", "SEARCH 1 4")] {
        let answer = session.ask(&format!("SEARCH {keys}")).unwrap();
        assert!(answer.is_ok() && answer.status.contains("cannot be read"), "{answer:?}");
        assert_eq!(answer.untagged, [found]);
    }
    imapd.log.wait_for("search unreadable=1 first_uid=2 error=", 2);
    // What was looked for may be there.
    refused(&mut session, "SEARCH TEXT dinner", "NOPERM");
}

/// RFC 3501 §2.3.2: a message is seen that was read.
#[test]
fn what_a_client_that_hangs_up_did_not_get_is_not_seen() {
    let site = Site::new("");
    letters(&site, &"lunch at one\n".repeat(2_000_000), 3);
    let imapd = site.start("imapd", &[]);
    let mut session = Session::login(&imapd.address, "alice");
    assert!(session.ask("SELECT INBOX").unwrap().is_ok());
    session.say("FETCH 1:3 BODY[]");
    drop(session);
    imapd.log.wait_for("end=lost", 1);
    let mut session = Session::login(&imapd.address, "alice");
    let answer = session.ask("STATUS INBOX (UNSEEN)").unwrap();
    assert_eq!(answer.untagged, ["STATUS \"INBOX\" (UNSEEN 3)"]);
}
