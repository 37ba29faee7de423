//! Not authenticated: STARTTLS, AUTHENTICATE, LOGIN (RFC 3501 §6.2); and ENABLE (RFC 5161).

use super::command::{Answer, answer};
use super::data;
use super::response::{Code, Status};
use super::session::{Account, Imapd, Outcome, State};
use super::syntax::glance;
use crate::auth::sasl::{self, Mechanism, Step};
use crate::auth::{self, User};
use crate::conf::Location;
use crate::net::Hangup;
use crate::store::Folders;
use crate::sys::identity;
use crate::text::printable;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

impl Imapd<'_> {
    /// RFC 3501 §6.2.3: passwords only under TLS, or from networks that the configuration trusts.
    pub(super) fn may_log_in(&self) -> bool {
        let peer = self.conn.peer().map(|peer| peer.ip());
        self.conn.tls().is_some() || self.site.may_log_in_clear(peer)
    }

    /// RFC 3501 §6.2.1.
    pub(super) fn ready_for_tls(&self) -> Outcome {
        match (self.conn.tls(), self.conn.can_start_tls()) {
            (Some(_), _) => Err(Status::bad("TLS is on already")),
            (None, false) => Err(Status::no(Code::Unavailable, "This site has no certificate")),
            (None, true) => Ok(Status::ok("Begin TLS")),
        }
    }

    /// What was pipelined behind STARTTLS is thrown away, and counts as an error.
    pub(super) fn start_tls(&mut self) -> Result<(), Hangup> {
        let ahead = self.conn.start_tls()?;
        let _ = self.conn.set_stall(self.site.imap_timeout);
        if let Some(tls) = self.conn.tls() {
            log::info!("{} tls={} cipher={} ahead={ahead}", self.id, tls.version, tls.cipher);
            self.transcript.event(&format!("{} {}", tls.version, tls.cipher));
        }
        self.errors += usize::from(ahead > 0);
        Ok(())
    }

    /// RFC 3501 §6.2.2, RFC 4959 for the initial response.
    pub(super) fn authenticate(
        &mut self,
        name: &str,
        initial: Option<Vec<u8>>,
        state: &mut State,
    ) -> Result<Outcome, Hangup> {
        let Some(mechanism) = Mechanism::parse(name) else {
            let names = Mechanism::ALL.map(Mechanism::name).join(" and ");
            let text = match Mechanism::is_name(name) {
                true => format!("There is no mechanism {name}, only {names}"),
                false => format!("That is no mechanism, only {names}"),
            };
            return Ok(Err(Status::no(Code::Cannot, text)));
        };
        if !self.may_log_in() {
            return Ok(Err(in_the_clear()));
        }
        let mut step = sasl::start(mechanism, initial.as_deref());
        loop {
            match step {
                Step::Challenge(challenge, exchange) => {
                    self.go_on(&STANDARD.encode(challenge), state);
                    let line = self.line()?;
                    self.transcript.client(&format!("({} octets)", line.len()), "authenticating");
                    match answer(&line) {
                        Some(Answer::Octets(octets)) => step = exchange.next(&octets),
                        Some(Answer::Cancel) => {
                            return Ok(Err(Status::bad("Login given up, as you wish")));
                        }
                        None => {
                            self.skip_behind(&line)?;
                            return Ok(Err(Status::bad("That is no base64").by("RFC 4648 §4")));
                        }
                    }
                }
                Step::Done { name, password } => {
                    return Ok(self.log_in(mechanism.name(), &name, &password, state));
                }
                Step::Malformed(why) => return Ok(Err(Status::bad(why))),
                Step::Refused => return Ok(Err(wrong())),
            }
        }
    }

    /// RFC 3501 §6.2.3.
    pub(super) fn login(&mut self, name: &str, password: &[u8], state: &mut State) -> Outcome {
        match self.may_log_in() {
            true => self.log_in("login command", name, password, state),
            false => Err(in_the_clear()),
        }
    }

    fn log_in(&mut self, how: &str, name: &str, password: &[u8], state: &mut State) -> Outcome {
        let peer = self.conn.peer().map(|peer| peer.ip().to_canonical());
        let id = &self.id;
        match auth::check(&self.site, &self.live.auth, name, password, peer) {
            Ok(user) => {
                let tls = if self.conn.tls().is_some() { "yes" } else { "no" };
                log::info!("{id} login user={} mech={how:?} tls={tls}", user.name);
                self.enter(user, state)
            }
            Err(auth::Error::Wrong) => {
                log::info!("{id} login=refused user={:?} mech={how:?}", printable(name.as_bytes()));
                Err(wrong())
            }
            Err(error) => {
                let text = "Nobody can log in now, try again later";
                Err(Status::no(Code::Unavailable, text).because(error.to_string()))
            }
        }
    }

    /// From here to its end the session has the rights of the owner; alone in its process, it
    /// becomes the owner for good.
    fn enter(&mut self, user: User, state: &mut State) -> Outcome {
        let failed = |error: std::io::Error| {
            Status::no(Code::ServerBug, "Your account cannot be used").because(error.to_string())
        };
        let mut owner = user.account.as_ref().map(identity::borrow).transpose().map_err(failed)?;
        if self.alone
            && let Some(owner) = owner.take()
        {
            owner.settle(matches!(user.mailbox, Location::Mbox { .. })).map_err(failed)?;
        }
        let folders = Folders::of(&user.mailbox);
        // No UTF-8 before ENABLE (RFC 6855 §3).
        let text = format!("Hello, {}", glance(user.name.as_bytes()));
        (self.patience, self.login_by) = (self.site.imap_timeout, None);
        *state = State::Authenticated(Account { user, folders, _owner: owner });
        Ok(Status::ok(text).with(Code::Capability(self.capabilities(state))))
    }

    /// RFC 5161 §3.1: what is not known is passed over.
    pub(super) fn enable(&mut self, names: &[String]) -> Outcome {
        let mut enabled = Vec::new();
        for name in names {
            match name.to_ascii_uppercase().as_str() {
                "IMAP4REV2" => {
                    self.rev2 = true;
                    enabled.push("IMAP4rev2");
                }
                "UTF8=ACCEPT" => {
                    self.utf8 = true;
                    enabled.push("UTF8=ACCEPT");
                }
                _ => {}
            }
        }
        data::enabled(self.conn.output(), &enabled);
        Ok(Status::ok("Enabled"))
    }

    /// Whether names and strings may be UTF-8 (RFC 6855 §3, RFC 9051 §5.1).
    pub(super) fn speaks_utf8(&self) -> bool {
        self.utf8 || self.rev2
    }
}

fn wrong() -> Status {
    Status::no(Code::AuthenticationFailed, "Wrong name or password").by("RFC 5530 §3")
}

fn in_the_clear() -> Status {
    let text = "A password in the clear? STARTTLS first";
    Status::no(Code::PrivacyRequired, text).by("RFC 5530 §3")
}
