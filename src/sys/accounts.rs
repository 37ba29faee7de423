//! The accounts of this host: passwd(5), group(5) and shadow(5), or whatever nsswitch.conf(5) has
//! behind them.
//!
//! Not here: whether an account may have mail, and whether a password is right (`auth`).

#![allow(unsafe_code)]

use nix::libc;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::ffi::{CStr, CString};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where local passwords are.
pub const SHADOW: &str = "/etc/shadow";

/// The group that may read them.
const SHADOW_GROUP: &str = "shadow";

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Its name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The group of its files.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
}

impl From<User> for Login {
    fn from(user: User) -> Login {
        Login { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir }
    }
}

/// The account of a name.
pub fn find(name: &str) -> io::Result<Option<Login>> {
    Ok(User::from_name(name)?.map(Login::from))
}

/// The account of a user id.
pub fn of_uid(uid: u32) -> io::Result<Option<Login>> {
    Ok(User::from_uid(Uid::from_raw(uid))?.map(Login::from))
}

/// What an account calls itself: the first part of the comment in passwd(5), where `&` stands for
/// the login.
pub fn full_name(uid: u32) -> Option<String> {
    let user = User::from_uid(Uid::from_raw(uid)).ok()??;
    let comment = user.gecos.to_string_lossy().into_owned();
    let name = comment.split(',').next().unwrap_or_default().trim();
    let mut login = user.name.chars();
    let login =
        login.next().map_or(String::new(), |first| first.to_uppercase().chain(login).collect());
    Some(name.replace('&', &login)).filter(|name| !name.is_empty())
}

/// Every group of an account.
pub fn groups(login: &Login) -> io::Result<Vec<u32>> {
    let name = CString::new(login.name.as_str()).map_err(io::Error::other)?;
    let groups = getgrouplist(&name, Gid::from_raw(login.gid))?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

/// The number of a group.
pub fn group(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

/// The group that may read passwords, where this host has one.
pub fn shadow_group() -> io::Result<Option<u32>> {
    group(SHADOW_GROUP)
}

/// A line of shadow(5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    /// What crypt(3) made of the password; locked where it begins with `!` or `*`.
    pub hash: String,
    /// Days since 1970: of the last change, after which the password is good for `most` of them,
    /// and of the account's end. Negative: never.
    changed: i64,
    most: i64,
    end: i64,
}

/// The password of an account; none where it has none that we could compare.
pub fn secret(name: &str) -> io::Result<Option<Secret>> {
    let name = CString::new(name).map_err(io::Error::other)?;
    let mut buffer = vec![0; 4096];
    loop {
        // SAFETY: numbers and null pointers, so that zeros are a value.
        let mut line: libc::spwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: the name ends in NUL, and the buffer is as large as said.
        let errno = unsafe {
            let (buffer, room) = (buffer.as_mut_ptr(), buffer.len());
            libc::getspnam_r(name.as_ptr(), &mut line, buffer, room, &mut found)
        };
        match errno {
            libc::ERANGE if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            0 if found.is_null() || line.sp_pwdp.is_null() => return Ok(None),
            0 => {
                // SAFETY: a string in the buffer, which is still there.
                let hash = unsafe { CStr::from_ptr(line.sp_pwdp) };
                let hash = hash.to_str().map_err(io::Error::other)?.to_owned();
                let (changed, most, end) = (line.sp_lstchg, line.sp_max, line.sp_expire);
                return Ok(Some(Secret { hash, changed, most, end }));
            }
            libc::ENOENT => return Ok(None),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Secret {
    /// Why nobody logs in with it today, as pam_unix(8) has it; `None` where one may.
    pub fn expired(&self) -> Option<&'static str> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.expired_on(i64::try_from(since.as_secs() / 86_400).unwrap_or(i64::MAX))
    }

    fn expired_on(&self, today: i64) -> Option<&'static str> {
        let Secret { changed, most, end, .. } = *self;
        if end >= 0 && today >= end {
            Some("the account has expired")
        } else if changed == 0 {
            Some("the password must be changed first")
        } else if changed > 0 && most >= 0 && today.saturating_sub(changed) > most {
            Some("the password has expired")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_grow_old() {
        for (changed, most, end, told) in [
            (19_000, 99_999, -1, None),
            (-1, -1, -1, None),
            (19_000, -1, -1, None),
            (20_010, 5, -1, None),
            (19_000, 999, -1, Some("the password has expired")),
            (19_000, 1_000, -1, None),
            (0, 99_999, -1, Some("the password must be changed first")),
            (19_000, 99_999, 20_001, None),
            (19_000, 99_999, 20_000, Some("the account has expired")),
            (19_000, 99_999, 0, Some("the account has expired")),
        ] {
            let secret = Secret { hash: String::new(), changed, most, end };
            assert_eq!(secret.expired_on(20_000), told, "{secret:?}");
        }
    }

    #[test]
    fn root_is_an_account() {
        let root = find("root").unwrap().unwrap();
        assert_eq!((root.uid, of_uid(0).unwrap()), (0, Some(root.clone())));
        assert!(groups(&root).unwrap().contains(&root.gid));
        assert_eq!(find("no such account").unwrap(), None);
        assert_eq!(group("no such group").unwrap(), None);
        if nix::unistd::geteuid().is_root() {
            assert!(secret("root").unwrap().is_some());
            assert_eq!(secret("no such account").unwrap(), None);
        }
    }
}
