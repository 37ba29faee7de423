//! DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030 §2): the text comes in, up to the dot or by count.

use super::accept::Text;
use super::session::{Client, Envelope, Outcome, Smtpd, State, order};
use crate::mail::{Mailbox, ToText, date};
use crate::net::Hangup;
use crate::net::dot::{Discipline, Unstuff};
use crate::smtp::reply::Reply;
use chrono::Local;

/// A letter that comes in chunks.
pub(super) struct Chunks {
    text: Text,
    reader: ToText,
}

impl Smtpd<'_> {
    /// RFC 5321 §4.1.1.4, §3.3.
    pub(super) fn data(&mut self, state: &mut State) -> Result<Option<Outcome>, Hangup> {
        if let Err(reply) = self.may_send_text(state) {
            return Ok(Some(Err(reply)));
        }
        let go_on = Reply::new(354, "", "Go on, and end with a dot alone on its line");
        self.reply(&go_on, state, "RFC 5321 §4.1.1.4")?;
        self.conn.flush()?;
        let State::Letter(_, envelope) = &*state else { return Ok(None) };
        let text = self.text(Text::new(&self.site, self.basics(envelope)))?;
        // RFC 5321 §4.1.1.4: whatever the reply, the buffers are cleared.
        let State::Letter(client, envelope) = std::mem::replace(state, State::Greeted) else {
            return Ok(None);
        };
        *state = State::Ready(client.clone());
        self.accept(text, &client, &envelope, state)
    }

    fn may_send_text(&self, state: &State) -> Result<(), Reply> {
        let State::Letter(_, envelope) = state else {
            return Err(order("The letter comes by BDAT; go on so, or RSET").by("RFC 3030 §2"));
        };
        if envelope.parameters.binary {
            let text = "MAIL said BINARYMIME, so the letter comes by BDAT";
            return Err(order(text).by("RFC 3030 §3"));
        }
        match (envelope.accepted.is_empty(), envelope.asked) {
            (false, _) => Ok(()),
            (true, 0) => Err(order("RCPT comes first: RCPT TO:<luis@example.org>")),
            (true, _) if self.is_lmtp() => {
                Err(order("There is no valid recipient").by("RFC 2033 §4.2"))
            }
            (true, _) => Err(Reply::new(554, "5.5.1", "There is no valid recipient")),
        }
    }

    /// RFC 6409 §8.2, §8.3, RFC 5322 §3.6: what a letter must have, for those that our users hand in;
    /// those of other hosts pass as they are (RFC 5321 §6.4).
    fn basics(&self, envelope: &Envelope) -> Vec<(&'static str, String)> {
        let Some(user) = &self.user else { return Vec::new() };
        let id = format!("<{}@{}>", envelope.id, self.site.hostname);
        let mut basics = vec![("Date", date(Local::now())), ("Message-ID", id)];
        let domain = self.our_domain("");
        let from = Mailbox { local_part: user.name.clone(), domain };
        if from.is_ascii() || envelope.parameters.utf8 {
            basics.push(("From", from.to_string()));
        }
        basics
    }

    /// Reads up to the dot.
    fn text(&mut self, mut text: Text) -> Result<Text, Hangup> {
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
        text.bare_cr = dots.bare_cr;
        Ok(text)
    }

    /// RFC 3030 §2. Whatever the reply, exactly so many octets are read first.
    pub(super) fn bdat(
        &mut self,
        octets: u64,
        last: bool,
        state: &mut State,
    ) -> Result<Option<Outcome>, Hangup> {
        let (client, envelope, mut chunks) = match std::mem::replace(state, State::Greeted) {
            State::Letter(client, envelope) if !envelope.accepted.is_empty() => {
                let text = Text::new(&self.site, self.basics(&envelope));
                (client, envelope, Box::new(Chunks { text, reader: ToText::new() }))
            }
            State::Chunks(client, envelope, chunks) => (client, envelope, chunks),
            other => {
                *state = other;
                self.chunk(octets, None)?;
                return Ok(self.no_chunk(last, state));
            }
        };
        self.chunk(octets, Some(&mut chunks))?;
        if last {
            return self.last_chunk(*chunks, client, envelope, state);
        }
        if let Err(reply) = chunks.text.fits(&self.site) {
            *state = State::Ready(client);
            return Ok(Some(Err(reply)));
        }
        *state = State::Chunks(client, envelope, chunks);
        Ok(Some(Ok(Reply::new(250, "2.0.0", format!("{octets} octets received")))))
    }

    /// The reply to a chunk that nobody waits for.
    fn no_chunk(&self, last: bool, state: &State) -> Option<Outcome> {
        Some(Err(match state {
            State::Letter(..) if self.is_lmtp() && last => return None,
            State::Letter(_, envelope) if envelope.asked > 0 => {
                Reply::new(554, "5.5.1", "There is no valid recipient")
            }
            _ => order("MAIL and RCPT come first"),
        }))
    }

    /// Reads exactly so many octets, and keeps or forgets them.
    fn chunk(&mut self, octets: u64, mut chunks: Option<&mut Chunks>) -> Result<(), Hangup> {
        self.transcript.client(&format!("({octets} octets)"), "chunk");
        let mut left = octets;
        let mut piece = Vec::new();
        while left > 0 {
            let input = self.conn.read_text(self.site.smtp_timeout)?;
            let here = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
            if let Some(chunks) = &mut chunks {
                piece.clear();
                chunks.reader.feed(&input[..here], &mut piece);
                chunks.text.octets += here as u64;
                chunks.text.take(&piece, self.site.message_size);
            }
            self.conn.consume(here);
            left -= here as u64;
        }
        Ok(())
    }

    fn last_chunk(
        &mut self,
        chunks: Chunks,
        client: Client,
        envelope: Envelope,
        state: &mut State,
    ) -> Result<Option<Outcome>, Hangup> {
        let Chunks { mut text, mut reader } = chunks;
        let mut rest = Vec::new();
        reader.end(&mut rest);
        text.take(&rest, self.site.message_size);
        text.bare_cr = reader.bare_cr;
        *state = State::Ready(client.clone());
        self.accept(text, &client, &envelope, state)
    }
}
