//! imapd: see imapd(8).

use buzon::imapd::{Live, ROLES, begin, refuse, serve};
use buzon::net::{Daemon, daemon};
use std::process::ExitCode;

fn main() -> ExitCode {
    let live = Live::default();
    let imapd = Daemon {
        name: c"imapd",
        roles: ROLES,
        begin,
        serve: Box::new(move |session| serve(session, &live)),
        refuse,
    };
    daemon::run(imapd, std::env::args()).into()
}
