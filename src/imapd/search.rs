//! SEARCH: RFC 3501 §6.4.4, RFC 4731 (ESEARCH), RFC 5182 (`$`).

use super::command::{Returns, Search};
use super::criteria::Test;
use super::data;
use super::mailbox::Unreadable;
use super::response::{Code, Condition, Status};
use super::session::{Imapd, Open, Outcome};
use super::set::Set;
use crate::store;

/// RFC 3501 §6.4.4: what strings may be written in.
const CHARSETS: &[&str] = &["US-ASCII", "UTF-8"];

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
        let (found, is_all) = self.matching(search, open)?;
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
        Ok(Status::ok(match is_all {
            true => "Searched",
            false => "Searched, but for messages that cannot be read; the log says why",
        }))
    }

    /// The indices of those that are as asked for, and whether all could be asked.
    ///
    /// A message that cannot be read hides no others: who looks for a letter wants what there is.
    /// Nothing found is another matter, as what was looked for may be in there.
    fn matching(&self, search: &Search, open: &mut Open) -> Result<(Vec<usize>, bool), Status> {
        let mut test = Test::of(&search.key, open)?;
        let mut found = Vec::new();
        let mut unreadable = Unreadable::default();
        for index in 0..open.mailbox.messages().len() {
            let message = open.mailbox.messages()[index];
            if message.is_gone() {
                continue;
            }
            let mut looked = None;
            match test.holds(index, open, &mut looked) {
                Ok(true) => found.push(index),
                Ok(false) => {}
                Err(store::Error::Unavailable(error))
                    if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => unreadable.add(message.uid, error)?,
            }
        }
        match unreadable.status() {
            None => Ok((found, true)),
            Some(status) if found.is_empty() => Err(status),
            Some(status) => {
                log::warn!("{} search {}", self.id, status.cause.unwrap_or_default());
                Ok((found, false))
            }
        }
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
