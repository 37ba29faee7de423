//! Three IMAP sessions against a plain model: random APPEND, STORE, COPY, MOVE, EXPUNGE and RENAME,
//! the server killed with SIGKILL in between. Sequence numbers, UIDs and contents agree throughout.
//!
//! BUZON_STEPS is how many steps, BUZON_SEED what they are.

#![allow(clippy::unwrap_used)]

mod daemons;
mod imap_client;

use daemons::{Daemon, Random, Site};
use imap_client::{Answer, Flags, Known, Session, flags, literal, numbers, uid};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

const STEPS: u64 = 600;
const SESSIONS: usize = 3;
/// A command names so many messages at the most, and a mailbox is emptied when it has more.
const MOST: usize = 40;
const KILL_EVERY: u64 = 60;
const NAMES: [&str; 6] = ["INBOX", "Sent", "a", "a/b", "c", "c/d/e"];
const FLAGS: [&str; 8] =
    ["\\Answered", "\\Deleted", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen", "Junk", "$Label1"];

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
}

/// What stands in the mailboxes.
type Model = BTreeMap<String, Mailbox>;

struct World {
    site: Site,
    daemon: Option<Daemon>,
    sessions: Vec<Session>,
    model: Model,
    random: Random,
    letters: u64,
    /// Which content ever had a name, UIDVALIDITY and UID: never another.
    ever: HashMap<(String, u32, u32), u64>,
    kills: u64,
}

#[test]
fn three_sessions_agree_with_a_model_on_maildir() {
    run("");
}

fn run(mailbox: &str) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seed = number("BUZON_SEED").unwrap_or_else(buzon::sys::clock::micros);
    let steps = number("BUZON_STEPS").unwrap_or(STEPS);
    println!("BUZON_SEED={seed} BUZON_STEPS={steps}");
    let site = Site::new(&format!("failure_delay 0s\nmax_connections_per_address 100\n{mailbox}"));
    let daemon = Some(site.start("imapd", &[]));
    let (random, ever) = (Random::seeded(seed), HashMap::new());
    let (sessions, model) = (Vec::new(), Model::new());
    let mut world = World { site, daemon, sessions, model, random, letters: 0, ever, kills: 0 };
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
    for at in 0..SESSIONS {
        world.check(at);
    }
    println!("{} kills, {} letters", world.kills, world.letters);
}

fn text(content: u64) -> String {
    let lines = "a line of text\r\n".repeat((content * 7 % 40) as usize);
    format!("Subject: {content}\r\n\r\n{lines}the end\r\n")
}

fn list(flags: &Flags) -> String {
    flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

impl World {
    fn connect(&mut self) {
        let address = self.daemon.as_ref().unwrap().address.clone();
        self.sessions = (0..SESSIONS).map(|_| Session::login(&address, "alice")).collect();
    }

    /// What a session that comes anew finds.
    fn look(&mut self) -> Model {
        let address = self.daemon.as_ref().unwrap().address.clone();
        let mut session = Session::login(&address, "alice");
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
        Mailbox { messages, validity, highest }
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
        if self.sessions[at].selected.is_none() {
            return self.select(at);
        }
        if let Some((name, false)) = self.sessions[at].selected.clone()
            && self.model[&name].messages.len() > MOST
        {
            self.empty(at, &name);
        }
        match self.random.below(40) {
            0..=1 => self.select(at),
            2..=8 => self.append(at),
            9..=17 => self.store(at),
            18..=21 => self.transfer(at, "COPY"),
            22..=25 => self.transfer(at, "MOVE"),
            26..=28 => self.expunge(at),
            29 => self.close(at),
            30 => self.rename(at),
            31 => self.delete(at),
            32 => {
                let name = self.name();
                self.create(at, &name);
            }
            33..=34 => self.search(at),
            _ => self.check(at),
        }
    }

    fn ask(&mut self, at: usize, command: &str) -> Answer {
        println!("{at}: {}", command.lines().next().unwrap());
        let answer = self.sessions[at].ask(command);
        let answer = answer.unwrap_or_else(|| panic!("{command}: the server has gone"));
        let session = &mut self.sessions[at];
        // What is new is asked for, so that the model knows what the session may expunge.
        let new = session.view.iter().position(|known| known.uid.is_none());
        if let Some(new) = new {
            let all = session.view.len();
            let told = session.ask(&format!("FETCH {}:{all} (UID FLAGS)", new + 1)).unwrap();
            assert!(told.is_ok() && session.view.iter().all(|known| known.uid.is_some()));
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
            self.check(at);
        }
    }

    /// All that the session is told is so.
    fn check(&mut self, at: usize) {
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

    fn append(&mut self, at: usize) {
        let name = self.name();
        let (command, messages) = self.append_command(&name);
        let answer = self.ask(at, &command);
        let Some(mailbox) = self.model.get_mut(&name) else {
            assert!(answer.status.starts_with("NO [TRYCREATE]"), "{answer:?}");
            return;
        };
        let code = answer.code("APPENDUID").unwrap_or_else(|| panic!("{answer:?}"));
        let (validity, uids) = code.split_once(' ').unwrap();
        assert_eq!(validity, mailbox.validity.to_string());
        let uids = numbers(uids);
        assert_eq!(uids.len(), messages.len());
        for (uid, message) in uids.into_iter().zip(messages) {
            assert!(uid > mailbox.highest);
            mailbox.highest = uid;
            mailbox.messages.insert(uid, message);
        }
    }

    fn append_command(&mut self, name: &str) -> (String, Vec<Message>) {
        let mut command = format!("APPEND {name}");
        let mut messages = Vec::new();
        for _ in 0..=self.random.below(3) {
            self.letters += 1;
            let (content, flags) = (self.letters, self.some_flags());
            let text = text(content);
            command.push_str(&format!(" ({}) {{{}+}}\r\n{text}", list(&flags), text.len()));
            messages.push(Message { content, flags });
        }
        (command, messages)
    }

    /// Some of the messages that a session knows: their numbers as it writes them, their UIDs.
    fn some(&mut self, at: usize) -> Option<(bool, String, Vec<u32>)> {
        let by_uid = self.random.below(2) == 0;
        let share = 1 + self.random.below(6);
        let mut chosen = Vec::new();
        let view = self.sessions[at].view.clone();
        for (index, known) in view.iter().enumerate() {
            if let Some(uid) = known.uid
                && chosen.len() < MOST
                && self.random.below(8) < share
            {
                chosen.push((index + 1, uid));
            }
        }
        let words = chosen.iter().map(|(number, uid)| match by_uid {
            true => uid.to_string(),
            false => number.to_string(),
        });
        let set = words.collect::<Vec<_>>().join(",");
        let uids = chosen.iter().map(|(_, uid)| *uid).collect();
        (!chosen.is_empty()).then_some((by_uid, set, uids))
    }

    fn store(&mut self, at: usize) {
        let (name, read_only) = self.sessions[at].selected.clone().unwrap();
        let Some((by_uid, set, uids)) = self.some(at) else { return };
        let how = ["+FLAGS", "-FLAGS", "FLAGS"][self.random.below(3) as usize];
        let silent = self.random.below(3) == 0;
        let flags = self.some_flags();
        let prefix = if by_uid { "UID " } else { "" };
        let suffix = if silent { ".SILENT" } else { "" };
        if silent && !read_only {
            // What a client that hears nothing takes for granted.
            for known in self.sessions[at].view.iter_mut() {
                if known.uid.is_some_and(|uid| uids.contains(&uid))
                    && let Some(before) = &mut known.flags
                {
                    change(before, how, &flags);
                }
            }
        }
        let answer = self.ask(at, &format!("{prefix}STORE {set} {how}{suffix} ({})", list(&flags)));
        if read_only {
            assert!(answer.status.starts_with("NO [CANNOT]"), "{answer:?}");
            return;
        }
        let mailbox = self.model.get_mut(&name).unwrap();
        let all_there = uids.iter().all(|uid| mailbox.messages.contains_key(uid));
        assert_eq!(answer.is_ok(), by_uid || all_there, "{answer:?}");
        for uid in uids {
            if let Some(message) = mailbox.messages.get_mut(&uid) {
                change(&mut message.flags, how, &flags);
            }
        }
    }

    fn transfer(&mut self, at: usize, verb: &str) {
        let (name, read_only) = self.sessions[at].selected.clone().unwrap();
        let to = self.name();
        let Some((by_uid, set, uids)) = self.some(at) else { return };
        if to == name && verb == "MOVE" {
            return;
        }
        let prefix = if by_uid { "UID " } else { "" };
        let answer = self.ask(at, &format!("{prefix}{verb} {set} {to}"));
        let there = &self.model[&name].messages;
        let live: Vec<u32> = uids.iter().copied().filter(|uid| there.contains_key(uid)).collect();
        if read_only && verb == "MOVE" {
            assert!(answer.status.starts_with("NO [CANNOT]"), "{answer:?}");
        } else if !self.model.contains_key(&to) {
            assert!(answer.status.starts_with("NO [TRYCREATE]"), "{answer:?}");
        } else if !by_uid && live.len() < uids.len() {
            assert!(answer.status.starts_with("NO [EXPUNGEISSUED]"), "{answer:?}");
        } else {
            self.transferred(&answer, (&name, &to), &live, verb == "MOVE");
        }
    }

    fn transferred(&mut self, answer: &Answer, (from, to): (&str, &str), live: &[u32], go: bool) {
        assert!(answer.is_ok(), "{answer:?}");
        let Some(code) = answer.code("COPYUID") else {
            assert!(live.is_empty(), "{answer:?}");
            return;
        };
        let words: Vec<&str> = code.split(' ').collect();
        assert_eq!(words[0], self.model[to].validity.to_string());
        assert_eq!(numbers(words[1]), live);
        for (uid, new) in live.iter().zip(numbers(words[2])) {
            let source = self.model.get_mut(from).unwrap();
            let message = source.messages[uid].clone();
            if go {
                source.messages.remove(uid);
            }
            let target = self.model.get_mut(to).unwrap();
            assert!(new > target.highest);
            target.highest = new;
            target.messages.insert(new, message);
        }
    }

    fn expunge(&mut self, at: usize) {
        let (name, read_only) = self.sessions[at].selected.clone().unwrap();
        let (command, uids) = match self.some(at).filter(|(by_uid, ..)| *by_uid) {
            Some((_, set, uids)) => (format!("UID EXPUNGE {set}"), Some(uids)),
            None => ("EXPUNGE".to_owned(), None),
        };
        let known: Vec<u32> = self.sessions[at].view.iter().filter_map(|known| known.uid).collect();
        let answer = self.ask(at, &command);
        assert_eq!(answer.is_ok(), !read_only, "{answer:?}");
        if answer.is_ok() {
            let wanted = uids.unwrap_or(known);
            self.remove_deleted(&name, &wanted);
        }
    }

    /// Keeps the mailboxes small.
    fn empty(&mut self, at: usize, name: &str) {
        self.check(at);
        assert!(self.ask(at, "STORE 1:* +FLAGS.SILENT (\\Deleted)").is_ok());
        assert!(self.ask(at, "EXPUNGE").is_ok());
        self.model.get_mut(name).unwrap().messages.clear();
        assert!(self.sessions[at].view.is_empty());
    }

    /// What the session does not know of does not go with its EXPUNGE.
    fn remove_deleted(&mut self, name: &str, wanted: &[u32]) {
        let messages = &mut self.model.get_mut(name).unwrap().messages;
        messages
            .retain(|uid, message| !(wanted.contains(uid) && message.flags.contains("\\Deleted")));
    }

    fn close(&mut self, at: usize) {
        let (name, read_only) = self.sessions[at].selected.take().unwrap();
        let verb = ["CLOSE", "UNSELECT"][self.random.below(2) as usize];
        let known: Vec<u32> = self.sessions[at].view.iter().filter_map(|known| known.uid).collect();
        assert!(self.ask(at, verb).is_ok());
        self.sessions[at].view.clear();
        if verb == "CLOSE" && !read_only {
            self.remove_deleted(&name, &known);
        }
    }

    /// Sessions that others have put out of their mailbox come anew.
    fn put_out(&mut self, names: &BTreeSet<String>) {
        let address = self.daemon.as_ref().unwrap().address.clone();
        for session in &mut self.sessions {
            if session.selected.as_ref().is_some_and(|(name, _)| names.contains(name)) {
                *session = Session::login(&address, "alice");
            }
        }
    }

    fn rename(&mut self, at: usize) {
        let (from, to) = (self.name(), self.name());
        if from == to || to.starts_with(&format!("{from}/")) {
            return;
        }
        let answer = self.ask(at, &format!("RENAME {from} {to}"));
        if !answer.is_ok() {
            println!("{answer:?}");
            assert!(!self.model.contains_key(&from) || self.is_taken(&from, &to), "{answer:?}");
            return;
        }
        let mut moved = BTreeSet::new();
        for name in self.model.keys().cloned().collect::<Vec<_>>() {
            let rest = name
                .strip_prefix(&from)
                .filter(|rest| rest.is_empty() || from != "INBOX" && rest.starts_with('/'));
            if let Some(rest) = rest {
                let mailbox = self.model.remove(&name).unwrap();
                assert!(self.model.insert(format!("{to}{rest}"), mailbox).is_none());
                moved.insert(name);
            }
        }
        self.put_out(&moved);
        self.adopt_renamed(&to);
    }

    /// Whether a name that RENAME would make is there.
    fn is_taken(&self, from: &str, to: &str) -> bool {
        let below =
            |name: &str| self.model.keys().any(|other| other.starts_with(&format!("{name}/")));
        self.model.contains_key(to) || below(to) || from == "INBOX" || below(from)
    }

    /// UIDs may be others under a new name, and whatever else must be as it was.
    fn adopt_renamed(&mut self, to: &str) {
        let found = self.look();
        for (name, mailbox) in &found {
            let known = self.model.get(name);
            if name == to || name.starts_with(&format!("{to}/")) {
                let (found, known) = (&mailbox.messages, &known.unwrap().messages);
                assert!(found.values().eq(known.values()), "{name}: {found:?} {known:?}");
            } else if let Some(known) = known {
                assert_eq!(mailbox.messages, known.messages, "{name}");
            } else {
                assert!(mailbox.messages.is_empty(), "{name}: {mailbox:?}");
            }
        }
        assert!(self.model.keys().all(|name| found.contains_key(name)));
        self.model = found;
    }

    fn delete(&mut self, at: usize) {
        let name = self.name();
        let answer = self.ask(at, &format!("DELETE {name}"));
        let there = name != "INBOX" && self.model.contains_key(&name);
        assert_eq!(answer.is_ok(), there, "{answer:?}");
        if there {
            self.model.remove(&name);
            self.put_out(&BTreeSet::from([name]));
        }
    }

    fn create(&mut self, at: usize, name: &str) {
        let answer = self.ask(at, &format!("CREATE {name}"));
        assert_eq!(answer.is_ok(), !self.model.contains_key(name), "{answer:?}");
        if answer.is_ok() {
            let address = self.daemon.as_ref().unwrap().address.clone();
            let mut session = Session::login(&address, "alice");
            let mailbox = self.examine(&mut session, name);
            assert!(mailbox.messages.is_empty());
            self.model.insert(name.to_owned(), mailbox);
        }
    }

    fn search(&mut self, at: usize) {
        let (name, _) = self.sessions[at].selected.clone().unwrap();
        let flag = FLAGS[self.random.below(8) as usize];
        let key = match flag.strip_prefix('\\') {
            Some(system) => system.to_uppercase(),
            None => format!("KEYWORD {flag}"),
        };
        let known: Vec<Known> = self.sessions[at].view.clone();
        let answer = self.ask(at, &format!("UID SEARCH {key}"));
        let row = answer.untagged.iter().find_map(|row| row.strip_prefix("SEARCH")).unwrap();
        let found: BTreeSet<u32> = row.split_whitespace().map(|uid| uid.parse().unwrap()).collect();
        // A session that does not know yet what others did may tell what was, of what it knows.
        for (uid, message) in &self.model[&name].messages {
            let view = known.iter().find(|known| known.uid == Some(*uid));
            let Some(before) = view.and_then(|known| known.flags.as_ref()) else { continue };
            if before.contains(flag) == message.flags.contains(flag) {
                assert_eq!(found.contains(uid), message.flags.contains(flag), "{uid} {message:?}");
            }
        }
    }

    /// The server is killed while it carries out a command. Of each message the command has been
    /// carried out, or not.
    fn kill(&mut self) {
        self.kills += 1;
        let at = self.random.below(SESSIONS as u64) as usize;
        if self.sessions[at].selected.is_none() {
            self.select(at);
        }
        let (command, new, flags) = self.command_cut_short(at);
        println!("{at}: {} (killed)", command.lines().next().unwrap());
        self.sessions[at].say(&command);
        // The moment is what is tested; nothing waits for it.
        std::thread::sleep(Duration::from_micros(self.random.below(6_000)));
        self.daemon.take().unwrap().kill();
        self.daemon = Some(self.site.start("imapd", &[]));
        let found = self.look();
        for (name, known) in &self.model {
            let mailbox = &found[name];
            assert_eq!(mailbox.validity, known.validity, "{name}");
            assert!(mailbox.highest >= known.highest, "{name}");
            self.compare_cut_short(name, mailbox, known, (&command, &new, &flags), &found);
        }
        assert!(found.keys().all(|name| self.model.contains_key(name)));
        self.model = found;
        self.connect();
    }

    /// A command, what it may put somewhere, and the flags it may set.
    fn command_cut_short(&mut self, at: usize) -> (String, Vec<Message>, Flags) {
        let chosen = self.some(at);
        let (name, _) = self.sessions[at].selected.clone().unwrap_or_default();
        let (to, flags) = (self.name(), self.some_flags());
        let Some((by_uid, set, uids)) = chosen else {
            let (command, messages) = self.append_command(&to);
            return (command, messages, Flags::new());
        };
        let prefix = if by_uid { "UID " } else { "" };
        let known = &self.model[&name].messages;
        let copies: Vec<Message> = uids.iter().filter_map(|uid| known.get(uid).cloned()).collect();
        match self.random.below(5) {
            0 => {
                let (command, messages) = self.append_command(&to);
                (command, messages, Flags::new())
            }
            1 => (format!("{prefix}STORE {set} +FLAGS ({})", list(&flags)), Vec::new(), flags),
            2 => ("EXPUNGE".to_owned(), Vec::new(), Flags::new()),
            3 if to != name => (format!("{prefix}MOVE {set} {to}"), copies, Flags::new()),
            _ => (format!("{prefix}COPY {set} {to}"), copies, Flags::new()),
        }
    }

    fn compare_cut_short(
        &self,
        name: &str,
        mailbox: &Mailbox,
        known: &Mailbox,
        (command, new, flags): (&str, &[Message], &Flags),
        found: &Model,
    ) {
        for (uid, message) in &mailbox.messages {
            let Some(before) = known.messages.get(uid) else {
                assert!(*uid > known.highest, "{name} {uid}");
                assert!(new.contains(message), "{command}: {name} {uid} {message:?}");
                continue;
            };
            let with: Flags = before.flags.union(flags).cloned().collect();
            assert_eq!(message.content, before.content);
            assert!(message.flags == before.flags || message.flags == with, "{name} {message:?}");
        }
        for (uid, message) in &known.messages {
            let is_there = mailbox.messages.contains_key(uid);
            let was_moved = command.contains("MOVE ")
                && found.values().any(|other| other.messages.values().any(|one| one == message));
            let was_removed = command == "EXPUNGE" && message.flags.contains("\\Deleted");
            assert!(is_there || was_moved || was_removed, "{command}: {name} {uid} is lost");
        }
    }
}

fn change(flags: &mut Flags, how: &str, by: &Flags) {
    match how {
        "+FLAGS" => flags.extend(by.iter().cloned()),
        "-FLAGS" => flags.retain(|flag| !by.contains(flag)),
        _ => *flags = by.clone(),
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
        let subject = body.strip_prefix("Subject: ").and_then(|rest| rest.lines().next());
        let content: u64 = subject.unwrap_or_else(|| panic!("{row}")).parse().unwrap();
        assert_eq!(body, text(content));
        assert!(row.contains(&format!("RFC822.SIZE {} ", body.len())), "{row}");
        let message = Message { content, flags: flags(row).unwrap() };
        assert!(messages.insert(uid(row).unwrap(), message).is_none(), "{row}");
    }
    assert_eq!(messages.len(), session.view.len());
    assert!(messages.keys().copied().map(Some).eq(session.view.iter().map(|known| known.uid)));
    messages
}
