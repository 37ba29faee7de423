//! Password schemes: what stands in the second field of the users file, buzon-users(5).
//!
//! `{PLAIN}` and `{CLEARTEXT}`, `{SSHA}`, and whatever crypt(3) computes: `{CRYPT}`,
//! `{SHA512-CRYPT}`, `{SHA256-CRYPT}`, `{BLF-CRYPT}` or a bare hash such as `$6$...`.

use super::Error;
use super::crypts::Turn;
use crate::sys::crypt;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The schemes, each with what crypt(3)'s setting must begin with.
const CRYPT: [(&str, &str); 4] =
    [("CRYPT", ""), ("SHA512-CRYPT", "$6$"), ("SHA256-CRYPT", "$5$"), ("BLF-CRYPT", "$2")];

/// A stored password, understood.
#[derive(Debug, PartialEq, Eq)]
enum Stored<'a> {
    Plain(&'a str),
    Ssha(Vec<u8>),
    Crypt(&'a str),
    /// `!`, `*` or nothing: nobody logs in so.
    Locked,
}

/// What keeps a stored password from ever being right; `None` for a good one.
pub fn fault(stored: &str) -> Option<String> {
    parse(stored).err()
}

/// Whether somebody may log in with it.
pub fn usable(stored: &str) -> bool {
    parse(stored).is_ok_and(|stored| stored != Stored::Locked)
}

/// The scheme, for people.
pub fn name(stored: &str) -> &'static str {
    match parse(stored) {
        Ok(Stored::Plain(_)) => "PLAIN",
        Ok(Stored::Ssha(_)) => "SSHA",
        Ok(Stored::Crypt(hash)) => CRYPT[1..]
            .iter()
            .find(|(_, setting)| hash.starts_with(setting))
            .map_or("CRYPT", |(name, _)| name),
        Ok(Stored::Locked) => "locked",
        Err(_) => "unusable",
    }
}

/// The password itself, where it is kept so.
pub(super) fn clear_text(stored: &str) -> Option<&str> {
    match parse(stored) {
        Ok(Stored::Plain(password)) => Some(password),
        _ => None,
    }
}

/// What makes two comparisons take the same time: the scheme and its cost, without salt and hash.
pub(super) fn class(stored: &str) -> &str {
    let Ok(Stored::Crypt(hash)) = parse(stored) else {
        return name(stored);
    };
    let mut fields = hash.match_indices('$').map(|(at, _)| at).skip(1);
    let (Some(method), cost) = (fields.next(), fields.next()) else {
        return "DES";
    };
    match (&hash[..method], cost) {
        ("$1" | "$5" | "$6", Some(cost)) if !hash[method..cost].starts_with("$rounds=") => {
            &hash[..method]
        }
        (_, Some(cost)) => &hash[..cost],
        (_, None) => &hash[..method],
    }
}

/// Whether the password is right. What costs time waits for its turn first.
pub(super) fn verify<'a>(
    stored: &str,
    password: &[u8],
    turn: impl FnOnce() -> Result<Turn<'a>, Error>,
) -> Result<bool, Error> {
    Ok(match parse(stored) {
        Ok(Stored::Plain(right)) => same(right.as_bytes(), password),
        Ok(Stored::Ssha(octets)) => {
            let (digest, salt) = octets.split_at(20);
            same(digest, &Sha1::new().chain_update(password).chain_update(salt).finalize())
        }
        Ok(Stored::Crypt(right)) => {
            let _turn = turn()?;
            crypt::hash(password, right).is_some_and(|hash| same(hash.as_bytes(), right.as_bytes()))
        }
        Ok(Stored::Locked) | Err(_) => false,
    })
}

/// What to store for a password, under a scheme of those above.
pub fn make(scheme: &str, password: &[u8]) -> Result<String, String> {
    if password.is_empty() || password.contains(&0) {
        return Err("a password is not empty and holds no NUL".into());
    }
    let scheme = scheme.to_ascii_uppercase();
    let prefix = match scheme.as_str() {
        "PLAIN" | "CLEARTEXT" => {
            let text = std::str::from_utf8(password).map_err(|_| "the password is no UTF-8")?;
            if text.contains([':', '\n', '\r']) {
                return Err(format!("{{{scheme}}} cannot hold a ':' or a line end"));
            }
            return Ok(format!("{{{scheme}}}{text}"));
        }
        "SSHA" => {
            let mut salt = [0; 8];
            openssl::rand::rand_bytes(&mut salt).map_err(|error| error.to_string())?;
            let digest = Sha1::new().chain_update(password).chain_update(salt).finalize();
            let octets = [&digest[..], &salt].concat();
            return Ok(format!("{{SSHA}}{}", STANDARD.encode(octets)));
        }
        "SHA512-CRYPT" => "$6$",
        "SHA256-CRYPT" => "$5$",
        "BLF-CRYPT" => "$2y$",
        "CRYPT" => "$y$",
        _ => {
            return Err(format!(
                "there is no scheme '{scheme}'; there are PLAIN, SSHA, CRYPT, SHA512-CRYPT, \
                 SHA256-CRYPT, BLF-CRYPT"
            ));
        }
    };
    let hash = crypt::salt(prefix).and_then(|setting| crypt::hash(password, &setting));
    let hash = hash.ok_or_else(|| format!("crypt(3) makes no {scheme} of this password"))?;
    Ok(format!("{{{scheme}}}{hash}"))
}

/// Equal, in a time that depends on the lengths alone.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && openssl::memcmp::eq(a, b)
}

fn parse(stored: &str) -> Result<Stored<'_>, String> {
    let Some((scheme, rest)) = stored.strip_prefix('{').and_then(|rest| rest.split_once('}'))
    else {
        return bare(stored);
    };
    let scheme = scheme.to_ascii_uppercase();
    match scheme.as_str() {
        "PLAIN" | "CLEARTEXT" if rest.is_empty() => Ok(Stored::Locked),
        "PLAIN" | "CLEARTEXT" => Ok(Stored::Plain(rest)),
        "SSHA" => match STANDARD.decode(rest) {
            Ok(octets) if octets.len() > 20 => Ok(Stored::Ssha(octets)),
            _ => Err("the {SSHA} password is not base64 of a digest and a salt".into()),
        },
        _ => match CRYPT.iter().find(|(name, _)| *name == scheme) {
            Some(_) if rest.is_empty() || rest.starts_with(['!', '*']) => Ok(Stored::Locked),
            Some((_, setting)) if rest.starts_with(setting) => Ok(Stored::Crypt(rest)),
            Some((_, setting)) => Err(format!("the {{{scheme}}} hash begins not with {setting}")),
            None => Err(format!("there is no password scheme {{{scheme}}}")),
        },
    }
}

/// Without a scheme: a hash that tells its method, or nothing.
///
/// We differ: Dovecot takes the scheme that its configuration names, CRYPT by default; here a
/// forgotten `{PLAIN}` is told, and no password is taken for the DES hash of another.
fn bare(stored: &str) -> Result<Stored<'_>, String> {
    if stored.is_empty() || stored.starts_with(['!', '*']) {
        return Ok(Stored::Locked);
    }
    let fields = stored.split('$').collect::<Vec<_>>();
    match fields[..] {
        ["", method, _, .., last] if !method.is_empty() && !last.is_empty() => {
            Ok(Stored::Crypt(stored))
        }
        _ => Err("the password has no scheme and is no crypt(3) hash".into()),
    }
}
