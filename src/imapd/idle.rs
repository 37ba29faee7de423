//! IDLE: RFC 2177. The session sleeps, on its socket and on what the kernel tells of the mailbox.

use super::command::is_done;
use super::response::Status;
use super::session::{Imapd, Outcome, State};
use crate::net::{Hangup, Woken};
use crate::store::Watch;
use std::time::{Duration, Instant};

/// Where the kernel does not tell, we look so often.
const LOOK: Duration = Duration::from_secs(1);

impl Imapd<'_> {
    /// RFC 2177 §3. Every change is told, EXPUNGE too; the client ends it with DONE.
    pub(super) fn idle(&mut self, state: &mut State) -> Result<Outcome, Hangup> {
        self.go_on("Waiting; DONE ends it", state);
        let watch = match state {
            State::Selected(_, open) => {
                open.mailbox.rest();
                Some(open.mailbox.watch())
            }
            _ => None,
        };
        let end = Instant::now() + self.site.imap_timeout;
        loop {
            self.news(state, true);
            let left = end.saturating_duration_since(Instant::now());
            match self.conn.wait_beside(watch.as_ref().and_then(Watch::fd), self.look(&watch, left))? {
                Woken::ByClient => break,
                Woken::ByOther => watch.iter().for_each(Watch::clear),
                Woken::ByTime if left.is_zero() => return Err(Hangup::Silent),
                Woken::ByTime => {}
            }
        }
        let line = self.line()?;
        self.transcript.client(&String::from_utf8_lossy(&line), "idle");
        match is_done(&line) {
            true => Ok(Ok(Status::ok("Awake"))),
            false => Ok(Err(Status::bad("DONE ends IDLE, and nothing else"))),
        }
    }

    /// How long to sleep: to the end, unless nobody wakes us.
    fn look(&self, watch: &Option<Watch>, left: Duration) -> Duration {
        match watch {
            Some(watch) if watch.fd().is_none() => left.min(LOOK),
            _ => left,
        }
    }
}
