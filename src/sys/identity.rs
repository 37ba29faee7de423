//! Whose rights a thread has: an account borrowed for a while, and given back.
//!
//! The kernel keeps ids for each thread; libc's setresuid(3) makes all threads follow, so it is
//! not used here. Only the effective uid changes: the real and the saved one stay the daemon's, so
//! that the account can neither signal nor trace the thread. It needs CAP_SETUID and CAP_SETGID.
//! This guards against our own mistakes with paths; the wall against foreign code is `settle`.
//!
//! Not here: how the daemon became who it is (`process`), who has an account (`accounts`).

#![allow(unsafe_code)]

use super::capability;
use nix::libc::{self, c_long};
use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// An account of this host, with all that borrowing it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user id.
    pub uid: u32,
    /// The group id of the login.
    pub gid: u32,
    /// All its groups.
    pub groups: Vec<u32>,
    /// The group that may write in the directory of mboxes, for `with_mail_group`.
    pub mail_gid: u32,
}

/// While this lives, the thread that made it is the account; it does not leave the thread.
#[derive(Debug)]
pub struct Borrowed {
    uid: u32,
    gid: u32,
    _thread: PhantomData<*const ()>,
}

/// Who this thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// The daemon.
    Own,
    /// An account.
    Account { gid: u32, mail_gid: u32 },
    /// An account that acts for the mail group.
    MailGroup,
}

thread_local! {
    static WHO: Cell<Who> = const { Cell::new(Who::Own) };
}

/// The ids that every thread has which borrowed none.
struct Own {
    euid: u32,
    gids: [u32; 3],
    groups: Vec<u32>,
}

/// An id that stays as it is.
const SAME: u32 = u32::MAX;

/// Whether this thread is somebody else. It starts no thread and no program then: they would
/// inherit what it is, and what it may become.
pub fn is_borrowed() -> bool {
    WHO.get() != Who::Own
}

/// What the doors for threads and programs ask first.
pub(super) fn refuse_borrowed(what: &str) -> io::Result<()> {
    debug_assert!(!is_borrowed(), "{what} would inherit a borrowed identity");
    match is_borrowed() {
        true => Err(io::Error::other(format!("{what} would inherit a borrowed identity"))),
        false => Ok(()),
    }
}

/// Becomes an account, in this thread, until the guard is dropped.
pub fn borrow(account: &Account) -> io::Result<Borrowed> {
    let Account { uid, gid, mail_gid, .. } = *account;
    if uid == 0 || gid == 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "root's identity is not lent"));
    }
    debug_assert!(!is_borrowed(), "a borrowed identity borrows another");
    if is_borrowed() {
        return Err(io::Error::other("a borrowed identity borrows another"));
    }
    own()?;
    // Careful: the uid last, as the account may change none of these. Once the groups are
    // changed we may change them back, and the guard does.
    set_groups(&account.groups)?;
    WHO.set(Who::Account { gid, mail_gid });
    let borrowed = Borrowed { uid, gid, _thread: PhantomData };
    set_gids([gid, gid, mail_gid])?;
    set_uids([SAME, uid, SAME])?;
    Ok(borrowed)
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let back = own().and_then(|own| {
            set_uids([SAME, own.euid, SAME])?;
            set_gids(own.gids)?;
            set_groups(&own.groups)
        });
        if let Err(error) = back {
            die("giving an identity back", &error);
        }
        WHO.set(Who::Own);
    }
}

impl Borrowed {
    /// Stays the account for good, capabilities given up: for the process of one session, whose
    /// only thread this is. The mail group is kept for a mailbox whose lock wants it.
    pub fn settle(self, keep_mail_group: bool) -> io::Result<()> {
        if std::fs::read_dir("/proc/self/task")?.count() != 1 {
            return Err(io::Error::other("other threads would stay who they are"));
        }
        if !keep_mail_group {
            set_gids([self.gid; 3])?;
            WHO.set(Who::Account { gid: self.gid, mail_gid: self.gid });
        }
        set_uids([self.uid; 3])?;
        capability::give_up()?;
        std::mem::forget(self);
        Ok(())
    }
}

/// Becomes an account for good, or, without one, whoever we are now: groups, every gid, every uid,
/// no capabilities. For a child between fork and exec: it makes system calls only.
pub(super) fn become_for_good(account: Option<&Account>) -> io::Result<()> {
    let refused = Err(io::Error::from_raw_os_error(libc::EPERM));
    let (uid, gid) = match account {
        Some(Account { uid, gid, groups, .. }) => {
            set_groups(groups)?;
            (*uid, *gid)
        }
        None => (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()),
    };
    if uid == 0 || gid == 0 {
        return refused;
    }
    set_gids([gid; 3])?;
    set_uids([uid; 3])?;
    capability::give_up()?;
    // Careful: a way back would be everybody's.
    if set_uids([SAME, 0, SAME]).is_ok() { refused } else { Ok(()) }
}

/// Does something in the directory of mboxes, such as making a lock or the first file there: while
/// an account is borrowed its effective gid is the mail group's for just that. The uid stays the
/// account's. Where nothing is borrowed, it is done as who we are.
pub fn with_mail_group<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Who::Account { gid, mail_gid } = WHO.get() else {
        return work();
    };
    // The saved gid comes to be the effective one, and the other way round.
    set_gids([SAME, mail_gid, gid])?;
    WHO.set(Who::MailGroup);
    let _back = Back { gid, mail_gid };
    work()
}

/// Undoes the exchange, also while panicking.
struct Back {
    gid: u32,
    mail_gid: u32,
}

impl Drop for Back {
    fn drop(&mut self) {
        let Back { gid, mail_gid } = *self;
        if let Err(error) = set_gids([SAME, gid, mail_gid]) {
            die("leaving the mail group", &error);
        }
        WHO.set(Who::Account { gid, mail_gid });
    }
}

/// Nothing good can be done with rights that are not what they should be.
fn die(what: &str, error: &io::Error) -> ! {
    log::error!("{what}: {error}; the process ends");
    eprintln!("{what}: {error}; the process ends");
    std::process::abort()
}

/// Read once, by a thread that has borrowed nothing: after the start these ids never change.
fn own() -> io::Result<&'static Own> {
    static OWN: OnceLock<Own> = OnceLock::new();
    if let Some(own) = OWN.get() {
        return Ok(own);
    }
    let gids = nix::unistd::getresgid()?;
    let groups = nix::unistd::getgroups()?.iter().map(|gid| gid.as_raw()).collect();
    Ok(OWN.get_or_init(|| Own {
        euid: nix::unistd::geteuid().as_raw(),
        gids: [gids.real, gids.effective, gids.saved].map(|gid| gid.as_raw()),
        groups,
    }))
}

fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the kernel reads as many ids as there are.
    done(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })
}

/// Real, effective, saved.
fn set_gids([real, effective, saved]: [u32; 3]) -> io::Result<()> {
    // SAFETY: three numbers.
    done(unsafe { libc::syscall(libc::SYS_setresgid, real, effective, saved) })
}

/// Real, effective, saved.
fn set_uids([real, effective, saved]: [u32; 3]) -> io::Result<()> {
    // SAFETY: three numbers.
    done(unsafe { libc::syscall(libc::SYS_setresuid, real, effective, saved) })
}

fn done(outcome: c_long) -> io::Result<()> {
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
