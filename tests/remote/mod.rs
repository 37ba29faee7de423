//! A host whose every word is written down: what it says, what it must hear.
//!
//! `> text` says a line (with `\r\n` in it, several at once), `< text` must hear one that begins so, `text` hears what stands before a
//! dot, `tls` shakes hands, `cut` hangs up, `next` takes another connection and
//! lets go of the first only then, `silence` says nothing
//! until the client goes. Connections end with the script.

#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod, SslStream};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

/// The host, on a thread of its own.
pub struct Remote {
    pub address: SocketAddr,
    thread: JoinHandle<Heard>,
}

/// What it heard.
#[derive(Default)]
pub struct Heard {
    /// Lines that were commands.
    pub lines: Vec<String>,
    /// What stood before dots, CRLF and all, dots unstuffed.
    pub texts: Vec<Vec<u8>>,
}

/// A certificate for some names, and where it is.
#[derive(Clone)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    _directory: Arc<tempfile::TempDir>,
}

impl Certificate {
    pub fn new(names: &[&str]) -> Certificate {
        let directory = tempfile::tempdir().unwrap();
        let (chain, key) = (directory.path().join("c.pem"), directory.path().join("k.pem"));
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        buzon::sys::certificate::make(&names, &chain, &key, None).unwrap();
        Certificate { chain, key, _directory: Arc::new(directory) }
    }

    pub fn pem(&self) -> Vec<u8> {
        std::fs::read(&self.chain).unwrap()
    }

    fn acceptor(&self) -> SslAcceptor {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        builder.set_certificate_chain_file(&self.chain).unwrap();
        builder.set_private_key_file(&self.key, SslFiletype::PEM).unwrap();
        builder.build()
    }
}

impl Remote {
    pub fn new(script: impl Into<String>) -> Remote {
        Remote::with(script, None)
    }

    pub fn with(script: impl Into<String>, certificate: Option<&Certificate>) -> Remote {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = certificate.map(Certificate::acceptor);
        let script = script.into();
        let thread = std::thread::spawn(move || play(&script, &listener, acceptor.as_ref()));
        Remote { address, thread }
    }

    /// Waits for the end of the script.
    pub fn heard(self) -> Heard {
        match self.thread.join() {
            Ok(heard) => heard,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(SslStream<TcpStream>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Stream {
    fn say(&mut self, octets: &[u8]) {
        // A client that is gone is none of our affair.
        let _ = match self {
            Stream::Plain(stream) => stream.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets),
        };
    }
}

fn play(script: &str, listener: &TcpListener, acceptor: Option<&SslAcceptor>) -> Heard {
    let mut heard = Heard::default();
    let accept = || BufReader::new(Stream::Plain(listener.accept().unwrap().0));
    let mut stream = Some(accept());
    for step in script.lines().map(str::trim).filter(|step| !step.is_empty()) {
        if step == "next" {
            stream = Some(accept());
            continue;
        }
        let open = stream.as_mut().expect("the connection was cut");
        match step.split_once(' ').unwrap_or((step, "")) {
            (">", text) => {
                let text = text.replace("\\r\\n", "\r\n") + "\r\n";
                open.get_mut().say(text.as_bytes());
            }
            ("<", expected) => {
                let line = line(open);
                let line = String::from_utf8_lossy(&line).into_owned();
                assert!(line.starts_with(expected), "'{line}' and not '{expected}'");
                assert!(line.ends_with("\r\n"), "{line:?}");
                heard.lines.push(line.trim_end_matches("\r\n").to_owned());
            }
            ("text", _) => heard.texts.push(text(open)),
            ("silence", _) => {
                let _ = open.read_to_end(&mut Vec::new());
            }
            ("cut", _) => {
                if let Stream::Plain(stream) = open.get_ref() {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                stream = None;
            }
            ("tls", _) => {
                let Stream::Plain(plain) = stream.take().unwrap().into_inner() else { panic!() };
                let tls = acceptor.unwrap().accept(plain);
                stream = tls.ok().map(|tls| BufReader::new(Stream::Tls(tls)));
            }
            _ => panic!("no step: {step}"),
        }
    }
    heard
}

fn line(stream: &mut BufReader<Stream>) -> Vec<u8> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).unwrap();
    line
}

fn text(stream: &mut BufReader<Stream>) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let line = line(stream);
        assert!(line.ends_with(b"\r\n"), "{:?}", String::from_utf8_lossy(&line));
        match line.strip_prefix(b".") {
            Some(b"\r\n") => return text,
            Some(rest) => text.extend_from_slice(rest),
            None => text.extend_from_slice(&line),
        }
    }
}
