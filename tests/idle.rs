//! Sessions that wait for news: what they give back and take again, how they are woken, what a
//! crowd of them costs, and the one that nobody tells (RFC 2177).

#![allow(clippy::unwrap_used)]

mod daemons;

use buzon::conf::Location;
use buzon::store::{self, Body, Change, Flags, Folders, Letter, Selected, Watch};
use daemons::{Client, Site};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Those who count descriptors do so alone.
static ALONE: Mutex<()> = Mutex::new(());

fn place() -> (tempfile::TempDir, Folders) {
    let place = tempfile::tempdir().unwrap();
    let folders = Folders::of(&Location::Maildir(place.path().into()));
    (place, folders)
}

fn deliver(maildir: &Path) {
    let letter = Letter { sender: "", head: b"", body: Body::Octets(b"Subject: x\n\nx\n") };
    let to = Location::Maildir(maildir.into());
    let mut prepared = store::prepare(&to, &letter, Instant::now()).unwrap();
    prepared.show().unwrap();
    prepared.settle().unwrap();
}

/// Refreshes and rests until it is sure of what it saw; how many messages there are.
fn rested(selected: &mut Selected) -> usize {
    loop {
        selected.refresh(true).unwrap();
        let count = selected.messages().len();
        if !selected.rest() && selected.is_quiet() {
            return count;
        }
    }
}

/// Descriptors of this process that lead there.
fn open_files(what: &str) -> usize {
    let all = fs::read_dir("/proc/self/fd").unwrap();
    let leads = all.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    leads.filter(|path| path.to_string_lossy().contains(what)).count()
}

#[test]
fn what_happens_while_a_session_rests_is_told_when_it_wakes() {
    let (place, folders) = place();
    (0..5).for_each(|_| deliver(place.path()));
    let mut rests = folders.open("INBOX", false).unwrap();
    assert_eq!(rested(&mut rests), 5);
    assert!(rests.messages().is_empty(), "a session at rest keeps messages");
    assert!(rests.is_quiet());
    // What it rests on is its own, whatever becomes of the name.
    fs::remove_file(place.path().join("buzon-listing")).unwrap();
    let mut other = folders.open("INBOX", false).unwrap();
    other.store(&[0], Change::Add, Flags::DELETED, 0).unwrap();
    other.expunge(None).unwrap();
    other.refresh(true).unwrap();
    other.store(&[2], Change::Add, Flags::FLAGGED, 0).unwrap();
    deliver(place.path());
    assert!(!rests.is_quiet());
    let changes = rests.refresh(true).unwrap();
    assert_eq!((changes.expunged, changes.exists, changes.flags), (vec![1], Some(5), vec![3]));
    let flags = |at: usize| rests.messages()[at].flags();
    // The first five are recent for the session that moved them from `new`, rest or no rest.
    assert!(flags(0).has(Flags::RECENT) && flags(2).has(Flags::FLAGGED));
}

#[test]
fn a_crowd_shares_what_it_sleeps_on_and_all_are_told() {
    const CROWD: usize = 40;
    let _alone = ALONE.lock().unwrap();
    let (place, folders) = place();
    store::watch::start().unwrap();
    deliver(place.path());
    let mut first = folders.open("INBOX", false).unwrap();
    rested(&mut first);
    let mut crowd: Vec<_> = (0..CROWD)
        .map(|_| {
            let mut inbox = folders.open("INBOX", false).unwrap();
            let watch = Watch::of(&inbox);
            assert!(watch.patience().is_none(), "the kernel does not tell");
            rested(&mut inbox);
            (inbox, watch)
        })
        .collect();
    assert_eq!(open_files("eventfd"), CROWD.div_ceil(16));
    assert_eq!(open_files("buzon-listing"), 1);
    for round in 2..5 {
        std::thread::scope(|scope| {
            for (inbox, watch) in &mut crowd {
                scope.spawn(move || sleep_until(inbox, watch, round));
            }
            deliver(place.path());
        });
    }
    drop(crowd);
    // The thread that tells may have some in its hands still.
    let end = Instant::now() + Duration::from_secs(20);
    while open_files("eventfd") > 0 {
        assert!(Instant::now() < end, "bells are left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// As imapd does it.
fn sleep_until(inbox: &mut Selected, watch: &mut Watch, count: usize) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let mut there = 0;
        if !inbox.is_quiet() {
            inbox.refresh(true).unwrap();
            there = inbox.messages().len();
        }
        let again = inbox.rest().then_some(Duration::from_millis(100));
        if there == count && again.is_none() {
            return;
        }
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "not told of message {count}, but of {there}");
        let patience = again.unwrap_or(left);
        buzon::sys::poll::readable([watch.fd().unwrap()], Some(patience)).unwrap();
        watch.silence();
    }
}

#[test]
fn a_bell_that_was_rung_wakes_also_who_comes_late() {
    let _alone = ALONE.lock().unwrap();
    let (place, folders) = place();
    store::watch::start().unwrap();
    let inbox = folders.open("INBOX", false).unwrap();
    let (mut early, mut late) = (Watch::of(&inbox), Watch::of(&inbox));
    let rings = |watch: &Watch, millis: u64| {
        let wait = Some(Duration::from_millis(millis));
        buzon::sys::poll::readable([watch.fd().unwrap()], wait).unwrap()[0]
    };
    let is_same = |one: &Watch, other: &Watch| {
        one.fd().unwrap().as_raw_fd() == other.fd().unwrap().as_raw_fd()
    };
    assert!(is_same(&early, &late));
    deliver(place.path());
    assert!(rings(&early, 20_000));
    early.silence();
    // The others must hear it although one has gone on.
    assert!(rings(&late, 0) && !is_same(&early, &late));
    late.silence();
    assert!(is_same(&early, &late));
    deliver(place.path());
    assert!(rings(&early, 20_000) && rings(&late, 0));
}

/// A session in IDLE on alice's INBOX.
fn waits(address: &str) -> Client {
    let mut client = Client::connect(address).unwrap();
    for (command, end) in [
        ("", "* OK "),
        ("a LOGIN alice secret", "a OK "),
        ("b SELECT INBOX", "b OK "),
        ("c IDLE", "+ "),
    ] {
        if !command.is_empty() {
            client.send(&format!("{command}\r\n")).unwrap();
        }
        until(&mut client, end);
    }
    client
}

fn until(client: &mut Client, start: &str) -> String {
    loop {
        let line = client.line().unwrap_or_else(|| panic!("no {start:?}, but the end"));
        if line.starts_with(start) {
            return line;
        }
    }
}

/// Descriptors, processes and disks may fail for a while: that is no word on the mailbox, and who
/// waits there is told when they are back.
#[test]
fn a_look_that_fails_for_a_while_is_done_again_and_only_what_is_gone_ends_a_session() {
    let site = Site::new("");
    deliver(&site.maildir("alice"));
    let imapd = site.start("imapd", &[]);
    let mut clients: Vec<_> = (0..3).map(|_| waits(&imapd.address)).collect();
    // None is to be had below so low a number.
    imapd.prlimit("--nofile=8:");
    deliver(&site.maildir("alice"));
    let failed = imapd.log.wait_for("Too many open files", clients.len());
    assert!(failed.iter().all(|line| line.contains(" refresh=")), "{failed:#?}");
    // A second and more of vain looks, of which the log says no more.
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(imapd.log.wait_for("Too many open files", clients.len()).len(), clients.len());
    // What is known is served all the same.
    clients[0].send("DONE\r\nd UID SEARCH ALL\r\n").unwrap();
    until(&mut clients[0], "c OK ");
    assert_eq!(until(&mut clients[0], "* SEARCH"), "* SEARCH 1");
    imapd.prlimit("--nofile=1000:");
    clients[0].send("e IDLE\r\n").unwrap();
    for client in &mut clients {
        assert_eq!(until(client, "* 2 "), "* 2 EXISTS");
    }
    // Nor is one that may not be read for a while.
    let maildir = site.maildir("alice");
    let new = fs::File::open(maildir.join("new")).unwrap();
    fs::set_permissions(&maildir, Permissions::from_mode(0o0)).unwrap();
    fs::write(format!("/proc/self/fd/{}/1.x.y", new.as_raw_fd()), "Subject: x\n\nx\n").unwrap();
    imapd.log.wait_for("Permission denied", clients.len());
    fs::set_permissions(&maildir, Permissions::from_mode(0o700)).unwrap();
    clients.iter_mut().for_each(|client| assert_eq!(until(client, "* 3 "), "* 3 EXISTS"));
    fs::rename(&maildir, site.path("elsewhere")).unwrap();
    deliver(&site.path("elsewhere"));
    clients.iter_mut().for_each(|client| drop(until(client, "* BYE [NONEXISTENT]")));
}

#[test]
fn whom_nobody_tells_looks_once_a_second() {
    let site = Site::new("");
    // One session on a socket of its own: no thread was started that hears of changes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let socket = OwnedFd::from(listener.accept().unwrap().0);
    let mut command = site.command("imapd");
    command.arg("-i").stdin(Stdio::from(socket));
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines().map(Result::unwrap);
    let mut until = |start: &str| lines.find(|line| line.starts_with(start)).unwrap();
    until("* OK ");
    client.write_all(b"a LOGIN alice secret\r\nb SELECT INBOX\r\n").unwrap();
    until("b OK ");
    client.write_all(b"c IDLE\r\n").unwrap();
    until("+ ");
    let descriptors = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
    let leads: Vec<_> = descriptors.map(|fd| fs::read_link(fd.unwrap().path())).collect();
    assert!(!leads.iter().flatten().any(|to| to.to_string_lossy().contains("inotify")));
    for count in 1..=2 {
        deliver(&site.maildir("alice"));
        let start = Instant::now();
        assert_eq!(until("* "), format!("* {count} EXISTS"));
        until("* ");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    client.write_all(b"DONE\r\nd LOGOUT\r\n").unwrap();
    until("d OK ");
    assert!(child.wait().unwrap().success());
}
