//! The runner: everybody gets every letter, whoever is slow, whoever is killed.

#![allow(clippy::unwrap_used)]

mod sink;

use buzon::mail::forward_path;
use buzon::queue::{Content, Entry, Envelope, Place, Queue, wake};
use buzon::sys::clock;
use buzon::text::Cursor;
use sink::Sink;
use std::collections::HashMap;
use std::fmt::Write;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);

struct Site {
    place: TempDir,
    queue: Queue,
}

impl Site {
    /// Each host takes the mail of a domain.
    fn new(hosts: &[(&str, &Sink)], more: &str) -> Site {
        let place = tempfile::tempdir().unwrap();
        let mut zone = String::new();
        for (domain, sink) in hosts {
            writeln!(zone, "{domain} MX 10 mx.{domain}\nmx.{domain} A {}", sink.address).unwrap();
        }
        std::fs::write(place.path().join("zone"), zone).unwrap();
        let conf = format!(
            "hostname mx.example.test\ndomains example.test\nmail_owner nobody-here\n\
             queue queue\ndns_zone zone\nspool .\nrun .\nusers users\naliases aliases\n\
             home mail/%u\n{more}\n"
        );
        std::fs::write(place.path().join("users"), "ana:{PLAIN}secret\n").unwrap();
        std::fs::write(place.path().join("buzon.conf"), conf).unwrap();
        let queue = Queue::new(&place.path().join("queue"));
        Site { place, queue }
    }

    fn put(&self, subject: &str, to: &[&str]) -> String {
        let now = clock::micros() / 1_000_000;
        let path = |text: &str| forward_path(&mut Cursor::new(text.as_bytes())).unwrap();
        let mut envelope = Envelope::new(clock::id(), now, Some(path("ana@example.test")));
        for to in to {
            envelope.add(path(to));
        }
        let text = format!("Subject: {subject}\n\nThe body of it.\n");
        self.queue.put(&envelope, b"", &Content::Memory(text.as_bytes())).unwrap();
        envelope.id
    }

    fn runq(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runq"));
        command.arg("-d").arg("-f").arg(self.place.path().join("buzon.conf")).args(args);
        command
    }

    fn run(&self, args: &[&str]) {
        assert!(self.runq(args).status().unwrap().success());
    }

    /// The letters in ana's mailbox, the oldest first.
    fn mail(&self) -> Vec<String> {
        let new = self.place.path().join("mail/ana/Maildir/new");
        let mut files: Vec<_> = std::fs::read_dir(new)
            .map_or(Vec::new(), |files| files.map(|file| file.unwrap().path()).collect());
        files.sort();
        files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }

    fn left(&self) -> Vec<Entry> {
        let mut left = Vec::new();
        self.queue.entries(Place::Due, |entry| left.push(entry)).unwrap();
        left
    }
}

/// How often each recipient got each letter.
fn counted(sinks: &[&Sink]) -> HashMap<(String, String), usize> {
    let mut counted = HashMap::new();
    for taken in sinks.iter().flat_map(|sink| sink.taken()) {
        *counted.entry(taken).or_default() += 1;
    }
    counted
}

#[test]
fn everybody_gets_every_letter_and_connections_are_shared() {
    let sink = Sink::new(Duration::ZERO);
    let hosts: Vec<String> = (0..5).map(|n| format!("d{n}.test")).collect();
    let hosts: Vec<(&str, &Sink)> = hosts.iter().map(|host| (host.as_str(), &sink)).collect();
    let site = Site::new(&hosts, "max_deliveries_per_host 2");
    for number in 0..100 {
        let to = format!("luis@d{}.test", number % 5);
        site.put(&format!("m{number}"), &[&to, "eva@d0.test", "pia@d1.test"]);
    }
    site.run(&[]);
    let counted = counted(&[&sink]);
    assert_eq!(counted.len(), 300);
    assert!(counted.values().all(|count| *count == 1));
    assert!(site.left().is_empty());
    assert!(sink.connections() <= 10, "{} connections", sink.connections());
}

#[test]
fn a_letter_that_comes_beside_a_slow_host_leaves_within_a_second() {
    let (slow, fast) = (Sink::new(Duration::from_millis(700)), Sink::new(Duration::ZERO));
    let site = Site::new(&[("slow.test", &slow), ("fast.test", &fast)], "");
    site.put("slow", &["ana@slow.test"]);
    let mut runner = site.runq(&[]).spawn().unwrap();
    until(|| slow.connections() > 0);
    site.put("fast", &["ana@fast.test"]);
    assert!(wake::call(site.queue.root()).unwrap(), "somebody listens");
    assert!(fast.wait_for(1, LONG) < Duration::from_secs(1));
    assert!(slow.taken().is_empty());
    assert!(runner.wait().unwrap().success());
    assert_eq!(slow.taken().len(), 1);
    assert!(site.left().is_empty());
}

#[test]
fn what_another_runner_has_is_left_to_it() {
    let slow = Sink::new(Duration::from_millis(700));
    let site = Site::new(&[("slow.test", &slow)], "");
    site.put("slow", &["ana@slow.test"]);
    let mut runner = site.runq(&[]).spawn().unwrap();
    until(|| slow.connections() > 0);
    site.run(&[]);
    assert!(slow.taken().is_empty(), "it waited for the other");
    assert!(runner.wait().unwrap().success());
    assert_eq!(slow.taken().len(), 1);
    assert!(site.left().is_empty());
}

#[test]
fn what_cannot_leave_waits_and_is_tried_when_its_time_has_come() {
    let sink = Sink::new(Duration::ZERO);
    let site = Site::new(&[("here.test", &sink)], "");
    std::fs::write(site.place.path().join("zone"), "later.test TIMEOUT\n").unwrap();
    site.put("a", &["ana@later.test"]);
    site.run(&[]);
    let [left] = &site.left()[..] else { panic!() };
    let wait = left.due - clock::micros() / 1_000_000;
    assert!((200..400).contains(&wait), "{wait} s");
    // Not yet; and as if it were later, with the name server awake.
    let address = sink.address;
    std::fs::write(site.place.path().join("zone"), format!("later.test A {address}\n")).unwrap();
    site.run(&[]);
    assert_eq!(sink.taken().len(), 0);
    site.run(&["--at", "+10m"]);
    assert_eq!(sink.taken().len(), 1);
    assert!(site.left().is_empty());
}

#[test]
fn the_log_tells_what_tls_was_reached() {
    let sink = Sink::new(Duration::ZERO);
    let site = Site::new(&[("clear.test", &sink)], "");
    let id = site.put("clear", &["ana@clear.test"]);
    let log = site.runq(&[]).output().unwrap().stderr;
    let log = String::from_utf8(log).unwrap();
    let told = format!("{id} host=mx.clear.test tls=\"in clear: STARTTLS is not offered\"");
    assert!(log.contains(&told), "{log}");
}

#[test]
fn letters_are_chosen() {
    let sink = Sink::new(Duration::ZERO);
    let site = Site::new(&[("a.test", &sink), ("b.test", &sink)], "");
    let first = site.put("first", &["ana@a.test"]);
    site.put("second", &["ana@b.test"]);
    site.put("third", &["ana@a.test"]);
    assert_eq!(site.runq(&["-I", "1j0none"]).status().unwrap().code(), Some(66));
    site.run(&["-S", "nobody@example.test"]);
    assert_eq!(sink.taken().len(), 0);
    site.run(&["-I", &first]);
    assert_eq!(sink.taken().len(), 1);
    site.run(&["-R", "B.test"]);
    assert_eq!(sink.taken().len(), 2);
    site.run(&["-S", "<ana@example.test>"]);
    assert_eq!(sink.taken().len(), 3);
    assert!(site.left().is_empty());
}

#[test]
fn whoever_is_for_chosen_letters_swallows_no_call() {
    let (slow, fast) = (Sink::new(Duration::from_millis(700)), Sink::new(Duration::ZERO));
    let site = Site::new(&[("slow.test", &slow), ("fast.test", &fast)], "");
    site.put("slow", &["ana@slow.test"]);
    let mut chosen = site.runq(&["-R", "slow.test"]).spawn().unwrap();
    until(|| slow.connections() > 0);
    site.put("fast", &["ana@fast.test"]);
    assert!(!wake::call(site.queue.root()).unwrap(), "who queues it starts another");
    // The one for chosen letters does so for those that it makes itself.
    let id = site.put("back", &["nobody@example.test"]);
    site.run(&["-I", &id]);
    until(|| site.mail().len() == 1);
    until(|| fast.taken().len() == 1);
    assert!(chosen.wait().unwrap().success());
    until(|| site.left().is_empty());
}

#[test]
fn two_ways_to_one_goal_are_one_delivery() {
    let sink = Sink::new(Duration::ZERO);
    let site = Site::new(&[("a.test", &sink)], "");
    let aliases = "staff: ana, eva@a.test\nall: staff, eva@A.test\n";
    std::fs::write(site.place.path().join("aliases"), aliases).unwrap();
    site.put("a", &["staff@example.test", "eva@a.test", "ana@example.test", "all@example.test"]);
    site.run(&[]);
    assert_eq!((site.mail().len(), sink.taken().len()), (1, 1));
    assert!(site.left().is_empty());
}

#[test]
fn what_came_under_no_name_and_fails_is_told_to_the_postmaster() {
    let site = Site::new(&[], "");
    std::fs::write(site.place.path().join("aliases"), "postmaster: ana\n").unwrap();
    let path = |text: &str| forward_path(&mut Cursor::new(text.as_bytes())).unwrap();
    let now = clock::micros() / 1_000_000;
    let from = Some(path("gone@nowhere.test"));
    let mut envelope = Envelope::new(clock::id(), now, from);
    envelope.add(path("nobody@example.test"));
    site.queue.put(&envelope, b"", &Content::Memory(b"Subject: a\n\nb\n")).unwrap();
    site.run(&[]);
    let [report] = &site.mail()[..] else { panic!("{:?}", site.mail()) };
    assert!(report.contains("Final-Recipient: rfc822; gone@nowhere.test"), "{report}");
    assert!(site.left().is_empty());
}

#[test]
fn a_postmaster_whom_nothing_reaches_is_told_once() {
    let site = Site::new(&[], "");
    let place = site.place.path();
    std::fs::write(place.join("aliases"), "postmaster: a@null.test, b@null.test\n").unwrap();
    std::fs::write(place.join("zone"), "null.test MX 0 .\n").unwrap();
    let path = |text: &str| forward_path(&mut Cursor::new(text.as_bytes())).unwrap();
    let mut envelope = Envelope::new(clock::id(), clock::micros() / 1_000_000, None);
    envelope.add(path("nobody@example.test"));
    site.queue.put(&envelope, b"", &Content::Memory(b"Subject: a\n\nb\n")).unwrap();
    let log = site.runq(&[]).output().unwrap().stderr;
    let log = String::from_utf8(log).unwrap();
    assert_eq!((log.matches(" report=").count(), log.matches(" lost: ").count()), (1, 1), "{log}");
    assert!(site.left().is_empty());
}

#[test]
fn the_sender_hears_of_a_delay_and_of_the_end() {
    for (give_up, late, over) in [("48h", "+5h", "+49h"), ("4d", "+4h", "+97h")] {
        let site = Site::new(&[], &format!("give_up {give_up}"));
        std::fs::write(site.place.path().join("zone"), "later.test TIMEOUT\n").unwrap();
        site.put("a", &["eva@later.test", "pia@later.test"]);
        site.run(&[]);
        assert_eq!(site.mail().len(), 0);
        site.run(&["--at", late]);
        let [delay] = &site.mail()[..] else { panic!("{:?}", site.mail()) };
        assert!(delay.contains("Action: delayed") && delay.contains("\nWill-Retry-Until: "));
        site.run(&["--at", "+26h"]);
        assert_eq!(site.mail().len(), 1, "it is told once");
        site.run(&["--at", over]);
        let [_, end] = &site.mail()[..] else { panic!("{:?}", site.mail()) };
        assert_eq!(end.matches("Action: failed").count(), 2, "{end}");
        assert!(end.contains("Status: 5.4.7") && end.contains("Return-Path: <>"), "{end}");
        assert!(site.left().is_empty());
    }
}

#[test]
fn what_nobody_takes_goes_back_and_no_answer_to_that() {
    let site = Site::new(&[], "");
    std::fs::write(site.place.path().join("zone"), "null.test MX 0 .\n").unwrap();
    site.put("a", &["eva@null.test", "pia@nowhere.test", "nobody@example.test"]);
    site.run(&[]);
    let [report] = &site.mail()[..] else { panic!("{:?}", site.mail()) };
    for text in ["Status: 5.1.10", "Status: 5.1.2", "Status: 5.1.1", "Subject: a"] {
        assert!(report.contains(text), "{text}: {report}");
    }
    assert!(site.left().is_empty());
}

/// Whoever hands a letter over and finds nobody listening starts a runner, as smtpd does; BUZON_LETTERS
/// makes it longer.
#[test]
fn no_letter_falls_between_two_runners() {
    let letters = std::env::var("BUZON_LETTERS").map_or(300, |value| value.parse().unwrap());
    let sink = Sink::new(Duration::ZERO);
    let site = Site::new(&[("a.test", &sink)], "");
    let mut runners = Vec::new();
    for number in 0..letters {
        site.put(&format!("m{number}"), &["ana@a.test"]);
        if !wake::call(site.queue.root()).unwrap() {
            runners.push(site.runq(&[]).spawn().unwrap());
        }
        // A runner ends a little after its last letter: sometimes before the next one.
        std::thread::sleep(Duration::from_millis([0, 1, 5, 20, 60][number % 5]));
    }
    let started = runners.len();
    runners.into_iter().for_each(|mut runner| assert!(runner.wait().unwrap().success()));
    println!("{letters} letters, {started} runners");
    assert!(site.left().is_empty());
    assert_eq!(counted(&[&sink]).len(), letters);
}

/// Kills, many times over; BUZON_LETTERS and BUZON_KILLS make it longer.
#[test]
fn runners_that_are_killed_lose_nothing() {
    let number = |name: &str, default: usize| {
        std::env::var(name).map_or(default, |value| value.parse().unwrap())
    };
    let (letters, kills) = (number("BUZON_LETTERS", 200), number("BUZON_KILLS", 20));
    let sink = Sink::new(Duration::from_millis(1));
    let site = Site::new(&[("a.test", &sink), ("b.test", &sink), ("c.test", &sink)], "");
    for number in 0..letters {
        site.put(&format!("m{number}"), &["ana@a.test", "eva@b.test", "pia@c.test"]);
    }
    for at in 0..kills {
        // Always in the midst of it: after some more, and about half are there in the end.
        let more = 1 + (at * 37) % (3 * letters / kills / 2).max(1);
        let goal = (sink.taken().len() + more).min(3 * letters);
        let mut runners: Vec<Child> = (0..2).map(|_| site.runq(&[]).spawn().unwrap()).collect();
        sink.wait_for(goal, LONG);
        for runner in &mut runners {
            runner.kill().unwrap();
            runner.wait().unwrap();
        }
    }
    let before = sink.taken().len();
    assert!(before < 3 * letters, "nothing was left to kill");
    site.run(&[]);
    let counted = counted(&[&sink]);
    assert_eq!(counted.len(), 3 * letters);
    let twice = counted.values().filter(|count| **count > 1).count();
    println!("{letters} letters of 3 recipients, {kills} kills of 2: {twice} came twice");
    assert!(site.left().is_empty());
    assert_eq!(std::fs::read_dir(site.queue.root().join("tmp")).unwrap().count(), 0);
}

fn until(truth: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !truth() {
        assert!(Instant::now() < end, "it never came true");
        std::thread::sleep(Duration::from_millis(1));
    }
}
