//! Three IMAP sessions against a plain model: random APPEND, STORE, COPY, MOVE, EXPUNGE and RENAME,
//! letters from outside, the server killed with SIGKILL in between. Sequence numbers, UIDs and
//! contents agree throughout, on Maildir and on mbox.
//!
//! BUZON_STEPS is how many steps, BUZON_SEED what they are. `main` is the model and how it is
//! compared, then `messages`, `outside`, `folders`, `kills`: what happens to it.

#![allow(clippy::unwrap_used)]

#[path = "../daemons/mod.rs"]
mod daemons;
mod folders;
#[path = "../imap_client/mod.rs"]
mod imap_client;
mod kills;
mod messages;
mod outside;

use daemons::{Daemon, Random, Site};
use imap_client::{Answer, Flags, Session, flags, literal, uid};
use std::collections::{BTreeMap, HashMap};

const STEPS: u64 = 600;
const SESSIONS: usize = 3;
/// A command names so many messages at the most, and a mailbox is emptied when it has more.
const MOST: usize = 40;
const KILL_EVERY: u64 = 60;
const NAMES: [&str; 6] = ["INBOX", "Sent", "a", "a/b", "c", "c/d/e"];
const FLAGS: [&str; 8] =
    ["\\Answered", "\\Deleted", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen", "Junk", "$Label1"];
/// Fields that a delivery puts before a letter.
const TRACE: [&str; 4] = ["Return-Path: ", "Delivered-To: ", "Received: ", "\t"];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    content: u64,
    flags: Flags,
}

#[derive(Clone, Debug, Default)]
struct Mailbox {
    messages: BTreeMap<u32, Message>,
    validity: u32,
    highest: u32,
    /// The same under every name that it is given.
    identity: u64,
}

/// What stands in the mailboxes.
type Model = BTreeMap<String, Mailbox>;

struct World {
    site: Site,
    is_mbox: bool,
    daemon: Option<Daemon>,
    sessions: Vec<Session>,
    /// Of the mailbox that each session selected.
    identities: [u64; SESSIONS],
    model: Model,
    random: Random,
    letters: u64,
    mailboxes: u64,
    /// Which content ever had a name, UIDVALIDITY and UID: never another.
    ever: HashMap<(String, u32, u32), u64>,
    kills: u64,
    /// Sessions whose mailbox another removed or renamed, and that went on.
    stayed: u64,
}

#[test]
fn three_sessions_agree_with_a_model_on_maildir() {
    run("");
}

#[test]
fn three_sessions_agree_with_a_model_on_mbox() {
    run("mailbox mbox:~/inbox\n");
}

fn run(mailbox: &str) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seed = number("BUZON_SEED").unwrap_or_else(buzon::sys::clock::micros);
    let steps = number("BUZON_STEPS").unwrap_or(STEPS);
    println!("BUZON_SEED={seed} BUZON_STEPS={steps}");
    let site = Site::new(&format!("failure_delay 0s\nmax_connections_per_address 100\n{mailbox}"));
    let mut world = World {
        daemon: Some(site.start("imapd", &[])),
        site,
        is_mbox: !mailbox.is_empty(),
        sessions: Vec::new(),
        identities: [0; SESSIONS],
        model: Model::new(),
        random: Random::seeded(seed),
        letters: 0,
        mailboxes: 0,
        ever: HashMap::new(),
        kills: 0,
        stayed: 0,
    };
    world.connect();
    world.model = world.look();
    for name in &NAMES[1..3] {
        world.create(0, name);
    }
    for step in 0..steps {
        println!("step {step}");
        if world.random.below(KILL_EVERY) == 0 {
            world.kill();
        }
        world.step();
    }
    (0..SESSIONS).for_each(|at| world.check(at));
    let World { letters, kills, stayed, .. } = world;
    println!("{steps} steps, {kills} kills, {letters} letters, {stayed} stayed");
}

fn text(content: u64) -> String {
    let lines = "a line of text\r\n".repeat((content * 7 % 40) as usize);
    format!("Subject: {content}\r\n\r\n{lines}From here\r\n>From there\r\nthe end\r\n")
}

impl World {
    fn login(&self) -> Session {
        Session::login(&self.daemon.as_ref().unwrap().address, "alice")
    }

    fn connect(&mut self) {
        self.sessions = (0..SESSIONS).map(|_| self.login()).collect();
    }

    /// What a session that comes anew finds.
    fn look(&mut self) -> Model {
        let mut session = self.login();
        let mut model = Model::new();
        for row in session.ask("LIST \"\" \"*\"").unwrap().untagged {
            let name = row.rsplit('"').nth(1).unwrap().to_owned();
            if !row.contains("\\Noselect") {
                model.insert(name.clone(), self.examine(&mut session, &name));
            }
        }
        model
    }

    fn examine(&mut self, session: &mut Session, name: &str) -> Mailbox {
        session.view.clear();
        let opened = session.ask(&format!("EXAMINE {name}")).unwrap();
        let number = |code| opened.code(code).unwrap().parse::<u32>().unwrap();
        let validity = number("UIDVALIDITY");
        let messages = fetch(session);
        let highest = number("UIDNEXT") - 1;
        assert!(messages.keys().next_back().is_none_or(|last| *last <= highest));
        for (uid, message) in &messages {
            let key = (name.to_owned(), validity, *uid);
            let content = self.ever.entry(key).or_insert(message.content);
            assert_eq!(*content, message.content, "{name} {validity} {uid} was another");
        }
        let identity = self.model.get(name).map(|known| known.identity);
        let identity = identity.unwrap_or_else(|| {
            self.mailboxes += 1;
            self.mailboxes
        });
        Mailbox { messages, validity, highest, identity }
    }

    fn some_flags(&mut self) -> Flags {
        let count = self.random.below(4);
        (0..count).map(|_| FLAGS[self.random.below(8) as usize].to_owned()).collect()
    }

    fn name(&mut self) -> String {
        NAMES[self.random.below(NAMES.len() as u64) as usize].to_owned()
    }

    fn step(&mut self) {
        let at = self.random.below(SESSIONS as u64) as usize;
        if self.is_put_out(at) {
            return self.stay(at);
        }
        if self.sessions[at].selected.is_none() {
            return self.select(at);
        }
        if let Some((name, false)) = self.sessions[at].selected.clone()
            && self.model[&name].messages.len() > MOST
        {
            self.empty(at, &name);
        }
        match self.random.below(46) {
            0..=1 => self.select(at),
            2..=8 => self.append(at),
            9..=17 => self.store(at),
            18..=21 => self.transfer(at, "COPY"),
            22..=25 => self.transfer(at, "MOVE"),
            26..=28 => self.expunge(at),
            29 => self.close(at),
            30 | 42..=43 => self.rename(at),
            31 | 44 => self.delete(at),
            32 | 45 => {
                let name = self.name();
                self.create(at, &name);
            }
            33..=34 => self.search(at),
            35..=36 => self.deliver(at),
            _ => self.check(at),
        }
    }

    fn ask(&mut self, at: usize, command: &str) -> Answer {
        println!("{at}: {}", command.lines().next().unwrap());
        let answer = self.sessions[at].ask(command);
        let answer = answer.unwrap_or_else(|| panic!("{command}: the server has gone"));
        // What is new is asked for, so that the model knows what the session may expunge. More may
        // come meanwhile.
        let session = &mut self.sessions[at];
        while let Some(new) = session.view.iter().position(|known| known.uid.is_none()) {
            let all = session.view.len();
            let told = session.ask(&format!("FETCH {}:{all} (UID FLAGS)", new + 1)).unwrap();
            assert!(told.is_ok(), "{told:?}");
        }
        answer
    }

    fn select(&mut self, at: usize) {
        let name = self.name();
        let read_only = self.random.below(6) == 0;
        let verb = if read_only { "EXAMINE" } else { "SELECT" };
        self.sessions[at].view.clear();
        let answer = self.ask(at, &format!("{verb} {name}"));
        assert_eq!(answer.is_ok(), self.model.contains_key(&name), "{answer:?}");
        let session = &mut self.sessions[at];
        session.selected = answer.is_ok().then(|| (name.clone(), read_only));
        if answer.is_ok() {
            let mailbox = &self.model[&name];
            assert_eq!(session.view.len(), mailbox.messages.len());
            assert_eq!(answer.code("UIDVALIDITY").unwrap(), mailbox.validity.to_string());
            let next: u32 = answer.code("UIDNEXT").unwrap().parse().unwrap();
            assert!(next > mailbox.highest);
            self.identities[at] = mailbox.identity;
            self.check(at);
        }
    }

    /// All that the session is told is so.
    fn check(&mut self, at: usize) {
        if self.is_put_out(at) {
            return;
        }
        let Some((name, _)) = self.sessions[at].selected.clone() else { return };
        let how = ["NOOP", "CHECK", "IDLE"][self.random.below(3) as usize];
        self.ask(at, how);
        let mailbox = &self.model[&name];
        let session = &mut self.sessions[at];
        assert_eq!(session.view.len(), mailbox.messages.len(), "{name}");
        for (known, (uid, message)) in session.view.iter().zip(&mailbox.messages) {
            assert!(known.uid.is_none_or(|known| known == *uid), "{known:?} {uid} {name}");
            let flags = known.flags.as_ref();
            assert!(flags.is_none_or(|flags| *flags == message.flags), "{known:?} {message:?}");
        }
        assert_eq!(fetch(session), mailbox.messages, "{name}");
    }
}

/// All messages, as a session that was told everything fetches them.
fn fetch(session: &mut Session) -> BTreeMap<u32, Message> {
    if session.view.is_empty() {
        return BTreeMap::new();
    }
    let answer = session.ask("FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[])").unwrap();
    assert!(answer.is_ok(), "{answer:?}");
    let mut messages = BTreeMap::new();
    for row in answer.untagged.iter().filter(|row| row.contains(" FETCH ")) {
        let body = literal(row).unwrap_or_else(|| panic!("{row}"));
        let (trace, rest) = body.split_once("Subject: ").unwrap_or_else(|| panic!("{row}"));
        let content: u64 = rest.lines().next().unwrap().parse().unwrap();
        assert_eq!(body[trace.len()..], text(content));
        let is_trace = |line: &str| TRACE.iter().any(|begin| line.starts_with(begin));
        assert!(trace.lines().all(is_trace), "{row}");
        assert!(row.contains(&format!("RFC822.SIZE {} ", body.len())), "{row}");
        let message = Message { content, flags: flags(row).unwrap() };
        assert!(messages.insert(uid(row).unwrap(), message).is_none(), "{row}");
    }
    assert_eq!(messages.len(), session.view.len());
    assert!(messages.keys().copied().map(Some).eq(session.view.iter().map(|known| known.uid)));
    messages
}
