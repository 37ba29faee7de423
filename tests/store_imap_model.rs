//! Random work by three sessions at one mailbox, by deliveries and by mutt, against a plain model:
//! UIDs, sequence numbers, flags, keywords and contents agree throughout.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use buzon::conf::Location;
use buzon::store::{self, Body, Change, Flags, Folders, Letter, Selected};

const STEPS: usize = 2_000;
const KEYWORDS: [&str; 3] = ["Junk", "$Label1", "Later"];

/// What a message is: flags without \Recent, keywords by name, content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Truth {
    flags: u8,
    keywords: Vec<&'static str>,
    content: String,
}

/// The mailbox as it must be.
#[derive(Default)]
struct Model {
    messages: BTreeMap<u32, Truth>,
    /// Delivered, not numbered.
    waiting: Vec<Truth>,
    last: u32,
    letters: usize,
}

impl Model {
    fn number(&mut self) {
        for truth in std::mem::take(&mut self.waiting) {
            self.last += 1;
            self.messages.insert(self.last, truth);
        }
    }

    fn content(&mut self) -> String {
        self.letters += 1;
        format!("Subject: {}\n\nletter\n", self.letters)
    }
}

/// A session and what its client knows.
struct Client {
    selected: Selected,
    known: Vec<(u32, u8, Vec<&'static str>)>,
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end.max(1)
    }

    fn some(&mut self, of: usize) -> Vec<u32> {
        let share = 1 + self.below(4);
        (0..of as u32).filter(|_| self.below(4) < share).collect()
    }

    fn flags(&mut self) -> Flags {
        Flags((self.below(32)) as u8)
    }

    fn keywords(&mut self) -> Vec<&'static str> {
        KEYWORDS.into_iter().filter(|_| self.below(4) == 0).collect()
    }
}

fn letter(body: &str) -> Letter<'_> {
    Letter { sender: "", head: b"", body: Body::Octets(body.as_bytes()) }
}

fn seen_by(selected: &Selected, index: usize) -> (u32, u8, Vec<&'static str>) {
    let message = selected.messages()[index];
    let names = selected.keywords().iter().enumerate();
    let set = names.filter(|(bit, _)| message.keywords() & (1 << bit) != 0);
    let mut keywords: Vec<&str> =
        set.map(|(_, name)| KEYWORDS.into_iter().find(|known| known == name).unwrap()).collect();
    keywords.sort_unstable();
    (message.uid, message.flags().0 & 31, keywords)
}

impl Client {
    fn open(folders: &Folders) -> Client {
        let selected = folders.open("INBOX", false).unwrap();
        let known = (0..selected.messages().len()).map(|at| seen_by(&selected, at)).collect();
        Client { selected, known }
    }

    /// Refreshes, does what an IMAP client does with the answer, and compares with the truth.
    fn refresh(&mut self, model: &Model, may_expunge: bool, step: usize) {
        let changes = self.selected.refresh(may_expunge).unwrap();
        for sequence in changes.expunged {
            assert!(may_expunge);
            self.known.remove(sequence as usize - 1);
        }
        if let Some(exists) = changes.exists {
            assert!(exists as usize > self.known.len(), "step {step}");
            for index in self.known.len()..exists as usize {
                self.known.push(seen_by(&self.selected, index));
            }
        }
        for sequence in changes.flags {
            self.known[sequence as usize - 1] = seen_by(&self.selected, sequence as usize - 1);
        }
        let messages = self.selected.messages();
        assert_eq!(messages.len(), self.known.len(), "step {step}");
        let mut alive = 0;
        for (message, (uid, flags, keywords)) in messages.iter().zip(&self.known) {
            assert_eq!(message.uid, *uid, "step {step}");
            assert_eq!(message.is_gone(), !model.messages.contains_key(uid), "step {step} {uid}");
            if let Some(truth) = model.messages.get(uid) {
                alive += 1;
                assert_eq!((truth.flags, &truth.keywords), (*flags, keywords), "step {step} {uid}");
            }
        }
        assert_eq!(alive, model.messages.len(), "step {step}");
        assert!(!may_expunge || alive == messages.len());
        assert_eq!(self.selected.uid_next(), model.last + 1, "step {step}");
    }

    fn store(&mut self, model: &mut Model, random: &mut Random) {
        let indices = random.some(self.known.len());
        let (flags, keywords) = (random.flags(), random.keywords());
        let change = [Change::Add, Change::Remove, Change::Replace][random.below(3)];
        let bits =
            keywords.iter().map(|name| 1 << self.selected.keyword(name, true).unwrap().unwrap());
        let bits = bits.fold(0, |bits, bit| bits | bit);
        let changed = self.selected.store(&indices, change, flags, bits).unwrap();
        for index in &indices {
            let uid = self.known[*index as usize].0;
            let Some(truth) = model.messages.get_mut(&uid) else { continue };
            let before = truth.clone();
            match change {
                Change::Add => {
                    truth.flags |= flags.0;
                    truth.keywords.extend(&keywords);
                }
                Change::Remove => {
                    truth.flags &= !flags.0;
                    truth.keywords.retain(|name| !keywords.contains(name));
                }
                Change::Replace => {
                    (truth.flags, truth.keywords) = (flags.0, keywords.clone());
                }
            }
            truth.keywords.sort_unstable();
            truth.keywords.dedup();
            assert_eq!(changed.contains(index), *truth != before);
        }
        for index in changed {
            self.known[index as usize] = seen_by(&self.selected, index as usize);
        }
    }

    fn expunge(&mut self, model: &mut Model, random: &mut Random) {
        let rest = random.below(3) as u32;
        let third = move |uid: u32| uid % 3 == rest;
        let which = (random.below(2) == 0).then_some(&third as &dyn Fn(u32) -> bool);
        self.selected.expunge(which).unwrap();
        for (uid, _, _) in &self.known {
            let is_deleted = |truth: &Truth| Flags(truth.flags).has(Flags::DELETED);
            if which.is_none_or(|which| which(*uid))
                && model.messages.get(uid).is_some_and(is_deleted)
            {
                model.messages.remove(uid);
            }
        }
    }

    fn bring(&mut self, model: &mut Model, other: &mut Model, random: &mut Random) {
        let indices = random.some(self.known.len().min(6));
        let uids: Vec<u32> = indices.iter().map(|index| self.known[*index as usize].0).collect();
        let (moves, to_itself) = (random.below(2) == 0, random.below(4) == 0);
        let to = if to_itself { "inbox" } else { "Other" };
        let done = match moves {
            true => self.selected.move_to(&indices, to),
            false => self.selected.copy(&indices, to),
        };
        if uids.iter().any(|uid| !model.messages.contains_key(uid)) {
            assert!(done.is_err());
            return;
        }
        let (_, pairs) = done.unwrap();
        assert_eq!(pairs.iter().map(|pair| pair.0).collect::<Vec<_>>(), uids);
        for (from, to) in pairs {
            let truth = model.messages[&from].clone();
            if moves {
                model.messages.remove(&from);
            }
            let target = if to_itself { &mut *model } else { &mut *other };
            assert_eq!(to, target.last + 1);
            target.last = to;
            target.messages.insert(to, truth);
        }
    }

    fn read(&mut self, model: &Model, random: &mut Random) {
        for _ in 0..3.min(self.known.len()) {
            let index = random.below(self.known.len());
            match (self.selected.raw(index), model.messages.get(&self.known[index].0)) {
                (Ok(octets), Some(truth)) => assert_eq!(octets, truth.content.as_bytes()),
                (Err(error), None) => assert!(error.is_gone()),
                (read, truth) => panic!("{read:?} {truth:?}"),
            }
            if model.messages.contains_key(&self.known[index].0) {
                assert!(self.selected.octets(index).unwrap() > 20);
                assert!(self.selected.date(index).unwrap() > 1_500_000_000);
            }
        }
    }
}

/// mutt flags a message and moves on.
fn mutt(maildir: &Path, model: &mut Model, random: &mut Random) {
    let mut names: Vec<PathBuf> =
        fs::read_dir(maildir.join("cur")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let Some(path) = names.get(random.below(names.len())) else { return };
    let content = fs::read_to_string(path).unwrap();
    let mut same = model.messages.values_mut().filter(|truth| truth.content == content);
    let (Some(truth), None) = (same.next(), same.next()) else { return };
    let name = path.to_str().unwrap();
    let (base, flags) = name.rsplit_once(":2,").unwrap();
    let other = match flags.strip_prefix('F').or_else(|| flags.strip_prefix("DF")) {
        Some(_) => flags.replace('F', ""),
        None if flags.starts_with('D') => flags.replacen('D', "DF", 1),
        None => format!("F{flags}"),
    };
    truth.flags ^= Flags::FLAGGED.0;
    match random.below(5) {
        0 => {
            let content = truth.content.clone();
            model.messages.retain(|_, truth| truth.content != content);
            fs::remove_file(path).unwrap();
        }
        _ => fs::rename(path, format!("{base}:2,{other}")).unwrap(),
    }
}

#[test]
fn three_sessions_agree_with_a_model() {
    let place = tempfile::tempdir().unwrap();
    agree(Location::Maildir(place.path().join("Maildir")));
}

#[test]
fn three_sessions_agree_with_a_model_in_an_mbox() {
    let place = tempfile::tempdir().unwrap();
    let (inbox, folders) = (place.path().join("alice"), place.path().join("mail"));
    agree(Location::Mbox { inbox, folders });
}

fn agree(location: Location) {
    let folders = Folders::of(&location);
    folders.create("Other", None).unwrap();
    let seed = 7;
    let mut random = Random(seed);
    let (mut model, mut other) = (Model::default(), Model::default());
    let mut clients: Vec<Client> = (0..3).map(|_| Client::open(&folders)).collect();
    for step in 0..STEPS {
        let act = random.below(16);
        let at = random.below(clients.len());
        let client = &mut clients[at];
        // All but deliveries number what was delivered.
        match act {
            0..4 => {
                let content = model.content();
                let mut prepared =
                    store::prepare(&location, &letter(&content), Instant::now()).unwrap();
                prepared.show().unwrap();
                prepared.settle().unwrap();
                model.waiting.push(Truth { flags: 0, keywords: Vec::new(), content });
                continue;
            }
            4 => {
                // In an mbox nothing stands before what has a number.
                if matches!(location, Location::Mbox { .. }) {
                    model.number();
                }
                let count = 1 + random.below(3);
                let truths: Vec<Truth> = (0..count)
                    .map(|_| {
                        let (flags, keywords) = (random.flags().0, random.keywords());
                        Truth { flags, keywords, content: model.content() }
                    })
                    .map(|mut truth| {
                        truth.keywords.sort_unstable();
                        truth
                    })
                    .collect();
                let letters = truths.iter().map(|truth| {
                    let keywords: Vec<String> =
                        truth.keywords.iter().map(|name| name.to_string()).collect();
                    let flags = Flags(truth.flags);
                    let letter = letter(&truth.content);
                    folders.prepare_append("INBOX", &letter, flags, &keywords, Some(1_600_000_000))
                });
                let letters = letters.collect::<Result<Vec<_>, _>>().unwrap();
                let (_, uids) = folders.commit_append(letters).unwrap();
                for (uid, truth) in uids.into_iter().zip(truths) {
                    model.last += 1;
                    assert_eq!(uid, model.last, "step {step}");
                    model.messages.insert(uid, truth);
                }
                continue;
            }
            _ => model.number(),
        }
        match act {
            5..8 => client.store(&mut model, &mut random),
            8 => client.expunge(&mut model, &mut random),
            9 => client.bring(&mut model, &mut other, &mut random),
            10 => {
                client.refresh(&model, false, step);
                if let Location::Maildir(maildir) = &location {
                    mutt(maildir, &mut model, &mut random);
                }
            }
            11 => *client = Client::open(&folders),
            12 => drop(client.selected.rest()),
            _ => {}
        }
        client.refresh(&model, random.below(2) == 0, step);
        client.read(&model, &mut random);
        let status = folders.status("INBOX").unwrap();
        assert_eq!(status.messages as usize, model.messages.len(), "step {step}");
        assert_eq!(status.uid_next, model.last + 1, "step {step}");
    }
    let last = folders.open("Other", true).unwrap();
    assert_eq!(last.messages().len(), other.messages.len());
    for (index, (uid, truth)) in other.messages.iter().enumerate() {
        let found = seen_by(&last, index);
        assert_eq!(found, (*uid, truth.flags, truth.keywords.clone()));
    }
    assert!(model.last > 300 && other.last > 20, "{} {}", model.last, other.last);
}
