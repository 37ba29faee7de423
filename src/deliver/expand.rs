//! What the addresses of a queued letter come to: users, other addresses, programs, files, lists.
//!
//! An address that is one user's is delivered as it stands. What an alias comes to is written into
//! the envelope, so that a later attempt goes on from there and nobody gets a letter twice. A list
//! makes a letter of its own, for its members, under its own reverse-path (RFC 5321 §3.9.2).

use super::outcome::Outcome;
use super::run::Runner;
use crate::auth::User;
use crate::conf::Site;
use crate::limits;
use crate::mail::{Mailbox, field, fields};
use crate::queue::{Claimed, Envelope, Event, Goal, Notify, Pending, Recipient, State};
use crate::route::{self, List, Refusal, Routed, Target};
use crate::sys::clock;
use crate::text::printable;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::time::{Duration, UNIX_EPOCH};

/// What the recipients who wait are.
#[derive(Default)]
pub(super) struct Expanded {
    /// Mailboxes of users, by number.
    pub users: HashMap<usize, User>,
    /// Addresses of ours that come to nobody, or cannot be looked up now.
    pub unknown: HashSet<usize>,
    /// Those that came to several, and whose sender wants to hear of success (RFC 3461 §5.2.7.3).
    pub several: Vec<usize>,
}

/// Resolves whoever waits, and notes what they come to.
pub(super) fn expand(runner: &Runner, claimed: &mut Claimed) -> io::Result<Expanded> {
    let mut expanded = Expanded::default();
    let mut goals = HashSet::new();
    let mut at = 0;
    // Those that are added are looked at as well: members of lists of lists, addresses of ours.
    while let Some(to) = claimed.envelope.recipients.get(at).cloned() {
        at += 1;
        if !to.is_waiting() {
            goals.insert(key(&to, None));
            continue;
        }
        let found = match &to.goal {
            _ if at > limits::QUEUED_RECIPIENTS => Err(Refusal::TooMany),
            Goal::Program(..) | Goal::File(..) => Ok(Found::Elsewhere),
            Goal::User(name) => route::user(&runner.site, &runner.users, name).map(Found::User),
            Goal::Address => resolve(runner, &to.path),
        };
        // Two ways to one goal are one delivery, unless each is to be told of.
        let user = match &found {
            Ok(Found::User(user)) => Some(user),
            _ => None,
        };
        if !matches!(found, Ok(Found::Several(_)) | Err(_))
            && !goals.insert(key(&to, user))
            && !to.notify().success
        {
            claimed.note(runner.clock.now(), vec![Event::State(to.number, State::Done)])?;
            continue;
        }
        let refusal = match found {
            Ok(Found::Elsewhere) => None,
            Ok(Found::User(user)) => {
                expanded.users.insert(to.number, user);
                None
            }
            Ok(Found::Several(routed)) => {
                if to.notify().success && routed.len() > 1 {
                    expanded.several.push(to.number);
                }
                several(runner, claimed, &to, routed)?
            }
            Err(refusal) => Some(refusal),
        };
        if let Some(refusal) = refusal {
            expanded.unknown.insert(to.number);
            refuse(runner, claimed, &to, refusal)?;
        }
    }
    Ok(expanded)
}

/// What makes two recipients the same: goal, path and reverse-path, and for a user the name alone.
fn key(to: &Recipient, user: Option<&User>) -> (Goal, Mailbox, Option<Mailbox>) {
    let goal = user.map_or_else(|| to.goal.clone(), |user| Goal::User(user.name.clone()));
    let path = match &goal {
        Goal::User(name) => Mailbox { local_part: name.clone(), domain: String::new() },
        _ => Mailbox { domain: to.path.domain.to_ascii_lowercase(), ..to.path.clone() },
    };
    (goal, path, to.sender.clone())
}

enum Found {
    Elsewhere,
    User(User),
    Several(Vec<Routed>),
}

fn resolve(runner: &Runner, path: &Mailbox) -> Result<Found, Refusal> {
    let ours =
        path.domain.is_empty() || route::is_ours(&runner.site, &runner.routes, &path.domain)?;
    if !ours {
        return Ok(Found::Elsewhere);
    }
    let mut routed = route::resolve(&runner.site, &runner.users, &runner.routes, path)?;
    Ok(match &routed[..] {
        [Routed { target: Target::User(_), owner: None, .. }] => match routed.remove(0).target {
            Target::User(user) => Found::User(user),
            _ => Found::Elsewhere,
        },
        // A mailbox of ours that is elsewhere.
        [Routed { target: Target::Remote(there), .. }] if same(there, path) => Found::Elsewhere,
        _ => Found::Several(routed),
    })
}

fn same(one: &Mailbox, other: &Mailbox) -> bool {
    one.local_part == other.local_part && one.domain.eq_ignore_ascii_case(&other.domain)
}

/// RFC 3463 §3.2 and §3.5: why an address of ours is none.
fn refuse(
    runner: &Runner,
    claimed: &mut Claimed,
    to: &Recipient,
    refusal: Refusal,
) -> io::Result<()> {
    let now = runner.clock.now();
    let status = match refusal {
        Refusal::NoSuchUser | Refusal::NotServed(_) => "5.1.1",
        Refusal::NotLocal | Refusal::Elsewhere(_) => "5.1.6",
        Refusal::Loop | Refusal::TooMany => "5.4.6",
        Refusal::Unavailable(_) => "4.3.0",
    };
    let (id, path) = (&claimed.entry.id, printable(to.path.to_string().as_bytes()));
    log::info!("{id} refused to=<{path}> status={status} cause={:?}", refusal.to_string());
    // What is wrong inside is for the log; the sender reads that there is no such mailbox.
    let text = match &refusal {
        Refusal::NotServed(_) => Refusal::NoSuchUser.to_string(),
        Refusal::Unavailable(_) => "the mailbox cannot be looked up now".into(),
        refusal => refusal.to_string(),
    };
    let state = match Outcome::ours(now, status, text) {
        Outcome::Never(said) => State::Failed(said),
        Outcome::Later(said) => State::Waiting(Some(said)),
        Outcome::Done(_) => return Ok(()),
    };
    claimed.note(now, vec![Event::State(to.number, state)])
}

/// Notes what an alias comes to; itself it is done.
fn several(
    runner: &Runner,
    claimed: &mut Claimed,
    to: &Recipient,
    routed: Vec<Routed>,
) -> io::Result<Option<Refusal>> {
    let mut events = Vec::new();
    // RFC 3461 §5.2.7.3 (c): of several the sender hears that there are several.
    let keeps_success = routed.len() == 1;
    let is_list = |routed: &Routed| matches!(routed.target, Target::List(_));
    let (lists, others): (Vec<_>, Vec<_>) = routed.into_iter().partition(is_list);
    for one in others {
        let number = claimed.envelope.recipients.len() + events.len() + 1;
        let sender = claimed.envelope.sender(to);
        let now = runner.clock.now();
        match recipient(&runner.site, &runner.routes, now, to, one, sender) {
            Ok(mut recipient) => {
                recipient.number = number;
                if let Some(notify) = &mut recipient.notify {
                    notify.success &= keeps_success;
                }
                events.push(Event::Recipient(recipient));
            }
            Err(refusal) => return Ok(Some(refusal)),
        }
    }
    for routed in &lists {
        if let Target::List(list) = &routed.target
            && !members(runner, claimed, routed, list)?
        {
            return Ok(Some(Refusal::Loop));
        }
    }
    events.push(Event::State(to.number, State::Done));
    claimed.note(runner.clock.now(), events)?;
    Ok(None)
}

/// One of the targets of `to` as a recipient in its place, of a letter that this sender sent;
/// wishes for reports go with it (RFC 3461 §5.2.7).
pub fn recipient(
    site: &Site,
    routes: &route::Live,
    now: u64,
    to: &Recipient,
    routed: Routed,
    sender: Option<&Mailbox>,
) -> Result<Recipient, Refusal> {
    let moment = UNIX_EPOCH + Duration::from_secs(now);
    let new = route::reverse_path(site, routes, &routed, sender, moment)?;
    let changed = new.filter(|new| Some(new) != sender);
    let owner = |name: String| Some(name).filter(|name| *name != site.mail_owner);
    let (path, goal) = match routed.target {
        Target::User(user) => (to.path.clone(), Goal::User(user.name)),
        Target::Remote(mailbox) => (mailbox, Goal::Address),
        Target::Program { command, owner: whose } => {
            (to.path.clone(), Goal::Program(command, owner(whose.name)))
        }
        Target::File { path, owner: whose } => {
            (to.path.clone(), Goal::File(path.to_string_lossy().into(), owner(whose.name)))
        }
        Target::List(list) => (list.address, Goal::Address),
    };
    let state = State::Waiting(None);
    Ok(Recipient { path, goal, sender: changed, state, ..to.clone() })
}

/// The letter for the members of a list; false where it was sent to this list before.
fn members(runner: &Runner, claimed: &Claimed, routed: &Routed, list: &List) -> io::Result<bool> {
    let now = clock::micros() / 1_000_000;
    let mut text = claimed.text()?;
    let mut header = Vec::new();
    (&mut text).take(limits::HEADER as u64).read_to_end(&mut header)?;
    let end = memchr::memmem::find(&header, b"\n\n").map_or(0, |end| end + 1);
    header.truncate(end);
    if came_back(&header, &list.address) {
        return Ok(false);
    }
    let head = [list.fields.as_bytes(), &without(&header, &list.fields)].concat();
    let all: Vec<Mailbox> = list.members().collect();
    let mut letters = Vec::new();
    for some in all.chunks(limits::RECIPIENTS) {
        let mut envelope = Envelope::new(clock::id(), now, None);
        envelope.reverse_path = claimed.envelope.reverse_path.as_ref().and(routed.owner.clone());
        envelope.body = claimed.envelope.body;
        envelope.utf8 = claimed.envelope.utf8;
        envelope.is_list = true;
        for member in some {
            // RFC 3461 §5.2.7.3: what becomes of members is the owner's to know.
            envelope.add(member.clone()).notify =
                Some(Notify { success: false, failure: true, delay: false });
        }
        letters.push(runner.queue.prepare(&envelope, &head, &text.content_behind(&header))?);
        let (id, list) = (&claimed.entry.id, &list.address);
        log::info!("{id} list=<{list}> letter={} members={}", envelope.id, some.len());
    }
    // All or none, or the next pass would begin with the first again.
    letters.iter_mut().try_for_each(Pending::show)?;
    letters.iter_mut().try_for_each(Pending::settle)?;
    runner.came();
    Ok(true)
}

fn came_back(header: &[u8], list: &Mailbox) -> bool {
    let address = list.to_string();
    let been = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(address.as_bytes());
    fields(header, 0..header.len())
        .any(|field| field.name.eq_ignore_ascii_case(b"Delivered-To") && been(field.value))
}

/// RFC 2369 §4: what another list wrote so is none of ours, even where we write no such field.
const OF_THE_OTHER_LIST: [&str; 4] =
    ["List-Help", "List-Subscribe", "List-Unsubscribe", "List-Owner"];

/// The header without the fields that stand in `new`, Delivered-To apart, and those of a list
/// before us.
fn without(header: &[u8], new: &str) -> Vec<u8> {
    let replaced = |name: &[u8]| {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        OF_THE_OTHER_LIST.into_iter().any(is)
            || (!is("Delivered-To") && field(new.as_bytes(), 0..new.len(), name).is_some())
    };
    let kept = fields(header, 0..header.len()).filter(|field| !replaced(field.name));
    kept.flat_map(|field| header[field.range].iter().copied()).collect()
}
