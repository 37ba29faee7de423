//! Time, and ids that sort by it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970.
pub fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// An id that no other of this process has, and that sorts by time: ten letters and digits.
pub fn id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = micros();
    let last =
        LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
    let mut number = now.max(last.unwrap_or(0) + 1);
    let mut digits = [0; 11];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdefghijklmnopqrstuv"[(number % 32) as usize];
        number /= 32;
    }
    String::from_utf8_lossy(&digits).trim_start_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_differ_and_sort() {
        let ids: Vec<String> = (0..1000).map(|_| super::id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
