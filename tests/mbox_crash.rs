//! 250 means on disk, in an mbox too.
//!
//! smtpd and pop3d are killed with SIGKILL at random moments under load, 30 times: every letter that
//! was answered 250 is in the mbox, whole, and once, or was deleted by a session that said QUIT.

#![allow(clippy::unwrap_used)]

mod daemons;

use buzon::conf::Location;
use buzon::store::Mailbox;
use daemons::{Client, Random, Site, mark};
use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::Duration;

const KILLS: u64 = 30;
const CONNECTIONS: u64 = 4;

#[test]
fn a_letter_answered_250_survives_kill_9() {
    let site = Site::new("mailbox mbox:~/inbox\nfailure_delay 0s\n");
    let (mut answered, mut quit, mut deleted) = (Vec::new(), Vec::new(), HashSet::new());
    let mut random = Random::new(0);
    for round in 0..KILLS {
        let (smtpd, pop3d) = (site.start("smtpd", &[]), site.start("pop3d", &[]));
        let reader = pop3d.address.clone();
        let reader = thread::spawn(move || read_until_killed(&reader, round));
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|client| {
                let address = smtpd.address.clone();
                thread::spawn(move || until_killed(&address, round, client))
            })
            .collect();
        // The moment is what is tested; nothing waits for it.
        thread::sleep(Duration::from_millis(20 + random.below(150)));
        let (first, second) = if round % 2 == 0 { (smtpd, pop3d) } else { (pop3d, smtpd) };
        first.kill();
        second.kill();
        answered.extend(clients.into_iter().flat_map(|client| client.join().unwrap()));
        let (certain, perhaps) = reader.join().unwrap();
        quit.extend(certain);
        deleted.extend(perhaps);
    }
    println!("{} answered 250, {} deleted, {} perhaps", answered.len(), quit.len(), deleted.len());
    assert!(answered.len() as u64 > KILLS);

    let mut kept: HashMap<String, usize> = HashMap::new();
    for message in messages(&site) {
        assert!(message.ends_with("the end\r\n"), "not whole: {message}");
        *kept.entry(mark(&message)).or_default() += 1;
    }
    for mark in &quit {
        assert_eq!(kept.get(mark), None, "{mark} has come back");
    }
    let quit: HashSet<String> = quit.into_iter().collect();
    for mark in answered {
        let times = kept.get(&mark).copied().unwrap_or(0);
        let gone = quit.contains(&mark) || deleted.contains(&mark);
        assert!(times == 1 || times == 0 && gone, "{mark}: {times} times");
    }
}

fn messages(site: &Site) -> Vec<String> {
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
        let lines = if number % 8 == 7 { 10_000 } else { 40 };
        let text = "From a letter that must not be lost, whatever happens.\r\n".repeat(lines);
        match smtp.letter(&["alice"], &format!("X-Mark: {mark}\r\n\r\n{text}the end")) {
            Some(reply) if reply.starts_with("250") => answered.push(mark),
            Some(reply) => panic!("{reply}"),
            None => break,
        }
    }
    answered
}

/// Deletes the first messages, session after session; the marks of those that are gone, and of
/// those whose QUIT was not answered.
fn read_until_killed(address: &str, round: u64) -> (Vec<String>, Vec<String>) {
    let mut gone = Vec::new();
    let mut random = Random::new(round + 1);
    loop {
        let mut marks = Vec::new();
        if session(address, &mut random, &mut marks).is_none() {
            return (gone, marks);
        }
        gone.append(&mut marks);
    }
}

fn session(address: &str, random: &mut Random, marks: &mut Vec<String>) -> Option<()> {
    let mut pop3 = Client::connect(address)?;
    pop3.reply()?;
    pop3.ask("USER alice")?;
    assert!(pop3.ask("PASS secret")?.starts_with("+OK"));
    let stat = pop3.ask("STAT")?;
    let messages: u64 = stat.split(' ').nth(1)?.parse().ok()?;
    for message in 1..=messages.min(8) {
        if random.below(3) == 0 {
            let reply = pop3.ask(&format!("RETR {message}"))?;
            assert!(reply.starts_with("+OK"), "{reply}");
            let text = pop3.lines()?.join("\n");
            pop3.ask(&format!("DELE {message}"))?;
            marks.push(mark(&text));
        }
    }
    pop3.ask("QUIT").filter(|reply| reply.starts_with("+OK")).map(drop)
}
