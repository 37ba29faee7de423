//! APPEND: RFC 3501 §6.3.11; several messages in one command, all or none: RFC 3502.
//!
//! A message streams into the spool, never more of it in memory than a letter that comes by SMTP.
//! The store keeps lines: CRLF becomes LF, and binary parts become base64 (RFC 3030 §3).

use super::command::{Mailbox, Message, append};
use super::flag::Flag;
use super::gather::Gather;
use super::mailbox::{SYSTEM, folder_status, store_status};
use super::response::{Code, Status};
use super::session::{Account, Imapd, Outcome, State};
use crate::limits;
use crate::mail::ToText;
use crate::net::Hangup;
use crate::queue::{Content, Spool};
use crate::store::{self, Appending, Body, Flags, Letter};
use std::io;

impl Imapd<'_> {
    /// RFC 3501 §6.3.11. A refusal before the octets are asked for saves the client the trouble.
    pub(super) fn append(
        &mut self,
        mailbox: &Mailbox,
        first: Message,
        gather: &mut Gather,
        state: &mut State,
    ) -> Result<Outcome, Hangup> {
        let place = self.place(mailbox, state);
        let mut refusal = place.as_ref().err().cloned();
        let name = place.unwrap_or_default();
        let mut message = first;
        let (mut prepared, mut total) = (Vec::new(), 0u64);
        loop {
            let octets = message.literal.octets;
            total = total.saturating_add(octets);
            if let (None, Err(status)) =
                (&refusal, self.fits(&message, prepared.len(), total, state))
            {
                refusal = Some(status);
            }
            if message.literal.sync {
                if let Some(status) = refusal {
                    return Ok(Err(status));
                }
                self.go_on("Go on", state);
            }
            match (&refusal, state.account()) {
                (None, Some(account)) => {
                    let spool = self.message(octets, account)?;
                    match self.prepare(&name, &message, spool, account) {
                        Ok(one) => prepared.push(one),
                        Err(status) => refusal = Some(status),
                    }
                }
                _ => self.discard(octets)?,
            }
            let line = self.line()?;
            match append::next(&line, &message) {
                Ok(Some(next)) => message = next,
                Ok(None) => break,
                Err(_) => {
                    // Careful: what the line announces is no command.
                    gather.behind_message(&line);
                    self.skip(gather)?;
                    return Ok(Err(Status::bad("Behind a message comes another, or nothing")));
                }
            }
        }
        if let Some(status) = refusal {
            return Ok(Err(status));
        }
        let Some(account) = state.account() else { return Ok(Err(Status::bad("Log in first"))) };
        Ok(match account.folders.commit_append(prepared) {
            Ok((validity, uids)) => {
                Ok(Status::ok("Appended").with(Code::AppendUid(validity, uids)))
            }
            Err(error) => Err(folder_status(error)),
        })
    }

    /// The name of the mailbox, if there is one.
    fn place(&self, mailbox: &Mailbox, state: &mut State) -> Result<String, Status> {
        let name = mailbox.name(self.speaks_utf8())?;
        let account = state.account().ok_or_else(|| Status::bad("Log in first"))?;
        match account.folders.exists(&name).map_err(folder_status)? {
            true => Ok(name),
            false => {
                let text = "There is no such mailbox; CREATE it first";
                Err(Status::no(Code::TryCreate, text).by("RFC 3501 §6.3.11"))
            }
        }
    }

    /// Whether a message may come, before which there are so many, and with it so many octets.
    fn fits(
        &self,
        message: &Message,
        before: usize,
        total: u64,
        state: &mut State,
    ) -> Result<(), Status> {
        if before >= limits::APPENDS {
            let text = format!("One command may append {} messages", limits::APPENDS);
            return Err(Status::no(Code::Limit, text).by("RFC 5530 §3"));
        }
        if message.utf8 && !self.utf8 {
            return Err(Status::bad("ENABLE UTF8=ACCEPT first").by("RFC 6855 §4"));
        }
        if message.literal.octets == 0 {
            return Err(
                Status::plain_no("A message without octets takes all back").by("RFC 3502 §6.3.11")
            );
        }
        if message.literal.octets > self.site.message_size {
            let text = format!("A message may have {} octets", self.site.message_size);
            return Err(Status::no(Code::TooBig, text).by("RFC 7889 §4"));
        }
        state.account().map_or(Ok(()), |account| room(account, total))
    }

    /// Reads a message into the spool: that of the site, or where the session is the user a file
    /// without a name in his home.
    fn message(&mut self, octets: u64, account: &Account) -> Result<io::Result<Spool>, Hangup> {
        let mut spool = Spool::new(match account.user.account {
            Some(_) => account.user.home.clone(),
            None => self.site.spool.clone(),
        });
        let mut lines = ToText::new();
        let mut broken = None;
        self.read_octets(octets, |piece| {
            if broken.is_none() {
                lines.feed(piece, spool.room());
                broken = spool.settle().err();
            }
        })?;
        lines.end(spool.room());
        Ok(broken.map_or(Ok(spool), Err))
    }

    /// Writes a message where nobody sees it yet.
    fn prepare(
        &self,
        name: &str,
        message: &Message,
        spool: io::Result<Spool>,
        account: &mut Account,
    ) -> Result<Appending, Status> {
        let spooled = |error: io::Error| {
            Status::no(Code::Unavailable, "The message could not be held, try again later")
                .because(format!("spool: {error}"))
        };
        let mut spool = spool.map_err(spooled)?;
        let body = match spool.content().map_err(spooled)? {
            Content::Memory(octets) => Body::Octets(octets),
            Content::File { file, at, octets, lines } => Body::File { file, at, octets, lines },
        };
        let (flags, keywords) = marks(&message.flags);
        let date = message.date.map(|date| date.timestamp());
        let letter = Letter { sender: "", head: b"", body };
        account.folders.prepare_append(name, &letter, flags, &keywords, date).map_err(folder_status)
    }
}

/// RFC 5530 §3: whether so many octets more are within the user's quota.
pub(super) fn room(account: &Account, octets: u64) -> Result<(), Status> {
    let quota = account.user.quota;
    if quota == 0 {
        return Ok(());
    }
    let used = store::used(&account.user.mailbox).map_err(store_status)?;
    match used.saturating_add(octets) > quota {
        true => Err(Status::no(Code::OverQuota, "There is no room for that").by("RFC 5530 §3")),
        false => Ok(()),
    }
}

fn marks(named: &[Flag]) -> (Flags, Vec<String>) {
    let (mut flags, mut keywords) = (Flags::NONE, Vec::new());
    for flag in named {
        match flag {
            Flag::Keyword(name) => keywords.push(name.clone()),
            system => SYSTEM
                .iter()
                .filter(|(_, known)| known == system)
                .for_each(|(bit, _)| flags |= *bit),
        }
    }
    (flags, keywords)
}
