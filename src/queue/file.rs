//! The file of a queued letter, as text: the envelope, an empty line, the letter, and behind it
//! what happened, a line each. The format: buzon-queue(5).
//!
//! The head is never changed; what happens is appended. So a crash can only cut the last line,
//! which then does not count, and something is tried once more.

use super::envelope::{Body, Envelope, Goal, Notify, Recipient, Ret, Said, State};
use crate::limits;
use crate::mail::{Mailbox, written_path};
use crate::text::Cursor;
use std::fmt::Write;

/// The first line.
const MAGIC: &str = "buzon-queue 1";

/// What happens to a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A recipient comes to this state.
    State(usize, State),
    /// A recipient is there that was none before: what an alias came to.
    Recipient(Recipient),
    /// A pass that tried somebody is over.
    Tried,
    /// The sender was told that it takes long.
    DelayTold,
    /// Whatever was tried before does not count.
    Fresh,
}

/// A head that was read: the envelope, and what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub envelope: Envelope,
    /// Octets of the letter, and LFs among them.
    pub octets: u64,
    pub lines: u64,
}

/// The head as it is written, empty line included.
pub(super) fn head(envelope: &Envelope, octets: u64, lines: u64) -> String {
    let mut head = format!("{MAGIC}\nid {}\narrived {}\n", envelope.id, envelope.arrived);
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(head, "{key} {}", one_line(value));
    };
    line("from", &format!("<{}>", shown(envelope.reverse_path.as_ref())));
    if envelope.body == Body::EightBit {
        line("body", "8bit");
    }
    if envelope.utf8 {
        line("utf8", "yes");
    }
    match envelope.ret {
        Some(Ret::Full) => line("ret", "full"),
        Some(Ret::Headers) => line("ret", "headers"),
        None => {}
    }
    if let Some(envid) = &envelope.envid {
        line("envid", envid);
    }
    if let Some(submitter) = &envelope.submitter {
        line("submitter", submitter);
    }
    if envelope.is_list {
        line("list", "yes");
    }
    for to in &envelope.recipients {
        line("to", &recipient(to));
    }
    let _ = write!(head, "octets {octets} {lines}\n\n");
    head
}

/// An event as it is appended.
pub(super) fn line(at: u64, event: &Event) -> String {
    let what = match event {
        Event::State(number, State::Waiting(said)) => match said {
            Some(said) => format!("wait {number} {}", words(said)),
            None => format!("again {number}"),
        },
        Event::State(number, State::Done) => format!("done {number}"),
        Event::State(number, State::Failed(said)) => format!("failed {number} {}", words(said)),
        Event::State(number, State::Reported) => format!("reported {number}"),
        Event::Recipient(to) => format!("to {}", recipient(to)),
        Event::Tried => "tried".into(),
        Event::DelayTold => "delay-told".into(),
        Event::Fresh => "fresh".into(),
    };
    format!("{at} {}\n", one_line(&what))
}

/// All that happened so far, in as few lines as say the same; the head names the first recipients.
pub(super) fn journal(envelope: &Envelope, named: usize, now: u64) -> String {
    let (mut added, mut states) = (String::new(), String::new());
    for to in &envelope.recipients {
        if to.number > named {
            let new = Recipient { state: State::Waiting(None), ..to.clone() };
            added.push_str(&line(now, &Event::Recipient(new)));
        }
        let at = match &to.state {
            State::Waiting(None) => continue,
            State::Waiting(Some(said)) | State::Failed(said) => said.at,
            State::Done | State::Reported => now,
        };
        states.push_str(&line(at, &Event::State(to.number, to.state.clone())));
    }
    let mut journal = added + &states;
    for _ in 0..envelope.attempts {
        journal.push_str(&line(now, &Event::Tried));
    }
    if envelope.is_delay_told {
        journal.push_str(&line(now, &Event::DelayTold));
    }
    journal
}

/// Takes the whole lines behind a letter.
pub(super) fn replay(envelope: &mut Envelope, journal: &str) -> Result<(), String> {
    for line in journal.lines() {
        let fault = || format!("'{line}' is no event");
        let (_, event) = event(line).ok_or_else(fault)?;
        apply(envelope, event).ok_or_else(fault)?;
    }
    Ok(())
}

/// What an event changes.
pub(super) fn apply(envelope: &mut Envelope, event: Event) -> Option<()> {
    match event {
        Event::State(number, state) => {
            envelope.recipients.get_mut(number.checked_sub(1)?)?.state = state;
        }
        Event::Recipient(to) => {
            (to.number == envelope.recipients.len() + 1).then_some(())?;
            envelope.recipients.push(to);
        }
        Event::Tried => envelope.attempts += 1,
        Event::DelayTold => envelope.is_delay_told = true,
        Event::Fresh => envelope.attempts = 0,
    }
    Some(())
}

/// Reads a head; the text ends before the empty line.
pub(super) fn read(text: &str) -> Result<Head, String> {
    let rest = text.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix('\n'));
    let rest = rest.ok_or_else(|| format!("does not begin with '{MAGIC}'"))?;
    let mut envelope = Envelope::new(String::new(), 0, None);
    let mut sizes = None;
    for line in rest.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let understood = match key {
            "octets" => two_numbers(value).map(|numbers| sizes = Some(numbers)),
            _ => field(&mut envelope, key, value),
        };
        understood.ok_or_else(|| format!("'{line}' is no line of an envelope"))?;
    }
    match sizes {
        Some((octets, lines)) if !envelope.id.is_empty() => Ok(Head { envelope, octets, lines }),
        _ => Err("the id or the octets are missing".into()),
    }
}

fn field(envelope: &mut Envelope, key: &str, value: &str) -> Option<()> {
    match (key, value) {
        ("id", id) => envelope.id = id.into(),
        ("arrived", seconds) => envelope.arrived = seconds.parse().ok()?,
        ("from", path) => {
            let mut cursor = Cursor::new(path.as_bytes());
            envelope.reverse_path = written_path(&mut cursor).ok().filter(|_| cursor.at_end())?;
        }
        ("body", "8bit") => envelope.body = Body::EightBit,
        ("utf8", "yes") => envelope.utf8 = true,
        ("ret", "full") => envelope.ret = Some(Ret::Full),
        ("ret", "headers") => envelope.ret = Some(Ret::Headers),
        ("envid", envid) => envelope.envid = Some(envid.into()),
        ("list", "yes") => envelope.is_list = true,
        ("submitter", name) => envelope.submitter = Some(name.into()),
        ("to", text) => apply(envelope, Event::Recipient(read_recipient(text)?))?,
        _ => return None,
    }
    Some(())
}

/// `1 notify=failure,delay orcpt=rfc822;a@b owner=luis <luis@example.test> |/usr/bin/prog`
fn recipient(to: &Recipient) -> String {
    let mut text = to.number.to_string();
    if let Some(notify) = to.notify {
        let wanted = [
            (notify.success, "success"),
            (notify.failure, "failure"),
            (notify.delay, "delay"),
            (notify == Notify { success: false, failure: false, delay: false }, "never"),
        ];
        let words: Vec<_> = wanted.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        let _ = write!(text, " notify={}", words.join(","));
    }
    if let Some(orcpt) = &to.orcpt {
        let _ = write!(text, " orcpt={orcpt}");
    }
    if let Goal::Program(_, Some(owner)) | Goal::File(_, Some(owner)) = &to.goal {
        let _ = write!(text, " owner={owner}");
    }
    if let Goal::User(name) = &to.goal {
        let _ = write!(text, " user={name}");
    }
    if let Some(sender) = &to.sender {
        let _ = write!(text, " from <{sender}>");
    }
    let _ = write!(text, " <{}>", to.path);
    match &to.goal {
        Goal::Address | Goal::User(_) => {}
        Goal::Program(command, _) => {
            let _ = write!(text, " |{command}");
        }
        Goal::File(path, _) => {
            let _ = write!(text, " {path}");
        }
    }
    text
}

fn read_recipient(text: &str) -> Option<Recipient> {
    let (number, mut rest) = text.split_once(' ')?;
    let (mut notify, mut orcpt, mut owner, mut user, mut sender) = (None, None, None, None, None);
    while !rest.starts_with('<') {
        let (word, after) = rest.split_once(' ')?;
        if word == "from" {
            let mut cursor = Cursor::new(after.as_bytes());
            sender = Some(written_path(&mut cursor).ok()??);
            rest = std::str::from_utf8(cursor.rest()).ok()?.strip_prefix(' ')?;
            continue;
        }
        match word.split_once('=')? {
            ("notify", words) => notify = Some(read_notify(words)?),
            ("orcpt", address) => orcpt = Some(address.to_owned()),
            ("owner", name) => owner = Some(name.to_owned()),
            ("user", name) => user = Some(name.to_owned()),
            _ => return None,
        }
        rest = after;
    }
    let mut cursor = Cursor::new(rest.as_bytes());
    let path = written_path(&mut cursor).ok()??;
    let goal = match std::str::from_utf8(cursor.rest()).ok()?.strip_prefix(' ') {
        None => user.map_or(Goal::Address, Goal::User),
        Some(goal) => match goal.strip_prefix('|') {
            Some(command) => Goal::Program(command.into(), owner),
            None => Goal::File(goal.into(), owner),
        },
    };
    let state = State::Waiting(None);
    Some(Recipient { number: number.parse().ok()?, path, goal, notify, orcpt, sender, state })
}

fn read_notify(words: &str) -> Option<Notify> {
    let mut notify = Notify::default();
    for word in words.split(',') {
        match word {
            "success" => notify.success = true,
            "failure" => notify.failure = true,
            "delay" => notify.delay = true,
            "never" => {}
            _ => return None,
        }
    }
    Some(notify)
}

/// `4.4.1 mx.aula.test 421 too busy`; `-` where no other host spoke.
fn words(said: &Said) -> String {
    let host = said.host.as_deref().filter(|host| !host.is_empty()).unwrap_or("-");
    let text = &said.text[..said.text.floor_char_boundary(limits::SAID)];
    format!("{} {} {text}", said.status, host.replace(' ', "_"))
}

fn event(line: &str) -> Option<(u64, Event)> {
    let (at, rest) = line.split_once(' ')?;
    let at = at.parse().ok()?;
    let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
    let number = || first.parse::<usize>().ok();
    let said = || {
        let mut words = more.splitn(3, ' ');
        let (status, host) = (words.next()?.to_owned(), words.next()?);
        let host = Some(host.to_owned()).filter(|host| host != "-");
        Some(Said { at, status, host, text: words.next().unwrap_or_default().to_owned() })
    };
    let event = match word {
        "wait" => Event::State(number()?, State::Waiting(Some(said()?))),
        "again" => Event::State(number()?, State::Waiting(None)),
        "done" => Event::State(number()?, State::Done),
        "failed" => Event::State(number()?, State::Failed(said()?)),
        "reported" => Event::State(number()?, State::Reported),
        "to" => Event::Recipient(read_recipient(rest)?),
        "tried" => Event::Tried,
        "delay-told" => Event::DelayTold,
        "fresh" => Event::Fresh,
        _ => return None,
    };
    Some((at, event))
}

fn two_numbers(text: &str) -> Option<(u64, u64)> {
    let (first, second) = text.split_once(' ')?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

fn shown(mailbox: Option<&Mailbox>) -> String {
    mailbox.map_or(String::new(), ToString::to_string)
}

/// Whatever a peer or a file said stays one line.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::forward_path;

    fn mailbox(text: &str) -> Mailbox {
        forward_path(&mut Cursor::new(text.as_bytes())).unwrap()
    }

    fn letter() -> Envelope {
        let mut envelope =
            Envelope::new("06k1-1".into(), 1_795_230_000, Some(mailbox("ana@aula.test")));
        envelope.body = Body::EightBit;
        envelope.utf8 = true;
        envelope.ret = Some(Ret::Headers);
        envelope.envid = Some("QQ+2B1".into());
        envelope.submitter = Some("ana".into());
        envelope.is_list = true;
        envelope.add(mailbox("\"luis \\\"x\\\" y\"@example.test"));
        let to = envelope.add(mailbox("josé@example.test"));
        to.notify = Some(Notify { success: true, failure: true, delay: false });
        to.orcpt = Some("rfc822;jose@example.test".into());
        let to = envelope.add(mailbox("luis@example.test"));
        to.notify = Some(Notify::default());
        to.goal = Goal::Program("/usr/bin/vacation -a \"x y\" <z>".into(), Some("luis".into()));
        envelope.add(mailbox("log@example.test")).goal = Goal::File("/var/log/a b".into(), None);
        let to = envelope.add(mailbox("eva@example.test"));
        to.goal = Goal::User("eva".into());
        to.sender = Some(mailbox("\"owner a\"@example.test"));
        envelope
    }

    #[test]
    fn what_is_written_is_read() {
        let envelope = letter();
        let text = head(&envelope, 1234, 56);
        let read = read(text.strip_suffix("\n").unwrap()).unwrap();
        assert_eq!(read, Head { envelope, octets: 1234, lines: 56 });
        let bounce = Envelope::new("b".into(), 1, None);
        let text = head(&bounce, 0, 0);
        assert_eq!(super::read(text.strip_suffix("\n").unwrap()).unwrap().envelope, bounce);
    }

    #[test]
    fn what_happened_is_read() {
        let said = |text: &str, host: Option<&str>| Said {
            at: 9,
            status: "4.4.1".into(),
            host: host.map(Into::into),
            text: text.into(),
        };
        let mut added = Recipient::new(6, mailbox("eva@aula.test"));
        added.orcpt = Some("rfc822;staff@example.test".into());
        let events = [
            Event::State(1, State::Waiting(Some(said("450 later, please", Some("mx.aula.test"))))),
            Event::State(2, State::Done),
            Event::State(3, State::Failed(said("", None))),
            Event::Recipient(added),
            Event::Tried,
            Event::Fresh,
            Event::Tried,
            Event::DelayTold,
            Event::State(6, State::Reported),
        ];
        let mut expected = letter();
        let mut journal = String::new();
        for event in events {
            journal.push_str(&line(9, &event));
            apply(&mut expected, event).unwrap();
        }
        let mut envelope = letter();
        replay(&mut envelope, &journal).unwrap();
        assert_eq!(envelope, expected);
        assert_eq!(envelope.attempts, 1);
        assert!(envelope.is_delay_told && !envelope.is_finished());
        let mut again = letter();
        replay(&mut again, &super::journal(&envelope, 5, 10)).unwrap();
        assert_eq!(again, envelope, "in fewer lines");
    }

    #[test]
    fn nothing_that_is_said_ends_a_line() {
        let said =
            Said { at: 9, status: "5.0.0".into(), host: None, text: "550 a\r\n9 done 2".into() };
        let text = line(9, &Event::State(1, State::Failed(said)));
        assert_eq!(text.matches('\n').count(), 1);
        let mut envelope = letter();
        replay(&mut envelope, &text).unwrap();
        assert!(envelope.recipients[1].is_waiting());
    }

    #[test]
    fn what_is_damaged_is_told() {
        for (text, told) in [
            ("", "does not begin"),
            ("buzon-queue 1\nid a\n", "missing"),
            ("buzon-queue 1\nid a\nto 2 <a@b>\n", "'to 2 <a@b>' is no line"),
            ("buzon-queue 1\nfrom <a@b\n", "'from <a@b' is no line"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text:?}: {error}");
        }
        for journal in ["x done 1\n", "9 done 7\n", "9 gone 1\n", "9 to 9 <a@b>\n", "9 done 0\n"] {
            assert!(replay(&mut letter(), journal).is_err(), "{journal:?}");
        }
    }
}
