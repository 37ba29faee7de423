//! What a service manager is told: ready, reloading, stopping, and that we are alive.
//!
//! sd_notify(3): datagrams to the socket that `NOTIFY_SOCKET` names. Without one nothing is said,
//! and what cannot be said is no reason to serve nobody.

use sd_notify::NotifyState::{self, Ready, Reloading, Status, Stopping};
use std::time::{Duration, Instant};

/// We serve; `status` is for people.
pub fn ready(status: &str) {
    tell(&[Ready, Status(status)]);
}

/// The configuration is being read again; `ready` follows.
pub fn reloading() {
    // Careful: systemd wants the time in the same datagram.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[Reloading, now]);
    }
}

/// We serve nobody new.
pub fn stopping(status: &str) {
    tell(&[Stopping, Status(status)]);
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("notify error={error}");
    }
}

/// The service manager's watchdog: a loop that goes round is alive, one that hangs falls silent
/// and is started anew.
pub struct Watchdog {
    /// Half of what the manager waits for.
    every: Option<Duration>,
    next: Instant,
}

impl Watchdog {
    /// As the environment asks for it, or none.
    pub fn new() -> Watchdog {
        let every = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
        Watchdog { every: every.map(|limit| limit / 2), next: Instant::now() }
    }

    /// How long the loop may wait for something to happen.
    pub fn patience(&self) -> Option<Duration> {
        self.every.map(|_| self.next.saturating_duration_since(Instant::now()))
    }

    /// The loop goes round.
    pub fn alive(&mut self) {
        let now = Instant::now();
        if let Some(every) = self.every
            && now >= self.next
        {
            tell(&[NotifyState::Watchdog]);
            self.next = now + every;
        }
    }
}

impl Default for Watchdog {
    fn default() -> Watchdog {
        Watchdog::new()
    }
}
