//! Commands out, replies in, each within its time, all of it told in the dialogue.

use super::answer::{Answer, Reading, Step};
use super::dialogue::Dialogue;
use super::failure::Failure;
use crate::limits;
use crate::net::client::{Client, Line, is_closed};
use std::io;
use std::time::{Duration, Instant};

/// RFC 5321 §4.5.3.2: how long to wait for what; shorter in tests.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the connection itself.
    pub connect: Duration,
    /// For the greeting.
    pub greeting: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For EHLO, STARTTLS, AUTH, RSET.
    pub command: Duration,
    /// For MAIL.
    pub mail: Duration,
    /// For RCPT.
    pub rcpt: Duration,
    /// For DATA.
    pub data: Duration,
    /// For each block of the text to be taken.
    pub block: Duration,
    /// For the reply to the final dot.
    pub end: Duration,
    /// For QUIT.
    pub quit: Duration,
}

impl Default for Times {
    fn default() -> Times {
        Times {
            connect: limits::CONNECT,
            greeting: limits::GREETING,
            handshake: limits::HANDSHAKE,
            command: limits::COMMAND,
            mail: limits::COMMAND,
            rcpt: limits::COMMAND,
            data: limits::DATA,
            block: limits::DATA_BLOCK,
            end: limits::DATA_END,
            quit: limits::QUIT,
        }
    }
}

impl Times {
    fn of(&self, step: Step) -> Duration {
        match step {
            Step::Connect => self.connect,
            Step::Greeting => self.greeting,
            Step::Hello | Step::StartTls | Step::Auth | Step::Reset => self.command,
            Step::Mail => self.mail,
            Step::Rcpt => self.rcpt,
            Step::Data => self.data,
            Step::Text => self.block,
            Step::End => self.end,
            Step::Quit => self.quit,
        }
    }
}

/// A connection and what was said on it.
pub(super) struct Talk {
    pub client: Client,
    pub dialogue: Dialogue,
    pub times: Times,
}

impl Talk {
    /// Until when this must be done.
    pub fn until(&self, step: Step) -> Instant {
        Instant::now() + self.times.of(step)
    }

    /// Puts a command behind those that are to be sent. `shown` stands for it where it is secret.
    pub fn say(&mut self, step: Step, command: &str, shown: Option<&str>) -> Result<(), Failure> {
        self.client.say(command).map_err(|error| self.failed(step, &error))?;
        self.dialogue.client(shown.unwrap_or(command));
        Ok(())
    }

    /// Sends what is to be sent. Where the other side does not take it any more, it may have said
    /// why: that is read next.
    pub fn flush(&mut self, step: Step) -> Result<(), Failure> {
        let until = self.until(step);
        match self.client.flush(until) {
            Err(error) if !is_closed(&error) => Err(self.failed(step, &error)),
            _ => Ok(()),
        }
    }

    /// A command by itself, and its reply.
    pub fn ask(
        &mut self,
        step: Step,
        command: &str,
        shown: Option<&str>,
    ) -> Result<Answer, Failure> {
        self.say(step, command, shown)?;
        self.flush(step)?;
        self.read(step)
    }

    /// The next reply; 421 is a failure (RFC 5321 §3.8).
    pub fn read(&mut self, step: Step) -> Result<Answer, Failure> {
        let until = self.until(step);
        self.read_until(step, until)
    }

    /// The same before `until`.
    pub fn read_until(&mut self, step: Step, until: Instant) -> Result<Answer, Failure> {
        let mut reading = Reading::new(step);
        loop {
            let line = match self.client.read_line_of(limits::REPLY_LINE, until) {
                Ok(Line::Text(line, _)) => line,
                Ok(Line::Closed) => return Err(self.note(Failure::Cut(step))),
                Ok(Line::Late) => return Err(self.note(Failure::Timeout(step))),
                Err(error) => return Err(self.failed(step, &error)),
            };
            let taken = reading.take(&line);
            self.dialogue.server(crate::text::printable(&line));
            match taken {
                Ok(None) => {}
                Ok(Some(answer)) if answer.closes() => return Err(Failure::Refused(answer)),
                Ok(Some(answer)) => return Ok(answer),
                Err(what) => return Err(Failure::Garbage(step, what)),
            }
        }
    }

    /// What an error of the connection means.
    pub fn failed(&mut self, step: Step, error: &io::Error) -> Failure {
        let failure = match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Failure::Timeout(step),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Failure::Garbage(step, error.to_string())
            }
            _ => Failure::Cut(step),
        };
        self.note(failure)
    }

    fn note(&mut self, failure: Failure) -> Failure {
        self.dialogue.event(&failure.to_string());
        failure
    }
}
