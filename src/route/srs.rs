//! The Sender Rewriting Scheme, as libsrs2 and Mail::SRS have it: a forwarded letter takes a
//! reverse-path at our domain, so that SPF (RFC 7208 §2.4) is asked of us.
//!
//! `SRS0=HHHH=TT=domain=local@ours`: a hash that only we can make, the day, the address.
//! `SRS1=HHHH=first=...@ours` where another host had done so before us: what comes back goes to
//! that host, and from there to the sender, however many hosts forwarded between.

use crate::mail::Mailbox;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What days are written in.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Days after which they repeat: two digits.
const DAYS: u64 = 32 * 32;
/// Days for which a letter may come back.
const VALID: u64 = 21;
/// Characters of a hash.
const HASH: usize = 4;

/// The secrets of a file, a line each; the first one makes new hashes.
pub(super) fn parse(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// `SRS0=`, `SRS1+` or the like, and what follows; `None` for any other local part.
fn tagged(local_part: &str) -> Option<(u8, &str)> {
    let (tag, rest) = local_part.split_at_checked(5)?;
    let tag = tag.as_bytes();
    let is = tag[..3].eq_ignore_ascii_case(b"SRS") && b"01".contains(&tag[3]);
    (is && b"=-+".contains(&tag[4])).then_some((tag[3], rest))
}

/// Whether an address may be one that we made.
pub(super) fn is_rewritten(local_part: &str) -> bool {
    tagged(local_part).is_some()
}

/// The reverse-path of a letter that is sent on from our domain.
pub(super) fn forward(secret: &str, path: &Mailbox, ours: &str, now: SystemTime) -> Mailbox {
    let Mailbox { local_part, domain } = path;
    // Already an SRS1 address: its first host stays, we put our hash in place of the other's.
    let again = tagged(local_part).filter(|(tag, _)| *tag == b'1');
    let again = again.and_then(|(_, rest)| rest.split_once('=')?.1.split_once('='));
    let rewritten = match (again, tagged(local_part)) {
        (Some((first, rest)), _) => {
            format!("SRS1={}={first}={rest}", hash(secret, &[first, rest]))
        }
        (None, Some((b'0', _))) => {
            let rest = &local_part[4..];
            format!("SRS1={}={domain}={rest}", hash(secret, &[domain, rest]))
        }
        _ => {
            let day = days(now);
            let day = [BASE32[(day / 32 % 32) as usize], BASE32[(day % 32) as usize]];
            let day = day.map(char::from).iter().collect::<String>();
            let hash = hash(secret, &[&day, domain, local_part]);
            format!("SRS0={hash}={day}={domain}={local_part}")
        }
    };
    Mailbox { local_part: rewritten, domain: ours.into() }
}

/// Whom a letter to such an address of ours is for; the reason where it is for nobody.
pub(super) fn reverse(
    secrets: &[String],
    local_part: &str,
    now: SystemTime,
) -> Result<Mailbox, &'static str> {
    let Some((tag, rest)) = tagged(local_part) else {
        return Err("is no SRS address");
    };
    let incomplete = "is no complete SRS address";
    let (told, rest) = rest.split_once('=').ok_or(incomplete)?;
    let is_ours = |parts: &[&str]| {
        secrets.iter().any(|secret| hash(secret, parts).eq_ignore_ascii_case(told))
    };
    let (domain, local_part) = match tag {
        b'0' => {
            let (day, address) = rest.split_once('=').ok_or(incomplete)?;
            let (domain, local_part) = address.split_once('=').ok_or(incomplete)?;
            if !is_ours(&[day, domain, local_part]) {
                return Err("bears a hash that is not ours");
            }
            if !is_valid(day, now) {
                return Err("is too old");
            }
            (domain, local_part.to_owned())
        }
        _ => {
            let (first, rest) = rest.split_once('=').ok_or(incomplete)?;
            if !is_ours(&[first, rest]) {
                return Err("bears a hash that is not ours");
            }
            (first, format!("SRS0{rest}"))
        }
    };
    // Only a line of the log is as long as a sender wishes.
    let domain = super::members::whole_domain(domain).ok_or(incomplete)?;
    Ok(Mailbox { local_part, domain })
}

fn days(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / 86_400
}

fn is_valid(day: &str, now: SystemTime) -> bool {
    let digit = |octet: u8| BASE32.iter().position(|digit| digit.eq_ignore_ascii_case(&octet));
    let [high, low] = *day.as_bytes() else { return false };
    let (Some(high), Some(low)) = (digit(high), digit(low)) else { return false };
    (days(now) + DAYS - (high * 32 + low) as u64) % DAYS <= VALID
}

/// The first characters of RFC 2104's HMAC with SHA-1, in base64, of the parts in lower case.
fn hash(secret: &str, parts: &[&str]) -> String {
    let mut key = [0; 64];
    match secret.len() > key.len() {
        true => key[..20].copy_from_slice(&Sha1::digest(secret)),
        false => key[..secret.len()].copy_from_slice(secret.as_bytes()),
    }
    let mut inner = Sha1::new();
    inner.update(key.map(|octet| octet ^ 0x36));
    parts.iter().for_each(|part| inner.update(part.to_ascii_lowercase()));
    let mut outer = Sha1::new();
    outer.update(key.map(|octet| octet ^ 0x5c));
    outer.update(inner.finalize());
    let mut hash = BASE64_STANDARD.encode(outer.finalize());
    hash.truncate(HASH);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(address: &str) -> Mailbox {
        let (local_part, domain) = address.rsplit_once('@').unwrap();
        Mailbox { local_part: local_part.into(), domain: domain.into() }
    }

    fn day(day: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(day * 86_400)
    }

    #[test]
    fn there_and_back() {
        let (secrets, old) = (parse("new\nold\n\n"), parse("old"));
        for (now, later, back) in [
            (20_000, 20_000, Ok(())),
            (20_000, 20_021, Ok(())),
            (20_000, 20_022, Err("is too old")),
            (20_000, 19_999, Err("is too old")),
            (20_479, 20_481, Ok(())),
        ] {
            let path = mailbox("Luis=x@Example.test");
            let away = forward("old", &path, "aula.test", day(now));
            assert!(away.to_string().ends_with("=Example.test=Luis=x@aula.test"), "{away}");
            let lower = away.local_part.to_lowercase();
            for local_part in [&away.local_part, &lower] {
                let found = reverse(&secrets, local_part, day(later));
                assert_eq!(found.map(|_| ()), back);
            }
            assert_eq!(reverse(&old, &away.local_part, day(now)), Ok(path));
            let wrong = reverse(&parse("other"), &away.local_part, day(now));
            assert_eq!(wrong, Err("bears a hash that is not ours"));
        }
    }

    #[test]
    fn the_hash_is_that_of_the_others() {
        let away = forward("secret", &mailbox("luis@example.test"), "aula.test", day(20_000));
        assert_eq!(away.to_string(), "SRS0=S9d2=RA=example.test=luis@aula.test");
        let further = forward("secret", &away, "two.test", day(20_000));
        assert_eq!(further.to_string(), "SRS1=qpWD=aula.test==S9d2=RA=example.test=luis@two.test");
        let third = mailbox("SRS1=abcd=one.test==S9d2=RA=example.test=luis@two.test");
        let third = forward("secret", &third, "three.test", day(20_000));
        assert_eq!(third.to_string(), "SRS1=eWAB=one.test==S9d2=RA=example.test=luis@three.test");
    }

    #[test]
    fn by_three_hosts() {
        let now = day(20_000);
        let first = forward("a", &mailbox("luis@example.test"), "one.test", now);
        let second = forward("b", &first, "two.test", now);
        let third = forward("c", &second, "three.test", now);
        assert!(second.local_part.starts_with("SRS1=") && third.local_part.starts_with("SRS1="));
        assert!(second.local_part.contains("=one.test=="), "{second}");
        assert!(third.local_part.contains("=one.test=="), "{third}");
        // What comes back to any of them goes to the first, and from there to the sender.
        assert_eq!(reverse(&parse("c"), &third.local_part, now), Ok(first.clone()));
        assert_eq!(reverse(&parse("b"), &second.local_part, now), Ok(first.clone()));
        assert_eq!(reverse(&parse("a"), &first.local_part, now), Ok(mailbox("luis@example.test")));
    }

    #[test]
    fn what_is_none_of_ours() {
        for (local_part, told) in [
            ("luis", "is no SRS address"),
            ("SRS2=x", "is no SRS address"),
            ("SRS0", "is no SRS address"),
            ("SRS0=", "is no complete SRS address"),
            ("SRS0=abcd=AB=example.test", "is no complete SRS address"),
            ("SRS0=abcd=AB=example.test=luis", "bears a hash that is not ours"),
            ("SRS1=abcd=example.test", "is no complete SRS address"),
            ("srs1-abcd=example.test==x", "bears a hash that is not ours"),
            ("SRSé=x", "is no SRS address"),
        ] {
            assert_eq!(reverse(&parse("a"), local_part, day(20_000)), Err(told), "{local_part}");
        }
    }
}
