//! Small files read whole, and files replaced so that a crash leaves the old one or the new.

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::dir::Dir;

/// Reads a text file of at most `limit` octets.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|_| io::Error::other("is not UTF-8"))
}

/// Reads a file of at most `limit` octets.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("is a directory"));
    }
    if file.take(limit + 1).read_to_end(&mut content)? as u64 > limit {
        return Err(io::Error::other(format!("is larger than {limit} octets")));
    }
    Ok(content)
}

/// What tells one state of a file from another: device, inode, size, mtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64, u64, u64, i64, i64);

/// The stamp of a file; `None` where there is no such file.
pub fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match std::fs::metadata(path) {
        Ok(data) => {
            Ok(Some(Stamp(data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file whole, keeping its owner and mode, or making it with `mode`.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let new = directory.join(name);
    let _ = std::fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    let written = (|| {
        if let Ok(old) = std::fs::metadata(path) {
            file.set_permissions(old.permissions())?;
            std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        // Careful: the rename is durable only when the directory is.
        File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

/// Takes room behind the end of a file for what will be appended; the file stays as long as it is.
pub fn reserve(file: &File, octets: u64) -> io::Result<()> {
    let (end, octets) = (file.metadata()?.len() as i64, octets as i64);
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, end, octets) {
        // The file system has no such thing.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// A file without a name, for reading and writing; it goes when it is closed.
pub fn nameless(directory: &Path) -> io::Result<File> {
    if let Ok(file) = Dir::open(directory).and_then(|dir| dir.nameless_file()) {
        return Ok(file);
    }
    // NFS has no such files. Careful: whoever is killed here leaves the name, and who lists the
    // directory meanwhile sees it, so it is one that is passed over.
    let path = directory.join(format!(".{}.{}", std::process::id(), super::clock::id()));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_whole_and_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        replace(&path, b"one\n", 0o600).unwrap();
        let first = stamp(&path).unwrap();
        replace(&path, b"two\n", 0o644).unwrap();
        assert_eq!(read_text(&path, 100).unwrap(), "two\n");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_ne!(stamp(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(read_text(&path, 3).is_err());
        assert!(read_text(directory.path(), 3).is_err());
    }
}
