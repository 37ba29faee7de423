//! Addresses at our domains: what the virtual file says of them, and what came back by SRS.

use super::super::domains::{Entry, Onto};
use super::super::members::Member;
use super::super::{Place, Refusal, Target, srs};
use super::{Node, Search, Way, Work, nobody, spellings};
use crate::mail::Mailbox;
use std::time::SystemTime;

impl Search<'_> {
    /// An address at a domain of ours: a line of the virtual file before a name, the catch-all
    /// behind it.
    pub(super) fn address(&mut self, mailbox: &Mailbox, way: Way) -> Result<(), Refusal> {
        let Mailbox { local_part, domain } = mailbox;
        if srs::is_rewritten(local_part)
            && let Some(secrets) = self.live.secrets(self.site)?
        {
            return self.returned(mailbox, &secrets, way);
        }
        let name = local_part.to_lowercase();
        let domains = self.domains.clone();
        for spelling in spellings(self.site, &name) {
            if let Some(entry) = domains.find(spelling, domain) {
                return self.stands_for(mailbox, entry, way);
            }
        }
        let way = Way { through: self.at_home(&way.through.local_part, domain), ..way };
        let local = domain.is_empty() || self.site.is_local(domain);
        if local && self.name(&name, &way)? {
            return Ok(());
        }
        if let Some(entry) = domains.find("", domain) {
            return self.stands_for(mailbox, entry, way);
        }
        // RFC 5321 §4.5.1: each domain has one.
        match spellings(self.site, &name).any(|name| name == "postmaster") {
            true if self.name("postmaster", &way)? => Ok(()),
            _ => Err(nobody(&mailbox.to_string(), &way)),
        }
    }

    /// What comes back to an address that we made for a forwarded letter.
    fn returned(&mut self, mailbox: &Mailbox, secrets: &[String], way: Way) -> Result<(), Refusal> {
        match srs::reverse(secrets, &mailbox.local_part, SystemTime::now()) {
            Ok(sender) => {
                self.step(|| format!("srs: a letter from <{sender}> was forwarded"));
                let work = match self.is_ours(&sender.domain) {
                    true if !srs::is_rewritten(&sender.local_part) => Work::Address(sender),
                    _ => Work::Done(Target::Remote(sender)),
                };
                self.waiting.push((work, way));
                Ok(())
            }
            Err(why) => {
                self.step(|| format!("srs: <{mailbox}> {why}"));
                Err(Refusal::NoSuchUser)
            }
        }
    }

    /// A line of the virtual file.
    fn stands_for(&mut self, mailbox: &Mailbox, entry: &Entry, way: Way) -> Result<(), Refusal> {
        let from = Place { file: self.site.virtual_addresses.clone(), line: entry.line };
        self.step(|| format!("{from}: the virtual address <{mailbox}>"));
        let node = Node::Address(entry.line, mailbox.local_part.to_lowercase());
        if !self.enter(&node, &way) {
            return Ok(());
        }
        self.count(entry.targets.len())?;
        let way = Way { by: Some(node), from: Some(from), ..way };
        for onto in entry.targets.iter().rev() {
            let target = match onto {
                Onto::Domain(domain) => Mailbox { domain: domain.clone(), ..mailbox.clone() },
                Onto::Member(Member::Address(target)) => target.clone(),
                Onto::Member(name) => {
                    self.waiting.push((Work::Name(name.to_string()), way.clone()));
                    continue;
                }
            };
            let same = target.to_string().eq_ignore_ascii_case(&mailbox.to_string());
            let work = match self.is_ours(&target.domain) {
                // An address that stands for itself is the name, whatever a catch-all says.
                true if same => Work::Name(target.local_part.to_lowercase()),
                true => Work::Address(target),
                false => Work::Done(Target::Remote(target)),
            };
            self.waiting.push((work, way.clone()));
        }
        Ok(())
    }
}
