//! Who the daemon is after its start: the mail owner, and with `system_users` a lender.
//!
//! Careful: all of it before the first thread, which the C library would ask to follow.

use super::session::{exit, tell};
use crate::conf::Site;
use crate::sys::{capability, process, program};
use std::io;

/// Root becomes the mail owner; root without one serves this host only. Whoever shall lend
/// accounts to sessions and deliveries keeps what that takes, and nothing else.
pub fn become_owner(site: &Site, loopback: bool) -> Result<(), u8> {
    let failed = |error: io::Error| tell(&format!("{}: {error}", site.mail_owner), exit::OS_ERROR);
    if !process::is_root() {
        return if site.system_users { become_lender() } else { Ok(()) };
    }
    program::keep_runner();
    match process::account(&site.mail_owner).map_err(failed)? {
        Some(account @ (1.., _)) => {
            for directory in [&site.run, &site.spool, &site.queue] {
                let _ = std::fs::create_dir_all(directory);
                // Careful: somebody may have written 'spool /tmp'. What is in use is not ours to
                // give away; buzonctl(8) tells where we may not write.
                if std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none()) {
                    process::give(directory, account).map_err(failed)?;
                }
            }
            process::become_account(&site.mail_owner, site.system_users).map_err(failed)?;
            if site.system_users { may_lend() } else { Ok(()) }
        }
        _ if loopback => Ok(()),
        _ => {
            let fault = format!(
                "there is no account '{}' to become, and root serves loopback only: \
                 make it with 'useradd -r {}', or name another by mail_owner",
                site.mail_owner, site.mail_owner
            );
            Err(tell(&fault, exit::NO_USER))
        }
    }
}

/// Not root, but perhaps with what systemd's AmbientCapabilities= gave.
fn become_lender() -> Result<(), u8> {
    process::become_lender().map_err(|error| tell(&error.to_string(), exit::OS_ERROR))?;
    may_lend()
}

fn may_lend() -> Result<(), u8> {
    if capability::may_switch() {
        return Ok(());
    }
    let fault = "system_users is on, and this process may not become the users: start it as root, \
                 or under systemd with 'AmbientCapabilities=CAP_SETUID CAP_SETGID'";
    Err(tell(fault, exit::NO_PERMISSION))
}
