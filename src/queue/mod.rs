//! Letters on their way. So far only those that are being received: see `spool`.

mod spool;

pub use spool::{Content, Spool};
