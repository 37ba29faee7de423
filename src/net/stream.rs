//! The three ways octets travel: a TCP connection, standard input and output, TLS over either.

use super::tls::{self, Acceptor, TlsInfo};
use crate::limits;
use crate::sys::poll;
use crate::sys::socket::Accepted;
use openssl::ssl::SslStream;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Octets as the kernel carries them.
#[derive(Debug)]
pub enum Plain {
    /// A connection.
    Tcp(TcpStream),
    /// A connection of this host.
    Unix(UnixStream),
    /// Standard input and output.
    Files(File, File),
}

impl Plain {
    /// A connection as it was accepted, and where it comes from.
    pub fn accepted(accepted: Accepted) -> (Plain, Option<SocketAddr>) {
        match accepted {
            Accepted::Tcp(socket, peer) => {
                let _ = socket.set_nodelay(true);
                (Plain::Tcp(socket), Some(peer))
            }
            Accepted::Unix(socket) => (Plain::Unix(socket), None),
        }
    }

    /// Our address as the client reached it.
    pub fn local(&self) -> Option<SocketAddr> {
        match self {
            Plain::Tcp(socket) => socket.local_addr().ok(),
            Plain::Unix(_) | Plain::Files(..) => None,
        }
    }

    /// Another handle of the same connection.
    pub fn try_clone(&self) -> io::Result<Plain> {
        Ok(match self {
            Plain::Tcp(socket) => Plain::Tcp(socket.try_clone()?),
            Plain::Unix(socket) => Plain::Unix(socket.try_clone()?),
            Plain::Files(input, output) => Plain::Files(input.try_clone()?, output.try_clone()?),
        })
    }

    /// Says something to a client who may never read it, without waiting.
    pub fn say_at_once(&mut self, words: &[u8]) {
        let _ = match self {
            Plain::Tcp(socket) => socket.set_nonblocking(true),
            Plain::Unix(socket) => socket.set_nonblocking(true),
            Plain::Files(..) => Ok(()),
        };
        let _ = self.write(words);
    }
}

/// Octets, perhaps under TLS.
pub enum Stream {
    /// As they are.
    Plain(Plain),
    /// Boxed, since a session without TLS should not carry its size.
    Tls(Box<SslStream<Timed>>),
}

/// What TLS reads from. A record may need many reads, and a client who sends it octet by octet
/// must not make of each a wait of its own.
pub struct Timed {
    plain: Plain,
    until: Instant,
}

impl Stream {
    /// The descriptor to wait on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.plain().input()
    }

    /// Octets that were decrypted already and that no poll(2) would tell of.
    pub fn has_pending(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => stream.ssl().pending() > 0,
        }
    }

    /// Shakes hands as a server.
    pub fn accept_tls(self, acceptor: &Acceptor) -> io::Result<(Stream, TlsInfo)> {
        let Stream::Plain(plain) = self else {
            return Err(io::Error::other("TLS is on already"));
        };
        let stream =
            tls::accept(acceptor, Timed { plain, until: Instant::now() + limits::HANDSHAKE })?;
        let info = TlsInfo::of(stream.ssl());
        Ok((Stream::Tls(Box::new(stream)), info))
    }

    /// Until when what is read next must have come.
    pub fn read_until(&mut self, until: Instant) {
        if let Stream::Tls(stream) = self {
            stream.get_mut().until = until;
        }
    }

    /// How long a read or a write may stall.
    pub fn set_stall(&self, stall: Duration) -> io::Result<()> {
        match self.plain() {
            Plain::Tcp(socket) => {
                socket.set_read_timeout(Some(stall))?;
                socket.set_write_timeout(Some(stall))
            }
            Plain::Unix(socket) => {
                socket.set_read_timeout(Some(stall))?;
                socket.set_write_timeout(Some(stall))
            }
            Plain::Files(..) => Ok(()),
        }
    }

    /// Tells the peer that nothing more comes.
    pub fn close(&mut self) {
        if let Stream::Tls(stream) = self {
            let _ = stream.shutdown();
        }
        let _ = self.plain().close();
    }

    fn plain(&self) -> &Plain {
        match self {
            Stream::Plain(plain) => plain,
            Stream::Tls(stream) => &stream.get_ref().plain,
        }
    }
}

impl Plain {
    /// How long a write may stall.
    pub(super) fn set_write_timeout(&self, stall: Duration) -> io::Result<()> {
        match self {
            Plain::Tcp(socket) => socket.set_write_timeout(Some(stall)),
            Plain::Unix(socket) => socket.set_write_timeout(Some(stall)),
            Plain::Files(..) => Ok(()),
        }
    }

    /// Tells the peer that nothing more comes.
    pub(super) fn close(&self) -> io::Result<()> {
        match self {
            Plain::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Plain::Unix(socket) => socket.shutdown(Shutdown::Write),
            Plain::Files(..) => Ok(()),
        }
    }

    pub(super) fn input(&self) -> BorrowedFd<'_> {
        match self {
            Plain::Tcp(socket) => socket.as_fd(),
            Plain::Unix(socket) => socket.as_fd(),
            Plain::Files(input, _) => input.as_fd(),
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        match !left.is_zero() && poll::readable([self.plain.input()], Some(left))? == [true] {
            true => self.plain.read(buffer),
            false => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for Timed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.plain.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.plain.flush()
    }
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Plain::Tcp(socket) => socket.read(buffer),
            Plain::Unix(socket) => socket.read(buffer),
            Plain::Files(input, _) => input.read(buffer),
        }
    }
}

impl Write for Plain {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Plain::Tcp(socket) => socket.write(octets),
            Plain::Unix(socket) => socket.write(octets),
            Plain::Files(_, output) => output.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(plain) => plain.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(plain) => plain.write(octets),
            Stream::Tls(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(plain) => plain.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn octet_by_octet_is_no_way_to_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let until = Instant::now() + Duration::from_millis(200);
        let plain = Plain::Tcp(listener.accept().unwrap().0);
        let mut timed = Timed { plain, until };
        let mut octet = [0];
        let refused = loop {
            client.write_all(b"x").unwrap();
            if let Err(error) = timed.read(&mut octet) {
                break error;
            }
            assert!(Instant::now() < until + Duration::from_secs(10), "it is still read");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }
}
