//! What was answered 250 leaves, whoever is killed.
//!
//! Clients hand smtpd letters for three hosts, which it queues; it and every runner are killed with
//! SIGKILL at random moments. Each letter that was answered 250 comes to each of its recipients at
//! least once, and in the end nothing is left. BUZON_LETTERS and BUZON_KILLS make it longer.

#![allow(clippy::unwrap_used)]

mod daemons;
mod sink;

use daemons::{Client, Random, Site};
use sink::Sink;
use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const HOSTS: [&str; 3] = ["a.test", "b.test", "c.test"];

#[test]
fn what_was_answered_leaves_though_all_are_killed() {
    let number = |name: &str, default: usize| {
        std::env::var(name).map_or(default, |value| value.parse().unwrap())
    };
    let (letters, kills) = (number("BUZON_LETTERS", 200), number("BUZON_KILLS", 15));
    let sink = Sink::new(Duration::from_millis(1));
    let site = Site::new("queue queue\ndns_zone zone\nrelay_from 127.0.0.0/8\nmta_sts no\n");
    let zone = HOSTS.map(|host| format!("{host} MX 10 mx.{host}\nmx.{host} A {}\n", sink.address));
    std::fs::write(site.path("zone"), zone.concat()).unwrap();
    let (mut random, next) = (Random::new(7), Arc::new(AtomicUsize::new(0)));
    let mut answered: BTreeSet<String> = BTreeSet::new();
    let mut runners = 0;
    let mut rounds = 0;
    while rounds < kills || answered.len() < letters {
        let smtpd = site.start("smtpd", &[]);
        let goal = letters * (rounds + 1) / kills;
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (address, next) = (smtpd.address.clone(), next.clone());
                thread::spawn(move || send(&address, &next, goal))
            })
            .collect();
        // The moment is what is tested; nothing waits for it.
        thread::sleep(Duration::from_millis(20 + random.below(100)));
        runners += kill_runners(&site);
        smtpd.kill();
        runners += kill_runners(&site);
        answered.extend(clients.into_iter().flat_map(|client| client.join().unwrap()));
        rounds += 1;
        assert!(rounds < 20 * kills.max(1), "{} of {letters} answered", answered.len());
    }
    let queue = site.path("queue");
    let left = |place: &str| std::fs::read_dir(queue.join(place)).unwrap().count();
    for _ in 0..3 {
        assert!(site.command("runq").args(["--at", "+1h"]).status().unwrap().success());
    }
    assert_eq!(left("due"), 0);
    let mut counted: HashMap<(String, String), usize> = HashMap::new();
    for taken in sink.taken() {
        *counted.entry(taken).or_default() += 1;
    }
    for mark in &answered {
        for host in HOSTS {
            let taken = counted.contains_key(&(format!("ana@{host}"), mark.clone()));
            assert!(taken, "{mark} did not come to {host}");
        }
    }
    let twice = counted.values().filter(|count| **count > 1).count();
    let all = counted.len();
    println!(
        "{} letters answered, smtpd killed {rounds} times, {runners} runners killed, \
         {twice} of {all} came twice",
        answered.len()
    );
}

/// Sends letter after letter up to a number; the subjects of those that were answered 250.
fn send(address: &str, next: &AtomicUsize, goal: usize) -> Vec<String> {
    let mut answered = Vec::new();
    let Some(mut smtp) = Client::connect(address) else { return answered };
    if smtp.hello().is_none() {
        return answered;
    }
    while next.load(Ordering::Relaxed) < goal {
        let mark = format!("m{}", next.fetch_add(1, Ordering::Relaxed));
        let mut ask = |text: &str| smtp.ask(text);
        let begun = ask("MAIL FROM:<alice@example.test>")
            .and_then(|_| {
                HOSTS.iter().try_for_each(|host| ask(&format!("RCPT TO:<ana@{host}>")).map(drop))
            })
            .and_then(|()| ask("DATA"))
            .and_then(|_| ask(&format!("Subject: {mark}\r\n\r\nThe body of it.\r\n.")));
        match begun {
            Some(reply) if reply.starts_with("250") => answered.push(mark),
            Some(reply) => panic!("{reply}"),
            None => break,
        }
    }
    answered
}

/// Kills every runner of this site; how many there were.
fn kill_runners(site: &Site) -> usize {
    let conf = site.path("buzon.conf");
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = words.split(|octet| *octet == 0);
        let is_runner = words.next().is_some_and(|name| name.ends_with(b"runq"));
        if is_runner && words.any(|word| word == conf.as_os_str().as_bytes()) {
            let pid = nix::unistd::Pid::from_raw(pid);
            killed += usize::from(nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).is_ok());
        }
    }
    killed
}
