//! stub
use super::lanes::Job;
use super::outcome::Outcome;
use super::remote::Done;
use super::run::Runner;
use std::sync::Arc;
pub(super) fn deliver(runner: &Runner, job: &Job) -> Done {
    let now = runner.clock.now();
    let each = job.recipients.iter().map(|n| (*n, Outcome::ours(now, "4.3.0", "not yet")));
    (each.collect(), Arc::default())
}
