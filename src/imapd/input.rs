//! What comes from the client: RFC 3501 §2.2.1, §4.3. Lines, the literals between them, and what of a
//! refused command must be read all the same, so that it is not taken for the next.

use super::command;
use super::gather::{Gather, Next};
use super::response::{self, Code, Status};
use super::session::{Imapd, State};
use crate::limits;
use crate::net::{Hangup, Line};
use std::time::{Duration, Instant};

impl Imapd<'_> {
    /// RFC 3501 §4.3: lines, and literals that are asked for. `Err` is why they are not read on.
    pub(super) fn gather(
        &mut self,
        gather: &mut Gather,
        state: &State,
    ) -> Result<Result<(), Status>, Hangup> {
        loop {
            let line = self.line()?;
            match gather.line(&line) {
                Next::Whole => return Ok(Ok(())),
                Next::Literal(literal) => {
                    // What may not be said now is refused before its literals are asked for.
                    let verb = command::head(gather.octets()).1;
                    if let Some(Err(status)) = verb.map(|verb| self.allowed(verb, state)) {
                        self.skip(gather)?;
                        return Ok(Err(status));
                    }
                    if literal.sync {
                        if verb.is_none() {
                            return Ok(Ok(())); // No command: refused as it stands.
                        }
                        self.go_on("Go on", state);
                    }
                    let octets = self.octets(literal.octets)?;
                    gather.literal(&octets);
                }
                Next::Discard(octets) => self.discard(octets)?,
                Next::Skipped => return Ok(Ok(())),
                Next::TooBig(text) => {
                    return Ok(Err(Status::bad(text).with(Code::TooBig).by("RFC 7888 §5")));
                }
            }
        }
    }

    /// What of a refused command is still on its way is read and thrown away.
    pub(super) fn skip(&mut self, gather: &mut Gather) -> Result<(), Hangup> {
        let mut next = gather.skip();
        while let Next::Discard(octets) = next {
            self.discard(octets)?;
            next = gather.line(&self.line()?);
        }
        Ok(())
    }

    /// The same of a line that is no command, and that stands where none may: the octets it
    /// announces are none either.
    pub(super) fn skip_behind(&mut self, line: &[u8]) -> Result<(), Hangup> {
        let mut gather = Gather::default();
        gather.behind_message(line);
        self.skip(&mut gather)
    }

    /// How long we wait for the client now.
    fn patience(&self) -> Result<Duration, Hangup> {
        let Some(end) = self.login_by else { return Ok(self.patience) };
        match end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(Hangup::Silent),
            left => Ok(left.min(self.patience)),
        }
    }

    /// A line; one beyond all limits ends the session, as nobody knows where its command ends.
    pub(super) fn line(&mut self) -> Result<Vec<u8>, Hangup> {
        match self.conn.read_line(limits::IMAP_LINE, self.patience()?)? {
            Line::Text { octets, .. } => Ok(octets),
            Line::TooLong => {
                let status = Status::bye("The line is too long, good-bye").with(Code::TooBig);
                response::untagged(self.conn.output(), &status);
                let _ = self.conn.flush();
                Err(Hangup::Lost)
            }
        }
    }

    /// The octets of a small literal.
    fn octets(&mut self, count: u64) -> Result<Vec<u8>, Hangup> {
        let mut octets = Vec::new();
        self.read_octets(count, |piece| octets.extend_from_slice(piece))?;
        Ok(octets)
    }

    pub(super) fn discard(&mut self, count: u64) -> Result<(), Hangup> {
        self.read_octets(count, |_| {})
    }

    /// Reads exactly so many octets, piece by piece.
    pub(super) fn read_octets(
        &mut self,
        count: u64,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), Hangup> {
        let mut left = count;
        while left > 0 {
            let input = self.conn.read_text(self.patience()?)?;
            let here = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
            take(&input[..here]);
            self.conn.consume(here);
            left -= here as u64;
        }
        Ok(())
    }
}
