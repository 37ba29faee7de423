//! What we say, as a value, and how it becomes octets: RFC 1939 §3, RFC 2449 §3.
//!
//! A first line with its status, perhaps a response code (RFC 2449 §8, RFC 3206), and perhaps
//! more lines or a message behind it. Here and in `net` only is CRLF written.

use super::command::{Fault, VERBS};
use super::top::Top;
use crate::conf::{Role, Site};
use crate::net::dot::Stuff;
use crate::net::{Conn, Hangup};
use crate::{auth, store};
use std::borrow::Cow;
use std::fmt::Arguments;
use std::io::{self, Write};

/// How a first line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was done.
    Ok,
    /// It was not.
    Err,
    /// RFC 5034 §4: an exchange goes on.
    Challenge,
}

/// Response codes: why a login failed, and whether it is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// RFC 2449 §8.1.1.
    LoginDelay,
    /// RFC 2449 §8.1.2.
    InUse,
    /// RFC 3206 §5: name, password, or the manner of the login.
    Auth,
    /// RFC 3206 §4: try again.
    SysTemp,
    /// RFC 3206 §4: somebody must see to it.
    SysPerm,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Code::LoginDelay => "LOGIN-DELAY",
            Code::InUse => "IN-USE",
            Code::Auth => "AUTH",
            Code::SysTemp => "SYS/TEMP",
            Code::SysPerm => "SYS/PERM",
        }
    }
}

/// What follows the first line.
#[derive(Debug)]
pub enum Body {
    /// Nothing: the reply is one line.
    None,
    /// Lines, each ended by CRLF, none of which begins with a dot.
    Lines(Vec<u8>),
    /// A message, or the top of it.
    Message(Box<(store::Wire, Option<Top>)>),
}

/// What happens once the reply is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next command.
    Read,
    /// The handshake (RFC 2595 §4).
    StartTls,
    /// The end, and its name in the log.
    Close(&'static str),
}

/// A reply.
#[derive(Debug)]
pub struct Reply {
    /// How it begins.
    pub status: Status,
    code: Option<Code>,
    text: Cow<'static, str>,
    body: Body,
    /// What happens next.
    pub then: Then,
    /// The rule that decided, where it is another than the command's own.
    pub rule: Option<&'static str>,
    /// What the client is not told, for the log.
    pub cause: Option<String>,
}

impl Reply {
    fn new(status: Status, text: Cow<'static, str>) -> Reply {
        Reply {
            status,
            code: None,
            text,
            body: Body::None,
            then: Then::Read,
            rule: None,
            cause: None,
        }
    }

    /// `+OK`
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply::new(Status::Ok, text.into())
    }

    /// `-ERR`
    pub fn err(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply::new(Status::Err, text.into())
    }

    /// `-ERR` with a response code.
    pub fn code(code: Code, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code: Some(code), ..Reply::err(text) }
    }

    /// RFC 5034 §4: `+ ` and a challenge in base64, nothing else.
    pub fn challenge(base64: String) -> Reply {
        Reply::new(Status::Challenge, base64.into())
    }

    /// Makes the reply one of many lines, none so far.
    pub fn listing(self) -> Reply {
        Reply { body: Body::Lines(Vec::new()), ..self }
    }

    /// Adds a line to a listing.
    pub fn line(&mut self, line: Arguments) {
        if let Body::Lines(lines) = &mut self.body {
            // A Vec takes whatever is written.
            let _ = lines.write_fmt(line);
            lines.extend_from_slice(b"\r\n");
        }
    }

    /// Puts a message behind the first line, or the top of it.
    pub fn message(self, message: store::Wire, top: Option<Top>) -> Reply {
        Reply { body: Body::Message(Box::new((message, top))), ..self }
    }

    /// Names the rule that decided.
    pub fn by(self, rule: &'static str) -> Reply {
        Reply { rule: Some(rule), ..self }
    }

    /// Tells the log why.
    pub fn because(self, cause: impl ToString) -> Reply {
        Reply { cause: Some(cause.to_string()), ..self }
    }

    /// Says what happens next.
    pub fn then(self, then: Then) -> Reply {
        Reply { then, ..self }
    }

    /// Whether the client made a mistake, as against a trouble of ours or a matter of time.
    pub fn is_fault(&self) -> bool {
        self.status == Status::Err && matches!(self.code, None | Some(Code::Auth))
    }

    /// The first line, without its end.
    pub fn first_line(&self) -> String {
        let mut line = Vec::new();
        self.first(&mut line);
        String::from_utf8_lossy(&line).into_owned()
    }

    /// The first line with its end: all of a reply that has no more.
    pub fn one_line(&self) -> String {
        self.first_line() + "\r\n"
    }

    /// All lines as a person may read them; a message is not repeated.
    pub fn shown(&self) -> Vec<String> {
        let mut shown = vec![self.first_line()];
        match &self.body {
            Body::None => return shown,
            Body::Lines(lines) => {
                shown.extend(String::from_utf8_lossy(lines).lines().map(str::to_owned));
            }
            Body::Message(..) => shown.push("(the message)".into()),
        }
        shown.push(".".into());
        shown
    }

    fn first(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.status {
            Status::Ok => b"+OK",
            Status::Err => b"-ERR",
            Status::Challenge => b"+",
        });
        if let Some(code) = self.code {
            out.extend_from_slice(b" [");
            out.extend_from_slice(code.name().as_bytes());
            out.push(b']');
        }
        if !self.text.is_empty() || self.status == Status::Challenge {
            out.push(b' ');
            out.extend_from_slice(self.text.as_bytes());
        }
    }

    /// Sends all of it. The inner error is a message that could not be read to its end: the
    /// client cannot be told within it, and must lose the connection.
    pub fn send(self, conn: &mut Conn) -> Result<io::Result<()>, Hangup> {
        let out = conn.output();
        self.first(out);
        out.extend_from_slice(b"\r\n");
        match self.body {
            Body::None => {}
            Body::Lines(lines) => {
                out.extend_from_slice(&lines);
                out.extend_from_slice(b".\r\n");
            }
            Body::Message(message) => return send_message(*message, conn),
        }
        conn.flush_full().map(Ok)
    }
}

/// RFC 1939 §3: every line that begins with a dot gets another.
fn send_message(
    (mut message, mut top): (store::Wire, Option<Top>),
    conn: &mut Conn,
) -> Result<io::Result<()>, Hangup> {
    let mut stuff = Stuff::new();
    loop {
        let mut chunk = match message.chunk() {
            Ok(chunk) => chunk,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(top) = &mut top {
            chunk = top.of(chunk);
        }
        if chunk.is_empty() {
            break;
        }
        stuff.feed(chunk, conn.output());
        conn.flush_full()?;
    }
    stuff.end(conn.output());
    conn.flush_full().map(Ok)
}

/// What a line that is no command means on the wire.
pub fn refusal(site: &Site, fault: Fault) -> Reply {
    let port = |role, usual: u16| {
        let mut listen = site.listen.iter().filter(|(other, _)| *other == role);
        let address = listen.find_map(|(_, address)| address.sockets().first().copied());
        address.map_or(usual, |address| address.port())
    };
    match fault {
        Fault::Unknown(Some(verb)) => {
            Reply::err(format!("unknown command, did you mean {}?", verb.name))
        }
        Fault::Unknown(None) => {
            let verbs: Vec<_> = VERBS.iter().map(|verb| verb.name).collect();
            Reply::err(format!("unknown command, we know {}", verbs.join(" ")))
        }
        Fault::Syntax(verb) => Reply::err(format!("syntax: {}", verb.syntax)).by(verb.section),
        Fault::NotBase64 => Reply::err("a response is base64, or * to give up").by("RFC 5034 §4"),
        Fault::Smtp => Reply::err(format!(
            "this is POP3, SMTP is spoken at port {} and by users at port {}",
            port(Role::Smtp, 25),
            port(Role::Submission, 587)
        )),
        Fault::Imap => Reply::err("this is POP3, IMAP is spoken at port 143"),
        Fault::TooLong => Reply::err("line too long").by("RFC 2449 §4"),
    }
}

/// RFC 3206: what a failed login means on the wire.
impl From<auth::Error> for Reply {
    fn from(error: auth::Error) -> Reply {
        match error {
            auth::Error::Wrong | auth::Error::NotServed(_) => {
                Reply::code(Code::Auth, "wrong name or password").by("RFC 3206 §5")
            }
            auth::Error::Busy => {
                Reply::code(Code::SysTemp, "too many logins at once, try again").by("RFC 3206 §4")
            }
            auth::Error::Unavailable(why) => {
                let text = "users cannot be looked up, tell the postmaster";
                Reply::code(Code::SysPerm, text).by("RFC 3206 §4").because(why)
            }
        }
    }
}

/// RFC 3206 §4: what a mailbox in trouble means on the wire.
impl From<store::Error> for Reply {
    fn from(error: store::Error) -> Reply {
        let text = "the maildrop cannot be used now, try again later";
        Reply::code(Code::SysTemp, text).by("RFC 3206 §4").because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        for (reply, line) in [
            (Reply::ok("2 320"), "+OK 2 320"),
            (Reply::ok(""), "+OK"),
            (Reply::err("no such message"), "-ERR no such message"),
            (Reply::code(Code::InUse, "busy"), "-ERR [IN-USE] busy"),
            (Reply::code(Code::SysTemp, "later"), "-ERR [SYS/TEMP] later"),
            (Reply::challenge(String::new()), "+ "),
            (Reply::challenge("VXNlcm5hbWU6".into()), "+ VXNlcm5hbWU6"),
        ] {
            assert_eq!(reply.first_line(), line);
        }
    }

    #[test]
    fn listings_are_shown_whole() {
        let mut reply = Reply::ok("2 messages").listing();
        reply.line(format_args!("{} {}", 1, 120));
        reply.line(format_args!("{} {}", 2, 200));
        assert_eq!(reply.shown(), ["+OK 2 messages", "1 120", "2 200", "."]);
    }

    #[test]
    fn only_the_clients_mistakes_are_faults() {
        for (reply, fault) in [
            (Reply::ok(""), false),
            (Reply::err("no such message"), true),
            (Reply::code(Code::Auth, "wrong"), true),
            (Reply::code(Code::InUse, "in use"), false),
            (Reply::code(Code::SysTemp, "later"), false),
            (Reply::challenge(String::new()), false),
        ] {
            assert_eq!(reply.is_fault(), fault, "{}", reply.first_line());
        }
    }
}
