//! A program that is given a letter: as an account for good, in a session of its own, for a bounded
//! time, with what it says kept up to a length.
//!
//! It starts from a thread that has borrowed nothing, never as root. It has no descriptor but the
//! standard three, no environment but what is given, umask 077, no core files, no capabilities.
//! When its time is over it is killed with all that it started and that stayed in its session's
//! first process group. What it leaves running when it ends by itself is its own affair.

#![allow(unsafe_code)]

use super::identity::{self, Account};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, setsid};
use std::ffi::CString;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// What is to be run, and how.
#[derive(Debug)]
pub struct Task<'a> {
    /// For the shell.
    pub command: &'a str,
    /// All of its environment.
    pub environment: &'a [(&'static str, String)],
    /// Where it starts, or in `/` where the account may not go there.
    pub directory: &'a Path,
    /// Whom it runs as; `None` for who we are, which must not be root.
    pub account: Option<&'a Account>,
    /// When it is killed.
    pub time: Duration,
    /// So many octets of what it says are kept.
    pub output: usize,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// By us, when its time was over.
    TooLong,
}

/// A killed program has so long to be gone; one that changed its uid may not be ours to kill.
const LAST: Duration = Duration::from_secs(10);

/// Runs a program with `input` on its standard input; how it ended, and what it said on the other
/// two. It may leave input unread.
pub fn run(task: &Task, input: &mut impl Read) -> io::Result<(End, Vec<u8>)> {
    identity::refuse_borrowed("a program")?;
    let (reader, writer) = io::pipe()?;
    let mut command = command(task)?;
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // Careful: our copies of the pipe's other end go with it, or we would wait for ourselves.
    drop(command);
    let mut talk = match Talk::begin(&mut child, reader, task) {
        Ok(talk) => talk,
        Err(error) => {
            kill(&mut child, task.account, None);
            return Err(error);
        }
    };
    match talk.hold(input) {
        Ok(true) => {
            let status = child.wait()?;
            let end = status.code().map(End::Code);
            Ok((end.unwrap_or(End::Signal(status.signal().unwrap_or(0))), talk.said))
        }
        Ok(false) => {
            kill(&mut child, task.account, Some(&talk.process));
            Ok((End::TooLong, talk.said))
        }
        // Careful: half a letter must not pass for a whole one, so its end is not shown before.
        Err(error) => {
            kill(&mut child, task.account, Some(&talk.process));
            Err(error)
        }
    }
}

fn command(task: &Task) -> io::Result<Command> {
    if task.account.is_none() && super::process::is_root() {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "root runs no programs for mail"));
    }
    let directory = CString::new(task.directory.as_os_str().as_bytes())?;
    let account = task.account.cloned();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", task.command]).env_clear();
    command.envs(task.environment.iter().map(|(name, value)| (name, value)));
    // SAFETY: between fork and exec the closure makes system calls only, and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            if identity::is_borrowed() {
                return Err(io::Error::from_raw_os_error(libc::EPERM));
            }
            setsid()?;
            umask(Mode::from_bits_truncate(0o077));
            setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
            close_the_rest();
            identity::become_for_good(account.as_ref())?;
            // A home that is not there, or not open to its owner, is no reason to lose mail.
            if libc::chdir(directory.as_ptr()) < 0 && libc::chdir(c"/".as_ptr()) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    Ok(command)
}

/// Every descriptor but the first three closes at exec, whoever opened it.
fn close_the_rest() {
    // SAFETY: numbers only.
    let done = unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    // Linux before 5.11; ours have the flag already, inherited ones stand at the beginning.
    for fd in (3..1024).take_while(|_| done < 0) {
        // SAFETY: a flag is set on whatever is open.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Kills a program and its group, as its account: we are not allowed to otherwise.
fn kill(child: &mut Child, account: Option<&Account>, process: Option<&OwnedFd>) {
    // Careful: it has not been waited for, so that the number is still its own.
    if let Ok(group) = i32::try_from(child.id()) {
        let _owner = account.map(identity::borrow).transpose().inspect_err(|error| {
            log::error!("kill={group} error={error}");
        });
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let gone = process.map(|process| super::poll::readable([process.as_fd()], Some(LAST)));
    match gone {
        Some(Ok([true])) | None => drop(child.wait()),
        _ => log::error!("kill={} it does not end", child.id()),
    }
}

/// The three descriptors we have of it.
struct Talk {
    stdin: Option<ChildStdin>,
    output: Option<PipeReader>,
    /// Readable when it has ended.
    process: OwnedFd,
    said: Vec<u8>,
    most: usize,
    deadline: Instant,
}

impl Talk {
    fn begin(child: &mut Child, output: PipeReader, task: &Task) -> io::Result<Talk> {
        // SAFETY: numbers only; the kernel gives a descriptor that nobody else has.
        let process = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, child.id(), 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd as i32)
        };
        let stdin = child.stdin.take();
        if let Some(stdin) = &stdin {
            fcntl(stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let (said, deadline) = (Vec::new(), Instant::now() + task.time);
        Ok(Talk { stdin, output: Some(output), process, said, most: task.output, deadline })
    }

    /// Until it ends; false when its time is over before.
    fn hold(&mut self, input: &mut impl Read) -> io::Result<bool> {
        let mut buffer = vec![0; crate::limits::TEXT_BUFFER];
        let (mut at, mut filled) = (0, 0);
        loop {
            if at == filled && self.stdin.is_some() {
                filled = read(input, &mut buffer)?;
                at = 0;
                if filled == 0 {
                    self.stdin = None;
                }
            }
            let Some([ended, can_read, can_write]) = self.wait()? else { return Ok(false) };
            if can_read {
                self.listen(usize::MAX)?;
            }
            if can_write && let Some(stdin) = &mut self.stdin {
                match stdin.write(&buffer[at..filled]) {
                    Ok(written) => at += written,
                    Err(error) if is_later(&error) => {}
                    // It has read enough; its exit code tells what it thinks of that.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => self.stdin = None,
                    Err(error) => return Err(error),
                }
            }
            if ended {
                // What it started may go on and say more, without end.
                self.listen(self.most)?;
                return Ok(true);
            }
        }
    }

    /// Whether it ended, said something, can take something; `None` when its time is over.
    fn wait(&self) -> io::Result<Option<[bool; 3]>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let mut fds = vec![PollFd::new(self.process.as_fd(), PollFlags::POLLIN)];
        let output = self.output.as_ref().map(|output| {
            fds.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
            fds.len() - 1
        });
        let stdin = self.stdin.as_ref().map(|stdin| {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
            fds.len() - 1
        });
        super::poll::wait(&mut fds, Some(left))?;
        let ready = |at: Option<usize>| at.is_some_and(|at| fds[at].any().unwrap_or(true));
        Ok(Some([ready(Some(0)), ready(output), ready(stdin)]))
    }

    /// Takes what it said: so much is kept, the rest dropped. At most `most` octets are read.
    fn listen(&mut self, most: usize) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let mut read = 0;
        while read < most.min(16 * buffer.len())
            && let Some(output) = &mut self.output
        {
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(octets) => {
                    read += octets;
                    let kept = octets.min(self.most - self.said.len());
                    self.said.extend_from_slice(&buffer[..kept]);
                }
                Err(error) if is_later(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn read(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
