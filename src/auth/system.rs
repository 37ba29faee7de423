//! Accounts of this host as users: the second source, where `system_users` is on.
//!
//! Whoever useradd(8) made has a mailbox, and logs in with the password of shadow(5), if uid and
//! gid are fit for it: `account` decides that, here and for the users file. A name must be written
//! as the account is, in lower case. The shell does not matter.

use super::passwd::valid_name;
use super::{Error, Live, User, scheme};
use crate::conf::{Location, Site};
use crate::limits;
use crate::sys::accounts::{self, Login};
use crate::sys::identity::{self, Account};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// The uid that stands for those who own nothing.
const NOBODY: u32 = 65_534;

/// The user who is the account of this name.
pub(super) fn find(site: &Site, name: &str) -> Result<Option<User>, Error> {
    if !site.system_users || valid_name(name).is_err() {
        return Ok(None);
    }
    let login = accounts::find(name).map_err(|error| failed(name, &error))?;
    // Other sources than files may know an account by several names; only one of them is ours.
    login.filter(|login| login.name == name).map(|login| user(site, login)).transpose()
}

/// The first account that may have mail.
pub(super) fn first(site: &Site) -> Result<Option<User>, Error> {
    if !site.system_users {
        return Ok(None);
    }
    let login = accounts::of_uid(site.first_uid).map_err(|error| failed("first_uid", &error))?;
    login.map_or(Ok(None), |login| find(site, &login.name))
}

fn user(site: &Site, login: Login) -> Result<User, Error> {
    let name = login.name.clone();
    let what = format!("the account '{name}'");
    let account = account(site, &what, login.uid, login.gid, || accounts::groups(&login))?;
    if !login.home.is_absolute() {
        let home = login.home.display();
        return Err(Error::Unavailable(format!("{what}: the home '{home}' is no absolute path")));
    }
    let mailbox = Location::of(&site.mailbox, &login.home, &name);
    let mailbox = mailbox.expect("the configuration was read with a valid one");
    Ok(User { name, home: login.home, mailbox, account: Some(account), quota: site.quota })
}

/// The identity of a user, if it is one that may have mail.
pub(super) fn account(
    site: &Site,
    what: &str,
    uid: u32,
    gid: u32,
    groups: impl FnOnce() -> io::Result<Vec<u32>>,
) -> Result<Account, Error> {
    if uid == 0 || uid < site.first_uid {
        let first = site.first_uid;
        return Err(Error::NotServed(format!("{what} has uid {uid}, first_uid is {first}")));
    }
    if gid == 0 || uid == NOBODY {
        return Err(Error::NotServed(format!("{what} has uid {uid} and gid {gid}, nobody's mail")));
    }
    let groups = groups().map_err(|error| failed(what, &error))?;
    // Without that group a mailbox needs none; `faults` tells.
    let mail_gid = accounts::group(&site.mail_group).map_err(|error| failed(what, &error))?;
    Ok(Account { uid, gid, groups, mail_gid: mail_gid.unwrap_or(gid) })
}

/// The password of an account, as `scheme` understands it; `None` where nobody may log in.
pub(super) fn password(name: &str) -> Result<Option<String>, Error> {
    let secret = accounts::secret(name).map_err(|error| {
        let cure = "the daemon reads it as root's group 'shadow'";
        Error::Unavailable(format!("{}: {error}; {cure}", accounts::SHADOW))
    })?;
    let Some(secret) = secret else {
        return Ok(None);
    };
    if let Some(why) = secret.expired() {
        log::warn!("user={name} login=never cause={why:?}");
        return Ok(None);
    }
    let stored = format!("{{CRYPT}}{}", secret.hash);
    Ok(scheme::usable(&stored).then_some(stored))
}

/// What most accounts' passwords cost to compare: how many have such a one, and one of them.
pub(super) type Usual = Option<(usize, String)>;

/// What nobody's password comes to, at the cost that passwd(1) gives new ones.
const NOBODYS: &str = "{CRYPT}$y$j9T$F5Jx5fExrKuPp53xLKQ..1$";

/// The usual password, for names that nobody has; passwords may also be elsewhere than in
/// shadow(5).
pub(super) fn usual(site: &Site, live: &Live) -> Usual {
    if !site.system_users {
        return None;
    }
    let shadow = live.shadow.get(Path::new(accounts::SHADOW), limits::TABLE_FILE, most, |_| ());
    let usual = shadow.ok().flatten().and_then(|usual| (*usual).clone());
    usual.or_else(|| Some((0, NOBODYS.into())))
}

fn most(text: &str) -> Usual {
    let mut classes: HashMap<String, (usize, String)> = HashMap::new();
    for line in text.lines() {
        let stored = format!("{{CRYPT}}{}", line.split(':').nth(1).unwrap_or_default());
        if scheme::usable(&stored) {
            let class = scheme::class(&stored).to_owned();
            classes.entry(class).or_insert((0, stored)).0 += 1;
        }
    }
    classes.into_values().max()
}

/// What the host lacks for `system_users`, each with the key it is about.
pub(super) fn faults(site: &Site) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    if !site.system_users {
        return faults;
    }
    if let Err(error) = accounts::secret("root") {
        let shadow = accounts::SHADOW;
        let why =
            format!("{shadow}: {error}, so no account can log in; let group 'shadow' read it");
        faults.push(("system_users", why));
    }
    if !matches!(accounts::group(&site.mail_group), Ok(Some(_))) {
        let group = &site.mail_group;
        let why = format!("there is no group '{group}', make it: groupadd --system {group}");
        faults.push(("mail_group", why));
    }
    faults
}

/// Does something as a user, if that can be: only root and the daemons borrow.
pub(super) fn as_user<T>(user: &User, work: impl FnOnce() -> T) -> Option<T> {
    let _owner = user.account.as_ref().map(identity::borrow).transpose().ok()?;
    Some(work())
}

fn failed(what: &str, error: &io::Error) -> Error {
    Error::Unavailable(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_password() {
        for (text, usual) in [
            ("", None),
            ("root:*:1::::::\ndaemon:!:1::::::\nx\n", None),
            ("a:$y$j9T$s$h:1\nb:$6$s$h:1\nc:!$6$s$h:1\nd:$6$t$i:1\n", Some((2, "{CRYPT}$6$s$h"))),
            ("a:abJnggxhB/yWI:1\n", Some((1, "{CRYPT}abJnggxhB/yWI"))),
        ] {
            let usual = usual.map(|(count, stored): (usize, &str)| (count, stored.to_owned()));
            assert_eq!(most(text), usual, "{text}");
        }
    }
}
