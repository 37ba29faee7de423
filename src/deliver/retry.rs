//! When a letter is tried again, and when no more: RFC 5321 §4.5.4.1.
//!
//! The clock is a value, so that `runq --at +26h` and the tests can look ahead.

use crate::conf::Site;
use crate::queue::Envelope;
use crate::sys::clock;
use std::time::Duration;

/// Seconds since 1970, perhaps not those of now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// How far ahead of the clock on the wall.
    pub ahead: Duration,
}

impl Clock {
    /// The time.
    pub fn now(&self) -> u64 {
        clock::micros() / 1_000_000 + self.ahead.as_secs()
    }
}

/// When a letter that was just tried is to be tried again, seconds since 1970: the wait doubles, and
/// letters that failed together come back apart.
pub(super) fn next(site: &Site, envelope: &Envelope, now: u64) -> u64 {
    let doublings = envelope.attempts.saturating_sub(1).min(20);
    let wait = site.retry_first.saturating_mul(1 << doublings).min(site.retry_longest);
    let wait = wait.as_secs().max(1);
    let jitter = clock::micros() % (wait / 5 + 1);
    // Careful: not beyond the end, where the sender must hear of it.
    let end = envelope.arrived.saturating_add(site.give_up.as_secs());
    (now + wait - wait / 10 + jitter).min(end.max(now + 1))
}

/// Whether it has waited long enough to go back.
pub(super) fn is_over(site: &Site, envelope: &Envelope, now: u64) -> bool {
    now.saturating_sub(envelope.arrived) >= site.give_up.as_secs()
}

/// Whether its sender is to be told that it takes long.
pub(super) fn is_late(site: &Site, envelope: &Envelope, now: u64) -> bool {
    !envelope.is_delay_told && now.saturating_sub(envelope.arrived) >= site.delay_report.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let mut site = crate::conf::load(None).unwrap();
        site.retry_first = Duration::from_secs(300);
        site.retry_longest = Duration::from_secs(4 * 3600);
        site.give_up = Duration::from_secs(48 * 3600);
        let mut envelope = Envelope::new("a".into(), 1_000_000, None);
        for (attempts, wait) in [(1, 300), (2, 600), (3, 1200), (7, 14_400), (60, 14_400)] {
            envelope.attempts = attempts;
            let waited = next(&site, &envelope, 1_000_000) - 1_000_000;
            assert!((wait * 9 / 10..=wait * 11 / 10).contains(&waited), "{attempts}: {waited}");
        }
        let end = 1_000_000 + 48 * 3600;
        assert_eq!(next(&site, &envelope, end - 60), end);
        assert!(!is_over(&site, &envelope, end - 1) && is_over(&site, &envelope, end));
        assert!(next(&site, &envelope, end + 60) > end + 60);
    }
}
