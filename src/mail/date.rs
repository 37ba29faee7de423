//! Dates as a message writes them: RFC 5322 §3.3, and as messages have been seen to write them.

use super::tokens::skip_cfws;
use crate::text::Cursor;
use chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveTime};

/// `Fri, 20 Nov 2026 23:53:33 +0100`, in the zone of this host.
pub fn date(moment: DateTime<Local>) -> String {
    moment.format("%a, %d %b %Y %H:%M:%S %z").to_string()
}

/// Reads the value of a Date field, the old forms of RFC 5322 §4.3 and that of asctime(3) too. The
/// date is as written: the zone says where. Without a time it is midnight, without a zone UTC.
pub fn read_date(value: &[u8]) -> Option<DateTime<FixedOffset>> {
    let (mut day, mut month, mut year) = (None, None, None);
    let (mut time, mut zone) = (None, None);
    let mut cursor = Cursor::new(value);
    for _ in 0..16 {
        skip_cfws(&mut cursor);
        match cursor.peek()? {
            b'0'..=b'9' => {
                let digits = cursor.run(|octet| octet.is_ascii_digit());
                match cursor.peek() {
                    Some(b':') if time.is_none() => time = Some(clock(digits, &mut cursor)?),
                    _ if day.is_none() && digits.len() <= 2 => day = Some(number(digits)?),
                    _ if year.is_none() => year = Some(full_year(digits)?),
                    _ => {}
                }
            }
            sign @ (b'+' | b'-') => {
                cursor.take();
                let digits = cursor.run(|octet| octet.is_ascii_digit());
                // A hyphen also stands within `20-Nov-2026`.
                match digits.len() {
                    _ if time.is_some() => zone = zone.or(offset(sign, digits)),
                    0 => {}
                    _ if year.is_none() && day.is_some() => year = Some(full_year(digits)?),
                    _ => {}
                }
            }
            octet if octet.is_ascii_alphabetic() => {
                let word = cursor.run(|octet| octet.is_ascii_alphabetic());
                match month_named(word) {
                    Some(number) if month.is_none() => month = Some(number),
                    _ if time.is_some() => zone = zone.or(zone_named(word)),
                    _ => {}
                }
            }
            _ => {
                cursor.take();
            }
        }
        skip_cfws(&mut cursor);
        if cursor.at_end() {
            break;
        }
    }
    let date = NaiveDate::from_ymd_opt(year?, month?, day?)?.and_time(time.unwrap_or_default());
    let zone = zone.or(FixedOffset::east_opt(0))?;
    date.and_local_timezone(zone).single()
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// RFC 5322 §4.3 (`obs-year`).
fn full_year(digits: &[u8]) -> Option<i32> {
    let year = i32::try_from(number(digits)?).ok()?;
    Some(match digits.len() {
        0..=2 if year < 50 => year + 2000,
        0..=3 => year + 1900,
        _ => year,
    })
}

/// `10:00` or `10:00:00`, the hour already read. A leap second is the one before it.
fn clock(hour: &[u8], cursor: &mut Cursor) -> Option<NaiveTime> {
    let mut part = || match cursor.literal(":") {
        Some(()) => number(cursor.run(|octet| octet.is_ascii_digit())),
        None => Some(0),
    };
    let (minute, second) = (part()?, part()?);
    NaiveTime::from_hms_opt(number(hour)?, minute, second.min(59))
}

fn offset(sign: u8, digits: &[u8]) -> Option<FixedOffset> {
    let (hours, minutes) = digits.split_at_checked(2)?;
    let seconds = (number(hours)? * 60 + number(minutes.get(..2)?)?) * 60;
    let seconds = i32::try_from(seconds).ok()?;
    FixedOffset::east_opt(if sign == b'-' { -seconds } else { seconds })
}

fn month_named(word: &[u8]) -> Option<u32> {
    const MONTHS: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
    let start = word.get(..3)?.to_ascii_lowercase();
    (1..).zip(MONTHS.chunks(3)).find(|(_, month)| *month == start).map(|(number, _)| number)
}

/// RFC 5322 §4.3 (`obs-zone`); a word that is no zone is UTC, as the military letters are.
fn zone_named(word: &[u8]) -> Option<FixedOffset> {
    let hours = match word.to_ascii_uppercase().as_slice() {
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        _ => 0,
    };
    FixedOffset::east_opt(hours * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn dates_are_read() {
        for (value, expected) in [
            ("Fri, 20 Nov 2026 23:53:33 +0100", "2026-11-20T23:53:33+01:00"),
            (" 20 Nov 2026 23:53 -0330", "2026-11-20T23:53:00-03:30"),
            ("Fri,20 Nov 26 3:5:7 GMT (x)", "2026-11-20T03:05:07+00:00"),
            ("Fri (day), 20 (d) Nov\r\n 2026 23:53:60 EST", "2026-11-20T23:53:59-05:00"),
            ("20 November 98 1:2:3 Z", "1998-11-20T01:02:03+00:00"),
            ("20 Nov 126 1:2:3 pdt", "2026-11-20T01:02:03-07:00"),
            ("Fri Nov 20 23:53:33 2026", "2026-11-20T23:53:33+00:00"),
            ("Fri Nov 20 23:53:33 MST 2026", "2026-11-20T23:53:33-07:00"),
            ("20-Nov-2026 23:53:33 -0000", "2026-11-20T23:53:33+00:00"),
            ("20 Nov 2026", "2026-11-20T00:00:00+00:00"),
            ("Fri, 20 Nov 2026 10:00:00 GMT+0200", "2026-11-20T10:00:00+00:00"),
        ] {
            let found = read_date(value.as_bytes()).map(|date| date.to_rfc3339());
            assert_eq!(found.as_deref(), Some(expected), "{value}");
        }
        for value in [
            "",
            "yesterday",
            "31 Feb 2026 10:00:00 +0000",
            "20 Nov",
            "20 Nov 2026 25:00 +0000",
            "99999999999999999999 Nov 2026",
            "Nov Nov Nov",
            "20 Nov 99999999999 1:1",
            ":::",
        ] {
            assert_eq!(read_date(value.as_bytes()), None, "{value}");
        }
        read_date(&b"1 ".repeat(1_000_000));
        read_date(&b"(".repeat(1_000_000));
    }

    #[test]
    fn four_digit_years_and_a_numeric_zone() {
        let moment = Local.timestamp_opt(1_790_000_000, 0).unwrap();
        let text = date(moment);
        assert_eq!(DateTime::parse_from_rfc2822(&text).unwrap(), moment, "{text}");
        assert!(text.contains(" 2026 "), "{text}");
    }
}
