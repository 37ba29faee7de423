//! What a daemon is, and what one session of it begins with; both who accepts connections and who
//! has but one on standard input serve it from here.

use super::conn::Conn;
use super::table::Full;
use super::tls::{self, Acceptor};
use super::transcript::Transcript;
use crate::conf::{self, Role, Site};
use crate::sys::{clock, log as logging};
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What makes one daemon different from another.
pub struct Daemon {
    /// Its name in logs and of its pid file.
    pub name: &'static CStr,
    /// What it serves; the first is for standard input.
    pub roles: &'static [Role],
    /// What must run before the first session, once detached.
    pub begin: fn(),
    /// Serves one session to its end.
    pub serve: Box<dyn Fn(Session) + Send + Sync>,
    /// The line that refuses a connection, line end included.
    pub refuse: fn(&Site, Full) -> String,
}

/// One connection, and what its session needs.
pub struct Session {
    /// The configuration it began with, and keeps.
    pub site: Arc<Site>,
    /// The connection.
    pub conn: Conn,
    /// What the socket is for.
    pub role: Role,
    /// Its name in the log.
    pub id: String,
    /// Where it may be written down.
    pub transcript: Transcript,
    /// The process serves no other, before or after.
    pub alone: bool,
}

/// sysexits(3).
pub(super) mod exit {
    pub const OK: u8 = 0;
    pub const USAGE: u8 = 64;
    pub const NO_USER: u8 = 67;
    pub const UNAVAILABLE: u8 = 69;
    pub const OS_ERROR: u8 = 71;
    pub const NO_PERMISSION: u8 = 77;
    pub const CONFIG: u8 = 78;
}

/// What new sessions begin with: replaced whole at SIGHUP.
#[derive(Clone)]
pub(super) struct Current {
    pub site: Arc<Site>,
    pub acceptor: Option<Acceptor>,
}

/// The options.
pub(super) struct Flags {
    pub file: Option<PathBuf>,
    pub check: bool,
    pub foreground: bool,
    pub verbose: bool,
    pub standard_input: bool,
    pub transcript: bool,
}

/// Reads the configuration and the certificates.
pub(super) fn read(file: Option<&Path>) -> Result<Current, String> {
    let site = conf::load(file).map_err(|error| error.to_string())?;
    let acceptor = tls::acceptor(&site)?;
    Ok(Current { site: Arc::new(site), acceptor })
}

/// What in the configuration this daemon had better not heed, and does.
pub(super) fn warnings(daemon: &Daemon, site: &Site) -> Vec<String> {
    if daemon.roles.contains(&Role::Smtp) { site.warnings() } else { Vec::new() }
}

/// Serves one connection to its end.
pub(super) fn serve(daemon: &Daemon, site: Arc<Site>, mut conn: Conn, role: Role, flags: &Flags) {
    let id = clock::id();
    let peer = conn.peer().map_or("stdin".into(), |peer| peer.to_string());
    log::info!("{id} connect role={} peer={peer}", role.name());
    let transcript = Transcript::new(flags.transcript, &id);
    transcript.event(&format!("{peer} connects to {}", role.name()));
    if role.implicit_tls() {
        match conn.start_tls() {
            Ok(_) => {}
            Err(hangup) => {
                log::info!("{id} end=handshake cause={hangup:?}");
                return;
            }
        }
    }
    let _ = conn.set_stall(match role {
        Role::Smtp | Role::Submission | Role::Submissions | Role::Lmtp => site.smtp_timeout,
        Role::Pop3 | Role::Pop3s => site.pop3_timeout,
        Role::Imap | Role::Imaps => site.imap_timeout,
    });
    let alone = flags.standard_input;
    (daemon.serve)(Session { site, conn, role, id, transcript, alone });
}

/// Says why we end, where the person who started us looks: on the screen, and in the log.
pub(super) fn tell(fault: &str, code: u8) -> u8 {
    logging::fault(fault);
    code
}
