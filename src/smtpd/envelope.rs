//! The envelope: MAIL (RFC 5321 §4.1.1.2), RCPT (§4.1.1.3), RSET (§4.1.1.5).

use super::session::{Client, Envelope, Smtpd, State};
use crate::auth::User;
use crate::conf::Role;
use crate::deliver::{Failure, Recipient, room};
use crate::limits;
use crate::mail::Mailbox;
use crate::route::{self, Refusal};
use crate::smtp::command::{Parameters, non_ascii};
use crate::smtp::reply::Reply;

impl Smtpd<'_> {
    /// RFC 5321 §4.1.1.2.
    pub(super) fn mail(
        &mut self,
        reverse_path: Option<Mailbox>,
        parameters: Parameters,
        state: &mut State,
    ) -> Result<Reply, Reply> {
        if matches!(self.role, Role::Submission | Role::Submissions) && self.user.is_none() {
            let text = match self.may_log_in() {
                true => "Log in first: AUTH",
                false => "STARTTLS first, then AUTH",
            };
            return Err(Reply::new(530, "5.7.0", text).by("RFC 6409 §4.3"));
        }
        if parameters.size.is_some_and(|size| size > self.site.message_size) {
            return Err(too_large(self.site.message_size));
        }
        if let State::Ready(client) = state {
            let client = Client { name: std::mem::take(&mut client.name), ..client.clone() };
            self.transactions += 1;
            let id = format!("{}-{}", self.id, self.transactions);
            let recipients = Vec::new();
            let envelope = Envelope {
                id,
                reverse_path,
                parameters,
                recipients,
                asked: 0,
                accepted: Vec::new(),
            };
            *state = State::Letter(client, envelope);
        }
        Ok(Reply::new(250, "2.1.0", "Sender ok"))
    }

    /// RFC 5321 §4.1.1.3.
    pub(super) fn rcpt(&mut self, path: Mailbox, envelope: &mut Envelope) -> Result<Reply, Reply> {
        envelope.asked += 1;
        if envelope.accepted.len() >= limits::RECIPIENTS {
            let text = format!("{} recipients are enough for one letter", limits::RECIPIENTS);
            return Err(Reply::new(452, "4.5.3", text).by("RFC 5321 §4.5.3.1.10"));
        }
        if path.local_part.contains(['!', '%']) {
            let text = "No routes by ! or %; write <user@domain>";
            return Err(Reply::new(553, "5.1.3", text).by("RFC 5321 §3.6.1"));
        }
        if !path.is_ascii() && !envelope.parameters.utf8 {
            return Err(non_ascii(553));
        }
        let place = self.at_our_domain(&path);
        let users = route::resolve(&self.site, &self.live.auth, &self.live.route, &place)
            .and_then(route::local_only)
            .map_err(|refusal| self.refusal(refusal, &path, envelope.parameters.utf8))?;
        for user in &users {
            room(user, envelope.parameters.size.unwrap_or(0)).map_err(no_room)?;
        }
        let domain = self.our_domain(&place);
        let meant = users.into_iter().map(|user| envelope.place(&path, user, &domain)).collect();
        envelope.accepted.push(meant);
        Ok(Reply::new(250, "2.1.5", "Recipient ok"))
    }

    /// RFC 5321 §4.1.3: an address literal that is the address the client reached us at is ours.
    fn at_our_domain(&self, path: &Mailbox) -> Mailbox {
        let ours = self.conn.local().map(|local| local.ip().to_canonical());
        match path.literal() {
            Some(literal) if Some(literal) == ours => {
                let domain = self.our_domain(&Mailbox { domain: String::new(), ..path.clone() });
                Mailbox { domain, ..path.clone() }
            }
            _ => path.clone(),
        }
    }

    /// The domain of a local address; the first of ours where it has none, or a virtual one.
    fn our_domain(&self, path: &Mailbox) -> String {
        match self.site.is_local(&path.domain) {
            true => path.domain.to_ascii_lowercase(),
            false => self.site.domains.first().unwrap_or(&self.site.hostname).clone(),
        }
    }

    fn refusal(&self, refusal: Refusal, path: &Mailbox, utf8: bool) -> Reply {
        match refusal {
            Refusal::NoSuchUser => {
                Reply::new(550, "5.1.1", format!("There is no mailbox <{path}> here"))
            }
            Refusal::NotServed(why) => {
                let text = format!("There is no mailbox <{path}> here");
                Reply::new(550, "5.1.1", text).by("first_uid").because(why)
            }
            Refusal::NotLocal => {
                let text = format!("{} is not ours, and we relay for nobody", path.domain);
                Reply::new(550, "5.7.1", text).by("RFC 5321 §3.6.2")
            }
            Refusal::Elsewhere(there) => elsewhere(&there, utf8),
            Refusal::Loop => Reply::new(554, "5.4.6", "This alias comes back to itself"),
            Refusal::TooMany => Reply::new(554, "5.4.6", "This alias comes to too many names"),
            Refusal::Unavailable(why) => {
                let text = "This mailbox cannot be looked up now, try again later";
                Reply::new(451, "4.3.0", text).by("RFC 5321 §4.2.3").because(why)
            }
        }
    }

    /// RFC 5321 §4.1.1.5.
    pub(super) fn rset(&mut self, state: &mut State) -> Reply {
        if let State::Letter(client, _) | State::Chunks(client, ..) = state {
            *state = State::Ready(client.clone());
        }
        Reply::new(250, "2.0.0", "Forgotten")
    }

    /// RFC 5321 appendix F.
    pub(super) fn obsolete(&self) -> Reply {
        Reply::new(502, "5.5.1", "Obsolete: removed from the standard for security; use MAIL")
    }
}

impl Envelope {
    /// The place of a user among the recipients; whoever is named twice has one.
    fn place(&mut self, path: &Mailbox, user: User, domain: &str) -> usize {
        let known = self.recipients.iter().position(|other| other.user.name == user.name);
        known.unwrap_or_else(|| {
            let address = Mailbox { local_part: user.name.clone(), domain: domain.into() };
            self.recipients.push(Recipient { forward_path: path.clone(), user, address });
            self.recipients.len() - 1
        })
    }
}

/// RFC 5321 §3.4; without the address where it is not ASCII and the client takes nothing else
/// (RFC 6531 §3.7.4.1).
pub(super) fn elsewhere(there: &Mailbox, utf8: bool) -> Reply {
    match utf8 || there.is_ascii() {
        true => {
            let text = format!("User not local, please try <{there}>");
            Reply::new(551, "5.1.6", text).in_utf8().by("RFC 5321 §3.4")
        }
        false => {
            let text = "User not local, at an address that is not ASCII";
            Reply::new(550, "5.6.8", text).by("RFC 6531 §3.7.4.1")
        }
    }
}

/// RFC 1870 §6.1.
pub(super) fn too_large(limit: u64) -> Reply {
    let text = format!("A letter may have {limit} octets");
    Reply::new(552, "5.3.4", text).by("RFC 1870 §6.1")
}

/// What a mailbox without room means on the wire: RFC 5321 §4.2.3.
pub(super) fn no_room(failure: Failure) -> Reply {
    let reply = match failure {
        Failure::OverQuota(name) => {
            Reply::new(452, "4.2.2", format!("The mailbox of {name} is full, try again later"))
        }
        Failure::TooLarge(name) => {
            Reply::new(552, "5.2.2", format!("The mailbox of {name} cannot hold this letter"))
        }
        Failure::DiskFull(why) => {
            Reply::new(452, "4.3.1", "The disk is full, try again later").because(why)
        }
        Failure::Unavailable(why) => {
            Reply::new(450, "4.2.0", "The mailbox cannot be used now, try again later").because(why)
        }
    };
    reply.by("RFC 5321 §4.2.3")
}
