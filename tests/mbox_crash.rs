//! 250 means on disk, in an mbox too.
//!
//! smtpd and pop3d are killed with SIGKILL at random moments under load, 30 times: every letter that
//! was answered 250 is in the mbox, whole, and once, or was deleted by a session that said QUIT.
//! imapd too: what APPEND answered OK is there at once for other people's programs, and in the end
//! all messages of a command or none.

#![allow(clippy::unwrap_used)]

mod daemons;
mod imap_client;

use daemons::{Client, Random, Site, load, mark};
use imap_client::Session;
use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::thread;
use std::time::Duration;

const KILLS: u64 = 30;
/// Connections that append.
const APPENDING: u64 = 3;

#[test]
fn a_letter_answered_250_survives_kill_9() {
    let site = Site::new("mailbox mbox:~/inbox\nfailure_delay 0s\n");
    let (mut answered, mut quit, mut deleted) = (Vec::new(), Vec::new(), HashSet::new());
    let mut random = Random::new(0);
    for round in 0..KILLS {
        let pop3d = site.start("pop3d", &[]);
        let reader = pop3d.address.clone();
        let reader = thread::spawn(move || read_until_killed(&reader, round));
        answered.extend(load::killed_under_load(&site, round, &mut random, Some(pop3d)));
        let (certain, perhaps) = reader.join().unwrap();
        quit.extend(certain);
        deleted.extend(perhaps);
    }
    println!("{} answered 250, {} deleted, {} perhaps", answered.len(), quit.len(), deleted.len());
    assert!(answered.len() as u64 > KILLS);

    let mut kept: HashMap<String, usize> = HashMap::new();
    for message in load::in_mbox(&site) {
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

#[test]
fn what_append_answered_ok_survives_kill_9() {
    let site = Site::new("mailbox mbox:~/inbox\nfailure_delay 0s\n");
    let (mut answered, mut cut_short) = (Vec::new(), Vec::new());
    let mut random = Random::new(0);
    for round in 0..KILLS {
        let imapd = site.start("imapd", &[]);
        let clients: Vec<_> = (0..APPENDING)
            .map(|client| {
                let session = Session::login(&imapd.address, "alice");
                thread::spawn(move || append_until_killed(session, round, client))
            })
            .collect();
        // The moment is what is tested; nothing waits for it.
        thread::sleep(Duration::from_millis(20 + random.below(150)));
        imapd.kill();
        for (certain, perhaps) in clients.into_iter().map(|client| client.join().unwrap()) {
            answered.extend(certain);
            cut_short.push(perhaps);
        }
        by_python(&site, &answered);
    }
    println!("{} answered OK, {} commands cut short", answered.len(), cut_short.len());
    assert!(answered.len() as u64 > KILLS);
    let mut kept: HashMap<String, usize> = HashMap::new();
    for message in load::in_mbox(&site) {
        assert!(message.ends_with("the end\r\n"), "not whole: {message}");
        *kept.entry(mark(&message)).or_default() += 1;
    }
    for mark in &answered {
        assert_eq!(kept.remove(mark), Some(1), "{mark}");
    }
    for marks in &cut_short {
        let times: Vec<_> = marks.iter().map(|mark| kept.remove(mark)).collect();
        let all_or_none = times.iter().all(|n| n.is_none()) || times.iter().all(|n| *n == Some(1));
        assert!(all_or_none, "{marks:?}: {times:?}");
    }
    assert!(kept.is_empty(), "nobody sent {kept:?}");
}

/// APPEND after APPEND, of one to three messages each; the marks of those that were answered OK,
/// and of the command that was not.
fn append_until_killed(
    mut session: Session,
    round: u64,
    client: u64,
) -> (Vec<String>, Vec<String>) {
    let mut answered = Vec::new();
    for number in 0.. {
        let marks: Vec<String> =
            (0..=number % 3).map(|letter| format!("{round}-{client}-{number}-{letter}")).collect();
        let mut command = String::from("APPEND INBOX");
        for mark in &marks {
            let lines = "From a letter that must not be lost.\r\n".repeat(number % 50);
            let text = format!("X-Mark: {mark}\r\n\r\n{lines}the end\r\n");
            command.push_str(&format!(" (\\Seen Junk) {{{}+}}\r\n{text}", text.len()));
        }
        match session.ask(&command) {
            Some(answer) if answer.is_ok() => answered.extend(marks),
            Some(answer) => panic!("{answer:?}"),
            None => return (answered, marks),
        }
    }
    unreachable!()
}

/// What another program reads before one of ours has looked after it: all that was answered, whole.
fn by_python(site: &Site, answered: &[String]) {
    let script = "import mailbox, sys\n\
        for m in mailbox.mbox(sys.argv[1], create=False):\n    \
        whole = m.get_payload().rstrip().endswith('the end') and 'D' not in m.get_flags()\n    \
        print(m['X-Mark'], whole)";
    let mut python = Command::new("python3");
    let Ok(output) = python.args(["-c", script]).arg(site.path("mail/alice/inbox")).output() else {
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let whole: HashSet<&str> = said.lines().filter_map(|line| line.strip_suffix(" True")).collect();
    let lost: Vec<_> = answered.iter().filter(|mark| !whole.contains(mark.as_str())).collect();
    assert!(lost.is_empty(), "{lost:?} of {said}");
}
