//! Who shall have it: our domains, aliases, lists, users' `.forward`, sub-addresses.
//!
//! `resolve` gives the targets of an address, at RCPT and again at delivery; `reverse_path` what a
//! letter's sender becomes on the way; `verify` answers VRFY, `members` EXPN, `explain` people. A
//! name is first an alias, then a list, then a user; `luis+lista` is looked for as it stands, then
//! as `luis`. The files: buzon-aliases(5), buzon-forward(5), buzon-virtual(5), buzon-lists(5).

mod aliases;
mod check;
mod domains;
mod forward;
mod lists;
mod live;
mod members;
mod search;
mod srs;
mod target;

pub use check::faults;
pub use live::Live;
pub use target::{List, Owner, Place, Routed, Target};

use crate::auth::{self, User};
use crate::conf::{Site, Way, Whose};
use crate::limits;
use crate::mail::Mailbox;
use domains::Onto;
use members::Member;
use search::Search;
use std::fmt;
use std::time::SystemTime;

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

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refusal::NoSuchUser => f.write_str("there is neither an alias nor a user of that name"),
            Refusal::NotServed(why) | Refusal::Unavailable(why) => f.write_str(why),
            Refusal::NotLocal => f.write_str("the domain is not ours"),
            Refusal::Elsewhere(mailbox) => write!(f, "has moved to <{mailbox}>"),
            Refusal::Loop => f.write_str("goes round in a circle, name a user"),
            Refusal::TooMany => {
                let most = limits::ALIAS_EXPANSIONS;
                write!(f, "comes to more than {most} names, shorten it or make it a list")
            }
        }
    }
}

impl From<auth::Error> for Refusal {
    fn from(error: auth::Error) -> Refusal {
        match error {
            auth::Error::NotServed(why) => Refusal::NotServed(why),
            error => Refusal::Unavailable(error.to_string()),
        }
    }
}

/// RFC 5321 §3.3: every way that a letter for this forward-path goes on, each once, at least one.
/// An empty domain is ours; that only postmaster comes without one is the caller's to see, as is
/// what becomes of `NotLocal`.
pub fn resolve(
    site: &Site,
    users: &auth::Live,
    live: &Live,
    path: &Mailbox,
) -> Result<Vec<Routed>, Refusal> {
    Search::new(site, users, live)?.follow(path).map(|routed| handed_over(site, routed))
}

/// Mailboxes of a domain that a `relay` line names are there, and whose they are is known here.
fn handed_over(site: &Site, mut routed: Vec<Routed>) -> Vec<Routed> {
    let away = |domain: &str| {
        let names = |whose: &Whose| matches!(whose, Whose::To(pattern) if pattern.holds(domain));
        let relay = site.relays.iter().find(|relay| names(&relay.whose));
        relay.is_some_and(|relay| relay.way != Way::Mx)
    };
    for Routed { target, through, .. } in &mut routed {
        if let Target::User(user) = target
            && away(&through.domain)
        {
            let (local_part, domain) = (user.name.clone(), through.domain.clone());
            *target = Target::Remote(Mailbox { local_part, domain });
        }
    }
    routed
}

/// The users, where there is nothing else among the targets: for a server that keeps no queue.
pub fn local_only(routed: Vec<Routed>) -> Result<Vec<User>, Refusal> {
    if let [Routed { target: Target::Remote(mailbox), .. }] = &routed[..] {
        return Err(Refusal::Elsewhere(mailbox.clone()));
    }
    let user = |routed: Routed| match routed.target {
        Target::User(user) => Ok(user),
        target => {
            let place = routed.from.map_or(String::new(), |place| format!("{place}: "));
            Err(Refusal::Unavailable(format!("{place}'{target}' cannot be served yet")))
        }
    };
    routed.into_iter().map(user).collect()
}

/// Whether mail for a domain is ours: it stands among `domains` or in the virtual file.
pub fn is_ours(site: &Site, live: &Live, domain: &str) -> Result<bool, Refusal> {
    Ok(site.is_local(domain) || live.domains(site)?.has(domain))
}

/// The domains whose mail is ours: those of `domains`, then the others of the virtual file.
pub fn our_domains(site: &Site, live: &Live) -> Result<Vec<String>, Refusal> {
    let others = live.domains(site)?.domains().into_iter().filter(|other| !site.is_local(other));
    Ok(site.domains.iter().cloned().chain(others).collect())
}

/// Whom errors are told to once a letter goes on: the owner of the alias or list (RFC 5321
/// §3.9.2), for another host a sender at our domain where the site wants SRS, else the sender.
/// RFC 5321 §4.5.5: `<>`, which is `None`, stays.
pub fn reverse_path(
    site: &Site,
    live: &Live,
    routed: &Routed,
    path: Option<&Mailbox>,
    now: SystemTime,
) -> Result<Option<Mailbox>, Refusal> {
    let Some(path) = path else {
        return Ok(None);
    };
    if let Some(owner) = &routed.owner {
        return Ok(Some(owner.clone()));
    }
    match (&routed.target, live.secrets(site)?) {
        (Target::Remote(there), Some(secrets))
            if !is_ours(site, live, &path.domain)? && !is_ours(site, live, &there.domain)? =>
        {
            let domain = &routed.through.domain;
            Ok(secrets.first().map(|secret| srs::forward(secret, path, domain, now)))
        }
        _ => Ok(Some(path.clone())),
    }
}

/// Every step on the way of an address, with file and line, and where it ends.
pub fn explain(site: &Site, users: &auth::Live, live: &Live, path: &Mailbox) -> Vec<String> {
    let mut search = match Search::new(site, users, live) {
        Ok(search) => search,
        Err(refusal) => return vec![format!("refused: {refusal}")],
    };
    search.steps = Some(Vec::new());
    let outcome = search.follow(path).map(|routed| handed_over(site, routed));
    let mut lines = search.steps.unwrap_or_default();
    match outcome {
        Ok(routed) => lines.extend(routed.into_iter().map(|Routed { target, owner, .. }| {
            let sender = owner.map_or(String::new(), |owner| format!(", sender <{owner}>"));
            format!("to {target}{sender}")
        })),
        Err(refusal) => lines.push(format!("refused: {refusal}")),
    }
    lines
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
    if let [Routed { target: Target::Remote(there), .. }] = &resolve(site, users, live, path)?[..]
        && !is_ours(site, live, &there.domain)?
    {
        return Err(Refusal::Elsewhere(there.clone()));
    }
    Ok(address(site, &path.local_part.to_lowercase(), &path.domain))
}

/// RFC 5321 §3.5.2 (EXPN): the addresses of the members of an alias, a list or a virtual address,
/// as they stand in the file; of a user, the user's own. A program or a file has no address, and
/// is told as the alias'.
pub fn members(
    site: &Site,
    users: &auth::Live,
    live: &Live,
    path: &Mailbox,
) -> Result<Vec<String>, Refusal> {
    if !path.domain.is_empty() && !is_ours(site, live, &path.domain)? {
        return Err(Refusal::NotLocal);
    }
    let name = path.local_part.to_lowercase();
    let told = |member: &Member| match member {
        Member::Name(name) | Member::User(name) => address(site, name, &path.domain),
        Member::Address(mailbox) => mailbox.to_string(),
        _ => address(site, &name, &path.domain),
    };
    if let Some(entry) = live.domains(site)?.find(&name, &path.domain) {
        let told = |onto: &Onto| match onto {
            Onto::Member(member) => told(member),
            Onto::Domain(domain) => address(site, &name, domain),
        };
        return Ok(entry.targets.iter().map(told).collect());
    }
    if let Some(alias) = live.aliases(site)?.find(&name) {
        let mut addresses = Vec::new();
        for member in &alias.members {
            match member {
                Member::Include(path) => {
                    let included = live.included(path)?;
                    addresses.extend(included.rows.iter().map(|(_, member)| told(member)));
                }
                member => addresses.push(told(member)),
            }
        }
        return Ok(addresses);
    }
    match live.list(site, &name)? {
        Some(list) => Ok(list.members.iter().map(told).collect()),
        None => verify(site, users, live, path).map(|address| vec![address]),
    }
}

/// An address of ours, complete.
fn address(site: &Site, local_part: &str, domain: &str) -> String {
    let domain = match domain {
        "" => site.domains.first().unwrap_or(&site.hostname),
        domain => domain,
    };
    Mailbox { local_part: local_part.into(), domain: domain.into() }.to_string()
}

#[cfg(test)]
mod tests;
