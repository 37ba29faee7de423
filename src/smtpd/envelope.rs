//! The envelope: MAIL (RFC 5321 §4.1.1.2), RCPT (§4.1.1.3), RSET (§4.1.1.5).

use super::session::{Client, Envelope, Smtpd, State};
use crate::auth::User;
use crate::conf::Role;
use crate::deliver::{self, Failure, Recipient, room};
use crate::limits;
use crate::mail::Mailbox;
use crate::queue::{self, Goal};
use crate::route::{self, Refusal, Routed, Target};
use crate::smtp::command::{Parameters, Wishes, non_ascii};
use crate::smtp::reply::Reply;
use crate::sys::clock;

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
        if self.is_lmtp() && (parameters.ret.is_some() || parameters.envid.is_some()) {
            return Err(no_reports());
        }
        if parameters.size.is_some_and(|size| size > self.site.message_size) {
            return Err(too_large(self.site.message_size));
        }
        if let State::Ready(client) = state {
            let client = Client { name: std::mem::take(&mut client.name), ..client.clone() };
            let envelope = Envelope {
                id: clock::id(),
                reverse_path,
                parameters,
                recipients: Vec::new(),
                wishes: Vec::new(),
                leaving: Vec::new(),
                asked: 0,
                accepted: Vec::new(),
            };
            *state = State::Letter(client, envelope);
        }
        Ok(Reply::new(250, "2.1.0", "Sender ok"))
    }

    /// RFC 5321 §4.1.1.3.
    pub(super) fn rcpt(
        &mut self,
        path: Mailbox,
        wishes: Wishes,
        envelope: &mut Envelope,
    ) -> Result<Reply, Reply> {
        envelope.asked += 1;
        if envelope.accepted.len() >= limits::RECIPIENTS {
            let text = format!("{} recipients are enough for one letter", limits::RECIPIENTS);
            return Err(Reply::new(452, "4.5.3", text).by("RFC 5321 §4.5.3.1.10"));
        }
        if path.local_part.contains(['!', '%']) {
            let text = "No routes by ! or %; write <user@domain>";
            return Err(Reply::new(553, "5.1.3", text).by("RFC 5321 §3.6.1"));
        }
        let utf8 = envelope.parameters.utf8;
        if !path.is_ascii() && !utf8 {
            return Err(non_ascii(553));
        }
        if self.is_lmtp() && wishes.is_some() {
            return Err(no_reports());
        }
        let place = self.at_our_domain(&path);
        let routed = route::resolve(&self.site, &self.live.auth, &self.live.route, &place);
        let (users, leaving) = match routed {
            Ok(routed) => {
                rooms(&routed, envelope.parameters.size.unwrap_or(0))?;
                let divided = self.divide(routed, &place, &wishes, envelope);
                divided.map_err(|refusal| self.refusal(refusal, &path, utf8))?
            }
            Err(Refusal::NotLocal) if self.may_relay(&path.domain)? => {
                (Vec::new(), vec![leaving(&place, &wishes)])
            }
            Err(refusal) => return Err(self.refusal(refusal, &path, utf8)),
        };
        envelope.leave(leaving)?;
        let domain = self.our_domain(&place.domain);
        let users = users.into_iter();
        let meant = users.map(|user| envelope.place(&path, user, &domain, &wishes)).collect();
        envelope.accepted.push(meant);
        Ok(Reply::new(250, "2.1.5", "Recipient ok"))
    }

    /// Whose mailboxes the letter goes into, and whom it is queued for.
    fn divide(
        &self,
        routed: Vec<Routed>,
        place: &Mailbox,
        wishes: &Wishes,
        envelope: &Envelope,
    ) -> Result<(Vec<User>, Vec<queue::Recipient>), Refusal> {
        if self.is_lmtp() {
            return route::local_only(routed).map(|users| (users, Vec::new()));
        }
        let to = leaving(place, wishes);
        // What is sent under another's name is the runner's, whole; and so is what the sender wants
        // to hear of (RFC 3461 §5.2.3), since the runner writes reports.
        let is_list = |one: &Routed| matches!(one.target, Target::List(_)) || one.owner.is_some();
        if to.notify().success || routed.iter().any(is_list) {
            return Ok((Vec::new(), vec![to]));
        }
        let (mut users, mut others) = (Vec::new(), Vec::new());
        let sender = envelope.reverse_path.as_ref();
        for one in routed {
            match one.target {
                Target::User(user) => users.push(user),
                _ => {
                    let now = clock::micros() / 1_000_000;
                    let live = &self.live.route;
                    others.push(deliver::recipient(&self.site, live, now, &to, one, sender)?);
                }
            }
        }
        Ok((users, others))
    }

    /// RFC 5321 §4.1.3: an address literal that is the address the client reached us at is ours.
    fn at_our_domain(&self, path: &Mailbox) -> Mailbox {
        let ours = self.conn.local().map(|local| local.ip().to_canonical());
        match path.literal() {
            Some(literal) if Some(literal) == ours => {
                Mailbox { domain: self.our_domain(""), ..path.clone() }
            }
            _ => path.clone(),
        }
    }

    /// The domain of a local address; the first of ours where it has none, or a virtual one.
    pub(super) fn our_domain(&self, domain: &str) -> String {
        match self.site.is_local(domain) {
            true => domain.to_ascii_lowercase(),
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
                let hint =
                    if self.user.is_none() && self.may_log_in() { "; AUTH first" } else { "" };
                let text = format!("{} is not ours, and you may not send there{hint}", path.domain);
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
    fn place(&mut self, path: &Mailbox, user: User, domain: &str, wishes: &Wishes) -> usize {
        let known = self.recipients.iter().position(|other| other.user.name == user.name);
        known.unwrap_or_else(|| {
            let address = Mailbox { local_part: user.name.clone(), domain: domain.into() };
            self.recipients.push(Recipient { forward_path: path.clone(), user, address });
            self.wishes.push(wishes.clone());
            self.recipients.len() - 1
        })
    }

    /// More for the queue, each once.
    fn leave(&mut self, more: Vec<queue::Recipient>) -> Result<(), Reply> {
        let same = |one: &queue::Recipient, other: &queue::Recipient| {
            (&one.path, &one.goal, &one.sender) == (&other.path, &other.goal, &other.sender)
        };
        let known = self.leaving.len();
        for to in more {
            if !self.leaving.iter().any(|other| same(other, &to)) {
                self.leaving.push(to);
            }
        }
        let octets: usize = self.leaving.iter().map(octets).sum();
        if octets > limits::QUEUED_ENVELOPE || self.leaving.len() > limits::QUEUED_RECIPIENTS {
            self.leaving.truncate(known);
            let text = "These recipients are enough for one letter";
            return Err(Reply::new(452, "4.5.3", text).by("RFC 5321 §4.5.3.1.10"));
        }
        Ok(())
    }
}

/// About as many as the queue writes.
fn octets(to: &queue::Recipient) -> usize {
    let goal = match &to.goal {
        Goal::Address | Goal::User(_) => 0,
        Goal::Program(what, _) | Goal::File(what, _) => what.len(),
    };
    let length = |path: &Mailbox| 2 * path.local_part.len() + path.domain.len();
    let sender = to.sender.as_ref().map_or(0, length);
    limits::PATH + length(&to.path) + goal + sender + to.orcpt.as_ref().map_or(0, String::len)
}

/// An address as a recipient of the queue.
fn leaving(path: &Mailbox, wishes: &Wishes) -> queue::Recipient {
    let Wishes { notify, orcpt } = wishes.clone();
    queue::Recipient { notify, orcpt, ..queue::Recipient::new(1, path.clone()) }
}

/// Whether there is room in every mailbox.
fn rooms(routed: &[Routed], octets: u64) -> Result<(), Reply> {
    let mut users = routed.iter().filter_map(|one| match &one.target {
        Target::User(user) => Some(user),
        _ => None,
    });
    users.try_for_each(|user| room(user, octets)).map_err(no_room)
}

/// LMTP (RFC 2033) tells each recipient's fate at once, and reports are the client's.
fn no_reports() -> Reply {
    Reply::new(555, "5.5.4", "DSN is not offered here").by("RFC 5321 §4.1.1.11")
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
