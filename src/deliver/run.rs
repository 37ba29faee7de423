//! One pass over the queue: what is due is tried, and then it ends; letters that come meanwhile
//! are taken in (DESIGN: the walk of a letter out).
//!
//! The main thread scans, claims and sorts into lanes; threads of the lanes deliver. Both are bounded:
//! letters in hand, jobs of a lane, threads in all and of a lane; what does not fit stays in its file.

use super::lanes::{Job, Lane, Lanes};
use super::outcome::Outcome;
use super::remote::{self, Done, Down, Line};
use super::retry::Clock;
use super::summon::summon;
use super::work::{Work, way};
use super::{behalf, here};
use crate::conf::Site;
use crate::dns::Dns;
use crate::limits;
use crate::net::Trust;
use crate::net::sts::Policies;
use crate::queue::drop as handed_in;
use crate::queue::wake::Wake;
use crate::queue::{Claim, Content, Entry, Envelope, Place, Queue};
use crate::smtp::client::Watch;
use crate::sys::poll::{self, Call};
use crate::sys::{process, thread};
use crate::{auth, route};
use std::collections::{HashSet, VecDeque};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Which letters, and how.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Only the letter of this id.
    pub id: Option<String>,
    /// Only letters with a recipient at this domain who still waits; `@` before it: or below.
    pub domain: Option<String>,
    /// Only letters of this sender.
    pub sender: Option<String>,
    /// As if it were so much later.
    pub ahead: Duration,
    /// Dialogues are shown as they happen, one after another.
    pub verbose: bool,
}

impl Orders {
    /// Whether letters are tried before their time: whoever names them wants them to leave.
    fn is_choice(&self) -> bool {
        self.id.is_some() || self.domain.is_some() || self.sender.is_some()
    }

    fn fits(&self, envelope: &Envelope) -> bool {
        let sender = envelope.reverse_path.as_ref().map_or(String::new(), ToString::to_string);
        let same = |asked: &String, is: &str| asked.eq_ignore_ascii_case(is);
        let at = |node: &String| is_for(envelope, node);
        self.id.as_ref().is_none_or(|id| *id == envelope.id)
            && self.domain.as_ref().is_none_or(at)
            && self.sender.as_ref().is_none_or(|asked| same(asked, &sender))
    }
}

/// Whether somebody still waits for a letter at this domain; `@` before it: or below.
pub(super) fn is_for(envelope: &Envelope, node: &str) -> bool {
    let node = node.to_ascii_lowercase();
    let at = |domain: &str| match node.strip_prefix('@') {
        None => domain == node,
        Some(node) => {
            domain.strip_suffix(node).is_some_and(|left| matches!(left, "") || left.ends_with('.'))
        }
    };
    let mut waiting = envelope.recipients.iter().filter(|to| to.is_waiting());
    waiting.any(|to| at(&to.path.domain.to_ascii_lowercase()))
}

/// A pass at work: what all its threads share.
pub struct Runner {
    pub(super) site: Arc<Site>,
    pub(super) queue: Queue,
    pub(super) dns: Dns,
    pub(super) users: auth::Live,
    pub(super) routes: route::Live,
    pub(super) clock: Clock,
    pub(super) down: Down,
    pub(super) policies: Policies,
    orders: Orders,
    trust: OnceLock<Result<Trust, String>>,
    lanes: Lanes,
    /// Letters in hand, and as many as the descriptors allow.
    active: AtomicUsize,
    most: usize,
    /// Rung when a letter is over.
    bell: Call,
    /// What is done cannot be written down.
    broken: AtomicBool,
}

/// What came of taking a letter.
enum Taken {
    /// It is worked on.
    InHand,
    /// None of its lanes had room, and it is to be taken later.
    Parked,
    /// Another runner has it, or it is none of ours.
    Left,
}

impl Runner {
    /// A pass over the queue of a site.
    pub fn new(site: Site, orders: Orders) -> io::Result<Runner> {
        let mut site = site;
        if orders.verbose {
            (site.max_deliveries, site.max_deliveries_per_host) = (1, 1);
        }
        Ok(Runner {
            queue: Queue::new(&site.queue),
            dns: Dns::new(&site),
            users: auth::Live::default(),
            routes: route::Live::default(),
            clock: Clock { ahead: orders.ahead },
            down: Down::default(),
            policies: Policies::new(site.queue.join("mta-sts")),
            trust: OnceLock::new(),
            lanes: Lanes::default(),
            active: AtomicUsize::new(0),
            most: limits::LETTERS.min(process::sessions().0 / 3),
            bell: Call::new()?,
            broken: AtomicBool::new(false),
            site: Arc::new(site),
            orders,
        })
    }

    /// Whom TLS believes; read when it is first needed.
    pub(super) fn trust(&self) -> Result<&Trust, String> {
        let trust = self.trust.get_or_init(|| Trust::new(&[]).map_err(|error| error.to_string()));
        trust.as_ref().map_err(Clone::clone)
    }

    /// Queues a letter that came of another: a list's, a report.
    pub(super) fn put(
        &self,
        envelope: &Envelope,
        head: &[u8],
        content: &Content,
    ) -> io::Result<()> {
        self.queue.put(envelope, head, content)?;
        self.came();
        Ok(())
    }

    /// A letter was queued: we hear it ourselves, and take it in beside slow hosts. Where we do not
    /// listen another runner does; but who watches sees it leave in the end.
    pub(super) fn came(&self) {
        if self.orders.is_choice() || !self.orders.verbose {
            summon(&self.site);
        }
    }

    /// Takes no more letters: one that was delivered and not noted would be delivered again and
    /// again. Cron's runner will see whether there is room then.
    pub(super) fn stop(&self, why: &str) {
        log::error!("{why}");
        self.broken.store(true, Ordering::Release);
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Who is shown the dialogue with a host.
    pub(super) fn watch(&self, host: &str) -> Option<Watch> {
        let host = host.to_owned();
        let show = move |line: &str| println!("{host}: {line}");
        self.orders.verbose.then(|| Box::new(show) as Watch)
    }

    /// Tries what is due, and what comes meanwhile; ends when nothing is left to be tried.
    pub fn run(self: &Arc<Runner>) -> io::Result<()> {
        // What another runner has, or nobody can open, is due all the same: it is looked at once.
        let mut left = HashSet::new();
        if let Err(error) = self.queue.tidy() {
            log::warn!("tmp error={error}");
        }
        loop {
            let wake = self.listen();
            self.pass(wake.as_ref(), &mut left)?;
            // Careful: first nobody listens any more, then the last look, so that a letter that
            // comes between finds either us or starts another.
            drop(wake);
            if self.is_broken() {
                return Err(io::Error::other("the queue cannot be written, see the log"));
            }
            self.collect();
            if self.orders.is_choice() || self.due(1, &mut left)?.is_empty() {
                return Ok(());
            }
        }
    }

    /// Careful: while we listen nobody starts another runner. So whoever is for chosen letters,
    /// and leaves what else comes, does not; nor who does one thing at a time, for a person to see.
    fn listen(&self) -> Option<Wake> {
        if self.orders.is_choice() || self.orders.verbose {
            return None;
        }
        let wake = Wake::listen(self.queue.root());
        wake.inspect_err(|error| log::warn!("wake error={error}")).ok()
    }

    /// The letters that are to be tried now, the earliest first, but for those that are left; of
    /// these it forgets what has gone.
    fn due(&self, most: usize, left: &mut HashSet<Entry>) -> io::Result<Vec<Entry>> {
        let (now, all) = (self.clock.now(), self.orders.is_choice());
        let mut due = Vec::new();
        let before = std::mem::take(left);
        self.queue.entries(Place::Due, |entry| {
            if before.contains(&entry) {
                left.insert(entry);
            } else if entry.due <= now || all {
                due.push(entry);
            }
            // Half of twice as many: the later ones stay in their directory.
            if due.len() >= 2 * most {
                due.select_nth_unstable(most);
                due.truncate(most);
            }
        })?;
        due.sort_unstable();
        due.truncate(most);
        Ok(due)
    }

    /// Takes in what users of this host handed in.
    fn collect(&self) {
        match handed_in::collect(&self.site, &self.queue) {
            Ok(count) if count > 0 && self.orders.is_choice() => self.came(),
            Ok(_) => {}
            Err(error) => log::error!("drop error={error}"),
        }
    }

    fn pass(self: &Arc<Runner>, wake: Option<&Wake>, left: &mut HashSet<Entry>) -> io::Result<()> {
        self.collect();
        let mut backlog: VecDeque<Entry> = self.due(limits::BACKLOG, left)?.into();
        let mut parked: VecDeque<Entry> = VecDeque::new();
        loop {
            if self.is_broken() {
                backlog.clear();
                parked.clear();
            }
            while self.active.load(Ordering::Acquire) < self.most
                && let Some(entry) = backlog.pop_front()
            {
                match self.take(&entry)? {
                    Taken::InHand => {}
                    Taken::Parked => parked.push_back(entry),
                    Taken::Left => drop(left.insert(entry)),
                }
            }
            if backlog.is_empty() && parked.is_empty() {
                self.lanes.close();
            }
            let active = self.active.load(Ordering::Acquire);
            if active == 0 && backlog.is_empty() {
                if parked.is_empty() {
                    break;
                }
                std::mem::swap(&mut backlog, &mut parked);
                continue;
            }
            let came = self.wait(wake)?;
            if came && !self.is_broken() {
                self.collect();
            }
            if came && !self.is_broken() && backlog.is_empty() {
                let known: HashSet<&Entry> = parked.iter().collect();
                let new = self.due(limits::BACKLOG, left)?;
                let new: Vec<Entry> = new.into_iter().filter(|it| !known.contains(it)).collect();
                backlog.extend(new);
            } else if backlog.is_empty() && !parked.is_empty() {
                // Room may have come in a lane.
                let some = parked.len().min(limits::LANE);
                backlog.extend(parked.drain(..some));
            }
        }
        while self.lanes.workers() > 0 {
            self.wait(None)?;
        }
        Ok(())
    }

    /// Until a letter is over, or one came; whether one came.
    fn wait(&self, wake: Option<&Wake>) -> io::Result<bool> {
        let bell = self.bell.as_fd();
        let patience = Some(Duration::from_millis(500));
        match wake {
            Some(wake) => poll::readable([bell, wake.as_fd()], patience).map(drop)?,
            None => poll::readable([bell], patience).map(drop)?,
        }
        self.bell.silence();
        Ok(wake.is_some_and(Wake::heard))
    }

    /// Takes a letter and gives its recipients to their lanes.
    fn take(self: &Arc<Runner>, entry: &Entry) -> io::Result<Taken> {
        // Who is after others does not hold it, not even for the moment of reading it.
        if self.orders.is_choice()
            && let Ok(Ok(envelope)) = self.queue.look(Place::Due, entry)
            && !self.orders.fits(&envelope)
        {
            return Ok(Taken::Left);
        }
        let claimed = match self.queue.claim(Place::Due, entry) {
            Ok(Claim::Taken(claimed)) => claimed,
            Ok(Claim::Busy) => return Ok(Taken::Left),
            Ok(Claim::Bad(why)) => {
                log::error!("{} bad={why:?}", entry.id);
                return Ok(Taken::Left);
            }
            Err(error) => {
                log::error!("{} error={error}", entry.id);
                return Ok(Taken::Left);
            }
        };
        let (work, lanes) = match Work::begin(self, claimed) {
            Ok(begun) => begun,
            Err(error) => {
                self.stop(&format!("{} error={error}", entry.id));
                return Ok(Taken::Left);
            }
        };
        self.active.fetch_add(1, Ordering::AcqRel);
        let is_full = !lanes.is_empty() && lanes.keys().all(|lane| self.lanes.is_full(lane));
        // Where one lane has room the letter is taken whole: nobody waits for others' hosts.
        for (lane, jobs) in lanes.into_iter().filter(|_| !is_full) {
            for recipients in jobs {
                work.expect();
                self.give(&lane, Job { work: work.clone(), recipients });
            }
        }
        let over = work.finish(self, Vec::new(), &Arc::default());
        self.over(over);
        Ok(if is_full { Taken::Parked } else { Taken::InHand })
    }

    fn give(self: &Arc<Runner>, lane: &Lane, job: Job) {
        let bounds = (self.site.max_deliveries, self.site.max_deliveries_per_host);
        if self.lanes.add(lane, job, bounds) {
            self.start(lane.clone());
        }
    }

    /// A thread for a lane that has been counted already.
    fn start(self: &Arc<Runner>, lane: Lane) {
        let (runner, name) = (self.clone(), lane.clone());
        if let Err(error) = thread::spawn("lane", move || runner.serve(name)) {
            log::error!("thread error={error}");
            // Then the jobs are done here, one after another.
            self.clone().serve(lane);
        }
    }

    /// Works on a lane until nothing is left, and then on another that nobody works on.
    fn serve(self: Arc<Runner>, mut lane: Lane) {
        loop {
            let mut line: Option<Line> = None;
            while let Some(job) = self.lanes.next(&lane, self.site.max_deliveries) {
                let (outcomes, dialogue) = self.deliver(&lane, &mut line, &job);
                let over = job.work.finish(&self, outcomes, &dialogue);
                self.over(over);
            }
            if let Some(line) = line {
                line.end();
            }
            let next = self.lanes.leave(&lane, self.site.max_deliveries);
            self.bell.ring();
            match next {
                Some(next) => lane = next,
                None => return,
            }
        }
    }

    /// What became of a job; one that panics is tried again with its letter, or the pass would wait
    /// for it for good.
    fn deliver(&self, lane: &Lane, line: &mut Option<Line>, job: &Job) -> Done {
        let work = AssertUnwindSafe(|| match lane {
            Lane::Here => here::deliver(self, job),
            Lane::Programs(_) => behalf::deliver(self, job),
            Lane::Domain(_) | Lane::Relay(..) => remote::send(self, lane, line, job),
        });
        panic::catch_unwind(work).unwrap_or_else(|_| {
            let fault = Outcome::ours(self.clock.now(), "4.3.0", "a fault of this program");
            (job.recipients.iter().map(|to| (*to, fault.clone())).collect(), Arc::default())
        })
    }

    fn over(&self, is_over: bool) {
        if is_over {
            self.active.fetch_sub(1, Ordering::AcqRel);
            self.bell.ring();
        }
    }
}

impl Runner {
    /// Says what would be tried, and where it would go.
    pub fn tell(&self, output: &mut impl Write) -> io::Result<()> {
        for entry in self.due(limits::BACKLOG, &mut HashSet::new())? {
            let envelope = match self.queue.look(Place::Due, &entry) {
                Ok(Ok(envelope)) if self.orders.fits(&envelope) => envelope,
                // Another runner was faster.
                _ => continue,
            };
            let from = envelope.reverse_path.as_ref().map_or(String::new(), ToString::to_string);
            writeln!(output, "{} from <{from}>", entry.id)?;
            for to in envelope.recipients.iter().filter(|to| to.is_waiting()) {
                let sender = envelope.sender(to).map_or(String::new(), ToString::to_string);
                let ours = route::is_ours(&self.site, &self.routes, &to.path.domain);
                let way = match ours {
                    Ok(true) => "here".into(),
                    _ => way(&self.site, &sender, &to.path.domain).to_string(),
                };
                writeln!(output, "  to <{}>: {way}", to.path)?;
            }
        }
        Ok(())
    }
}
