//! The letters of the queue as mailq(1) prints them: for people, or a JSON object (RFC 8259) a line
//! for programs.
//!
//! Nothing is locked and nothing is changed: a letter that leaves meanwhile is passed over.

use super::directory::{Entry, Place, Queue};
use super::envelope::{Envelope, Goal, Recipient, Said, State};
use crate::text::printable;
use chrono::{Local, TimeZone};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// Columns, and sums at the end.
    Text,
    /// One object a letter.
    Json,
}

/// What all letters come to.
#[derive(Default)]
struct Sums {
    letters: u64,
    recipients: u64,
    octets: u64,
    held: u64,
    bad: u64,
    /// In `drop/`, for the next runner to take in.
    handed_in: u64,
}

/// Prints every letter, the oldest first.
pub fn list(queue: &Queue, now: u64, form: As, output: &mut impl Write) -> io::Result<()> {
    let mut all: Vec<(Entry, Place)> = Vec::new();
    for place in [Place::Due, Place::Hold, Place::Bad] {
        queue.entries(place, |entry| all.push((entry, place)))?;
    }
    all.sort_unstable_by(|(one, _), (other, _)| one.id.cmp(&other.id));
    let mut sums = Sums { handed_in: super::drop::count(queue)?, ..Sums::default() };
    for (entry, place) in &all {
        let found = match queue.measure(*place, entry) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => Err(error.to_string()),
            Ok(found) => found,
        };
        if form == As::Text && sums.letters == 0 {
            writeln!(output, "{:<14}{:>10}  {:<14}{:<14}sender", "id", "size", "arrived", "next")?;
        }
        sums.add(*place, found.as_ref().ok());
        let told = match form {
            As::Text => text(entry, *place, &found, now),
            As::Json => json(entry, *place, &found),
        };
        output.write_all(told.as_bytes())?;
    }
    if form == As::Text {
        output.write_all(sums.told().as_bytes())?;
    }
    output.flush()
}

type Found = Result<(Envelope, u64), String>;

impl Sums {
    fn add(&mut self, place: Place, found: Option<&(Envelope, u64)>) {
        self.letters += 1;
        self.held += u64::from(place == Place::Hold);
        self.bad += u64::from(place == Place::Bad || found.is_none());
        if let Some((envelope, octets)) = found {
            self.recipients += waiting(envelope).count() as u64;
            self.octets += octets;
        }
    }

    fn told(&self) -> String {
        let count = |number: u64, what: &str| {
            format!("{number} {what}{}", if number == 1 { "" } else { "s" })
        };
        if self.letters + self.handed_in == 0 {
            return "the queue is empty\n".into();
        }
        let mut told = format!(
            "{} for {}, {}",
            count(self.letters, "letter"),
            count(self.recipients, "recipient"),
            count(self.octets, "octet")
        );
        let others = [
            (self.held, "held"),
            (self.bad, "not understood"),
            (self.handed_in, "handed in and not looked at"),
        ];
        for (number, what) in others {
            if number > 0 {
                let _ = write!(told, ", {number} {what}");
            }
        }
        told + "\n"
    }
}

/// Those for whom something is still to be done.
fn waiting(envelope: &Envelope) -> impl Iterator<Item = &Recipient> {
    let open = |to: &&Recipient| matches!(to.state, State::Waiting(_) | State::Failed(_));
    envelope.recipients.iter().filter(open)
}

fn text(entry: &Entry, place: Place, found: &Found, now: u64) -> String {
    let next = match place {
        Place::Due if entry.due <= now => "now".into(),
        Place::Due => moment(entry.due),
        Place::Hold => "held".into(),
        Place::Bad => "bad".into(),
    };
    let (envelope, octets) = match found {
        Ok(found) => found,
        Err(why) => {
            let why = printable(why.as_bytes());
            return format!("{:<14}{:>10}  {:<14}{next:<14}{why}\n", entry.id, "-", "-");
        }
    };
    let sender = envelope.reverse_path.as_ref().map_or(String::new(), ToString::to_string);
    let sender = printable(sender.as_bytes());
    let arrived = moment(envelope.arrived);
    let mut told = format!("{:<14}{octets:>10}  {arrived:<14}{next:<14}<{sender}>\n", entry.id);
    for to in waiting(envelope) {
        let path = printable(to.path.to_string().as_bytes());
        let _ = writeln!(told, "{:14}to <{path}>{}", "", goal(to));
        if let State::Waiting(Some(said)) | State::Failed(said) = &to.state {
            let _ = writeln!(told, "{:16}{}", "", reason(said));
        }
    }
    told
}

/// `Nov 21 04:09`, in the zone of this host.
fn moment(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|at| Local.timestamp_opt(at, 0).single());
    moment.map_or("-".into(), |moment| moment.format("%b %e %H:%M").to_string())
}

fn goal(to: &Recipient) -> String {
    let goal = match &to.goal {
        Goal::Address => return String::new(),
        Goal::User(name) => format!(" in the mailbox of {name}"),
        Goal::Program(command, _) => format!(" by |{command}"),
        Goal::File(path, _) => format!(" into {path}"),
    };
    printable(goal.as_bytes())
}

fn reason(said: &Said) -> String {
    let by = said.host.as_ref().map_or(String::new(), |host| format!("{host}: "));
    printable(format!("{} {by}{}", said.status, said.text).as_bytes())
}

fn json(entry: &Entry, place: Place, found: &Found) -> String {
    let (id, place) = (string(&entry.id), string(place.name()));
    let mut object = format!("{{\"id\":{id},\"place\":{place},\"next\":{}", entry.due);
    match found {
        Err(why) => {
            let _ = write!(object, ",\"fault\":{}", string(why));
        }
        Ok((envelope, octets)) => {
            let Envelope { arrived, attempts, reverse_path, submitter, .. } = envelope;
            let sender = reverse_path.as_ref().map_or(String::new(), ToString::to_string);
            let submitter = submitter.as_ref().map_or("null".into(), |name| string(name));
            let all: Vec<_> = envelope.recipients.iter().map(recipient).collect();
            let _ = write!(
                object,
                ",\"size\":{octets},\"arrived\":{arrived},\"attempts\":{attempts},\
                 \"sender\":{},\"submitter\":{submitter},\"recipients\":[{}]",
                string(&sender),
                all.join(",")
            );
        }
    }
    object + "}\n"
}

fn recipient(to: &Recipient) -> String {
    let (state, said) = match &to.state {
        State::Waiting(said) => ("waiting", said.as_ref()),
        State::Failed(said) => ("failed", Some(said)),
        State::Done => ("done", None),
        State::Reported => ("reported", None),
    };
    let (kind, place) = match &to.goal {
        Goal::Address => ("", ""),
        Goal::User(name) => ("user", &**name),
        Goal::Program(command, _) => ("program", &**command),
        Goal::File(path, _) => ("file", &**path),
    };
    let mut object =
        format!("{{\"address\":{},\"state\":\"{state}\"", string(&to.path.to_string()));
    if !kind.is_empty() {
        let _ = write!(object, ",\"{kind}\":{}", string(place));
    }
    if let Some(said) = said {
        let host = said.host.as_ref().map_or("null".into(), |host| string(host));
        let (status, text) = (string(&said.status), string(&said.text));
        let _ = write!(object, ",\"at\":{},\"status\":{status},\"host\":{host}", said.at);
        let _ = write!(object, ",\"said\":{text}");
    }
    object + "}"
}

/// RFC 8259 §7.
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Content;
    use crate::queue::Event;

    #[test]
    fn strings_are_quoted() {
        assert_eq!(string("a\"b\\c\n\u{9b}ñ"), "\"a\\\"b\\\\c\\u000a\\u009bñ\"");
    }

    #[test]
    fn letters_are_listed_with_their_reasons() {
        let place = tempfile::tempdir().unwrap();
        let queue = Queue::new(place.path());
        let listed = |form| {
            let mut output = Vec::new();
            list(&queue, 2_000, form, &mut output).unwrap();
            String::from_utf8(output).unwrap()
        };
        assert_eq!(listed(As::Text), "the queue is empty\n");
        assert_eq!(listed(As::Json), "");
        let path = |text: &str| {
            crate::mail::forward_path(&mut crate::text::Cursor::new(text.as_bytes())).unwrap()
        };
        let mut envelope = Envelope::new("b1".into(), 1_000, Some(path("ana@example.test")));
        envelope.add(path("luis@aula.test"));
        envelope.add(path("eva@aula.test"));
        queue.put(&envelope, b"", &Content::Memory(b"Subject: a\n\n")).unwrap();
        let entry = Entry { due: 1_000, id: "b1".into() };
        let super::super::Claim::Taken(mut claimed) = queue.claim(Place::Due, &entry).unwrap()
        else {
            panic!()
        };
        let (status, host) = ("4.2.1".into(), Some("mx.aula.test".into()));
        let said = Said { at: 1_500, status, host, text: "450 \"later\"\u{1b}".into() };
        let events =
            vec![Event::State(1, State::Waiting(Some(said))), Event::State(2, State::Done)];
        claimed.note(1_500, events).unwrap();
        claimed.hold().unwrap();
        std::fs::write(place.path().join("bad/0000000500.a1"), "junk\n\n").unwrap();
        let text = listed(As::Text);
        for told in [
            "a1 ",
            "bad ",
            "does not begin with",
            "held          <ana@example.test>\n",
            "to <luis@aula.test>\n                4.2.1 mx.aula.test: 450 \"later\" \n",
            "\n2 letters for 1 recipient, 12 octets, 1 held, 1 not understood\n",
        ] {
            assert!(text.contains(told), "{told:?}: {text}");
        }
        assert!(!text.contains("eva"), "{text}");
        let json = listed(As::Json);
        let lines: Vec<&str> = json.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("{\"id\":\"a1\",\"place\":\"bad\",\"next\":500,\"fault\":"));
        assert!(lines[1].contains("\"said\":\"450 \\\"later\\\" \"}"), "{json}");
        assert!(lines[1].contains("{\"address\":\"eva@aula.test\",\"state\":\"done\"}"), "{json}");
    }
}
