//! A user's own wishes: `.forward` in the home directory, as sendmail reads it.
//!
//! It is read with the user's rights and believed only if it is the user's own or root's. What
//! keeps us from looking, an unreadable home above all, never counts as no file. The format:
//! buzon-forward(5).

use super::members::{self, Members};
use crate::auth::User;
use crate::limits;
use crate::sys::identity::borrow;
use crate::sys::trusted;
use std::path::{Path, PathBuf};

/// Where it is.
pub(super) fn path(user: &User) -> PathBuf {
    user.home.join(".forward")
}

/// What it says; `None` where there is none, or nothing in it.
pub(super) fn read(user: &User) -> Result<Option<Members>, String> {
    let members = open(user, &path(user))?;
    Ok(members.filter(|members| !members.rows.is_empty() || !members.faults.is_empty()))
}

/// A file that it includes.
pub(super) fn included(user: &User, path: &Path) -> Result<Members, String> {
    open(user, path)?.ok_or_else(|| format!("{}: there is no such file", path.display()))
}

fn open(user: &User, path: &Path) -> Result<Option<Members>, String> {
    let told = |error| format!("{}: {error}", path.display());
    let _user = user.account.as_ref().map(borrow).transpose().map_err(told)?;
    let owner = user.account.as_ref().map_or_else(trusted::own_uid, |account| account.uid);
    let text = trusted::read(path, owner, limits::MEMBERS_FILE).map_err(told)?;
    Ok(text.as_deref().map(members::parse))
}
