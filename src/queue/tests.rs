//! The queue as a whole: in, seen, taken, told, moved, out; and by several at once.

use super::*;
use crate::mail::{Mailbox, forward_path};
use crate::sys::lock::pause;
use crate::text::Cursor;
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TEXT: &[u8] = b"Subject: a\n\nbuzon-queue 1\n\n7 done 1\n.\n";

fn mailbox(text: &str) -> Mailbox {
    forward_path(&mut Cursor::new(text.as_bytes())).unwrap()
}

fn queue() -> (TempDir, Queue) {
    let place = tempfile::tempdir().unwrap();
    let queue = Queue::new(&place.path().join("queue"));
    (place, queue)
}

fn letter(id: &str, arrived: u64) -> Envelope {
    let mut envelope = Envelope::new(id.into(), arrived, Some(mailbox("ana@aula.test")));
    envelope.add(mailbox("luis@example.test"));
    envelope.add(mailbox("eva@example.test"));
    envelope
}

fn entries(queue: &Queue, place: Place) -> Vec<Entry> {
    let mut entries = Vec::new();
    queue.entries(place, |entry| entries.push(entry)).unwrap();
    entries.sort();
    entries
}

/// Careful: a program that another test starts holds our locks too, until it is that program.
fn taken(queue: &Queue, place: Place, entry: &Entry) -> Box<Claimed> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match queue.claim(place, entry).unwrap() {
            Claim::Taken(claimed) => return claimed,
            Claim::Busy if Instant::now() < until => pause(Duration::from_millis(1)),
            other => panic!("{other:?}"),
        }
    }
}

fn text(claimed: &Claimed) -> Vec<u8> {
    let mut text = Vec::new();
    claimed.text().unwrap().read_to_end(&mut text).unwrap();
    text
}

#[test]
fn a_letter_comes_in_is_told_what_happens_and_goes() {
    let (_place, queue) = queue();
    queue.put(&letter("a", 100), b"Received: x\n", &Content::Memory(TEXT)).unwrap();
    let entry = Entry { due: 100, id: "a".into() };
    assert_eq!(entries(&queue, Place::Due), std::slice::from_ref(&entry));
    let mut claimed = taken(&queue, Place::Due, &entry);
    assert_eq!(claimed.envelope, letter("a", 100));
    assert_eq!(text(&claimed), [b"Received: x\n", TEXT].concat());
    let said = Said { at: 101, status: "4.4.1".into(), host: None, text: "down".into() };
    claimed.note(101, vec![Event::State(1, State::Done)]).unwrap();
    claimed.note(101, vec![Event::State(2, State::Waiting(Some(said.clone())))]).unwrap();
    claimed.note(101, vec![Event::Tried]).unwrap();
    claimed.defer(400).unwrap();
    assert_eq!(entries(&queue, Place::Due), [Entry { due: 400, id: "a".into() }]);

    let (place, entry) = queue.find("a").unwrap().unwrap();
    let envelope = queue.look(place, &entry).unwrap().unwrap();
    assert_eq!(envelope.recipients[0].state, State::Done);
    assert_eq!(envelope.recipients[1].state, State::Waiting(Some(said)));
    assert_eq!(envelope.attempts, 1);
    taken(&queue, place, &entry).hold().unwrap();
    assert_eq!(entries(&queue, Place::Due), []);
    let mut held = taken(&queue, Place::Hold, &entry);
    held.note(500, vec![Event::State(2, State::Done)]).unwrap();
    assert!(held.envelope.is_finished());
    held.remove().unwrap();
    assert_eq!(entries(&queue, Place::Hold), []);
    assert_eq!(std::fs::read_dir(queue.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn what_is_not_settled_is_not_there() {
    let (_place, queue) = queue();
    drop(queue.prepare(&letter("a", 1), b"", &Content::Memory(TEXT)).unwrap());
    let mut shown = queue.prepare(&letter("b", 1), b"", &Content::Memory(TEXT)).unwrap();
    shown.show().unwrap();
    drop(shown);
    assert_eq!(entries(&queue, Place::Due), []);
    assert_eq!(std::fs::read_dir(queue.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn one_at_a_time() {
    let (_place, queue) = queue();
    queue.put(&letter("a", 1), b"", &Content::Memory(TEXT)).unwrap();
    let entry = Entry { due: 1, id: "a".into() };
    let first = taken(&queue, Place::Due, &entry);
    assert!(matches!(queue.claim(Place::Due, &entry).unwrap(), Claim::Busy));
    first.defer(9).unwrap();
    assert!(matches!(queue.claim(Place::Due, &entry).unwrap(), Claim::Busy));
    let entry = Entry { due: 9, id: "a".into() };
    drop(taken(&queue, Place::Due, &entry));
    taken(&queue, Place::Due, &entry).remove().unwrap();
    assert!(matches!(queue.claim(Place::Due, &entry).unwrap(), Claim::Busy));
}

#[test]
fn a_line_that_a_crash_cut_does_not_count() {
    let (_place, queue) = queue();
    queue.put(&letter("a", 1), b"", &Content::Memory(TEXT)).unwrap();
    let entry = Entry { due: 1, id: "a".into() };
    let path = queue.root().join("due/0000000001.a");
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    file.write_all(b"2 done 1\n3 done").unwrap();
    let mut claimed = taken(&queue, Place::Due, &entry);
    assert!(claimed.envelope.recipients[1].is_waiting());
    claimed.note(4, vec![Event::State(2, State::Done)]).unwrap();
    drop(claimed);
    assert!(taken(&queue, Place::Due, &entry).envelope.is_finished());
}

#[test]
fn what_is_not_understood_is_put_aside() {
    let (_place, queue) = queue();
    queue.put(&letter("a", 1), b"", &Content::Memory(TEXT)).unwrap();
    let entry = Entry { due: 1, id: "a".into() };
    let path = queue.root().join("due/0000000001.a");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(queue.claim(Place::Due, &entry).unwrap(), Claim::Bad(_)));
    assert_eq!(entries(&queue, Place::Bad), [entry]);
    assert_eq!(entries(&queue, Place::Due), []);
}

#[test]
fn what_happens_for_days_does_not_grow() {
    let (_place, queue) = queue();
    let mut envelope = letter("a", 1);
    for _ in 2..2_000 {
        envelope.add(mailbox("pia@example.test"));
    }
    queue.put(&envelope, b"", &Content::Memory(TEXT)).unwrap();
    for pass in 1..40 {
        let entry = Entry { due: pass, id: "a".into() };
        let mut claimed = taken(&queue, Place::Due, &entry);
        assert_eq!(claimed.envelope.attempts as u64, pass - 1);
        if pass == 1 {
            let to = Recipient::new(2_001, mailbox("josefa@example.test"));
            claimed.note(1, vec![Event::Recipient(to), Event::State(1, State::Done)]).unwrap();
        }
        let said = |text: String| Said { at: pass, status: "4.2.0".into(), host: None, text };
        let state = |to| State::Waiting(Some(said(format!("450 {to} {}", "ñ".repeat(2_000)))));
        let events = (2..=2_001).map(|to| Event::State(to, state(to)));
        claimed.note(pass, events.chain([Event::Tried]).collect()).unwrap();
        claimed.defer(pass + 1).unwrap();
    }
    let entry = Entry { due: 40, id: "a".into() };
    let claimed = taken(&queue, Place::Due, &entry);
    assert_eq!(text(&claimed), TEXT);
    let recipients = &claimed.envelope.recipients;
    assert_eq!((recipients.len(), &recipients[0].state), (2_001, &State::Done));
    let State::Waiting(Some(said)) = &recipients[2_000].state else { panic!() };
    assert!(said.at == 39 && said.text.starts_with("450 2001 ñ"), "{said:?}");
    let file = queue.open(Place::Due, &entry).unwrap().metadata().unwrap();
    assert!(file.len() < crate::limits::JOURNAL / 2, "{}", file.len());
    assert_eq!(std::fs::read_dir(queue.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn what_was_never_finished_goes_after_a_day() {
    let (_place, queue) = queue();
    queue.put(&letter("a", 1), b"", &Content::Memory(TEXT)).unwrap();
    let tmp = queue.root().join("tmp");
    let old = std::fs::File::create(tmp.join("old")).unwrap();
    std::fs::write(tmp.join("young"), "").unwrap();
    let day = Duration::from_secs(90_000);
    old.set_modified(std::time::SystemTime::now() - day).unwrap();
    queue.tidy().unwrap();
    let left: Vec<_> = std::fs::read_dir(tmp).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["young"]);
}

#[test]
fn every_path_that_a_client_may_say_is_read_again() {
    let (_place, queue) = queue();
    for path in [format!("{}@x", "a".repeat(252)), format!("\"{}\"@x", "\\\"".repeat(125))] {
        let mut envelope = Envelope::new("a".into(), 1, Some(mailbox(&path)));
        envelope.add(mailbox("luis@example.test"));
        let long = Mailbox { local_part: "a".repeat(400), domain: "example.test".into() };
        envelope.add(mailbox("eva@example.test")).sender = Some(long.clone());
        envelope.add(long);
        queue.put(&envelope, b"", &Content::Memory(TEXT)).unwrap();
        let claimed = taken(&queue, Place::Due, &Entry { due: 1, id: "a".into() });
        assert_eq!(claimed.envelope, envelope);
        claimed.remove().unwrap();
    }
}

#[test]
fn a_call_is_heard_or_nobody_is_there() {
    let (place, _) = queue();
    assert!(!wake::call(place.path()).unwrap());
    let wake = wake::Wake::listen(place.path()).unwrap();
    assert!(!wake.heard());
    assert!(wake::call(place.path()).unwrap() && wake::call(place.path()).unwrap());
    assert!(wake.heard() && !wake.heard());
    drop(wake);
    assert!(!wake::call(place.path()).unwrap());
}
