//! The client's side of a connection: lines and octets in, octets out, each with a deadline.
//!
//! What parley and the tests speak through. It takes any certificate, as it comes to look and not
//! to trust, and it never waits beyond the deadline it is given.

use native_tls::{TlsConnector, TlsStream};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// A connection to a server.
pub struct Client {
    stream: Stream,
    host: String,
    pending: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
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
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_write_timeout(Some(patience))?;
                    return Ok(Client { stream: Stream::Plain(stream), host, pending: Vec::new() });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The handshake, as client; octets that came before it and were not read are an error.
    pub fn start_tls(&mut self, deadline: Instant) -> io::Result<()> {
        if !self.pending.is_empty() {
            return Err(io::Error::other("the server sent more before the handshake"));
        }
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::None) else {
            return Err(io::Error::other("TLS is on already"));
        };
        let connector = TlsConnector::builder()
            .danger_accept_invalid_certs(true)
            .danger_accept_invalid_hostnames(true)
            .build()
            .map_err(io::Error::other)?;
        stream.set_read_timeout(Some(left(deadline)))?;
        let stream = connector
            .connect(&self.host, stream)
            .map_err(|error| io::Error::other(format!("no handshake: {error}")))?;
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    /// The next line; a last one without an end counts as `Closed`.
    pub fn read_line(&mut self, deadline: Instant) -> io::Result<Line> {
        let mut looked = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.pending[looked..]) {
                let mut line: Vec<u8> = self.pending.drain(..=looked + end).collect();
                line.pop();
                let crlf = line.pop_if(|octet| *octet == b'\r').is_some();
                return Ok(Line::Text(line, crlf));
            }
            looked = self.pending.len();
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

    /// Sends all of it.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
            Stream::None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Says that nothing more will be sent; what the server sends can still be read.
    pub fn close_sending(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.shutdown(Shutdown::Write),
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
            let socket = match &self.stream {
                Stream::Plain(stream) => stream,
                Stream::Tls(stream) => stream.get_ref(),
                Stream::None => return Ok(Filled::Closed),
            };
            socket.set_read_timeout(Some(left(deadline)))?;
            let read = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut buffer),
                Stream::Tls(stream) => stream.read(&mut buffer),
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

/// What is left of the time; never zero, which would mean without end.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// A server that hangs up while octets from us are under way resets the connection; one that cuts
/// TLS without its closing alert has hung up as well.
fn is_closed(error: &io::Error) -> bool {
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
}
