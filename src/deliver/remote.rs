//! To another host: the hosts of a destination in order, each address, until one takes the letter
//! (RFC 5321 §5.1); the connection is kept for the next one.
//!
//! A host that was down is remembered for a while and passed over.

use super::lanes::{Job, Lane};
use super::logins;
use super::outcome::Outcome;
use super::run::Runner;
use super::targets::{Target, targets};
use crate::limits;
use crate::mail::Mailbox;
use crate::net::client::Place;
use crate::queue::{Envelope, Notify, Recipient, Ret};
use crate::smtp::client::{self, Connection, Failure, Login, Peer, Sent, Step, Times};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A connection that may take more letters.
pub(super) struct Line {
    connection: Connection,
    host: String,
}

impl Line {
    /// Says good-bye.
    pub fn end(self) {
        self.connection.quit();
    }
}

/// Hosts that could not be reached, and until when that is believed.
#[derive(Default)]
pub(super) struct Down {
    places: Mutex<HashMap<Place, (Instant, Failure)>>,
}

impl Down {
    fn get(&self, place: &Place) -> Option<Failure> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, failure) = places.get(place)?;
        (*until > Instant::now()).then(|| failure.clone())
    }

    fn note(&self, place: &Place, failure: &Failure) {
        let is_down = matches!(
            failure,
            Failure::Unreachable(_)
                | Failure::Timeout(Step::Connect | Step::Greeting)
                | Failure::Cut(Step::Greeting)
        );
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if is_down && places.len() < limits::BACKLOG {
            places.insert(place.clone(), (Instant::now() + limits::DOWN, failure.clone()));
        }
    }
}

/// What became of the recipients of a job, and what was said.
pub(super) type Done = (Vec<(usize, Outcome)>, Arc<Vec<String>>);

/// Sends a letter to the recipients of a job.
pub(super) fn send(runner: &Runner, lane: &Lane, line: &mut Option<Line>, job: &Job) -> Done {
    let now = runner.clock.now();
    let nobody = Arc::new(Vec::new());
    let Some(envelope) = job.work.envelope() else { return (Vec::new(), nobody) };
    let to: Vec<&Recipient> =
        job.recipients.iter().filter_map(|number| envelope.recipients.get(number - 1)).collect();
    let all = |outcome: Outcome| job.recipients.iter().map(|to| (*to, outcome.clone())).collect();
    let parcel = match Parcel::open(job, &envelope, &to) {
        Ok(parcel) => parcel,
        Err(error) => return (all(Outcome::ours(now, "4.3.0", error.to_string())), nobody),
    };
    // RFC 5321 §3.3: another letter over the same connection, if it is still there.
    if let Some(mut open) = line.take() {
        let sent = parcel.send(&mut open.connection);
        if !nobody_answered(&sent) {
            return parcel.told(runner, open, sent, line);
        }
    }
    let targets = match targets(runner, lane) {
        Ok(targets) => targets,
        Err((status, why)) => return (all(Outcome::ours(now, status, why)), nobody),
    };
    let mut last: Option<(Outcome, Arc<Vec<String>>)> = None;
    for target in targets.into_iter().take(limits::ADDRESSES) {
        let (failure, dialogue) = match connect(runner, &target) {
            Err((failure, dialogue)) => (failure, dialogue),
            // A relay that the site named may well be this host: its LMTP store, a filter.
            Ok(connection)
                if matches!(lane, Lane::Domain(_))
                    && connection.server().eq_ignore_ascii_case(&runner.site.hostname) =>
            {
                // RFC 5321 §5.1: where better hosts were tried, we hold its mail until they are back.
                if let Some((outcome @ Outcome::Later(_), dialogue)) = last {
                    return (all(outcome), dialogue);
                }
                return (all(circle(now, &target.name)), connection.dialogue().into());
            }
            Ok(mut connection) => {
                let sent = parcel.send(&mut connection);
                let open = Line { connection, host: target.name.clone() };
                match &sent.failure {
                    Some(failure) if nobody_answered(&sent) => {
                        (failure.clone(), open.connection.dialogue())
                    }
                    _ => return parcel.told(runner, open, sent, line),
                }
            }
        };
        let outcome = Outcome::of(&failure.answer(), &target.name, now, false);
        log::info!("{} host={} error={:?}", job.work.id(), target.name, failure.to_string());
        // One host that may do better later is hope enough.
        if !matches!((&last, &outcome), (Some((Outcome::Later(_), _)), Outcome::Never(_))) {
            last = Some((outcome, Arc::new(dialogue)));
        }
    }
    match last {
        Some((outcome, dialogue)) => (all(outcome), dialogue),
        None => (all(Outcome::ours(now, "4.4.4", "its hosts have no addresses")), nobody),
    }
}

/// RFC 5321 §6.3.
fn circle(now: u64, name: &str) -> Outcome {
    Outcome::ours(now, "5.4.6", format!("{name} is this host, and the domain is not ours"))
}

/// What is sent: the parts of the envelope as the client takes them.
struct Parcel<'a> {
    job: &'a Job,
    envelope: &'a Envelope,
    sender: Option<&'a Mailbox>,
    to: Vec<(&'a Mailbox, Option<String>, Option<&'a str>)>,
}

impl<'a> Parcel<'a> {
    fn open(
        job: &'a Job,
        envelope: &'a Envelope,
        to: &[&'a Recipient],
    ) -> std::io::Result<Parcel<'a>> {
        job.work.survey(&mut job.work.text()?)?;
        let sender = to.first().and_then(|to| envelope.sender(to));
        let to =
            to.iter().map(|to| (&to.path, to.notify.map(words), to.orcpt.as_deref())).collect();
        Ok(Parcel { job, envelope, sender, to })
    }

    fn send(&self, connection: &mut Connection) -> Sent {
        let unread = |why: std::io::Error| Sent {
            answers: Vec::new(),
            failure: Some(Failure::Content(why.to_string())),
        };
        let mut text = match self.job.work.text() {
            Ok(text) => text,
            Err(error) => return unread(error),
        };
        let survey = match self.job.work.survey(&mut text) {
            Ok(survey) => survey,
            Err(error) => return unread(error),
        };
        let recipients: Vec<_> = self
            .to
            .iter()
            .map(|(path, notify, orcpt)| client::Recipient {
                path,
                notify: notify.as_deref(),
                orcpt: *orcpt,
            })
            .collect();
        let letter = client::Letter {
            reverse_path: self.sender,
            recipients: &recipients,
            survey,
            utf8: self.envelope.utf8,
            ret: self.envelope.ret.map(|ret| if ret == Ret::Full { "FULL" } else { "HDRS" }),
            envid: self.envelope.envid.as_deref(),
        };
        connection.send(&letter, &mut text)
    }

    /// The answers as outcomes; the connection goes back, if it is still one.
    fn told(&self, runner: &Runner, open: Line, sent: Sent, line: &mut Option<Line>) -> Done {
        let now = runner.clock.now();
        let dialogue = Arc::new(open.connection.dialogue());
        let dsn = open.connection.offers().dsn;
        let mut answers = sent.answers.iter();
        let failure = sent.failure.as_ref().map(Failure::answer);
        let outcomes = self.job.recipients.iter().map(|number| {
            let outcome = match answers.next().or(failure.as_ref()) {
                Some(answer) => Outcome::of(answer, &open.host, now, dsn),
                None => Outcome::ours(now, "4.5.0", "the host did not say what became of it"),
            };
            (*number, outcome)
        });
        let outcomes = outcomes.collect();
        log::info!("{} host={} tls={:?}", self.job.work.id(), open.host, tls(&open));
        if open.connection.is_open() {
            *line = Some(open);
        }
        (outcomes, dialogue)
    }
}

fn tls(open: &Line) -> String {
    open.connection.encryption().to_string()
}

/// RFC 3461 §4.1.
fn words(notify: Notify) -> String {
    let wanted = [
        (notify.success, "SUCCESS"),
        (notify.failure, "FAILURE"),
        (notify.delay, "DELAY"),
        (notify == Notify { success: false, failure: false, delay: false }, "NEVER"),
    ];
    wanted.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
}

/// The connection came to nothing before the host decided about a recipient: another may, or this
/// one on a new connection, where it had only enough of the old one.
fn nobody_answered(sent: &Sent) -> bool {
    let Some(failure) = &sent.failure else { return false };
    let step = match failure {
        Failure::Cut(step) | Failure::Timeout(step) | Failure::Garbage(step, _) => *step,
        // RFC 5321 §3.8: 421 is about the connection, whatever it answers.
        Failure::Refused(answer) => answer.step,
        _ => return false,
    };
    // Who had no answer has been given the failure's.
    let instead = failure.answer();
    !matches!(step, Step::Text | Step::End)
        && sent.answers.iter().all(|answer| answer.from_us || *answer == instead)
}

fn connect(runner: &Runner, target: &Target) -> Result<Connection, (Failure, Vec<String>)> {
    if let Some(failure) = runner.down.get(&target.place) {
        return Err((failure, Vec::new()));
    }
    let trust = runner.trust().map_err(|why| (Failure::Tls(why), Vec::new()))?;
    let login = logins::find(&runner.site, &target.name)
        .map_err(|why| (Failure::Login(why), Vec::new()))?;
    let login = login.as_ref().map(|(name, password)| Login { name, password });
    let peer = Peer {
        place: target.place.clone(),
        name: &target.name,
        hello: &runner.site.hostname,
        lmtp: target.lmtp,
        security: target.security,
        implicit_tls: target.implicit_tls,
        login,
        times: Times::default(),
    };
    Connection::open(&peer, trust, runner.watch(&target.name)).map_err(|broken| {
        runner.down.note(&target.place, &broken.failure);
        (broken.failure, broken.dialogue)
    })
}
