//! IMAP: RFC 3501, with RFC 9051 beside it, and their extensions.
//!
//! The language stands first, as values: octets to a command, responses to octets. It knows no
//! mailbox and no socket. Then the session, and the commands in the RFC's order.

pub mod command; // RFC 3501 §6: what a client can say
pub mod data; // RFC 3501 §7.2, §7.3: what we tell of mailboxes
pub mod fetched; // RFC 3501 §7.4.2: what we tell of messages
pub mod flag; // RFC 3501 §2.3.2: flags and keywords
pub mod gather; // RFC 3501 §4.3: a command with its literals
pub mod response; // RFC 3501 §7.1: status responses and their codes
pub mod set; // RFC 3501 §9: sequence-set
pub mod structure; // RFC 3501 §7.4.2: ENVELOPE, BODYSTRUCTURE
pub mod syntax; // RFC 3501 §9: the words commands are made of
pub mod write; // RFC 3501 §4: strings as we write them

mod input; // RFC 3501 §2.2.1: what comes from the client
mod session; // RFC 3501 §3: the loop, the states, what may come when
// the commands
mod any; // §6.1: CAPABILITY, LOGOUT, ID
mod apart; // a message taken apart for FETCH
mod append; // §6.3.11: APPEND
mod criteria; // §6.4.4: what SEARCH asks of each message
mod described; // what the cache keeps of a message
mod fetch; // §6.4.5: FETCH
mod flags; // §6.4.6: STORE, COPY, MOVE
mod folders; // §6.3.3: CREATE, DELETE, RENAME, SUBSCRIBE, STATUS, NAMESPACE
mod idle; // RFC 2177: IDLE
mod list; // §6.3.8: LIST, LSUB
mod login; // §6.2: STARTTLS, AUTHENTICATE, LOGIN, ENABLE
mod mailbox; // §6.3.1, §6.4.1: SELECT, EXAMINE, CHECK, CLOSE, EXPUNGE, and news
mod search; // §6.4.4: SEARCH

pub use session::{Live, ROLES, begin, refuse, serve};
