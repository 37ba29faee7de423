//! IDLE: RFC 2177. The session sleeps, on its socket and on what the kernel tells of the mailbox.

use super::command::is_done;
use super::response::Status;
use super::session::{Imapd, Outcome, State};
use crate::net::{Hangup, Woken};
use crate::store::{Awake, Watch};
use crate::text::printable;
use std::time::{Duration, Instant};

/// When a look that could not be sure, or could not be, is done again.
const SOON: Duration = Duration::from_millis(500);

impl Imapd<'_> {
    /// RFC 2177 §3. Every change is told, EXPUNGE too; the client ends it with DONE.
    pub(super) fn idle(&mut self, state: &mut State) -> Result<Outcome, Hangup> {
        // Careful: the watch comes before the first look, so that nothing falls between them.
        let watch = match state {
            State::Selected(_, open) => Some(Watch::of(&open.mailbox)),
            _ => None,
        };
        self.go_on("Waiting; DONE ends it", state);
        self.sleep(state, watch)?;
        let line = self.line()?;
        self.transcript.client(&printable(&line), "idle");
        match is_done(&line) {
            true => Ok(Ok(Status::ok("Awake"))),
            false => {
                self.skip_behind(&line)?;
                Ok(Err(Status::bad("DONE ends IDLE, and nothing else")))
            }
        }
    }

    /// Until the client says something.
    fn sleep(&mut self, state: &mut State, mut watch: Option<Watch>) -> Result<(), Hangup> {
        let end = Instant::now() + self.site.imap_timeout;
        loop {
            let again = self.look(state)?.then_some(SOON);
            let told = watch.as_ref();
            let patience = told.and_then(Watch::patience).or(again).unwrap_or(Duration::MAX);
            let left = end.saturating_duration_since(Instant::now());
            match self.conn.wait_beside(told.and_then(Watch::fd), left.min(patience))? {
                Woken::ByClient => return Ok(()),
                Woken::ByTime if left.is_zero() => return Err(Hangup::Silent),
                Woken::ByTime | Woken::ByOther => {
                    watch.as_mut().map(Watch::silence);
                }
            }
        }
    }

    /// Tells what is new, and rests. Tells whether to look again soon.
    fn look(&mut self, state: &mut State) -> Result<bool, Hangup> {
        // Careful: what is told waits in memory, so that nobody's turn lasts as long as a slow client.
        let _turn = Awake::take();
        if let State::Selected(_, open) = state
            && open.mailbox.is_quiet()
        {
            return Ok(false);
        }
        self.news(state, true).map_err(|bye| self.put_out(&bye, state))?;
        match state {
            State::Selected(_, open) => Ok(open.mailbox.rest() || open.is_unsure),
            _ => Ok(false),
        }
    }
}
