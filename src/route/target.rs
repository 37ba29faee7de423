//! Where letters go: the values that `resolve` gives.

use super::lists::ListFile;
use crate::auth::User;
use crate::mail::Mailbox;
use crate::sys::identity::Account;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A way that a letter for an address goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// Where to.
    pub target: Target,
    /// RFC 5321 §3.9.2: who takes the sender's place, for `reverse_path`.
    pub owner: Option<Mailbox>,
    /// The address of ours that sends the letter there.
    pub through: Mailbox,
    /// What names the target; `None` where the address itself does.
    pub from: Option<Place>,
}

/// One of the places a letter can go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into a mailbox of ours; the user's `.forward` has had its say.
    User(User),
    /// To another host.
    Remote(Mailbox),
    /// To a program's standard input.
    Program {
        /// For the shell.
        command: String,
        /// Who runs it.
        owner: Owner,
    },
    /// To the end of a file.
    File {
        /// Absolute; what goes to `/dev/null` is gone.
        path: PathBuf,
        /// Who writes.
        owner: Owner,
    },
    /// To all members of a list, a letter of its own for each.
    List(List),
}

/// In whose name programs run and files are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The name of the user, or `mail_owner`.
    pub name: String,
    /// Where programs start.
    pub home: PathBuf,
    /// The account; `None` for the one that owns all mail, never root.
    pub account: Option<Account>,
}

/// A mailing list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its address. A letter that was delivered there before is going round.
    pub address: Mailbox,
    /// What to put before the header, lines that end in LF: Delivered-To with its address, and the
    /// fields of RFC 2369 and RFC 2919, in place of those that the letter has.
    pub fields: String,
    pub(super) file: Arc<ListFile>,
}

impl List {
    /// Complete addresses, ours and others.
    pub fn members(&self) -> impl Iterator<Item = Mailbox> {
        self.file.addresses(&self.address.domain)
    }
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path.
    pub file: PathBuf,
    /// From 1 on.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl fmt::Display for Target {
    /// As `explain` tells it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Target::User(user) => {
                write!(f, "mailbox of {}: {}", user.name, user.mailbox.inbox().display())
            }
            Target::Remote(mailbox) => write!(f, "other host: <{mailbox}>"),
            Target::Program { command, owner } => {
                write!(f, "program, as {}: {command}", owner.name)
            }
            Target::File { path, owner } => {
                write!(f, "file, as {}: {}", owner.name, path.display())
            }
            Target::List(list) => {
                write!(f, "list <{}>: {} members", list.address, list.members().count())
            }
        }
    }
}
