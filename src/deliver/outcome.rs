//! What became of a recipient in one attempt.

use crate::queue::Said;
use crate::smtp::client::{Answer, Verdict};

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It is somebody else's now, or in the mailbox.
    Done(Delivered),
    /// To be tried again.
    Later(Said),
    /// To be returned.
    Never(Said),
}

/// Where it went.
#[derive(Clone, Debug, Default)]
pub(super) struct Delivered {
    /// The host that took it; `None` where it was delivered here.
    pub host: Option<String>,
    /// That host tells the sender itself (RFC 3461 §5.2.2).
    pub tells_itself: bool,
    /// Its words, or ours.
    pub text: String,
}

impl Outcome {
    /// In our own words; the first digit of the status decides.
    pub fn ours(now: u64, status: &str, text: impl Into<String>) -> Outcome {
        let said = Said { at: now, status: status.into(), host: None, text: text.into() };
        if status.starts_with('5') { Outcome::Never(said) } else { Outcome::Later(said) }
    }

    /// In the words of a host.
    pub fn of(answer: &Answer, host: &str, now: u64, tells_itself: bool) -> Outcome {
        let name = host;
        let host = if answer.from_us { None } else { Some(host.to_owned()) };
        let text = match (&answer.status, answer.from_us) {
            (Some(status), true) => {
                let why = answer.lines.join(" / ").replacen(&format!("{status} "), "", 1);
                format!("{name}: {why}")
            }
            _ => answer.to_string(),
        };
        // RFC 3463 §2: the class is that of the reply.
        let class = match answer.verdict() {
            Verdict::Accepted => {
                return Outcome::Done(Delivered { host, tells_itself, text });
            }
            Verdict::Temporary => '4',
            Verdict::Permanent => '5',
        };
        let rest = answer.status.as_deref().and_then(|status| status.get(1..)).unwrap_or(".0.0");
        let said = Said { at: now, status: format!("{class}{rest}"), host, text };
        if class == '5' { Outcome::Never(said) } else { Outcome::Later(said) }
    }
}
