//! Who are you: the users file, accounts of this host, password schemes, SASL.
//!
//! `passwd` reads the users file, buzon-users(5), and comes before `system`; `scheme` compares
//! passwords; `Live` remembers what sessions share; `sasl` holds RFC 4422 exchanges as values; `edit` is what buzonctl(8) does
//! to the file. Names match in any case, and in lower case they are told on, as sendmail,
//! Postfix and Dovecot do. Nobody learns here whether it was the name or the password.

mod crypts;
pub mod edit;
mod failures;
mod passwd;
pub mod sasl;
pub mod scheme;
mod system;

use crate::conf::{Location, Site};
use crate::limits;
use crate::sys;
use crate::sys::cached::Cached;
use crate::sys::identity::Account;
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
    /// Where the mail is.
    pub mailbox: Location,
    /// The account whose identity touches it; `None` where all mail has one owner.
    pub account: Option<Account>,
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
    /// There is somebody of that name who may have no mail. The rule is for the log.
    NotServed(String),
    /// The users file cannot be used, or not this line of it. The reason is for the log.
    Unavailable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Wrong => f.write_str("wrong name or password"),
            Error::Busy => f.write_str("too many logins at once"),
            Error::NotServed(why) | Error::Unavailable(why) => f.write_str(why),
        }
    }
}

/// What sessions share: the users file as last read, password computations under way, failures.
/// Correctness never depends on it.
#[derive(Debug, Default)]
pub struct Live {
    users: Cached<Table>,
    shadow: Cached<system::Usual>,
    crypts: Crypts,
    failures: Failures,
}

/// The user of a name, or of an address at one of our domains.
pub fn find(site: &Site, live: &Live, name: &str) -> Result<Option<User>, Error> {
    let table = table(site, live)?;
    match table.find(&plain(site, name)) {
        Some(Ok(entry)) => user(site, entry).map(Some),
        Some(Err(fault)) => Err(unusable(site, fault)),
        None => system::find(site, &plain(site, name)),
    }
}

/// Where a user is written down, as `file:line`.
pub fn place(site: &Site, live: &Live, user: &User) -> String {
    let table = table(site, live).unwrap_or_default();
    match table.find(&user.name) {
        Some(Ok(entry)) => format!("{}:{}", site.users.display(), entry.line),
        _ => "/etc/passwd".into(),
    }
}

/// The user who is an account of this host, whatever the users file says.
pub fn find_account(site: &Site, name: &str) -> Result<Option<User>, Error> {
    system::find(site, &plain(site, name))
}

/// The first user of the file, or else the account whose uid is `first_uid`, who is postmaster where nobody else is.
pub fn first(site: &Site, live: &Live) -> Result<Option<User>, Error> {
    let table = table(site, live)?;
    match table.entries().next() {
        Some(entry) => user(site, entry).map(Some),
        None => system::first(site),
    }
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
    let candidate = candidate(site, live, name)?;
    let right = match candidate.as_ref().map(|(_, stored)| stored.clone()).or(usual(site, live)?) {
        Some(stored) => scheme::verify(&stored, password, || live.crypts.take())?,
        None => false,
    };
    verdict(site, live, candidate.filter(|_| right), peer)
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
    let candidate = candidate(site, live, name)?;
    let stored = candidate.as_ref().map(|(_, stored)| stored.as_str());
    let secret = stored.and_then(scheme::clear_text);
    let mut md5 = Md5::new();
    md5.update(stamp);
    md5.update(secret.unwrap_or("nobody knows"));
    let expected: String = md5.finalize().iter().map(|octet| format!("{octet:02x}")).collect();
    let right = scheme::same(expected.as_bytes(), digest.as_bytes()) && secret.is_some();
    verdict(site, live, candidate.filter(|_| right), peer)
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
        let (place, line, name) = (site.users.display(), entry.line, &entry.name);
        let user = match user(site, entry) {
            Ok(user) => user,
            Err(Error::NotServed(why)) => {
                faults.push(format!("{place}:{line}: {why}"));
                continue;
            }
            Err(error) => {
                faults.push(error.to_string());
                continue;
            }
        };
        // One directory above them all is told once.
        if let Some((directory, why)) = system::as_user(&user, || fault(&user.mailbox)).flatten()
            && told.insert(directory)
        {
            faults.push(format!("{place}:{line}: the mailbox of '{name}': {why}"));
        }
    }
    faults
}

/// Why the directory of a mailbox cannot be written.
fn fault(mailbox: &Location) -> Option<(PathBuf, String)> {
    match mailbox {
        Location::Maildir(directory) => sys::access::fault(directory),
        Location::Mbox { inbox, .. } => {
            let directory = inbox.parent()?;
            sys::identity::with_mail_group(|| Ok(sys::access::fault(directory))).ok()?
        }
    }
}

/// What this host lacks for `system_users`, each fault with the key of the configuration it is
/// about.
pub fn host_faults(site: &Site) -> Vec<(&'static str, String)> {
    system::faults(site)
}

/// Every user of the file that can be served, in its order, each with the scheme of the password.
pub fn list(site: &Site, live: &Live) -> Result<Vec<(User, &'static str)>, Error> {
    let table = table(site, live)?;
    let listed = |entry: &Entry| Some((user(site, entry).ok()?, scheme::name(&entry.password)));
    Ok(table.entries().filter_map(listed).collect())
}

/// Who might be logging in, with the stored password.
fn candidate(site: &Site, live: &Live, name: &str) -> Result<Option<(User, String)>, Error> {
    let (table, name) = (table(site, live)?, plain(site, name));
    let found = match table.find(&name) {
        Some(Err(fault)) => return Err(unusable(site, fault)),
        Some(Ok(entry)) if !entry.may_log_in() => return Ok(None),
        Some(Ok(entry)) => user(site, entry).map(|user| Some((user, entry.password.clone()))),
        None => system::find(site, &name).and_then(|user| match user {
            Some(user) => Ok(system::password(&name)?.map(|stored| (user, stored))),
            None => Ok(None),
        }),
    };
    match found {
        // To the client that is a name like any that nobody has.
        Err(Error::NotServed(why)) => {
            log::warn!("user={name} login=never rule=first_uid cause={why:?}");
            Ok(None)
        }
        found => found,
    }
}

/// A password that costs what most passwords cost to compare.
fn usual(site: &Site, live: &Live) -> Result<Option<String>, Error> {
    let (table, system) = (table(site, live)?, system::usual(site, live));
    let own = table.usual();
    Ok(match (own, system) {
        (Some((count, entry)), Some((others, _))) if count >= others => {
            Some(entry.password.clone())
        }
        (_, Some((_, stored))) => Some(stored),
        (own, None) => own.map(|(_, entry)| entry.password.clone()),
    })
}

fn table(site: &Site, live: &Live) -> Result<Arc<Table>, Error> {
    let news = |table: &Table| {
        for fault in &table.faults {
            log::warn!("{}", fault.at(&site.users));
        }
    };
    let place = site.users.display();
    let table = live
        .users
        .get(&site.users, limits::TABLE_FILE, passwd::parse, news)
        .map_err(|error| Error::Unavailable(format!("{place}: {error}")))?;
    match table {
        Some(table) => Ok(table),
        // Accounts are users enough.
        None if site.system_users => Ok(Arc::default()),
        None => Err(Error::Unavailable(format!(
            "{place}: there is no such file, 'buzonctl user add' makes it"
        ))),
    }
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

fn user(site: &Site, entry: &Entry) -> Result<User, Error> {
    let home = match &entry.home {
        Some(home) => home.clone(),
        None => site.home.replace("%u", &entry.name),
    };
    let home = PathBuf::from(home);
    let mailbox = Location::of(&site.mailbox, &home, &entry.name);
    let mailbox = mailbox.expect("the configuration was read with a valid one");
    let quota = entry.quota.unwrap_or(site.quota);
    let account = match site.system_users {
        true => owner(site, entry)?,
        false => None,
    };
    Ok(User { name: entry.name.clone(), home, mailbox, account, quota })
}

/// The account that an entry names by uid and gid.
fn owner(site: &Site, entry: &Entry) -> Result<Option<Account>, Error> {
    let owner = entry.owner().map_err(|fault| unusable(site, &fault))?;
    let what = format!("the user '{}'", entry.name);
    owner.map(|(uid, gid)| system::account(site, &what, uid, gid, || Ok(vec![gid]))).transpose()
}

fn verdict(
    site: &Site,
    live: &Live,
    right: Option<(User, String)>,
    peer: Option<IpAddr>,
) -> Result<User, Error> {
    match right {
        Some((user, _)) => {
            live.failures.forget(peer);
            Ok(user)
        }
        None => {
            std::thread::sleep(live.failures.add(peer, site.failure_delay));
            Err(Error::Wrong)
        }
    }
}

#[cfg(test)]
mod tests;
