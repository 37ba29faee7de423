//! The end of a text: refused, or delivered, or queued for those who are elsewhere. 250 is said when
//! every copy is on disk.
//!
//! SMTP has one reply for all recipients, and so all of them get the letter or none does. LMTP
//! (RFC 2033 §4.2) has a reply for each.

use super::envelope::{no_room, too_large};
use super::session::{Client, Envelope, Outcome, Smtpd, State};
use crate::conf::Site;
use crate::deliver::{self, Failure, Letter, Recipient};
use crate::limits;
use crate::mail::{Filter, Hop, Mailbox};
use crate::net::Hangup;
use crate::queue::{self, Body, Goal, Queue, Spool};
use crate::smtp::reply::Reply;
use crate::sys::clock;
use crate::text::printable;
use chrono::Local;
use std::io;
use std::sync::Arc;

/// What came in.
pub(super) struct Text {
    spool: Spool,
    filter: Filter,
    /// RFC 1870 §4: octets with CRLF line ends.
    pub octets: u64,
    /// A CR stood without its LF.
    pub bare_cr: bool,
    /// Octets above 127 came.
    eight_bit: bool,
    /// The spool could not take it.
    broken: Option<io::Error>,
}

impl Text {
    /// Nothing yet; these fields are added where they are missing.
    pub fn new(site: &Site, basics: Vec<(&'static str, String)>) -> Text {
        Text {
            spool: Spool::new(site.spool.clone()),
            filter: Filter::new().completing(basics),
            octets: 0,
            bare_cr: false,
            eight_bit: false,
            broken: None,
        }
    }

    /// Keeps a piece, unless the letter is lost already; its end is waited for all the same.
    pub fn take(&mut self, piece: &[u8], limit: u64) {
        if self.octets > limit || self.broken.is_some() {
            self.spool.clear();
            return;
        }
        self.eight_bit |= !piece.is_ascii();
        self.filter.feed(piece, self.spool.room());
        self.broken = self.spool.settle().err();
    }

    /// Whether it is not too large, and could be held.
    pub fn fits(&self, site: &Site) -> Result<(), Reply> {
        match &self.broken {
            _ if self.octets > site.message_size => Err(too_large(site.message_size)),
            Some(error) => Err(failed(not_written("spool", error))),
            None => Ok(()),
        }
    }

    /// RFC 5321 §6.3: too many hops, or a mailbox it has been delivered to (RFC 9228 §3).
    fn loops(&self, envelope: &Envelope) -> Result<(), Reply> {
        let text = if self.filter.hops > limits::HOPS {
            format!("{} hops: this letter goes round in circles", self.filter.hops)
        } else {
            let been = |address: &String| {
                self.filter.delivered_to.iter().any(|been| been.eq_ignore_ascii_case(address))
            };
            let mut addresses = envelope.recipients.iter().map(|to| to.address.to_string());
            match addresses.find(been) {
                Some(address) => format!("It was delivered to <{address}> before, and came back"),
                None => return Ok(()),
            }
        };
        Err(Reply::new(554, "5.4.6", text).by("RFC 5321 §6.3"))
    }

    /// All that speaks against it before anybody's mailbox is asked.
    fn check(&mut self, site: &Site, envelope: &Envelope) -> Result<(), Reply> {
        let mut rest = Vec::new();
        self.filter.end(&mut rest);
        self.spool.room().extend_from_slice(&rest);
        self.fits(site)?;
        if self.bare_cr {
            let words = "A CR without its LF is in the text";
            return Err(Reply::new(550, "5.6.0", words).by("RFC 5321 §2.3.8"));
        }
        self.loops(envelope)
    }
}

impl Envelope {
    /// Who gets the letter at once, and who by the queue: all of them where there are so many
    /// copies to write that the client would wait.
    fn divided(&self, octets: u64) -> (&[Recipient], Vec<queue::Recipient>) {
        let copies = self.recipients.len();
        let too_many = copies > limits::AT_ONCE
            || (copies > 1 && octets.saturating_mul(copies as u64) > limits::OCTETS_AT_ONCE);
        let (here, others) = self.recipients.split_at(if too_many { 0 } else { copies });
        let others = others.iter().zip(&self.wishes).map(|(to, wishes)| queue::Recipient {
            goal: Goal::User(to.user.name.clone()),
            notify: wishes.notify,
            orcpt: wishes.orcpt.clone(),
            ..queue::Recipient::new(1, to.forward_path.clone())
        });
        let leaving = self.leaving.iter().cloned().chain(others);
        let numbered = (1..).zip(leaving).map(|(number, to)| queue::Recipient { number, ..to });
        (here, numbered.collect())
    }
}

impl Smtpd<'_> {
    /// Refuses, or delivers. Of several replies all but the last are sent here.
    pub(super) fn accept(
        &mut self,
        mut text: Text,
        client: &Client,
        envelope: &Envelope,
        state: &State,
    ) -> Result<Option<Outcome>, Hangup> {
        self.transcript.client(&format!("({} octets of text)", text.octets), "data");
        let (site, octets) = (Arc::clone(&self.site), text.octets);
        let eight_bit = text.eight_bit || envelope.parameters.eight_bit;
        let checked = text.check(&site, envelope);
        let content = checked.and_then(|()| {
            text.spool.content().map_err(|error| failed(not_written("spool", &error)))
        });
        let content = match content {
            Ok(content) => content,
            Err(reply) => return self.refuse_all(reply, envelope, state),
        };
        let hop = Hop {
            client: &client.name,
            address: self.conn.peer().map(|peer| peer.ip()),
            server: &site.hostname,
            protocol: self.protocol(client, envelope),
            tls: self.conn.tls().map(|tls| (tls.version, tls.cipher)),
            id: &envelope.id,
            moment: Local::now(),
        };
        let letter =
            Letter { reverse_path: envelope.reverse_path.as_ref(), hop: Some(hop), content };
        if self.is_lmtp() {
            return self.deliver_each(&letter, envelope, octets, state);
        }
        Ok(Some(self.promise(&letter, envelope, octets, eight_bit)))
    }

    /// To all of them, or to none: what leaves is written first, where no runner looks, and shown
    /// when the copies of this host are in their mailboxes.
    fn promise(
        &mut self,
        letter: &Letter,
        envelope: &Envelope,
        octets: u64,
        eight_bit: bool,
    ) -> Outcome {
        let (here, leaving) = envelope.divided(octets);
        let lost = |error: io::Error| failed(not_written("queue", &error));
        if leaving.is_empty() {
            return self.deliver(letter, here, octets);
        }
        let queued = self.queued(envelope, leaving, eight_bit);
        // RFC 5321 §7.2: nobody learns from it who else gets the letter.
        let alone = (queued.recipients.len() == 1).then(|| &queued.recipients[0].path);
        let head = letter.hop.as_ref().map_or(String::new(), |hop| hop.received(alone));
        let pending =
            Queue::new(&self.site.queue).prepare(&queued, head.as_bytes(), &letter.content);
        let mut pending = pending.map_err(lost)?;
        self.deliver(letter, here, octets)?;
        pending.show().and_then(|()| pending.settle()).map_err(lost)?;
        deliver::summon(&self.site);
        for to in &queued.recipients {
            self.tell(letter, &to.path, "queue=yes", octets);
        }
        (self.letters, self.errors) = (self.letters + usize::from(here.is_empty()), 0);
        Ok(Reply::new(250, "2.0.0", format!("{} is queued", queued.id)))
    }

    /// The letter as the queue has it.
    fn queued(
        &self,
        envelope: &Envelope,
        recipients: Vec<queue::Recipient>,
        eight_bit: bool,
    ) -> queue::Envelope {
        let (now, from) = (clock::micros() / 1_000_000, envelope.reverse_path.clone());
        queue::Envelope {
            body: if eight_bit { Body::EightBit } else { Body::SevenBit },
            utf8: envelope.parameters.utf8,
            ret: envelope.parameters.ret,
            envid: envelope.parameters.envid.clone(),
            submitter: self.user.as_ref().map(|user| user.name.clone()),
            recipients,
            ..queue::Envelope::new(envelope.id.clone(), now, from)
        }
    }

    /// Into mailboxes.
    fn deliver(&mut self, letter: &Letter, to: &[Recipient], octets: u64) -> Outcome {
        deliver::local(letter, to, self.site.deliver_wait).map_err(failed)?;
        self.letters += usize::from(!to.is_empty());
        // As Postfix has it: what counts is errors since a letter was taken.
        self.errors = 0;
        for recipient in to {
            let user = format!("user={}", recipient.user.name);
            self.tell(letter, &recipient.forward_path, &user, octets);
        }
        let id = letter.hop.as_ref().map_or("", |hop| hop.id);
        Ok(Reply::new(250, "2.0.0", format!("{id} is delivered")))
    }

    /// One line of the log for each recipient.
    fn tell(&self, letter: &Letter, to: &Mailbox, how: &str, octets: u64) {
        let (id, letter_id) = (&self.id, letter.hop.as_ref().map_or("", |hop| hop.id));
        let from = letter.reverse_path.map_or(String::new(), ToString::to_string);
        let (from, to) = (printable(from.as_bytes()), printable(to.to_string().as_bytes()));
        log::info!("{id} letter={letter_id} from=<{from}> to=<{to}> {how} size={octets} reply=250");
    }

    /// RFC 2033 §4.2: for each RCPT that was accepted its own reply, as soon as it is known.
    fn deliver_each(
        &mut self,
        letter: &Letter,
        envelope: &Envelope,
        octets: u64,
        state: &State,
    ) -> Result<Option<Outcome>, Hangup> {
        let mut known: Vec<Option<Outcome>> = vec![None; envelope.recipients.len()];
        let mut last: Option<Outcome> = None;
        for meant in &envelope.accepted {
            if let Some(Ok(reply) | Err(reply)) = last.take() {
                self.reply(&reply, state, "RFC 2033 §4.2")?;
                self.conn.flush()?;
            }
            for place in meant {
                if known[*place].is_none() {
                    let one = &envelope.recipients[*place..=*place];
                    known[*place] = Some(self.deliver(letter, one, octets));
                }
            }
            // Several users may be meant; the reply is a promise for all of them.
            let mut outcomes = meant.iter().filter_map(|place| known[*place].clone());
            let first = outcomes.next();
            last = outcomes.find(Result::is_err).or(first);
        }
        Ok(last)
    }

    /// The same refusal for everybody: once in SMTP, once for each RCPT in LMTP.
    fn refuse_all(
        &mut self,
        reply: Reply,
        envelope: &Envelope,
        state: &State,
    ) -> Result<Option<Outcome>, Hangup> {
        let times = if self.is_lmtp() { envelope.accepted.len() } else { 1 };
        for _ in 1..times {
            self.reply(&reply, state, "RFC 2033 §4.2")?;
        }
        Ok((times > 0).then_some(Err(reply)))
    }

    /// RFC 3848 §1; RFC 6531 §4.3 for the words in UTF8SMTP.
    fn protocol(&self, client: &Client, envelope: &Envelope) -> &'static str {
        let tls = self.conn.tls().is_some();
        if self.is_lmtp() {
            return match (envelope.parameters.utf8, tls) {
                (false, false) => "LMTP",
                (false, true) => "LMTPS",
                (true, false) => "UTF8LMTP",
                (true, true) => "UTF8LMTPS",
            };
        }
        match (client.extended, envelope.parameters.utf8, tls, self.user.is_some()) {
            (false, ..) => "SMTP",
            (true, false, false, false) => "ESMTP",
            (true, false, false, true) => "ESMTPA",
            (true, false, true, false) => "ESMTPS",
            (true, false, true, true) => "ESMTPSA",
            (true, true, false, false) => "UTF8SMTP",
            (true, true, false, true) => "UTF8SMTPA",
            (true, true, true, false) => "UTF8SMTPS",
            (true, true, true, true) => "UTF8SMTPSA",
        }
    }
}

fn not_written(what: &str, error: &io::Error) -> Failure {
    let why = format!("{what}: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Failure::DiskFull(why),
        _ => Failure::Unavailable(why),
    }
}

/// RFC 5321 §4.2.5: a failure after the dot is the server's to name; nothing was committed.
fn failed(failure: Failure) -> Reply {
    match failure {
        Failure::Unavailable(why) => {
            let text = "The letter could not be kept, try again later";
            Reply::new(451, "4.3.0", text).by("RFC 5321 §4.2.5").because(why)
        }
        other => no_room(other),
    }
}
