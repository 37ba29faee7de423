//! LIST (RFC 3501 §6.3.8; extended RFC 5258, RFC 5819, RFC 6154) and LSUB (RFC 3501 §6.3.9).

use super::command::{List, Pattern};
use super::data::{self, Listed};
use super::folders::attribute;
use super::mailbox::folder_status;
use super::response::Status;
use super::session::{Account, Imapd, Outcome};
use crate::store::SpecialUse;
use std::collections::BTreeMap;

/// A name that may be listed.
#[derive(Clone, Default)]
struct Row {
    /// A mailbox has it, or one below it.
    listed: bool,
    selectable: bool,
    holds: bool,
    subscribed: bool,
    special: Option<SpecialUse>,
}

/// Rows in the order of their names, INBOX first.
type Rows = BTreeMap<(bool, String), Row>;

impl Imapd<'_> {
    /// RFC 3501 §6.3.8.
    pub(super) fn list(&mut self, list: &List, account: &mut Account) -> Outcome {
        let utf8 = self.speaks_utf8();
        if !list.extended && list.patterns.iter().all(|pattern| pattern.text(utf8).is_empty()) {
            // The empty pattern asks what divides levels.
            let root = Listed {
                attributes: &["\\Noselect"],
                delimiter: Some('/'),
                name: "",
                ..Listed::default()
            };
            data::list(self.conn.output(), &root, utf8);
            return Ok(Status::ok("That divides levels"));
        }
        let rows = rows(account)?;
        let patterns: Vec<String> = list
            .patterns
            .iter()
            .map(|pattern| simple(&(list.reference.text(utf8) + &pattern.text(utf8))))
            .collect();
        for ((_, name), row) in &rows {
            if !patterns.iter().any(|pattern| matches(pattern, name)) {
                continue;
            }
            let chosen = self.chosen(list, row);
            let mut below = below(&rows, name).filter(|(_, row)| self.chosen(list, row)).peekable();
            let has_below = list.select.recursive_match && below.peek().is_some();
            // RFC 5258 §3.5: not where all those below are told anyhow.
            let is_told = |name: &str| patterns.iter().any(|pattern| matches(pattern, name));
            if chosen || has_below && below.any(|(name, _)| !is_told(name)) {
                drop(below);
                self.tell_row(list, name, row, &rows, has_below);
                self.status_of(list, name, row, account);
            }
        }
        Ok(Status::ok("That is the list"))
    }

    /// RFC 5258 §3.1: whether the selection options take it.
    fn chosen(&self, list: &List, row: &Row) -> bool {
        let subscribed = !list.select.subscribed || row.subscribed;
        let special = !list.select.special_use || row.special.is_some();
        let exists = row.listed || list.select.subscribed;
        subscribed && special && exists
    }

    fn tell_row(&mut self, list: &List, name: &str, row: &Row, rows: &Rows, below: bool) {
        let mut attributes = Vec::new();
        match (row.selectable, list.extended) {
            (true, _) => {}
            // RFC 5258 §3: it says that it cannot be selected, too.
            (false, true) => attributes.push("\\NonExistent"),
            (false, false) => attributes.push("\\Noselect"),
        }
        let children = self::below(rows, name).any(|(_, row)| row.listed);
        attributes.push(match children {
            true => "\\HasChildren",
            // RFC 5258 §3.4: it says that there are none, too.
            false if row.listed && !row.holds => "\\NoInferiors",
            false => "\\HasNoChildren",
        });
        if row.subscribed && (list.select.subscribed || list.tell.subscribed) {
            attributes.push("\\Subscribed");
        }
        if let Some(special) = row.special {
            attributes.push(attribute(special));
        }
        let listed = Listed {
            attributes: &attributes,
            delimiter: Some('/'),
            name,
            child_subscribed: below && list.select.subscribed,
            old_name: None,
        };
        let utf8 = self.speaks_utf8();
        data::list(self.conn.output(), &listed, utf8);
    }

    /// RFC 5819 §2: a mailbox that cannot be opened is passed over.
    fn status_of(&mut self, list: &List, name: &str, row: &Row, account: &mut Account) {
        if !list.tell.status.is_empty() && row.selectable {
            match self.status_items(name, &list.tell.status, account) {
                Ok(told) => {
                    let utf8 = self.speaks_utf8();
                    data::status(self.conn.output(), name, &told, utf8);
                }
                Err(status) => log::warn!("{} status={:?}", self.id, status.to_string()),
            }
        }
    }

    /// RFC 3501 §6.3.9: `%` shows a parent whose child is subscribed, as \Noselect.
    pub(super) fn lsub(
        &mut self,
        reference: &Pattern,
        pattern: &Pattern,
        account: &mut Account,
    ) -> Outcome {
        let utf8 = self.speaks_utf8();
        let pattern = simple(&(reference.text(utf8) + &pattern.text(utf8)));
        let mut told = BTreeMap::new();
        for name in account.folders.subscriptions().map_err(folder_status)? {
            if matches(&pattern, &name) {
                told.insert(name, true);
            } else if pattern.ends_with('%') {
                let parents = name.match_indices('/').map(|(at, _)| &name[..at]);
                for parent in parents.filter(|parent| matches(&pattern, parent)) {
                    told.entry(parent.to_owned()).or_insert(false);
                }
            }
        }
        for (name, subscribed) in &told {
            let attributes: &[&str] = if *subscribed { &[] } else { &["\\Noselect"] };
            let listed = Listed { attributes, delimiter: Some('/'), name, ..Listed::default() };
            data::lsub(self.conn.output(), &listed, utf8);
        }
        Ok(Status::ok("Those are subscribed"))
    }
}

/// All names: of mailboxes, and of subscriptions.
fn rows(account: &mut Account) -> Result<Rows, Status> {
    let mut rows = Rows::new();
    let key = |name: &str| (name != "INBOX", name.to_owned());
    for folder in account.folders.list().map_err(folder_status)? {
        let row = Row {
            listed: true,
            selectable: folder.selectable,
            holds: folder.holds,
            subscribed: false,
            special: folder.use_,
        };
        rows.insert(key(&folder.name), row);
    }
    for name in account.folders.subscriptions().map_err(folder_status)? {
        for (at, _) in name.match_indices('/') {
            rows.entry(key(&name[..at])).or_default();
        }
        rows.entry(key(&name)).or_default().subscribed = true;
    }
    Ok(rows)
}

/// The rows below a name.
fn below<'a>(rows: &'a Rows, name: &str) -> impl Iterator<Item = (&'a str, &'a Row)> {
    let prefix = format!("{name}/");
    let from = rows.range((true, prefix.clone())..);
    let names = from.map(|((_, name), row)| (name.as_str(), row));
    names.take_while(move |(name, _)| name.starts_with(&prefix))
}

/// Of wildcards in a row one says it all, so that no pattern is longer than what it can match.
fn simple(pattern: &str) -> String {
    let mut simple = String::new();
    for character in pattern.chars() {
        match (simple.chars().next_back(), character) {
            (Some('*'), '*' | '%') | (Some('%'), '%') => {}
            (Some('%'), '*') => {
                simple.pop();
                simple.push('*');
            }
            _ => simple.push(character),
        }
    }
    simple
}

/// RFC 3501 §6.3.8: `*` is anything, `%` anything within one level. INBOX matches in any case, also
/// where it is the first level of a name (§5.1).
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let any_case = match name.split('/').next() {
        Some("INBOX") => "INBOX".len(),
        _ => 0,
    };
    let literal = pattern.iter().filter(|character| !matches!(character, '*' | '%')).count();
    if literal > name.chars().count() {
        return false;
    }
    // Which places in the pattern can be reached: no pattern is slow.
    let mut places = vec![false; pattern.len() + 1];
    places[0] = true;
    skip_wildcards(&pattern, &mut places);
    for (along, character) in name.chars().enumerate() {
        let mut next = vec![false; places.len()];
        for (at, wanted) in pattern.iter().enumerate().filter(|(at, _)| places[*at]) {
            match wanted {
                '*' => next[at] = true,
                '%' => next[at] |= character != '/',
                wanted if along < any_case => {
                    next[at + 1] |= wanted.eq_ignore_ascii_case(&character);
                }
                wanted => next[at + 1] |= *wanted == character,
            }
        }
        skip_wildcards(&pattern, &mut next);
        places = next;
    }
    places[pattern.len()]
}

/// A wildcard may stand for nothing.
fn skip_wildcards(pattern: &[char], places: &mut [bool]) {
    for (at, wanted) in pattern.iter().enumerate() {
        if places[at] && matches!(wanted, '*' | '%') {
            places[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{matches, simple};

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*", "INBOX", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("*", "a/b", true),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a*c", "a/b/c", true),
            ("inbox", "INBOX", true),
            ("In%", "INBOX", true),
            ("inbox/%", "INBOX/kid", true),
            ("i*x/kid", "INBOX/kid", true),
            ("%/kid", "INBOX/kid", true),
            ("*KID", "INBOX/kid", false),
            ("INBOX/inbox", "INBOX/INBOX", false),
            ("inboxes", "INBOXES", false),
            ("sent", "Sent", false),
            ("", "a", false),
            ("%/%", "a/b", true),
            ("a%*%b", "a/x/b", true),
            ("a%%/%%b", "ax/xb", true),
            ("a%b%c", "axxbyyc", true),
            ("a%%%%%%%%%%%%%%%%%%%%%%%%b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false),
        ] {
            assert_eq!(matches(&simple(pattern), name), expected, "{pattern} {name}");
        }
    }
}
