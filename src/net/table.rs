//! The connections under way: so many in all, and so many from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// As many connections as this server takes.
    InAll,
    /// As many as one address may have.
    FromAddress,
    /// No thread or no descriptor is left.
    Resources,
}

/// The connections under way.
#[derive(Default)]
pub struct Table {
    counts: Mutex<Counts>,
    fewer: Condvar,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place in the table; dropping it gives it back.
pub struct Place {
    table: Arc<Table>,
    address: Option<IpAddr>,
}

impl Table {
    /// Takes a place for a connection from `address`; one of this host counts only among all.
    pub fn enter(
        self: &Arc<Table>,
        address: Option<IpAddr>,
        in_all: usize,
        from_address: usize,
    ) -> Result<Place, Full> {
        let mut counts = self.lock();
        if counts.all >= in_all {
            return Err(Full::InAll);
        }
        if let Some(address) = address {
            let here = counts.by_address.entry(address).or_default();
            if *here >= from_address {
                return Err(Full::FromAddress);
            }
            *here += 1;
        }
        counts.all += 1;
        Ok(Place { table: Arc::clone(self), address })
    }

    /// Waits until all have left; `false` if some stay.
    pub fn wait_empty(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut counts = self.lock();
        while counts.all > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.fewer.wait_timeout(counts, left);
            counts = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.table.lock();
        counts.all -= 1;
        if let Some(address) = self.address
            && let Some(here) = counts.by_address.get_mut(&address)
        {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&address);
            }
        }
        drop(counts);
        self.table.fewer.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let table = Arc::new(Table::default());
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|address| Some(address.parse().unwrap()));
        let first = table.enter(a, 3, 2);
        let second = table.enter(a, 3, 2);
        assert_eq!(table.enter(a, 3, 2).err(), Some(Full::FromAddress));
        let third = table.enter(b, 3, 2);
        assert_eq!(table.enter(b, 3, 2).err(), Some(Full::InAll));
        drop((first, second));
        assert!(!table.wait_empty(Duration::ZERO));
        drop(third);
        assert!(table.wait_empty(Duration::ZERO));
        assert!(table.lock().by_address.is_empty());
    }
}
