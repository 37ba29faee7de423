//! Into the mailboxes of this site, for letters of the queue.

use super::lanes::Job;
use super::local::{Failure, Letter, Recipient, local};
use super::outcome::{Delivered, Outcome};
use super::remote::Done;
use super::run::Runner;
use super::work::addressed;
use std::sync::Arc;

/// Delivers to each recipient of a job for itself: who cannot have it now holds up nobody else.
pub(super) fn deliver(runner: &Runner, job: &Job) -> Done {
    let each = job.recipients.iter().map(|number| (*number, one(runner, job, *number)));
    (each.collect(), Arc::default())
}

fn one(runner: &Runner, job: &Job, number: usize) -> Outcome {
    let now = runner.clock.now();
    let Some(envelope) = job.work.envelope() else {
        return Outcome::ours(now, "4.3.0", "the letter is gone");
    };
    let (Some(to), Some(user)) = (envelope.recipients.get(number - 1), job.work.user(number))
    else {
        return Outcome::ours(now, "4.3.0", "the user is not known now");
    };
    let text = match job.work.text() {
        Ok(text) => text,
        Err(error) => return Outcome::ours(now, "4.3.0", error.to_string()),
    };
    let letter = Letter { reverse_path: envelope.sender(to), hop: None, content: text.content() };
    let address = addressed(user, &to.path);
    let recipient = Recipient { forward_path: to.path.clone(), user: user.clone(), address };
    match local(&letter, &[recipient], runner.site.deliver_wait) {
        Ok(()) => Outcome::Done(Delivered { text: "delivered".into(), ..Delivered::default() }),
        Err(failure) => {
            let (status, text, cause) = said(failure);
            log::info!("{} user={} cause={cause:?}", job.work.id(), user.name);
            Outcome::ours(now, status, text)
        }
    }
}

/// RFC 3463 §3.3 and §3.4: what the sender reads, and what the log says beside it.
fn said(failure: Failure) -> (&'static str, &'static str, String) {
    match failure {
        Failure::OverQuota(name) => ("4.2.2", "the mailbox is full", name),
        Failure::TooLarge(name) => ("5.2.2", "the mailbox cannot hold this letter", name),
        Failure::DiskFull(why) => ("4.3.1", "the disk is full", why),
        Failure::Unavailable(why) => ("4.2.0", "the mailbox cannot be used now", why),
    }
}
