//! What a SEARCH asks of each message: RFC 3501 §6.4.4, RFC 5032 (OLDER, YOUNGER).
//!
//! What a list of messages knows is asked before a message is opened: of several keys those that
//! cost nothing come first.
//!
//! Careful: keys are nested as the client likes, to `limits::SEARCH_DEPTH`, and a stack that is
//! too small ends the whole program. So what calls itself here is kept apart from what works, and
//! keeps next to nothing on the stack.

use super::command::Key;
use super::described::{Described, Which};
use super::flag::Flag;
use super::mailbox::SYSTEM;
use super::response::Status;
use super::session::Open;
use super::set::Set;
use crate::mail::{self, Tree, field, read_date};
use crate::store::{self, Flags, Summary};
use chrono::{DateTime, Local, NaiveDate, Utc};
use std::borrow::Cow;

/// What must hold, with everything worked out that is the same for all messages.
pub(super) enum Test {
    Always,
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Flags(Flags),
    /// Bits of keywords; 0 is one that no message has.
    Keyword(u32),
    /// Indices, or UIDs.
    Numbers(Set),
    Uids(Set),
    /// Days of the internal date: from, and before.
    Came(Option<NaiveDate>, Option<NaiveDate>),
    /// Days of the Date field.
    Sent(Option<NaiveDate>, Option<NaiveDate>),
    /// Seconds since 1970: not before, not after.
    Between(i64, i64),
    Larger(u64),
    Smaller(u64),
    Header(Vec<u8>, Box<mail::Search>),
    Body(Box<mail::Search>),
    Text(Box<mail::Search>),
}

/// A message that is looked at, read once at the most.
pub(super) struct Looked {
    octets: Vec<u8>,
    tree: Option<Tree>,
}

impl Test {
    /// Of a key of the client's.
    pub fn of(key: &Key, open: &Open) -> Result<Test, Status> {
        let mut refusal = None;
        let test = Test::nested(key, open, &mut refusal);
        refusal.map_or(Ok(test), Err)
    }

    /// What cannot be is left in `refusal`.
    fn nested(key: &Key, open: &Open, refusal: &mut Option<Status>) -> Test {
        let mut tests = Vec::new();
        match key {
            Key::And(keys) => {
                for key in keys {
                    tests.push(Test::nested(key, open, refusal));
                }
                Test::sort(&mut tests);
                Test::And(tests)
            }
            Key::Or(one, other) => {
                tests.push(Test::nested(one, open, refusal));
                tests.push(Test::nested(other, open, refusal));
                Test::sort(&mut tests);
                Test::Or(tests)
            }
            Key::Not(key) => Test::Not(Box::new(Test::nested(key, open, refusal))),
            key => Test::plain(key, open, refusal),
        }
    }

    #[inline(never)]
    fn plain(key: &Key, open: &Open, refusal: &mut Option<Status>) -> Test {
        Test::of_one(key, open).unwrap_or_else(|status| {
            *refusal = Some(status);
            Test::Always
        })
    }

    /// Of a key without others in it.
    fn of_one(key: &Key, open: &Open) -> Result<Test, Status> {
        let day_after = |day: &NaiveDate| day.succ_opt();
        let now = Utc::now().timestamp();
        Ok(match key {
            Key::And(_) | Key::Or(..) | Key::Not(_) | Key::All => Test::Always,
            Key::Has(Flag::Keyword(name)) => Test::Keyword(
                open.mailbox
                    .keywords()
                    .iter()
                    .position(|known| known.eq_ignore_ascii_case(name))
                    .map_or(0, |bit| 1 << bit),
            ),
            Key::Has(Flag::Recent) => Test::Flags(Flags::RECENT),
            Key::Has(flag) => {
                let known = SYSTEM.iter().find(|(_, known)| known == flag);
                known.map_or(Test::Always, |(flag, _)| Test::Flags(*flag))
            }
            Key::Numbers(set) => {
                let indices = open.indices(set, false)?;
                Test::Numbers(indices.into_iter().map(|index| index + 1).collect())
            }
            Key::Uids(set) => {
                let messages = open.mailbox.messages();
                let indices = open.indices(set, true)?;
                Test::Uids(indices.into_iter().map(|at| messages[at as usize].uid).collect())
            }
            Key::Before(day) => Test::Came(None, Some(*day)),
            Key::On(day) => Test::Came(Some(*day), day_after(day)),
            Key::Since(day) => Test::Came(Some(*day), None),
            Key::SentBefore(day) => Test::Sent(None, Some(*day)),
            Key::SentOn(day) => Test::Sent(Some(*day), day_after(day)),
            Key::SentSince(day) => Test::Sent(Some(*day), None),
            Key::Older(seconds) => Test::Between(i64::MIN, now - i64::from(*seconds)),
            Key::Younger(seconds) => Test::Between(now - i64::from(*seconds), i64::MAX),
            Key::Larger(octets) => Test::Larger(*octets),
            Key::Smaller(octets) => Test::Smaller(*octets),
            Key::Header(name, text) => Test::Header(name.clone(), words(text)),
            Key::Body(text) => Test::Body(words(text)),
            Key::Text(text) => Test::Text(words(text)),
        })
    }

    #[inline(never)]
    fn sort(tests: &mut [Test]) {
        tests.sort_by_key(Test::cost);
    }

    /// How dear it is: what is known, what a stat tells, a header, a body.
    fn cost(&self) -> u8 {
        match self {
            Test::Always | Test::Flags(_) | Test::Keyword(_) | Test::Numbers(_) | Test::Uids(_) => {
                0
            }
            Test::Larger(_) | Test::Smaller(_) | Test::Came(..) | Test::Between(..) => 1,
            Test::Header(..) | Test::Sent(..) => 2,
            Test::Body(_) | Test::Text(_) => 3,
            Test::Not(test) => test.cost(),
            Test::And(tests) | Test::Or(tests) => {
                // They are sorted.
                tests.last().map_or(0, Test::cost)
            }
        }
    }

    /// Whether it does of the message at an index, of which no more is read than it takes.
    pub fn holds(
        &mut self,
        index: usize,
        open: &mut Open,
        looked: &mut Option<Looked>,
    ) -> Result<bool, store::Error> {
        let (tests, end) = match self {
            Test::Not(test) => return Ok(!test.holds(index, open, looked)?),
            Test::And(tests) => (tests, false),
            Test::Or(tests) => (tests, true),
            test => return test.one_holds(index, open, looked),
        };
        for test in tests {
            if test.holds(index, open, looked)? == end {
                return Ok(end);
            }
        }
        Ok(!end)
    }

    #[inline(never)]
    fn one_holds(
        &mut self,
        index: usize,
        open: &mut Open,
        looked: &mut Option<Looked>,
    ) -> Result<bool, store::Error> {
        let message: Summary = open.mailbox.messages()[index];
        Ok(match self {
            Test::Always | Test::And(_) | Test::Or(_) | Test::Not(_) => true,
            Test::Flags(flags) => message.flags().has(*flags),
            Test::Keyword(bits) => message.keywords() & *bits != 0,
            Test::Numbers(set) => set.contains(index as u32 + 1),
            Test::Uids(set) => set.contains(message.uid),
            Test::Came(from, before) => {
                let moment = DateTime::from_timestamp(open.mailbox.date(index)?, 0);
                let day = moment.unwrap_or_default().with_timezone(&Local).date_naive();
                within(day, *from, *before)
            }
            Test::Between(from, to) => (*from..=*to).contains(&open.mailbox.date(index)?),
            Test::Larger(octets) => open.mailbox.octets(index)? > *octets,
            Test::Smaller(octets) => open.mailbox.octets(index)? < *octets,
            Test::Sent(from, before) => {
                let header = header(index, open, b"Date", looked)?;
                // RFC 3501 §6.4.4: the day as the sender wrote it, its zone disregarded.
                let date = field(&header, 0..header.len(), b"Date").and_then(read_date);
                date.is_some_and(|date| within(date.date_naive(), *from, *before))
            }
            Test::Header(name, search) => {
                let header = header(index, open, name, looked)?;
                search.field(&header, 0..header.len(), name)
            }
            Test::Body(search) => {
                let looked = look(index, open, looked)?.apart();
                let tree = looked.tree.as_ref();
                tree.is_some_and(|tree| search.body(&looked.octets, tree))
            }
            Test::Text(search) => {
                let looked = look(index, open, looked)?.apart();
                let tree = looked.tree.as_ref();
                tree.is_some_and(|tree| search.text(&looked.octets, tree))
            }
        })
    }
}

fn words(text: &[u8]) -> Box<mail::Search> {
    Box::new(mail::Search::new(&String::from_utf8_lossy(text)))
}

fn within(day: NaiveDate, from: Option<NaiveDate>, before: Option<NaiveDate>) -> bool {
    from.is_none_or(|from| day >= from) && before.is_none_or(|before| day < before)
}

fn look<'a>(
    index: usize,
    open: &mut Open,
    looked: &'a mut Option<Looked>,
) -> Result<&'a mut Looked, store::Error> {
    if looked.is_none() {
        *looked = Some(Looked { octets: open.mailbox.raw(index)?, tree: None });
    }
    Ok(looked.as_mut().expect("it was just put there"))
}

/// Octets with the header in front; where it ends is found as the fields are read. A field that is
/// kept needs no look at the message.
fn header<'a>(
    index: usize,
    open: &mut Open,
    name: &[u8],
    looked: &'a mut Option<Looked>,
) -> Result<Cow<'a, [u8]>, store::Error> {
    if looked.is_none() && Described::keeps(name) {
        let described = Described::of(index, open)?;
        return Ok(Cow::Owned(described.part(Which::Fields).to_vec()));
    }
    Ok(Cow::Borrowed(&look(index, open, looked)?.octets))
}

impl Looked {
    fn apart(&mut self) -> &mut Looked {
        if self.tree.is_none() {
            self.tree = Some(Tree::new(&self.octets));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Location;
    use crate::imapd::command::{self, Command};
    use crate::limits;
    use crate::store::Folders;
    use std::thread;

    fn searched(text: &str, open: &mut Open) -> bool {
        let parsed = command::parse(format!("a1 SEARCH {text}").as_bytes()).unwrap();
        let Command::Search { search, .. } = parsed.command else { panic!("{text}") };
        let mut test = Test::of(&search.key, open).unwrap();
        test.holds(0, open, &mut None).unwrap()
    }

    #[test]
    fn a_session_has_stack_enough() {
        let home = tempfile::tempdir().unwrap();
        for part in ["new", "tmp", "cur"] {
            std::fs::create_dir(home.path().join(part)).unwrap();
        }
        std::fs::write(home.path().join("new/1.M1P1.host"), "Subject: lunch\n\nAt one\n").unwrap();
        let folders = Folders::of(&Location::Maildir(home.path().to_owned()));
        let mailbox = folders.open("INBOX", false).unwrap();
        let (name, saved) = ("INBOX".to_owned(), Set::default());
        let mut open =
            Open { name, mailbox, read_only: false, saved, is_unsure: false, located: None };
        let nested = move || {
            for (head, tail, levels) in [
                ("NOT ", "", 1),
                ("(", ")", 1),
                ("OR DELETED ", "", 1),
                ("(ALL NOT ", ")", 2),
                ("OR DELETED (ALL ", ")", 2),
            ] {
                let times = limits::SEARCH_DEPTH / levels / 2 * 2;
                let text = format!("{}TEXT lunch{}", head.repeat(times), tail.repeat(times));
                assert!(searched(&text, &mut open), "{text}");
            }
        };
        let stack = limits::STACK / 2;
        thread::Builder::new().stack_size(stack).spawn(nested).unwrap().join().unwrap();
    }
}
