//! smtpd: see smtpd(8).

use buzon::conf::Role;
use buzon::net::{Daemon, daemon};
use buzon::smtpd::{Live, refuse, serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let live = Live::default();
    let smtpd = Daemon {
        name: c"smtpd",
        roles: &[Role::Smtp, Role::Submission, Role::Submissions, Role::Lmtp],
        serve: Box::new(move |session| serve(session, &live)),
        refuse,
    };
    daemon::run(smtpd, std::env::args()).into()
}
