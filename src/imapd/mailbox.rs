//! A mailbox opened, told about, closed: SELECT, EXAMINE (RFC 3501 §6.3.1, §6.3.2), CHECK, CLOSE,
//! EXPUNGE (§6.4.1 to §6.4.3), UNSELECT (RFC 3691); and what others change in it meanwhile.

use super::command::Mailbox;
use super::data::{self, Listed};
use super::fetched::Fetched;
use super::flag::Flag;
use super::response::{Code, Status};
use super::session::{Imapd, Open, Outcome, State};
use super::set::{Set, Written};
use crate::net::Hangup;
use crate::store::{self, Changes, Flags, FolderError, Summary};
use std::io::ErrorKind;

/// Flags as the store has them, and as clients read them.
pub(super) const SYSTEM: [(Flags, Flag); 5] = [
    (Flags::ANSWERED, Flag::Answered),
    (Flags::FLAGGED, Flag::Flagged),
    (Flags::DELETED, Flag::Deleted),
    (Flags::SEEN, Flag::Seen),
    (Flags::DRAFT, Flag::Draft),
];
static RECENT: Flag = Flag::Recent;

/// The flags and keywords of a message.
pub(super) fn flags_of<'a>(
    summary: &Summary,
    keywords: &'a [Flag],
    rev2: bool,
) -> impl Iterator<Item = &'a Flag> {
    let (flags, bits) = (summary.flags(), summary.keywords());
    let system = SYSTEM_FLAGS.iter().filter(move |(flag, _)| flags.has(*flag)).map(|(_, f)| f);
    let recent = (flags.has(Flags::RECENT) && !rev2).then_some(&RECENT);
    let has = move |bit: usize| bits >> bit & 1 == 1;
    let named = keywords.iter().enumerate().filter(move |(bit, _)| has(*bit));
    system.chain(recent).chain(named.map(|(_, keyword)| keyword).filter(|flag| has_name(flag)))
}

/// Numbers of keywords may have gaps, where another program made them.
fn has_name(keyword: &Flag) -> bool {
    !keyword.name().is_empty()
}

/// What messages of a mailbox may be marked with.
pub(super) fn all_flags(keywords: &[Flag]) -> impl Iterator<Item = &Flag> {
    Flag::SYSTEM.iter().chain(keywords.iter().filter(|keyword| has_name(keyword)))
}

static SYSTEM_FLAGS: [(Flags, Flag); 5] = SYSTEM;

impl Open {
    /// The keywords of the mailbox by their bits; an empty one has no name.
    pub fn keywords(&self) -> Vec<Flag> {
        self.mailbox.keywords().iter().map(|name| Flag::Keyword(name.clone())).collect()
    }

    /// The indices of the messages in a set. A number that no message has is a mistake (RFC 3501
    /// §9), a UID that none has is not (§6.4.8).
    pub fn indices(&self, set: &Written, uid: bool) -> Result<Vec<u32>, Status> {
        let messages = self.mailbox.messages();
        let count = messages.len() as u32;
        let Some(numbers) = set.resolve(if uid { self.last_uid() } else { count }) else {
            return Ok(self.at_uids(&self.saved));
        };
        if uid {
            return Ok(self.at_uids(&numbers));
        }
        if set.largest_named() > count || (set.has_star() && count == 0) {
            let text = format!("There is no such message; there are {count}");
            return Err(Status::bad(text).by("RFC 3501 §9"));
        }
        Ok(numbers.iter().map(|number| number - 1).collect())
    }

    fn at_uids(&self, uids: &Set) -> Vec<u32> {
        let messages = self.mailbox.messages();
        uids.positions(messages, |message| message.uid).map(|at| at as u32).collect()
    }

    fn last_uid(&self) -> u32 {
        self.mailbox.messages().last().map_or(0, |message| message.uid)
    }
}

impl Imapd<'_> {
    /// RFC 3501 §6.3.1; without the right to change anything §6.3.2.
    pub(super) fn select(
        &mut self,
        mailbox: &Mailbox,
        examine: bool,
        state: &mut State,
    ) -> Outcome {
        let was_selected = matches!(state, State::Selected(..));
        leave(state);
        let utf8 = self.speaks_utf8();
        let State::Authenticated(account) = std::mem::replace(state, State::NotAuthenticated)
        else {
            return Err(Status::bad("Log in first"));
        };
        let opened = mailbox.name(utf8).and_then(|name| {
            let opened = account.folders.open(&name, examine).map_err(folder_status)?;
            Ok((name, opened))
        });
        if was_selected && self.rev2 {
            let closed = Status::ok("The mailbox before is closed").with(Code::Closed);
            self.untagged(&closed, &State::NotAuthenticated, "RFC 9051 §7.1");
        }
        let (name, mailbox) = match opened {
            Ok(opened) => opened,
            Err(status) => {
                *state = State::Authenticated(account);
                return Err(status);
            }
        };
        let open = Open {
            name,
            mailbox,
            read_only: examine,
            saved: Set::default(),
            is_unsure: false,
            located: None,
        };
        self.describe(&open);
        *state = State::Selected(account, Box::new(open));
        Ok(match examine {
            true => Status::ok("Opened, to be read only").with(Code::ReadOnly),
            false => Status::ok("Opened").with(Code::ReadWrite),
        })
    }

    /// What a client must know of a mailbox that it opens (RFC 3501 §6.3.1, RFC 9051 §6.3.2).
    fn describe(&mut self, open: &Open) {
        let keywords = open.keywords();
        let known: Vec<Flag> = all_flags(&keywords).cloned().collect();
        let messages = open.mailbox.messages();
        let unseen = messages.iter().position(|message| !message.flags().has(Flags::SEEN));
        let (rev2, utf8) = (self.rev2, self.speaks_utf8());
        let out = self.conn.output();
        data::flags(out, &known);
        data::exists(out, messages.len() as u32);
        if rev2 {
            let listed = Listed { delimiter: Some('/'), name: &open.name, ..Listed::default() };
            data::list(out, &listed, utf8);
        } else {
            data::recent(out, open.mailbox.recent());
        }
        let mut told = Vec::new();
        if let Some(first) = unseen.filter(|_| !rev2) {
            told.push(Status::ok("The first unseen").with(Code::Unseen(first as u32 + 1)));
        }
        let permanent = match open.read_only {
            true => Code::PermanentFlags(Vec::new(), false),
            false => Code::PermanentFlags(known, !open.mailbox.is_full_of_keywords()),
        };
        told.push(Status::ok("Flags that are kept").with(permanent));
        told.push(Status::ok("The next UID").with(Code::UidNext(open.mailbox.uid_next())));
        let validity = Code::UidValidity(open.mailbox.uid_validity());
        told.push(Status::ok("UIDs are valid").with(validity));
        for status in told {
            super::response::untagged(self.conn.output(), &status);
        }
    }

    /// What others changed since the last look. EXPUNGE only where numbers may change (RFC 3501
    /// §7.4.1).
    ///
    /// A mailbox that is there no more ends the session (RFC 2180 §3.3), with the BYE that is the
    /// `Err`: whatever we said of its numbers would be wrong. One that cannot be looked at now is looked at again.
    pub(super) fn news(&mut self, state: &mut State, may_expunge: bool) -> Result<(), Status> {
        let State::Selected(account, open) = state else { return Ok(()) };
        let error = match open.mailbox.refresh(may_expunge) {
            Ok(changes) => {
                open.is_unsure = false;
                self.tell(&changes, open);
                return Ok(());
            }
            Err(error) => error,
        };
        if !std::mem::replace(&mut open.is_unsure, true) {
            log::warn!("{} refresh={:?}", self.id, error.to_string());
        }
        let is_gone = || account.folders.exists(&open.name).is_ok_and(|exists| !exists);
        if !error.is_removed_mailbox() && !is_gone() {
            return Ok(());
        }
        let bye = Status::bye("The mailbox is no more; select another").with(Code::NonExistent);
        Err(bye.by("RFC 2180 §3.3"))
    }

    /// The end of a session whose mailbox is no more.
    pub(super) fn put_out(&mut self, bye: &Status, state: &State) -> Hangup {
        self.untagged(bye, state, bye.rule.unwrap_or("RFC 3501 §7.1.5"));
        Hangup::Lost
    }

    /// After DELETE and RENAME the mailbox that is selected may be another's name, or nobody's.
    pub(super) fn leave_removed(&mut self, state: &mut State) {
        let State::Selected(account, open) = &*state else { return };
        if account.folders.exists(&open.name).is_ok_and(|exists| !exists) {
            leave(state);
            let closed = Status::ok("The mailbox is closed").with(Code::Closed);
            self.untagged(&closed, state, "RFC 9051 §7.1");
        }
    }

    fn tell(&mut self, changes: &Changes, open: &Open) {
        let rev2 = self.rev2;
        let keywords = open.keywords();
        let out = self.conn.output();
        changes.expunged.iter().for_each(|number| data::expunge(out, *number));
        if changes.keywords {
            data::flags(out, all_flags(&keywords));
        }
        if let Some(exists) = changes.exists {
            data::exists(out, exists);
            if !rev2 {
                data::recent(out, changes.recent);
            }
        }
        for number in &changes.flags {
            let message = &open.mailbox.messages()[*number as usize - 1];
            let mut fetched = Fetched::open(out, *number);
            if rev2 {
                fetched.uid(out, message.uid);
            }
            fetched.flags(out, flags_of(message, &keywords, rev2));
            fetched.close(out);
        }
    }

    /// RFC 3501 §6.4.1: whatever was changed is on disk already.
    pub(super) fn check(&mut self, _: &mut Open) -> Outcome {
        Ok(Status::ok("Checked"))
    }

    /// RFC 3501 §6.4.2: what is marked as deleted goes, and nobody is told.
    pub(super) fn close(&mut self, state: &mut State) -> Outcome {
        if let State::Selected(_, open) = state
            && !open.read_only
        {
            open.mailbox.expunge(None).map_err(store_status)?;
        }
        leave(state);
        Ok(Status::ok("Closed"))
    }

    /// RFC 3691 §2.
    pub(super) fn unselect(&mut self, state: &mut State) -> Outcome {
        leave(state);
        Ok(Status::ok("Closed, and nothing expunged"))
    }

    /// RFC 3501 §6.4.3; RFC 4315 §2.1 for some UIDs only. The numbers are told with the news.
    pub(super) fn expunge(&mut self, uids: Option<&Written>, open: &mut Open) -> Outcome {
        may_write(open)?;
        let done = match uids {
            None => open.mailbox.expunge(None),
            Some(written) => {
                let indices = open.indices(written, true)?;
                let messages = open.mailbox.messages();
                let wanted: Set = indices.iter().map(|at| messages[*at as usize].uid).collect();
                open.mailbox.expunge(Some(&|uid| wanted.contains(uid)))
            }
        };
        done.map_err(store_status)?;
        Ok(Status::ok("Expunged"))
    }
}

/// The session has no mailbox any more.
pub(super) fn leave(state: &mut State) {
    if matches!(state, State::Selected(..))
        && let State::Selected(account, _) = std::mem::replace(state, State::NotAuthenticated)
    {
        *state = State::Authenticated(account);
    }
}

/// RFC 3501 §6.3.2: after EXAMINE nothing is changed.
pub(super) fn may_write(open: &Open) -> Result<(), Status> {
    match open.read_only {
        true => {
            Err(Status::no(Code::Cannot, "The mailbox is open to be read only")
                .by("RFC 3501 §6.3.2"))
        }
        false => Ok(()),
    }
}

/// Some of the messages meant are gone, which the client may not know yet (RFC 5530 §3).
pub(super) fn expunge_issued(rule: &'static str) -> Status {
    Status::no(Code::ExpungeIssued, "Some of these messages are gone").by(rule)
}

/// A message beyond what is ever held in memory; whole, it can be fetched all the same.
pub(super) fn too_large() -> Status {
    Status::no(Code::Limit, "A message is too large to be taken apart").by("RFC 5530 §3")
}

/// A keyword that is new, where 26 others are known.
pub(super) fn too_many_keywords() -> Status {
    let text = "A mailbox has room for 26 keywords, and they are taken";
    Status::no(Code::Limit, text).by("RFC 5530 §3")
}

/// What a failing store means (RFC 5530 §3).
pub(super) fn store_status(error: store::Error) -> Status {
    let why = error.to_string();
    if error.is_too_large() {
        return too_large().because(why);
    }
    if error.is_too_many_keywords() {
        return too_many_keywords();
    }
    match error {
        store::Error::Full(_) => Status::no(Code::OverQuota, "There is no room"),
        store::Error::Busy => Status::no(Code::InUse, "Another program has the mailbox, try again"),
        store::Error::Unavailable(error) => {
            let code = match error.kind() {
                ErrorKind::PermissionDenied => Code::NoPerm,
                ErrorKind::InvalidData => Code::Corruption,
                _ => Code::ServerBug,
            };
            Status::no(code, "The mailbox cannot be used; the log says why")
        }
    }
    .by("RFC 5530 §3")
    .because(why)
}

/// Messages that a command could not read. It goes on with the others: one file that is closed to
/// us must not hide what stands behind it.
#[derive(Default)]
pub(super) struct Unreadable {
    count: usize,
    /// Its UID, and why.
    first: Option<(u32, store::Error)>,
}

impl Unreadable {
    /// One more. Where another program has the whole mailbox there is no use in going on.
    pub fn add(&mut self, uid: u32, error: store::Error) -> Result<(), Status> {
        if matches!(error, store::Error::Busy) {
            return Err(store_status(error));
        }
        self.count += 1;
        self.first.get_or_insert((uid, error));
        Ok(())
    }

    /// What to say of them, if there are any; the log names the first.
    pub fn status(self) -> Option<Status> {
        let (uid, error) = self.first?;
        let cause = format!("unreadable={} first_uid={uid} error={error}", self.count);
        let mut status = store_status(error);
        if status.code != Some(Code::Limit) {
            status.text = "A message cannot be read; the log says why".into();
        }
        Some(status.because(cause))
    }
}

/// What a folder that is not as asked for means (RFC 5530 §3).
pub(super) fn folder_status(error: FolderError) -> Status {
    match error {
        FolderError::Exists => Status::no(Code::AlreadyExists, "There is such a mailbox already"),
        FolderError::Missing => Status::no(Code::NonExistent, "There is no such mailbox"),
        FolderError::Invalid(why) => Status::no(Code::Cannot, why),
        FolderError::HasChildren => {
            let text = "There are mailboxes below it";
            return Status::no(Code::HasChildren, text).by("RFC 9051 §7.1");
        }
        FolderError::Store(error) => return store_status(error),
    }
    .by("RFC 5530 §3")
}
