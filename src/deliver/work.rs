//! One letter at work: what its addresses come to, what became of each attempt, and its end, when
//! the sender is told, and the letter removed or put back.
//!
//! Invariant 7: a recipient is done when somebody has the letter on disk, or the report of it is.

use super::expand::{Expanded, expand};
use super::lanes::Lane;
use super::notify;
use super::outcome::{Delivered, Outcome};
use super::report::{Action, Entry};
use super::retry;
use super::run::Runner;
use crate::auth::User;
use crate::conf::{Site, Way, Whose};
use crate::mail::{Mailbox, Survey};
use crate::queue::{Claimed, Envelope, Event, Goal, Recipient, Said, State, Text};
use crate::smtp::client::survey;
use crate::text::printable;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A letter that is being worked on, shared by the threads that do.
pub(super) struct Work {
    id: String,
    /// The users whose mailboxes recipients are, by number.
    users: HashMap<usize, User>,
    survey: OnceLock<Survey>,
    inner: Mutex<Inner>,
}

struct Inner {
    /// `None` once it is over.
    claimed: Option<Box<Claimed>>,
    /// Jobs that are not finished.
    pending: usize,
    /// What was said at the last attempt, by number.
    dialogues: HashMap<usize, Arc<Vec<String>>>,
    /// Deliveries that the sender may want to hear of.
    delivered: Vec<(usize, Delivered)>,
    /// Addresses that came to several, for the same.
    several: Vec<usize>,
    tried: bool,
}

/// A letter, and the lanes of those who still wait: their numbers, grouped.
pub(super) type Begun = (Arc<Work>, BTreeMap<Lane, Vec<Vec<usize>>>);

/// RFC 5321 §4.5.3.1.8: as many recipients as every host must take at once.
const TOGETHER: usize = 100;

impl Work {
    /// Finds out what the addresses come to now.
    pub fn begin(runner: &Runner, mut claimed: Box<Claimed>) -> io::Result<Begun> {
        // Careful: what is done must find room to be written down, or it would be done again.
        claimed.reserve()?;
        let Expanded { users, unknown, several } = expand(runner, &mut claimed)?;
        let mut lanes: BTreeMap<Lane, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
        let envelope = &claimed.envelope;
        let known = |to: &&Recipient| to.is_waiting() && !unknown.contains(&to.number);
        for to in envelope.recipients.iter().filter(known) {
            let sender = envelope.sender(to).map_or(String::new(), ToString::to_string);
            let lane = lane(&runner.site, &users, to, &sender);
            lanes.entry(lane).or_default().entry(sender).or_default().push(to.number);
        }
        let jobs = |lane: &Lane, groups: BTreeMap<String, Vec<usize>>| -> Vec<Vec<usize>> {
            // Careful: here each is noted before the next; a runner that is killed repeats one.
            let together = if envelope.is_list || lane.is_here() { 1 } else { TOGETHER };
            groups.values().flat_map(|group| group.chunks(together)).map(<[_]>::to_vec).collect()
        };
        let lanes = lanes.into_iter().map(|(lane, groups)| (lane.clone(), jobs(&lane, groups)));
        let lanes = lanes.collect();
        let id = claimed.entry.id.clone();
        let inner = Mutex::new(Inner {
            claimed: Some(claimed),
            pending: 1,
            dialogues: HashMap::new(),
            delivered: Vec::new(),
            several,
            tried: !unknown.is_empty(),
        });
        Ok((Arc::new(Work { id, users, survey: OnceLock::new(), inner }), lanes))
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The user whose mailbox a recipient is.
    pub fn user(&self, number: usize) -> Option<&User> {
        self.users.get(&number)
    }

    /// What is known of it, as it is now.
    pub fn envelope(&self) -> Option<Envelope> {
        self.lock().claimed.as_ref().map(|claimed| claimed.envelope.clone())
    }

    /// Its text, opened anew.
    pub fn text(&self) -> io::Result<Text> {
        self.lock().claimed.as_ref().map_or(Err(io::ErrorKind::NotFound.into()), |it| it.text())
    }

    /// What kind of octets its text has; found out once.
    pub fn survey(&self, text: &mut Text) -> io::Result<&Survey> {
        match self.survey.get() {
            Some(survey) => Ok(survey),
            None => {
                let found = survey(text)?;
                Ok(self.survey.get_or_init(|| found))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more job is under way.
    pub fn expect(&self) {
        self.lock().pending += 1;
    }

    /// A job is over: what became of its recipients is written down, and after the last job the
    /// letter is brought to its end. True when it was the last.
    pub fn finish(
        &self,
        runner: &Runner,
        outcomes: Vec<(usize, Outcome)>,
        dialogue: &Arc<Vec<String>>,
    ) -> bool {
        let mut inner = self.lock();
        let now = runner.clock.now();
        let mut events = Vec::with_capacity(outcomes.len());
        for (number, outcome) in outcomes {
            inner.tried = true;
            self.tell(&inner, number, &outcome);
            events.push(Event::State(
                number,
                match outcome {
                    Outcome::Done(delivered) => {
                        inner.delivered.push((number, delivered));
                        State::Done
                    }
                    Outcome::Later(said) => State::Waiting(Some(said)),
                    Outcome::Never(said) => State::Failed(said),
                },
            ));
            inner.dialogues.insert(number, dialogue.clone());
        }
        if let Some(claimed) = &mut inner.claimed
            && let Err(error) = claimed.note(now, events)
        {
            runner.stop(&format!("{} note error={error}", self.id));
        }
        inner.pending -= 1;
        if inner.pending > 0 {
            return false;
        }
        let id = &self.id;
        let ended = inner.conclude(runner, now);
        ended.unwrap_or_else(|error| runner.stop(&format!("{id} stays error={error}")));
        true
    }

    /// One log line for each.
    fn tell(&self, inner: &Inner, number: usize, outcome: &Outcome) {
        let Some(to) = inner.claimed.as_ref().and_then(|it| it.envelope.recipients.get(number - 1))
        else {
            return;
        };
        let (id, to) = (&self.id, printable(to.path.to_string().as_bytes()));
        match outcome {
            Outcome::Done(Delivered { host, text, .. }) => {
                let host = host.as_deref().unwrap_or("here");
                log::info!("{id} sent to=<{to}> host={host} said={text:?}");
            }
            Outcome::Later(said) => log::info!("{id} deferred to=<{to}> {}", shown(said)),
            Outcome::Never(said) => log::info!("{id} failed to=<{to}> {}", shown(said)),
        }
    }
}

fn shown(said: &Said) -> String {
    let host = said.host.as_deref().unwrap_or("-");
    format!("status={} host={host} said={:?}", said.status, said.text)
}

/// The first `relay` line that fits decides; else the hosts of the domain.
pub(super) fn way(site: &Site, sender: &str, domain: &str) -> Way {
    relay(site, sender, domain).map_or(Way::Mx, |nth| site.relays[nth].way.clone())
}

/// Which `relay` line that is.
pub(super) fn relay(site: &Site, sender: &str, domain: &str) -> Option<usize> {
    let fits = |whose: &Whose| match whose {
        Whose::All => true,
        Whose::To(pattern) => pattern.holds(domain),
        Whose::From(who) if who.starts_with('@') => sender.to_lowercase().ends_with(&**who),
        Whose::From(who) => sender.to_lowercase() == *who,
    };
    site.relays.iter().position(|relay| fits(&relay.whose))
}

/// Whether a domain, or a host, is one of `tls_require`.
pub(super) fn requires_tls(site: &Site, domain: &str) -> bool {
    site.tls_require.iter().any(|pattern| pattern.holds(domain))
}

fn lane(site: &Site, users: &HashMap<usize, User>, to: &Recipient, sender: &str) -> Lane {
    if users.contains_key(&to.number) {
        return Lane::Here;
    }
    match &to.goal {
        Goal::Program(_, owner) | Goal::File(_, owner) => Lane::Programs(owner.clone()),
        Goal::User(_) => Lane::Here,
        Goal::Address => match way(site, sender, &to.path.domain) {
            Way::Mx => Lane::Domain(to.path.domain.to_lowercase()),
            way => Lane::Relay(way, requires_tls(site, &to.path.domain)),
        },
    }
}

impl Inner {
    /// Nobody is at work on it: reports are queued, and then it goes, or waits.
    fn conclude(&mut self, runner: &Runner, now: u64) -> io::Result<()> {
        let Some(mut claimed) = self.claimed.take() else { return Ok(()) };
        if self.tried {
            claimed.note(now, vec![Event::Tried])?;
        }
        if retry::is_over(&runner.site, &claimed.envelope, now) {
            claimed.note(now, give_up(&claimed.envelope, now))?;
        }
        self.report(runner, &mut claimed, now)?;
        if claimed.envelope.is_finished() {
            return claimed.remove();
        }
        // A letter that found no room is not punished for it.
        let due = match self.tried {
            true => retry::next(&runner.site, &claimed.envelope, now),
            false => claimed.entry.due,
        };
        claimed.defer(due)
    }

    /// Tells each sender once what they want to hear, and then notes that they were told.
    fn report(&self, runner: &Runner, claimed: &mut Claimed, now: u64) -> io::Result<()> {
        let late = retry::is_late(&runner.site, &claimed.envelope, now);
        let envelope = claimed.envelope.clone();
        let mut senders: BTreeMap<String, (Option<&Mailbox>, Vec<Entry>)> = BTreeMap::new();
        let mut told = Vec::new();
        for to in &envelope.recipients {
            let action = match &to.state {
                State::Failed(_) => {
                    told.push(Event::State(to.number, State::Reported));
                    // NEVER is for senders: what came under <> the postmaster hears of, who may
                    // be a member of the list that it went to.
                    let heard = match envelope.sender(to) {
                        Some(_) => to.notify().failure,
                        None => !envelope.is_list,
                    };
                    heard.then_some(Action::Failed)
                }
                State::Waiting(Some(_)) if late => to.notify().delay.then_some(Action::Delayed),
                State::Done if to.notify().success => self.success(to.number),
                _ => None,
            };
            if let Some(action) = action {
                let dialogue = self.dialogues.get(&to.number).cloned().unwrap_or_default();
                let sender = envelope.sender(to);
                let name = sender.map_or(String::new(), ToString::to_string);
                let (_, entries) = senders.entry(name).or_insert((sender, Vec::new()));
                entries.push(Entry { to, action, dialogue });
            }
        }
        for (sender, entries) in senders.values() {
            notify::send(runner, claimed, &envelope, *sender, entries, now)?;
        }
        if late && envelope.recipients.iter().any(Recipient::is_waiting) {
            told.push(Event::DelayTold);
        }
        claimed.note(now, told)
    }

    fn success(&self, number: usize) -> Option<Action> {
        if self.several.contains(&number) {
            return Some(Action::Expanded);
        }
        let (_, delivered) = self.delivered.iter().find(|(other, _)| *other == number)?;
        match delivered {
            Delivered { tells_itself: true, .. } => None,
            Delivered { host: None, .. } => Some(Action::Delivered),
            Delivered { host: Some(host), .. } => Some(Action::Relayed(host.clone())),
        }
    }
}

/// RFC 5321 §4.5.4.1: whoever still waits has waited long enough.
fn give_up(envelope: &Envelope, now: u64) -> Vec<Event> {
    let waiting = envelope.recipients.iter().filter_map(|to| match &to.state {
        State::Waiting(said) => Some((to.number, said.clone())),
        _ => None,
    });
    waiting
        .map(|(number, said)| {
            let last = Said {
                at: now,
                status: "4.4.7".into(),
                host: None,
                text: "it was never tried".into(),
            };
            let said = Said { at: now, ..said.unwrap_or(last) };
            Event::State(number, State::Failed(Said { status: "5.4.7".into(), ..said }))
        })
        .collect()
}

/// Whose copies a local delivery makes.
pub(super) fn addressed(user: &User, path: &Mailbox) -> Mailbox {
    Mailbox { local_part: user.name.clone(), domain: path.domain.to_ascii_lowercase() }
}
