//! Who are you: the users file, password schemes, SASL.
//!
//! `passwd` reads the users file, buzon-users(5); `scheme` compares passwords; `live` remembers
//! what sessions share; `sasl` holds RFC 4422 exchanges as values; `edit` is what buzonctl(8) does
//! to the file. Names match in any case, and in lower case they are told on, as sendmail,
//! Postfix and Dovecot do. Nobody learns here whether it was the name or the password.

mod crypts;
pub mod edit;
mod failures;
mod passwd;
pub mod sasl;
pub mod scheme;

use crate::conf::Site;
use crate::limits;
use crate::sys;
use crate::sys::cached::Cached;
use crypts::Crypts;
use failures::Failures;
use md5::{Digest, Md5};
use passwd::{Entry, Table};
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Whoever has a mailbox here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name, in lower case.
    pub name: String,
    /// The home directory.
    pub home: PathBuf,
    /// The Maildir.
    pub maildir: PathBuf,
    /// Octets the mailbox may hold, 0 for no limit.
    pub quota: u64,
}

/// Why nobody is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Name or password; which of them is never said.
    Wrong,
    /// So many logins wait already that this one shall come again.
    Busy,
    /// The users file cannot be used, or not this line of it. The reason is for the log.
    Unavailable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Wrong => f.write_str("wrong name or password"),
            Error::Busy => f.write_str("too many logins at once"),
            Error::Unavailable(why) => f.write_str(why),
        }
    }
}

/// What sessions share: the users file as last read, password computations under way, failures.
/// Correctness never depends on it.
#[derive(Debug, Default)]
pub struct Live {
    users: Cached<Table>,
    crypts: Crypts,
    failures: Failures,
}

/// The user of a name, or of an address at one of our domains.
pub fn find(site: &Site, live: &Live, name: &str) -> Result<Option<User>, Error> {
    let table = table(site, live)?;
    match table.find(&plain(site, name)) {
        Some(Ok(entry)) => Ok(Some(user(site, entry))),
        Some(Err(fault)) => Err(unusable(site, fault)),
        None => Ok(None),
    }
}

/// The first user of the file, who is postmaster where nobody else is.
pub fn first(site: &Site, live: &Live) -> Result<Option<User>, Error> {
    let table = table(site, live)?;
    Ok(table.entries().next().map(|entry| user(site, entry)))
}

/// Whoever has this name and password. After a failure it returns late: see `failures`.
///
/// An unknown name takes the time of a known one: the password is compared with that of somebody
/// else, whose scheme is the one most users have, and the outcome is forgotten.
pub fn check(
    site: &Site,
    live: &Live,
    name: &str,
    password: &[u8],
    peer: Option<IpAddr>,
) -> Result<User, Error> {
    let table = table(site, live)?;
    let entry = match table.find(&plain(site, name)) {
        Some(Err(fault)) => return Err(unusable(site, fault)),
        Some(Ok(entry)) if entry.may_log_in() => Some(entry),
        _ => None,
    };
    let right = match entry.or(table.usual()) {
        Some(entry) => scheme::verify(&entry.password, password, || live.crypts.take())?,
        None => false,
    };
    verdict(site, live, entry.filter(|_| right), peer)
}

/// RFC 1939 §7: whoever knows the password that makes this digest of the greeting's stamp, angle
/// brackets included. Only a password kept in clear text can tell.
pub fn check_apop(
    site: &Site,
    live: &Live,
    name: &str,
    stamp: &str,
    digest: &str,
    peer: Option<IpAddr>,
) -> Result<User, Error> {
    let table = table(site, live)?;
    let entry = match table.find(&plain(site, name)) {
        Some(Err(fault)) => return Err(unusable(site, fault)),
        Some(Ok(entry)) if entry.may_log_in() => Some(entry),
        _ => None,
    };
    let secret = entry.and_then(|entry| scheme::clear_text(&entry.password));
    let mut md5 = Md5::new();
    md5.update(stamp);
    md5.update(secret.unwrap_or("nobody knows"));
    let expected: String = md5.finalize().iter().map(|octet| format!("{octet:02x}")).collect();
    let right = scheme::same(expected.as_bytes(), digest.as_bytes()) && secret.is_some();
    verdict(site, live, entry.filter(|_| right), peer)
}

/// Every fault of the users file and of the mailboxes it names, as `file:line: what, cure`.
/// Whether a mailbox can be written is asked for the account that asks.
pub fn faults(site: &Site, live: &Live) -> Vec<String> {
    let table = match table(site, live) {
        Ok(table) => table,
        Err(error) => return vec![error.to_string()],
    };
    let mut faults: Vec<_> = table.faults.iter().map(|fault| fault.at(&site.users)).collect();
    let mut told = HashSet::new();
    for entry in table.entries() {
        let fault = sys::access::fault(&user(site, entry).maildir);
        // One directory above them all is told once.
        if let Some((directory, why)) = fault
            && told.insert(directory)
        {
            let (place, line, name) = (site.users.display(), entry.line, &entry.name);
            faults.push(format!("{place}:{line}: the mailbox of '{name}': {why}"));
        }
    }
    faults
}

/// Every user of the file, in its order, each with the scheme of the password.
pub fn list(site: &Site, live: &Live) -> Result<Vec<(User, &'static str)>, Error> {
    let table = table(site, live)?;
    Ok(table.entries().map(|entry| (user(site, entry), scheme::name(&entry.password))).collect())
}

fn table(site: &Site, live: &Live) -> Result<Arc<Table>, Error> {
    let news = |table: &Table| {
        for fault in &table.faults {
            log::warn!("{}", fault.at(&site.users));
        }
    };
    let place = site.users.display();
    live.users
        .get(&site.users, limits::TABLE_FILE, passwd::parse, news)
        .map_err(|error| Error::Unavailable(format!("{place}: {error}")))?
        .ok_or_else(|| {
            Error::Unavailable(format!(
                "{place}: there is no such file, 'buzonctl user add' makes it"
            ))
        })
}

fn unusable(site: &Site, fault: &passwd::Fault) -> Error {
    Error::Unavailable(fault.at(&site.users))
}

/// The name without one of our domains, in lower case.
fn plain(site: &Site, name: &str) -> String {
    match name.rsplit_once('@') {
        Some((local_part, domain)) if site.is_local(domain) => local_part.to_lowercase(),
        _ => name.to_lowercase(),
    }
}

fn user(site: &Site, entry: &Entry) -> User {
    let home = match &entry.home {
        Some(home) => home.clone(),
        None => site.home.replace("%u", &entry.name),
    };
    let mailbox = site.mailbox.replace("%u", &entry.name);
    let maildir = match mailbox.strip_prefix("~/") {
        Some(below) => PathBuf::from(&home).join(below),
        None => mailbox.into(),
    };
    let quota = entry.quota.unwrap_or(site.quota);
    User { name: entry.name.clone(), home: home.into(), maildir, quota }
}

fn verdict(
    site: &Site,
    live: &Live,
    entry: Option<&Entry>,
    peer: Option<IpAddr>,
) -> Result<User, Error> {
    match entry {
        Some(entry) => {
            live.failures.forget(peer);
            Ok(user(site, entry))
        }
        None => {
            std::thread::sleep(live.failures.add(peer, site.failure_delay));
            Err(Error::Wrong)
        }
    }
}

#[cfg(test)]
mod tests;
