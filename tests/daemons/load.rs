//! A mailbox under load: writers by SMTP and readers by POP3, who say what they were answered.

use super::{Client, Daemon, Random, Site, mark};
use buzon::conf::Location;
use buzon::store::Mailbox;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Of those who write and read together.
const CONNECTIONS: u64 = 20;
pub const LETTERS: usize = 1_000;
const READERS: u64 = 3;

/// Of each that writes until it is killed.
const UNTIL_KILLED: u64 = 5;

/// Writers until the server is killed at some moment, and who is at work beside it; the marks of
/// all that were answered 250.
pub fn killed_under_load(
    site: &Site,
    round: u64,
    random: &mut Random,
    beside: Option<Daemon>,
) -> Vec<String> {
    let smtpd = site.start("smtpd", &[]);
    let clients: Vec<_> = (0..UNTIL_KILLED)
        .map(|client| {
            let address = smtpd.address.clone();
            thread::spawn(move || until_killed(&address, round, client))
        })
        .collect();
    // The moment is what is tested; nothing waits for it.
    thread::sleep(Duration::from_millis(20 + random.below(150)));
    let (first, second) =
        if round.is_multiple_of(2) { (Some(smtpd), beside) } else { (beside, Some(smtpd)) };
    first.into_iter().chain(second).for_each(Daemon::kill);
    clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
}

/// Sends letter after letter; the marks of those that were answered 250.
fn until_killed(address: &str, round: u64, client: u64) -> Vec<String> {
    let mut answered = Vec::new();
    let Some(mut smtp) = Client::connect(address) else { return answered };
    if smtp.hello().is_none() {
        return answered;
    }
    for number in 0.. {
        let mark = format!("{round}-{client}-{number}");
        // Some are larger than what is held in memory.
        let lines = if number % 8 == 7 { 6_000 } else { 40 };
        let text = "From a letter that must not be lost, whatever happens.\r\n".repeat(lines);
        match smtp.letter(&["alice"], &format!("X-Mark: {mark}\r\n\r\n{text}the end")) {
            Some(reply) if reply.starts_with("250") => answered.push(mark),
            Some(reply) => panic!("{reply}"),
            None => break,
        }
    }
    answered
}

/// The messages of alice's mbox.
pub fn in_mbox(site: &Site) -> Vec<String> {
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

/// What the writers heard.
#[derive(Default)]
pub struct Written {
    pub answered: Vec<String>,
    /// Letters that were told to come again.
    pub again: usize,
    pub longest: Duration,
}

/// What the readers did.
#[derive(Default)]
pub struct Read {
    /// Marks that a session deleted whose QUIT was answered.
    deleted: Vec<String>,
    /// Sessions that ended so, those that hung up instead, and messages that others had changed.
    quit: usize,
    hung_up: usize,
    pub changed: usize,
}

/// Delivers LETTERS while others read and delete. Writers pause for so many milliseconds at most.
pub fn together(site: &Site, pause: u64, done: &Arc<AtomicBool>) -> (Written, Read) {
    let (smtpd, pop3d) = (site.start("smtpd", &[]), site.start("pop3d", &[]));
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let (address, done) = (pop3d.address.clone(), Arc::clone(done));
            thread::spawn(move || reader(&address, number, &done))
        })
        .collect();
    let writers: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let address = smtpd.address.clone();
            thread::spawn(move || writer(&address, connection, pause))
        })
        .collect();
    let mut written = Written::default();
    for one in writers.into_iter().map(|writer| writer.join().unwrap()) {
        written.answered.extend(one.answered);
        written.again += one.again;
        written.longest = written.longest.max(one.longest);
    }
    done.store(true, Ordering::Relaxed);
    let mut read = Read::default();
    for one in readers.into_iter().map(|reader| reader.join().unwrap()) {
        read.deleted.extend(one.deleted);
        read.quit += one.quit;
        read.hung_up += one.hung_up;
        read.changed += one.changed;
    }
    (written, read)
}

/// Every letter that was answered is left, or was deleted, once.
pub fn nothing_is_lost(written: &Written, read: &Read, left: &[String]) {
    assert_eq!(written.answered.len(), LETTERS);
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for mark in &read.deleted {
        assert_eq!(seen.insert(mark, "deleted"), None, "{mark}: deleted twice");
    }
    let left: Vec<String> = left.iter().map(|message| mark(message)).collect();
    for mark in &left {
        let before = seen.insert(mark, "there");
        assert_eq!(before, None, "{mark}: there, and {before:?}");
    }
    let is_lost = |mark: &&String| !seen.contains_key(mark.as_str());
    let lost: Vec<_> = written.answered.iter().filter(is_lost).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(seen.len(), LETTERS, "something was there that nobody sent");
    let Read { deleted, quit, hung_up, changed } = read;
    println!("{} deleted, {changed} changed, {quit} quit, {hung_up} hung up", deleted.len());
    assert!(*quit > 0 && !deleted.is_empty(), "the readers did nothing");
}

/// Its share of the letters; those told to come again do.
fn writer(address: &str, connection: u64, pause: u64) -> Written {
    let mut smtp = Client::connect(address).unwrap();
    smtp.hello().unwrap();
    let mut written = Written::default();
    let mut random = Random::new(100 + connection);
    for number in 0..LETTERS / CONNECTIONS as usize {
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
        thread::sleep(Duration::from_millis(random.below(pause + 1)));
    }
    assert!(smtp.ask("QUIT").unwrap().starts_with("221"));
    written
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
