//! What the files of a site say, remembered until they change. Correctness never depends on it.

use super::Refusal;
use super::aliases;
use super::domains;
use super::lists::{self, ListFile};
use super::members::{self, Fault, Members};
use super::srs;
use crate::conf::Site;
use crate::limits;
use crate::sys::cached::Cached;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What sessions share: the files as last read.
#[derive(Debug, Default)]
pub struct Live {
    aliases: Cached<aliases::Table>,
    domains: Cached<domains::Table>,
    secrets: Cached<Vec<String>>,
    included: Files<Members>,
    lists: Files<ListFile>,
}

/// Files of one kind, each remembered by its path.
#[derive(Debug)]
struct Files<T>(Mutex<HashMap<PathBuf, Arc<Cached<T>>>>);

impl<T> Default for Files<T> {
    fn default() -> Files<T> {
        Files(Mutex::default())
    }
}

impl<T> Files<T> {
    fn of(&self, path: &Path) -> Arc<Cached<T>> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= limits::MEMBERS_FILES && !files.contains_key(path) {
            files.clear();
        }
        files.entry(path.into()).or_default().clone()
    }
}

impl Live {
    /// The aliases; without the file there are none.
    pub(super) fn aliases(&self, site: &Site) -> Result<Arc<aliases::Table>, Refusal> {
        let path = &site.aliases;
        let news = |table: &aliases::Table| log_faults(path, &table.faults);
        let table = self.aliases.get(path, limits::TABLE_FILE, aliases::parse, news);
        Ok(usable(path, table)?.unwrap_or_default())
    }

    /// Further domains; without the file there are none.
    pub(super) fn domains(&self, site: &Site) -> Result<Arc<domains::Table>, Refusal> {
        let path = &site.virtual_addresses;
        let news = |table: &domains::Table| log_faults(path, &table.faults);
        let table = self.domains.get(path, limits::TABLE_FILE, domains::parse, news);
        Ok(usable(path, table)?.unwrap_or_default())
    }

    /// The secrets of SRS, at least one; `None` where the site has none.
    pub(super) fn secrets(&self, site: &Site) -> Result<Option<Arc<Vec<String>>>, Refusal> {
        let Some(path) = &site.srs else {
            return Ok(None);
        };
        let secrets = self.secrets.get(path, limits::MEMBERS_FILE, srs::parse, |_| ());
        match usable(path, secrets)? {
            Some(secrets) if !secrets.is_empty() => Ok(Some(secrets)),
            _ => {
                let place = path.display();
                let why = "there is no secret; write a line: openssl rand -base64 24";
                Err(Refusal::Unavailable(format!("{place}: {why}")))
            }
        }
    }

    /// A file that an alias includes.
    pub(super) fn included(&self, path: &Path) -> Result<Arc<Members>, Refusal> {
        let news = |members: &Members| log_faults(path, &members.faults);
        let read = self.included.of(path);
        let members = read.get(path, limits::MEMBERS_FILE, members::parse, news);
        usable(path, members)?.ok_or_else(|| {
            let place = path.display();
            Refusal::Unavailable(format!("{place}: there is no such file, make or do not name it"))
        })
    }

    /// The list of a name, if there is one.
    pub(super) fn list(&self, site: &Site, name: &str) -> Result<Option<Arc<ListFile>>, Refusal> {
        if !lists::is_name(name) {
            return Ok(None);
        }
        let path = site.lists.join(name);
        // What is no list is not remembered, as anybody may ask for any name.
        if !matches!(path.try_exists(), Ok(true) | Err(_)) {
            return Ok(None);
        }
        let news = |list: &ListFile| log_faults(&path, &list.faults);
        let list = self.lists.of(&path).get(&path, limits::TABLE_FILE, lists::parse, news);
        usable(&path, list)
    }
}

fn usable<T>(path: &Path, read: io::Result<T>) -> Result<T, Refusal> {
    read.map_err(|error| Refusal::Unavailable(format!("{}: {error}", path.display())))
}

fn log_faults(path: &Path, faults: &[Fault]) {
    for fault in faults {
        log::warn!("{}", fault.at(path));
    }
}
