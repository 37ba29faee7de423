//! Any state: CAPABILITY, LOGOUT (RFC 3501 §6.1), ID (RFC 2971).

use super::command::IdField;
use super::data;
use super::response::Status;
use super::session::{Imapd, Outcome, State};
use crate::auth::sasl::Mechanism;
use crate::text::printable;

/// What works after the login (RFC 3501 §7.2.1).
const AFTER_LOGIN: &str = "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE IDLE NAMESPACE CHILDREN UIDPLUS \
    UNSELECT MOVE SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE ESEARCH \
    SEARCHRES WITHIN BINARY MULTIAPPEND UTF8=ACCEPT";

/// So many octets of what a client calls itself are logged.
const LOGGED: usize = 64;

impl Imapd<'_> {
    /// RFC 3501 §6.1.1: only what works now.
    pub(super) fn capabilities(&self, state: &State) -> String {
        if !matches!(state, State::NotAuthenticated) {
            return format!("{AFTER_LOGIN} APPENDLIMIT={}", self.site.message_size);
        }
        let mut names = String::from("IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE");
        if self.conn.can_start_tls() {
            names.push_str(" STARTTLS");
        }
        match self.may_log_in() {
            true => Mechanism::ALL.iter().for_each(|mechanism| {
                names.push_str(&format!(" AUTH={}", mechanism.name()));
            }),
            false => names.push_str(" LOGINDISABLED"),
        }
        names
    }

    /// RFC 3501 §6.1.1.
    pub(super) fn capability(&mut self, state: &State) -> Outcome {
        let list = self.capabilities(state);
        data::capability(self.conn.output(), &list);
        Ok(Status::ok("That is what works"))
    }

    /// RFC 3501 §6.1.3: nothing is expunged.
    pub(super) fn logout(&mut self, state: &State) -> Outcome {
        let text = format!("{} says good-bye", self.site.hostname);
        self.untagged(&Status::bye(text), state, "RFC 3501 §7.1.5");
        Ok(Status::ok("Logged out"))
    }

    /// RFC 2971 §3.1.
    pub(super) fn id(&mut self, fields: &[IdField]) -> Outcome {
        let known = |wanted: &str| {
            let field =
                fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
            let value = field.and_then(|(_, value)| value.as_deref()).unwrap_or_default();
            printable(&value[..value.len().min(LOGGED)])
        };
        log::info!("{} client={:?} version={:?}", self.id, known("name"), known("version"));
        let ours: Vec<IdField> = [("name", "buzon"), ("version", env!("CARGO_PKG_VERSION"))]
            .map(|(name, value)| (name.into(), Some(value.into())))
            .into();
        data::id(self.conn.output(), &ours);
        Ok(Status::ok("Pleased to meet you"))
    }
}
