//! 250 means on disk.
//!
//! smtpd is killed with SIGKILL at random moments under load, 50 times: every letter that was
//! answered 250 is in the box, whole, and once. And strace(1) sees that each 250 comes after the
//! sync of the file, its rename, and the sync of the directory, for each recipient.

#![allow(clippy::unwrap_used)]

mod daemons;

use daemons::{Client, Random, Site, load, mark};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

const KILLS: u64 = 50;

#[test]
fn a_letter_answered_250_survives_kill_9() {
    let site = Site::new("");
    let mut random = Random::new(0);
    let rounds = 0..KILLS;
    let answered: Vec<String> =
        rounds.flat_map(|round| load::killed_under_load(&site, round, &mut random, None)).collect();
    println!("{} letters answered 250", answered.len());
    assert!(answered.len() as u64 > KILLS);
    let mut kept: HashMap<String, usize> = HashMap::new();
    for message in site.messages("alice") {
        assert!(message.ends_with("the end\n"), "not whole: {message}");
        *kept.entry(mark(&message)).or_default() += 1;
    }
    for mark in answered {
        assert_eq!(kept.get(&mark), Some(&1), "{mark}");
    }
}

#[test]
fn each_250_comes_after_the_syncs() {
    let mut probe = Command::new("strace");
    let probe = probe.args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("skipped: strace is not installed, or may not trace (apt-get install strace)");
        return;
    }
    let site = Site::new("");
    let trace = site.path("trace");
    let calls = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,sendto,write,writev";
    let by = ["strace", "-f", "-y", "-s", "80", "-e", calls, "-o"].map(OsStr::new);
    let smtpd = site.start("smtpd", &[&by[..], &[trace.as_os_str()]].concat());
    let mut smtp = Client::connect(&smtpd.address).unwrap();
    smtp.hello().unwrap();
    let letters = 10;
    for number in 0..letters {
        let text = "x\r\n".repeat(if number % 2 == 0 { 10 } else { 200_000 });
        let reply = smtp.letter(&["alice", "bob"], &format!("X-Mark: {number}\r\n\r\n{text}"));
        assert!(reply.as_ref().unwrap().starts_with("250"), "{reply:?}");
    }
    smtp.ask("QUIT").unwrap();
    let pid = std::fs::read_to_string(site.path("run/smtpd.pid")).unwrap();
    smtpd.stop(pid.trim().parse().ok());
    let trace = std::fs::read_to_string(&trace).unwrap();
    // Between 354 and the next reply each box sees: file synced, shown, directory synced.
    let letter_parts: Vec<&str> = trace.split("\"354 ").skip(1).collect();
    assert_eq!(letter_parts.len(), letters);
    for part in letter_parts {
        let (before, _) = part.split_once("\"250 ").expect("an answer");
        for user in ["alice", "bob"] {
            let mut lines = before.lines();
            let mut next = |call: &str, place: &str| {
                let place = format!("{user}/Maildir/{place}");
                let found = lines.any(|line| line.contains(call) && line.contains(&place));
                assert!(found, "no {call} of {place} in its turn:\n{before}");
            };
            next("sync(", "tmp/");
            next("rename", "new");
            next("sync(", "new>");
        }
    }
}
