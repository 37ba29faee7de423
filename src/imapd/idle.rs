//! IDLE: RFC 2177. The session sleeps, on its socket and on what the kernel tells of the mailbox.

use super::command::is_done;
use super::mailbox::store_status;
use super::response::Status;
use super::session::{Imapd, Outcome, State};
use crate::net::{Hangup, Woken};
use crate::store::Watch;
use crate::text::printable;
use std::time::{Duration, Instant};

impl Imapd<'_> {
    /// RFC 2177 §3. Every change is told, EXPUNGE too; the client ends it with DONE.
    pub(super) fn idle(&mut self, state: &mut State) -> Result<Outcome, Hangup> {
        // Careful: the watch comes before the first look, so that nothing falls between them.
        let watch = match state {
            State::Selected(_, open) => match Watch::of(&open.mailbox) {
                Ok(watch) => Some(watch),
                Err(error) => return Ok(Err(store_status(error.into()))),
            },
            _ => None,
        };
        self.go_on("Waiting; DONE ends it", state);
        self.sleep(state, watch.as_ref())?;
        let line = self.line()?;
        self.transcript.client(&printable(&line), "idle");
        match is_done(&line) {
            true => Ok(Ok(Status::ok("Awake"))),
            false => Ok(Err(Status::bad("DONE ends IDLE, and nothing else"))),
        }
    }

    /// Until the client says something.
    fn sleep(&mut self, state: &mut State, watch: Option<&Watch>) -> Result<(), Hangup> {
        let end = Instant::now() + self.site.imap_timeout;
        loop {
            self.news(state, true)?;
            if let State::Selected(_, open) = state {
                open.mailbox.rest();
            }
            let left = end.saturating_duration_since(Instant::now());
            let patience = watch.and_then(Watch::patience).unwrap_or(Duration::MAX);
            match self.conn.wait_beside(watch.map(Watch::fd), left.min(patience))? {
                Woken::ByClient => return Ok(()),
                Woken::ByTime if left.is_zero() => return Err(Hangup::Silent),
                Woken::ByTime | Woken::ByOther => {
                    watch.map(Watch::silence);
                }
            }
        }
    }
}
