//! One mbox, many at work: 1,000 deliveries from 20 connections while POP3 sessions fetch and
//! delete, and mutt rewrites the file.
//!
//! Every letter answered 250 is there, or was deleted by a session whose QUIT was answered; none
//! is there twice, and none comes back. No delivery waits for an open session.

#![allow(clippy::unwrap_used)]

mod daemons;

use buzon::conf::Location;
use buzon::store::Mailbox;
use daemons::{Client, Random, Site, mark};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 20;
const LETTERS: usize = 1_000;
const READERS: u64 = 3;
/// The default of `deliver_wait`.
const WAIT: Duration = Duration::from_secs(10);

/// What the writers heard.
#[derive(Default)]
struct Written {
    answered: Vec<String>,
    /// Letters that were told to come again.
    again: usize,
    longest: Duration,
}

/// What one reader did.
#[derive(Default)]
struct Read {
    /// Marks that a session deleted whose QUIT was answered.
    deleted: Vec<String>,
    /// Sessions that ended so, those that hung up instead, and messages that mutt had changed.
    quit: usize,
    hung_up: usize,
    changed: usize,
}

#[test]
fn deliveries_readers_and_mutt_share_a_box() {
    let site = Site::new("failure_delay 0s\nmailbox mbox:~/inbox\n");
    let (smtpd, pop3d) = (site.start("smtpd", &[]), site.start("pop3d", &[]));
    let done = Arc::new(AtomicBool::new(false));
    let mutt = mutt(&site, &done);
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
    let written: Vec<Written> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    done.store(true, Ordering::Relaxed);
    let read: Vec<Read> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    let rewrites = mutt.map(|mutt| mutt.join().unwrap());

    let longest = written.iter().map(|written| written.longest).max().unwrap();
    let again: usize = written.iter().map(|written| written.again).sum();
    println!("mutt rewrote {rewrites:?} times; {again} letters again; longest {longest:?}");
    assert!(longest < WAIT, "a delivery took {longest:?}");
    assert!(rewrites.is_some() || again == 0, "{again} letters were told to come again");

    let answered: Vec<&String> = written.iter().flat_map(|written| &written.answered).collect();
    assert_eq!(answered.len(), LETTERS);
    let mut seen: HashMap<String, &str> = HashMap::new();
    for mark in read.iter().flat_map(|read| &read.deleted) {
        assert_eq!(seen.insert(mark.clone(), "deleted"), None, "{mark}: deleted twice");
    }
    for mark in left(&site).iter().map(|message| mark(message)) {
        let before = seen.insert(mark.clone(), "there");
        assert_eq!(before, None, "{mark}: there, and {before:?}");
    }
    let lost: Vec<_> = answered.iter().filter(|mark| !seen.contains_key(**mark)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(seen.len(), LETTERS, "something was there that nobody sent");
    let count = |count: fn(&Read) -> usize| read.iter().map(count).sum::<usize>();
    let (deleted, changed) = (count(|read| read.deleted.len()), count(|read| read.changed));
    println!(
        "{deleted} deleted, {changed} changed, {} quit, {} hung up",
        count(|r| r.quit),
        count(|r| r.hung_up)
    );
    assert!(count(|read| read.quit) > 0 && deleted > 0, "the readers did nothing");
}

/// The messages at the end.
fn left(site: &Site) -> Vec<String> {
    let home = site.path("mail/alice");
    let location = Location::Mbox { inbox: home.join("inbox"), folders: home.join("mail") };
    let mut mailbox = Mailbox::open_exclusive(&location).unwrap();
    let mut messages = Vec::new();
    for index in 0..mailbox.messages().len() {
        let (mut text, mut wire) = (Vec::new(), mailbox.read(index).unwrap());
        while let Some(chunk) = Some(wire.chunk().unwrap()).filter(|chunk| !chunk.is_empty()) {
            text.extend_from_slice(chunk);
        }
        messages.push(String::from_utf8(text).unwrap());
    }
    messages
}

/// Runs mutt again and again, which marks all messages as read, or as new; how often.
fn mutt(site: &Site, done: &Arc<AtomicBool>) -> Option<thread::JoinHandle<usize>> {
    let runs = |program: &str, option: &str| {
        let mut command = Command::new(program);
        let status = command.arg(option).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !runs("mutt", "-v") || !runs("script", "--version") {
        eprintln!("mutt takes no part: it is not installed (apt-get install mutt)");
        return None;
    }
    let (rc, inbox) = (site.path("muttrc"), site.path("mail/alice/inbox"));
    fs::write(&rc, "set quit=yes move=no mark_old=no sleep_time=0 folder=/tmp\nunset wait_key\n")
        .unwrap();
    let keys = "<tag-pattern>~A<enter><tag-prefix><toggle-new><sync-mailbox><quit>";
    let mutt = format!("mutt -n -F {} -f {} -e 'push {keys}'", rc.display(), inbox.display());
    // mutt wants a terminal.
    let command = ["20", "script", "-qec", &mutt, "/dev/null"].map(str::to_owned);
    let done = Arc::clone(done);
    Some(thread::spawn(move || {
        let mut rewrites = 0;
        while !done.load(Ordering::Relaxed) || rewrites == 0 {
            if fs::metadata(&inbox).map_or(0, |data| data.len()) == 0 {
                thread::yield_now();
                continue;
            }
            let mut script = Command::new("timeout");
            script.args(&command).env("TERM", "xterm");
            script.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            rewrites += usize::from(script.status().unwrap().success());
        }
        rewrites
    }))
}

/// Its share of the letters; those told to come again do.
fn writer(address: &str, connection: usize) -> Written {
    let mut smtp = Client::connect(address).unwrap();
    smtp.hello().unwrap();
    let mut written = Written::default();
    let mut random = Random::new(100 + connection as u64);
    for number in 0..LETTERS / CONNECTIONS {
        let mark = format!("{connection}-{number}");
        let body = "a line\r\n..dots\r\nFrom me to you\r\n".repeat(number);
        let text = format!("X-Mark: {mark}\r\n\r\n{body}");
        loop {
            let begun = Instant::now();
            let reply = smtp.letter(&["alice"], &text).unwrap();
            written.longest = written.longest.max(begun.elapsed());
            if reply.starts_with("250") {
                break;
            }
            assert!(reply.starts_with('4'), "{reply}");
            written.again += 1;
        }
        written.answered.push(mark);
        // mutt looks once a second whether it can have the lock: it must have a chance.
        thread::sleep(Duration::from_millis(random.below(200)));
    }
    assert!(smtp.ask("QUIT").unwrap().starts_with("221"));
    written
}

/// Session after session, one more when all letters are there.
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
        if reply.starts_with("-ERR [SYS/TEMP]") {
            read.changed += 1;
            continue;
        }
        assert!(reply.starts_with("+OK"), "{reply}");
        let text = pop3.lines().unwrap().join("\n");
        let told = reply.split(' ').nth(1).unwrap().parse::<usize>().unwrap();
        assert_eq!(text.len() + text.matches('\n').count() + 2, told, "{reply}");
        // One is always left: mutt has no use for an empty mailbox.
        if message > 1 && random.below(2) == 0 {
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
