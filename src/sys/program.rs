//! Programs that are started, never by a thread that has borrowed an identity.

#![allow(unsafe_code)]

use super::identity;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};
use std::sync::OnceLock;

/// The first descriptor of an inherited socket, sd_listen_fds(3).
const FIRST: i32 = 3;

/// A program to be started with listening sockets, each under its name, as systemd hands them over
/// (sd_listen_fds(3)). The sockets stay open here until the command is dropped.
pub fn with_sockets(program: &Path, sockets: &[(TcpListener, &str)]) -> io::Result<Command> {
    identity::refuse_borrowed("a program")?;
    let mut copies = Vec::new();
    for (socket, _) in sockets {
        // Above the place they shall have, so that no copy is overwritten by another.
        let above = FIRST + sockets.len() as i32;
        let copy = fcntl(socket, FcntlArg::F_DUPFD_CLOEXEC(above))?;
        // SAFETY: fcntl has just made this descriptor, and nobody else has it.
        copies.push(unsafe { OwnedFd::from_raw_fd(copy) });
    }
    // LISTEN_PID is the number of the process that reads it, which is known only there.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh"]).arg(program);
    command.env("LISTEN_FDS", sockets.len().to_string());
    let names: Vec<&str> = sockets.iter().map(|(_, name)| *name).collect();
    command.env("LISTEN_FDNAMES", names.join(":"));
    // SAFETY: between fork and exec the closure looks at a flag of its thread and calls dup2, which
    // is async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            if identity::is_borrowed() {
                return Err(io::Error::from_raw_os_error(nix::libc::EPERM));
            }
            for (at, copy) in copies.iter().enumerate() {
                if nix::libc::dup2(copy.as_raw_fd(), FIRST + at as i32) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    Ok(command)
}

/// A runner that was started.
#[derive(Debug)]
pub struct Child(process::Child);

impl Child {
    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn bury(mut self) {
        let _ = self.0.wait();
    }
}

/// Becomes another of our programs, which lies beside this one; comes back only with what hinders it.
pub fn become_other(name: &str, args: &[String]) -> io::Error {
    if let Err(error) = identity::refuse_borrowed("a program") {
        return error;
    }
    match std::env::current_exe() {
        Ok(path) => Command::new(path.with_file_name(name)).args(args).exec(),
        Err(error) => error,
    }
}

/// `runq`, as root saw it.
static KEPT: OnceLock<OwnedFd> = OnceLock::new();

/// Keeps hold of `runq` while we are root.
pub fn keep_runner() {
    if let Ok(path) = std::env::current_exe()
        && let Ok(file) =
            open(&path.with_file_name("runq"), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
    {
        let _ = KEPT.set(file);
    }
}

/// Why `runner` will not find one.
pub fn runner_fault() -> Option<String> {
    let path = std::env::current_exe().ok()?.with_file_name("runq");
    let missing = matches!(path.try_exists(), Ok(false));
    missing.then(|| format!("'{}' is missing, letters stay until cron's runq", path.display()))
}

/// Starts `runq`, which lies beside this program, in a session of its own, with nothing of ours
/// open. It keeps the right to lend accounts, where this thread has it.
pub fn runner(configuration: Option<&Path>, arguments: &[&str]) -> io::Result<Child> {
    identity::refuse_borrowed("a program")?;
    let path = std::env::current_exe()?.with_file_name("runq");
    // Whom root became may have no way to the directory that it lies in.
    let mut command = match (path.try_exists(), KEPT.get()) {
        (Err(_), Some(kept)) => Command::new(format!("/proc/self/fd/{}", kept.as_raw_fd())),
        _ => Command::new(&path),
    };
    command.arg0(&path);
    if let Some(file) = configuration {
        command.arg("-f").arg(file);
    }
    command.args(arguments);
    let null = process::Stdio::null;
    command.stdin(null()).stdout(null()).stderr(null()).current_dir("/");
    // Whoever watches us sees what becomes of letters.
    if super::log::is_watched() {
        command.arg("-d").stderr(process::Stdio::inherit());
    }
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"LISTEN_") || name == "NOTIFY_SOCKET" {
            command.env_remove(name);
        }
    }
    // SAFETY: between fork and exec the closure makes system calls only, all async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            super::capability::pass_on()
        });
    }
    command.spawn().map(Child)
}
