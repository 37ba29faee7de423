//! May this process write there? What buzonctl(8) asks before anybody delivers a letter.

use nix::unistd::{AccessFlags, access};
use std::path::Path;

/// Why no file can be made in a directory, or in one that is still to be made; with the cure.
pub fn fault(directory: &Path) -> Option<String> {
    let (mut existing, mut shown) = (directory, directory.display().to_string());
    while !existing.exists() {
        // Careful: exists() is also false where we may not look.
        match existing.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => existing = parent,
            None => return Some(format!("'{shown}' cannot be made, write an absolute path")),
        }
    }
    if existing != directory {
        shown = format!("{shown}' cannot be made: '{}", existing.display());
    }
    if !existing.is_dir() {
        return Some(format!("'{shown}' is no directory, remove it or name another"));
    }
    let needed = AccessFlags::W_OK | AccessFlags::X_OK;
    match access(existing, needed) {
        Ok(()) => None,
        Err(errno) => {
            Some(format!("'{shown}': {}, give it away with chown", errno.desc().to_lowercase()))
        }
    }
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
        assert!(fault(&file).unwrap().contains("is no directory"));
        assert!(fault(&file.join("x")).unwrap().contains("cannot be made"));
        assert!(fault(Path::new("/proc/1/x")).is_some());
    }
}
