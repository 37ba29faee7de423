//! How a session grows with its mailbox: `MESSAGES=500000 cargo test --release --test store_large
//! -- --ignored --nocapture` prints a table.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use buzon::conf::Location;
use buzon::store::{Body, Change, Flags, Folders, Letter};

/// A box as a delivery agent leaves it: sizes in the names, everything in `cur`.
fn fill(maildir: &Path, count: usize) {
    let cur = maildir.join("cur");
    for at in 0..count {
        let body = format!("Subject: {at}\n\n{}", "text of a letter\n".repeat(at % 7));
        let wire = body.len() + body.matches('\n').count();
        let name = format!(
            "{}.M{:06}P1.host,S={},W={wire}:2,",
            1_700_000_000 + at,
            at % 1_000_000,
            body.len()
        );
        fs::write(cur.join(name), body).unwrap();
    }
}

fn timed<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = act();
    println!("{what:<44} {:>9.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    done
}

#[test]
#[ignore = "takes minutes"]
fn a_large_mailbox() {
    let count = std::env::var("MESSAGES").map_or(20_000, |count| count.parse().unwrap());
    let place = tempfile::tempdir().unwrap();
    let maildir = place.path().join("Maildir");
    let folders = Folders::of(&Location::Maildir(maildir.clone()));
    folders.create("Other", None).unwrap();
    drop(folders.open("INBOX", false).unwrap());
    fill(&maildir, count);
    println!("{count} messages");
    let settle = || std::thread::sleep(Duration::from_millis(100));
    settle();
    let mut inbox = timed("first SELECT", || folders.open("INBOX", false).unwrap());
    timed("dates of all, first time", || {
        assert!((0..count).all(|at| inbox.date(at).unwrap() > 0));
    });
    timed("leaving", || drop(inbox));
    let inbox = timed("SELECT, nothing changed", || folders.open("INBOX", false).unwrap());
    drop(inbox);
    timed("STATUS, nothing changed", || folders.status("INBOX").unwrap());
    let name = fs::read_dir(maildir.join("cur")).unwrap().next().unwrap().unwrap().path();
    fs::rename(&name, format!("{}S", name.display())).unwrap();
    settle();
    drop(timed("SELECT, one renamed", || folders.open("INBOX", false).unwrap()));
    fs::write(maildir.join("new/1800000000.M1P1.host,S=2,W=3"), "x\n").unwrap();
    settle();
    let mut inbox = timed("SELECT, one more", || folders.open("INBOX", false).unwrap());
    settle();
    timed("refresh after that", || inbox.refresh(true).unwrap());
    timed("refresh, nothing changed", || inbox.refresh(true).unwrap());
    let mut second = folders.open("INBOX", false).unwrap();
    let all: Vec<u32> = (0..count as u32).collect();
    timed("STORE 1:* +FLAGS", || inbox.store(&all, Change::Add, Flags::FLAGGED, 0).unwrap());
    let told = timed("another session hears of it", || second.refresh(true).unwrap());
    assert_eq!(told.flags.len(), count);
    timed("STORE 1 +FLAGS", || inbox.store(&[0], Change::Add, Flags::DELETED, 0).unwrap());
    timed("refresh after that", || inbox.refresh(true).unwrap());
    timed("COPY of 1,000", || inbox.copy(&all[..1000], "Other").unwrap());
    timed("MOVE of 1,000", || inbox.move_to(&all[..1000], "Other").unwrap());
    timed("APPEND of 1,000, each for itself", || {
        for _ in 0..1000 {
            let letter = Letter { sender: "", head: b"", body: Body::Octets(b"Subject: x\n\ny\n") };
            let letter = folders.prepare_append("Other", &letter, Flags::SEEN, &[], None).unwrap();
            folders.commit_append(vec![letter]).unwrap();
        }
    });
    timed("remember 500 octets of each", || {
        (0..count).for_each(|at| inbox.remember(at, &[b'x'; 500]));
    });
    inbox.rest();
    timed("cached, of each", || {
        assert!((0..count).all(|at| inbox.cached(at).is_some()));
    });
    timed("read, of each", || {
        for at in 1000..count {
            let mut wire = inbox.read(at).unwrap();
            while !wire.chunk().unwrap().is_empty() {}
        }
    });
    inbox.store(&all[..count / 2], Change::Add, Flags::DELETED, 0).unwrap();
    timed("EXPUNGE of one half", || inbox.expunge(None).unwrap());
    timed("refresh after that", || inbox.refresh(true).unwrap());
    timed("leaving", || drop(inbox));
}
