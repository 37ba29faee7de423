//! The client's side of a connection: lines and octets in, octets out, each with a deadline.
//!
//! What the SMTP client, parley and the tests speak through. It never waits beyond the deadline it
//! is given. CRLF is written here, and a command can hold none: whatever an address may contain, it
//! is one line. Whom we believe is `trust`'s to say; parley takes any certificate, as it comes to
//! look.

use super::stream::Plain;
use super::trust::{self, Secured, Timed, Trust};
use crate::limits;
use crate::sys::socket;
use native_tls::{TlsConnector, TlsStream};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// On a host.
    Tcp {
        /// Its address and port.
        address: SocketAddr,
        /// The address of ours that the connection comes from, of the same family.
        source: Option<IpAddr>,
    },
    /// At a path of this host.
    Unix(PathBuf),
}

/// A connection to a server.
pub struct Client {
    stream: Stream,
    host: String,
    pending: Vec<u8>,
    /// Commands that are to be sent.
    output: Vec<u8>,
}

enum Stream {
    Plain(Timed),
    Tls(Box<TlsStream<Timed>>),
    /// While the handshake has the socket, and after it failed.
    None,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its end; whether that was CRLF, as it must be, and not LF alone.
    Text(Vec<u8>, bool),
    /// The server has hung up.
    Closed,
    /// Nothing whole until the deadline.
    Late,
}

impl Client {
    /// Connects to `HOST:PORT`, trying each address of the host.
    pub fn connect(address: &str, patience: Duration) -> io::Result<Client> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for address in address.to_socket_addrs()? {
            match Client::to(&Place::Tcp { address, source: None }, patience) {
                Ok(client) => return Ok(Client { host, ..client }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects to a place. What is written at first must go within `patience` as well.
    pub fn to(place: &Place, patience: Duration) -> io::Result<Client> {
        let plain = match place {
            Place::Tcp { address, source } => {
                let stream = match source {
                    None => TcpStream::connect_timeout(address, patience)?,
                    Some(source) => socket::connect_from(*source, *address, patience)?,
                };
                stream.set_nodelay(true)?;
                Plain::Tcp(stream)
            }
            Place::Unix(path) => Plain::Unix(UnixStream::connect(path)?),
        };
        let stream = Stream::Plain(Timed::new(plain, Instant::now() + patience));
        Ok(Client { stream, host: String::new(), pending: Vec::new(), output: Vec::new() })
    }

    /// The handshake, as client, whatever the certificate; octets that came before it and were not
    /// read are an error.
    pub fn start_tls(&mut self, deadline: Instant) -> io::Result<()> {
        let host = std::mem::take(&mut self.host);
        self.handshake(trust::any()?, &host, deadline)
    }

    /// The same with a host of that name, who must prove it or (`verify` is false) need not. After
    /// an error nothing more can be said here.
    pub fn secure(
        &mut self,
        host: &str,
        trust: &Trust,
        verify: bool,
        deadline: Instant,
    ) -> io::Result<Secured> {
        self.handshake(trust.connector(verify)?, host, deadline)?;
        let doubt = || trust.doubt(host).unwrap_or_else(|| "nobody asked".into());
        let verified = if verify { Ok(()) } else { Err(doubt()) };
        match &self.stream {
            Stream::Tls(stream) => Ok(stream.get_ref().secured(verified)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn handshake(
        &mut self,
        connector: &TlsConnector,
        host: &str,
        deadline: Instant,
    ) -> io::Result<()> {
        if !self.pending.is_empty() {
            return Err(io::Error::other("the server sent more before the handshake"));
        }
        let Stream::Plain(mut plain) = std::mem::replace(&mut self.stream, Stream::None) else {
            return Err(io::Error::other("TLS is on already"));
        };
        plain.until = deadline;
        self.stream = Stream::Tls(Box::new(trust::connect(connector, host, plain)?));
        Ok(())
    }

    /// The next line; a last one without an end counts as `Closed`, one that does not end within
    /// the limit is an error.
    pub fn read_line(&mut self, deadline: Instant) -> io::Result<Line> {
        self.read_line_of(usize::MAX, deadline)
    }

    /// The next line, of at most so many octets; a longer one is `InvalidData`.
    pub fn read_line_of(&mut self, limit: usize, deadline: Instant) -> io::Result<Line> {
        let mut looked = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.pending[looked..]) {
                let mut line: Vec<u8> = self.pending.drain(..=looked + end).collect();
                line.pop();
                let crlf = line.pop_if(|octet| *octet == b'\r').is_some();
                return Ok(Line::Text(line, crlf));
            }
            looked = self.pending.len();
            if looked > limit {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
            }
            match self.fill(deadline)? {
                Filled::More => {}
                Filled::Closed => return Ok(Line::Closed),
                Filled::Late => return Ok(Line::Late),
            }
        }
    }

    /// Exactly so many octets; fewer if the server hangs up or is late.
    pub fn read_octets(&mut self, count: usize, deadline: Instant) -> io::Result<Vec<u8>> {
        while self.pending.len() < count {
            match self.fill(deadline)? {
                Filled::More => {}
                Filled::Closed | Filled::Late => break,
            }
        }
        let count = count.min(self.pending.len());
        Ok(self.pending.drain(..count).collect())
    }

    /// Whether the server has said something that nobody has read, as far as is known here.
    pub fn has_input(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Puts a command behind those that are to be sent. One that holds a line end or a NUL is an
    /// error, and nothing of it is sent.
    pub fn say(&mut self, command: &str) -> io::Result<()> {
        if command.bytes().any(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a command of several lines"));
        }
        self.output.extend_from_slice(command.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// How many octets of commands are to be sent.
    pub fn unsent(&self) -> usize {
        self.output.len()
    }

    /// Sends all commands in one write.
    pub fn flush(&mut self, deadline: Instant) -> io::Result<()> {
        let output = std::mem::take(&mut self.output);
        self.write_until(&output, deadline)
    }

    /// Sends all of it; a minute without progress is an error.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.write_until(octets, Instant::now() + limits::HANDSHAKE)
    }

    /// Sends all of it, or is late.
    pub fn write_until(&mut self, octets: &[u8], deadline: Instant) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => {
                stream.until = deadline;
                stream.write_all(octets)
            }
            Stream::Tls(stream) => {
                stream.get_mut().until = deadline;
                stream.write_all(octets).and_then(|()| stream.flush())
            }
            Stream::None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Says that nothing more will be sent; what the server sends can still be read.
    pub fn close_sending(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.plain().close(),
            Stream::Tls(stream) => stream.shutdown(),
            Stream::None => Ok(()),
        }
    }

    fn fill(&mut self, deadline: Instant) -> io::Result<Filled> {
        let mut buffer = [0; 4096];
        loop {
            if Instant::now() >= deadline {
                return Ok(Filled::Late);
            }
            let read = match &mut self.stream {
                Stream::Plain(stream) => {
                    stream.until = deadline;
                    stream.read(&mut buffer)
                }
                Stream::Tls(stream) => {
                    stream.get_mut().until = deadline;
                    stream.read(&mut buffer)
                }
                Stream::None => Ok(0),
            };
            match read {
                Ok(0) => return Ok(Filled::Closed),
                Ok(count) => {
                    self.pending.extend_from_slice(&buffer[..count]);
                    return Ok(Filled::More);
                }
                Err(error) if is_closed(&error) => return Ok(Filled::Closed),
                Err(error) if is_early(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

enum Filled {
    More,
    Closed,
    Late,
}

/// A server that hangs up while octets from us are under way resets the connection; one that cuts
/// TLS without its closing alert has hung up as well.
pub fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    ) || error.to_string().contains("unexpected eof")
}

fn is_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Place::Tcp { address, .. } => write!(f, "{address}"),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn lines_octets_silence_and_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(b"220 one\r\n220 two\n{3}\r\na\nb)\r\n").unwrap();
            let mut said = Vec::new();
            peer.read_to_end(&mut said).unwrap();
            peer.write_all(b"half a line").unwrap();
            said
        });
        let soon = || Instant::now() + Duration::from_secs(10);
        let mut client = Client::connect(&address, Duration::from_secs(10)).unwrap();
        let text = |line: &str, crlf| Line::Text(line.into(), crlf);
        assert_eq!(client.read_line(soon()).unwrap(), text("220 one", true));
        assert_eq!(client.read_line(soon()).unwrap(), text("220 two", false));
        assert_eq!(client.read_line(soon()).unwrap(), text("{3}", true));
        assert_eq!(client.read_octets(3, soon()).unwrap(), b"a\nb");
        assert_eq!(client.read_line(soon()).unwrap(), text(")", true));
        let now = Instant::now() + Duration::from_millis(20);
        assert_eq!(client.read_line(now).unwrap(), Line::Late);
        client.write(b"QUIT\r\n").unwrap();
        client.close_sending().unwrap();
        assert_eq!(client.read_line(soon()).unwrap(), Line::Closed);
        assert_eq!(server.join().unwrap(), b"QUIT\r\n");
    }

    #[test]
    fn from_an_address_of_ours_and_to_a_path() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Duration::from_secs(10);
        let source = "127.0.0.9".parse().ok();
        let mut client = Client::to(&Place::Tcp { address, source }, patience).unwrap();
        let (mut peer, from) = listener.accept().unwrap();
        assert_eq!(Some(from.ip()), source);
        client.say("EHLO a").unwrap();
        assert!(client.say("b\r\nc").is_err() && client.say("b\0").is_err());
        client.flush(Instant::now() + patience).unwrap();
        drop(client);
        let mut said = String::new();
        peer.read_to_string(&mut said).unwrap();
        assert_eq!(said, "EHLO a\r\n");
        drop(listener);
        let gone = Client::to(&Place::Tcp { address, source }, patience).err().unwrap();
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lmtp");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut client = Client::to(&Place::Unix(path), patience).unwrap();
        listener.accept().unwrap().0.write_all(b"220 hi\r\n").unwrap();
        let line = client.read_line(Instant::now() + patience).unwrap();
        assert_eq!(line, Line::Text(b"220 hi".into(), true));
    }

    #[test]
    fn lines_without_an_end_are_not_gathered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::Tcp { address: listener.local_addr().unwrap(), source: None };
        let mut client = Client::to(&place, Duration::from_secs(10)).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(&[b'x'; 2000]).unwrap();
        let error = client.read_line_of(1000, Instant::now() + Duration::from_secs(10));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
