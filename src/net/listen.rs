//! Accepting: one thread a connection, until we are told to stop.
//!
//! Descriptors running out make nobody spin: one is kept in reserve to take a connection, refuse it
//! in the protocol's words, and close it. Whoever is refused is not waited for.

use super::conn::Conn;
use super::session::{Current, Daemon, Flags, read, serve, warnings};
use super::stream::{Plain, Stream};
use super::table::{Full, Table};
use crate::conf::{self, Role};
use crate::limits;
use crate::sys::notify::{self, Watchdog};
use crate::sys::process::{self, Spare};
use crate::sys::signal::Signal;
use crate::sys::socket::{self, Accepted, Listener};
use crate::sys::{poll, thread};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// A daemon that accepts.
pub(super) struct Server {
    daemon: Arc<Daemon>,
    current: Current,
    flags: Arc<Flags>,
    table: Arc<Table>,
    /// Connections this machine carries, whatever the configuration says.
    carried: usize,
    spare: Spare,
}

impl Server {
    /// Ready to accept; what the machine carries is known.
    pub fn new(daemon: Daemon, current: Current, flags: Flags) -> Server {
        let (carried, limit) = process::sessions();
        let asked = current.site.max_connections;
        if carried < asked {
            log::warn!("max_connections={asked} cut to {carried} by {limit}");
        }
        for warning in warnings(&daemon, &current.site) {
            log::warn!("{warning}");
        }
        Server {
            daemon: Arc::new(daemon),
            current,
            flags: Arc::new(flags),
            table: Arc::new(Table::default()),
            carried,
            spare: Spare::take(),
        }
    }

    /// Accepts until SIGTERM, then lets sessions end.
    pub fn run(
        mut self,
        listeners: Vec<(Role, Listener)>,
        (stop, mut reload): (Signal, Signal),
    ) -> io::Result<()> {
        let (stopping, running) = UnixStream::pair()?;
        let stopping = Arc::new(stopping.into());
        let mut fds: Vec<BorrowedFd> = vec![stop.as_fd()];
        fds.extend(listeners.iter().map(|(_, listener)| listener.as_fd()));
        let mut watchdog = Watchdog::new();
        loop {
            watchdog.alive();
            let waited_for = [&[reload.as_fd()][..], &fds].concat();
            let ready = poll::readable_of(&waited_for, watchdog.patience())?;
            if ready[0] {
                reload.clear();
                self.read_again();
            }
            if ready[1] {
                break;
            }
            for ((role, listener), ready) in listeners.iter().zip(&ready[2..]) {
                if *ready && let Some(accepted) = self.next(*role, listener) {
                    self.admit(*role, accepted, &stopping);
                }
            }
        }
        drop((listeners, running));
        let left = self.table.count();
        notify::stopping(&format!("{left} sessions end"));
        log::info!("stopping sessions={left}");
        if !self.table.wait_empty(limits::STOP) {
            log::warn!("stopped sessions={}", self.table.count());
        }
        Ok(())
    }

    /// Takes the next connection, if one waits.
    fn next(&mut self, role: Role, listener: &Listener) -> Option<Accepted> {
        match listener.accept() {
            Ok(accepted) => return Some(accepted),
            Err(error) if socket::is_out_of_descriptors(&error) => {
                log::error!("accept={error}");
                self.spare.give_up();
                match listener.accept() {
                    Ok(accepted) => self.refuse(role, Plain::accepted(accepted), Full::Resources),
                    // Careful: the connection still waits, and would wake us again at once.
                    Err(_) => std::thread::sleep(Duration::from_millis(100)),
                }
                self.spare = Spare::take();
            }
            Err(error) => {
                let quiet = [io::ErrorKind::WouldBlock, io::ErrorKind::ConnectionAborted];
                if !quiet.contains(&error.kind()) {
                    log::warn!("accept={error}");
                    // Such as memory that ran out: as above.
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
        None
    }

    /// Gives a connection its place and its thread. `stopping` becomes readable once we stop:
    /// sessions wait on it beside their sockets.
    fn admit(&self, role: Role, accepted: Accepted, stopping: &Arc<OwnedFd>) {
        let (plain, peer) = Plain::accepted(accepted);
        let site = &self.current.site;
        let in_all = site.max_connections.min(self.carried);
        let from_address = site.max_connections_per_address;
        let address = peer.map(|peer| conf::client(peer.ip()));
        let place = match self.table.enter(address, in_all, from_address) {
            Ok(place) => place,
            Err(full) => return self.refuse(role, (plain, peer), full),
        };
        // Careful: the thread gets a handle of its own, so that we can refuse if it does not start.
        let Ok(own) = plain.try_clone() else {
            return self.refuse(role, (plain, peer), Full::Resources);
        };
        let (daemon, current) = (Arc::clone(&self.daemon), self.current.clone());
        let (stopping, flags) = (Arc::clone(stopping), Arc::clone(&self.flags));
        let started = thread::spawn("session", move || {
            let _place = place;
            let addresses = (peer, own.local());
            let conn = Conn::new(Stream::Plain(own), addresses, stopping, current.acceptor);
            serve(&daemon, current.site, conn, role, &flags);
        });
        if started.is_err() {
            self.refuse(role, (plain, peer), Full::Resources);
        }
    }

    /// One line. Under TLS from the first octet there are no words.
    fn refuse(&self, role: Role, (mut plain, peer): (Plain, Option<SocketAddr>), full: Full) {
        let peer = peer.map_or("local".into(), |peer| peer.to_string());
        log::warn!("refused={full:?} role={} peer={peer}", role.name());
        if !role.implicit_tls() {
            plain.say_at_once((self.daemon.refuse)(&self.current.site, full).as_bytes());
        }
    }

    /// SIGHUP: new sessions begin with the new configuration, or with the old if it has faults.
    fn read_again(&mut self) {
        notify::reloading();
        match read(self.flags.file.as_deref()) {
            // Which capabilities were kept was settled at the start.
            Ok(new) if new.site.system_users != self.current.site.system_users => {
                let fault = "system_users holds from the start on, start anew to change it";
                log::error!("reload=refused fault={fault:?}; the old configuration stays");
            }
            Ok(new) => {
                self.current = new;
                for warning in warnings(&self.daemon, &self.current.site) {
                    log::warn!("{warning}");
                }
                log::info!("reload=done");
                notify::ready("at work, the configuration was read again");
            }
            Err(fault) => {
                for line in fault.lines() {
                    log::error!("reload=refused fault={line:?}; the old configuration stays");
                }
                notify::ready("at work with the old configuration, the new one has faults");
            }
        }
    }
}
