//! The text behind DATA: RFC 5321 §4.1.1.4, §4.5.2 (transparency), §4.5.3.2.5 (block by block).
//!
//! It is read as it goes out, never all at once. If it cannot be read to its end no dot is sent, so
//! that nobody takes a piece for the whole.

use super::Connection;
use super::answer::{Step, Verdict};
use super::failure::Failure;
use crate::limits;
use crate::mail::{Plan, Planner, Survey, ToSeven};
use crate::net::client::is_closed;
use crate::net::dot::Outgoing;
use std::io::{self, Read, Seek};
use std::time::{Duration, Instant};

/// How long to look for a reply where the other side takes no more of the text.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Reads the content from its start, once for each letter, to learn what it needs of a host.
pub fn survey<R: Read + Seek>(content: &mut R) -> io::Result<Survey> {
    let mut survey = Survey::new();
    pieces(content, |piece| {
        survey.feed(piece);
        Ok::<(), io::Error>(())
    })?;
    survey.end();
    Ok(survey)
}

/// Reads it again, to learn which parts must be changed; all that hold 8-bit octets, if `seven`.
pub(super) fn plan<R: Read + Seek>(content: &mut R, seven: bool) -> io::Result<Plan> {
    let mut planner = Planner::new(seven);
    pieces(content, |piece| {
        planner.feed(piece);
        Ok::<(), io::Error>(())
    })?;
    Ok(planner.end())
}

/// What ends the reading of a content: an error of its own, or of who takes it.
fn pieces<R: Read + Seek, E: From<io::Error>>(
    content: &mut R,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    content.rewind()?;
    let mut buffer = vec![0; limits::TEXT_BUFFER];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Content(error.to_string())
    }
}

impl Connection {
    /// Sends the text and the dot.
    pub(super) fn text<R: Read + Seek>(
        &mut self,
        content: &mut R,
        plan: Option<&Plan>,
    ) -> Result<(), Failure> {
        let mut outgoing = Outgoing::new();
        let mut seven = plan.map(ToSeven::new);
        let (mut changed, mut block, mut octets) = (Vec::new(), Vec::new(), 0);
        let sent: Result<(), Failure> = pieces(content, |piece| {
            let piece = match &mut seven {
                None => piece,
                Some(seven) => {
                    changed.clear();
                    seven.feed(piece, &mut changed);
                    &changed
                }
            };
            outgoing.feed(piece, &mut block);
            if block.len() >= limits::TEXT_BUFFER {
                octets += block.len() as u64;
                self.block(&block)?;
                block.clear();
            }
            Ok(())
        });
        if let Err(failure) = sent {
            self.talk.dialogue.event(&failure.to_string());
            return Err(failure);
        }
        if let Some(seven) = seven {
            changed.clear();
            seven.end(&mut changed);
            outgoing.feed(&changed, &mut block);
        }
        outgoing.end(&mut block);
        octets += block.len() as u64;
        self.talk.dialogue.client(&format!("({octets} octets of text)"));
        self.block(&block)
    }

    /// Only the dot.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.talk.dialogue.client(".");
        let mut dot = Vec::new();
        Outgoing::new().end(&mut dot);
        self.block(&dot)
    }

    /// A block of the text. Where the other side hangs up instead of taking it, it may have said
    /// why, and that counts as its answer.
    fn block(&mut self, block: &[u8]) -> Result<(), Failure> {
        let until = self.talk.until(Step::Text);
        let Err(error) = self.talk.client.write_until(block, until) else { return Ok(()) };
        if is_closed(&error) {
            let soon = Instant::now() + LAST_WORDS;
            return match self.talk.read_until(Step::Text, soon) {
                Ok(answer) if answer.verdict() == Verdict::Accepted => {
                    Err(Failure::Cut(Step::Text))
                }
                Ok(answer) => Err(Failure::Refused(answer)),
                Err(Failure::Refused(answer)) => Err(Failure::Refused(answer)),
                Err(_) => Err(Failure::Cut(Step::Text)),
            };
        }
        Err(self.talk.failed(Step::Text, &error))
    }
}
