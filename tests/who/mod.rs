//! Who a process or a thread is, as the kernel tells it.

#![allow(clippy::unwrap_used, unsafe_code, dead_code, missing_docs)]

use nix::libc;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

pub const ALICE: u32 = 61_001;
pub const BOB: u32 = 61_002;
pub const MAIL: u32 = 61_008;

/// Capabilities, as status has them.
pub const NONE: &str = "0000000000000000";
pub const SWITCHING: &str = "00000000000000c0";

pub fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("skipped: only root may borrow accounts");
    }
    root
}

/// The lines of status that tell who a thread is.
pub fn identity_of(status: impl AsRef<Path>) -> BTreeMap<String, String> {
    let told = ["Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapInh", "CapAmb"];
    let status = fs::read_to_string(status).unwrap();
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let lines = lines.filter(|(name, _)| told.contains(name));
    let blank = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    lines.map(|(name, value)| (name.to_owned(), blank(value))).collect()
}

/// Sends signal 0 to a thread as somebody else; what the kernel says.
pub fn may_signal(uid: u32, process: i32, thread: i32) -> Result<(), i32> {
    let mut command = Command::new("/bin/true");
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            let ids = libc::setgroups(0, std::ptr::null()) == 0
                && libc::setresgid(uid, uid, uid) == 0
                && libc::setresuid(uid, uid, uid) == 0;
            match ids && libc::syscall(libc::SYS_tgkill, process, thread, 0) == 0 {
                true => Ok(()),
                false => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let mut child = command.spawn().map_err(|error| error.raw_os_error().unwrap())?;
    child.wait().unwrap();
    Ok(())
}
