//! The life of a daemon: options, configuration, sockets, identity, signals, the end.
//!
//! What differs between daemons is a `Daemon` value. Everything happens in this order: read the
//! configuration and the certificates, bind, become the mail owner, detach, tell that we are
//! ready, accept; at SIGHUP read again for new sessions, at SIGTERM let sessions end.

use super::conn::Conn;
use super::listen::Server;
use super::owner::become_owner;
use super::session::{Current, Daemon, Flags, exit, read, serve, tell, warnings};
use super::stream::{Plain, Stream};
use crate::conf::{Address, Role, Site};
use crate::sys::signal::{self, Signal};
use crate::sys::socket::{self, Listener};
use crate::sys::{file, log as logging, notify, process};
use getopts::Options;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs a daemon with its arguments, and returns its exit code.
pub fn run(daemon: Daemon, args: impl Iterator<Item = String>) -> u8 {
    start(daemon, args).err().unwrap_or(exit::OK)
}

fn start(daemon: Daemon, args: impl Iterator<Item = String>) -> Result<(), u8> {
    // Careful: before anything can be said there.
    let inetd = socket::spare_the_client();
    let flags = flags(&daemon, args).map_err(|fault| {
        if inetd {
            logging::start(daemon.name, logging::Target::choose(false, false), false);
        }
        tell(&fault, exit::USAGE)
    })?;
    if !flags.check && !flags.standard_input {
        process::keep_little_for_threads();
    }
    if !flags.check {
        let target =
            logging::Target::choose(flags.foreground, !flags.foreground && !flags.standard_input);
        logging::start(daemon.name, target, flags.verbose);
    }
    let current = read(flags.file.as_deref()).map_err(|fault| tell(&fault, exit::CONFIG))?;
    if flags.check {
        signal::end_with_the_reader();
        for warning in warnings(&daemon, &current.site) {
            eprintln!("{warning}");
        }
        show(&current.site, flags.verbose);
        return Ok(());
    }
    process::share_heap();
    if flags.standard_input {
        become_owner(&current.site, socket::standard_is_of_this_host())?;
        return standard_input(&daemon, current, &flags);
    }
    let listeners = listeners(&daemon, &current.site, flags.file.as_deref())?;
    let loopback = listeners.iter().all(|(_, listener)| listener.is_of_this_host());
    become_owner(&current.site, loopback)?;
    let detached = if flags.foreground { None } else { Some(process::detach()?) };
    let failed = |error: io::Error| tell(&error.to_string(), exit::OS_ERROR);
    let signals = (Signal::stop().map_err(failed)?, Signal::reload().map_err(failed)?);
    let pid_file = write_pid(&daemon, &current.site);
    (daemon.begin)();
    let server = Server::new(daemon, current, flags);
    for (role, listener) in &listeners {
        log::info!("listening role={} address={}", role.name(), listener.address());
    }
    if let Some(detached) = detached {
        detached.tell(exit::OK);
    }
    notify::ready("at work");
    let accepted = server.run(listeners, signals);
    let _ = std::fs::remove_file(pid_file);
    accepted.map_err(failed)
}

fn flags(daemon: &Daemon, args: impl Iterator<Item = String>) -> Result<Flags, String> {
    let mut options = Options::new();
    options.optopt("f", "", "configuration (default /etc/buzon/buzon.conf)", "FILE");
    options.optflag("n", "", "check the configuration and exit; with -v, print every value");
    options.optflag("d", "", "stay in the foreground, log to standard error");
    options.optflag("v", "", "log more");
    options.optflag("i", "", "serve one session on standard input and output");
    options.optflag("t", "", "write every session to standard error, with states and rules");
    let parsed = options.parse(args.skip(1)).map_err(|fault| fault.to_string());
    let parsed = parsed.and_then(|matches| match matches.free.first() {
        Some(word) => Err(format!("'{word}': no argument is expected")),
        None => Ok(matches),
    });
    let matches = parsed.map_err(|fault| {
        let usage = format!("usage: {} [-dintv] [-f file]", daemon.name.to_string_lossy());
        format!("{fault}\n{}", options.usage(&usage).trim_end())
    })?;
    let default = Path::new("/etc/buzon/buzon.conf");
    // Absolute, since a daemon leaves the directory it was started in.
    let file = matches.opt_str("f").map(|file| std::path::absolute(&file).unwrap_or(file.into()));
    Ok(Flags {
        file: file.or_else(|| default.exists().then(|| default.into())),
        check: matches.opt_present("n"),
        foreground: matches.opt_present("d"),
        verbose: matches.opt_present("v"),
        standard_input: matches.opt_present("i"),
        transcript: matches.opt_present("t"),
    })
}

fn show(site: &Site, verbose: bool) {
    if !verbose {
        println!("configuration OK");
    }
    for setting in site.settings.iter().filter(|_| verbose) {
        let from = setting.line.map_or("default".into(), |line| format!("line {line}"));
        println!("{:<28} {:<32} # {from}", setting.key, setting.value);
    }
}

/// Inherited sockets with a name of ours, or else those of the configuration.
fn listeners(
    daemon: &Daemon,
    site: &Site,
    file: Option<&Path>,
) -> Result<Vec<(Role, Listener)>, u8> {
    let inherited = socket::inherited().map_err(|e| tell(&e.to_string(), exit::OS_ERROR))?;
    let named = |name: &str| daemon.roles.iter().find(|role| role.name() == name).copied();
    let mut listeners: Vec<(Role, Listener)> = inherited
        .into_iter()
        .filter_map(|(listener, name)| named(&name).map(|role| (role, listener)))
        .collect();
    if listeners.is_empty() {
        for (role, address) in &site.listen {
            if daemon.roles.contains(role) {
                bind(*role, address, file, &mut listeners)?;
            }
        }
    }
    if listeners.is_empty() {
        return Err(tell("nowhere to listen: the configuration names no address", exit::CONFIG));
    }
    for (_, listener) in &listeners {
        listener.set_nonblocking().map_err(|e| tell(&e.to_string(), exit::OS_ERROR))?;
    }
    Ok(listeners)
}

fn bind(
    role: Role,
    address: &Address,
    file: Option<&Path>,
    listeners: &mut Vec<(Role, Listener)>,
) -> Result<(), u8> {
    let refused = |at: &dyn Display, error: io::Error| {
        let file = file.unwrap_or(Path::new("/etc/buzon/buzon.conf")).display();
        let cure = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another server is there ('ss -ltnp' shows it): stop it, or change"
            }
            io::ErrorKind::PermissionDenied => "that is root's: start as root, or change",
            _ => "change",
        };
        tell(&format!("{at}: {error}; {cure} '{}' in {file}", role.name()), exit::UNAVAILABLE)
    };
    if let Address::Unix(path) = address {
        let listener = socket::unix_listener(path).map_err(|error| refused(address, error))?;
        listeners.push((role, Listener::Unix(listener)));
    }
    for at in address.sockets() {
        match socket::listener(at) {
            Ok(listener) => listeners.push((role, Listener::Tcp(listener))),
            Err(error) if matches!(address, Address::Any(_)) && socket::is_unsupported(&error) => {}
            Err(error) => return Err(refused(&at, error)),
        }
    }
    Ok(())
}

fn write_pid(daemon: &Daemon, site: &Site) -> PathBuf {
    let path = site.run.join(format!("{}.pid", daemon.name.to_string_lossy()));
    let _ = std::fs::create_dir_all(&site.run);
    let pid = format!("{}\n", std::process::id());
    if let Err(error) = file::replace(&path, pid.as_bytes(), 0o644) {
        log::warn!("pid_file={} error={error}", path.display());
    }
    path
}

/// One session on standard input and output; its role is that of the port the client came to.
fn standard_input(daemon: &Daemon, current: Current, flags: &Flags) -> Result<(), u8> {
    let failed = |error: io::Error| tell(&error.to_string(), exit::OS_ERROR);
    let (plain, addresses) = match socket::standard().map_err(failed)? {
        socket::Standard::Socket(socket) => {
            let addresses = (socket.peer_addr().ok(), socket.local_addr().ok());
            (Plain::Tcp(socket), addresses)
        }
        socket::Standard::Unix(socket) => (Plain::Unix(socket), (None, None)),
        socket::Standard::Files(input, output) => (Plain::Files(input, output), (None, None)),
    };
    let port = addresses.1.map(|local| local.port());
    let of_port = |address: &Address| address.sockets().first().map(SocketAddr::port) == port;
    let mut listen = current.site.listen.iter();
    let role = listen.find(|(role, address)| daemon.roles.contains(role) && of_port(address));
    let role = role.map_or(daemon.roles[0], |(role, _)| *role);
    let (stop, _running) = UnixStream::pair().map_err(failed)?;
    let stream = Stream::Plain(plain);
    let conn = Conn::new(stream, addresses, Arc::new(stop.into()), current.acceptor);
    serve(daemon, current.site, conn, role, flags);
    Ok(())
}
