//! Waiting for one of several descriptors: poll(2).

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Something that threads ring for one that waits in poll(2), until it is silenced.
#[derive(Debug)]
pub struct Call(UnixStream, UnixStream);

impl Call {
    /// A silent one.
    pub fn new() -> io::Result<Call> {
        let (rings, hears) = UnixStream::pair()?;
        rings.set_nonblocking(true)?;
        hears.set_nonblocking(true)?;
        Ok(Call(rings, hears))
    }

    /// Its descriptor can be read from until it is silenced.
    pub fn ring(&self) {
        // When it is full it rings already.
        let _ = (&self.0).write(b"!");
    }

    /// Is silent until it is rung again.
    pub fn silence(&self) {
        let mut octets = [0; 4096];
        while matches!((&self.1).read(&mut octets), Ok(count) if count > 0) {}
    }
}

impl AsFd for Call {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.1.as_fd()
    }
}

/// Which of `fds` can be read from (or have ended), after at most `timeout`.
pub fn readable<const N: usize>(
    fds: [BorrowedFd; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    wait(&mut polled, timeout)?;
    Ok(polled.map(|fd| fd.any().unwrap_or(true)))
}

/// The same for as many as there are.
pub fn readable_of(fds: &[BorrowedFd], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd> =
        fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    wait(&mut polled, timeout)?;
    Ok(polled.iter().map(|fd| fd.any().unwrap_or(true)).collect())
}

/// Whether `fd` can be written to (or has ended) before `timeout` is over.
pub fn writable(fd: BorrowedFd, timeout: Duration) -> io::Result<bool> {
    let mut polled = [PollFd::new(fd, PollFlags::POLLOUT)];
    wait(&mut polled, Some(timeout))?;
    Ok(polled[0].any().unwrap_or(true))
}

/// Waits for whatever each of them is to be asked.
pub(super) fn wait(fds: &mut [PollFd], timeout: Option<Duration>) -> io::Result<()> {
    let end = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left = match end {
            None => PollTimeout::NONE,
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                // A rest below a millisecond still waits, so that nobody spins.
                let millis = left.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
                PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(fds, left) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => return other.map(drop).map_err(io::Error::from),
        }
    }
}
