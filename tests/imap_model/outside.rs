//! Letters come in from outside, while sessions go on.

use super::imap_client::Flags;
use super::{Message, World, text};
use std::io::Write;
use std::process::{Child, Stdio};

impl World {
    /// Each has a UID above all that were given before it was sent, and no flags.
    pub fn deliver(&mut self, at: usize) {
        let before = self.model["INBOX"].highest;
        let mut delivered = Vec::new();
        for _ in 0..=self.random.below(2) {
            let child = self.deliver_one();
            delivered.push(self.letters);
            // What goes on meanwhile.
            if self.random.below(2) == 0 {
                self.append(at);
            }
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        if self.random.below(2) == 0 && !self.is_put_out(at) {
            self.ask(at, "NOOP");
        }
        let mut session = self.login();
        let found = self.examine(&mut session, "INBOX");
        let inbox = self.model.get_mut("INBOX").unwrap();
        for (uid, message) in &found.messages {
            if inbox.messages.get(uid) != Some(message) {
                assert!(*uid > before && !inbox.messages.contains_key(uid), "{uid} {message:?}");
                let next = delivered.first().copied();
                let expected = next.map(|content| Message { content, flags: Flags::new() });
                assert_eq!(Some(message), expected.as_ref(), "{uid}");
                delivered.remove(0);
            }
        }
        assert!(delivered.is_empty(), "{delivered:?} did not come");
        assert!(inbox.messages.keys().all(|uid| found.messages.contains_key(uid)));
        assert!(found.highest >= inbox.highest);
        *inbox = found;
    }

    fn deliver_one(&mut self) -> Child {
        self.letters += 1;
        println!("{} comes", self.letters);
        let mut child =
            self.site.command("deliver").arg("alice").stdin(Stdio::piped()).spawn().unwrap();
        let letter = text(self.letters).replace("\r\n", "\n");
        child.stdin.take().unwrap().write_all(letter.as_bytes()).unwrap();
        child
    }
}
