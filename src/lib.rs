//! buzon: a small mail suite in the classic Unix manner.
//!
//! The modules stand in reading order, from the ground up: a folder uses only folders above it
//! in this list, and `tests/layers.rs` holds it to that. README.md walks one letter through them.

// 0 ground
pub mod limits;
pub mod sys;
pub mod text;
// 1 values
pub mod conf;
pub mod mail;
// 2 media
pub mod auth;
pub mod dns;
pub mod net;
pub mod queue;
pub mod store;
// 3 decision
pub mod route;
// 4 language
pub mod parley;
pub mod smtp;
// 5 delivery
pub mod deliver;
// 6 daemons
pub mod imapd;
pub mod pop3d;
pub mod smtpd;
