//! Messages as values: addresses, dates, trace fields, the header section.
//!
//! Pure and total: bytes in, values out; any string of bytes is a message.

mod address; // RFC 5321 §4.1.2: paths and mailboxes
mod binary; // RFC 3030: binary parts become base64
mod date; // RFC 5322 §3.3
mod header; // RFC 5322 §2.2: the fields of a message that passes by
mod mime; // RFC 2045, RFC 2046: what a part's header says
mod trace; // RFC 5321 §4.4: what we put first

pub use address::{Fault, Mailbox, domain, forward_path, reverse_path};
pub use binary::ToText;
pub use date::{asctime, date};
pub use header::Filter;
pub use trace::{Hop, delivered_to, return_path};
