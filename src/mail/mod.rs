//! Messages as values: addresses, dates, trace fields. Pure and total: bytes in, values out.

mod address;

pub use address::Mailbox;
