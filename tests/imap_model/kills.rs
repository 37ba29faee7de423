//! The server is killed in the middle of a command.

use super::imap_client::Flags;
use super::messages::list;
use super::{Mailbox, Message, Model, SESSIONS, World};
use std::time::Duration;

impl World {
    /// The server is killed while it carries out a command. Of each message the command has been
    /// carried out, or not.
    pub fn kill(&mut self) {
        self.kills += 1;
        let at = self.random.below(SESSIONS as u64) as usize;
        if self.is_put_out(at) {
            self.stay(at);
        }
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
        let known = &self.model;
        assert!(
            found.keys().all(|name| known.contains_key(name)),
            "{:?} {:?}",
            found.keys(),
            known.keys()
        );
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
