//! A dialogue held line by line: the first line that is not as written ends it.
//!
//! The player knows connections only. Who calls it furnishes the site and knows where the servers
//! are; each step that concerns a connection is handed to `step`. A failure names file and line,
//! what was expected, what came, and the last lines of that connection.

use super::script::{Act, Script, Service};
use super::text::{Captures, Text};
use crate::limits;
use crate::net::client::{Client, Line};
use crate::sys;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an expected line may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Lines of a connection that a failure shows.
const SHOWN: usize = 12;

/// The connections of one dialogue and what was captured.
pub struct Player<'a> {
    script: &'a Script,
    connections: HashMap<usize, Connection>,
    captures: Captures,
    patience: Duration,
    /// Lines of the last program that were not yet expected, and whether they may pass.
    output: VecDeque<Vec<u8>>,
    passing: bool,
}

struct Connection {
    client: Client,
    /// The last lines, both directions, as shown on a failure.
    said: Vec<String>,
    /// `S: ...` was read: lines may pass until one is as expected.
    skipping: bool,
    /// Rows of `S&` that wait for their line.
    among: Vec<Text>,
}

impl<'a> Player<'a> {
    /// Nothing connected yet.
    pub fn new(script: &'a Script) -> Player<'a> {
        Player {
            script,
            connections: HashMap::new(),
            captures: Captures::new(),
            patience: PATIENCE,
            output: VecDeque::new(),
            passing: false,
        }
    }

    /// What was taken so far.
    pub fn captures(&self) -> &Captures {
        &self.captures
    }

    /// Takes what others took.
    pub fn learn(&mut self, captures: Captures) {
        self.captures.extend(captures);
    }

    /// A text outside of connections, computed.
    pub fn computed(&self, source: &str) -> Result<String, String> {
        let octets = Text::line(source)?.octets(&self.captures, self.directory())?;
        Ok(String::from_utf8_lossy(&octets).into_owned())
    }

    /// What a program said; rows of `O:` expect it.
    pub fn said(&mut self, output: &[u8]) {
        let whole = output.strip_suffix(b"\n").unwrap_or(output);
        let lines = whole.split(|octet| *octet == b'\n').map(<[u8]>::to_vec);
        self.output = lines.filter(|_| !output.is_empty()).collect();
        self.passing = false;
    }

    /// Plays one step that is not about furnishing; `at` is its index in the script.
    pub fn step(&mut self, at: usize) -> Result<(), String> {
        let step = &self.script.steps[at];
        let done = match &step.act {
            Act::Send(n, text) => self.send(*n, text, b"\r\n"),
            Act::SendRaw(n, text) => self.send(*n, text, b""),
            Act::Expect(n, text) => self.expect(*n, text),
            Act::ExpectAmong(n, text) => self.expect_among(*n, text, at),
            Act::Literal(n, text) => {
                text.octets(&self.captures, self.directory()).and_then(|o| self.literal(*n, &o))
            }
            Act::LiteralFile(n, file) => {
                let path = self.directory().join(file);
                sys::file::read(&path, limits::TABLE_FILE)
                    .map_err(|error| format!("{}: {error}", path.display()))
                    .and_then(|octets| self.literal(*n, &octets))
            }
            Act::Silence(n, time) => self.silence(*n, *time),
            Act::Within(time) => {
                self.patience = *time;
                Ok(())
            }
            Act::Tls(n) => self.tls(*n),
            Act::Closed(n) => self.closed(*n),
            Act::Output(text) => self.output(text),
            _ => Err("is no line for a connection".into()),
        };
        done.map_err(|failure| self.failure(at, &failure))
    }

    /// A failure at a step, with file, line and the last lines of its connection.
    pub fn failure(&self, at: usize, what: &str) -> String {
        let step = &self.script.steps[at];
        let mut text = format!("{}:{}: {what}", self.script.path.display(), step.line);
        let said = connection(&step.act).and_then(|n| self.connections.get(&n));
        for line in said.iter().flat_map(|connection| &connection.said) {
            text.push_str("\n    ");
            text.push_str(line);
        }
        text
    }

    /// Connects as connection `n`; one that had the number is closed.
    pub fn connect(&mut self, n: usize, service: Service, address: &str) -> Result<(), String> {
        self.connections.remove(&n);
        let client = Client::connect(address, PATIENCE)
            .map_err(|error| format!("{} at {address}: {error}", service.name))?;
        let connection =
            Connection { client, said: Vec::new(), skipping: false, among: Vec::new() };
        self.connections.insert(n, connection);
        if service.implicit_tls { self.tls(n) } else { Ok(()) }
    }

    fn directory(&self) -> &'a Path {
        self.script.path.parent().unwrap_or(Path::new("."))
    }

    fn connection(&mut self, n: usize) -> Result<&mut Connection, String> {
        self.connections.get_mut(&n).ok_or_else(|| format!("connection {n} was never made"))
    }

    fn send(&mut self, n: usize, text: &Text, end: &[u8]) -> Result<(), String> {
        let mut octets = text.octets(&self.captures, self.directory())?;
        octets.extend(end);
        let connection = self.connection(n)?;
        connection.note('C', &octets);
        connection.client.write(&octets).map_err(|error| format!("cannot send: {error}"))
    }

    fn expect(&mut self, n: usize, text: &Text) -> Result<(), String> {
        if text.is_anything() {
            self.connection(n)?.skipping = true;
            return Ok(());
        }
        let deadline = Instant::now() + std::mem::replace(&mut self.patience, PATIENCE);
        let directory = self.directory();
        loop {
            let connection = self.connection(n)?;
            let line = connection
                .line(deadline)?
                .map_err(|what| format!("expected {}, got {what}", text.source))?;
            let skipping = connection.skipping;
            if text.matches(&line, &mut self.captures, directory)? {
                self.connection(n)?.skipping = false;
                return Ok(());
            }
            if !skipping {
                return Err(format!("expected {}, got {}", text.source, shown(&line)));
            }
        }
    }

    /// Rows of `S&` are gathered; the last of them reads.
    fn expect_among(&mut self, n: usize, text: &Text, at: usize) -> Result<(), String> {
        let connection = self.connection(n)?;
        connection.among.push(text.clone());
        let rest = &self.script.steps[at + 1..];
        let next = rest.iter().find(|step| !matches!(step.act, Act::Comment));
        if next.is_some_and(|step| matches!(step.act, Act::ExpectAmong(other, _) if other == n)) {
            return Ok(());
        }
        let mut rows = std::mem::take(&mut self.connection(n)?.among);
        let deadline = Instant::now() + std::mem::replace(&mut self.patience, PATIENCE);
        let directory = self.directory();
        while !rows.is_empty() {
            let line = self.connection(n)?.line(deadline)?.map_err(|what| {
                let missing: Vec<&str> = rows.iter().map(|row| row.source.as_str()).collect();
                format!("expected {}, got {what}", missing.join(" and "))
            })?;
            strike(&mut rows, |row| row.matches(&line, &mut self.captures, directory))?;
        }
        Ok(())
    }

    fn literal(&mut self, n: usize, expected: &[u8]) -> Result<(), String> {
        let deadline = Instant::now() + std::mem::replace(&mut self.patience, PATIENCE);
        let connection = self.connection(n)?;
        let octets = connection
            .client
            .read_octets(expected.len(), deadline)
            .map_err(|error| error.to_string())?;
        connection.note('S', &octets);
        if octets == expected {
            return Ok(());
        }
        let same = octets.iter().zip(expected).take_while(|(a, b)| a == b).count();
        Err(format!("expected {} octets, got others from octet {same} on", expected.len()))
    }

    fn silence(&mut self, n: usize, time: Duration) -> Result<(), String> {
        let connection = self.connection(n)?;
        match connection.client.read_line(Instant::now() + time) {
            Ok(Line::Late) => Ok(()),
            Ok(Line::Closed) => Err("expected silence, got the end of the connection".into()),
            Ok(Line::Text(line, _)) => Err(format!("expected silence, got {}", shown(&line))),
            Err(error) => Err(error.to_string()),
        }
    }

    fn output(&mut self, text: &Text) -> Result<(), String> {
        if text.is_anything() {
            self.passing = true;
            return Ok(());
        }
        let directory = self.directory();
        while let Some(line) = self.output.pop_front() {
            if text.matches(&line, &mut self.captures, directory)? {
                self.passing = false;
                return Ok(());
            }
            if !self.passing {
                return Err(format!("expected {}, got {}", text.source, shown(&line)));
            }
        }
        Err(format!("expected {}, got the end of the output", text.source))
    }

    fn tls(&mut self, n: usize) -> Result<(), String> {
        let connection = self.connection(n)?;
        connection.said.push("-- TLS --".into());
        connection.client.start_tls(Instant::now() + PATIENCE).map_err(|error| error.to_string())
    }

    fn closed(&mut self, n: usize) -> Result<(), String> {
        let deadline = Instant::now() + std::mem::replace(&mut self.patience, PATIENCE);
        let connection = self.connection(n)?;
        loop {
            match connection.client.read_line(deadline) {
                Ok(Line::Closed) => return Ok(()),
                Ok(Line::Text(line, _)) if connection.skipping => connection.note('S', &line),
                Ok(Line::Text(line, _)) => {
                    return Err(format!("expected the end, got {}", shown(&line)));
                }
                Ok(Line::Late) => return Err("expected the end, the server is waiting".into()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl Connection {
    /// A line, or in words what came instead; the outer error is the network's.
    fn line(&mut self, deadline: Instant) -> Result<Result<Vec<u8>, String>, String> {
        let line = self.client.read_line(deadline).map_err(|error| error.to_string())?;
        Ok(match line {
            Line::Text(line, true) => {
                self.note('S', &line);
                Ok(line)
            }
            // RFC 5321 §2.3.8, RFC 1939 §3: a server's lines end in CRLF.
            Line::Text(line, false) => Err(format!("{} with a bare LF as its end", shown(&line))),
            Line::Closed => Err("the end of the connection".into()),
            Line::Late => Err("nothing in time".into()),
        })
    }

    fn note(&mut self, who: char, octets: &[u8]) {
        if self.said.len() == SHOWN {
            self.said.remove(0);
        }
        let octets = octets.strip_suffix(b"\r\n").unwrap_or(octets);
        self.said.push(format!("{who}: {}", shown(octets)));
    }
}

/// Takes away the rows that a line satisfies; of rows that are the same, one.
pub(super) fn strike(
    rows: &mut Vec<Text>,
    mut fits: impl FnMut(&Text) -> Result<bool, String>,
) -> Result<(), String> {
    let mut struck: Vec<Text> = Vec::new();
    let mut kept = Vec::new();
    for row in rows.drain(..) {
        if !struck.contains(&row) && fits(&row)? {
            struck.push(row);
        } else {
            kept.push(row);
        }
    }
    *rows = kept;
    Ok(())
}

/// The connection a step is about.
fn connection(act: &Act) -> Option<usize> {
    match act {
        Act::Send(n, _)
        | Act::SendRaw(n, _)
        | Act::Expect(n, _)
        | Act::ExpectAmong(n, _)
        | Act::Literal(n, _)
        | Act::LiteralFile(n, _)
        | Act::Silence(n, _)
        | Act::Tls(n)
        | Act::Closed(n)
        | Act::Server(_, _, n) => Some(*n),
        _ => None,
    }
}

/// Octets for people: control characters escaped, long lines cut.
pub fn shown(octets: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(octets)
        .chars()
        .flat_map(|c| {
            let plain = !c.is_control();
            let escaped = (!plain).then(|| c.escape_default()).into_iter().flatten();
            plain.then_some(c).into_iter().chain(escaped)
        })
        .take(201)
        .collect();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}[...]", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::script;
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    /// A server that answers each line it knows.
    fn server(answers: &'static [(&'static str, &'static str)]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(b"220 here <1.2@h>\r\n").unwrap();
            for line in BufReader::new(peer.try_clone().unwrap()).lines() {
                let line = line.unwrap();
                let answer = answers.iter().find(|(said, _)| *said == line);
                peer.write_all(answer.map_or("500 what?\r\n", |(_, answer)| answer).as_bytes())
                    .unwrap();
                if line == "QUIT" {
                    return;
                }
            }
        });
        address
    }

    fn play(text: &str, address: &str) -> Result<(), String> {
        let script = script::parse(Path::new("d.txt"), text).unwrap();
        let mut player = Player::new(&script);
        for (at, step) in script.steps.iter().enumerate() {
            match &step.act {
                Act::Comment => {}
                Act::Server(_, service, n) => player.connect(*n, *service, address)?,
                _ => player.step(at)?,
            }
        }
        Ok(())
    }

    const ANSWERS: &[(&str, &str)] = &[
        ("EHLO x", "250-h\r\n250-B\r\n250-A\r\n250 HELP\r\n"),
        ("WHO <1.2@h>", "250 <1.2@h>\r\n"),
        ("BARE", "250 x\n"),
        ("LIT", "{4}\r\na\r\nb)\r\n"),
        ("QUIT", "221 bye\r\n"),
    ];

    #[test]
    fn a_dialogue_as_written() {
        for text in [
            "S: 220 ... %{stamp}\nC: WHO %{stamp}\nS: 250 %{stamp}\nC: QUIT\nS: 221 ...\nclosed\n",
            "S: ...\nS: 220...\nC: EHLO x\nS: ...\nS: 250 HELP\nS- 20ms\nC: QUIT\nS: ...\nclosed\n",
            "S: 220...\nC: EHLO x\nS& 250-A\nS& 250-B\n# then\nS& 250 ...\nC! QUIT\\r\\n\nS: 221...\n",
            "S: 220...\nC: EHLO x\nS& 250...HELP\nS& 250...A\nS& 250 ...\nC: QUIT\nS: 221...\n",
            "S: 220...\nC: LIT\nS: {4}\nS{ a\\r\\nb\nS: )\nwithin 5s\nC: WHAT\nS: 500 what?\n",
        ] {
            play(&format!("server smtp\n{text}"), &server(ANSWERS)).unwrap();
        }
    }

    #[test]
    fn a_difference_ends_it() {
        for (text, failure) in [
            (
                "S: 221 ...",
                "d.txt:2: expected 221 ..., got 220 here <1.2@h>\n    S: 220 here <1.2@h>",
            ),
            (
                "S: 220...\nwithin 30ms\nS: x",
                "d.txt:4: expected x, got nothing in time\n    S: 220 here <1.2@h>",
            ),
            ("S: ...\nC: QUIT\nS: x", "d.txt:4: expected x, got the end of the connection"),
            ("S: 220...\nC: BARE\nS: 250 x", "d.txt:4: expected 250 x, got 250 x with a bare LF"),
            ("S- 10s", "d.txt:2: expected silence, got 220 here <1.2@h>"),
            ("closed", "d.txt:2: expected the end, got 220 here <1.2@h>"),
            ("S: 220...\nwithin 30ms\nclosed", "d.txt:4: expected the end, the server is waiting"),
            ("2C: x", "d.txt:2: connection 2 was never made"),
            (
                "S: 220...\nC: LIT\nS: {4}\nS{ axxb",
                "d.txt:5: expected 4 octets, got others from octet 1 on",
            ),
            (
                "S: 220...\nC: EHLO x\nwithin 50ms\nS& 250 HELP\nS& 250 Z",
                "d.txt:6: expected 250 Z, got nothing in time",
            ),
        ] {
            let text = format!("server smtp\n{text}\n");
            let got = play(&text, &server(ANSWERS)).unwrap_err();
            assert!(got.starts_with(failure), "{got}");
        }
    }

    #[test]
    fn octets_are_shown_for_people() {
        assert_eq!(shown("a\r\n\0ñ".as_bytes()), "a\\r\\n\\u{0}ñ");
        assert_eq!(shown(&[b'x'; 300]).len(), 205);
    }
}
