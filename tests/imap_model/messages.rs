//! What a session does to messages: APPEND, STORE, COPY, MOVE, EXPUNGE, CLOSE, SEARCH.

use super::imap_client::{Answer, Flags, Known, numbers};
use super::{FLAGS, MOST, Message, World, text};
use std::collections::BTreeSet;

pub fn list(flags: &Flags) -> String {
    flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

impl World {
    pub fn append(&mut self, at: usize) {
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

    pub fn append_command(&mut self, name: &str) -> (String, Vec<Message>) {
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
    pub fn some(&mut self, at: usize) -> Option<(bool, String, Vec<u32>)> {
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

    pub fn store(&mut self, at: usize) {
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

    pub fn transfer(&mut self, at: usize, verb: &str) {
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

    pub fn expunge(&mut self, at: usize) {
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
    pub fn empty(&mut self, at: usize, name: &str) {
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

    pub fn close(&mut self, at: usize) {
        let (name, read_only) = self.sessions[at].selected.take().unwrap();
        let verb = ["CLOSE", "UNSELECT"][self.random.below(2) as usize];
        let known: Vec<u32> = self.sessions[at].view.iter().filter_map(|known| known.uid).collect();
        assert!(self.ask(at, verb).is_ok());
        self.sessions[at].view.clear();
        if verb == "CLOSE" && !read_only {
            self.remove_deleted(&name, &known);
        }
    }

    pub fn search(&mut self, at: usize) {
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
}

fn change(flags: &mut Flags, how: &str, by: &Flags) {
    match how {
        "+FLAGS" => flags.extend(by.iter().cloned()),
        "-FLAGS" => flags.retain(|flag| !by.contains(flag)),
        _ => *flags = by.clone(),
    }
}
