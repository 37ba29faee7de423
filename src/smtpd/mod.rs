//! The SMTP server: RFC 5321, read beside it; and LMTP, RFC 2033.
//!
//! `session` is the loop and the state diagram; the other files are the parts of the dialogue, in
//! the order they are spoken.

mod session; // §3.1, §4.1.4: greeting, loop, states, order of commands
// the parts of the dialogue
mod accept; // §4.2.5, RFC 2033 §4.2: the promise, or each recipient's
mod ask; // §3.5, §4.1.1.6 to 9: VRFY, EXPN, HELP, NOOP
mod data; // §4.1.1.4, RFC 3030: DATA, BDAT
mod envelope; // §4.1.1.2, 3, 5: MAIL, RCPT, RSET
mod hello; // §4.1.1.1, RFC 2033 §4.1, RFC 3207: EHLO, HELO, LHLO, STARTTLS
mod login; // RFC 4954: AUTH
mod relay; // §3.6: for whom letters leave, RFC 1985: ETRN

pub use session::{Live, refuse, serve};
