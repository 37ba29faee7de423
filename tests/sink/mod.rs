//! A host that takes every letter, and tells which; several connections, each on a thread.

#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// What all connections share.
#[derive(Default)]
pub struct Shared {
    /// Recipient and subject of each letter that was answered 250.
    taken: Mutex<Vec<(String, String)>>,
    news: Condvar,
    connections: AtomicUsize,
}

pub struct Sink {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Sink {
    /// Each reply comes after so long.
    pub fn new(delay: Duration) -> Sink {
        Sink::at(TcpListener::bind("127.0.0.1:0").unwrap(), delay)
    }

    /// The same at an address of one's choice.
    pub fn at(listener: TcpListener, delay: Duration) -> Sink {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let all = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, stream) = (all.clone(), stream.unwrap());
                shared.connections.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || serve(&stream, &shared, delay));
            }
        });
        Sink { address, shared }
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    pub fn taken(&self) -> Vec<(String, String)> {
        self.shared.taken.lock().unwrap().clone()
    }

    /// Waits until it has so many; how long that took.
    pub fn wait_for(&self, count: usize, patience: Duration) -> Duration {
        let start = Instant::now();
        let taken = self.shared.taken.lock().unwrap();
        let (taken, _) = self
            .shared
            .news
            .wait_timeout_while(taken, patience, |taken| taken.len() < count)
            .unwrap();
        assert!(taken.len() >= count, "{} of {count} came", taken.len());
        start.elapsed()
    }
}

fn serve(stream: &TcpStream, shared: &Shared, delay: Duration) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let say = |text: &str| {
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        let mut stream = stream;
        stream.write_all(text.as_bytes()).ok()
    };
    let mut lines = BufReader::new(stream);
    let mut recipients: Vec<String> = Vec::new();
    say("220 sink.test\r\n")?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let verb = line.split([' ', '\r']).next()?.to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => say("250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")?,
            "RCPT" => {
                let path = line.split(['<', '>']).nth(1)?;
                recipients.push(path.to_owned());
                say("250 ok\r\n")?;
            }
            "DATA" => {
                say("354 go on\r\n")?;
                let subject = text(&mut lines)?;
                let mut taken = shared.taken.lock().unwrap();
                taken.extend(recipients.drain(..).map(|to| (to, subject.clone())));
                drop(taken);
                shared.news.notify_all();
                say("250 taken\r\n")?;
            }
            "RSET" | "MAIL" => {
                recipients.clear();
                say("250 ok\r\n")?;
            }
            "QUIT" => {
                say("221 bye\r\n")?;
                return None;
            }
            _ => say("500 what\r\n")?,
        }
    }
}

/// Up to the dot; its Subject.
fn text(lines: &mut impl BufRead) -> Option<String> {
    let mut subject = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(subject);
        }
        if let Some(rest) = line.strip_prefix("Subject: ") {
            subject = rest.trim().to_owned();
        }
    }
}
