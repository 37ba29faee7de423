//! pop3d: the POP3 server. See pop3d(8).

use buzon::conf::Role;
use buzon::net::{Daemon, daemon};
use buzon::pop3d;
use std::process::ExitCode;

fn main() -> ExitCode {
    let live = pop3d::Live::default();
    let daemon = Daemon {
        name: c"pop3d",
        roles: &[Role::Pop3, Role::Pop3s],
        begin: || {},
        serve: Box::new(move |session| pop3d::serve(session, &live)),
        refuse: pop3d::refuse,
    };
    ExitCode::from(daemon::run(daemon, std::env::args()))
}
