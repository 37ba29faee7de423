//! The client's side of RFC 5321, and of LMTP (RFC 2033): one connection to one host, and any
//! number of letters over it.
//!
//! `open` comes first, then `send` for each letter, then `quit`. Which host, when to try again and
//! what a report says is decided above. Contents are read from where they are; files and paths are
//! not known here. Not here either: BDAT (RFC 3030), as whoever offers it takes DATA as well.

mod answer; // RFC 5321 §4.2: replies
mod dialogue; // what was said, for reports
mod failure; // why a connection came to nothing
mod letter; // MAIL and RCPT
mod offers; // RFC 5321 §4.1.1.1: what EHLO offers
mod open; // RFC 5321 §3.1 and §3.2, RFC 3207, RFC 4954
mod send; // RFC 5321 §3.3, RFC 2920
mod talk; // commands, replies, times
mod text; // RFC 5321 §4.1.1.4

use crate::net::Trust;
pub use answer::{Answer, Step, Verdict};
pub use dialogue::Watch;
pub use failure::Failure;
pub use letter::{Letter, Recipient};
pub use offers::Offers;
pub use open::{Encryption, Login, Peer, Security};
use std::io::{Read, Seek};
use talk::Talk;
pub use talk::Times;
pub use text::survey;

/// A connection that is ready for letters.
pub struct Connection {
    talk: Talk,
    lmtp: bool,
    server: String,
    offers: Offers,
    encryption: Encryption,
    /// The last letter came to nothing, and the other side may still remember it.
    needs_reset: bool,
    /// Why nothing more can be said.
    lost: Option<Failure>,
}

/// A connection that never became ready.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Why.
    pub failure: Failure,
    /// What was said.
    pub dialogue: Vec<String>,
}

/// What became of a letter.
#[derive(Clone, Debug)]
pub struct Sent {
    /// For each recipient, in their order, the answer that decides about it.
    pub answers: Vec<Answer>,
    /// Why the connection ended, if it did; it answers for those who have no answer of their own.
    pub failure: Option<Failure>,
}

impl Connection {
    /// Connects, and says and does all that comes before the first letter. Each line of the
    /// dialogue goes to `watch` as it happens.
    pub fn open(
        peer: &Peer,
        trust: &Trust,
        watch: Option<Watch>,
    ) -> Result<Connection, Box<Broken>> {
        open::open(peer, trust, watch)
    }

    /// Sends a letter, whose content is read from its start; its lines may end in LF or CRLF. What
    /// the host cannot take as it is goes as quoted-printable or base64 (RFC 6152 §3).
    pub fn send<R: Read + Seek>(&mut self, letter: &Letter, content: &mut R) -> Sent {
        self.transact(letter, content)
    }

    /// RFC 5321 §4.1.1.10.
    pub fn quit(mut self) {
        if self.lost.is_none() && self.talk.ask(Step::Quit, "QUIT", None).is_ok() {
            let _ = self.talk.client.close_sending();
        }
    }

    /// What was said until the first letter and of the last one; secrets are masked, the text is
    /// told by its size.
    pub fn dialogue(&self) -> Vec<String> {
        self.talk.dialogue.lines()
    }

    /// What TLS was reached.
    pub fn encryption(&self) -> &Encryption {
        &self.encryption
    }

    /// What the other side calls itself; our own name means a loop.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What it can do.
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Whether more letters can be sent.
    pub fn is_open(&self) -> bool {
        self.lost.is_none()
    }
}
