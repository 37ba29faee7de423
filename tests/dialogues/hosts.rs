//! Remote hosts that a dialogue plays: what they hear, and what they reply.
//!
//! Each `host` block is one connection, played in a thread of its own while the dialogue goes on;
//! connections to one host take its blocks in their order. A host listens only while it has blocks
//! that wait: at all other times a connection to its port is refused.

use super::site::Keys;
use buzon::parley::play::{PATIENCE, shown};
use buzon::parley::script::{Act, Step};
use buzon::parley::text::{Captures, Text};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, setsockopt, socket, sockopt,
};
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslStream};
use openssl::x509::X509;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The hosts of a dialogue.
pub struct Hosts {
    acceptor: SslAcceptor,
    hosts: Vec<Host>,
    plays: Vec<Play>,
}

struct Host {
    name: String,
    port: u16,
    /// Keeps the port while nobody listens.
    _place: OwnedFd,
    waiting: Arc<Mutex<VecDeque<Part>>>,
}

/// One connection, to be played.
struct Part {
    script: PathBuf,
    lines: Vec<Step>,
    captures: Captures,
    acceptor: SslAcceptor,
    came: Arc<AtomicBool>,
    result: Sender<Result<Captures, String>>,
}

/// The same, as the dialogue waits for it.
struct Play {
    at: String,
    came: Arc<AtomicBool>,
    result: Receiver<Result<Captures, String>>,
}

impl Hosts {
    /// None yet.
    pub fn new(keys: &Keys) -> Hosts {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        acceptor.set_certificate(&X509::from_pem(&keys.chain).unwrap()).unwrap();
        acceptor.set_private_key(&PKey::private_key_from_pem(&keys.key).unwrap()).unwrap();
        Hosts { acceptor: acceptor.build(), hosts: Vec::new(), plays: Vec::new() }
    }

    /// The port of a host, which is made if it is new; whether it is.
    pub fn port(&mut self, name: &str) -> (u16, bool) {
        if let Some(port) = self.find(name) {
            return (port, false);
        }
        let place = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        let place = place.unwrap();
        setsockopt(&place, sockopt::ReuseAddr, &true).unwrap();
        bind(place.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let port = getsockname::<SockaddrIn>(place.as_raw_fd()).unwrap().port();
        let waiting = Arc::new(Mutex::new(VecDeque::new()));
        self.hosts.push(Host { name: name.into(), port, _place: place, waiting });
        (port, true)
    }

    /// The port of a host that was named.
    pub fn find(&self, name: &str) -> Option<u16> {
        self.hosts.iter().find(|host| host.name == name).map(|host| host.port)
    }

    /// The next connection to a host is to be played so.
    pub fn expect(&mut self, name: &str, script: &Path, lines: &[Step], captures: &Captures) {
        let Some(first) = lines.first() else { return };
        let host = self.hosts.iter().find(|host| host.name == name).unwrap();
        let (sender, result) = channel();
        let came = Arc::new(AtomicBool::new(false));
        let part = Part {
            script: script.into(),
            lines: lines.to_vec(),
            captures: captures.clone(),
            acceptor: self.acceptor.clone(),
            came: came.clone(),
            result: sender,
        };
        let at = format!("{}:{}: host {name}", script.display(), first.line);
        self.plays.push(Play { at, came, result });
        let mut waiting = host.waiting.lock().unwrap();
        waiting.push_back(part);
        if waiting.len() == 1 {
            let listener = listen(host.port);
            let waiting = host.waiting.clone();
            thread::spawn(move || accept(listener, &waiting));
        }
    }

    /// All that were expected have come and gone; what they took.
    pub fn finish(&mut self) -> Result<Captures, String> {
        let mut captures = Captures::new();
        for play in self.plays.drain(..) {
            let mut result = play.result.recv_timeout(PATIENCE);
            // Each of its lines has a time of its own.
            if result == Err(RecvTimeoutError::Timeout) && play.came.load(Ordering::SeqCst) {
                result = play.result.recv().map_err(|_| RecvTimeoutError::Disconnected);
            }
            captures.extend(result.map_err(|_| format!("{}: nobody came", play.at))??);
        }
        Ok(captures)
    }
}

/// Careful: the socket is closed before the last part is played, and while nobody can add another.
/// Listens on a port that is kept for us.
///
/// Careful: a program that another thread starts just now has the listener of the connection before
/// until it executes.
fn listen(port: u16) -> TcpListener {
    let end = Instant::now() + PATIENCE;
    loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                thread::sleep(Duration::from_millis(1));
            }
            bound => return bound.unwrap(),
        }
    }
}

fn accept(listener: TcpListener, waiting: &Mutex<VecDeque<Part>>) {
    while let Ok((stream, _)) = listener.accept() {
        let mut waiting = waiting.lock().unwrap();
        let part = waiting.pop_front().unwrap();
        if waiting.is_empty() {
            drop(listener);
            thread::spawn(move || part.play(stream));
            return;
        }
        thread::spawn(move || part.play(stream));
    }
}

impl Part {
    fn play(mut self, stream: TcpStream) {
        self.came.store(true, Ordering::SeqCst);
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut talk = Talk { stream: Stream::Plain(stream), ..Talk::default() };
        let lines = std::mem::take(&mut self.lines);
        let played = lines.iter().try_for_each(|step| {
            let done = self.step(step, &mut talk);
            done.map_err(|what| format!("{}:{}: {what}", self.script.display(), step.line))
        });
        talk.stream.end();
        let failed = |what: String| format!("{what}\n    {}", talk.said.join("\n    "));
        let _ = self.result.send(played.map(|()| self.captures).map_err(failed));
    }

    fn step(&mut self, step: &Step, talk: &mut Talk) -> Result<(), String> {
        let directory = self.script.parent().unwrap_or(Path::new("."));
        match &step.act {
            Act::Hear(text) if text.is_anything() => talk.skipping = true,
            Act::Hear(text) => return talk.hear(text, &mut self.captures, directory),
            Act::Reply(text) => {
                let octets = text.octets(&self.captures, directory)?;
                return talk.reply(&[&octets[..], b"\r\n"].concat());
            }
            Act::ReplyRaw(text) => return talk.reply(&text.octets(&self.captures, directory)?),
            Act::Slow(time) => talk.slow = *time,
            Act::Cut => talk.stream = Stream::Gone,
            Act::Tls(_) => talk.shake_hands(&self.acceptor),
            Act::Closed(_) => return talk.closed(),
            _ => return Err("is no line of a host".into()),
        }
        Ok(())
    }
}

#[derive(Default)]
struct Talk {
    stream: Stream,
    pending: Vec<u8>,
    /// All lines, both directions, for a failure.
    said: Vec<String>,
    slow: Duration,
    skipping: bool,
}

#[derive(Default)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
    #[default]
    Gone,
}

impl Talk {
    fn hear(
        &mut self,
        text: &Text,
        captures: &mut Captures,
        directory: &Path,
    ) -> Result<(), String> {
        loop {
            let expected = |got: &str| format!("expected {}, got {got}", text.source);
            let line = self.line().map_err(|what| expected(&what))?;
            let line = line.ok_or_else(|| expected("the end of the connection"))?;
            if text.matches(&line, captures, directory)? {
                self.skipping = false;
                return Ok(());
            }
            if !self.skipping {
                return Err(expected(&shown(&line)));
            }
        }
    }

    fn reply(&mut self, octets: &[u8]) -> Result<(), String> {
        thread::sleep(self.slow);
        self.said.push(format!("R: {}", shown(octets.strip_suffix(b"\r\n").unwrap_or(octets))));
        let written = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets),
            Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        };
        written.map_err(|error| format!("cannot reply: {error}"))
    }

    /// A client that does not trust us hangs up: what follows sees the end of the connection.
    fn shake_hands(&mut self, acceptor: &SslAcceptor) {
        let Stream::Plain(stream) = std::mem::take(&mut self.stream) else { return };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match acceptor.accept(stream) {
            Ok(stream) => {
                self.said.push("-- TLS --".into());
                self.stream = Stream::Tls(Box::new(stream));
            }
            Err(error) => self.said.push(format!("-- no TLS: {error} --")),
        }
    }

    fn closed(&mut self) -> Result<(), String> {
        while let Some(line) = self.line()? {
            if !self.skipping {
                return Err(format!("expected the end, got {}", shown(&line)));
            }
        }
        Ok(())
    }

    /// The next line; `None` at the end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(end) = self.pending.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let text = line.strip_suffix(b"\r\n");
                let text = text.ok_or_else(|| format!("{} with a bare LF", shown(&line)))?;
                self.said.push(format!("H: {}", shown(text)));
                return Ok(Some(text.to_vec()));
            }
            let mut buffer = [0; 4096];
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            let read = match &mut self.stream {
                Stream::Plain(stream) => {
                    stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut buffer))
                }
                Stream::Tls(stream) => stream
                    .get_ref()
                    .set_read_timeout(Some(left))
                    .and_then(|()| stream.read(&mut buffer)),
                Stream::Gone => Ok(0),
            };
            match read {
                Ok(0) => return Ok(None),
                Ok(count) => self.pending.extend(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(_) if Instant::now() < deadline => {}
                Err(error) => return Err(format!("nothing in time: {error}")),
            }
        }
    }
}

impl Stream {
    fn end(&mut self) {
        if let Stream::Tls(stream) = self {
            let _ = stream.shutdown();
        }
        *self = Stream::Gone;
    }
}
