//! Telling senders: which reports become letters, and whose. RFC 3464, RFC 5321 §4.5.5 and §6.1.
//!
//! A report goes out under `<>`, and to what came under `<>` there is no answer: where such a letter
//! fails the postmaster is told, and where that fails it ends in the log.

use super::report::{Action, Entry, compose};
use super::run::Runner;
use crate::mail::Mailbox;
use crate::queue::{Body, Claimed, Content, Envelope, Notify};
use crate::sys::clock;
use std::io;

/// Queues the report of one sender's recipients.
pub(super) fn send(
    runner: &Runner,
    claimed: &Claimed,
    envelope: &Envelope,
    sender: Option<&Mailbox>,
    entries: &[Entry],
    now: u64,
) -> io::Result<()> {
    let postmaster = postmaster(runner);
    // Whatever the postmaster's alias comes to, it keeps the address that it came of.
    let mark = format!("rfc822;{postmaster}");
    let to = match sender {
        Some(sender) => sender,
        None if !entries.iter().any(|entry| matches!(entry.action, Action::Failed)) => {
            return Ok(());
        }
        None if entries.iter().any(|entry| entry.to.orcpt.as_ref() == Some(&mark)) => {
            log::error!("{} lost: a report that nobody takes", envelope.id);
            return Ok(());
        }
        None => &postmaster,
    };
    let until = envelope.arrived + runner.site.give_up.as_secs();
    let mut text = claimed.text()?;
    let report = compose(&runner.site, envelope, to, entries, &mut text, until, now)?;
    // It is due now, whatever the clock of this pass says.
    let mut letter = Envelope::new(clock::id(), clock::micros() / 1_000_000, None);
    letter.body = if report.is_ascii() { Body::SevenBit } else { Body::EightBit };
    letter.utf8 = !to.is_ascii();
    let recipient = letter.add(to.clone());
    recipient.notify = Some(Notify::default());
    if sender.is_none() {
        recipient.orcpt = Some(mark);
    }
    runner.put(&letter, b"", &Content::Memory(&report))?;
    log::info!("{} report={} recipients={}", envelope.id, letter.id, entries.len());
    Ok(())
}

/// RFC 5321 §4.5.1: who is always there.
fn postmaster(runner: &Runner) -> Mailbox {
    let site = &runner.site;
    let domain = site.domains.first().unwrap_or(&site.hostname).clone();
    Mailbox { local_part: "postmaster".into(), domain }
}
