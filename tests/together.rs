//! One Maildir, many at work: 1,000 deliveries from 20 connections while POP3 sessions fetch and
//! delete.
//!
//! Every letter answered 250 is there, or was deleted by a session whose QUIT was answered; none
//! is there twice, and none comes back. Nobody waits for another.

#![allow(clippy::unwrap_used)]

mod daemons;

use daemons::{Site, load};
use std::sync::Arc;

#[test]
fn deliveries_and_readers_share_a_box() {
    let site = Site::new("failure_delay 0s\n");
    let (written, read) = load::together(&site, 0, &Arc::default());
    load::nothing_is_lost(&written, &read, &site.messages("alice"));
    assert_eq!((written.again, read.changed), (0, 0));
}
