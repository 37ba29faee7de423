//! Folders that are mboxes: `a/b` is the file `a/b` in the directory of the folders, levels in
//! modified UTF-7 (RFC 3501 §5.1.3) as Dovecot writes them.
//!
//! A directory holds mailboxes and is none. Names that begin with a dot are no mailboxes: what must
//! be remembered stands there, `.buzon.NAME` beside each, as `state` says.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::folders::{Folder, FolderError, SpecialUse, Status};
use super::super::maildir::notes::{self, Notes};
use super::super::maildir::subscriptions;
use super::intake;
use super::session::Session;
use super::state::{self, State};
use super::work::{CACHE, LIST};
use super::{DEPTH, lock, table};
use crate::sys::dir::{self, Dir, Kind};
use crate::text::utf7;

/// How long we wait for other programs.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// A level may be so long, so that what is made beside it has room.
const LONGEST: usize = 240;
/// Files that are locks, not mailboxes.
const LOCK: &[u8] = b".lock";

/// The folders of a user.
#[derive(Clone, Debug)]
pub struct Tree {
    inbox: PathBuf,
    folders: PathBuf,
}

/// A mailbox on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub mbox: PathBuf,
    /// Where its state is, and how that is called.
    pub directory: PathBuf,
    /// See `directory`.
    pub state: Vec<u8>,
    /// Whether it is there even without a file.
    pub is_inbox: bool,
    spool: PathBuf,
}

impl Place {
    /// A file of ours beside the state, by how its name begins.
    pub fn beside(&self, start: &[u8]) -> Vec<u8> {
        let own = self.mbox.file_name().unwrap_or_default().as_bytes();
        [start, if self.is_inbox { b"INBOX" } else { own }].concat()
    }

    /// Takes away what can be had again.
    fn forget(&self) {
        if let Ok(dir) = Dir::open(&self.directory) {
            for start in [LIST, CACHE] {
                let _ = dir.unlink(&self.beside(start));
            }
        }
    }

    /// Where files of our own may lie.
    pub fn spool(&self) -> &Path {
        &self.spool
    }
}

impl Tree {
    /// Of an INBOX and a directory.
    pub fn new(inbox: &Path, folders: &Path) -> Tree {
        Tree { inbox: inbox.into(), folders: folders.into() }
    }

    /// The directory of the folders.
    pub fn directory(&self) -> &Path {
        &self.folders
    }

    fn root(&self) -> io::Result<Dir> {
        dir::create_path(&self.folders)?;
        Dir::open(&self.folders)
    }

    /// The mailboxes; see `Folders::list`.
    pub fn list(&self) -> Result<Vec<Folder>, FolderError> {
        let root = self.root()?;
        let mut names = BTreeMap::new();
        names.extend(self.names(&root)?);
        names.remove("INBOX");
        let notes = Notes::read(&root, notes::MBOX)?;
        let inbox = Folder { name: "INBOX".into(), selectable: true, holds: true, use_: None };
        let mut folders = vec![inbox];
        folders.extend(names.into_iter().map(|(name, selectable)| Folder {
            use_: notes.use_of(&name).filter(|_| selectable),
            name,
            selectable,
            holds: !selectable,
        }));
        folders.sort_by(|a, b| {
            let is_below_inbox = |folder: &Folder| folder.name.split('/').next() == Some("INBOX");
            let order = is_below_inbox(b).cmp(&is_below_inbox(a));
            order.then_with(|| a.name.split('/').cmp(b.name.split('/')))
        });
        Ok(folders)
    }

    /// The names of all files, which are mailboxes, and of all directories, which are not.
    fn names(&self, root: &Dir) -> io::Result<Names> {
        let mut names = Vec::new();
        names_in(root, "", DEPTH, &mut names)?;
        Ok(names)
    }

    /// Whether a mailbox can be selected.
    pub fn exists(&self, name: &str) -> Result<bool, FolderError> {
        match self.place(name) {
            Ok(_) => Ok(true),
            Err(FolderError::Missing | FolderError::Invalid(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A mailbox that is there.
    pub fn place(&self, name: &str) -> Result<Place, FolderError> {
        let place = self.place_of(&parse(name)?);
        match place.is_inbox || is_file(&place.mbox)? {
            true => Ok(place),
            false => Err(FolderError::Missing),
        }
    }

    fn place_of(&self, name: &str) -> Place {
        let spool = self.folders.clone();
        if name == "INBOX" {
            let (mbox, directory) = (self.inbox.clone(), spool.clone());
            return Place { mbox, directory, state: state::INBOX.into(), is_inbox: true, spool };
        }
        let mbox = self.folders.join(utf7::encode(name));
        let directory = mbox.parent().unwrap_or(&self.folders).to_owned();
        let file = mbox.file_name().unwrap_or_default();
        let state = [b".buzon.", file.as_bytes()].concat();
        Place { mbox, directory, state, is_inbox: false, spool }
    }

    /// Makes a mailbox; see `Folders::create`.
    ///
    /// A file holds no others, so here the delimiter counts: what is made is a level.
    pub fn create(&self, name: &str, use_: Option<SpecialUse>) -> Result<(), FolderError> {
        let level = name.strip_suffix('/');
        let name = parse(level.unwrap_or(name))?;
        let place = self.place_of(&name);
        let root = self.root()?;
        if place.is_inbox {
            return Err(FolderError::Exists);
        }
        notes::change(&root, notes::MBOX, |notes| {
            self.make_room(&place)?;
            if level.is_some() {
                return Ok(dir::create_path(&place.mbox)?);
            }
            let validity = notes.new_validity(&root)?;
            let state = State::open_named(&place.directory, &place.state, true)?;
            let mut state = state.ok_or(FolderError::Missing)?;
            (state.validity, state.last, state.plan) = (validity, 0, None);
            state.write(true)?;
            lock::lock(&place.mbox, Instant::now() + PATIENCE, true)?;
            notes.set_use(&name, use_);
            Ok(())
        })
    }

    /// Makes what a mailbox lies in; an error where it cannot be there.
    fn make_room(&self, place: &Place) -> Result<(), FolderError> {
        match std::fs::symlink_metadata(&place.mbox) {
            Ok(data) if data.is_dir() => {
                return Err(FolderError::Invalid("mailboxes below that name are there already"));
            }
            Ok(_) => return Err(FolderError::Exists),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(FolderError::Invalid("a mailbox here holds no others"));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(dir::create_path(&place.directory)?)
    }

    /// Removes a mailbox; see `Folders::delete`.
    pub fn delete(&self, name: &str) -> Result<(), FolderError> {
        let name = parse(name)?;
        let place = self.place_of(&name);
        if place.is_inbox {
            return Err(FolderError::Invalid("INBOX cannot be deleted"));
        }
        notes::change(&self.root()?, notes::MBOX, |notes| {
            if !is_file(&place.mbox)? {
                return remove_level(&place);
            }
            let locked = place.lock(false)?;
            let (_locked, state) = locked.ok_or(FolderError::Missing)?;
            notes.had_validity(state.validity);
            notes.set_use(&name, None);
            std::fs::remove_file(&place.mbox)?;
            let _ = Dir::open(&place.directory)?.unlink(&place.state);
            place.forget();
            Ok(Dir::open(&place.directory)?.sync()?)
        })?;
        self.tidy(&place);
        Ok(())
    }

    /// Removes directories that hold nothing any more.
    fn tidy(&self, place: &Place) {
        let parents = place.directory.ancestors();
        let ours = parents.take_while(|parent| *parent != self.folders);
        // One that holds something stays, and so do those above it.
        let _ = ours.map(std::fs::remove_dir).find(Result::is_err);
    }

    /// Renames a mailbox; see `Folders::rename`.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FolderError> {
        let (from, to) = (parse(from)?, parse(to)?);
        let (old, new) = (self.place_of(&from), self.place_of(&to));
        if new.is_inbox {
            return Err(FolderError::Exists);
        }
        if old.is_inbox {
            return self.empty_inbox(&to);
        }
        if to.starts_with(&format!("{from}/")) {
            return Err(FolderError::Invalid("a mailbox cannot be moved below itself"));
        }
        let is_one = is_file(&old.mbox)?;
        if !is_one && !old.mbox.is_dir() {
            return Err(FolderError::Missing);
        }
        if std::fs::symlink_metadata(&new.mbox).is_ok() {
            return Err(FolderError::Exists);
        }
        notes::change(&self.root()?, notes::MBOX, |notes| {
            let below = match is_one {
                true => Vec::new(),
                false => self.names(&self.root()?)?,
            };
            self.make_room(&new)?;
            let locked = if is_one { old.lock(false)? } else { None };
            notes.had_validity(locked.as_ref().map_or(0, |(_, state)| state.validity));
            let (here, there) = (Dir::open(&old.directory)?, Dir::open(&new.directory)?);
            if is_one {
                here.rename(&old.state, &there, &new.state)?;
                old.forget();
            }
            std::fs::rename(&old.mbox, &new.mbox)?;
            there.sync()?;
            here.sync()?;
            notes.rename_use(&from, &to);
            let start = format!("{from}/");
            for (name, _) in below.iter().filter(|(name, _)| name.starts_with(&start)) {
                let new = format!("{to}{}", &name[from.len()..]);
                let place = self.place_of(&new);
                let state = State::open_named(&place.directory, &place.state, false)?;
                notes.had_validity(state.map_or(0, |state| state.validity));
                notes.rename_use(name, &new);
            }
            Ok(())
        })?;
        self.tidy(&old);
        Ok(())
    }

    /// INBOX stays, its messages move.
    fn empty_inbox(&self, to: &str) -> Result<(), FolderError> {
        self.create(to, None)?;
        let mut inbox = Session::open(self, self.place_of("INBOX"), false)?;
        let all: Vec<u32> = (0..inbox.messages().len() as u32).collect();
        if !all.is_empty() {
            inbox.move_to(&all, to)?;
        }
        Ok(())
    }

    /// Names that the user subscribed to.
    pub fn subscriptions(&self) -> Result<Vec<String>, FolderError> {
        Ok(subscriptions::read(&self.root()?, subscriptions::MBOX)?)
    }

    /// Subscribes to a name, or no longer.
    pub fn subscribe(&self, name: &str, is_wanted: bool) -> Result<(), FolderError> {
        let name = parse(name)?;
        let root = self.root()?;
        let path = self.folders.join(".subscriptions");
        let _locked = lock::lock(&path, Instant::now() + PATIENCE, true)?;
        match subscriptions::edit(&root, subscriptions::MBOX, &name, is_wanted)? || is_wanted {
            true => Ok(()),
            false => Err(FolderError::Missing),
        }
    }

    /// Counts; see `Folders::status`.
    pub fn status(&self, name: &str) -> Result<Status, FolderError> {
        let place = self.place(name)?;
        if let Some(stat) = place.stat()?
            && let Ok(dir) = Dir::open(&place.directory)
            && let Some(status) = table::status(&dir, &place.beside(LIST), &stat)
        {
            return Ok(status);
        }
        Ok(Session::open(self, place, true)?.status())
    }

    /// Selects a mailbox.
    pub fn open(&self, name: &str, is_read_only: bool) -> Result<Session, FolderError> {
        Ok(Session::open(self, self.place(name)?, is_read_only)?)
    }
}

pub use intake::{Appending, commit as commit_append, prepare as prepare_append};

/// Removes a level that holds no mailbox.
fn remove_level(place: &Place) -> Result<(), FolderError> {
    match std::fs::remove_dir(&place.mbox) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Err(FolderError::HasChildren),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(FolderError::Missing)
        }
        removed => Ok(removed?),
    }
}

fn is_file(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(data) => Ok(data.is_file()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Names, and whether each is a mailbox.
type Names = Vec<(String, bool)>;

fn names_in(dir: &Dir, above: &str, depth: usize, names: &mut Names) -> io::Result<()> {
    let mut deeper = Vec::new();
    dir.entries(|entry, kind| {
        let Some(level) = utf7::decode(entry) else { return };
        let name = format!("{above}{level}");
        // What we would call otherwise cannot be found again.
        if !parse(&name).is_ok_and(|same| same == name) || utf7::encode(&level).as_bytes() != entry
        {
            return;
        }
        match kind {
            Kind::File => names.push((name, true)),
            Kind::Directory if depth > 0 => deeper.push((entry.to_vec(), name)),
            _ => {}
        }
    })?;
    for (entry, name) in deeper {
        match dir.open_dir(&entry) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            dir => names_in(&dir?, &format!("{name}/"), depth - 1, names)?,
        }
        names.push((name, false));
    }
    Ok(())
}

/// A name with INBOX in capitals, or why there can be none.
fn parse(name: &str) -> Result<String, FolderError> {
    let (first, rest) = name.split_at(name.find('/').unwrap_or(name.len()));
    let is_inbox = first.eq_ignore_ascii_case("INBOX");
    let shown = if is_inbox { format!("INBOX{rest}") } else { name.to_owned() };
    let levels = || shown.split('/');
    let encoded = |level: &str| utf7::encode(level).into_bytes();
    let why = match () {
        () if levels().any(str::is_empty) => "a level of that name is empty",
        () if levels().any(|level| level.starts_with('.')) => "no level begins with a dot",
        () if levels().any(|level| encoded(level).ends_with(LOCK)) => "locks are called so",
        () if shown.chars().any(char::is_control) => "no name contains control characters",
        () if levels().any(|level| encoded(level).len() > LONGEST) => "that name is too long",
        () if levels().count() > DEPTH => "that name has too many levels",
        () => return Ok(shown),
    };
    Err(FolderError::Invalid(why))
}
