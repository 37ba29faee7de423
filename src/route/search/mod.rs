//! One address on its way to its targets: virtual addresses, aliases, lists, users, `.forward`.
//!
//! RFC 5321 §3.9 for aliases and lists, §4.5.1 for postmaster. Everything that is met is followed
//! once, and counted. What cannot be served refuses the whole address, as does a name that comes
//! to nobody: nobody is left out in silence.

mod address;
mod expand;

use super::aliases::{self, Alias};
use super::live::Live;
use super::members::Member;
use super::{List, Place, Refusal, Routed, Target, domains, forward, lists};
use crate::auth::{self, User};
use crate::conf::Site;
use crate::limits;
use crate::mail::Mailbox;
use expand::Source;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) struct Search<'a> {
    site: &'a Site,
    users: &'a auth::Live,
    live: &'a Live,
    aliases: Arc<aliases::Table>,
    domains: Arc<domains::Table>,
    /// Whether users are asked for their `.forward`.
    pub forwards: bool,
    /// What was met on the way, for people; `None` where nobody wants to know.
    pub steps: Option<Vec<String>>,
    /// Still to be looked at, the next one last.
    waiting: Vec<(Work, Way)>,
    expansions: usize,
    /// What has been looked at, and what of it comes to somebody.
    seen: HashSet<Node>,
    somebody: HashSet<Node>,
    /// Each of them with what it comes to.
    links: Vec<(Node, Node)>,
    found: Vec<Routed>,
    /// Who has a `.forward`.
    forwarding: Vec<(User, Way)>,
}

/// What can be gone through in a circle.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Node {
    /// A line of the virtual file.
    Address(usize, String),
    /// An alias.
    Name(String),
    /// A user's `.forward`.
    User(String),
    /// An included file.
    File(PathBuf),
}

enum Work {
    Address(Mailbox),
    /// An alias, a list or a user.
    Name(String),
    /// A user, whatever alias has the name.
    Own(String),
    /// The mailbox of a user, without `.forward`.
    Mailbox(String),
    Include(PathBuf, Option<User>),
    Done(Target),
}

/// How something was come to.
#[derive(Clone)]
struct Way {
    by: Option<Node>,
    through: Mailbox,
    owner: Option<Mailbox>,
    from: Option<Place>,
}

impl<'a> Search<'a> {
    pub fn new(site: &'a Site, users: &'a auth::Live, live: &'a Live) -> Result<Self, Refusal> {
        Ok(Search {
            site,
            users,
            live,
            aliases: live.aliases(site)?,
            domains: live.domains(site)?,
            forwards: true,
            steps: None,
            waiting: Vec::new(),
            expansions: 0,
            seen: HashSet::new(),
            somebody: HashSet::new(),
            links: Vec::new(),
            found: Vec::new(),
            forwarding: Vec::new(),
        })
    }

    /// Every target of an address, once, at least one.
    pub fn follow(&mut self, path: &Mailbox) -> Result<Vec<Routed>, Refusal> {
        let ours = path.domain.is_empty() || self.is_ours(&path.domain);
        if !ours {
            return Err(Refusal::NotLocal);
        }
        let through = self.at_home(&path.local_part, &path.domain);
        let way = Way { by: None, through, owner: None, from: None };
        self.waiting.push((Work::Address(path.clone()), way));
        while let Some((work, way)) = self.waiting.pop() {
            self.work(work, way)?;
        }
        self.come_back()?;
        if self.loops() {
            return Err(Refusal::Loop);
        }
        if self.found.is_empty() {
            let why = format!("{path}: all that it includes is empty, name somebody");
            return Err(Refusal::Unavailable(why));
        }
        Ok(std::mem::take(&mut self.found))
    }

    fn work(&mut self, work: Work, way: Way) -> Result<(), Refusal> {
        match work {
            Work::Address(mailbox) => self.address(&mailbox, way),
            Work::Name(name) => match self.name(&name, &way)? {
                true => Ok(()),
                false => Err(nobody(&name, &way)),
            },
            Work::Own(name) => match self.user_of(&name)? {
                Some(user) => self.user(user, way),
                None => Err(nobody(&name, &way)),
            },
            Work::Mailbox(name) => match self.user_of(&name)? {
                Some(user) => self.add(Target::User(user), way),
                None => Err(nobody(&name, &way)),
            },
            Work::Include(path, user) => self.include(&path, user.as_ref(), way),
            Work::Done(target) => self.add(target, way),
        }
    }

    fn is_ours(&self, domain: &str) -> bool {
        self.site.is_local(domain) || self.domains.has(domain)
    }

    /// The address of a name at one of `domains`: its own, or the first.
    fn at_home(&self, name: &str, domain: &str) -> Mailbox {
        let domain = match self.site.is_local(domain) {
            true => domain,
            false => self.site.domains.first().unwrap_or(&self.site.hostname),
        };
        Mailbox { local_part: name.into(), domain: domain.into() }
    }

    /// An alias before a list before a user, the whole name before its base. `false` if there is
    /// nothing of that name.
    fn name(&mut self, name: &str, way: &Way) -> Result<bool, Refusal> {
        let aliases = self.aliases.clone();
        for spelling in spellings(self.site, name) {
            if let Some(alias) = aliases.find(spelling) {
                self.alias(alias, way.clone())?;
                return Ok(true);
            }
            if self.list(spelling, way)? {
                return Ok(true);
            }
            if let Some(user) = self.user_named(spelling)? {
                self.user(user, way.clone())?;
                return Ok(true);
            }
        }
        // RFC 2142 §6 and RFC 5321 §3.9.2: a list has somebody who cares for it.
        match lists::administered(name) {
            Some(list) if self.live.list(self.site, list)?.is_some() => {
                self.step(|| format!("'{name}' has no alias: the list's owner is the postmaster"));
                self.name("postmaster", way)
            }
            _ => Ok(false),
        }
    }

    fn alias(&mut self, alias: &Alias, way: Way) -> Result<(), Refusal> {
        let node = Node::Name(alias.name.clone());
        if !self.enter(&node, &way) {
            return Ok(());
        }
        let through = Mailbox { local_part: alias.name.clone(), ..way.through };
        // The owner's own letters are nobody's list.
        let owner = lists::owner(&through);
        let owner = Some(owner).filter(|owner| self.aliases.find(&owner.local_part).is_some());
        let site = self.site;
        let source =
            Source { file: &site.aliases, node, through, owner: owner.or(way.owner), user: None };
        self.step(|| {
            let place = site.aliases.display();
            let (line, name) = (alias.line, &alias.name);
            format!("{place}:{line}: the alias '{name}': {}", shown(&alias.members))
        });
        let rows = alias.members.iter().map(|member| (alias.line, member));
        self.expand(&source, rows)
    }

    fn list(&mut self, name: &str, way: &Way) -> Result<bool, Refusal> {
        let Some(list) = self.live.list(self.site, name)? else {
            return Ok(false);
        };
        let address = Mailbox { local_part: name.into(), ..way.through.clone() };
        let file = self.site.lists.join(name);
        if list.members.is_empty() {
            let why = format!("{}: the list has no members, name some", file.display());
            return Err(Refusal::Unavailable(why));
        }
        self.step(|| format!("{}: the list '{name}'", file.display()));
        let owner = Some(lists::owner(&address));
        let fields = list.fields(&address);
        let list = List { fields, address: address.clone(), file: list };
        let way = Way { through: address, owner, ..way.clone() };
        self.add(Target::List(list), way)?;
        Ok(true)
    }

    /// A user's mailbox, or what the user's `.forward` says.
    fn user(&mut self, user: User, way: Way) -> Result<(), Refusal> {
        let node = Node::User(user.name.clone());
        if !self.enter(&node, &way) {
            return Ok(());
        }
        let (site, users) = (self.site, self.users);
        self.step(|| format!("{}: the user '{}'", auth::place(site, users, &user), user.name));
        let members = match self.forwards {
            true => forward::read(&user).map_err(Refusal::Unavailable)?,
            false => None,
        };
        let Some(members) = members else {
            return self.add(Target::User(user), Way { by: Some(node), ..way });
        };
        self.forwarding.push((user.clone(), Way { by: Some(node.clone()), ..way.clone() }));
        let file = forward::path(&user);
        if let Some(fault) = members.faults.first() {
            return Err(Refusal::Unavailable(fault.at(&file)));
        }
        self.step(|| {
            let rows = members.rows.iter().map(|(_, member)| member);
            format!("{}: forwards to {}", file.display(), shown(rows))
        });
        let through = Mailbox { local_part: user.name.clone(), ..way.through };
        let source = Source { file: &file, node, through, owner: way.owner, user: Some(&user) };
        self.expand(&source, members.rows.iter().map(|(line, member)| (*line, member)))
    }

    fn include(&mut self, path: &Path, user: Option<&User>, way: Way) -> Result<(), Refusal> {
        let node = Node::File(path.into());
        if !self.enter(&node, &way) {
            return Ok(());
        }
        let members = match user {
            Some(user) => forward::included(user, path).map(Arc::new),
            None => Ok(self.live.included(path)?),
        };
        let members = members.map_err(Refusal::Unavailable)?;
        self.step(|| {
            let rows = members.rows.iter().map(|(_, member)| member);
            format!("{}: includes {}", path.display(), shown(rows))
        });
        // An empty list is nobody's fault, and no circle.
        self.somebody.extend(members.rows.is_empty().then(|| node.clone()));
        let source = Source { file: path, node, through: way.through, owner: way.owner, user };
        self.expand(&source, members.rows.iter().map(|(line, member)| (*line, member)))
    }

    /// The user of a name, with or without a sub-address.
    fn user_of(&self, name: &str) -> Result<Option<User>, Refusal> {
        for spelling in spellings(self.site, name) {
            if let Some(user) = self.user_named(spelling)? {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// The user of exactly this name; for a postmaster who is no user, the first one of the file,
    /// since RFC 5321 §4.5.1 wants that name to be somebody.
    fn user_named(&self, name: &str) -> Result<Option<User>, Refusal> {
        let user = auth::find(self.site, self.users, name)?;
        if user.is_none() && name == "postmaster" {
            return Ok(auth::first(self.site, self.users)?);
        }
        Ok(user)
    }

    fn add(&mut self, target: Target, way: Way) -> Result<(), Refusal> {
        self.somebody.extend(way.by);
        if !self.found.iter().any(|known| known.target == target) {
            let Way { through, owner, from, .. } = way;
            self.found.push(Routed { target, owner, through, from });
        }
        Ok(())
    }

    /// Whether this is met for the first time.
    fn enter(&mut self, node: &Node, way: &Way) -> bool {
        self.links.extend(way.by.clone().map(|by| (by, node.clone())));
        self.seen.insert(node.clone())
    }

    fn count(&mut self, members: usize) -> Result<(), Refusal> {
        self.expansions += members;
        match self.expansions > limits::ALIAS_EXPANSIONS {
            true => Err(Refusal::TooMany),
            false => Ok(()),
        }
    }

    fn step(&mut self, told: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.steps {
            steps.push(told());
        }
    }

    /// Users whose `.forward` comes back to them have the letter in their mailbox, as with
    /// sendmail: that is no circle that anybody must mend.
    fn come_back(&mut self) -> Result<(), Refusal> {
        let links = std::mem::take(&mut self.links);
        let mut members: HashMap<&Node, Vec<&Node>> = HashMap::new();
        for (name, member) in &links {
            members.entry(name).or_default().push(member);
        }
        for (user, way) in std::mem::take(&mut self.forwarding) {
            let own = Node::User(user.name.clone());
            let (mut waiting, mut met) = (vec![&own], HashSet::new());
            while let Some(node) = waiting.pop() {
                let members = members.get(node).into_iter().flatten();
                waiting.extend(members.filter(|node| met.insert(**node)));
            }
            if met.contains(&own) {
                self.step(|| format!("'{}' is met again: into the mailbox", user.name));
                self.add(Target::User(user), way)?;
            }
        }
        self.links = links;
        Ok(())
    }

    /// Whether one of the names comes to nobody: its letters would be lost in silence, though
    /// others' are not.
    fn loops(&mut self) -> bool {
        loop {
            let before = self.somebody.len();
            // Backwards, as a name stands before what it comes to.
            for (name, member) in self.links.iter().rev() {
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

fn nobody(name: &str, way: &Way) -> Refusal {
    match &way.from {
        Some(place) => Refusal::Unavailable(format!(
            "{place}: '{name}' is neither an alias nor a user, add one or remove it"
        )),
        None => Refusal::NoSuchUser,
    }
}

fn shown<'m>(members: impl IntoIterator<Item = &'m Member>) -> String {
    members.into_iter().map(Member::to_string).collect::<Vec<_>>().join(", ")
}

/// `luis+lista` as it stands, then `luis`.
pub(super) fn spellings<'a>(site: &Site, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
    let base = site.recipient_delimiter.and_then(|mark| name.split_once(mark));
    std::iter::once(name).chain(base.map(|(base, _)| base).filter(|base| !base.is_empty()))
}
