//! The store and Dovecot at the same Maildir: names, numbers, flags, keywords, dates. Passed over
//! where doveadm is not installed.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use buzon::conf::Location;
use buzon::store::{self, Body, Change, Flags, Folders, Letter, Selected};

const SEEN: Flags = Flags::SEEN;
const DELETED: Flags = Flags::DELETED;

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

fn names(folders: &Folders) -> Vec<String> {
    let folders = folders.list().unwrap().into_iter();
    folders.map(|folder| folder.name + if folder.selectable { "" } else { "?" }).collect()
}

fn append(folders: &Folders, to: &str, bodies: &[&str], flags: Flags) -> (u32, Vec<u32>) {
    let letters = bodies.iter().map(|body| {
        let letter = Letter { sender: "", head: b"", body: Body::Octets(body.as_bytes()) };
        folders.prepare_append(to, &letter, flags, &["Work".into()], Some(1_000_000_000))
    });
    let letters = letters.collect::<Result<Vec<_>, _>>().unwrap();
    folders.commit_append(letters).unwrap()
}

/// doveadm at the same Maildir, where it is installed.
fn doveadm(place: &Path, words: &[&str], input: &str) -> Option<String> {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;
    use std::process::{Command, Stdio};
    let config = place.join("dovecot.conf");
    // Dovecot refuses to work for root, so root's box is nobody's while it is at work.
    let own = fs::metadata(place).unwrap().uid();
    let (uid, gid) =
        if own == 0 { (65534, 65534) } else { (own, fs::metadata(place).unwrap().gid()) };
    let nobody = Command::new("chown").args(["-R", "65534:65534"]).arg(place).status();
    assert!(own != 0 || nobody.unwrap().success());
    let place = place.display();
    let text = format!(
        "base_dir={place}/run\nlog_path=/dev/stderr\nprotocols=imap\nssl=no\n\
         mail_location=maildir:{place}/alice/Maildir\nmail_uid={uid}\nmail_gid={gid}\n\
         first_valid_uid=0\nfirst_valid_gid=0\n\
         namespace inbox {{\n inbox=yes\n separator=/\n}}\n"
    );
    fs::write(&config, text).unwrap();
    let mut command = match own {
        0 => Command::new("setpriv"),
        _ => Command::new("env"),
    };
    if own == 0 {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    let child = command
        .args(["doveadm", "-c"])
        .arg(&config)
        .args(words)
        .env("HOME", place.to_string())
        .env("USER", "alice")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(127) {
        return None;
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn dovecot_at_the_same_box() {
    let (place, maildir, folders) = place();
    folders.create("Señal/x", None).unwrap();
    folders.subscribe("Señal/x").unwrap();
    let doveadm = |words: &[&str], input: &str| doveadm(place.path(), words, input);
    let Some(list) = doveadm(&["mailbox", "list", "-s"], "") else { return };
    assert_eq!(list, "Señal/x\n");
    doveadm(&["mailbox", "create", "-s", "A & B"], "").unwrap();
    assert_eq!(names(&folders), ["INBOX", "A & B", "Señal?", "Señal/x"]);
    assert_eq!(folders.subscriptions().unwrap(), ["A & B", "Señal/x"]);

    deliver(&maildir, b"Subject: 1\n\none\n");
    append(&folders, "INBOX", &["Subject: 2\n\ntwo\n"], SEEN | Flags::ANSWERED);
    let mut inbox = folders.open("INBOX", false).unwrap();
    let fetch = || {
        let fields = "uid flags date.received.unixtime size.virtual";
        let words = ["-f", "tab", "fetch", fields, "mailbox", "INBOX", "all"];
        doveadm(&words, "").unwrap()
    };
    let fetched = fetch();
    assert!(fetched.contains("1\t\\Answered \\Seen Work\t1000000000\t19"), "{fetched}");
    assert!(fetched.lines().nth(2).unwrap().starts_with("2\t\t"), "{fetched}");
    let validity = format!("INBOX messages=2 uidnext=3 uidvalidity={}\n", inbox.uid_validity());
    let words = ["mailbox", "status", "messages uidnext uidvalidity", "INBOX"];
    assert_eq!(doveadm(&words, "").unwrap(), validity);

    doveadm(&["flags", "add", "\\Flagged $New", "mailbox", "INBOX", "uid", "2"], "").unwrap();
    doveadm(&["save", "-m", "INBOX"], "Subject: 3\n\nthree\n").unwrap();
    doveadm(&["expunge", "mailbox", "INBOX", "uid", "1"], "").unwrap();
    let changes = inbox.refresh(true).unwrap();
    assert_eq!((changes.expunged, changes.flags), (vec![1], vec![1]));
    assert_eq!((changes.exists, changes.keywords), (Some(2), true));
    assert_eq!((uids(&inbox), inbox.keywords()), (vec![2, 3], &["Work".into(), "$New".into()][..]));
    assert_eq!(inbox.messages()[0].keywords(), 2);
    assert_eq!(inbox.raw(1).unwrap(), b"Subject: 3\n\nthree\n");

    let ours = inbox.keyword("$Ours", true).unwrap().unwrap();
    inbox.store(&[0], Change::Replace, DELETED, 1 << ours).unwrap();
    inbox.move_to(&[1], "A & B").unwrap();
    inbox.copy(&[0], "Señal/x").unwrap();
    let fetched = fetch();
    assert!(fetched.lines().nth(1).unwrap().starts_with("2\t\\Deleted $Ours"), "{fetched}");
    assert_eq!(fetched.lines().count(), 2);
    doveadm(&["mailbox", "rename", "Señal/x", "y"], "").unwrap();
    assert_eq!(folders.status("y").unwrap().deleted, 1);
    folders.rename("y", "z").unwrap();
    let words = ["-f", "tab", "fetch", "mailbox uid flags body", "mailbox", "z", "all"];
    assert!(doveadm(&words, "").unwrap().contains("z\t1\t\\Deleted $Ours\tone"));
}
