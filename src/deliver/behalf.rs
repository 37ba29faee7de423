//! To programs and files that aliases and `.forward` files name, for letters of the queue.

use super::lanes::Job;
use super::outcome::Outcome;
use super::program::{Behalf, to_file, to_program};
use super::remote::Done;
use super::run::Runner;
use crate::auth::User;
use crate::queue::Goal;
use crate::route;
use std::path::Path;
use std::sync::Arc;

/// Delivers to each recipient of a job for itself.
pub(super) fn deliver(runner: &Runner, job: &Job) -> Done {
    let each = job.recipients.iter().map(|number| (*number, one(runner, job, *number)));
    (each.collect(), Arc::default())
}

fn one(runner: &Runner, job: &Job, number: usize) -> Outcome {
    let now = runner.clock.now();
    let later = |why: String| Outcome::ours(now, "4.3.0", why);
    let Some(envelope) = job.work.envelope() else { return later("the letter is gone".into()) };
    let Some(to) = envelope.recipients.get(number - 1) else {
        return later("the recipient is not known".into());
    };
    let (Goal::Program(_, owner) | Goal::File(_, owner)) = &to.goal else {
        return later("it is neither a program nor a file".into());
    };
    let user = match owner.as_ref().map(|name| route::user(&runner.site, &runner.users, name)) {
        None => None,
        Some(Ok(user)) => Some(user),
        Some(Err(refusal)) => {
            log::warn!("{} owner={owner:?} cause={:?}", job.work.id(), refusal.to_string());
            return later("its owner is not known now".into());
        }
    };
    let mut text = match job.work.text() {
        Ok(text) => text,
        Err(error) => return later(error.to_string()),
    };
    let behalf = Behalf {
        site: &runner.site,
        account: user.as_ref().and_then(|user| user.account.as_ref()),
        user: user.as_ref().map_or(&runner.site.mail_owner, |user: &User| &user.name),
        home: user.as_ref().map_or(Path::new("/"), |user| &user.home),
        sender: envelope.sender(to),
        recipient: &to.path,
        now,
    };
    match &to.goal {
        Goal::File(path, _) => to_file(&behalf, Path::new(path), &text.content()),
        Goal::Program(command, _) => to_program(&behalf, command, &mut text),
        Goal::Address | Goal::User(_) => later("it is neither a program nor a file".into()),
    }
}
