//! STORE (RFC 3501 §6.4.6), COPY (§6.4.7), MOVE (RFC 6851).

use super::append::room;
use super::command::{How, Mailbox, Store};
use super::data;
use super::fetched::Fetched;
use super::flag::Flag;
use super::mailbox::{
    SYSTEM, all_flags, expunge_issued, flags_of, folder_status, may_write, store_status,
    too_many_keywords,
};
use super::response::{self, Code, Status};
use super::session::{Account, Imapd, Open, Outcome};
use super::set::Written;
use crate::store::{Change, Copied, Flags, FolderError};

/// How often messages are looked for that vanish while they are copied.
const TRIES: usize = 3;

/// Which step of COPY or MOVE.
type Transfer = fn(&mut crate::store::Selected, &[u32], &str) -> Result<Copied, FolderError>;

impl Imapd<'_> {
    /// RFC 3501 §6.4.6.
    pub(super) fn store(
        &mut self,
        uid: bool,
        set: &Written,
        store: &Store,
        open: &mut Open,
    ) -> Outcome {
        may_write(open)?;
        let indices = open.indices(set, uid)?;
        let change = match store.how {
            How::Replace => Change::Replace,
            How::Add => Change::Add,
            How::Remove => Change::Remove,
        };
        let known = open.keywords();
        let wanted = wanted(&store.flags, change, open);
        if open.keywords() != known {
            let keywords = open.keywords();
            data::flags(self.conn.output(), all_flags(&keywords));
            if open.mailbox.is_full_of_keywords() {
                let all = all_flags(&keywords).cloned().collect();
                let permanent = Status::ok("No more keywords");
                let permanent = permanent.with(Code::PermanentFlags(all, false));
                response::untagged(self.conn.output(), &permanent);
            }
        }
        let (flags, keywords) = wanted?;
        open.mailbox.store(&indices, change, flags, keywords).map_err(store_status)?;
        let (names, rev2) = (open.keywords(), self.rev2);
        let mut gone = false;
        for index in &indices {
            let message = &open.mailbox.messages()[*index as usize];
            gone |= message.is_gone();
            if store.silent || message.is_gone() {
                continue;
            }
            let out = self.conn.output();
            let mut fetched = Fetched::open(out, index + 1);
            if uid || rev2 {
                fetched.uid(out, message.uid);
            }
            fetched.flags(out, flags_of(message, &names, rev2));
            fetched.close(out);
        }
        match gone && !uid {
            // What is gone cannot be marked; a UID that is gone is passed over (RFC 3501 §6.4.8).
            true => Err(expunge_issued("RFC 2180 §4.2.1")),
            false => Ok(Status::ok("Stored")),
        }
    }

    /// RFC 3501 §6.4.7.
    pub(super) fn copy(
        &mut self,
        uid: bool,
        set: &Written,
        to: &Mailbox,
        account: &mut Account,
        open: &mut Open,
    ) -> Outcome {
        let copied =
            self.transfer((uid, set), to, (account, open), crate::store::Selected::copy, true)?;
        Ok(match copied {
            Some(code) => Status::ok("Copied").with(code),
            None => Status::ok("There was nothing to copy"),
        })
    }

    /// RFC 6851 §3.1: where the messages are now is told before they go from here.
    pub(super) fn move_to(
        &mut self,
        uid: bool,
        set: &Written,
        to: &Mailbox,
        account: &mut Account,
        open: &mut Open,
    ) -> Outcome {
        may_write(open)?;
        let step: Transfer = crate::store::Selected::move_to;
        let Some(code) = self.transfer((uid, set), to, (account, open), step, false)? else {
            return Ok(Status::ok("There was nothing to move"));
        };
        response::untagged(self.conn.output(), &Status::ok("Moved").with(code));
        Ok(Status::ok("Moved"))
    }

    fn transfer(
        &mut self,
        (uid, set): (bool, &Written),
        to: &Mailbox,
        (account, open): (&mut Account, &mut Open),
        step: Transfer,
        grows: bool,
    ) -> Result<Option<Code>, Status> {
        let mut indices = open.indices(set, uid)?;
        let name = to.name(self.speaks_utf8())?;
        if !account.folders.exists(&name).map_err(folder_status)? {
            let text = "There is no such mailbox; CREATE it first";
            return Err(Status::no(Code::TryCreate, text).by("RFC 3501 §6.4.7"));
        }
        if grows && account.user.quota > 0 {
            room(account, octets(&indices, open)?)?;
        }
        // Others may be at work at the same mailbox just now.
        for _ in 0..TRIES {
            if uid {
                // A UID that is gone is passed over (RFC 3501 §6.4.8).
                let messages = open.mailbox.messages();
                indices.retain(|index| !messages[*index as usize].is_gone());
            }
            if indices.is_empty() {
                return Ok(None);
            }
            match step(&mut open.mailbox, &indices, &name) {
                Ok((validity, uids)) => return Ok(Some(Code::CopyUid(validity, uids))),
                Err(FolderError::Store(error)) if error.is_gone() => {}
                Err(error) => return Err(folder_status(error)),
            }
        }
        Err(expunge_issued("RFC 2180 §4.4.1"))
    }
}

/// Of several messages, those that are gone left out.
fn octets(indices: &[u32], open: &mut Open) -> Result<u64, Status> {
    let mut sum = 0u64;
    for index in indices {
        sum = sum.saturating_add(match open.mailbox.octets(*index as usize) {
            Err(error) if error.is_gone() => 0,
            octets => octets.map_err(store_status)?,
        });
    }
    Ok(sum)
}

/// What the client named, as the store has it. A keyword that is new gets its place.
fn wanted(named: &[Flag], change: Change, open: &mut Open) -> Result<(Flags, u32), Status> {
    let (mut flags, mut keywords) = (Flags::NONE, 0);
    for flag in named {
        match flag {
            Flag::Keyword(name) => {
                let make = change != Change::Remove;
                let bit = open.mailbox.keyword(name, make).map_err(store_status)?;
                match bit {
                    Some(bit) => keywords |= 1 << bit,
                    None if make => return Err(too_many_keywords()),
                    None => {}
                }
            }
            system => {
                for (bit, _) in SYSTEM.iter().filter(|(_, known)| known == system) {
                    flags |= *bit;
                }
            }
        }
    }
    Ok((flags, keywords))
}
