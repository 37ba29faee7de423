//! POP3: RFC 1939 and its extensions.
//!
//! Read `session` beside the RFC; its handlers stand in the RFC's order.

pub mod command; // RFC 1939 §9: keywords and arguments, and the one table of them
pub mod delay; // RFC 2449 §6.5: LOGIN-DELAY
pub mod maildrop; // RFC 1939 §4: message-numbers, sizes, marks
pub mod reply; // RFC 1939 §3: +OK and -ERR, one line or many
pub mod serve; // the loop
pub mod session; // RFC 1939 §4, §5, §6: the three states
pub mod top; // RFC 1939 §7: the top of a message

pub use serve::{refuse, serve};

/// What sessions share. Correctness never depends on it.
#[derive(Debug, Default)]
pub struct Live {
    /// The users file as last read, failures.
    pub auth: crate::auth::Live,
    /// Who logged in when.
    pub logins: delay::Logins,
}
