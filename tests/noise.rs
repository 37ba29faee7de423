//! Noise: every dialogue, mutated with a fixed seed, said to every server.
//!
//! Octets are dropped, doubled, changed to NUL, lines are cut, made 100 kB long, and swapped between
//! protocols. A server answers or hangs up; it never dies, never hangs, never grows, and others are
//! served meanwhile.

#![allow(clippy::unwrap_used)]

mod daemons;

use daemons::{Client, Daemon, Random, Site};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Sessions said to each server.
const SESSIONS: usize = 800;
/// Anything longer is a hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// The client's lines of every dialogue, as octets.
fn dialogues(directory: &Path, found: &mut Vec<Vec<Vec<u8>>>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            dialogues(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            let text = std::fs::read(&path).unwrap();
            let lines = text.split(|octet| *octet == b'\n').filter_map(said).collect();
            found.push(lines);
        }
    }
    found.sort();
}

fn said(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_prefix(b"2").unwrap_or(line);
    let (text, end) = match (line.strip_prefix(b"C: "), line.strip_prefix(b"C! ")) {
        (Some(text), _) => (text, &b"\r\n"[..]),
        (_, Some(raw)) => (raw, &b""[..]),
        _ => return None,
    };
    let text = String::from_utf8_lossy(text);
    let text = text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0");
    Some([text.as_bytes(), end].concat())
}

/// One session: a dialogue, some of its lines from another one, all of it gnawed at.
fn mutated(all: &[Vec<Vec<u8>>], random: &mut Random) -> Vec<u8> {
    let any = |random: &mut Random| all[random.below(all.len() as u64) as usize].clone();
    let mut lines = any(random);
    let other = any(random);
    for line in &mut lines {
        if random.below(12) == 0 && !other.is_empty() {
            *line = other[random.below(other.len() as u64) as usize].clone();
        }
        for _ in 0..random.below(3) {
            gnaw(line, random);
        }
    }
    lines.concat()
}

fn gnaw(line: &mut Vec<u8>, random: &mut Random) {
    if line.is_empty() {
        return;
    }
    let at = random.below(line.len() as u64) as usize;
    match random.below(40) {
        0..8 => drop(line.remove(at)),
        8..14 => line.insert(at, line[at]),
        14..20 => line[at] = 0,
        20..26 => line[at] = random.below(256) as u8,
        26..30 => line.truncate(at),
        30..33 => line.insert(at, b'\n'),
        33..36 => line.insert(at, b'\r'),
        36..38 => *line = [&line[..], &line[..]].concat(),
        38 => drop(line.splice(at..at, std::iter::repeat_n(b'x', 100_000))),
        _ => {}
    }
}

/// Says it all, and reads until the server hangs up.
fn say(address: &str, octets: &[u8]) {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut answers = Vec::new();
        // A reset is a way to hang up, too; a time-out is not.
        let read = reader.read_to_end(&mut answers);
        let hung = read.is_err_and(|error| {
            [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut].contains(&error.kind())
        });
        (answers, hung)
    });
    // The server may hang up while we still speak.
    let _ = stream.write_all(octets);
    let _ = stream.shutdown(Shutdown::Write);
    let (answers, hung) = reading.join().unwrap();
    let shown = String::from_utf8_lossy(octets);
    assert!(!hung && began.elapsed() < PATIENCE, "no end after: {shown:?}");
    assert!(!answers.is_empty(), "not even a greeting before: {shown:?}");
}

/// Anonymous memory of a process, KiB.
fn memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn every_server_hears_every_dialogue_mutated() {
    let mut all = Vec::new();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    dialogues(&tests, &mut all);
    assert!(all.len() > 100, "{}", all.len());
    let mut site = Site::new(
        "failure_delay 0s\nsmtp_timeout 10s\npop3_timeout 10s\napop yes\nold_verbs yes\n\
         vrfy yes\nexpn yes\nlmtp 127.0.0.1:0\nmessage_size 1M\n",
    );
    site.change("submission none", "submission 127.0.0.1:0");
    let (smtpd, pop3d) = (site.start("smtpd", &[]), site.start("pop3d", &[]));
    let mut servers: Vec<&str> = smtpd.addresses.iter().map(String::as_str).collect();
    servers.push(&pop3d.address);
    assert_eq!(servers.len(), 4);
    servers.iter().for_each(|address| say(address, b"QUIT\r\n"));
    let before = [memory(&smtpd), memory(&pop3d)];
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let served = scope.spawn(|| served_meanwhile(&smtpd.address, &done));
        let speakers: Vec<_> = (0..servers.len())
            .map(|which| {
                let (all, servers) = (&all, &servers);
                scope.spawn(move || {
                    let mut random = Random::seeded(20_261_120 + which as u64);
                    (0..SESSIONS).for_each(|_| say(servers[which], &mutated(all, &mut random)));
                })
            })
            .collect();
        speakers.into_iter().for_each(|speaker| speaker.join().unwrap());
        done.store(true, Ordering::Relaxed);
        assert!(served.join().unwrap() > 0);
    });
    servers.iter().for_each(|address| say(address, b"QUIT\r\n"));
    for (daemon, before) in [(&smtpd, before[0]), (&pop3d, before[1])] {
        let grown = memory(daemon).saturating_sub(before);
        assert!(grown < 8 * 1024, "{grown} KiB more than {before}");
    }
}

/// A session that goes on while the others are noisy; how often it was answered.
fn served_meanwhile(address: &str, done: &AtomicBool) -> usize {
    let mut client = Client::connect(address).unwrap();
    client.hello().unwrap();
    let mut answered = 0;
    while !done.load(Ordering::Relaxed) {
        let asked = Instant::now();
        assert!(client.ask("NOOP").unwrap().starts_with("250 "));
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        answered += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    answered
}
