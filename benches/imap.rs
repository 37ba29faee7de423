//! A client of any IMAP server that is timed: commands one after the other, letters appended,
//! sessions opened and left, sessions that wait.
//!
//! An answer is read in large pieces and looked at only for its tagged line, so that what is
//! measured is the server.

use super::{Client, Done, counted, letter};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use std::io::{self, BufReader, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Longer than any tagged line of a server.
const LINE: usize = 4096;

/// A connection, perhaps under TLS.
trait Wire: Read + Write {}
impl<S: Read + Write> Wire for S {}

pub struct Imap {
    stream: Box<dyn Wire>,
    buffer: Vec<u8>,
    tag: usize,
}

/// What an answer was: its octets, and its tagged line.
pub struct Answer {
    octets: usize,
    untagged: usize,
    said: String,
}

impl Imap {
    pub fn login(address: &str, user: &str, password: &str) -> Done<Imap> {
        Imap::connect(address, user, password, None)
    }

    fn connect(
        address: &str,
        user: &str,
        password: &str,
        tls: Option<&SslConnector>,
    ) -> Done<Imap> {
        let mut client = Client::connect(address)?;
        let greeting = client.line()?.to_vec();
        if !greeting.starts_with(b"* OK") {
            return Err(String::from_utf8_lossy(&greeting).into());
        }
        let mut stream = client.stream.into_inner();
        let stream: Box<dyn Wire> = match tls {
            None => Box::new(stream),
            Some(tls) => {
                stream.write_all(b"zt STARTTLS\r\n")?;
                client.stream = BufReader::new(stream.try_clone()?);
                if !client.line()?.starts_with(b"zt OK") {
                    return Err("there is no TLS".into());
                }
                Box::new(tls.connect("mail.example.test", stream)?)
            }
        };
        let mut imap = Imap { stream, buffer: vec![0; 256 * 1024], tag: 0 };
        imap.ask(&format!("LOGIN {user} {password}"))?;
        Ok(imap)
    }

    /// A command to its end, which must be OK.
    pub fn ask(&mut self, command: &str) -> Done<Answer> {
        self.ask_octets(command.as_bytes())
    }

    fn ask_octets(&mut self, command: &[u8]) -> Done<Answer> {
        self.tag += 1;
        let tag = format!("zq{} ", self.tag);
        self.stream.write_all(&[tag.as_bytes(), command, b"\r\n"].concat())?;
        let answer = self.answer(tag.as_bytes())?;
        match answer.said.starts_with(&format!("{tag}OK")) {
            true => Ok(answer),
            false => Err(answer.said.into()),
        }
    }

    /// Reads up to a line that begins so, which is the last one.
    fn answer(&mut self, start: &[u8]) -> Done<Answer> {
        let (mut kept, mut octets, mut untagged) = (0, 0, 0);
        loop {
            let read = self.stream.read(&mut self.buffer[kept..])?;
            if read == 0 {
                return Err("the server hung up".into());
            }
            octets += read;
            let said = &self.buffer[..kept + read];
            let line = match said {
                [text @ .., b'\r', b'\n'] => {
                    let line =
                        text.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
                    untagged = octets - (text.len() - line + 2);
                    &text[line..]
                }
                _ => b"",
            };
            if line.starts_with(start) {
                let said = String::from_utf8_lossy(line).into_owned();
                return Ok(Answer { octets, untagged, said });
            }
            let from = said.len().saturating_sub(LINE);
            kept = said.len() - from;
            self.buffer.copy_within(from..from + kept, 0);
        }
    }

    fn idle(mut self) -> Done<Box<dyn Wire>> {
        self.stream.write_all(b"zi IDLE\r\n")?;
        self.answer(b"+")?;
        Ok(self.stream)
    }
}

/// Each command once; how long it took, and how many octets came before its tagged line.
pub fn commands(address: &str, user: &str, password: &str, commands: &[&str]) -> Done {
    let mut imap = Imap::login(address, user, password)?;
    for command in commands {
        let start = Instant::now();
        let answer = imap.ask(command)?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        println!("ms={ms:.3} octets={} untagged={}", answer.octets, answer.untagged);
    }
    imap.ask("LOGOUT")?;
    Ok(())
}

/// Letters of so many octets, each waited for.
pub fn append(address: &str, user: &str, folder: &str, letters: usize, octets: usize) -> Done {
    let mut imap = Imap::login(address, user, "secret")?;
    let letter = letter(octets);
    let head = format!("APPEND {folder} (\\Seen) {{{}+}}\r\n", letter.len());
    let command = [head.as_bytes(), &letter].concat();
    let start = Instant::now();
    for _ in 0..letters {
        imap.ask_octets(&command)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("ms={:.3} per_second={:.1}", seconds * 1e3, letters as f64 / seconds);
    Ok(())
}

/// Whole sessions, from connecting to the goodbye, so many at a time.
pub fn sessions(address: &str, user: &str, count: usize, at_once: usize) -> Done {
    let taken = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| -> Done {
        let clients: Vec<_> = (0..at_once)
            .map(|_| {
                scope.spawn(|| -> Done {
                    while taken.fetch_add(1, Ordering::Relaxed) < count {
                        let mut imap = Imap::login(address, user, "secret")?;
                        imap.ask("SELECT INBOX")?;
                        imap.ask("LOGOUT")?;
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| "a client panicked")?)
    })?;
    println!("per_second={:.2}", count as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

/// Sessions that wait in IDLE, until standard input ends; a `%` in the user counts so many boxes,
/// again and again. A line on standard input waits until all are told of a message.
pub fn idle(address: &str, user: &str, count: usize, boxes: usize, tls: bool) -> Done {
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_verify(SslVerifyMode::NONE);
    let connector = Some(connector.build()).filter(|_| tls);
    let start = Instant::now();
    let mut streams = Vec::new();
    for number in 0..count {
        let user = counted(user, number % boxes);
        let mut imap = Imap::connect(address, &user, "secret", connector.as_ref())?;
        imap.ask("SELECT INBOX")?;
        imap.buffer = vec![0; LINE * 2];
        streams.push(imap.idle()?);
    }
    println!("sessions={count} ms={:.1}", start.elapsed().as_secs_f64() * 1e3);
    let mut line = String::new();
    while io::stdin().read_line(&mut line)? > 0 {
        let start = Instant::now();
        for stream in &mut streams {
            let mut reader = BufReader::new(stream);
            let mut told = String::new();
            while !told.contains("EXISTS") {
                told.clear();
                if io::BufRead::read_line(&mut reader, &mut told)? == 0 {
                    return Err("the server hung up".into());
                }
            }
        }
        println!("told={} ms={:.1}", streams.len(), start.elapsed().as_secs_f64() * 1e3);
        line.clear();
    }
    Ok(())
}
