//! Failed logins by client address: each makes the next pause longer.
//!
//! What one client is, `conf::client` says. The pause is slept by
//! the thread of that connection, which `max_connections_per_address` counts all the while.

use crate::conf::client;
use crate::limits::FAILURES;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After so long without a failure an address is as good as new.
const MEMORY: Duration = Duration::from_secs(600);
/// The pause doubles so many times at most.
const DOUBLINGS: u32 = 3;

/// Addresses and their failures.
#[derive(Debug, Default)]
pub(super) struct Failures {
    table: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

impl Failures {
    /// Counts a failure and tells the pause after it.
    pub fn add(&self, peer: Option<IpAddr>, pause: Duration) -> Duration {
        let Some(client) = peer.map(client) else {
            return pause;
        };
        let now = Instant::now();
        let mut table = self.lock();
        if table.len() >= FAILURES && !table.contains_key(&client) {
            make_room(&mut table, now);
        }
        let (failures, at) = table.entry(client).or_insert((0, now));
        if now.duration_since(*at) > MEMORY {
            *failures = 0;
        }
        *at = now;
        *failures = failures.saturating_add(1);
        pause * 2u32.pow((*failures - 1).min(DOUBLINGS))
    }

    /// A login worked: the address is as good as new.
    pub fn forget(&self, peer: Option<IpAddr>) {
        if let Some(peer) = peer {
            self.lock().remove(&client(peer));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, (u32, Instant)>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops what is old, or else the oldest.
fn make_room(table: &mut HashMap<IpAddr, (u32, Instant)>, now: Instant) {
    table.retain(|_, (_, at)| now.duration_since(*at) <= MEMORY);
    if table.len() >= FAILURES {
        let oldest = table.iter().min_by_key(|(_, (_, at))| *at).map(|(client, _)| *client);
        oldest.and_then(|client| table.remove(&client));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_and_is_forgotten() {
        let failures = Failures::default();
        let peer = |text: &str| Some(text.parse().unwrap());
        let pause = Duration::from_secs(2);
        for (address, seconds) in [
            ("192.0.2.1", 2),
            ("192.0.2.1", 4),
            ("192.0.2.2", 2),
            ("::ffff:192.0.2.1", 8),
            ("192.0.2.1", 16),
            ("192.0.2.1", 16),
            ("2001:db8::1", 2),
            ("2001:db8::2", 4),
            ("2001:db8:0:1::2", 2),
        ] {
            assert_eq!(failures.add(peer(address), pause).as_secs(), seconds, "{address}");
        }
        failures.forget(peer("192.0.2.1"));
        assert_eq!(failures.add(peer("192.0.2.1"), pause), pause);
        assert_eq!(failures.add(None, pause), pause);
        assert_eq!(failures.add(None, pause), pause);
    }

    #[test]
    fn the_table_is_bounded() {
        let failures = Failures::default();
        for number in 0..FAILURES as u32 + 100 {
            failures.add(Some(std::net::Ipv4Addr::from_bits(number).into()), Duration::ZERO);
        }
        assert_eq!(failures.lock().len(), FAILURES);
    }
}
