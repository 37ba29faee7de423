//! A dialogue held with any server, going on after a difference.
//!
//! Where the player of the tests stops at the first line that is not as written, this one reads
//! whole replies as the protocol has them, and keeps in step: text is not sent to a server that
//! did not ask for it (no 354, no challenge), and a server that asked though the file did not
//! expect it is brought back by `.` or `*`. What it hears is an `Exchange` for each group of `S:`
//! rows, the same groups for every server, so that two records can be laid side by side.

use super::compare::{code, first_difference};
use super::script::{Act, Protocol, Script, Service, Step};
use super::talk::{GREETING, Talk};
use super::text::{Captures, Text};
use crate::net::client::{Client, Line};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Where services are: `HOST:PORT`, and `SERVICE=HOST:PORT`, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Vec<(Option<String>, String)>);

impl Target {
    /// Reads an argument; `None` if it is no address.
    pub fn parse(argument: &str) -> Option<Target> {
        let places = argument.split(',').map(|place| {
            let (service, address) = match place.split_once('=') {
                Some((service, address)) => (Some(service.to_string()), address),
                None => (None, place),
            };
            let (host, port) = address.rsplit_once(':')?;
            (!host.is_empty() && port.parse::<u16>().is_ok())
                .then(|| (service, address.to_string()))
        });
        places.collect::<Option<_>>().map(Target)
    }

    /// An address without a service is for the language that the dialogue begins with.
    fn address(&self, service: Service, first: Option<Protocol>) -> Option<&str> {
        let named = self.0.iter().find(|(name, _)| name.as_deref() == Some(service.name));
        let any = self.0.iter().find(|(name, _)| name.is_none());
        let any = any.filter(|_| first == Some(service.protocol));
        named.or(any).map(|(_, address)| address.as_str())
    }
}

/// What was said, and what came of it.
pub struct Exchange<'a> {
    /// The line of the file that is spoken of: the last one said, or the first expected.
    pub line: usize,
    /// The lines said, as the file has them.
    pub said: Vec<&'a Step>,
    /// The rows that tell what is expected.
    pub rows: Vec<&'a Step>,
    /// The lines that came.
    pub got: Vec<Vec<u8>>,
    /// The language they are in.
    pub protocol: Protocol,
    /// The server's own name for itself, if it told it.
    pub host: String,
    /// What happened besides: the end of the connection, silence, things not sent.
    pub notes: Vec<String>,
    /// The first row that is not as written.
    pub difference: Option<&'a Step>,
    /// There was no connection before it: whatever is missing follows from that.
    pub dead: bool,
}

/// What a replay tells as it goes.
pub enum Event<'e, 'a> {
    /// A comment or a line about the site, which is for its owner to see to.
    Line(&'a Step),
    /// A group of rows was answered, or not.
    Exchange(&'e Exchange<'a>),
}

struct Replay<'a, 't> {
    script: &'a Script,
    target: &'t Target,
    patience: Duration,
    talks: HashMap<usize, Talk<'a>>,
    captures: Captures,
    exchanges: Vec<Exchange<'a>>,
    /// What happened before the first exchange of a connection.
    notes: Vec<String>,
}

/// Holds the dialogue; `tell` hears of everything as it happens.
pub fn replay<'a>(
    script: &'a Script,
    target: &Target,
    patience: Duration,
    tell: &mut dyn FnMut(Event<'_, 'a>),
) -> Vec<Exchange<'a>> {
    let mut replay = Replay {
        script,
        target,
        patience,
        talks: HashMap::new(),
        captures: Captures::new(),
        exchanges: Vec::new(),
        notes: Vec::new(),
    };
    let mut at = 0;
    while at < script.steps.len() {
        let told = replay.exchanges.len();
        at += replay.step(at, tell);
        for exchange in &replay.exchanges[told..] {
            tell(Event::Exchange(exchange));
        }
    }
    replay.exchanges
}

impl<'a> Replay<'a, '_> {
    /// Plays the step at `at` and those that belong to it; how many they are.
    fn step(&mut self, at: usize, tell: &mut dyn FnMut(Event<'_, 'a>)) -> usize {
        let step = &self.script.steps[at];
        match &step.act {
            Act::Server(_, service, n) => self.connect(*n, *service, step),
            Act::Send(n, text) => self.send(*n, step, text, b"\r\n"),
            Act::SendRaw(n, text) => self.send(*n, step, text, b""),
            Act::Expect(n, _)
            | Act::ExpectAmong(n, _)
            | Act::Literal(n, _)
            | Act::LiteralFile(n, _) => return self.answers(*n, at),
            Act::Silence(n, time) => self.silence(*n, *time, step),
            Act::Within(_) => {}
            Act::Tls(n) => self.tls(*n),
            Act::Closed(n) => self.closed(*n, step),
            _ => tell(Event::Line(step)),
        }
        1
    }

    fn connect(&mut self, n: usize, service: Service, step: &'a Step) {
        let first = self.script.steps.iter().find_map(|step| match step.act {
            Act::Server(_, service, _) => Some(service.protocol),
            _ => None,
        });
        let client = match self.target.address(service, first) {
            None => Err(format!("no address for {}", service.name)),
            Some(address) => Client::connect(address, self.patience)
                .map_err(|error| format!("{address}: {error}")),
        };
        let client = client.and_then(|mut client| {
            if service.implicit_tls {
                let deadline = Instant::now() + self.patience;
                client.start_tls(deadline).map_err(|error| error.to_string())?;
            }
            Ok(client)
        });
        let client = client.map_err(|fault| self.notes.push(fault)).ok();
        let talk = Talk {
            client,
            protocol: service.protocol,
            host: String::new(),
            said: vec![step],
            pending: vec![GREETING.into()],
            raw: false,
            muted: None,
        };
        self.talks.insert(n, talk);
    }

    fn send(&mut self, n: usize, step: &'a Step, text: &Text, end: &[u8]) {
        let directory = self.script.path.parent().unwrap_or(Path::new("."));
        let octets = text.octets(&self.captures, directory);
        let Some(talk) = self.talks.get_mut(&n) else { return };
        talk.said.push(step);
        let mut octets = match octets {
            Ok(octets) => octets,
            Err(fault) => {
                self.notes.push(fault);
                talk.muted = Some("cannot be said");
                return;
            }
        };
        octets.extend(end);
        if talk.muted.is_some() {
            return;
        }
        talk.raw |= end.is_empty();
        for line in octets.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
            talk.pending.push(String::from_utf8_lossy(line).trim().to_string());
        }
        let sent = talk.client.as_mut().map(|client| client.write(&octets));
        if sent.is_some_and(|sent| sent.is_err()) {
            talk.client = None;
        }
    }

    /// A group of rows is answered; how many steps it has.
    fn answers(&mut self, n: usize, at: usize) -> usize {
        let (rows, count) = self.rows(n, at);
        let directory = self.script.path.parent().unwrap_or(Path::new("."));
        let mut notes = std::mem::take(&mut self.notes);
        let next = self.script.steps[at + count..].first().map(|step| &step.act);
        let Some(talk) = self.talks.get_mut(&n) else { return count };
        let dead = talk.client.is_none() && !talk.is_new();
        let muted = talk.muted.take();
        let mut got = Vec::new();
        if let Some(reason) = muted {
            notes.push(format!("not sent: {reason}"));
        } else {
            got = talk.read(&rows, self.patience, &mut notes, &self.captures, directory);
        }
        talk.keep_step(&rows, &got, self.patience, &mut notes);
        let said = std::mem::take(&mut talk.said);
        let starts = said.last().is_some_and(|step| starts_tls(&step.source));
        if starts && is_positive(&got) && !matches!(next, Some(Act::Tls(_))) {
            talk.start_tls(self.patience, &mut notes);
        }
        let difference = match muted {
            Some(_) => rows.first().copied(),
            None => {
                let own = own_name(self.script);
                let lines: Vec<Vec<u8>> =
                    got.iter().map(|line| rename(line, &talk.host, &own)).collect();
                first_difference(&rows, &lines, &mut self.captures, directory)
            }
        };
        let line = said.last().or(rows.first()).map_or(0, |step| step.line);
        let exchange = exchange(talk, line, said, rows);
        self.exchanges.push(Exchange { got, notes, difference, dead, ..exchange });
        count
    }

    /// The rows at `at` and behind it, up to the next line that is no row of this connection and
    /// no comment; and how many steps they are, comments between them included.
    fn rows(&self, n: usize, at: usize) -> (Vec<&'a Step>, usize) {
        let mut rows = Vec::new();
        let mut count = 0;
        for (ahead, step) in self.script.steps[at..].iter().enumerate() {
            match &step.act {
                Act::Comment => continue,
                Act::Expect(m, _) | Act::ExpectAmong(m, _) if *m == n => rows.push(step),
                Act::Literal(m, _) | Act::LiteralFile(m, _) if *m == n => rows.push(step),
                _ => break,
            }
            count = ahead + 1;
        }
        (rows, count)
    }

    fn silence(&mut self, n: usize, time: Duration, step: &'a Step) {
        let deadline = Instant::now() + time;
        let read = self.talks.get_mut(&n).and_then(|talk| talk.client.as_mut());
        let read = read.map_or(Ok(Line::Closed), |client| client.read_line(deadline));
        let (got, note) = match read {
            Ok(Line::Late) => (Vec::new(), None),
            Ok(Line::Text(line, _)) => (vec![line], Some("silence was expected".to_string())),
            Ok(Line::Closed) => (Vec::new(), Some("(closed)".to_string())),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        self.note_end(n, step, got, note, false);
    }

    fn closed(&mut self, n: usize, step: &'a Step) {
        let deadline = Instant::now() + self.patience;
        let mut got = Vec::new();
        let note = loop {
            let talk = self.talks.get_mut(&n).and_then(|talk| talk.client.as_mut());
            match talk.map_or(Ok(Line::Closed), |client| client.read_line(deadline)) {
                Ok(Line::Closed) | Err(_) => break None,
                Ok(Line::Text(line, _)) => got.push(line),
                Ok(Line::Late) => break Some("the server does not hang up".to_string()),
            }
        };
        self.note_end(n, step, got, note, true);
        if let Some(talk) = self.talks.get_mut(&n) {
            talk.client = None;
        }
    }

    /// An exchange that is no reply: silence, or the end.
    fn note_end(
        &mut self,
        n: usize,
        step: &'a Step,
        got: Vec<Vec<u8>>,
        note: Option<String>,
        ends: bool,
    ) {
        let Some(talk) = self.talks.get_mut(&n) else { return };
        let dead = !ends && talk.client.is_none();
        let mut notes = std::mem::take(&mut self.notes);
        let difference = note.is_some().then_some(step);
        notes.extend(note);
        let said = std::mem::take(&mut talk.said);
        let exchange = exchange(talk, step.line, said, vec![step]);
        self.exchanges.push(Exchange { got, notes, difference, dead, ..exchange });
    }

    fn tls(&mut self, n: usize) {
        let Some(last) = self.exchanges.last() else { return };
        let positive = is_positive(&last.got);
        let Some(talk) = self.talks.get_mut(&n) else { return };
        if positive {
            talk.start_tls(self.patience, &mut self.notes);
        } else {
            self.notes.push("no handshake: the server did not agree".into());
        }
    }
}

/// What was said, before anything came of it.
fn exchange<'a>(
    talk: &Talk<'a>,
    line: usize,
    said: Vec<&'a Step>,
    rows: Vec<&'a Step>,
) -> Exchange<'a> {
    Exchange {
        line,
        said,
        rows,
        got: Vec::new(),
        protocol: talk.protocol,
        host: talk.host.clone(),
        notes: Vec::new(),
        difference: None,
        dead: false,
    }
}

fn starts_tls(source: &str) -> bool {
    let upper = source.to_ascii_uppercase();
    upper.contains("STARTTLS") || upper.contains("STLS")
}

fn is_positive(got: &[Vec<u8>]) -> bool {
    got.last().is_some_and(|line| {
        line.starts_with(b"220")
            || line.starts_with(b"+OK")
            || code(Protocol::Imap, line).is_some_and(|code| code == "OK")
    })
}

/// The name that the file expects the server to have.
fn own_name(script: &Script) -> String {
    let site = script.steps.iter().find_map(|step| match &step.act {
        Act::Site(name) => Some(name.clone()),
        Act::Set(key, value) if key == "hostname" => Some(value.clone()),
        _ => None,
    });
    site.unwrap_or_else(|| "mail.example.test".into())
}

/// A line with the server's name replaced by the one the file has.
fn rename(line: &[u8], host: &str, own: &str) -> Vec<u8> {
    if host.is_empty() {
        return line.to_vec();
    }
    String::from_utf8_lossy(line).replace(host, own).into_bytes()
}
