//! Mailboxes by their names: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS (RFC 3501 §6.3),
//! NAMESPACE (RFC 2342).

use super::command::{Mailbox, StatusItem};
use super::data::{self, Namespace};
use super::flag::Use;
use super::mailbox::folder_status;
use super::response::{Code, Status};
use super::session::{Account, Imapd, Outcome};
use crate::store::SpecialUse;

impl Imapd<'_> {
    /// RFC 3501 §6.3.3, RFC 6154 §3.
    pub(super) fn create(
        &mut self,
        mailbox: &Mailbox,
        uses: &[Use],
        account: &mut Account,
    ) -> Outcome {
        let name = mailbox.name(self.speaks_utf8())?;
        let special = match uses {
            [] => None,
            [one] => Some(special_use(one).ok_or_else(|| {
                let text = format!("{} is no special use here", one.name());
                Status::no(Code::UseAttr, text).by("RFC 6154 §3")
            })?),
            _ => {
                let text = "A mailbox has one special use";
                return Err(Status::no(Code::UseAttr, text).by("RFC 6154 §3"));
            }
        };
        account.folders.create(&name, special).map_err(folder_status)?;
        Ok(Status::ok("Created"))
    }

    /// RFC 3501 §6.3.4.
    pub(super) fn delete(&mut self, mailbox: &Mailbox, account: &mut Account) -> Outcome {
        let name = mailbox.name(self.speaks_utf8())?;
        if name == "INBOX" {
            return Err(Status::no(Code::Cannot, "The INBOX stays").by("RFC 3501 §6.3.4"));
        }
        account.folders.delete(&name).map_err(folder_status)?;
        Ok(Status::ok("Deleted"))
    }

    /// RFC 3501 §6.3.5: the INBOX stays, its messages go.
    pub(super) fn rename(
        &mut self,
        from: &Mailbox,
        to: &Mailbox,
        account: &mut Account,
    ) -> Outcome {
        let utf8 = self.speaks_utf8();
        let (from, to) = (from.name(utf8)?, to.name(utf8)?);
        account.folders.rename(&from, &to).map_err(folder_status)?;
        Ok(Status::ok("Renamed"))
    }

    /// RFC 3501 §6.3.6: also a name that does not exist.
    pub(super) fn subscribe(&mut self, mailbox: &Mailbox, account: &mut Account) -> Outcome {
        let name = mailbox.name(self.speaks_utf8())?;
        account.folders.subscribe(&name).map_err(folder_status)?;
        Ok(Status::ok("Subscribed"))
    }

    /// RFC 3501 §6.3.7.
    pub(super) fn unsubscribe(&mut self, mailbox: &Mailbox, account: &mut Account) -> Outcome {
        let name = mailbox.name(self.speaks_utf8())?;
        account.folders.unsubscribe(&name).map_err(folder_status)?;
        Ok(Status::ok("Not subscribed"))
    }

    /// RFC 2342 §5: one's own mailboxes, and no others.
    pub(super) fn namespace(&mut self) -> Outcome {
        let own = [Namespace { prefix: String::new(), delimiter: Some('/') }];
        let utf8 = self.speaks_utf8();
        data::namespace(self.conn.output(), [&own, &[], &[]], utf8);
        Ok(Status::ok("Those are the namespaces"))
    }

    /// RFC 3501 §6.3.10.
    pub(super) fn status(
        &mut self,
        mailbox: &Mailbox,
        items: &[StatusItem],
        account: &mut Account,
    ) -> Outcome {
        let name = mailbox.name(self.speaks_utf8())?;
        let told = self.status_items(&name, items, account)?;
        let utf8 = self.speaks_utf8();
        data::status(self.conn.output(), &name, &told, utf8);
        Ok(Status::ok("That is its status"))
    }

    pub(super) fn status_items(
        &self,
        name: &str,
        items: &[StatusItem],
        account: &Account,
    ) -> Result<Vec<(StatusItem, Option<u64>)>, Status> {
        let of = account.folders.status(name).map_err(folder_status)?;
        let value = |item: &StatusItem| {
            let number = match item {
                StatusItem::Messages => of.messages,
                StatusItem::Recent => of.recent,
                StatusItem::UidNext => of.uid_next,
                StatusItem::UidValidity => of.uid_validity,
                StatusItem::Unseen => of.unseen,
                StatusItem::Deleted => of.deleted,
                StatusItem::AppendLimit => return Ok((*item, Some(self.site.message_size))),
                StatusItem::Size => {
                    let octets = of.octets.map_or_else(|| account.folders.octets(name), Ok);
                    return Ok((*item, Some(octets.map_err(folder_status)?)));
                }
            };
            Ok((*item, Some(number.into())))
        };
        items.iter().map(value).collect()
    }
}

/// RFC 6154 §2: those that a mailbox of ours can have.
fn special_use(wanted: &Use) -> Option<SpecialUse> {
    Some(match wanted {
        Use::Archive => SpecialUse::Archive,
        Use::Drafts => SpecialUse::Drafts,
        Use::Junk => SpecialUse::Junk,
        Use::Sent => SpecialUse::Sent,
        Use::Trash => SpecialUse::Trash,
        Use::All | Use::Flagged | Use::Other(_) => return None,
    })
}

/// As LIST tells it.
pub(super) fn attribute(special: SpecialUse) -> &'static str {
    match special {
        SpecialUse::Archive => "\\Archive",
        SpecialUse::Drafts => "\\Drafts",
        SpecialUse::Junk => "\\Junk",
        SpecialUse::Sent => "\\Sent",
        SpecialUse::Trash => "\\Trash",
    }
}
