//! Files that give orders in somebody's name: who could write them could have programs run so.
//!
//! Such a file, and the directory it is in, must belong to that person or to root, and nobody
//! else may write there: sendmail's rule for `.forward`.

use nix::fcntl::OFlag;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The user id that this thread acts with.
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Reads such a file of `owner`; `None` where there is none. Whatever keeps us from looking is an
/// error, as is a file that somebody else might have written.
pub fn read(path: &Path, owner: u32, limit: u64) -> io::Result<Option<String>> {
    // Careful: a pipe without a writer would hold us for ever, hence O_NONBLOCK.
    let flags = OFlag::O_NONBLOCK.bits();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        // A home such as /dev/null has no files.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return match std::fs::symlink_metadata(path) {
                Ok(_) => Err(io::Error::other("is a link to nothing, mend or remove it")),
                Err(_) => Ok(None),
            };
        }
        file => file?,
    };
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::Error::other("is no regular file, remove it"));
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let why = unfit(&data, owner).or(std::fs::metadata(directory).map(|data| {
        unfit(&data, owner).map(|why| format!("is in {}, which {why}", directory.display()))
    })?);
    match why {
        Some(why) => Err(io::Error::other(why)),
        None => text(file, limit).map(Some),
    }
}

/// What makes a file unfit to give orders in the name of `owner`.
pub fn fault(path: &Path, owner: u32) -> io::Result<Option<String>> {
    Ok(unfit(&std::fs::metadata(path)?, owner))
}

fn unfit(data: &Metadata, owner: u32) -> Option<String> {
    let (uid, mode) = (data.uid(), data.mode() & 0o777);
    if uid != owner && uid != 0 {
        Some(format!("belongs to uid {uid}, not to uid {owner} or root, give it away with chown"))
    } else if mode & 0o022 != 0 {
        Some(format!("can be written by others (mode {mode:03o}), chmod go-w"))
    } else {
        None
    }
}

fn text(file: File, limit: u64) -> io::Result<String> {
    let mut octets = Vec::new();
    if file.take(limit + 1).read_to_end(&mut octets)? as u64 > limit {
        return Err(io::Error::other(format!("is larger than {limit} octets")));
    }
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_what_nobody_else_could_write() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".forward");
        let told = || match read(&path, own_uid(), 100) {
            Ok(text) => text.unwrap_or("none".into()),
            Err(error) => error.to_string(),
        };
        let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(told(), "none");
        symlink("nowhere", &path).unwrap();
        assert!(told().contains("a link to nothing"), "{}", told());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "ana").unwrap();
        for (file, directory, expected) in [
            (0o644, 0o755, "ana"),
            (0o664, 0o755, "(mode 664)"),
            (0o646, 0o755, "(mode 646)"),
            (0o600, 0o775, "which can be written by others (mode 775)"),
            (0o600, 0o757, "(mode 757)"),
            (0o400, 0o500, "ana"),
        ] {
            mode(&path, file);
            mode(home.path(), directory);
            assert!(told().contains(expected), "{file:o} {directory:o}: {}", told());
        }
        mode(home.path(), 0o755);
        mode(&path, 0o644);
        std::fs::write(&path, "x".repeat(101)).unwrap_or_default();
        assert!(told().contains("larger than 100"), "{}", told());
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(told().contains("is no regular file"), "{}", told());
    }
}
