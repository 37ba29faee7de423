//! What is wrong with the files, for `buzonctl check`, before a letter finds it out.

use super::domains::{self, Onto};
use super::members::Fault;
use super::search::Search;
use super::{Live, Refusal, lists};
use crate::auth;
use crate::conf::Site;
use crate::mail::Mailbox;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Every fault of the aliases, the virtual file, the lists and the secret, each once, as
/// `file:line: what, cure`. What users forward is theirs to see.
pub fn faults(site: &Site, users: &auth::Live, live: &Live) -> Vec<String> {
    let outcome = |place: String, path: &Mailbox| {
        let outcome = Search::new(site, users, live).and_then(|mut search| {
            search.forwards = false;
            search.follow(path)
        });
        match outcome {
            Ok(_) => None,
            Err(Refusal::Unavailable(why)) => Some(why),
            Err(Refusal::NotServed(why)) => Some(format!("{place}: {why}; name another")),
            Err(Refusal::NoSuchUser) => Some(format!("{place} comes to nobody, name a user")),
            Err(refusal) => Some(format!("{place} {refusal}")),
        }
    };
    let mut faults = Vec::new();
    match live.aliases(site) {
        Ok(aliases) => {
            faults.extend(at(&site.aliases, &aliases.faults));
            for alias in aliases.all() {
                let place = format!("{}:{}: '{}'", site.aliases.display(), alias.line, alias.name);
                let path = Mailbox { local_part: alias.name.clone(), domain: String::new() };
                faults.extend(outcome(place, &path));
            }
        }
        Err(refusal) => faults.push(refusal.to_string()),
    }
    match live.domains(site) {
        Ok(domains) => {
            let file = &site.virtual_addresses;
            faults.extend(at(file, &domains.faults));
            for (left, entry) in domains.all() {
                let place = format!("{}:{}: '{left}'", file.display(), entry.line);
                faults.extend(sample(left, entry).and_then(|path| outcome(place, &path)));
            }
        }
        Err(refusal) => faults.push(refusal.to_string()),
    }
    faults.extend(of_lists(site, live));
    faults.extend(live.secrets(site).err().map(|refusal| refusal.to_string()));
    faults.extend(
        site.srs
            .as_ref()
            .filter(|path| is_open(path))
            .map(|path| format!("{}: everybody can read the secret, chmod o-rw", path.display())),
    );
    let mut told = HashSet::new();
    faults.retain(|fault| told.insert(fault.clone()));
    faults
}

/// An address that the line is for; none where what becomes of it depends on the name.
fn sample(left: &str, entry: &domains::Entry) -> Option<Mailbox> {
    let (local_part, domain) = left.rsplit_once('@')?;
    let depends = entry.targets.iter().any(|onto| matches!(onto, Onto::Domain(_)));
    let local_part = match local_part.is_empty() {
        true if depends => return None,
        true => "nobody in particular",
        false => local_part,
    };
    Some(Mailbox { local_part: local_part.into(), domain: domain.into() })
}

/// Whether a file is open to everybody.
fn is_open(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.mode() & 0o006 != 0)
}

/// The faults of every list.
fn of_lists(site: &Site, live: &Live) -> Vec<String> {
    let mut faults = Vec::new();
    // Without the directory there are no lists.
    for entry in std::fs::read_dir(&site.lists).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if lists::is_name(&name) && name != name.to_lowercase() {
            let file = entry.path();
            faults.push(format!("{}: names of lists are in lower case, rename it", file.display()));
        }
        match live.list(site, &name) {
            Ok(Some(list)) => {
                faults.extend(at(&entry.path(), &list.faults));
                if list.members.is_empty() {
                    let file = entry.path();
                    faults.push(format!("{}: the list has no members, name some", file.display()));
                }
            }
            Ok(None) => {}
            Err(refusal) => faults.push(refusal.to_string()),
        }
    }
    faults.sort();
    faults
}

fn at(path: &Path, faults: &[Fault]) -> Vec<String> {
    faults.iter().map(|fault| fault.at(path)).collect()
}
