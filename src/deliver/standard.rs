//! SMTP on standard input and output for a user of this host: `sendmail -bs` where the caller may
//! not write the queue. Each letter is dropped as `submit` drops what comes without a dialogue.
//!
//! RFC 5321 §4.1.4 for the order of commands, RFC 3461 §4 for what may be wished for. Nothing is
//! looked up: any address that can be one is taken, and who is nobody is reported later. No
//! timeouts, no delays and no log of commands: the only client is whoever started this program.

use super::submit::{Text, Trouble, hand_in};
use crate::conf::Site;
use crate::limits;
use crate::mail::Mailbox;
use crate::net::dot::{Discipline, Unstuff};
use crate::queue::Envelope;
use crate::smtp::command::{self, Command, Parameters, Wishes, non_ascii};
use crate::smtp::reply::Reply;
use crate::sys::clock;
use std::io::{self, BufRead, Read, Write};

const COMMANDS: &str = "EHLO HELO MAIL RCPT DATA RSET NOOP HELP VRFY QUIT";

/// RFC 5321 §4.1.4: what may come next.
enum State {
    /// The greeting was sent.
    Greeted,
    /// The client said who it is.
    Ready,
    /// MAIL was accepted.
    Letter(Envelope),
}

struct Dialogue<'a, I, O> {
    site: &'a Site,
    uid: u32,
    input: I,
    output: O,
}

/// Holds a dialogue to its end.
pub fn serve(site: &Site, uid: u32, input: impl BufRead, output: impl Write) -> io::Result<()> {
    Dialogue { site, uid, input, output }.run()
}

impl<I: BufRead, O: Write> Dialogue<'_, I, O> {
    fn run(&mut self) -> io::Result<()> {
        let (mut state, mut errors) = (State::Greeted, 0);
        self.reply(&Reply::new(220, "", format!("{} ESMTP buzon", self.site.hostname)))?;
        while let Some(line) = self.line()? {
            let outcome = match line.is_empty() {
                true => Err(Reply::new(500, "5.5.2", "The line is too long")),
                false => self.answer(&line, &mut state)?,
            };
            let (Ok(mut reply) | Err(mut reply)) = outcome;
            errors += usize::from(reply.code >= 500);
            if errors >= limits::ERRORS {
                reply = Reply::new(421, "4.7.0", "Too many errors, good-bye").and_close();
            }
            self.reply(&reply)?;
            if reply.closes {
                break;
            }
        }
        Ok(())
    }

    fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        self.output.write_all(&reply.octets())?;
        self.output.flush()
    }

    /// The next line with its end; an empty one was too long.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let most = limits::SMTP_LINE as u64 + 1;
        (&mut self.input).take(most).read_until(b'\n', &mut line)?;
        if line.ends_with(b"\n") {
            return Ok(Some(line));
        }
        if line.len() <= limits::SMTP_LINE {
            return Ok(None);
        }
        self.input.skip_until(b'\n')?;
        Ok(Some(Vec::new()))
    }

    fn answer(&mut self, line: &[u8], state: &mut State) -> io::Result<Result<Reply, Reply>> {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        let is_strict = bare.ends_with(b"\r");
        let command = match command::parse(bare.strip_suffix(b"\r").unwrap_or(bare)).1 {
            Ok(command) => command,
            Err(reply) => return Ok(Err(reply)),
        };
        Ok(match (command, &mut *state) {
            (Command::Quit, _) => Ok(Reply::new(221, "2.0.0", "Good-bye").and_close()),
            (Command::Ehlo(name), _) => {
                *state = State::Ready;
                Ok(self.ehlo(&name))
            }
            (Command::Helo(name), _) => {
                *state = State::Ready;
                Ok(Reply::new(250, "", format!("{} greets {name}", self.site.hostname)))
            }
            (Command::Noop, _) => Ok(Reply::new(250, "2.0.0", "OK")),
            (Command::Help(_), _) => Ok(Reply::new(214, "2.0.0", COMMANDS)),
            (Command::Vrfy(..), _) => Ok(Reply::new(252, "2.0.0", "Send a letter and see")),
            (Command::Rset, _) => {
                if let State::Letter(_) = state {
                    *state = State::Ready;
                }
                Ok(Reply::new(250, "2.0.0", "Forgotten"))
            }
            (Command::Mail(..), State::Greeted) => Err(order("Say who you are first: EHLO")),
            (Command::Mail(..), State::Letter(_)) => Err(order("A letter is under way; or RSET")),
            (Command::Mail(path, parameters), State::Ready) => {
                self.mail(path, parameters).map(|envelope| {
                    *state = State::Letter(envelope);
                    Reply::new(250, "2.1.0", "Sender ok")
                })
            }
            (Command::Rcpt(path, wishes), State::Letter(envelope)) => {
                self.rcpt(path, wishes, envelope)
            }
            (Command::Rcpt(..), _) => Err(order("MAIL comes first")),
            (Command::Data, State::Letter(envelope)) if !envelope.recipients.is_empty() => {
                match std::mem::replace(state, State::Ready) {
                    State::Letter(envelope) => return self.data(envelope, is_strict),
                    _ => Err(order("MAIL and RCPT come first")),
                }
            }
            (Command::Data, _) => Err(order("MAIL and RCPT come first")),
            (Command::Bdat(octets, _), _) => {
                // RFC 3030 §2: what follows is read, whatever the reply.
                io::copy(&mut (&mut self.input).take(octets), &mut io::sink())?;
                Err(not_here())
            }
            _ => Err(not_here()),
        })
    }

    /// RFC 5321 §4.1.1.1.
    fn ehlo(&self, name: &str) -> Reply {
        let greets = Reply::new(250, "", format!("{} greets {name}", self.site.hostname));
        let offers = ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "HELP"];
        let size = format!("SIZE {}", self.site.message_size);
        offers.into_iter().fold(greets, Reply::and).and(size)
    }

    /// RFC 5321 §4.1.1.2.
    fn mail(&self, path: Option<Mailbox>, said: Parameters) -> Result<Envelope, Reply> {
        if said.binary {
            return Err(Reply::new(555, "5.5.4", "BODY is 7BIT or 8BITMIME here"));
        }
        if said.size.is_some_and(|size| size > self.site.message_size) {
            return Err(self.too_large());
        }
        let mut envelope = Envelope::new(clock::id(), clock::micros() / 1_000_000, path);
        (envelope.utf8, envelope.ret, envelope.envid) = (said.utf8, said.ret, said.envid);
        Ok(envelope)
    }

    /// RFC 5321 §4.1.1.3.
    fn rcpt(&self, mut path: Mailbox, said: Wishes, to: &mut Envelope) -> Result<Reply, Reply> {
        if to.recipients.len() >= limits::RECIPIENTS {
            return Err(Reply::new(452, "4.5.3", "These recipients are enough for one letter"));
        }
        if !path.is_ascii() && !to.utf8 {
            return Err(non_ascii(553));
        }
        if path.domain.is_empty() {
            path.domain = self.site.domains.first().unwrap_or(&self.site.hostname).clone();
        }
        if !to.recipients.iter().any(|other| other.path == path) {
            let recipient = to.add(path);
            (recipient.notify, recipient.orcpt) = (said.notify, said.orcpt);
        }
        Ok(Reply::new(250, "2.1.5", "Recipient ok"))
    }

    /// RFC 5321 §4.1.1.4. The text is read to its dot whatever becomes of it.
    fn data(&mut self, envelope: Envelope, strict: bool) -> io::Result<Result<Reply, Reply>> {
        self.reply(&Reply::new(354, "", "Go on, and end with a dot alone on its line"))?;
        let mut dots = Unstuff::new(if strict { Discipline::Strict } else { Discipline::Lf });
        let (mut text, mut broken, mut piece) = (Text::new(self.site), None, Vec::new());
        while !dots.done {
            let input = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                input => input?,
            };
            if input.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            piece.clear();
            let read = dots.feed(input, &mut piece);
            self.input.consume(read);
            if broken.is_none() {
                broken = text.take(&piece, self.site.message_size).err();
            }
        }
        if dots.bare_cr {
            return Ok(Err(Reply::new(550, "5.6.0", "A CR without its LF is in the text")));
        }
        if text.octets > self.site.message_size {
            return Ok(Err(self.too_large()));
        }
        let kept = match broken {
            Some(trouble) => Err(trouble),
            None => text.end().and_then(|()| hand_in(self.site, self.uid, envelope, text, None)),
        };
        Ok(match kept {
            Ok(taken) => Ok(Reply::new(250, "2.0.0", format!("{} is handed in", taken.id))),
            Err(trouble) => Err(refusal(trouble)),
        })
    }

    /// RFC 1870 §6.1.
    fn too_large(&self) -> Reply {
        Reply::new(552, "5.3.4", format!("A letter may have {} octets", self.site.message_size))
    }
}

fn refusal(trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Nobody => order("RCPT comes first"),
        Trouble::Data(why) => Reply::new(554, "5.6.0", why),
        Trouble::Rights(why) => Reply::new(451, "4.3.5", why),
        Trouble::Io(error) => Reply::new(451, "4.3.0", format!("Not kept: {error}")),
    }
}

/// RFC 5321 §4.1.4.
fn order(text: &'static str) -> Reply {
    Reply::new(503, "5.5.1", text)
}

fn not_here() -> Reply {
    Reply::new(502, "5.5.1", "Not on standard input; smtpd does that")
}
