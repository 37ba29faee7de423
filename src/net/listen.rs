//! Accepting: one thread a connection, until we are told to stop.
//!
//! Descriptors running out make nobody spin: one is kept in reserve to take a connection, refuse it
//! in the protocol's words, and close it. Whoever is refused is not waited for.

use super::conn::Conn;
use super::daemon::{Current, Daemon, Flags, Listener, read, serve};
use super::stream::{Plain, Stream};
use super::table::{Full, Table};
use crate::conf::Role;
use crate::limits;
use crate::sys::notify::{self, Watchdog};
use crate::sys::process::{self, Spare};
use crate::sys::signal::Signal;
use crate::sys::{poll, socket, thread};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// A daemon that accepts.
pub(super) struct Server {
    daemon: Arc<Daemon>,
    current: Current,
    flags: Flags,
    table: Arc<Table>,
    /// Connections this machine carries, whatever the configuration says.
    carried: usize,
    spare: Spare,
    /// Readable once we stop: sessions wait on it beside their sockets.
    stopping: Arc<OwnedFd>,
}

/// Accepts until SIGTERM, then lets sessions end.
pub(super) fn accept(
    daemon: Daemon,
    current: Current,
    flags: Flags,
    listeners: Vec<Listener>,
    (stop, mut reload): (Signal, Signal),
) -> io::Result<()> {
    let (stopping, running) = UnixStream::pair()?;
    let (carried, limit) = process::sessions();
    let asked = current.site.max_connections;
    if carried < asked {
        log::warn!("max_connections={asked} cut to {carried} by {limit}");
    }
    let mut server = Server {
        daemon: Arc::new(daemon),
        current,
        flags,
        table: Arc::new(Table::default()),
        carried,
        spare: Spare::take(),
        stopping: Arc::new(stopping.into()),
    };
    let mut watchdog = Watchdog::new();
    loop {
        watchdog.alive();
        let mut fds: Vec<BorrowedFd> = vec![stop.as_fd(), reload.as_fd()];
        fds.extend(listeners.iter().map(|(_, listener)| listener.as_fd()));
        let ready = poll::readable_of(&fds, watchdog.patience())?;
        if ready[0] {
            break;
        }
        if ready[1] {
            reload.clear();
            server.read_again();
        }
        for ((role, listener), ready) in listeners.iter().zip(&ready[2..]) {
            if *ready && let Some((stream, peer)) = server.next(*role, listener) {
                server.admit(*role, stream, peer);
            }
        }
    }
    drop((listeners, running));
    let left = server.table.count();
    notify::stopping(&format!("{left} sessions end"));
    log::info!("stopping sessions={left}");
    if !server.table.wait_empty(limits::STOP) {
        log::warn!("stopped sessions={}", server.table.count());
    }
    Ok(())
}

impl Server {
    /// Takes the next connection, if one waits.
    fn next(&mut self, role: Role, listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
        match listener.accept() {
            Ok(accepted) => return Some(accepted),
            Err(error) if socket::is_out_of_descriptors(&error) => {
                log::error!("accept={error}");
                self.spare.give_up();
                match listener.accept() {
                    Ok((stream, _)) => self.refuse(role, &stream, Full::Resources),
                    // Careful: the connection still waits, and would wake us again at once.
                    Err(_) => std::thread::sleep(Duration::from_millis(100)),
                }
                self.spare = Spare::take();
            }
            Err(error) => {
                let quiet = [io::ErrorKind::WouldBlock, io::ErrorKind::ConnectionAborted];
                if !quiet.contains(&error.kind()) {
                    log::warn!("accept={error}");
                }
            }
        }
        None
    }

    /// Gives a connection its place and its thread.
    fn admit(&self, role: Role, stream: TcpStream, peer: SocketAddr) {
        let site = &self.current.site;
        let in_all = site.max_connections.min(self.carried);
        let from_address = site.max_connections_per_address;
        let place = match self.table.enter(peer.ip().to_canonical(), in_all, from_address) {
            Ok(place) => place,
            Err(full) => return self.refuse(role, &stream, full),
        };
        // Careful: the thread gets a handle of its own, so that we can refuse if it does not start.
        let Ok(own) = stream.try_clone() else {
            return self.refuse(role, &stream, Full::Resources);
        };
        let (daemon, current) = (Arc::clone(&self.daemon), self.current.clone());
        let (stopping, transcript) = (Arc::clone(&self.stopping), self.flags.transcript);
        let started = thread::spawn("session", move || {
            let _place = place;
            let _ = own.set_nodelay(true);
            let addresses = (Some(peer), own.local_addr().ok());
            let stream = Stream::Plain(Plain::Tcp(own));
            let conn = Conn::new(stream, addresses, stopping, current.acceptor);
            serve(&daemon, current.site, conn, role, transcript);
        });
        if started.is_err() {
            self.refuse(role, &stream, Full::Resources);
        }
    }

    /// One line, without waiting for the client, who may never read it. Under TLS from the first
    /// octet there are no words.
    fn refuse(&self, role: Role, mut stream: &TcpStream, full: Full) {
        let peer = stream.peer_addr().map_or(String::new(), |peer| peer.to_string());
        log::warn!("refused={full:?} role={} peer={peer}", role.name());
        if !role.implicit_tls() {
            let words = (self.daemon.refuse)(&self.current.site, full);
            let _ = stream.set_nonblocking(true);
            let _ = stream.write(words.as_bytes());
        }
    }

    /// SIGHUP: new sessions begin with the new configuration, or with the old if it has faults.
    fn read_again(&mut self) {
        notify::reloading();
        match read(self.flags.file.as_deref()) {
            Ok(new) => {
                self.current = new;
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
