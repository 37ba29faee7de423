//! The beginning and the end: greeting (RFC 5321 §3.1), EHLO and HELO (§4.1.1.1), STARTTLS
//! (RFC 3207), QUIT (§4.1.1.10).

use super::session::{Client, Smtpd, State, no_mail};
use crate::auth::sasl::Mechanism;
use crate::mail::Mailbox;
use crate::net::Hangup;
use crate::smtp::reply::Reply;

impl Smtpd<'_> {
    /// RFC 5321 §3.1; 521 where no mail is taken at all (RFC 7504 §3).
    pub(super) fn greeting(&self) -> (Reply, State) {
        match self.site.accept_mail {
            true => {
                let protocol = if self.is_lmtp() { "LMTP" } else { "ESMTP" };
                let text = format!("{} {protocol} buzon", self.site.hostname);
                (Reply::new(220, "", text), State::Greeted)
            }
            false => (Reply { status: "", ..no_mail(&self.site) }, State::Refusing),
        }
    }

    /// RFC 5321 §4.1.1.1: a name for a list of what we can do. It resets like RSET.
    pub(super) fn ehlo(&mut self, name: String, state: &mut State) -> Reply {
        let mut reply = self.hello(&name);
        for keyword in [
            "PIPELINING",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
            "BINARYMIME",
            "HELP",
        ] {
            reply = reply.and(keyword);
        }
        reply = reply.and(format!("SIZE {}", self.site.message_size));
        if !self.is_lmtp() {
            reply = reply.and("DSN");
            if !self.site.relay_domains.is_empty() {
                reply = reply.and("ETRN");
            }
        }
        if self.site.expn {
            reply = reply.and("EXPN");
        }
        if self.conn.can_start_tls() {
            reply = reply.and("STARTTLS");
        }
        if self.may_log_in() && self.user.is_none() && !self.is_lmtp() {
            let names = Mechanism::ALL.map(Mechanism::name).join(" ");
            reply = reply.and(format!("AUTH {names}"));
        }
        *state = State::Ready(Client { name, extended: true });
        reply
    }

    /// RFC 5321 §4.1.1.1.
    pub(super) fn helo(&mut self, name: String, state: &mut State) -> Reply {
        let reply = self.hello(&name);
        *state = State::Ready(Client { name, extended: false });
        reply
    }

    fn hello(&self, name: &str) -> Reply {
        let literal = Mailbox { local_part: String::new(), domain: name.into() }.literal();
        let peer = self.conn.peer().map(|peer| peer.ip().to_canonical());
        if let (Some(literal), Some(peer)) = (literal, peer)
            && literal != peer
        {
            log::info!("{} helo={name} peer={peer} mismatch=yes", self.id);
        }
        Reply::new(250, "", format!("{} greets {name}", self.site.hostname))
    }

    /// RFC 3207 §4: 220 where the handshake may begin.
    pub(super) fn ready_for_tls(&self) -> Result<Reply, Reply> {
        if self.conn.tls().is_some() {
            return Err(Reply::new(503, "5.5.1", "TLS is on already").by("RFC 3207 §4.2"));
        }
        if !self.conn.can_start_tls() {
            return Err(Reply::new(454, "4.7.0", "This site has no certificate"));
        }
        Ok(Reply::new(220, "2.0.0", "Go ahead with TLS"))
    }

    /// RFC 3207 §4.2: what was said before the handshake is forgotten, and what was pipelined
    /// behind the command is thrown away and counts as an error.
    pub(super) fn start_tls(&mut self, state: &mut State) -> Result<(), Hangup> {
        let ahead = self.conn.start_tls()?;
        let _ = self.conn.set_stall(self.site.smtp_timeout);
        if let Some(tls) = self.conn.tls() {
            log::info!("{} tls={} cipher={} ahead={ahead}", self.id, tls.version, tls.cipher);
            self.transcript.event(&format!("{} {}", tls.version, tls.cipher));
        }
        *state = State::Greeted;
        self.user = None;
        self.discipline = None;
        if ahead > 0 {
            let text = format!("{ahead} octets behind STARTTLS were thrown away");
            let reply = self.count_error(Reply::new(501, "5.5.1", text));
            if reply.closes {
                return Err(Hangup::Lost);
            }
        }
        Ok(())
    }

    /// RFC 5321 §4.1.1.10.
    pub(super) fn quit(&self) -> Reply {
        let text = format!("{} closing, good-bye", self.site.hostname);
        Reply::new(221, "2.0.0", text).and_close()
    }
}
