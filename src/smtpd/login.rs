//! AUTH: RFC 4954 around the exchanges of RFC 4422.

use super::session::{Outcome, Smtpd, order};
use crate::auth::sasl::{self, Mechanism, Step};
use crate::auth::{self, User};
use crate::net::{Hangup, Line};
use crate::smtp::reply::Reply;
use crate::text::printable;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

impl Smtpd<'_> {
    /// RFC 4954 §4: passwords only under TLS, or from networks that the configuration trusts.
    pub(super) fn may_log_in(&self) -> bool {
        let peer = self.conn.peer().map(|peer| peer.ip());
        self.conn.tls().is_some() || self.site.may_log_in_clear(peer)
    }

    /// RFC 4954 §4.
    pub(super) fn auth(&mut self, name: &str, initial: Option<String>) -> Result<Outcome, Hangup> {
        if self.user.is_some() {
            return Ok(Err(order("You are logged in already").by("RFC 4954 §4")));
        }
        let Some(mechanism) = Mechanism::parse(name) else {
            let names = Mechanism::ALL.map(Mechanism::name).join(" and ");
            let text = match Mechanism::is_name(name) {
                true => format!("There is no mechanism {name}, only {names}"),
                false => format!("Say which mechanism, {names} are known: AUTH PLAIN"),
            };
            return Ok(Err(Reply::new(504, "5.5.4", text)));
        };
        if !self.may_log_in() {
            let text = match self.conn.can_start_tls() {
                true => "No passwords in the clear, STARTTLS first",
                false => "No passwords in the clear, and this site has no TLS",
            };
            return Ok(Err(Reply::new(504, "5.5.4", text)));
        }
        self.exchange(mechanism, initial)
    }

    /// The challenges and responses.
    fn exchange(
        &mut self,
        mechanism: Mechanism,
        initial: Option<String>,
    ) -> Result<Outcome, Hangup> {
        let initial = match initial.as_deref() {
            None => None,
            // RFC 4954 §4: an initial response that is empty.
            Some("=") => Some(Vec::new()),
            Some(text) => match decode(text.as_bytes()) {
                Ok(octets) => Some(octets),
                Err(reply) => return Ok(Err(reply)),
            },
        };
        let mut step = sasl::start(mechanism, initial.as_deref());
        loop {
            match step {
                Step::Challenge(challenge, exchange) => {
                    let challenge = Reply::new(334, "", STANDARD.encode(challenge));
                    self.transcript.server(challenge.shown(), "auth", "RFC 4954 §4");
                    self.conn.write(&challenge.octets())?;
                    match self.response()? {
                        Ok(response) => step = exchange.next(&response),
                        Err(reply) => return Ok(Err(reply)),
                    }
                }
                Step::Done { name, password } => {
                    return Ok(self.log_in(mechanism, &name, &password));
                }
                Step::Malformed(why) => return Ok(Err(Reply::new(501, "5.5.2", why))),
                Step::Refused => return Ok(Err(wrong())),
            }
        }
    }

    /// A line of the client's, decoded.
    fn response(&mut self) -> Result<Result<Vec<u8>, Reply>, Hangup> {
        let (octets, crlf) = match self.line()? {
            Line::Text { octets, crlf } => (octets, crlf),
            Line::TooLong => {
                let text = "The line is too long for AUTH";
                return Ok(Err(Reply::new(500, "5.5.6", text)));
            }
        };
        self.transcript.client(&format!("({} characters)", octets.len()), "auth");
        Ok(self.keep_discipline(&octets, crlf).and_then(|()| match octets.as_slice() {
            b"*" => Err(Reply::new(501, "5.7.0", "Login given up, as you wish")),
            octets => decode(octets),
        }))
    }

    fn log_in(&mut self, mechanism: Mechanism, name: &str, password: &[u8]) -> Outcome {
        let peer = self.conn.peer().map(|peer| peer.ip().to_canonical());
        let shown = printable(name.as_bytes());
        let (id, mechanism) = (&self.id, mechanism.name());
        match auth::check(&self.site, &self.live.auth, name, password, peer) {
            Ok(user) => {
                let tls = if self.conn.tls().is_some() { "yes" } else { "no" };
                log::info!("{id} login user={} mech={mechanism} tls={tls}", user.name);
                Ok(self.logged_in(user))
            }
            Err(auth::Error::Wrong) => {
                log::info!("{id} login=refused user={shown:?} mech={mechanism}");
                Err(wrong())
            }
            Err(error) => {
                let reply = Reply::new(454, "4.7.0", "Nobody can log in now, try again later");
                Err(reply.by("RFC 4954 §6").because(error.to_string()))
            }
        }
    }

    fn logged_in(&mut self, user: User) -> Reply {
        let text = format!("Hello, {}", user.name);
        self.user = Some(user);
        Reply::new(235, "2.7.0", text)
    }
}

fn wrong() -> Reply {
    Reply::new(535, "5.7.8", "Wrong name or password").by("RFC 4954 §6")
}

fn decode(text: &[u8]) -> Result<Vec<u8>, Reply> {
    STANDARD.decode(text).map_err(|_| Reply::new(501, "5.5.2", "That is no base64"))
}
