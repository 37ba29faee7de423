//! LOGIN-DELAY: when somebody logged in last, RFC 2449 §6.5.
//!
//! It is forgotten when the daemon ends, and early when too many are remembered: a delay is a
//! kindness to the server, nothing depends on it.

use crate::limits::LOGINS;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Users and their last logins.
#[derive(Debug, Default)]
pub struct Logins(Mutex<HashMap<String, Instant>>);

impl Logins {
    /// Counts a login, unless the last one was less than `delay` ago: then how long is left.
    pub fn enter(&self, user: &str, delay: Duration) -> Result<(), Duration> {
        if delay.is_zero() {
            return Ok(());
        }
        let now = Instant::now();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |at: &Instant| now.duration_since(*at);
        if let Some(left) = table.get(user).and_then(|at| delay.checked_sub(since(at))) {
            return Err(left);
        }
        if table.len() >= LOGINS {
            table.retain(|_, at| since(at) < delay);
        }
        if table.len() >= LOGINS {
            let oldest = table.iter().min_by_key(|(_, at)| **at).map(|(user, _)| user.clone());
            oldest.and_then(|user| table.remove(&user));
        }
        table.insert(user.to_owned(), now);
        Ok(())
    }

    /// Takes a login back that came to nothing.
    pub fn forget(&self, user: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_login_waits() {
        let (logins, hour) = (Logins::default(), Duration::from_secs(3600));
        assert_eq!(logins.enter("alice", hour), Ok(()));
        assert!(logins.enter("alice", hour).is_err_and(|left| left <= hour));
        assert_eq!(logins.enter("bob", hour), Ok(()));
        logins.forget("alice");
        assert_eq!(logins.enter("alice", hour), Ok(()));
        assert_eq!(logins.enter("alice", Duration::ZERO), Ok(()));
    }

    #[test]
    fn the_table_is_bounded() {
        let (logins, hour) = (Logins::default(), Duration::from_secs(3600));
        for user in 0..=LOGINS {
            assert_eq!(logins.enter(&user.to_string(), hour), Ok(()));
        }
        assert_eq!(logins.0.lock().unwrap().len(), LOGINS);
        assert_eq!(logins.enter("0", hour), Ok(()), "the oldest was forgotten");
    }
}
