//! One mbox, many at work: 1,000 deliveries from 20 connections while POP3 sessions fetch and
//! delete, and mutt rewrites the file.
//!
//! Every letter answered 250 is there, or was deleted by a session whose QUIT was answered; none
//! is there twice, and none comes back. No delivery waits for an open session.

#![allow(clippy::unwrap_used)]

mod daemons;

use daemons::{Site, load};
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The default of `deliver_wait`.
const WAIT: Duration = Duration::from_secs(10);
/// mutt looks once a second whether it can have the lock: it must have a chance.
const PAUSE: u64 = 200;

#[test]
fn deliveries_readers_and_mutt_share_a_box() {
    let site = Site::new("failure_delay 0s\nmailbox mbox:~/inbox\n");
    let done = Arc::new(AtomicBool::new(false));
    let mutt = mutt(&site, &done);
    let (written, read) = load::together(&site, PAUSE, &done);
    let rewrites = mutt.map(|mutt| mutt.join().unwrap());
    let (longest, again) = (written.longest, written.again);
    println!("mutt rewrote {rewrites:?} times; {again} letters again; longest {longest:?}");
    assert!(longest < WAIT, "a delivery took {longest:?}");
    assert!(rewrites.is_some() || again == 0, "{again} letters were told to come again");
    load::nothing_is_lost(&written, &read, &load::in_mbox(&site));
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
