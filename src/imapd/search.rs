//! SEARCH: RFC 3501 §6.4.4, RFC 4731 (ESEARCH), RFC 5182 (`$`), RFC 5032 (OLDER, YOUNGER).
//!
//! What a list of messages knows is asked before a message is opened: of several keys those that
//! cost nothing come first.

use super::command::{Key, Returns, Search};
use super::data;
use super::described::{Described, Which};
use super::flag::Flag;
use super::mailbox::{SYSTEM, store_status};
use super::response::{Code, Condition, Status};
use super::session::{Imapd, Open, Outcome};
use super::set::Set;
use crate::mail::{self, Tree, field, read_date};
use crate::store::{self, Flags, Summary};
use chrono::{DateTime, Local, NaiveDate, Utc};
use std::borrow::Cow;

/// RFC 3501 §6.4.4: what strings may be written in.
const CHARSETS: &[&str] = &["US-ASCII", "UTF-8"];

/// What must hold, with everything worked out that is the same for all messages.
enum Test {
    Always,
    And(Vec<Test>),
    Or(Box<Test>, Box<Test>),
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
    Header(Vec<u8>, mail::Search),
    Body(mail::Search),
    Text(mail::Search),
}

/// A message that is looked at, read once at the most.
struct Looked {
    octets: Vec<u8>,
    tree: Option<Tree>,
}

impl Imapd<'_> {
    /// RFC 3501 §6.4.4.
    pub(super) fn search(
        &mut self,
        uid: bool,
        search: &Search,
        tag: &str,
        open: &mut Open,
    ) -> Outcome {
        if search.charset.is_some() && self.utf8 {
            let text = "With UTF8=ACCEPT strings are UTF-8, and no CHARSET is named";
            return Err(Status::bad(text).by("RFC 6855 §3"));
        }
        let done = self.find(uid, search, tag, open);
        // RFC 5182 §2.1: a NO empties what was saved, a BAD leaves it alone.
        let is_no = done.as_ref().is_err_and(|status| status.condition == Condition::No);
        if is_no && search.returns.is_some_and(|returns| returns.save) {
            open.saved = Set::default();
        }
        done
    }

    fn find(&mut self, uid: bool, search: &Search, tag: &str, open: &mut Open) -> Outcome {
        if let Some(charset) = &search.charset
            && !CHARSETS.iter().any(|known| known.eq_ignore_ascii_case(charset))
        {
            let status = Status::no(Code::BadCharset(CHARSETS), "Strings are ASCII or UTF-8");
            return Err(status.by("RFC 3501 §6.4.4"));
        }
        let mut test = self.test(&search.key, open)?;
        let mut found = Vec::new();
        for index in 0..open.mailbox.messages().len() {
            if open.mailbox.messages()[index].is_gone() {
                continue;
            }
            let mut looked = None;
            match test.holds(index, open, &mut looked) {
                Ok(true) => found.push(index),
                Ok(false) => {}
                Err(store::Error::Unavailable(error))
                    if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(store_status(error)),
            }
        }
        let messages = open.mailbox.messages();
        let uids = || found.iter().map(|index| messages[*index].uid);
        let numbers: Set = match uid {
            true => uids().collect(),
            false => found.iter().map(|index| *index as u32 + 1).collect(),
        };
        let returns = match (search.returns, self.rev2) {
            (Some(returns), _) => Some(returns),
            // RFC 9051 §6.4.4: there ESEARCH is the answer always.
            (None, true) => Some(Returns { all: true, ..Returns::default() }),
            (None, false) => None,
        };
        let saved = returns.filter(|returns| returns.save).map(|returns| saved(returns, uids()));
        match returns {
            Some(returns) => data::esearch(self.conn.output(), tag, uid, returns, &numbers),
            None => data::search(self.conn.output(), numbers.iter()),
        }
        if let Some(saved) = saved {
            open.saved = saved;
        }
        Ok(Status::ok("Searched"))
    }

    fn test(&self, key: &Key, open: &Open) -> Result<Test, Status> {
        let day_after = |day: &NaiveDate| day.succ_opt();
        let now = Utc::now().timestamp();
        Ok(match key {
            Key::All => Test::Always,
            Key::And(keys) => {
                let mut tests =
                    keys.iter().map(|key| self.test(key, open)).collect::<Result<Vec<_>, _>>()?;
                tests.sort_by_key(Test::cost);
                Test::And(tests)
            }
            Key::Or(one, other) => {
                let mut tests = [self.test(one, open)?, self.test(other, open)?];
                tests.sort_by_key(Test::cost);
                let [one, other] = tests;
                Test::Or(Box::new(one), Box::new(other))
            }
            Key::Not(key) => Test::Not(Box::new(self.test(key, open)?)),
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
}

/// RFC 5182 §2.4: of MIN and MAX alone only what they tell.
fn saved(returns: Returns, mut uids: impl Iterator<Item = u32>) -> Set {
    let Returns { min, max, all, count, .. } = returns;
    if all || count || !(min || max) {
        return uids.collect();
    }
    let least = uids.next();
    let greatest = uids.last().or(least);
    [least.filter(|_| min), greatest.filter(|_| max)].into_iter().flatten().collect()
}

fn words(text: &[u8]) -> mail::Search {
    mail::Search::new(&String::from_utf8_lossy(text))
}

impl Test {
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
            Test::Or(one, other) => one.cost().max(other.cost()),
            Test::And(tests) => tests.iter().map(Test::cost).max().unwrap_or(0),
        }
    }

    fn holds(
        &mut self,
        index: usize,
        open: &mut Open,
        looked: &mut Option<Looked>,
    ) -> Result<bool, store::Error> {
        let message: Summary = open.mailbox.messages()[index];
        Ok(match self {
            Test::Always => true,
            Test::And(tests) => {
                for test in tests {
                    if !test.holds(index, open, looked)? {
                        return Ok(false);
                    }
                }
                true
            }
            Test::Or(one, other) => {
                one.holds(index, open, looked)? || other.holds(index, open, looked)?
            }
            Test::Not(test) => !test.holds(index, open, looked)?,
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
