//! imapd with accounts of the system: whatever a session does is done as the user, letters that are
//! too large for memory and the end of the session too. As root only.

#![allow(clippy::unwrap_used)]

mod daemons;
mod imap_client;
mod who;

use daemons::Site;
use imap_client::Session;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use who::{ALICE, NONE, identity_of, is_root};

/// A site where carla is an account, and her home.
fn site() -> (Site, PathBuf) {
    let site = Site::new("system_users yes\nfailure_delay 0s\n");
    fs::set_permissions(site.path(""), Permissions::from_mode(0o711)).unwrap();
    let home = site.path("home").join("carla");
    fs::create_dir_all(&home).unwrap();
    chown(&home, Some(ALICE), Some(ALICE)).unwrap();
    let line = format!("carla:{{PLAIN}}secret:{ALICE}:{ALICE}::{}\n", home.display());
    fs::write(site.path("users"), line).unwrap();
    (site, home)
}

/// Every file below belongs to the account.
fn is_all_of(path: &Path, uid: u32) {
    let data = fs::symlink_metadata(path).unwrap();
    assert_eq!(data.uid(), uid, "{}", path.display());
    if data.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| is_all_of(&entry.unwrap().path(), uid));
    }
}

/// An APPEND of more than is held in memory.
fn large() -> String {
    let text = format!("Subject: large\r\n\r\n{}", "a line of text\r\n".repeat(40_000));
    format!("APPEND INBOX (\\Seen) {{{}+}}\r\n{text}", text.len())
}

#[test]
fn what_a_session_leaves_is_its_users() {
    if !is_root() {
        return;
    }
    let (site, home) = site();
    let imapd = site.start("imapd", &[]);
    let mut session = Session::login(&imapd.address, "carla");
    let appended = session.ask(&large()).unwrap();
    assert!(appended.is_ok(), "{appended:?}");
    assert!(session.ask("CREATE Work").unwrap().is_ok());
    assert!(session.ask("SELECT INBOX").unwrap().is_ok());
    assert!(session.ask("COPY 1 Work").unwrap().is_ok());
    assert!(session.ask("STORE 1 +FLAGS (Junk)").unwrap().is_ok());
    assert!(session.ask("FETCH 1 (RFC822.SIZE INTERNALDATE ENVELOPE)").unwrap().is_ok());
    // It hangs up with a mailbox open, which is closed after that.
    drop(session);
    imapd.log.wait_for("end=lost", 1);
    is_all_of(&home.join("Maildir"), ALICE);
}

#[test]
fn alone_in_its_process_a_session_is_the_user_for_good() {
    if !is_root() {
        return;
    }
    let (site, home) = site();
    let mut command = site.command("imapd");
    let mut child = command.arg("-i").stdin(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut output = BufReader::new(output);
    let mut said = |command: &str, end: &str| {
        input.write_all(command.as_bytes()).unwrap();
        let mut line = String::new();
        while !line.starts_with(end) {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "{command}");
        }
        line
    };
    said("", "* OK");
    let reply = said("a1 LOGIN carla secret\r\n", "a1 ");
    assert!(reply.starts_with("a1 OK"), "{reply}");
    let after = identity_of(&status);
    assert_eq!(after["Uid"], format!("{ALICE} {ALICE} {ALICE} {ALICE}"));
    assert_eq!(after["Gid"], format!("{ALICE} {ALICE} {ALICE} {ALICE}"));
    assert_eq!(after["Groups"], format!("{ALICE}"));
    assert_eq!(after["CapPrm"], NONE);
    let reply = said(&format!("a2 {}\r\n", large()), "a2 ");
    assert!(reply.starts_with("a2 OK"), "{reply}");
    assert!(said("a3 SELECT INBOX\r\n", "a3 ").starts_with("a3 OK"));
    assert!(said("a4 LOGOUT\r\n", "a4 ").starts_with("a4 OK"));
    assert!(child.wait().unwrap().success());
    is_all_of(&home.join("Maildir"), ALICE);
}
