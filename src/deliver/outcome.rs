//! What became of a recipient in one attempt.

use crate::queue::Said;

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
}
