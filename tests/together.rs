//! One Maildir, many at work: 1,000 deliveries from 20 connections while POP3 sessions fetch and
//! delete.
//!
//! Every letter answered 250 is there, or was deleted by a session whose QUIT was answered; none
//! is there twice, and none comes back.

#![allow(clippy::unwrap_used)]

mod daemons;

use daemons::{Client, Random, Site, mark};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const CONNECTIONS: usize = 20;
const LETTERS: usize = 1_000;
const READERS: u64 = 3;

/// What one reader did.
#[derive(Default)]
struct Read {
    /// Marks that a session deleted whose QUIT was answered.
    deleted: Vec<String>,
    /// Sessions that ended so, and those that hung up instead.
    quit: usize,
    hung_up: usize,
}

#[test]
fn deliveries_and_readers_share_a_box() {
    let site = Site::new("failure_delay 0s\n");
    let (smtpd, pop3d) = (site.start("smtpd", &[]), site.start("pop3d", &[]));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let (address, done) = (pop3d.address.clone(), Arc::clone(&done));
            thread::spawn(move || reader(&address, number, &done))
        })
        .collect();
    let writers: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let address = smtpd.address.clone();
            thread::spawn(move || writer(&address, connection))
        })
        .collect();
    let answered: Vec<String> =
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    done.store(true, Ordering::Relaxed);
    let read: Vec<Read> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    assert_eq!(answered.len(), LETTERS);

    let mut seen: HashMap<String, &str> = HashMap::new();
    for mark in read.iter().flat_map(|read| &read.deleted) {
        assert_eq!(seen.insert(mark.clone(), "deleted"), None, "{mark}: deleted twice");
    }
    for mark in site.messages("alice").iter().map(|message| mark(message)) {
        let before = seen.insert(mark.clone(), "there");
        assert_eq!(before, None, "{mark}: there, and {before:?}");
    }
    let lost: Vec<_> = answered.iter().filter(|mark| !seen.contains_key(*mark)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(seen.len(), LETTERS, "something was there that nobody sent");
    let count = |count: fn(&Read) -> usize| read.iter().map(count).sum::<usize>();
    let deleted = count(|read| read.deleted.len());
    println!("{deleted} deleted, {} quit, {} hung up", count(|r| r.quit), count(|r| r.hung_up));
    assert!(count(|read| read.quit) > 0 && deleted > 0, "the readers did nothing");
}

/// Its share of the letters; the marks of those answered 250.
fn writer(address: &str, connection: usize) -> Vec<String> {
    let mut smtp = Client::connect(address).unwrap();
    smtp.hello().unwrap();
    let mut answered = Vec::new();
    for number in 0..LETTERS / CONNECTIONS {
        let mark = format!("{connection}-{number}");
        let text = format!("X-Mark: {mark}\r\n\r\n{}", "a line\r\n..dots\r\n".repeat(number));
        let reply = smtp.letter(&["alice"], &text).unwrap();
        assert!(reply.starts_with("250"), "{reply}");
        answered.push(mark);
    }
    assert!(smtp.ask("QUIT").unwrap().starts_with("221"));
    answered
}

/// Session after session, until all letters are there and some were deleted.
fn reader(address: &str, number: u64, done: &AtomicBool) -> Read {
    let mut read = Read::default();
    let mut random = Random::new(number + 1);
    loop {
        let last = done.load(Ordering::Relaxed);
        session(address, &mut random, &mut read);
        if last && !read.deleted.is_empty() {
            return read;
        }
    }
}

fn session(address: &str, random: &mut Random, read: &mut Read) {
    let mut pop3 = Client::connect(address).unwrap();
    assert!(pop3.reply().unwrap().starts_with("+OK"));
    assert!(pop3.ask("USER alice").unwrap().starts_with("+OK"));
    let reply = pop3.ask("PASS secret").unwrap();
    if reply.starts_with("-ERR [IN-USE]") {
        return;
    }
    assert!(reply.starts_with("+OK"), "{reply}");
    assert!(pop3.ask("UIDL").unwrap().starts_with("+OK"));
    let listed = pop3.lines().unwrap();
    let ids: HashSet<&str> = listed.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(ids.len(), listed.len(), "two messages bear one unique-id");
    let mut deleted = Vec::new();
    for message in 1..=listed.len() {
        if random.below(3) == 0 {
            continue;
        }
        let reply = pop3.ask(&format!("RETR {message}")).unwrap();
        assert!(reply.starts_with("+OK"), "{reply}");
        let text = pop3.lines().unwrap().join("\n");
        if random.below(2) == 0 {
            let reply = pop3.ask(&format!("DELE {message}")).unwrap();
            assert!(reply.starts_with("+OK"), "{reply}");
            deleted.push(mark(&text));
        }
    }
    if random.below(4) == 0 {
        read.hung_up += 1;
        return;
    }
    let reply = pop3.ask("QUIT").unwrap();
    assert!(reply.starts_with("+OK"), "{reply}");
    read.quit += 1;
    read.deleted.append(&mut deleted);
}
