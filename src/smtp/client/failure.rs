//! Why a connection came to nothing, and what that means for the letters it should have carried.

use super::answer::{Answer, Step, Verdict};
use std::fmt;

/// After one of these nothing more can be said on the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection was made, and why.
    Unreachable(String),
    /// The other side hung up instead of the reply to this.
    Cut(Step),
    /// It said nothing for too long (RFC 5321 §4.5.3.2), or did not take what was sent.
    Timeout(Step),
    /// What it said is no reply (RFC 5321 §4.2).
    Garbage(Step, String),
    /// The handshake failed, or the host could not prove its name where it must.
    Tls(String),
    /// TLS must be, and the other side does not offer it or refused it.
    NoTls(String),
    /// It does not take our name and password, or none of its ways to ask for them is ours.
    Login(String),
    /// A reply that ends all: to the greeting, EHLO, RSET, or 421 to anything (RFC 5321 §3.8).
    Refused(Answer),
    /// Our own copy of the letter could not be read; it was not sent to its end.
    Content(String),
}

impl Failure {
    /// As the answer for recipients that have none of their own. But for what the other side said
    /// itself, it is always temporary: another host, or this one later, may do better.
    pub fn answer(&self) -> Answer {
        let (status, step) = match self {
            Failure::Refused(answer) => return answer.clone(),
            Failure::Unreachable(_) => ("4.4.1", Step::Connect),
            Failure::Cut(step) | Failure::Timeout(step) => ("4.4.2", *step),
            Failure::Garbage(step, _) => ("4.5.0", *step),
            Failure::Tls(_) | Failure::NoTls(_) => ("4.7.5", Step::StartTls),
            Failure::Login(_) => ("4.7.8", Step::Auth),
            Failure::Content(_) => ("4.3.0", Step::Text),
        };
        Answer::made_up(451, status, step, self.to_string())
    }

    /// Temporary, unless the other side said otherwise.
    pub fn verdict(&self) -> Verdict {
        self.answer().verdict()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Unreachable(why) => write!(f, "no connection: {why}"),
            // RFC 5321 §6.1: they may have taken it, and we must not lose it.
            Failure::Cut(Step::End) => f.write_str(
                "the connection was cut behind the final dot; the letter may come twice",
            ),
            Failure::Timeout(Step::End) => {
                f.write_str("no reply to the final dot in time; the letter may come twice")
            }
            Failure::Cut(Step::Text) => f.write_str("the connection was cut within the text"),
            Failure::Timeout(Step::Text) => f.write_str("the text was not taken in time"),
            Failure::Cut(step) => write!(f, "the connection was cut instead of {}", reply(*step)),
            Failure::Timeout(step) => write!(f, "{} did not come in time", reply(*step)),
            Failure::Garbage(step, what) => {
                write!(f, "{} is none of RFC 5321: {what}", reply(*step))
            }
            Failure::Tls(why) => write!(f, "TLS failed: {why}"),
            Failure::NoTls(why) => write!(f, "TLS is required: {why}"),
            Failure::Login(why) => write!(f, "no login: {why}"),
            Failure::Refused(answer) => write!(f, "{} was {answer}", reply(answer.step)),
            Failure::Content(why) => write!(f, "the letter cannot be read: {why}"),
        }
    }
}

fn reply(step: Step) -> String {
    match step {
        Step::Greeting => "the greeting".into(),
        step => format!("the reply to {}", step.shown()),
    }
}
