//! Dates as a message writes them: RFC 5322 §3.3.

use chrono::{DateTime, Local};

/// `Fri, 20 Nov 2026 23:53:33 +0100`, in the zone of this host.
pub fn date(moment: DateTime<Local>) -> String {
    moment.format("%a, %d %b %Y %H:%M:%S %z").to_string()
}

/// `Fri Nov 20 23:53:33 2026`, as asctime(3) has it, in the zone of this host: what the dividing
/// line of an mbox says.
pub fn asctime(moment: DateTime<Local>) -> String {
    moment.format("%a %b %e %H:%M:%S %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn four_digit_years_and_a_numeric_zone() {
        let moment = Local.timestamp_opt(1_790_000_000, 0).unwrap();
        let text = date(moment);
        assert_eq!(DateTime::parse_from_rfc2822(&text).unwrap(), moment, "{text}");
        assert!(text.contains(" 2026 "), "{text}");
    }
}
