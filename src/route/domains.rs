//! The virtual file: addresses of further domains, and catch-alls, in Postfix's `virtual` form.
//!
//! `address target, target`, or `@domain` for all that the domain has not otherwise. A domain that
//! stands to the left is ours, whether `domains` names it or not. The format: buzon-virtual(5).

use super::members::{Fault, Member, cut, list, logical_lines, member, whole_domain};
use crate::mail::Mailbox;
use std::collections::{HashMap, HashSet};

/// One line.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where it begins.
    pub line: usize,
    /// At least one.
    pub targets: Vec<Onto>,
}

/// Whom an address stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Onto {
    /// A name or an address.
    Member(Member),
    /// `@domain`: the same local part there.
    Domain(String),
}

/// The file, understood.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    /// By `local@domain`, or `@domain`, in lower case.
    by_address: HashMap<String, usize>,
    domains: HashSet<String>,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
}

impl Table {
    /// The line of an address, or of a domain where the local part is empty.
    pub fn find(&self, local_part: &str, domain: &str) -> Option<&Entry> {
        self.by_address.get(&key(local_part, domain)).map(|at| &self.entries[*at])
    }

    /// Whether the domain stands to the left.
    pub fn has(&self, domain: &str) -> bool {
        self.domains.contains(&domain.to_lowercase())
    }

    /// The domains that stand to the left, in the order of the alphabet.
    pub fn domains(&self) -> Vec<String> {
        let mut domains: Vec<_> = self.domains.iter().cloned().collect();
        domains.sort_unstable();
        domains
    }

    /// Each line, with what stands to the left.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Entry)> {
        let mut lines: Vec<_> = self.by_address.iter().collect();
        lines.sort_by_key(|(_, at)| **at);
        lines.into_iter().map(|(left, at)| (left.as_str(), &self.entries[*at]))
    }
}

fn key(local_part: &str, domain: &str) -> String {
    format!("{}@{}", local_part.to_lowercase(), domain.to_lowercase())
}

/// Reads the file's text.
pub(super) fn parse(text: &str) -> Table {
    let mut table = Table::default();
    for (line, text) in logical_lines(text) {
        let fault = |text| Fault { line, text };
        match entry(line, text.trim()) {
            Ok((left, _))
                if table.by_address.contains_key(&key(&left.local_part, &left.domain)) =>
            {
                let text = "this address stands above, this line is not used; join them".into();
                table.faults.push(fault(text));
            }
            Ok((Mailbox { local_part, domain }, entry)) => {
                table.by_address.insert(key(&local_part, &domain), table.entries.len());
                table.domains.insert(domain.to_lowercase());
                table.entries.push(entry);
            }
            Err(why) => table.faults.push(fault(why)),
        }
    }
    table
}

fn entry(line: usize, text: &str) -> Result<(Mailbox, Entry), String> {
    let (left, rest) = cut(text, |end, _| end.is_whitespace());
    let address = match left.strip_prefix('@').map(whole_domain) {
        Some(Some(domain)) => Mailbox { local_part: String::new(), domain },
        Some(None) => return Err(format!("'{left}' is no domain")),
        None => match member(left)? {
            Some(Member::Address(address)) => address,
            _ => return Err(format!("'{left}' is no address; names alone belong to the aliases")),
        },
    };
    let mut targets = Vec::new();
    let mut rest = rest;
    while !rest.is_empty() {
        let (text, after) = cut(rest, |end, _| end == ',');
        match text.trim().strip_prefix('@') {
            Some(domain) => {
                let whole = whole_domain(domain).ok_or(format!("'@{domain}' is no domain"))?;
                targets.push(Onto::Domain(whole));
            }
            None => targets.extend(list(text)?.into_iter().map(Onto::Member)),
        }
        rest = after.strip_prefix(',').unwrap_or_default();
    }
    let ordinary = |onto: &Onto| {
        matches!(onto, Onto::Domain(_) | Onto::Member(Member::Name(_) | Member::Address(_)))
    };
    match targets.iter().find(|onto| !ordinary(onto)) {
        Some(Onto::Member(member)) => {
            Err(format!("'{member}' belongs to the aliases; name an alias here"))
        }
        _ if targets.is_empty() => Err(format!("'{left}' has no target; name some or remove it")),
        _ => Ok((address, Entry { line, targets })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn lines_are_understood() {
        let text = "# ours too\ninfo@Other.test luis, jo@far.test\n@other.test  eva\n\
                    ventas@other.test\n\tana,\n\tluis\n@old.test @other.test\n";
        let table = parse(text);
        assert!(table.faults.is_empty(), "{:?}", table.faults);
        for (local_part, domain, line, targets) in [
            ("INFO", "other.TEST", 2, 2),
            ("", "other.test", 3, 1),
            ("ventas", "other.test", 4, 2),
            ("", "old.test", 7, 1),
        ] {
            let entry = table.find(local_part, domain).unwrap();
            assert_eq!((entry.line, entry.targets.len()), (line, targets), "{local_part}@{domain}");
        }
        assert!(table.find("luis", "other.test").is_none());
        assert_eq!(
            table.find("", "old.test").unwrap().targets,
            [Onto::Domain("other.test".into())]
        );
        assert!(table.has("OLD.test") && !table.has("far.test"));
    }

    #[test]
    fn faults_are_told_and_cost_no_other_line() {
        for (text, told) in [
            ("luis ana", "v:1: 'luis' is no address"),
            ("luis@a.test", "v:1: 'luis@a.test' has no target"),
            ("@a..test ana", "v:1: '@a..test' is no domain"),
            ("@a.test @b..test", "v:1: '@b..test' is no domain"),
            ("luis@a.test |/bin/x", "v:1: '|/bin/x' belongs to the aliases"),
            ("luis@a.test \\luis", "v:1: '\\luis' belongs to the aliases"),
            ("luis@a.test x\nLuis@A.test y", "v:2: this address stands above"),
            ("luis@a.test x y", "v:1: 'x y' is two words"),
        ] {
            let table = parse(&format!("{text}\ngood@c.test luis\n"));
            let faults: Vec<_> = table.faults.iter().map(|f| f.at(Path::new("v"))).collect();
            assert!(faults.len() == 1 && faults[0].starts_with(told), "{text:?}: {faults:?}");
            assert!(table.find("good", "c.test").is_some(), "{text:?}");
        }
    }
}
