//! Members of aliases, of `.forward` and of what they include, each made a thing to look at.

use super::super::members::Member;
use super::super::{Owner, Place, Refusal, Target};
use super::{Node, Search, Way, Work, spellings};
use crate::auth::User;
use crate::mail::Mailbox;
use crate::sys::trusted;
use std::path::Path;

/// What has members: an alias, a `.forward`, a file that one of them includes.
pub(super) struct Source<'a> {
    pub file: &'a Path,
    pub node: Node,
    /// Its name is what it may name itself by.
    pub through: Mailbox,
    pub owner: Option<Mailbox>,
    /// Whose `.forward` it is; `None` for files of the site.
    pub user: Option<&'a User>,
}

impl Search<'_> {
    /// Members wait for their turn, in the order of the file.
    pub(super) fn expand<'m>(
        &mut self,
        source: &Source,
        rows: impl DoubleEndedIterator<Item = (usize, &'m Member)> + ExactSizeIterator,
    ) -> Result<(), Refusal> {
        self.count(rows.len())?;
        for (line, member) in rows.rev() {
            let place = Place { file: source.file.into(), line };
            let work = self.member(source, member, &place)?;
            let (through, owner) = (source.through.clone(), source.owner.clone());
            let way = Way { by: Some(source.node.clone()), through, owner, from: Some(place) };
            self.waiting.push((work, way));
        }
        Ok(())
    }

    fn member(&self, source: &Source, member: &Member, place: &Place) -> Result<Work, Refusal> {
        let own =
            |name: &str| spellings(self.site, name).any(|name| name == source.through.local_part);
        // Its own name means the user of that name; in a `.forward`, the mailbox.
        let itself = |name: String| match source.user {
            Some(_) => Work::Mailbox(name),
            None => Work::Own(name),
        };
        Ok(match member {
            Member::Name(name) if own(name) => itself(name.clone()),
            Member::Name(name) => Work::Name(name.clone()),
            Member::User(name) => Work::Mailbox(name.clone()),
            Member::Address(mailbox) => {
                let name = mailbox.local_part.to_lowercase();
                match (self.site.is_local(&mailbox.domain), self.is_ours(&mailbox.domain)) {
                    (true, _) if own(&name) => itself(name),
                    (_, true) => Work::Address(mailbox.clone()),
                    (_, false) => Work::Done(Target::Remote(mailbox.clone())),
                }
            }
            Member::Program(command) => {
                let (command, owner) = (command.clone(), self.owner(source, member, place)?);
                Work::Done(Target::Program { command, owner })
            }
            Member::File(path) => {
                let (path, owner) = (path.clone(), self.owner(source, member, place)?);
                Work::Done(Target::File { path, owner })
            }
            Member::Include(path) => Work::Include(path.clone(), source.user.cloned()),
        })
    }

    /// Who runs a program or writes a file: the user whose `.forward` says so, else the owner of
    /// all mail, if nobody but root and that owner could write the line.
    fn owner(&self, source: &Source, member: &Member, place: &Place) -> Result<Owner, Refusal> {
        if let Some(User { name, home, account, .. }) = source.user.cloned() {
            return Ok(Owner { name, home, account });
        }
        let why = trusted::fault(source.file, trusted::own_uid());
        match why.unwrap_or_else(|error| Some(error.to_string())) {
            Some(why) => {
                let why = format!("{place}: '{member}' is not served, as this file {why}");
                Err(Refusal::Unavailable(why))
            }
            None => {
                let (name, home) = (self.site.mail_owner.clone(), "/".into());
                Ok(Owner { name, home, account: None })
            }
        }
    }
}
