//! An open directory, and what is done in it by name: no path is walked twice.
//!
//! Whoever may write in a directory may plant symbolic links and pipes there. So nothing here
//! follows a link in the last component, and only regular files are opened for reading.
//! Names are octets, as the kernel has them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

/// Directories made here are their owner's alone.
const DIRECTORY_MODE: u32 = 0o700;
/// And so are files.
const FILE_MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);
/// Room for the entries of a directory: at least and at most so many octets in one call.
const ENTRIES: std::ops::RangeInclusive<u64> = 32 * 1024..=4 * 1024 * 1024;

/// An open directory.
#[derive(Debug)]
pub struct Dir(OwnedFd);

/// What a directory says of an entry without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, or a file system that does not tell.
    File,
    /// A directory.
    Directory,
    /// A link, a pipe, a socket, a device.
    Other,
}

/// What is asked of a file's inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Octets.
    pub size: u64,
    /// When the content last changed.
    pub mtime: SystemTime,
    /// Device and inode.
    pub id: (u64, u64),
}

impl Dir {
    /// Opens a directory by its path; the last component must not be a link.
    pub fn open(path: &Path) -> io::Result<Dir> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Dir(nix::fcntl::open(path, flags, Mode::empty())?))
    }

    /// Opens a directory in this one.
    pub fn open_dir(&self, name: &[u8]) -> io::Result<Dir> {
        self.openat(name, OFlag::O_RDONLY | OFlag::O_DIRECTORY).map(Dir)
    }

    /// The same directory, opened once more.
    pub fn again(&self) -> io::Result<Dir> {
        Ok(Dir(self.0.try_clone()?))
    }

    /// Makes a directory, mode 0700.
    pub fn create_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(mkdirat(&self.0, name, Mode::from_bits_truncate(DIRECTORY_MODE))?)
    }

    /// Makes a file for writing, mode 0600; an error where the name is taken.
    pub fn create_file(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        self.openat(name, flags).map(File::from)
    }

    /// Opens a regular file for reading.
    pub fn open_file(&self, name: &[u8]) -> io::Result<File> {
        // Careful: a pipe without a writer would hold us for ever, hence O_NONBLOCK.
        self.open_regular(name, OFlag::O_RDONLY | OFlag::O_NONBLOCK)
    }

    /// Opens a regular file, so that whatever is written goes to its end.
    pub fn append_file(&self, name: &[u8]) -> io::Result<File> {
        self.open_regular(name, OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_NONBLOCK)
    }

    /// Opens a file that is only there to be locked, making it with mode 0600.
    pub fn lock_file(&self, name: &[u8]) -> io::Result<File> {
        self.open_regular(name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NONBLOCK)
    }

    /// Opens a file of our own for reading and writing: regular, and under this name only.
    pub fn edit_file(&self, name: &[u8]) -> io::Result<File> {
        let file = self.open_regular(name, OFlag::O_RDWR | OFlag::O_NONBLOCK)?;
        let stat = fstat(&file)?;
        let us = nix::unistd::Uid::effective();
        if !us.is_root() && stat.st_uid != us.as_raw() {
            return Err(io::Error::other("belongs to another"));
        }
        match stat.st_nlink {
            0 => Err(io::Error::from(io::ErrorKind::NotFound)),
            1 => Ok(file),
            _ => Err(io::Error::other("has several names")),
        }
    }

    /// Makes a file for writing, mode 0600, that has no name yet and goes when it is closed.
    pub fn nameless_file(&self) -> io::Result<File> {
        self.openat(b".", OFlag::O_RDWR | OFlag::O_TMPFILE).map(File::from)
    }

    /// Gives a nameless file its name; an error where it is taken.
    pub fn name_file(&self, file: &File, name: &[u8]) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let follow = AtFlags::AT_SYMLINK_FOLLOW;
        Ok(linkat(nix::fcntl::AT_FDCWD, path.as_str(), &self.0, name, follow)?)
    }

    /// Renames an entry, perhaps into another directory; what had the new name is replaced.
    pub fn rename(&self, name: &[u8], to: &Dir, new_name: &[u8]) -> io::Result<()> {
        Ok(renameat(&self.0, name, &to.0, new_name)?)
    }

    /// Renames a file into another directory; an error where the new name is taken.
    pub fn rename_new(&self, name: &[u8], to: &Dir, new_name: &[u8]) -> io::Result<()> {
        match renameat2(&self.0, name, &to.0, new_name, RenameFlags::RENAME_NOREPLACE) {
            // A file system that knows no such thing knows links.
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                self.link(name, to, new_name)?;
                self.unlink(name)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Gives a file a second name, perhaps in another directory; an error where it is taken.
    pub fn link(&self, name: &[u8], to: &Dir, new_name: &[u8]) -> io::Result<()> {
        Ok(linkat(&self.0, name, &to.0, new_name, AtFlags::empty())?)
    }

    /// Removes a file.
    pub fn unlink(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Makes the entries as they are now outlive a crash.
    pub fn sync(&self) -> io::Result<()> {
        Ok(nix::unistd::fsync(&self.0)?)
    }

    /// The inode of an entry, links not followed.
    pub fn stat(&self, name: &[u8]) -> io::Result<Stat> {
        Ok(Stat::of(&fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW)?))
    }

    /// When the content of an entry was last read or changed.
    pub fn last_use(&self, name: &[u8]) -> io::Result<SystemTime> {
        let stat = fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let seconds = u64::try_from(stat.st_atime.max(stat.st_mtime)).unwrap_or(0);
        Ok(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// The inode of the directory itself.
    pub fn stat_self(&self) -> io::Result<Stat> {
        Ok(Stat::of(&fstat(&self.0)?))
    }

    /// Hands every entry but `.` and `..` to `each`.
    ///
    /// readdir(3) takes 32 KiB at a time, and an entry renamed between two calls may jump over
    /// the gap unseen. The kernel holds the directory still during one call, so we ask for as
    /// much as it is likely to have.
    pub fn entries(&self, mut each: impl FnMut(&[u8], Kind)) -> io::Result<()> {
        let room = (2 * self.stat_self()?.size).clamp(*ENTRIES.start(), *ENTRIES.end());
        let mut buffer = vec![0; room as usize];
        nix::unistd::lseek(&self.0, 0, nix::unistd::Whence::SeekSet)?;
        loop {
            let mut rest = self.fill(&mut buffer)?;
            if rest.is_empty() {
                return Ok(());
            }
            while let Some((name, kind, behind)) = entry(rest) {
                if name != b"." && name != b".." {
                    each(name, kind);
                }
                rest = behind;
            }
        }
    }

    /// One call of getdents64(2).
    #[allow(unsafe_code)]
    fn fill<'a>(&self, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        // SAFETY: the kernel writes at most `buffer.len()` octets, all of them ours.
        let got = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                self.0.as_raw_fd(),
                buffer.as_mut_ptr(),
                buffer.len(),
            )
        };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        Ok(buffer.get(..got).unwrap_or_default())
    }

    fn open_regular(&self, name: &[u8], flags: OFlag) -> io::Result<File> {
        let file = File::from(self.openat(name, flags)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("is not a regular file"));
        }
        Ok(file)
    }

    fn openat(&self, name: &[u8], flags: OFlag) -> io::Result<OwnedFd> {
        Ok(openat(&self.0, name, flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, FILE_MODE)?)
    }
}

impl Stat {
    fn of(stat: &FileStat) -> Stat {
        let seconds = Duration::from_secs(stat.st_mtime.unsigned_abs());
        let second = match stat.st_mtime < 0 {
            true => UNIX_EPOCH.checked_sub(seconds),
            false => UNIX_EPOCH.checked_add(seconds),
        };
        let fraction = Duration::from_nanos(u64::try_from(stat.st_mtime_nsec).unwrap_or(0));
        Stat {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: second.unwrap_or(UNIX_EPOCH) + fraction,
            id: (stat.st_dev, stat.st_ino),
        }
    }

    /// The inode of an open file.
    pub fn of_file(file: &File) -> io::Result<Stat> {
        Ok(Stat::of(&fstat(file)?))
    }
}

/// Removes a directory and all that is in it, following no links.
pub fn remove_all(parent: &Dir, name: &[u8]) -> io::Result<()> {
    let dir = parent.open_dir(name)?;
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    dir.entries(|name, kind| match kind {
        Kind::Directory => directories.push(name.to_vec()),
        Kind::File | Kind::Other => files.push(name.to_vec()),
    })?;
    files.iter().try_for_each(|name| dir.unlink(name))?;
    directories.iter().try_for_each(|name| remove_all(&dir, name))?;
    Ok(unlinkat(&parent.0, name, UnlinkatFlags::RemoveDir)?)
}

/// Makes a directory, mode 0700, and whatever of its path is missing; all of it outlives a crash.
pub fn create_path(path: &Path) -> io::Result<()> {
    let made = std::fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path);
    let parent = path.parent().map(|parent| match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    });
    match (made, parent) {
        (Ok(()), Some(parent)) => File::open(parent)?.sync_all(),
        // Careful: some file systems say NotFound of a name in a directory that is there.
        (Err(error), Some(parent))
            if error.kind() == io::ErrorKind::NotFound && !parent.exists() =>
        {
            create_path(parent)?;
            create_path(path)
        }
        (Err(error), _) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        (made, _) => made,
    }
}

/// The first of the entries that getdents64(2) wrote, and what stands behind it.
fn entry(octets: &[u8]) -> Option<(&[u8], Kind, &[u8])> {
    // An inode and an offset of eight octets each, the length, the type, the name.
    let length = usize::from(u16::from_ne_bytes([*octets.get(16)?, *octets.get(17)?]));
    let kind = match *octets.get(18)? {
        libc::DT_REG | libc::DT_UNKNOWN => Kind::File,
        libc::DT_DIR => Kind::Directory,
        _ => Kind::Other,
    };
    let name = octets.get(19..length)?;
    let end = memchr::memchr(0, name)?;
    Some((&name[..end], kind, &octets[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn entries_are_all_there_and_told_apart() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let mut expected = BTreeSet::new();
        for number in 0..3000 {
            let name = format!("{number}.a-rather-long-name-so-that-one-call-is-not-enough");
            dir.create_file(name.as_bytes()).unwrap();
            expected.insert(name.into_bytes());
        }
        dir.create_dir(b"d").unwrap();
        symlink("d", place.path().join("l")).unwrap();
        for _ in 0..2 {
            let mut seen = BTreeSet::new();
            dir.entries(|name, kind| match kind {
                Kind::File => assert!(seen.insert(name.to_vec())),
                Kind::Directory => assert_eq!(name, b"d"),
                Kind::Other => assert_eq!(name, b"l"),
            })
            .unwrap();
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn links_and_pipes_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        dir.create_dir(b"d").unwrap();
        dir.create_file(b"f").unwrap();
        symlink("d", place.path().join("to-d")).unwrap();
        symlink("f", place.path().join("to-f")).unwrap();
        symlink("nowhere", place.path().join("to-nothing")).unwrap();
        nix::unistd::mkfifo(&place.path().join("pipe"), Mode::S_IRWXU).unwrap();
        assert!(Dir::open(&place.path().join("to-d")).is_err());
        assert!(dir.open_dir(b"to-d").is_err());
        for name in [&b"to-f"[..], b"to-nothing", b"pipe", b"d"] {
            assert!(dir.open_file(name).is_err(), "{name:?}");
            assert!(dir.append_file(name).is_err(), "{name:?}");
            assert!(dir.lock_file(name).is_err(), "{name:?}");
            assert!(dir.create_file(name).is_err(), "{name:?}");
        }
        assert!(dir.open_file(b"f").is_ok());
        assert!(!place.path().join("nowhere").exists());
    }

    #[test]
    fn what_is_made_is_its_owners_alone() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("a/b/c");
        create_path(&deep).unwrap();
        create_path(&deep).unwrap();
        assert!(create_path(Path::new("/proc/none/such")).is_err());
        let dir = Dir::open(&deep).unwrap();
        dir.create_file(b"f").unwrap();
        dir.create_dir(b"d").unwrap();
        for (name, mode) in [("f", 0o600), ("d", 0o700), ("../../b", 0o700)] {
            let found = std::fs::metadata(deep.join(name)).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{name}");
        }
    }
}
