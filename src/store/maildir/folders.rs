//! Maildir++: a folder is a directory `.Name` in the Maildir, one below it is `.Name.Below`, names
//! in modified UTF-7 (RFC 3501 §5.1.3) as Dovecot writes them.
//!
//! There is no tree on disk, only names: a mailbox is made, removed and renamed for itself. A
//! removed one is renamed first, to a name that no listing shows, so that it is there or not.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::super::folders::{Folder, FolderError, SpecialUse, Status};
use super::directories::{Maildir, Places};
use super::listing::{self, Truth};
use super::notes::{self, Notes};
use super::session::Session;
use super::uidlist::{self, Uidlist};
use super::{name, subscriptions};
use crate::sys::dir::{self, Dir, Kind};
use crate::text::utf7;

/// What a file system takes for a name.
const LONGEST: usize = 255;
/// Directories on their way out, and in; no name of a mailbox begins so on disk.
const REMOVED: &[u8] = b"..buzon-removed.";
const NEW: &[u8] = b"..buzon-new.";
/// The file that says that a directory is a folder of a Maildir.
const MARK: &[u8] = b"maildirfolder";

/// The folders of a Maildir.
#[derive(Clone, Debug)]
pub struct Tree {
    top: PathBuf,
}

/// A name, taken apart.
struct Name {
    /// With INBOX in capitals.
    shown: String,
    /// The directory in the Maildir; `None` for INBOX.
    directory: Option<Vec<u8>>,
}

impl Tree {
    /// Of the Maildir at a path.
    pub fn new(top: &Path) -> Tree {
        Tree { top: top.into() }
    }

    /// The mailboxes; see `Folders::list`.
    pub fn list(&self) -> Result<Vec<Folder>, FolderError> {
        let root = Maildir::open(&self.top)?.root;
        let mut names = BTreeMap::new();
        for name in self.names(&root)? {
            for (at, _) in name.match_indices('/') {
                names.entry(name[..at].to_owned()).or_insert(false);
            }
            names.insert(name, true);
        }
        names.remove("INBOX");
        let notes = Notes::read(&root, notes::MAILDIR)?;
        let inbox = Folder { name: "INBOX".into(), selectable: true, holds: true, use_: None };
        let mut folders = vec![inbox];
        folders.extend(names.into_iter().map(|(name, selectable)| Folder {
            use_: notes.use_of(&name).filter(|_| selectable),
            name,
            selectable,
            holds: true,
        }));
        // Levels count, not octets: what is below `a` comes before `a-b`.
        folders.sort_by(|a, b| {
            let is_below_inbox = |folder: &Folder| folder.name.split('/').next() == Some("INBOX");
            let order = is_below_inbox(b).cmp(&is_below_inbox(a));
            order.then_with(|| a.name.split('/').cmp(b.name.split('/')))
        });
        Ok(folders)
    }

    /// The names of all folders on disk.
    fn names(&self, root: &Dir) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        root.entries(|name, kind| {
            if kind == Kind::Directory
                && let Some(name) = shown(name)
            {
                names.push(name);
            }
        })?;
        Ok(names)
    }

    /// Whether a mailbox can be selected.
    pub fn exists(&self, name: &str) -> Result<bool, FolderError> {
        match parse(name) {
            Ok(name) => self.is_there(&Maildir::open(&self.top)?.root, &name),
            Err(_) => Ok(false),
        }
    }

    fn is_there(&self, root: &Dir, name: &Name) -> Result<bool, FolderError> {
        let Some(directory) = &name.directory else { return Ok(true) };
        match root.open_dir(directory) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The path of a mailbox that is there.
    pub fn path(&self, name: &str) -> Result<PathBuf, FolderError> {
        let name = parse(name)?;
        match self.is_there(&Maildir::open(&self.top)?.root, &name)? {
            true => Ok(self.path_of(&name)),
            false => Err(FolderError::Missing),
        }
    }

    fn path_of(&self, name: &Name) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let below = |directory| self.top.join(std::ffi::OsStr::from_bytes(directory));
        name.directory.as_deref().map_or_else(|| self.top.clone(), below)
    }

    /// Makes a mailbox; see `Folders::create`.
    pub fn create(&self, name: &str, use_: Option<SpecialUse>) -> Result<(), FolderError> {
        let name = parse(name)?;
        let root = Maildir::open(&self.top)?.root;
        let Some(directory) = &name.directory else { return Err(FolderError::Exists) };
        notes::change(&root, notes::MAILDIR, |notes| {
            if root.stat(directory).is_ok() {
                return Err(FolderError::Exists);
            }
            // Careful: nobody may see it before it has its UIDVALIDITY, or would give it another.
            clear(&root, NEW)?;
            let hidden = hidden(NEW);
            root.create_dir(&hidden)?;
            self.furnish(&root, &hidden, notes.new_validity(&root)?)?;
            root.rename(&hidden, &root, directory)?;
            root.sync()?;
            notes.set_use(&name.shown, use_);
            Ok(())
        })
    }

    /// Gives a new folder what belongs in it.
    fn furnish(&self, root: &Dir, directory: &[u8], validity: u32) -> io::Result<()> {
        let maildir = Maildir { root: root.open_dir(directory)? };
        maildir.root.create_file(MARK)?;
        for place in [b"tmp", b"new", b"cur"] {
            maildir.root.create_dir(place)?;
        }
        uidlist::begin(&maildir.root, validity)?;
        maildir.root.sync()
    }

    /// Removes a mailbox; see `Folders::delete`.
    pub fn delete(&self, name: &str) -> Result<(), FolderError> {
        let name = parse(name)?;
        let root = Maildir::open(&self.top)?.root;
        let Some(directory) = &name.directory else {
            return Err(FolderError::Invalid("INBOX cannot be deleted"));
        };
        notes::change(&root, notes::MAILDIR, |notes| {
            if !self.is_there(&root, &name)? {
                return match self.has_below(&root, &name)? {
                    true => Err(FolderError::HasChildren),
                    false => Err(FolderError::Missing),
                };
            }
            notes.had_validity(Uidlist::read(&root.open_dir(directory)?)?.validity);
            notes.set_use(&name.shown, None);
            Ok(())
        })?;
        remove(&root, directory)?;
        Ok(())
    }

    fn has_below(&self, root: &Dir, name: &Name) -> io::Result<bool> {
        let start = format!("{}/", name.shown);
        Ok(self.names(root)?.iter().any(|name| name.starts_with(&start)))
    }

    /// Renames a mailbox; see `Folders::rename`.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FolderError> {
        let (from, to) = (parse(from)?, parse(to)?);
        if to.directory.is_none() {
            return Err(FolderError::Exists);
        }
        if from.directory.is_none() {
            return self.empty_inbox(&to);
        }
        let (old, new) = (format!("{}/", from.shown), format!("{}/", to.shown));
        if new.starts_with(&old) && new != old {
            return Err(FolderError::Invalid("a mailbox cannot be moved below itself"));
        }
        let root = Maildir::open(&self.top)?.root;
        notes::change(&root, notes::MAILDIR, |notes| {
            let names = self.names(&root)?;
            let moves = |name: &&String| **name == from.shown || name.starts_with(&old);
            let pairs = names.iter().filter(moves).map(|name| {
                let renamed = format!("{}{}", to.shown, &name[from.shown.len()..]);
                parse(name).and_then(|name| Ok((name, parse(&renamed)?)))
            });
            let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
            if pairs.is_empty() {
                return Err(FolderError::Missing);
            }
            let is_taken = |name: &&String| **name == to.shown || name.starts_with(&new);
            if names.iter().any(|name| is_taken(&name)) {
                return Err(FolderError::Exists);
            }
            for (from, to) in &pairs {
                let both = from.directory.as_ref().zip(to.directory.as_ref());
                let Some((old, new)) = both else { continue };
                notes.had_validity(Uidlist::read(&root.open_dir(old)?)?.validity);
                root.rename(old, &root, new)?;
                notes.rename_use(&from.shown, &to.shown);
            }
            Ok(root.sync()?)
        })
    }

    /// INBOX stays, its messages move.
    fn empty_inbox(&self, to: &Name) -> Result<(), FolderError> {
        self.create(&to.shown, None)?;
        let mut inbox = Session::open(&self.top, &self.top, false)?;
        let all: Vec<u32> = (0..inbox.messages().len() as u32).collect();
        inbox.move_to(&all, &to.shown)?;
        Ok(())
    }

    /// Names that the user subscribed to.
    pub fn subscriptions(&self) -> Result<Vec<String>, FolderError> {
        Ok(subscriptions::read(&Maildir::open(&self.top)?.root, subscriptions::MAILDIR)?)
    }

    /// Subscribes to a name, or no longer.
    pub fn subscribe(&self, name: &str, is_wanted: bool) -> Result<(), FolderError> {
        let name = parse(name)?;
        let maildir = Maildir::open(&self.top)?;
        match subscriptions::change(&maildir, &name.shown, is_wanted)? {
            true => Ok(()),
            false if is_wanted => Ok(()),
            false => Err(FolderError::Missing),
        }
    }

    /// Counts; see `Folders::status`.
    pub fn status(&self, name: &str) -> Result<Status, FolderError> {
        let path = self.path(name)?;
        let maildir = Maildir::open(&path)?;
        let places = Places::open(&maildir)?;
        if let Some(list) = uidlist::stat(&maildir.root)?
            && let Some(status) = listing::status(&maildir.root, &Truth::of(places.stamp()?, &list))
        {
            return Ok(status);
        }
        Ok(Session::open(&self.top, &path, true)?.status())
    }

    /// Selects a mailbox.
    pub fn open(&self, name: &str, is_read_only: bool) -> Result<Session, FolderError> {
        Ok(Session::open(&self.top, &self.path(name)?, is_read_only)?)
    }
}

/// A name that no list tells of; whoever finds it later removes it.
fn hidden(kind: &[u8]) -> Vec<u8> {
    [kind, name::unique().as_bytes()].concat()
}

/// Takes a folder away, and what is left of others.
fn remove(root: &Dir, directory: &[u8]) -> io::Result<()> {
    root.rename(directory, root, &hidden(REMOVED))?;
    root.sync()?;
    clear(root, REMOVED)
}

/// Removes the hidden directories of a kind; what cannot be removed now is found the next time.
fn clear(root: &Dir, kind: &[u8]) -> io::Result<()> {
    let mut left = Vec::new();
    root.entries(|name, what| {
        if what == Kind::Directory && name.starts_with(kind) {
            left.push(name.to_vec());
        }
    })?;
    for name in left {
        let _ = dir::remove_all(root, &name);
    }
    Ok(())
}

/// The directory of a mailbox's name, or why there can be none.
fn parse(name: &str) -> Result<Name, FolderError> {
    let (first, rest) = name.split_at(name.find('/').unwrap_or(name.len()));
    let is_inbox = first.eq_ignore_ascii_case("INBOX");
    let shown = if is_inbox { format!("INBOX{rest}") } else { name.to_owned() };
    if is_inbox && rest.is_empty() {
        return Ok(Name { shown, directory: None });
    }
    let why = match () {
        () if shown.split('/').any(str::is_empty) => "a level of that name is empty",
        () if shown.contains('.') => "no name contains a dot, which divides levels on disk",
        () if shown.chars().any(char::is_control) => "no name contains control characters",
        () => "",
    };
    let directory = format!(".{}", utf7::encode(&shown).replace('/', ".")).into_bytes();
    match (why, directory.len()) {
        ("", ..=LONGEST) => Ok(Name { shown, directory: Some(directory) }),
        ("", _) => Err(FolderError::Invalid("that name is too long")),
        _ => Err(FolderError::Invalid(why)),
    }
}

/// The name of the mailbox in a directory.
fn shown(directory: &[u8]) -> Option<String> {
    let name = utf7::decode(directory.strip_prefix(b".")?)?.replace('.', "/");
    let is_one = |parsed: Name| parsed.directory.as_deref() == Some(directory);
    parse(&name).is_ok_and(is_one).then_some(name)
}
