//! May this thread write there? What buzonctl(8) asks before anybody delivers a letter.

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};
use std::path::{Path, PathBuf};

/// Why this thread can make no file in a directory, or in one that is still to be made: which
/// directory hinders it, what and the cure.
pub fn fault(directory: &Path) -> Option<(PathBuf, String)> {
    let mut existing = directory;
    // Careful: exists() is also false where we may not look.
    while !existing.exists() {
        existing = existing.parent().filter(|parent| !parent.as_os_str().is_empty())?;
    }
    let shown = existing.display();
    let why = if !existing.is_dir() {
        format!("'{shown}' is no directory, remove it or name another")
    } else if let Err(errno) = may_write(existing) {
        let what = errno.desc().to_lowercase();
        format!("'{shown}' cannot be written ({what}), give it away with chown")
    } else {
        return None;
    };
    match existing == directory {
        true => Some((existing.into(), why)),
        false => Some((existing.into(), format!("no '{}', as {why}", directory.display()))),
    }
}

/// Asked for the effective ids, which are those of an account while it is borrowed.
fn may_write(directory: &Path) -> nix::Result<()> {
    let mode = AccessFlags::W_OK | AccessFlags::X_OK;
    faccessat(AT_FDCWD, directory, mode, AtFlags::AT_EACCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_the_path_that_exists() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(fault(directory.path()), None);
        assert_eq!(fault(&directory.path().join("home/luis/Maildir")), None);
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (path, told) in [
            (file.clone(), "is no directory"),
            (file.join("x"), "/x', as '"),
            ("/proc/1/x/y".into(), "no '/proc/1/x/y', as '/proc"),
        ] {
            let (_, why) = fault(&path).unwrap();
            assert!(why.contains(told), "{why}");
        }
    }
}
