//! From the connection to the first MAIL: RFC 5321 §3.1 and §3.2, RFC 3207, RFC 4954.
//!
//! Where TLS may be and need not, all that can be had is had: first with a host that proves its
//! name, then with anybody, then in clear, each time on a new connection, as a handshake that
//! failed leaves nothing to go on with. What was reached, and why no more, is remembered. With a
//! password to give there is only the first: TLS with anybody would hand it to whoever is between.

use super::answer::{Step, Verdict};
use super::dialogue::{Dialogue, Watch};
use super::failure::Failure;
use super::offers::Offers;
use super::talk::{Talk, Times};
use super::{Broken, Connection};
use crate::auth::prove::{Proof, Way};
use crate::net::client::{Client, Place};
use crate::net::{Secured, Trust};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// Whom to talk to, and how.
#[derive(Clone, Debug)]
pub struct Peer<'a> {
    /// Where it is.
    pub place: Place,
    /// The name it must prove in TLS: of the MX record, or of the relay.
    pub name: &'a str,
    /// Our name, or an address literal (RFC 5321 §4.1.4).
    pub hello: &'a str,
    /// RFC 2033: LHLO, and an answer for each recipient behind the final dot.
    pub lmtp: bool,
    /// What TLS must be.
    pub security: Security,
    /// RFC 8314 §3: TLS from the first octet on, and never in clear.
    pub implicit_tls: bool,
    /// Who we are there.
    pub login: Option<Login<'a>>,
    /// How long to wait for what.
    pub times: Times,
}

/// What TLS must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// None.
    Clear,
    /// As much as can be had (RFC 7435).
    Opportunistic,
    /// With anybody.
    Encrypted,
    /// With a host that proves its name.
    Verified,
}

/// A name and a password.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Of the account.
    pub name: &'a str,
    /// Its password.
    pub password: &'a str,
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Login({:?})", self.name)
    }
}

/// What TLS was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// None, and why, where there should have been some.
    Clear(Option<String>),
    /// This.
    Tls(Secured),
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Encryption::Clear(None) => f.write_str("in clear"),
            Encryption::Clear(Some(why)) => write!(f, "in clear: {why}"),
            Encryption::Tls(secured) => secured.fmt(f),
        }
    }
}

/// One try of those that the card tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Try {
    Verified,
    Anybody,
    Clear(Option<String>),
}

pub(super) fn open(
    peer: &Peer,
    trust: &Trust,
    watch: Option<Watch>,
) -> Result<Connection, Box<Broken>> {
    if peer.gives_a_password() && peer.security != Security::Verified {
        let proven = Peer { security: Security::Verified, ..peer.clone() };
        return open(&proven, trust, watch).map_err(|broken| Box::new(broken.of_a_password()));
    }
    let mut dialogue = Dialogue::new(watch);
    let mut way = match peer.security {
        Security::Clear if !peer.implicit_tls => Try::Clear(None),
        Security::Verified => Try::Verified,
        _ if trust.doubt(peer.name).is_none() => Try::Verified,
        _ => Try::Anybody,
    };
    let mut doubt: Option<String> = None;
    loop {
        let failure = match attempt(peer, trust, &way, &mut dialogue) {
            Ok(mut connection) => {
                if let (Some(why), Encryption::Tls(secured)) = (doubt, &mut connection.encryption) {
                    // What the network did to the first try may not happen again.
                    if why.contains("certificate") {
                        trust.remember(peer.name, &why);
                    }
                    secured.verified = Err(why);
                }
                return Ok(connection);
            }
            Err(failure) => failure,
        };
        way = match (&failure, way) {
            (Failure::Tls(why), Try::Verified) if peer.security != Security::Verified => {
                doubt = Some(why.clone());
                Try::Anybody
            }
            (Failure::Tls(why), Try::Anybody)
                if peer.security == Security::Opportunistic && !peer.implicit_tls =>
            {
                Try::Clear(Some(why.clone()))
            }
            _ => return Err(Box::new(Broken { failure, dialogue: dialogue.lines() })),
        };
        dialogue.event("a new connection, with less asked of TLS");
    }
}

impl Peer<'_> {
    /// Whether somebody in between could come by the password: it is for the host of that name.
    fn gives_a_password(&self) -> bool {
        self.login.is_some() && !is_here(&self.place)
    }
}

fn is_here(place: &Place) -> bool {
    match place {
        Place::Tcp { address, .. } => address.ip().to_canonical().is_loopback(),
        Place::Unix(_) => true,
    }
}

impl Broken {
    /// Says why so much was asked of TLS.
    fn of_a_password(self) -> Broken {
        let told = |why| format!("{why}; a password is only for a host whose certificate is valid");
        let failure = match self.failure {
            Failure::Tls(why) => Failure::Tls(told(why)),
            Failure::NoTls(why) => Failure::NoTls(told(why)),
            other => other,
        };
        Broken { failure, ..self }
    }
}

fn attempt(
    peer: &Peer,
    trust: &Trust,
    way: &Try,
    dialogue: &mut Dialogue,
) -> Result<Connection, Failure> {
    dialogue.event(&format!("connecting to {} [{}]", peer.name, peer.place));
    let client = match Client::to(&peer.place, peer.times.connect) {
        Ok(client) => client,
        Err(error) => {
            let failure = Failure::Unreachable(error.to_string());
            dialogue.event(&failure.to_string());
            return Err(failure);
        }
    };
    let talk = Talk { client, dialogue: std::mem::take(dialogue), times: peer.times };
    let mut connection = Connection {
        talk,
        lmtp: peer.lmtp,
        server: String::new(),
        offers: Offers::default(),
        encryption: Encryption::Clear(None),
        needs_reset: false,
        lost: None,
    };
    match connection.greet(peer, trust, way) {
        Ok(()) => Ok(connection),
        Err(failure) => {
            *dialogue = connection.talk.dialogue;
            Err(failure)
        }
    }
}

impl Connection {
    fn greet(&mut self, peer: &Peer, trust: &Trust, way: &Try) -> Result<(), Failure> {
        if peer.implicit_tls {
            self.shake_hands(peer, trust, way)?;
        }
        let greeting = self.talk.read(Step::Greeting)?;
        if greeting.verdict() != Verdict::Accepted {
            return Err(Failure::Refused(greeting));
        }
        self.hello(peer)?;
        if !peer.implicit_tls {
            self.start_tls(peer, trust, way)?;
        }
        peer.login.map_or(Ok(()), |login| self.login(&login, &peer.place))
    }

    /// RFC 5321 §3.2: EHLO, and HELO where that is not known. What was offered before is forgotten.
    fn hello(&mut self, peer: &Peer) -> Result<(), Failure> {
        let verb = if peer.lmtp { "LHLO" } else { "EHLO" };
        let mut answer = self.talk.ask(Step::Hello, &format!("{verb} {}", peer.hello), None)?;
        let is_old = answer.verdict() == Verdict::Permanent && !peer.lmtp;
        self.offers = if is_old { Offers::default() } else { Offers::of(&answer) };
        if is_old {
            answer = self.talk.ask(Step::Hello, &format!("HELO {}", peer.hello), None)?;
        }
        if answer.verdict() != Verdict::Accepted {
            return Err(Failure::Refused(answer));
        }
        let name = answer.lines[0].split_ascii_whitespace().next();
        self.server = name.unwrap_or_default().to_owned();
        Ok(())
    }

    /// RFC 3207.
    fn start_tls(&mut self, peer: &Peer, trust: &Trust, way: &Try) -> Result<(), Failure> {
        if let Try::Clear(why) = way {
            self.encryption = Encryption::Clear(why.clone());
            return Ok(());
        }
        let refused = if self.offers.start_tls {
            let answer = self.talk.ask(Step::StartTls, "STARTTLS", None)?;
            (answer.verdict() != Verdict::Accepted).then(|| format!("STARTTLS: {answer}"))
        } else {
            Some("STARTTLS is not offered".into())
        };
        match refused {
            None => {
                self.shake_hands(peer, trust, way)?;
                // RFC 3207 §4.2: what was known is forgotten, as anybody may have said it.
                self.hello(peer)
            }
            Some(why) if peer.security == Security::Opportunistic => {
                self.encryption = Encryption::Clear(Some(why));
                Ok(())
            }
            Some(why) => Err(Failure::NoTls(why)),
        }
    }

    fn shake_hands(&mut self, peer: &Peer, trust: &Trust, way: &Try) -> Result<(), Failure> {
        let until = self.talk.until(Step::StartTls);
        let until = until.min(std::time::Instant::now() + peer.times.handshake);
        let name = peer.name.trim_end_matches('.');
        match self.talk.client.secure(name, trust, *way == Try::Verified, until) {
            Ok(secured) => {
                self.talk.dialogue.event(&secured.to_string());
                self.encryption = Encryption::Tls(secured);
                Ok(())
            }
            Err(error) => {
                let failure = Failure::Tls(error.to_string());
                self.talk.dialogue.event(&failure.to_string());
                Err(failure)
            }
        }
    }

    /// RFC 4954 §4. A password goes in clear to nobody but this host itself.
    fn login(&mut self, login: &Login, place: &Place) -> Result<(), Failure> {
        let is_private = matches!(self.encryption, Encryption::Tls(_));
        let Some(way) = Way::best(&self.offers.auth, is_private, is_here(place)) else {
            let offered = self.offers.auth.join(" ");
            return Err(Failure::Login(format!("AUTH offers '{offered}', and none will do")));
        };
        let mut proof = Proof::new(way, login.name, login.password);
        let mut command = format!("AUTH {}", way.name());
        let mut shown = command.clone();
        if let Some(initial) = proof.initial() {
            let initial = STANDARD.encode(initial);
            shown = format!("{command} ({} characters)", initial.len());
            command = format!("{command} {initial}");
        }
        let mut answer = self.talk.ask(Step::Auth, &command, Some(&shown))?;
        while answer.code / 100 == 3 {
            let challenge = STANDARD.decode(answer.lines[0].trim()).unwrap_or_default();
            let response = proof.respond(&challenge);
            // RFC 4954 §4: an asterisk gives up.
            let response = response.map_or("*".into(), |response| STANDARD.encode(response));
            let shown = format!("({} characters)", response.len());
            answer = self.talk.ask(Step::Auth, &response, Some(&shown))?;
            if response == "*" && answer.code / 100 == 3 {
                break;
            }
        }
        match answer.verdict() {
            Verdict::Accepted => Ok(()),
            _ => Err(Failure::Login(answer.to_string())),
        }
    }
}
