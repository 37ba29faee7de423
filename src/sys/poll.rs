//! Waiting for one of several descriptors: poll(2).

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

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
