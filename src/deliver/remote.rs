//! To another host: the hosts of a destination in order, each address, until one takes the letter
//! (RFC 5321 §5.1); the connection is kept for the next one.
//!
//! What TLS must be: `tls_require`, or the domain's own policy (RFC 8461), or as much as can be had.
//! A host that was down is remembered for a while and passed over.

use super::lanes::{Job, Lane};
use super::logins;
use super::outcome::Outcome;
use super::run::Runner;
use crate::conf::{Speaks, Way};
use crate::dns::NoHosts;
use crate::limits;
use crate::mail::Mailbox;
use crate::net::client::Place;
use crate::net::sts::{self, Mode, Policy};
use crate::queue::{Envelope, Notify, Recipient, Ret};
use crate::smtp::client::{self, Connection, Failure, Login, Peer, Security, Sent, Step, Times};
use std::collections::HashMap;
use std::net::IpAddr;
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

/// One host with the ways to reach it.
struct Target {
    name: String,
    place: Place,
    lmtp: bool,
    implicit_tls: bool,
    security: Security,
}

/// Why there is nobody to send to, for all recipients alike.
type NoTarget = (&'static str, String);

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
        if !lost_patience(&sent) {
            return parcel.told(runner, open, sent, line);
        }
    }
    let targets = match targets(runner, lane) {
        Ok(targets) => targets,
        Err((status, why)) => return (all(Outcome::ours(now, status, why)), nobody),
    };
    let mut last: Option<(Outcome, Arc<Vec<String>>)> = None;
    for target in targets.into_iter().take(limits::ADDRESSES) {
        let failed = match connect(runner, &target) {
            Err((failure, dialogue)) => (failure, dialogue),
            Ok(connection) if connection.server().eq_ignore_ascii_case(&runner.site.hostname) => {
                let text = format!("{} is this host, and the domain is not ours", target.name);
                return (all(Outcome::ours(now, "5.4.6", text)), connection.dialogue().into());
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
        let (failure, dialogue) = failed;
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
        log::debug!("{} host={} tls={:?}", self.job.work.id(), open.host, tls(&open));
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

/// The other side hung up while nothing was said: nothing of this letter was sent.
fn lost_patience(sent: &Sent) -> bool {
    matches!(
        sent.failure,
        Some(Failure::Cut(Step::Reset | Step::Mail) | Failure::Timeout(Step::Reset | Step::Mail))
    )
}

/// The connection came to nothing before the host said anything of a recipient: another may.
fn nobody_answered(sent: &Sent) -> bool {
    let early = match &sent.failure {
        Some(Failure::Cut(step) | Failure::Timeout(step) | Failure::Garbage(step, _)) => {
            !matches!(step, Step::Text | Step::End)
        }
        Some(Failure::Refused(_)) => true,
        _ => false,
    };
    early && sent.answers.iter().all(|answer| answer.from_us)
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

/// Every address of every host, in order.
fn targets(runner: &Runner, lane: &Lane) -> Result<Vec<Target>, NoTarget> {
    match lane {
        Lane::Relay(Way::Socket(path)) => Ok(vec![Target {
            name: "localhost".into(),
            place: Place::Unix(path.clone()),
            lmtp: true,
            implicit_tls: false,
            security: Security::Clear,
        }]),
        Lane::Relay(Way::Host { host, port, speaks }) => {
            let required = runner.site.tls_require.iter().any(|domain| domain.holds(host));
            let security = if required { Security::Verified } else { Security::Opportunistic };
            let mut found = of_host(runner, host, *port, security);
            for target in &mut found.iter_mut().flatten() {
                target.lmtp = *speaks == Speaks::Lmtp;
                target.implicit_tls = *speaks == Speaks::Smtps;
            }
            // The relay is the site's to set right.
            found.map_err(|(_, why)| ("4.4.4", format!("{host}: {why}")))
        }
        Lane::Domain(domain) => of_domain(runner, domain),
        Lane::Relay(Way::Mx) | Lane::Here | Lane::Programs => Ok(Vec::new()),
    }
}

fn of_domain(runner: &Runner, domain: &str) -> Result<Vec<Target>, NoTarget> {
    let required = runner.site.tls_require.iter().any(|pattern| pattern.holds(domain));
    let mut security = if required { Security::Verified } else { Security::Opportunistic };
    let path = Mailbox { local_part: String::new(), domain: domain.into() };
    if let Some(ip) = path.literal() {
        return of_host(runner, &ip.to_string(), 25, security);
    }
    let is_us = |name: &str| name.eq_ignore_ascii_case(&runner.site.hostname);
    let mut hosts = runner.dns.hosts(domain, is_us).map_err(|none| no_hosts(domain, none))?;
    if let Some(policy) = policy(runner, domain) {
        match policy.mode {
            Mode::Enforce => {
                security = Security::Verified;
                hosts.retain(|host| policy.allows(&host.name));
                if hosts.is_empty() {
                    let why = format!("no host of {domain} is in its policy (RFC 8461 §4.1)");
                    return Err(("4.7.5", why));
                }
            }
            Mode::Testing | Mode::None => {}
        }
    }
    let mut targets = Vec::new();
    let mut failure = None;
    for host in hosts {
        match of_host(runner, &host.name, 25, security) {
            Ok(found) => targets.extend(found),
            Err(why) => failure = Some(why),
        }
    }
    match failure {
        Some((_, why)) if targets.is_empty() => Err(("4.4.4", why)),
        _ => Ok(targets),
    }
}

fn of_host(
    runner: &Runner,
    host: &str,
    port: u16,
    security: Security,
) -> Result<Vec<Target>, NoTarget> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(ip) => vec![(ip, port).into()],
        Err(_) => runner
            .dns
            .addresses(host, port)
            .map_err(|failure| ("4.4.3", format!("{host}: {failure}")))?,
    };
    let target = |address| Target {
        name: host.to_owned(),
        place: Place::Tcp { address, source: None },
        lmtp: false,
        implicit_tls: false,
        security,
    };
    Ok(addresses.into_iter().map(target).collect())
}

/// RFC 3463 §3.2 and §3.5, RFC 7505 §4.2.
fn no_hosts(domain: &str, none: NoHosts) -> NoTarget {
    match none {
        NoHosts::NoSuchDomain => ("5.1.2", format!("the domain {domain} does not exist")),
        NoHosts::NullMx => ("5.1.10", format!("the domain {domain} takes no mail (RFC 7505)")),
        NoHosts::Us => {
            ("5.4.6", format!("the mail of {domain} comes to this host, which does not know it"))
        }
        NoHosts::Temporary(why) => ("4.4.3", format!("{domain}: {why}")),
    }
}

/// RFC 8461 §3: what the domain says of itself, where it says anything.
fn policy(runner: &Runner, domain: &str) -> Option<Policy> {
    if !runner.site.mta_sts {
        return None;
    }
    let texts = runner.dns.texts(&format!("_mta-sts.{domain}")).unwrap_or_default();
    let texts: Vec<String> =
        texts.into_iter().map(|text| String::from_utf8_lossy(&text).into_owned()).collect();
    let id = sts::record_id(&texts);
    let fetch = || {
        let host = format!("mta-sts.{domain}");
        let addresses = runner.dns.addresses(&host, 443).map_err(|error| error.to_string())?;
        sts::fetch(domain, &addresses, runner.trust()?)
    };
    runner.policies.policy(domain, id.as_deref(), runner.clock.now(), fetch)
}
