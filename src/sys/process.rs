//! The process as a whole: its identity, its limits, its place in the background.

#![allow(unsafe_code)]

use super::{accounts, capability};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{ForkResult, Gid, Uid, User, fork, setgid, setgroups, setsid, setuid};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Whether this process is root's.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Becomes an account for good: its groups, its gid, its uid. `Ok(false)`: there is none such, or
/// it is root's. A lender keeps what `identity::borrow` needs, see `become_lender`.
///
/// Careful: before the first thread, as libc asks every thread to follow.
pub fn become_account(name: &str, lender: bool) -> io::Result<bool> {
    let Some(login) = accounts::find(name)?.filter(|login| login.uid != 0) else {
        return Ok(false);
    };
    let groups = accounts::groups(&login)?.into_iter().map(Gid::from_raw).collect::<Vec<_>>();
    setgroups(&groups)?;
    setgid(Gid::from_raw(login.gid))?;
    if lender {
        capability::keep_over_setuid()?;
    }
    setuid(Uid::from_raw(login.uid))?;
    if lender {
        become_lender()?;
    }
    Ok(true)
}

/// Keeps the two capabilities that lending accounts to threads needs, of those there are and no
/// others, and joins the group that may read passwords.
pub fn become_lender() -> io::Result<()> {
    capability::keep_switching()?;
    if let Some(shadow) = accounts::shadow_group()?.map(Gid::from_raw) {
        let mut groups = nix::unistd::getgroups()?;
        if !groups.contains(&shadow) && capability::may_switch() {
            groups.push(shadow);
            setgroups(&groups)?;
        }
    }
    Ok(())
}

/// The uid and gid of an account.
pub fn account(name: &str) -> io::Result<Option<(u32, u32)>> {
    Ok(User::from_name(name)?.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
}

/// The uid of whoever started this process.
pub fn real_uid() -> u32 {
    Uid::current().as_raw()
}

/// Whether this program has a group that whoever started it may not have: it is setgid.
pub fn is_setgid() -> bool {
    Gid::effective() != Gid::current()
}

/// Gives that group up for good.
pub fn drop_group() -> io::Result<()> {
    let real = Gid::current();
    nix::unistd::setresgid(real, real, real)?;
    Ok(())
}

/// The name of whoever started this process.
pub fn login() -> Option<String> {
    Some(User::from_uid(Uid::current()).ok()??.name)
}

/// Gives a path to an account.
pub fn give(path: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    nix::unistd::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    Ok(())
}

/// Sessions this process can carry, and the limit that says so: descriptors (the soft limit is
/// raised to the hard one first), threads of this host, and memory maps, of which a thread takes
/// four. Beyond the maps, starting a thread would end the process.
pub fn sessions() -> (usize, &'static str) {
    let mut least = (usize::MAX, "nothing");
    let mut at_most = |count: u64, what| {
        let count = usize::try_from(count).unwrap_or(usize::MAX).max(1);
        if count < least.0 {
            least = (count, what);
        }
    };
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_or(soft, |()| hard);
        // A session has its socket and, at work, a few files; one that waits in IDLE shares those
        // it needs.
        at_most(raised.saturating_sub(64) / 5 * 3, "RLIMIT_NOFILE");
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NPROC)
        && !is_root()
    {
        at_most(soft.saturating_sub(16), "RLIMIT_NPROC");
    }
    let kernel = |name: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
    };
    if let Some(threads) = kernel("kernel/threads-max") {
        at_most(threads / 2, "kernel.threads-max");
    }
    if let Some(pids) = kernel("kernel/pid_max") {
        at_most(pids / 2, "kernel.pid_max");
    }
    if let Some(maps) = kernel("vm/max_map_count") {
        at_most(maps.saturating_sub(4_000) / 4, "vm.max_map_count");
    }
    least
}

/// Keeps the C library from holding one heap for each thread that ever ran.
pub fn share_heap() {
    unsafe extern "C" {
        fn mallopt(parameter: i32, value: i32) -> i32;
    }
    const M_TRIM_THRESHOLD: i32 = -1;
    const M_MMAP_THRESHOLD: i32 = -3;
    const M_ARENA_MAX: i32 = -8;
    // SAFETY: sets numbers of the allocator, before the first thread.
    unsafe {
        mallopt(M_ARENA_MAX, 2);
        mallopt(M_TRIM_THRESHOLD, 256 * 1024);
        mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    }
}

/// Starts this program again, told to keep little freed memory for each thread: what the C library
/// keeps by itself comes to 50 KiB and more for a session that was told of a few messages. It reads
/// that from its environment, and only before the program begins. Where that cannot be had this
/// returns, and all is as it was.
///
/// Careful: before anything is opened that the program would miss.
pub fn keep_little_for_threads() {
    const TUNABLES: &str = "GLIBC_TUNABLES";
    // SAFETY: only reads what the kernel told this process.
    let is_secure = unsafe { nix::libc::getauxval(nix::libc::AT_SECURE) } != 0;
    let told = std::env::var(TUNABLES).unwrap_or_default();
    // Careful: a program with rights of its own would never find it there.
    if !cfg!(target_env = "gnu") || is_secure || told.contains("glibc.malloc.tcache") {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut args = std::env::args_os();
    let mut again = Command::new(program);
    again.env(TUNABLES, format!("{told}:glibc.malloc.tcache_max=128").trim_start_matches(':'));
    args.next().into_iter().for_each(|name| _ = again.arg0(name));
    let _ = again.args(args).exec();
}

/// The parent's end of a detached daemon.
pub struct Detached(UnixStream);

/// Goes on in the background, in a session of its own; the parent stays until the child tells its
/// exit code. `Err` is what the parent ends with.
///
/// Careful: before the first thread, as only this one survives.
pub fn detach() -> Result<Detached, u8> {
    let failed = |error: io::Error| {
        eprintln!("cannot detach: {error}");
        71 // EX_OSERR
    };
    let (mut parent, child) = UnixStream::pair().map_err(failed)?;
    // SAFETY: no other thread runs yet.
    match unsafe { fork() }.map_err(|errno| failed(errno.into()))? {
        ForkResult::Child => {
            drop(parent);
            setsid().map_err(|errno| failed(errno.into()))?;
            let _ = std::env::set_current_dir("/");
            Ok(Detached(child))
        }
        ForkResult::Parent { .. } => {
            drop(child);
            let mut code = [70]; // EX_SOFTWARE, if the child dies without a word
            let _ = parent.read(&mut code);
            Err(code[0])
        }
    }
}

impl Detached {
    /// Lets the parent end with this code; from here on nothing is left of the terminal.
    pub fn tell(mut self, code: u8) {
        let _ = self.0.write_all(&[code]);
        if code != 0 {
            return;
        }
        let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") else { return };
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
        let _ = nix::unistd::dup2_stderr(&null);
    }
}

/// One descriptor kept back, to be given up for a moment when all others are taken.
pub struct Spare(Option<File>);

impl Spare {
    /// Takes it.
    pub fn take() -> Spare {
        Spare(File::open("/dev/null").ok())
    }

    /// Gives it up, so that one more can be opened.
    pub fn give_up(&mut self) {
        self.0 = None;
    }
}
