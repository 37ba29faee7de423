//! Signals as sockets that poll(2) can wait for: SIGTERM and SIGINT to stop, SIGHUP to read the
//! configuration again. SIGPIPE is ignored by Rust's start-up, which is right for a server.
//!
//! Signals are never blocked: a program we start would inherit the mask.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// For a program that only prints: it ends when its reader has gone, as in `smtpd -nv | head`.
#[allow(unsafe_code)]
pub fn end_with_the_reader() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: the default action runs no code of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

/// One kind of signal, or two that mean the same.
pub struct Signal(UnixStream);

impl Signal {
    /// SIGTERM, and SIGINT from a terminal.
    pub fn stop() -> io::Result<Signal> {
        Signal::of(&[SIGTERM, SIGINT])
    }

    /// SIGHUP.
    pub fn reload() -> io::Result<Signal> {
        Signal::of(&[SIGHUP])
    }

    fn of(signals: &[i32]) -> io::Result<Signal> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        for signal in signals {
            pipe::register(*signal, write.try_clone()?)?;
        }
        Ok(Signal(read))
    }

    /// Forgets those that have come.
    pub fn clear(&mut self) {
        let mut octets = [0; 64];
        while matches!(self.0.read(&mut octets), Ok(1..)) {}
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
