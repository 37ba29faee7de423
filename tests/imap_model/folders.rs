//! What a session does to mailboxes, CREATE, DELETE, RENAME, and what becomes of the sessions that
//! have them selected.

use super::imap_client::Answer;
use super::{Message, World};
use std::collections::BTreeMap;

impl World {
    pub fn create(&mut self, at: usize, name: &str) {
        let answer = self.ask(at, &format!("CREATE {name}"));
        let may_be = !self.model.contains_key(name) && !self.is_in_the_way(name);
        assert_eq!(answer.is_ok(), may_be, "{answer:?}");
        if answer.is_ok() {
            let mut session = self.login();
            let mailbox = self.examine(&mut session, name);
            assert!(mailbox.messages.is_empty());
            self.model.insert(name.to_owned(), mailbox);
        }
    }

    pub fn delete(&mut self, at: usize) {
        let name = self.name();
        let answer = self.ask(at, &format!("DELETE {name}"));
        let there = name != "INBOX" && self.model.contains_key(&name);
        assert_eq!(answer.is_ok(), there, "{answer:?}");
        if there {
            self.model.remove(&name);
            self.leave(at, &answer);
            self.compare();
        }
    }

    pub fn rename(&mut self, at: usize) {
        let (from, to) = (self.name(), self.name());
        if from == to || to.starts_with(&format!("{from}/")) {
            return;
        }
        let answer = self.ask(at, &format!("RENAME {from} {to}"));
        if !answer.is_ok() {
            assert!(!self.model.contains_key(&from) || self.is_taken(&from, &to), "{answer:?}");
            return;
        }
        if from == "INBOX" {
            let inbox = self.model.get_mut("INBOX").unwrap();
            let messages = std::mem::take(&mut inbox.messages);
            return self.adopt_inbox(&to, messages);
        }
        let below = format!("{from}/");
        for name in self.model.keys().cloned().collect::<Vec<_>>() {
            if name == from || name.starts_with(&below) {
                let mailbox = self.model.remove(&name).unwrap();
                let new = format!("{to}{}", &name[from.len()..]);
                assert!(self.model.insert(new, mailbox).is_none());
            }
        }
        self.leave(at, &answer);
        self.compare();
    }

    /// The letters have new UIDs in a new mailbox, and INBOX stays (RFC 3501 §6.3.5).
    fn adopt_inbox(&mut self, to: &str, messages: BTreeMap<u32, Message>) {
        let mut session = self.login();
        let mailbox = self.examine(&mut session, to);
        assert!(mailbox.messages.values().eq(messages.values()), "{mailbox:?} {messages:?}");
        assert!(self.model.insert(to.to_owned(), mailbox).is_none());
        self.compare();
    }

    /// Whoever comes anew finds what the model says, and mailboxes that nobody made at the most
    /// where one was made below them.
    fn compare(&mut self) {
        let found = self.look();
        for (name, mailbox) in &found {
            let Some(known) = self.model.get(name) else {
                assert!(self.has_below(name) && mailbox.messages.is_empty(), "{name}: {mailbox:?}");
                continue;
            };
            assert_eq!(mailbox.messages, known.messages, "{name}");
            assert_eq!(mailbox.validity, known.validity, "{name}");
            assert!(mailbox.highest >= known.highest, "{name}");
        }
        assert!(self.model.keys().all(|name| found.contains_key(name)), "{:?}", found.keys());
        self.model = found;
    }

    /// A session that removed or renamed the mailbox that it has selected has none any more.
    fn leave(&mut self, at: usize, answer: &Answer) {
        let is_closed = answer.code("CLOSED").is_some();
        assert_eq!(is_closed, self.is_put_out(at), "{answer:?}");
        if is_closed {
            self.sessions[at].selected = None;
            self.sessions[at].view.clear();
        }
    }

    /// Whether the mailbox that a session has selected is not there, or not under that name.
    pub fn is_put_out(&self, at: usize) -> bool {
        let selected = self.sessions[at].selected.as_ref();
        selected.is_some_and(|(name, _)| {
            self.model.get(name).is_none_or(|mailbox| mailbox.identity != self.identities[at])
        })
    }

    /// A session goes on after others took its mailbox away. It may leave; all else ends it
    /// (RFC 2180 §3.3), and does nothing to what has its mailbox's name now.
    pub fn stay(&mut self, at: usize) {
        self.stayed += 1;
        let (_, is_read_only) = self.sessions[at].selected.clone().unwrap();
        let has_any = !self.sessions[at].view.is_empty();
        let command = match self.random.below(12) {
            0 => return self.select(at),
            1 => "UNSELECT".to_owned(),
            2 if has_any => "STORE 1:* +FLAGS (\\Deleted)".to_owned(),
            3 => "UID STORE 1:* FLAGS.SILENT (Junk)".to_owned(),
            4 => "EXPUNGE".to_owned(),
            5 => "CLOSE".to_owned(),
            6 if has_any => "FETCH 1:* (UID FLAGS BODY.PEEK[])".to_owned(),
            7 => "UID FETCH 1:* (FLAGS BODY[])".to_owned(),
            8 => format!("UID COPY 1:* {}", self.name()),
            9 => format!("UID MOVE 1:* {}", self.name()),
            10 => "IDLE".to_owned(),
            _ => "NOOP".to_owned(),
        };
        println!("{at}: {command} (put out)");
        let answer = self.sessions[at].ask(&command);
        let is_left = command == "UNSELECT" || is_read_only && command == "CLOSE";
        assert!(answer.is_some() || !is_left, "{command}: {answer:?}");
        if !is_left {
            // What there was to answer was answered before.
            assert!(answer.is_none() || self.sessions[at].is_ended(), "{command}: {answer:?}");
            self.sessions[at] = self.login();
        }
        self.sessions[at].selected = None;
        self.sessions[at].view.clear();
        self.compare();
    }

    /// Whether a name that RENAME would make is there.
    fn is_taken(&self, from: &str, to: &str) -> bool {
        self.model.contains_key(to)
            || self.is_in_the_way(to)
            || self.has_below(to)
            || self.has_below(from)
    }

    fn has_below(&self, name: &str) -> bool {
        let below = format!("{name}/");
        self.model.keys().any(|other| other.starts_with(&below))
    }

    /// A file is no directory: an mbox holds no others.
    fn is_in_the_way(&self, name: &str) -> bool {
        let above = name.match_indices('/').map(|(at, _)| &name[..at]);
        self.is_mbox
            && (self.has_below(name) || above.into_iter().any(|n| self.model.contains_key(n)))
    }
}
