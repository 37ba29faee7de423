//! IDLE: RFC 2177. The session sleeps, on its socket and on what the kernel tells of the mailbox.

use super::command::is_done;
use super::response::Status;
use super::session::{Imapd, Outcome, State};
use crate::net::{Hangup, Woken};
use crate::text::printable;
use std::time::{Duration, Instant};

/// Where the kernel does not tell, we look so often.
const LOOK: Duration = Duration::from_secs(1);

impl Imapd<'_> {
    /// RFC 2177 §3. Every change is told, EXPUNGE too; the client ends it with DONE.
    pub(super) fn idle(&mut self, state: &mut State) -> Result<Outcome, Hangup> {
        self.go_on("Waiting; DONE ends it", state);
        if let State::Selected(_, open) = state {
            open.mailbox.rest();
        }
        let end = Instant::now() + self.site.imap_timeout;
        loop {
            self.news(state, true)?;
            let left = end.saturating_duration_since(Instant::now());
            match self.conn.wait_beside(None, left.min(LOOK))? {
                Woken::ByClient => break,
                Woken::ByTime if left.is_zero() => return Err(Hangup::Silent),
                Woken::ByTime | Woken::ByOther => {}
            }
        }
        let line = self.line()?;
        self.transcript.client(&printable(&line), "idle");
        match is_done(&line) {
            true => Ok(Ok(Status::ok("Awake"))),
            false => Ok(Err(Status::bad("DONE ends IDLE, and nothing else"))),
        }
    }
}
