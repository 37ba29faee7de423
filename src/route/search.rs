//! One name on its way to users: aliases of aliases, sub-addresses, postmaster.
//!
//! RFC 5321 §3.9.1 for aliases, RFC 5321 §4.5.1 for postmaster. What cannot be delivered by
//! us now refuses the whole name: nobody is left out in silence.

use super::aliases::{Alias, Member, Table};
use super::{Refusal, unserved};
use crate::auth::{self, User};
use crate::conf::Site;
use crate::limits;
use crate::mail::Mailbox;
use std::collections::HashSet;

/// The users a name in lower case comes to, each once.
pub(super) fn users(
    site: &Site,
    users: &auth::Live,
    aliases: &Table,
    name: &str,
) -> Result<Vec<User>, Refusal> {
    let mut search = Search {
        site,
        users,
        aliases,
        seen: HashSet::new(),
        somebody: HashSet::new(),
        members: Vec::new(),
        found: Vec::new(),
    };
    search.name(name)?;
    search.outcome()
}

struct Search<'a> {
    site: &'a Site,
    users: &'a auth::Live,
    aliases: &'a Table,
    /// Names that have been looked at.
    seen: HashSet<String>,
    /// Those that come to somebody.
    somebody: HashSet<String>,
    /// Names and the names they come to.
    members: Vec<(String, String)>,
    /// Whom they all come to.
    found: Vec<Goal<'a>>,
}

enum Goal<'a> {
    User(User),
    Away(&'a Alias, &'a Mailbox),
}

/// Names to look at, each with the alias it is a member of.
type Waiting<'a> = Vec<(String, Option<&'a Alias>)>;

impl<'a> Search<'a> {
    /// Follows a name to its end.
    fn name(&mut self, name: &str) -> Result<(), Refusal> {
        let mut waiting: Waiting<'a> = vec![(name.to_owned(), None)];
        while let Some((name, from)) = waiting.pop() {
            if !self.seen.insert(name.clone()) {
                continue;
            }
            if self.seen.len() > limits::ALIAS_EXPANSIONS {
                return Err(Refusal::TooMany);
            }
            if !self.step(&name, &mut waiting)? {
                return Err(from.map_or(Refusal::NoSuchUser, |alias| self.nobody(alias, &name)));
            }
        }
        Ok(())
    }

    /// One step: an alias before a user, the whole name before its base. `false` if there is
    /// nothing of that name.
    fn step(&mut self, name: &str, waiting: &mut Waiting<'a>) -> Result<bool, Refusal> {
        for spelling in spellings(self.site, name) {
            if let Some(alias) = self.aliases.find(spelling) {
                // Backwards, so that what is popped comes in the order of the file.
                for member in alias.members.iter().rev() {
                    self.member(name, alias, member, waiting)?;
                }
                return Ok(true);
            }
            if let Some(user) = self.user(spelling)? {
                self.add(name, user);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn member(
        &mut self,
        name: &str,
        alias: &'a Alias,
        member: &'a Member,
        waiting: &mut Waiting<'a>,
    ) -> Result<(), Refusal> {
        let ours = match member {
            Member::Unserved(what) => return Err(unserved(self.site, alias, what)),
            Member::User(user) => return self.own(name, alias, user),
            Member::Name(ours) => ours.clone(),
            Member::Address(mailbox) if self.site.is_local(&mailbox.domain) => {
                mailbox.local_part.to_lowercase()
            }
            Member::Address(mailbox) => {
                self.somebody.insert(name.to_owned());
                self.found.push(Goal::Away(alias, mailbox));
                return Ok(());
            }
        };
        // The alias' own name means the user of that name.
        if spellings(self.site, &ours).any(|ours| ours == alias.name) {
            return self.own(name, alias, &ours);
        }
        self.members.push((name.to_owned(), ours.clone()));
        waiting.push((ours, Some(alias)));
        Ok(())
    }

    /// A member that is a user, whatever the aliases say.
    fn own(&mut self, name: &str, alias: &Alias, member: &str) -> Result<(), Refusal> {
        for spelling in spellings(self.site, member) {
            if let Some(user) = self.user(spelling)? {
                self.add(name, user);
                return Ok(());
            }
        }
        Err(self.nobody(alias, member))
    }

    /// The user of exactly this name; for a postmaster who is no user, the first one of the file,
    /// since RFC 5321 §4.5.1 wants that name to be somebody.
    fn user(&self, name: &str) -> Result<Option<User>, Refusal> {
        let user = auth::find(self.site, self.users, name)?;
        if user.is_none() && name == "postmaster" {
            return Ok(auth::first(self.site, self.users)?);
        }
        Ok(user)
    }

    fn add(&mut self, name: &str, user: User) {
        self.somebody.insert(name.to_owned());
        let known = |goal: &Goal| matches!(goal, Goal::User(known) if known.name == user.name);
        if !self.found.iter().any(known) {
            self.found.push(Goal::User(user));
        }
    }

    fn nobody(&self, alias: &Alias, name: &str) -> Refusal {
        let (place, line) = (self.site.aliases.display(), alias.line);
        Refusal::Unavailable(format!(
            "{place}:{line}: '{name}' is neither an alias nor a user, add one or remove it"
        ))
    }

    /// Letters cannot leave yet, so it is users, or else one address to tell.
    fn outcome(mut self) -> Result<Vec<User>, Refusal> {
        if self.loops() {
            return Err(Refusal::Loop);
        }
        if let [Goal::Away(_, mailbox)] = self.found[..] {
            return Err(Refusal::Elsewhere(mailbox.clone()));
        }
        let mut users = Vec::new();
        for goal in self.found {
            match goal {
                Goal::User(user) => users.push(user),
                Goal::Away(alias, mailbox) => {
                    return Err(unserved(self.site, alias, &mailbox.to_string()));
                }
            }
        }
        Ok(users)
    }

    /// Whether one of the names comes to nobody: its letters would be lost in silence, though
    /// others' are not.
    fn loops(&mut self) -> bool {
        loop {
            let before = self.somebody.len();
            // Backwards, as a name stands before what it comes to.
            for (name, member) in self.members.iter().rev() {
                if self.somebody.contains(member) {
                    self.somebody.insert(name.clone());
                }
            }
            if self.somebody.len() == before {
                return self.somebody.len() < self.seen.len();
            }
        }
    }
}

/// `luis+lista` as it stands, then `luis`.
pub(super) fn spellings<'a>(site: &Site, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
    let base = site.recipient_delimiter.and_then(|mark| name.split_once(mark));
    std::iter::once(name).chain(base.map(|(base, _)| base).filter(|base| !base.is_empty()))
}
