//! Locks on open files, and the small questions that go with lock files: is that process alive,
//! wait a moment.
//!
//! The locks are open-file-description locks: they keep two threads apart, where classic fcntl(2)
//! locks would not, and still exclude those of other programs. They end when the file is closed.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// How long to wait before a lock is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// Takes the exclusive lock of a file that is open for writing; false where another has it.
pub fn try_exclusive(file: &File) -> io::Result<bool> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes the exclusive lock, trying until `deadline`; false where another kept it so long.
pub fn exclusive(file: &File, deadline: Instant) -> io::Result<bool> {
    loop {
        if try_exclusive(file)? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        pause(RETRY);
    }
}

/// Whether a process of this number lives on this host.
pub fn is_alive(process: i32) -> bool {
    // Zero and below name groups of processes, and so no owner of a lock.
    let process = nix::unistd::Pid::from_raw(process);
    process.as_raw() > 0 && nix::sys::signal::kill(process, None) != Err(Errno::ESRCH)
}

/// Lets the others work for so long.
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_excludes_another_descriptor_until_it_is_closed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let open = || File::options().create(true).truncate(false).write(true).open(&path).unwrap();
        let (first, second) = (open(), open());
        assert!(try_exclusive(&first).unwrap());
        assert!(!try_exclusive(&second).unwrap());
        assert!(!exclusive(&second, Instant::now()).unwrap());
        drop(first);
        assert!(exclusive(&second, Instant::now()).unwrap());
    }

    #[test]
    fn the_dead_are_told_from_the_living() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(child.id() as i32));
        assert!(is_alive(std::process::id() as i32));
        assert!(!is_alive(0) && !is_alive(-1));
    }
}
