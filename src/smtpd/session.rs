//! One session: the loop in which lines become commands, commands replies, replies octets; and the
//! order in which commands may come (RFC 5321 §4.1.4).

use super::data::Chunks;
use crate::auth;
use crate::conf::{Role, Site};
use crate::deliver::Recipient;
use crate::dns;
use crate::limits;
use crate::mail::Mailbox;
use crate::net::dot::Discipline;
use crate::net::{Conn, Full, Hangup, Line, Session, Transcript};
use crate::queue;
use crate::route;
use crate::smtp::command::{self, Command, Parameters, Verb, Wishes};
use crate::smtp::reply::Reply;
use crate::text::printable;
use std::sync::Arc;

/// What sessions share beside the Site. Correctness never depends on it.
#[derive(Default)]
pub struct Live {
    /// The users file, logins under way, failures.
    pub auth: auth::Live,
    /// The aliases file.
    pub route: route::Live,
    /// Who is asked for the names of clients.
    pub dns: dns::Live,
}

/// RFC 5321 §4.1.4: what may come next. Each state carries what exists only in it.
pub(super) enum State {
    /// This host takes no mail (RFC 7504 §3).
    Refusing,
    /// The greeting was sent.
    Greeted,
    /// The client said who it is.
    Ready(Client),
    /// MAIL was accepted.
    Letter(Client, Envelope),
    /// RFC 3030 §2: BDAT was accepted, and more will come.
    Chunks(Client, Envelope, Box<Chunks>),
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Refusing => "refusing",
            State::Greeted => "greeted",
            State::Ready(_) => "ready",
            State::Letter(_, envelope) if envelope.accepted.is_empty() => "mail",
            State::Letter(..) => "rcpt",
            State::Chunks(..) => "chunks",
        }
    }
}

/// Who the client says it is.
#[derive(Clone)]
pub(super) struct Client {
    pub name: String,
    /// It said EHLO.
    pub extended: bool,
}

/// RFC 5321 §2.3.1: what a letter is sent under.
pub(super) struct Envelope {
    pub id: String,
    pub reverse_path: Option<Mailbox>,
    pub parameters: Parameters,
    /// Whose mailboxes it goes into,
    pub recipients: Vec<Recipient>,
    /// what the sender wants to hear of each of them,
    pub wishes: Vec<Wishes>,
    /// and who gets it by the queue.
    pub leaving: Vec<queue::Recipient>,
    /// RCPT commands, refused ones included.
    pub asked: usize,
    /// For each RCPT that was answered with 250, who it means; several may mean the same.
    pub accepted: Vec<Vec<usize>>,
}

/// A refusal is the `Err`.
pub(super) type Outcome = Result<Reply, Reply>;

/// A session at work.
pub(super) struct Smtpd<'a> {
    pub site: Arc<Site>,
    pub live: &'a Live,
    pub conn: Conn,
    pub role: Role,
    pub id: String,
    pub transcript: Transcript,
    /// How lines end; nobody knows before the first command.
    pub discipline: Option<Discipline>,
    pub user: Option<auth::User>,
    /// The confirmed names of the client's address, once somebody had to know.
    pub names: Option<Result<Vec<String>, dns::Failure>>,
    /// AUTH was the last command: a line that is none may be a password.
    after_auth: bool,
    /// The reply may wait for those to the commands behind (RFC 2920 §3.2).
    may_wait: bool,
    /// Letters delivered.
    pub letters: usize,
    /// Errors since the last letter that was taken.
    pub errors: usize,
}

/// Serves a session to its end.
pub fn serve(session: Session, live: &Live) {
    let Session { site, conn, role, id, transcript, .. } = session;
    let mut smtpd = Smtpd {
        site,
        live,
        conn,
        role,
        id,
        transcript,
        discipline: None,
        user: None,
        names: None,
        after_auth: false,
        may_wait: false,
        letters: 0,
        errors: 0,
    };
    let end = match smtpd.run() {
        Ok(()) => "quit",
        Err(Hangup::Lost) => "lost",
        Err(Hangup::Silent) => "timeout",
        Err(Hangup::Stopping) => "stopping",
    };
    let Smtpd { id, conn, letters, errors, transcript, .. } = smtpd;
    transcript.event(end);
    log::info!("{id} end={end} letters={letters} errors={errors}");
    conn.close();
}

/// What a connection reads that cannot be served (RFC 5321 §3.8).
pub fn refuse(site: &Site, full: Full) -> String {
    let text = match full {
        Full::InAll | Full::Resources => "too many connections, try again later",
        Full::FromAddress => "too many connections from your address, try again later",
    };
    let reply = Reply::new(421, "4.7.0", format!("{} {text}", site.hostname));
    String::from_utf8_lossy(&reply.octets()).into_owned()
}

impl Smtpd<'_> {
    fn run(&mut self) -> Result<(), Hangup> {
        let (greeting, mut state) = self.greeting();
        self.reply(&greeting, &state, "RFC 5321 §3.1")?;
        loop {
            let line = match self.line() {
                Ok(line) => line,
                Err(hangup) => return self.last_words(hangup, &state),
            };
            let (rule, outcome) = match self.answer(line, &mut state) {
                Ok((rule, Some(outcome))) => (rule, outcome),
                Ok((_, None)) => continue,
                Err(hangup) => return self.last_words(hangup, &state),
            };
            let starts_tls = matches!(&outcome, Ok(reply) if reply.code == 220);
            let (Ok(mut reply) | Err(mut reply)) = outcome;
            if reply.code >= 500 {
                reply = self.count_error(reply);
            }
            self.reply(&reply, &state, reply.rule.unwrap_or(rule))?;
            if reply.closes {
                return Ok(());
            }
            if !self.may_wait {
                self.conn.flush()?;
            }
            if starts_tls {
                self.start_tls(&mut state)?;
            }
        }
    }

    /// The rule of the reply to a line, and the reply. There is none where LMTP had nobody to
    /// answer for (RFC 2033 §4.3).
    fn answer(
        &mut self,
        line: Line,
        state: &mut State,
    ) -> Result<(&'static str, Option<Outcome>), Hangup> {
        let Line::Text { octets, crlf } = line else {
            self.may_wait = false;
            self.transcript.client("(a line that is too long)", state.name());
            let text = format!("The line is longer than {} octets", limits::SMTP_LINE);
            return Ok(("RFC 5321 §4.5.3.1.4", Some(Err(Reply::new(500, "5.5.2", text)))));
        };
        if let Err(reply) = self.keep_discipline(&octets, crlf) {
            self.transcript.client("(a line that ends in another way)", state.name());
            return Ok(("RFC 5321 §2.3.8", Some(Err(reply))));
        }
        let (verb, mut command) = command::parse(&octets);
        self.may_wait =
            matches!(command, Ok(Command::Mail(..) | Command::Rcpt(..) | Command::Rset));
        let is_secret = verb.is_none() && self.after_auth;
        if self.transcript.is_on() {
            let shown = match is_secret {
                true => format!("({} characters)", octets.len()),
                false => command::shown(&octets, command.is_ok()),
            };
            self.transcript.client(&shown, state.name());
        }
        if let Some(verb) = verb {
            self.after_auth = verb.name == "AUTH";
            self.fix_discipline(verb, &octets, crlf);
        }
        if is_secret {
            command = Err(command::unsaid());
        }
        let rule = verb.map_or("RFC 5321 §4.2.4", |verb| verb.section);
        let outcome = match command {
            Ok(command) => self.execute(command, state)?,
            Err(_) if matches!(state, State::Refusing) => Some(Err(no_mail(&self.site))),
            Err(reply) => Some(Err(reply)),
        };
        Ok((rule, outcome))
    }

    /// RFC 5321 §4.1.4: which command in which state.
    fn execute(&mut self, command: Command, state: &mut State) -> Result<Option<Outcome>, Hangup> {
        Ok(Some(match (command, &mut *state) {
            // RFC 5321 §4.1.1.10: at any time.
            (Command::Quit, _) => Ok(self.quit()),
            // RFC 7504 §3
            (_, State::Refusing) => Err(no_mail(&self.site)),

            // RFC 5321 §4.1.1.1, at any time; what was begun is forgotten. RFC 2033 §4.1.
            (Command::Lhlo(name), _) if self.is_lmtp() => Ok(self.ehlo(name, state)),
            (Command::Lhlo(_), _) => Err(other_protocol("This is SMTP, say EHLO")),
            (Command::Ehlo(_) | Command::Helo(_), _) if self.is_lmtp() => {
                Err(other_protocol("This is LMTP, say LHLO"))
            }
            (Command::Ehlo(name), _) => Ok(self.ehlo(name, state)),
            (Command::Helo(name), _) => Ok(self.helo(name, state)),

            // RFC 5321 §4.1.4: without a greeting, too.
            (Command::Noop, _) => Ok(Reply::new(250, "2.0.0", "OK")),
            (Command::Help(topic), _) => self.help(&topic),
            (Command::Vrfy(who, utf8), _) => self.vrfy(&who, utf8),
            (Command::Expn(who, utf8), _) => self.expn(&who, utf8),
            (Command::Rset, _) => Ok(self.rset(state)),

            // RFC 3207 §4
            (Command::StartTls, State::Letter(..) | State::Chunks(..)) => Err(in_a_letter()),
            (Command::StartTls, _) => self.ready_for_tls(),

            // RFC 4954 §4
            (Command::Auth(..), State::Letter(..) | State::Chunks(..)) => Err(in_a_letter()),
            (Command::Auth(..), State::Greeted) => Err(hello_first()),
            (Command::Auth(name, initial), State::Ready(_)) => self.auth(&name, initial)?,

            // RFC 5321 §4.1.1.2
            (Command::Mail(..), State::Greeted) => Err(hello_first()),
            (Command::Mail(..), State::Letter(..) | State::Chunks(..)) => Err(in_a_letter()),
            (Command::Mail(path, parameters), State::Ready(_)) => {
                self.mail(path, parameters, state)
            }

            // RFC 5321 §4.1.1.3
            (Command::Rcpt(path, wishes), State::Letter(_, envelope)) => {
                self.rcpt(path, wishes, envelope)
            }
            (Command::Rcpt(..), State::Chunks(..)) => Err(in_a_letter()),
            (Command::Rcpt(..), _) => Err(order("MAIL comes first: MAIL FROM:<ana@example.org>")),

            // RFC 1985 §5
            (Command::Etrn(_), State::Greeted) => Err(hello_first()),
            (Command::Etrn(_), State::Letter(..) | State::Chunks(..)) => Err(in_a_letter()),
            (Command::Etrn(node), State::Ready(_)) => self.etrn(&node),

            // RFC 5321 appendix F
            (Command::Obsolete, _) => Err(self.obsolete()),

            // RFC 5321 §4.1.1.4, RFC 3030 §2
            (Command::Data, State::Letter(..) | State::Chunks(..)) => return self.data(state),
            (Command::Data, _) => Err(order("MAIL and RCPT come first")),
            (Command::Bdat(octets, last), _) => return self.bdat(octets, last, state),
        }))
    }

    /// RFC 2033: another greeting, and a reply for each recipient after the text.
    pub(super) fn is_lmtp(&self) -> bool {
        self.role == Role::Lmtp
    }

    /// The next line of a command or of an AUTH exchange.
    pub(super) fn line(&mut self) -> Result<Line, Hangup> {
        self.conn.read_line(limits::SMTP_LINE, self.site.smtp_timeout)
    }

    /// Sends a reply, and writes it down.
    pub(super) fn reply(&mut self, reply: &Reply, state: &State, rule: &str) -> Result<(), Hangup> {
        self.transcript.server(reply.shown(), state.name(), rule);
        if reply.is_negative() {
            let cause = reply.cause.as_deref().map(|cause| format!(" cause={cause:?}"));
            let (id, code, status) = (&self.id, reply.code, reply.status);
            let (text, cause) = (printable(reply.lines[0].as_bytes()), cause.unwrap_or_default());
            log::info!("{id} refused={code} status={status} rule={rule:?} text={text:?}{cause}");
        }
        self.conn.write(&reply.octets())
    }

    /// RFC 5321 §2.3.8 asks for CRLF, and people at a terminal send LF.
    ///
    /// We differ: LF alone is taken where the first command ended in it, and only there. Mixing is
    /// refused and ends the session, as what follows could be anything.
    pub(super) fn keep_discipline(&self, octets: &[u8], crlf: bool) -> Result<(), Reply> {
        if self.discipline != Some(Discipline::Strict) || (crlf && !octets.contains(&b'\r')) {
            return Ok(());
        }
        let text = "A line ended in LF or CR alone after others in CRLF; good-bye";
        Err(Reply::new(500, "5.5.2", text).by("RFC 5321 §2.3.8").and_close())
    }

    fn fix_discipline(&mut self, verb: &Verb, octets: &[u8], crlf: bool) {
        if self.discipline.is_none() {
            let strict = crlf && !octets.contains(&b'\r');
            self.discipline = Some(if strict { Discipline::Strict } else { Discipline::Lf });
            let eol = if strict { "crlf" } else { "lf" };
            log::info!("{} eol={eol} first={}", self.id, verb.name);
        }
    }

    /// RFC 5321 §4.5.3.2 and §7.8: errors slow a session down, and then end it.
    pub(super) fn count_error(&mut self, reply: Reply) -> Reply {
        self.errors += 1;
        if self.errors >= limits::ERRORS_SLOW && !self.site.failure_delay.is_zero() {
            std::thread::sleep(self.site.failure_delay);
        }
        if self.errors < limits::ERRORS {
            return reply;
        }
        let text = format!("{} too many errors, good-bye", self.site.hostname);
        Reply::new(421, "4.7.0", text)
            .by("RFC 5321 §7.8")
            .because(reply.lines[0].clone())
            .and_close()
    }

    /// RFC 5321 §3.8: 421 when we end it.
    fn last_words(&mut self, hangup: Hangup, state: &State) -> Result<(), Hangup> {
        let (status, text, rule) = match hangup {
            Hangup::Lost => return Err(hangup),
            Hangup::Silent => ("4.4.2", "you were silent for too long", "RFC 5321 §4.5.3.2.7"),
            Hangup::Stopping => ("4.3.2", "the service is stopping, come again", "RFC 5321 §3.8"),
        };
        let reply = Reply::new(421, status, format!("{} {text}", self.site.hostname));
        let _ = self.reply(&reply, state, rule);
        Err(hangup)
    }
}

/// RFC 7504 §3.
pub(super) fn no_mail(site: &Site) -> Reply {
    Reply::new(521, "5.3.2", format!("{} does not accept mail", site.hostname)).by("RFC 7504 §3")
}

/// RFC 5321 §4.1.4: out of order.
pub(super) fn order(text: &'static str) -> Reply {
    Reply::new(503, "5.5.1", text).by("RFC 5321 §4.1.4")
}

/// RFC 2033 §4.1.
pub(super) fn other_protocol(text: &'static str) -> Reply {
    Reply::new(500, "5.5.1", text).by("RFC 2033 §4.1")
}

fn hello_first() -> Reply {
    order("Say who you are first: EHLO pc1.example.org")
}

fn in_a_letter() -> Reply {
    order("A letter is under way; end it with DATA, or forget it with RSET")
}
