//! A command becomes a reply: the three states of RFC 1939 §4, §5 and §6.
//!
//! Read it beside the RFC: the handlers bear the commands' names and stand in its order, with the
//! extensions where they belong. No handler checks its own state: what it works on exists in that
//! state only. Nothing here reads or writes the connection.

use super::Live;
use super::command::{Command, Fault};
use super::maildrop::{Maildrop, Tally};
use super::reply::{self, Code, Reply, Then};
use super::top::Top;
use crate::auth::sasl::{self, Exchange, Mechanism, Step};
use crate::auth::{self, User};
use crate::conf::Site;
use crate::net::Conn;
use crate::text::printable;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::IpAddr;

type Result = std::result::Result<Reply, Reply>;

/// RFC 1939 §3: a session progresses through these.
pub enum State {
    /// RFC 1939 §4.
    Authorization {
        /// What USER said right before.
        name: Option<String>,
    },
    /// RFC 5034 §4: in the middle of an AUTH.
    Exchange(Mechanism, Exchange),
    /// RFC 1939 §5.
    Transaction(Box<Maildrop>),
    /// RFC 1939 §6: QUIT was said, and this was done.
    Update(Tally),
}

impl State {
    /// The RFC's name of it.
    pub fn name(&self) -> &'static str {
        match self {
            State::Authorization { .. } | State::Exchange(..) => "AUTHORIZATION",
            State::Transaction(_) => "TRANSACTION",
            State::Update(_) => "UPDATE",
        }
    }
}

/// One client and where it stands.
pub struct Session<'a> {
    site: &'a Site,
    live: &'a Live,
    id: &'a str,
    /// The process serves nobody else.
    alone: bool,
    /// RFC 1939 §7: the timestamp of the greeting, if APOP may be used.
    stamp: Option<String>,
    /// Where the session stands.
    pub state: State,
}

const NO_STATE: State = State::Authorization { name: None };

impl<'a> Session<'a> {
    /// Before the greeting.
    pub fn new(site: &'a Site, live: &'a Live, id: &'a str, alone: bool) -> Session<'a> {
        let stamp = site.apop.then(|| stamp(site, id));
        Session { site, live, id, alone, stamp, state: NO_STATE }
    }

    /// RFC 1939 §4.
    pub fn greeting(&self) -> Reply {
        let stamp = self.stamp.iter().map(|stamp| format!(" {stamp}"));
        let stamp: String = stamp.collect();
        Reply::ok(format!("{} POP3 server ready{stamp}", self.site.hostname))
    }

    /// Nothing said before a handshake counts after it: RFC 2595 §4.
    pub fn reset(&mut self) {
        self.state = NO_STATE;
    }

    /// A line that is no command. It ends an exchange (RFC 5034 §4).
    pub fn refuse(&mut self, fault: Fault) -> Reply {
        if matches!(self.state, State::Exchange(..)) {
            self.reset();
        }
        reply::refusal(self.site, fault)
    }

    /// Does what a command says. An `Err` is a refusal.
    pub fn execute(&mut self, conn: &Conn, command: Command) -> Result {
        use {Command::*, State::*};
        // RFC 1939 §7: PASS comes right after USER, or not at all.
        let named = match &mut self.state {
            Authorization { name } => name.take(),
            _ => None,
        };
        match (command, &mut self.state) {
            (Capa, state) => {
                let before_login = matches!(state, Authorization { .. });
                Ok(self.capa(conn, before_login))
            }
            // RFC 1939 §4 and §7: the AUTHORIZATION state, and RFC 2595, RFC 6856, RFC 5034
            (Stls, Authorization { .. }) => stls(conn),
            (Utf8, Authorization { .. }) => utf8(),
            (User(name), Authorization { .. }) => self.user(conn, name),
            (Pass(password), Authorization { .. }) => self.pass(conn, named, &password),
            (Apop(name, digest), Authorization { .. }) => self.apop(conn, &name, &digest),
            (Auth(mechanism, initial), Authorization { .. }) => {
                self.auth(conn, &mechanism, initial.as_deref())
            }
            (Response(response), Exchange(..)) => self.response(conn, &response),
            (Cancel, Exchange(..)) => {
                self.reset();
                Err(Reply::err("given up"))
            }
            (Quit, Authorization { .. }) => Ok(self.sign_off("").by("RFC 1939 §4")),
            // RFC 1939 §5: the TRANSACTION state
            (Stat, Transaction(maildrop)) => stat(maildrop),
            (List(number), Transaction(maildrop)) => list(maildrop, number),
            (Retr(number), Transaction(maildrop)) => retr(maildrop, number),
            (Dele(number), Transaction(maildrop)) => dele(maildrop, number),
            (Noop, Transaction(_)) => Ok(Reply::ok("")),
            (Rset, Transaction(maildrop)) => rset(maildrop),
            (Last, Transaction(maildrop)) => last(self.site, maildrop),
            // RFC 1939 §7: optional commands
            (Top(number, lines), Transaction(maildrop)) => top(maildrop, number, lines),
            (Uidl(number), Transaction(maildrop)) => uidl(maildrop, number),
            // RFC 1939 §6: the UPDATE state
            (Quit, Transaction(_)) => self.quit(),

            (_, Transaction(_)) => Err(Reply::err("you are logged in already").by("RFC 1939 §3")),
            (_, _) => Err(Reply::err("log in first, with USER and PASS").by("RFC 1939 §3")),
        }
    }

    /// RFC 2449 §5, §6: what holds in one state is told in the other as well, but for STLS.
    fn capa(&self, conn: &Conn, before_login: bool) -> Reply {
        let mut reply = Reply::ok("what we can do").listing();
        for capability in ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"] {
            reply.line(format_args!("{capability}"));
        }
        // RFC 5034 §4: not announced where it would be refused.
        if self.may_log_in(conn) {
            let mechanisms = Mechanism::ALL.map(Mechanism::name).join(" ");
            reply.line(format_args!("USER"));
            reply.line(format_args!("SASL {mechanisms}"));
        }
        if before_login && conn.can_start_tls() {
            reply.line(format_args!("STLS"));
        }
        // We differ: RFC 6856 §2.2 wants names and passwords prepared by SASLprep. Ours are
        // compared as they are written, names in lower case.
        reply.line(format_args!("UTF8 USER"));
        reply.line(format_args!("EXPIRE NEVER"));
        if !self.site.login_delay.is_zero() {
            reply.line(format_args!("LOGIN-DELAY {}", self.site.login_delay.as_secs()));
        }
        reply.line(format_args!("IMPLEMENTATION buzon-{}", env!("CARGO_PKG_VERSION")));
        reply
    }

    /// RFC 1939 §7. Whether there is such a user is not told before PASS.
    fn user(&mut self, conn: &Conn, name: String) -> Result {
        if !self.may_log_in(conn) {
            // RFC 3206 §5: no response code here, it would be about the name.
            return Err(self.clear_text(conn, None));
        }
        self.state = State::Authorization { name: Some(name) };
        Ok(Reply::ok("and the password?"))
    }

    /// RFC 1939 §7.
    fn pass(&mut self, conn: &Conn, name: Option<String>, password: &str) -> Result {
        if !self.may_log_in(conn) {
            return Err(self.clear_text(conn, Some(Code::Auth)));
        }
        let name = name.ok_or_else(|| Reply::err("say USER right before PASS"))?;
        self.check(conn, &name, password.as_bytes(), "PASS")
    }

    /// RFC 1939 §7. The password is not sent, so that it needs no TLS.
    fn apop(&mut self, conn: &Conn, name: &str, digest: &str) -> Result {
        let Some(stamp) = &self.stamp else {
            return Err(Reply::err("no APOP here, the greeting had no timestamp"));
        };
        let user = auth::check_apop(self.site, &self.live.auth, name, stamp, digest, ip(conn));
        self.enter(conn, name, user, "APOP")
    }

    /// RFC 5034 §4.
    ///
    /// We differ: an initial response with LOGIN is taken as the name, since clients send it.
    fn auth(&mut self, conn: &Conn, mechanism: &str, initial: Option<&[u8]>) -> Result {
        if !self.may_log_in(conn) {
            return Err(self.clear_text(conn, Some(Code::Auth)));
        }
        let Some(mechanism) = Mechanism::parse(mechanism) else {
            let known = Mechanism::ALL.map(Mechanism::name).join(" or ");
            return Err(Reply::err(format!("unknown mechanism, we take {known}")));
        };
        self.step(conn, mechanism, sasl::start(mechanism, initial))
    }

    /// RFC 5034 §4: the client's next line in an exchange.
    fn response(&mut self, conn: &Conn, response: &[u8]) -> Result {
        match std::mem::replace(&mut self.state, NO_STATE) {
            State::Exchange(mechanism, exchange) => {
                self.step(conn, mechanism, exchange.next(response))
            }
            _ => Err(Reply::err("no exchange is under way")),
        }
    }

    fn step(&mut self, conn: &Conn, mechanism: Mechanism, step: Step) -> Result {
        match step {
            Step::Challenge(challenge, exchange) => {
                self.state = State::Exchange(mechanism, exchange);
                Ok(Reply::challenge(STANDARD.encode(challenge)))
            }
            Step::Done { name, password } => self.check(conn, &name, &password, mechanism.name()),
            Step::Malformed(why) => Err(Reply::err(why)),
            Step::Refused => {
                let text = "nobody acts for somebody else here";
                Err(Reply::code(Code::Auth, text).by("RFC 4616 §2"))
            }
        }
    }

    fn check(&mut self, conn: &Conn, name: &str, password: &[u8], mechanism: &str) -> Result {
        let user = auth::check(self.site, &self.live.auth, name, password, ip(conn));
        self.enter(conn, name, user, mechanism)
    }

    /// RFC 1939 §4: who is known gets the maildrop, and nobody else until the end.
    fn enter(
        &mut self,
        conn: &Conn,
        name: &str,
        user: std::result::Result<User, auth::Error>,
        mechanism: &str,
    ) -> Result {
        let (id, name) = (self.id, printable(name.as_bytes()));
        let user = user.inspect_err(|error| {
            log::warn!("{id} login=refused user={name:?} mech={mechanism} cause={error:?}");
        })?;
        let delay = self.site.login_delay;
        self.live.logins.enter(&user.name, delay).map_err(|left| {
            let text = format!("logged in a moment ago, come back in {} s", left.as_secs() + 1);
            Reply::code(Code::LoginDelay, text).by("RFC 2449 §8.1.1")
        })?;
        let maildrop = Maildrop::open(&user, self.alone).inspect_err(|_| {
            self.live.logins.forget(&user.name);
        })?;
        let tls = conn.tls().map_or("none", |tls| tls.version);
        log::info!("{id} login user={} mech={mechanism} tls={tls}", user.name);
        let (count, octets) = maildrop.kept();
        self.state = State::Transaction(Box::new(maildrop));
        Ok(Reply::ok(format!("{}'s maildrop has {}", user.name, drop_size(count, octets))))
    }

    /// RFC 1939 §6: what was marked goes, the lock goes, and then the client learns it.
    fn quit(&mut self) -> Result {
        let State::Transaction(maildrop) = std::mem::replace(&mut self.state, NO_STATE) else {
            return Ok(self.sign_off(""));
        };
        let tally = maildrop.tally();
        self.state = State::Update(tally);
        match maildrop.update() {
            Ok(()) if tally.left == 0 => Ok(self.sign_off(" (maildrop empty)")),
            Ok(()) => Ok(self.sign_off(&format!(" ({} left)", messages(tally.left)))),
            Err(error) => {
                let text = "some deleted messages not removed";
                let reply = Reply::code(Code::SysTemp, text).because(error);
                Err(reply.then(Then::Close("quit")).by("RFC 1939 §6"))
            }
        }
    }

    fn sign_off(&self, left: &str) -> Reply {
        let text = format!("{} POP3 server signing off{left}", self.site.hostname);
        Reply::ok(text).then(Then::Close("quit"))
    }

    /// RFC 2595 §2.3: passwords in clear text only where the site allows it.
    fn may_log_in(&self, conn: &Conn) -> bool {
        conn.tls().is_some() || self.site.may_log_in_clear(ip(conn))
    }

    fn clear_text(&self, conn: &Conn, code: Option<Code>) -> Reply {
        let text = match conn.can_start_tls() {
            true => "no passwords in clear text, say STLS first",
            false => "no passwords in clear text, and this server has no TLS",
        };
        let reply = match code {
            Some(code) => Reply::code(code, text),
            None => Reply::err(text),
        };
        reply.by("RFC 2595 §2.3")
    }
}

/// RFC 2595 §4.
fn stls(conn: &Conn) -> Result {
    match conn.tls() {
        _ if conn.can_start_tls() => Ok(Reply::ok("begin TLS").then(Then::StartTls)),
        Some(_) => Err(Reply::err("TLS is on already")),
        None => Err(Reply::err("this server has no certificate")),
    }
}

/// RFC 6856 §2.1.
///
/// We differ: there is no other mode. A letter with UTF-8 in its header is handed out as it is
/// to every client, so that none finds a mailbox it cannot empty.
fn utf8() -> Result {
    Ok(Reply::ok("messages come as they are"))
}

/// RFC 1939 §5: marked messages count in neither number.
fn stat(maildrop: &Maildrop) -> Result {
    let (count, octets) = maildrop.kept();
    Ok(Reply::ok(format!("{count} {octets}")))
}

/// RFC 1939 §5.
fn list(maildrop: &Maildrop, number: Option<u32>) -> Result {
    if let Some(number) = number {
        let message = maildrop.message(number)?;
        return Ok(Reply::ok(format!("{number} {}", maildrop.octets(message))));
    }
    let (count, octets) = maildrop.kept();
    let mut reply = Reply::ok(drop_size(count, octets)).listing();
    for (number, message) in maildrop.messages() {
        reply.line(format_args!("{number} {}", maildrop.octets(message)));
    }
    Ok(reply)
}

/// RFC 1939 §5.
fn retr(maildrop: &mut Maildrop, number: u32) -> Result {
    let message = maildrop.message(number)?;
    let wire = maildrop.read(message)?;
    maildrop.mark_retrieved(message);
    Ok(Reply::ok(format!("{} octets", maildrop.octets(message))).message(wire, None))
}

/// RFC 1939 §5.
fn dele(maildrop: &mut Maildrop, number: u32) -> Result {
    let message = maildrop.message(number)?;
    maildrop.mark_deleted(message);
    Ok(Reply::ok(format!("message {number} deleted")))
}

/// RFC 1939 §5.
fn rset(maildrop: &mut Maildrop) -> Result {
    maildrop.reset();
    let (count, octets) = maildrop.kept();
    Ok(Reply::ok(format!("maildrop has {}", drop_size(count, octets))))
}

/// RFC 1460 §5; RFC 1725 took it away.
fn last(site: &Site, maildrop: &Maildrop) -> Result {
    match site.old_verbs {
        true => Ok(Reply::ok(maildrop.last().to_string())),
        false => Err(Reply::err("LAST is no more, UIDL tells which messages are new")),
    }
}

/// RFC 1939 §7.
fn top(maildrop: &mut Maildrop, number: u32, lines: u32) -> Result {
    let wire = maildrop.read(maildrop.message(number)?)?;
    Ok(Reply::ok("top of message follows").message(wire, Some(Top::new(lines))))
}

/// RFC 1939 §7.
fn uidl(maildrop: &Maildrop, number: Option<u32>) -> Result {
    if let Some(number) = number {
        let message = maildrop.message(number)?;
        return Ok(Reply::ok(format!("{number} {}", maildrop.unique_id(message))));
    }
    let mut reply = Reply::ok("unique-ids follow").listing();
    for (number, message) in maildrop.messages() {
        reply.line(format_args!("{number} {}", maildrop.unique_id(message)));
    }
    Ok(reply)
}

fn drop_size(count: usize, octets: u64) -> String {
    format!("{} ({octets} octets)", messages(count))
}

/// `1 message`, `2 messages`.
pub(super) fn messages(count: usize) -> String {
    format!("{count} message{}", if count == 1 { "" } else { "s" })
}

fn ip(conn: &Conn) -> Option<IpAddr> {
    conn.peer().map(|peer| peer.ip().to_canonical())
}

/// RFC 1939 §7: never the same twice. Clients that fear for MD5 take only letters, digits and
/// dots (mpop does), so that a host's other characters are left out.
fn stamp(site: &Site, id: &str) -> String {
    let host = site.hostname.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.');
    let host: String = host.collect();
    format!("<{id}.{}.{}@{host}>", std::process::id(), crate::sys::clock::micros())
}
