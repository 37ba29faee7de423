//! DATA: RFC 5321 §4.1.1.4. The text, its end, and the reply that is a promise.

use super::envelope::{no_room, too_large};
use super::session::{Client, Envelope, Smtpd, State, order};
use crate::deliver::{self, Failure, Letter};
use crate::limits;
use crate::mail::{Filter, Hop};
use crate::net::Hangup;
use crate::net::dot::{Discipline, Unstuff};
use crate::queue::Spool;
use crate::smtp::reply::Reply;
use crate::text::printable;
use chrono::Local;
use std::io;

/// What came in.
struct Text {
    spool: Spool,
    filter: Filter,
    /// RFC 1870 §4: octets with CRLF line ends.
    octets: u64,
    bare_cr: bool,
    /// The spool could not take it.
    broken: Option<io::Error>,
}

impl Smtpd<'_> {
    /// RFC 5321 §4.1.1.4, §3.3.
    pub(super) fn data(&mut self, state: &mut State) -> Result<Result<Reply, Reply>, Hangup> {
        if let State::Letter(_, envelope) = state
            && envelope.recipients.is_empty()
        {
            return Ok(Err(match envelope.asked {
                0 => order("RCPT comes first: RCPT TO:<luis@example.org>"),
                _ => Reply::new(554, "5.5.1", "There is no valid recipient"),
            }));
        }
        let go_on = Reply::new(354, "", "Go on, and end with a dot alone on its line");
        self.reply(&go_on, state, "RFC 5321 §4.1.1.4")?;
        self.conn.flush()?;
        let text = self.text()?;
        self.transcript.client(&format!("({} octets of text)", text.octets), "data");
        // RFC 5321 §4.1.1.4: whatever the reply, the buffers are cleared.
        let State::Letter(client, envelope) = std::mem::replace(state, State::Greeted) else {
            return Ok(Err(order("MAIL and RCPT come first")));
        };
        let outcome = self.accept(text, &client, &envelope);
        *state = State::Ready(client);
        Ok(outcome)
    }

    /// Reads up to the dot.
    fn text(&mut self) -> Result<Text, Hangup> {
        let mut text = Text {
            spool: Spool::new(self.site.spool.clone()),
            filter: Filter::new(),
            octets: 0,
            bare_cr: false,
            broken: None,
        };
        let mut dots = Unstuff::new(self.discipline.unwrap_or(Discipline::Strict));
        let mut piece = Vec::new();
        while !dots.done {
            let input = self.conn.read_text(self.site.smtp_timeout)?;
            piece.clear();
            let read = dots.feed(input, &mut piece);
            self.conn.consume(read);
            let lines = memchr::memchr_iter(b'\n', &piece).count();
            text.octets += (piece.len() + lines) as u64;
            text.take(&piece, self.site.message_size);
        }
        let mut rest = Vec::new();
        text.filter.end(&mut rest);
        text.spool.room().extend_from_slice(&rest);
        text.bare_cr = dots.bare_cr;
        Ok(text)
    }

    /// Refuses, or delivers: 250 is said when every copy is on disk.
    fn accept(
        &mut self,
        mut text: Text,
        client: &Client,
        envelope: &Envelope,
    ) -> Result<Reply, Reply> {
        if text.octets > self.site.message_size {
            return Err(too_large(self.site.message_size));
        }
        if text.bare_cr {
            let words = "A CR without its LF is in the text";
            return Err(Reply::new(550, "5.6.0", words).by("RFC 5321 §2.3.8"));
        }
        text.loops(envelope)?;
        if let Some(error) = text.broken {
            return Err(failed(spool_failure(&error)));
        }
        let tls = self.conn.tls().map(|tls| (tls.version, tls.cipher));
        let hop = Hop {
            client: &client.name,
            address: self.conn.peer().map(|peer| peer.ip()),
            server: &self.site.hostname,
            protocol: self.protocol(client, envelope),
            tls,
            id: &envelope.id,
            moment: Local::now(),
        };
        let content = text.spool.content().map_err(|error| failed(spool_failure(&error)))?;
        let reverse_path = envelope.reverse_path.as_ref();
        let letter = Letter { reverse_path, hop, content };
        deliver::local(&letter, &envelope.recipients).map_err(failed)?;
        self.letters += 1;
        self.log_accepted(envelope, text.octets);
        Ok(Reply::new(250, "2.0.0", format!("{} is delivered", envelope.id)))
    }

    fn log_accepted(&self, envelope: &Envelope, octets: u64) {
        let (id, letter) = (&self.id, &envelope.id);
        let from = envelope.reverse_path.as_ref().map_or(String::new(), ToString::to_string);
        let from = printable(from.as_bytes());
        for recipient in &envelope.recipients {
            let to = printable(recipient.forward_path.to_string().as_bytes());
            let user = &recipient.user.name;
            log::info!(
                "{id} letter={letter} from=<{from}> to=<{to}> user={user} size={octets} reply=250"
            );
        }
    }

    /// RFC 3848 §1; RFC 6531 §4.3 for the words in UTF8SMTP.
    fn protocol(&self, client: &Client, envelope: &Envelope) -> &'static str {
        let tls = self.conn.tls().is_some();
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

impl Text {
    /// Keeps a piece, unless the letter is lost already; its end is waited for all the same.
    fn take(&mut self, piece: &[u8], limit: u64) {
        if self.octets > limit || self.broken.is_some() {
            self.spool.clear();
            return;
        }
        self.filter.feed(piece, self.spool.room());
        self.broken = self.spool.settle().err();
    }

    /// RFC 5321 §6.3: too many hops, or a mailbox it has been delivered to (RFC 9228 §4).
    fn loops(&self, envelope: &Envelope) -> Result<(), Reply> {
        let text = if self.filter.hops > limits::HOPS {
            format!("{} hops: this letter goes round in circles", self.filter.hops)
        } else {
            let been = |address: String| {
                self.filter.delivered_to.iter().any(|been| been.eq_ignore_ascii_case(&address))
            };
            let mut addresses = envelope.recipients.iter().map(|to| to.address.to_string());
            match addresses.find(|address| been(address.clone())) {
                Some(address) => format!("It was delivered to <{address}> before, and came back"),
                None => return Ok(()),
            }
        };
        Err(Reply::new(554, "5.4.6", text).by("RFC 5321 §6.3"))
    }
}

fn spool_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failure::DiskFull(format!("spool: {error}"))
        }
        _ => Failure::Unavailable(format!("spool: {error}")),
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
