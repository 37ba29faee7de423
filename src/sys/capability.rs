//! What a process may do without being root: capabilities(7), of which we use two.
//!
//! CAP_SETUID and CAP_SETGID let a thread borrow an account. CAP_DAC_OVERRIDE and its like are
//! never kept: they would survive the borrowing, and an account would read everybody's files.
//! Capabilities are a thread's own, so all of this happens before the second one.

#![allow(unsafe_code)]

use nix::libc;
use std::io;

/// CAP_SETGID and CAP_SETUID, as bits.
const SWITCHING: u32 = 1 << 6 | 1 << 7;

/// `_LINUX_CAPABILITY_VERSION_3`: two words of 32 capabilities each.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Word {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Lets the permitted capabilities outlive the change of the uid that comes next.
pub(super) fn keep_over_setuid() -> io::Result<()> {
    Ok(nix::sys::prctl::set_keepcaps(true)?)
}

/// Keeps of the permitted capabilities those two, makes them effective, and passes none on to
/// programs: without inheritable ones the ambient ones are gone as well.
pub fn keep_switching() -> io::Result<()> {
    let permitted = get()?[0].permitted & SWITCHING;
    set([Word { effective: permitted, permitted, inheritable: 0 }, Word::default()])?;
    Ok(nix::sys::prctl::set_keepcaps(false)?)
}

/// Gives all of them up.
pub(super) fn give_up() -> io::Result<()> {
    set([Word::default(); 2])
}

/// Whether this thread may borrow accounts.
pub fn may_switch() -> bool {
    get().is_ok_and(|words| words[0].effective & SWITCHING == SWITCHING)
}

/// Lets the program that is executed next by this thread keep the two, if the thread has them.
pub(super) fn pass_on() -> io::Result<()> {
    let Word { effective, permitted, .. } = get()?[0];
    let kept = permitted & SWITCHING;
    set([Word { effective, permitted, inheritable: kept }, Word::default()])?;
    for capability in [6, 7].into_iter().filter(|bit| kept & 1 << bit != 0) {
        // SAFETY: prctl with numbers only.
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0) };
    }
    Ok(())
}

fn get() -> io::Result<[Word; 2]> {
    let (mut header, mut words) = (Header { version: VERSION, pid: 0 }, [Word::default(); 2]);
    // SAFETY: this version of capget writes two words.
    let got = unsafe { libc::syscall(libc::SYS_capget, &mut header, words.as_mut_ptr()) };
    if got == 0 { Ok(words) } else { Err(io::Error::last_os_error()) }
}

fn set(words: [Word; 2]) -> io::Result<()> {
    let header = Header { version: VERSION, pid: 0 };
    // SAFETY: this version of capset reads two words.
    let done = unsafe { libc::syscall(libc::SYS_capset, &header, words.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
