//! One connection: lines in, replies out.
//!
//! The only reader. It knows limits, timeouts, when the client waits for us (RFC 2920 §3.2), and
//! that what came before a TLS handshake is thrown away (RFC 3207 §4.2). An idle connection holds
//! no buffer.

use super::stream::Stream;
use super::tls::{Acceptor, TlsInfo};
use crate::limits;
use crate::sys::poll;
use memchr::memchr;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why nothing more comes; never an error of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The client closed, or the connection broke.
    Lost,
    /// The client was silent for too long.
    Silent,
    /// We are about to stop.
    Stopping,
}

/// A line as it came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// The octets before the line end; `crlf` tells CRLF from LF.
    Text {
        /// Without LF, and without the CR right before it.
        octets: Vec<u8>,
        /// Whether the line ended in CRLF.
        crlf: bool,
    },
    /// Longer than the limit; it was read to its end and forgotten.
    TooLong,
}

/// After so long without a word the buffers are given back.
const IDLE: Duration = Duration::from_secs(1);
/// Replies wait for the client's next silence, but not beyond so many octets.
const OUTPUT: usize = 32 * 1024;

/// A connection, with what was read from it and what is still to be written.
pub struct Conn {
    stream: Option<Stream>,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    /// Read octets lie in `input[next..end]`; the rest is room.
    input: Vec<u8>,
    next: usize,
    end: usize,
    output: Vec<u8>,
    stop: Arc<OwnedFd>,
    acceptor: Option<Acceptor>,
    tls: Option<TlsInfo>,
}

impl Conn {
    pub(super) fn new(
        stream: Stream,
        (peer, local): (Option<SocketAddr>, Option<SocketAddr>),
        stop: Arc<OwnedFd>,
        acceptor: Option<Acceptor>,
    ) -> Conn {
        Conn {
            stream: Some(stream),
            peer,
            local,
            input: Vec::new(),
            next: 0,
            end: 0,
            output: Vec::new(),
            stop,
            acceptor,
            tls: None,
        }
    }

    /// The client's address; `None` on standard input.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Our address as the client reached it.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// What TLS came to, once it is on.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_ref()
    }

    /// Whether TLS can begin.
    pub fn can_start_tls(&self) -> bool {
        self.tls.is_none() && self.acceptor.is_some()
    }

    /// Whether the client sent more than we have answered.
    pub fn has_input(&self) -> bool {
        self.next < self.end
    }

    /// The next line. Waits at most `timeout` for all of it.
    pub fn read_line(&mut self, limit: usize, timeout: Duration) -> Result<Line, Hangup> {
        let deadline = Instant::now() + timeout;
        let mut searched = 0;
        let mut too_long = false;
        loop {
            let unread = &self.input[self.next..self.end];
            if let Some(at) = memchr(b'\n', &unread[searched..]).map(|at| at + searched) {
                let crlf = at > 0 && unread[at - 1] == b'\r';
                let text = &unread[..at - usize::from(crlf)];
                let line = match too_long || text.len() > limit {
                    true => Line::TooLong,
                    false => Line::Text { octets: text.to_vec(), crlf },
                };
                self.consume(at + 1);
                return Ok(line);
            }
            searched = unread.len();
            if searched > limit + 1 {
                too_long = true;
                self.consume(searched);
                searched = 0;
            }
            self.fill(deadline, true, limits::READ_BUFFER)?;
        }
    }

    /// Octets as they come, of a text whose end the caller knows: read at once, or after waiting.
    /// What the caller took is told by `consume`. A stop of ours does not interrupt.
    pub fn read_text(&mut self, timeout: Duration) -> Result<&[u8], Hangup> {
        if !self.has_input() {
            self.fill(Instant::now() + timeout, false, limits::TEXT_BUFFER)?;
        }
        Ok(&self.input[self.next..self.end])
    }

    /// Marks octets as taken.
    pub fn consume(&mut self, octets: usize) {
        self.next += octets;
        if self.next == self.end {
            (self.next, self.end) = (0, 0);
        }
    }

    /// Writes, or keeps for the moment when the client waits for us.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), Hangup> {
        self.output.extend_from_slice(octets);
        if self.output.len() >= OUTPUT { self.flush() } else { Ok(()) }
    }

    /// The octets waiting to be written, to append to; `flush_full` follows.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Writes what waits if it is much.
    pub fn flush_full(&mut self) -> Result<(), Hangup> {
        if self.output.len() >= OUTPUT { self.flush() } else { Ok(()) }
    }

    /// Writes all that waits.
    pub fn flush(&mut self) -> Result<(), Hangup> {
        let Some(stream) = &mut self.stream else { return Err(Hangup::Lost) };
        let written = stream.write_all(&self.output).and_then(|()| stream.flush());
        self.output.clear();
        written.map_err(|error| why(&error))
    }

    /// Shakes hands. What the client sent ahead of the handshake is thrown away; the number of
    /// those octets is returned, as they are somebody's mistake or somebody's attack.
    pub fn start_tls(&mut self) -> Result<usize, Hangup> {
        self.flush()?;
        let ahead = self.end - self.next;
        self.input = Vec::new();
        (self.next, self.end) = (0, 0);
        let (Some(stream), Some(acceptor)) = (self.stream.take(), &self.acceptor) else {
            return Err(Hangup::Lost);
        };
        let lost = |_| Hangup::Lost;
        stream.set_stall(limits::HANDSHAKE).map_err(lost)?;
        let (stream, info) = stream.accept_tls(acceptor).map_err(|error| {
            log::debug!("tls={:?}", error.to_string());
            Hangup::Lost
        })?;
        self.stream = Some(stream);
        self.tls = Some(info);
        Ok(ahead)
    }

    /// How long a read or a write may stall before the client counts as lost.
    pub fn set_stall(&self, stall: Duration) -> Result<(), Hangup> {
        let stream = self.stream.as_ref().ok_or(Hangup::Lost)?;
        stream.set_stall(stall.max(IDLE)).map_err(|_| Hangup::Lost)
    }

    /// Says that nothing more comes, and reads what the client still had to say, briefly, so that
    /// our last words are not lost in a reset.
    pub fn close(mut self) {
        if self.flush().is_err() {
            return;
        }
        let Some(mut stream) = self.stream.take() else { return };
        stream.close();
        let end = Instant::now() + IDLE;
        stream.read_until(end);
        let mut rest = [0; 512];
        while Instant::now() < end
            && matches!(poll::readable([stream.fd()], Some(IDLE)), Ok([true]))
            && matches!(stream.read(&mut rest), Ok(1..))
        {}
    }

    /// Reads once, at least `room` octets if they are there. Before waiting, everything is written:
    /// nothing more to read means that the client waits for us.
    fn fill(&mut self, deadline: Instant, stoppable: bool, room: usize) -> Result<(), Hangup> {
        let pending = self.stream.as_ref().is_some_and(Stream::has_pending);
        if !pending {
            if !self.output.is_empty() {
                self.flush()?;
            }
            self.wait(deadline, stoppable)?;
        }
        let Some(stream) = &mut self.stream else { return Err(Hangup::Lost) };
        stream.read_until(deadline);
        self.input.copy_within(self.next..self.end, 0);
        (self.next, self.end) = (0, self.end - self.next);
        if self.input.len() < self.end + room {
            self.input.resize(self.end + room, 0);
        }
        loop {
            match stream.read(&mut self.input[self.end..]) {
                Ok(0) => return Err(Hangup::Lost),
                Ok(read) => {
                    self.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(why(&error)),
            }
        }
    }

    fn wait(&mut self, deadline: Instant, stoppable: bool) -> Result<(), Hangup> {
        let Some(stream) = &self.stream else { return Err(Hangup::Lost) };
        let fds = if stoppable { [stream.fd(), self.stop.as_fd()] } else { [stream.fd(); 2] };
        let left = deadline.saturating_duration_since(Instant::now());
        let mut ready = poll::readable(fds, Some(left.min(IDLE)));
        if matches!(ready, Ok([false, false])) {
            self.output = Vec::new();
            if !self.has_input() {
                self.input = Vec::new();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            ready = poll::readable(fds, Some(left));
        }
        match ready.map_err(|_| Hangup::Lost)? {
            [_, true] if stoppable => Err(Hangup::Stopping),
            [false, false] => Err(Hangup::Silent),
            // Careful: the same descriptor twice may become ready between its two looks.
            _ => Ok(()),
        }
    }
}

fn why(error: &io::Error) -> Hangup {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Hangup::Silent,
        _ => Hangup::Lost,
    }
}
