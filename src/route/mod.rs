//! Who shall have it: our domains, aliases, sub-addresses.
//!
//! `resolve` answers RCPT with the users a letter goes to, `verify` VRFY, `members` EXPN. A name
//! is first an alias, then a user; `luis+lista` is looked for as it stands, then as `luis`. The
//! aliases file: buzon-aliases(5). Members are names so far: no programs, files, lists, other hosts.

mod aliases;

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
    /// Not one of our domains; that would be relaying: 550 5.7.1.
    NotLocal,
    /// An alias for one address at another host, which 551 tells (RFC 5321 §3.4).
    Elsewhere(Mailbox),
    /// The alias comes to nobody but itself.
    Loop,
    /// The alias comes to more names than `limits::ALIAS_EXPANSIONS`.
    TooMany,
    /// It cannot be said now: 451. The reason, with file and line, is for the log.
    Unavailable(String),
}

impl From<auth::Error> for Refusal {
    fn from(error: auth::Error) -> Refusal {
        Refusal::Unavailable(error.to_string())
    }
}

/// What sessions share: the aliases file as last read. Correctness never depends on it.
#[derive(Debug, Default)]
pub struct Live {
    aliases: Cached<Table>,
}

/// Whether mail for this domain ends here: our domains, and the host's own name.
pub fn is_local(site: &Site, domain: &str) -> bool {
    site.is_local(domain) || site.hostname.eq_ignore_ascii_case(domain)
}

/// RFC 5321 §3.3: the users that a letter for this forward-path goes to, each once, at least one.
/// An empty domain is ours; that only postmaster comes without one is the caller's to see.
pub fn resolve(
    site: &Site,
    users: &auth::Live,
    live: &Live,
    path: &Mailbox,
) -> Result<Vec<User>, Refusal> {
    if !path.domain.is_empty() && !is_local(site, &path.domain) {
        return Err(Refusal::NotLocal);
    }
    let aliases = table(site, live)?;
    let mut search = Search { site, users, aliases: &aliases, seen: HashSet::new(), found: vec![] };
    search.name(&path.local_part.to_lowercase())?;
    search.outcome()
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
    if !path.domain.is_empty() && !is_local(site, &path.domain) {
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
            Member::Address(mailbox) => address(site, &mailbox.local_part, &mailbox.domain),
            Member::Unserved(what) => return Err(unserved(site, alias, what)),
        });
    }
    Ok(addresses)
}

/// Every fault of the aliases file, as `file:line: what, cure`.
pub fn faults(site: &Site, users: &auth::Live, live: &Live) -> Vec<String> {
    let aliases = match table(site, live) {
        Ok(aliases) => aliases,
        Err(Refusal::Unavailable(why)) => return vec![why],
        Err(_) => return Vec::new(),
    };
    let mut faults: Vec<_> = aliases.faults.iter().map(|fault| fault.at(&site.aliases)).collect();
    for alias in aliases.all() {
        let mut search =
            Search { site, users, aliases: &aliases, seen: HashSet::new(), found: vec![] };
        let place = format!("{}:{}: '{}'", site.aliases.display(), alias.line, alias.name);
        match search.name(&alias.name).and_then(|()| search.outcome()) {
            Ok(_) | Err(Refusal::Elsewhere(_) | Refusal::NotLocal) => {}
            Err(Refusal::Unavailable(why)) => faults.push(why),
            Err(Refusal::Loop | Refusal::NoSuchUser) => {
                faults.push(format!("{place} comes to nobody but itself, name a user"));
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

/// One forward-path on its way to users.
struct Search<'a> {
    site: &'a Site,
    users: &'a auth::Live,
    aliases: &'a Table,
    /// Names that have been looked at.
    seen: HashSet<String>,
    /// Whom they came to.
    found: Vec<Goal<'a>>,
}

enum Goal<'a> {
    User(User),
    Away(&'a Alias, &'a Mailbox),
}

impl<'a> Search<'a> {
    /// Looks for a name; `NoSuchUser` if there is neither alias nor user.
    fn name(&mut self, name: &str) -> Result<(), Refusal> {
        let mut waiting = vec![(name.to_owned(), None::<&'a Alias>)];
        while let Some((name, from)) = waiting.pop() {
            if !self.seen.insert(name.clone()) {
                continue;
            }
            if self.seen.len() > limits::ALIAS_EXPANSIONS {
                return Err(Refusal::TooMany);
            }
            if let Some(alias) =
                spellings(self.site, &name).find_map(|name| self.aliases.find(name))
            {
                // Backwards, so that what is popped comes in the order of the file.
                for member in alias.members.iter().rev() {
                    self.member(alias, member, &mut waiting)?;
                }
            } else if let Some(user) = self.user(&name)? {
                self.add(user);
            } else {
                return Err(from.map_or(Refusal::NoSuchUser, |alias| self.nobody(alias, &name)));
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        alias: &'a Alias,
        member: &'a Member,
        waiting: &mut Vec<(String, Option<&'a Alias>)>,
    ) -> Result<(), Refusal> {
        match member {
            Member::Name(name) if *name != alias.name => {
                waiting.push((name.clone(), Some(alias)));
            }
            Member::Name(name) | Member::User(name) => match self.user(name)? {
                Some(user) => self.add(user),
                None => return Err(self.nobody(alias, name)),
            },
            Member::Address(mailbox) if is_local(self.site, &mailbox.domain) => {
                let name = mailbox.local_part.to_lowercase();
                match self.user(&name)? {
                    Some(user) if name == alias.name => self.add(user),
                    _ => waiting.push((name, Some(alias))),
                }
            }
            Member::Address(mailbox) => self.found.push(Goal::Away(alias, mailbox)),
            Member::Unserved(what) => return Err(unserved(self.site, alias, what)),
        }
        Ok(())
    }

    /// The user of a name, of the name before its detail, or of a postmaster without either.
    fn user(&self, name: &str) -> Result<Option<User>, Refusal> {
        for name in spellings(self.site, name) {
            if let Some(user) = auth::find(self.site, self.users, name)? {
                return Ok(Some(user));
            }
        }
        // RFC 5321 §4.5.1: postmaster is always somebody.
        if name == "postmaster" {
            return Ok(auth::first(self.site, self.users)?);
        }
        Ok(None)
    }

    fn add(&mut self, user: User) {
        let known = |goal: &Goal| matches!(goal, Goal::User(known) if known.name == user.name);
        if !self.found.iter().any(known) {
            self.found.push(Goal::User(user));
        }
    }

    fn nobody(&self, alias: &Alias, name: &str) -> Refusal {
        let place = self.site.aliases.display();
        let line = alias.line;
        Refusal::Unavailable(format!("{place}:{line}: '{name}' is neither an alias nor a user"))
    }

    /// Letters cannot leave yet, so it is users, or else one address to tell.
    fn outcome(self) -> Result<Vec<User>, Refusal> {
        let mut goals = self.found;
        if let [Goal::Away(_, mailbox)] = goals[..] {
            return Err(Refusal::Elsewhere(mailbox.clone()));
        }
        let mut users = Vec::new();
        for goal in goals.drain(..) {
            match goal {
                Goal::User(user) => users.push(user),
                Goal::Away(alias, mailbox) => {
                    let what = format!("{}@{}", mailbox.local_part, mailbox.domain);
                    return Err(unserved(self.site, alias, &what));
                }
            }
        }
        if users.is_empty() { Err(Refusal::Loop) } else { Ok(users) }
    }
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

/// `luis+lista` as it stands, then `luis`.
fn spellings<'a>(site: &Site, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
    let base = site.recipient_delimiter.and_then(|mark| name.split_once(mark));
    std::iter::once(name).chain(base.map(|(base, _)| base).filter(|base| !base.is_empty()))
}

/// As it would be written in a command: the local part quoted where it must be.
fn address(site: &Site, local_part: &str, domain: &str) -> String {
    let domain = match domain {
        "" => site.domains.first().unwrap_or(&site.hostname),
        domain => domain,
    };
    let atom = |atom: &str| !atom.is_empty() && atom.bytes().all(crate::text::is_atext);
    if local_part.split('.').all(atom) {
        return format!("{local_part}@{domain}");
    }
    let quoted = local_part.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{quoted}\"@{domain}")
}

#[cfg(test)]
mod tests;
