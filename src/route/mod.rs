//! Who shall have it: our domains, aliases, sub-addresses.
//!
//! `resolve` answers RCPT with the users a letter goes to, `verify` VRFY, `members` EXPN. A name
//! is first an alias, then a user; `luis+lista` is looked for as it stands, then as `luis`. The
//! aliases file: buzon-aliases(5). Members are names so far: no programs, files, lists, other hosts.

mod aliases;
mod search;

use crate::auth::{self, User};
use crate::conf::Site;
use crate::limits;
use crate::mail::Mailbox;
use crate::sys::cached::Cached;
use aliases::{Alias, Member, Table};
use std::collections::HashSet;
use std::sync::Arc;

/// Why a forward-path is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Neither an alias nor a user: 550 5.1.1.
    NoSuchUser,
    /// An account that may have no mail: 550 5.1.1, as if there were none. The rule is for the log.
    NotServed(String),
    /// Not one of our domains; that would be relaying: 550 5.7.1.
    NotLocal,
    /// An alias for one address at another host, which 551 tells (RFC 5321 §3.4).
    Elsewhere(Mailbox),
    /// The alias, or one that it names, comes to nobody but itself.
    Loop,
    /// The alias comes to more names than `limits::ALIAS_EXPANSIONS`.
    TooMany,
    /// It cannot be said now: 451. The reason, with file and line, is for the log.
    Unavailable(String),
}

impl From<auth::Error> for Refusal {
    fn from(error: auth::Error) -> Refusal {
        match error {
            auth::Error::NotServed(why) => Refusal::NotServed(why),
            error => Refusal::Unavailable(error.to_string()),
        }
    }
}

/// What sessions share: the aliases file as last read. Correctness never depends on it.
#[derive(Debug, Default)]
pub struct Live {
    aliases: Cached<Table>,
}

/// RFC 5321 §3.3: the users that a letter for this forward-path goes to, each once, at least one.
/// An empty domain is ours; that only postmaster comes without one is the caller's to see.
pub fn resolve(
    site: &Site,
    users: &auth::Live,
    live: &Live,
    path: &Mailbox,
) -> Result<Vec<User>, Refusal> {
    if !path.domain.is_empty() && !site.is_local(&path.domain) {
        return Err(Refusal::NotLocal);
    }
    let aliases = table(site, live)?;
    search::users(site, users, &aliases, &path.local_part.to_lowercase())
}

/// The user of a name, with or without a sub-address, aliases aside: for a letter that somebody
/// else has routed already.
pub fn user(site: &Site, users: &auth::Live, name: &str) -> Result<User, Refusal> {
    let name = name.to_lowercase();
    for spelling in search::spellings(site, &name) {
        if let Some(user) = auth::find(site, users, spelling)? {
            return Ok(user);
        }
    }
    Err(Refusal::NoSuchUser)
}

/// RFC 5321 §3.5.1 (VRFY): the full address of a user or an alias.
pub fn verify(
    site: &Site,
    users: &auth::Live,
    live: &Live,
    path: &Mailbox,
) -> Result<String, Refusal> {
    resolve(site, users, live, path)?;
    Ok(address(site, &path.local_part.to_lowercase(), &path.domain))
}

/// RFC 5321 §3.5.2 (EXPN): the addresses of an alias' members, as they stand in the file; of a
/// user, the user's own.
pub fn members(
    site: &Site,
    users: &auth::Live,
    live: &Live,
    path: &Mailbox,
) -> Result<Vec<String>, Refusal> {
    if !path.domain.is_empty() && !site.is_local(&path.domain) {
        return Err(Refusal::NotLocal);
    }
    let aliases = table(site, live)?;
    let name = path.local_part.to_lowercase();
    let Some(alias) = aliases.find(&name) else {
        return verify(site, users, live, path).map(|address| vec![address]);
    };
    let mut addresses = Vec::new();
    for member in &alias.members {
        addresses.push(match member {
            Member::Name(name) | Member::User(name) => address(site, name, &path.domain),
            Member::Address(mailbox) => mailbox.to_string(),
            Member::Unserved(what) => return Err(unserved(site, alias, what)),
        });
    }
    Ok(addresses)
}

/// Every fault of the aliases file, each once, as `file:line: what, cure`.
pub fn faults(site: &Site, users: &auth::Live, live: &Live) -> Vec<String> {
    let aliases = match table(site, live) {
        Ok(aliases) => aliases,
        Err(Refusal::Unavailable(why)) => return vec![why],
        Err(_) => return Vec::new(),
    };
    let mut faults: Vec<_> = aliases.faults.iter().map(|fault| fault.at(&site.aliases)).collect();
    for alias in aliases.all() {
        let place = format!("{}:{}: '{}'", site.aliases.display(), alias.line, alias.name);
        match search::users(site, users, &aliases, &alias.name) {
            Ok(_) | Err(Refusal::Elsewhere(_) | Refusal::NotLocal) => {}
            Err(Refusal::Unavailable(why)) => faults.push(why),
            Err(Refusal::NotServed(why)) => faults.push(format!("{place}: {why}; name another")),
            Err(Refusal::Loop | Refusal::NoSuchUser) => {
                faults.push(format!("{place} goes round in a circle, name a user"));
            }
            Err(Refusal::TooMany) => {
                let most = limits::ALIAS_EXPANSIONS;
                faults.push(format!("{place} comes to more than {most} names, shorten it"));
            }
        }
    }
    let mut told = HashSet::new();
    faults.retain(|fault| told.insert(fault.clone()));
    faults
}

fn unserved(site: &Site, alias: &Alias, what: &str) -> Refusal {
    let place = site.aliases.display();
    Refusal::Unavailable(format!("{place}:{}: '{what}' cannot be served yet", alias.line))
}

fn table(site: &Site, live: &Live) -> Result<Arc<Table>, Refusal> {
    let news = |table: &Table| {
        for fault in &table.faults {
            log::warn!("{}", fault.at(&site.aliases));
        }
    };
    // No file: no aliases.
    live.aliases
        .get(&site.aliases, limits::TABLE_FILE, aliases::parse, news)
        .map(Option::unwrap_or_default)
        .map_err(|error| Refusal::Unavailable(format!("{}: {error}", site.aliases.display())))
}

/// As it would be written in a command; without a domain, at the first of ours.
fn address(site: &Site, local_part: &str, domain: &str) -> String {
    let domain = match domain {
        "" => site.domains.first().unwrap_or(&site.hostname),
        domain => domain,
    };
    Mailbox { local_part: local_part.into(), domain: domain.into() }.to_string()
}

#[cfg(test)]
mod tests;
