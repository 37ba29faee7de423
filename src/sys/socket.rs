//! Listening sockets: bound here, or inherited from systemd; the descriptor 0 of inetd; and the
//! connection that leaves from an address of our choice.

use super::poll;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, listen, setsockopt,
    socket, sockopt,
};
use std::fs::{File, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// Connects from one of our own addresses, which is of the same family, within `patience`.
pub fn connect_from(
    source: IpAddr,
    address: SocketAddr,
    patience: Duration,
) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Stream, flags, None)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, 0)))?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Err(Errno::EINPROGRESS) => {}
        other => other?,
    }
    let stream = TcpStream::from(fd);
    if !poll::writable(stream.as_fd(), patience)? {
        return Err(io::ErrorKind::TimedOut.into());
    }
    match stream.take_error()? {
        Some(error) => return Err(error),
        None => stream.set_nonblocking(false)?,
    }
    Ok(stream)
}

/// Binds and listens. An IPv6 address takes IPv6 clients only, so that an IPv4 client's address
/// never comes in disguise.
pub fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&fd, Backlog::MAXALLOWABLE)?;
    Ok(TcpListener::from(fd))
}

/// Whether a failure to bind says that this host has no such address family.
pub fn is_unsupported(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL].iter().any(|errno| code == Some(*errno as i32))
}

/// Whether descriptors ran out, in this process or on this host.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::EMFILE, Errno::ENFILE].iter().any(|errno| code == Some(*errno as i32))
}

/// Listens at a path of the file system, where anybody may connect who may get there. What an
/// earlier process left at the path is taken away.
pub fn unix_listener(path: &Path) -> io::Result<UnixListener> {
    let bound = UnixListener::bind(path);
    let listener = match bound {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if UnixStream::connect(path).is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// A socket that listens.
pub enum Listener {
    /// On an Internet address.
    Tcp(TcpListener),
    /// At a path.
    Unix(UnixListener),
}

/// A connection as it was accepted.
pub enum Accepted {
    /// From an Internet address.
    Tcp(TcpStream, SocketAddr),
    /// From this host.
    Unix(UnixStream),
}

impl Listener {
    /// Takes the next connection.
    pub fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listener::Tcp(listener) => {
                listener.accept().map(|(stream, peer)| Accepted::Tcp(stream, peer))
            }
            Listener::Unix(listener) => listener.accept().map(|(stream, _)| Accepted::Unix(stream)),
        }
    }

    /// Lets `accept` return at once where nobody waits.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.set_nonblocking(true),
            Listener::Unix(listener) => listener.set_nonblocking(true),
        }
    }

    /// Whether only this host can reach it.
    pub fn is_of_this_host(&self) -> bool {
        match self {
            Listener::Tcp(listener) => {
                listener.local_addr().is_ok_and(|address| address.ip().is_loopback())
            }
            Listener::Unix(_) => true,
        }
    }

    /// The address, for logs.
    pub fn address(&self) -> String {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(|at| at.to_string()),
            Listener::Unix(listener) => listener.local_addr().map(|at| {
                at.as_pathname().map_or(String::new(), |path| path.display().to_string())
            }),
        }
        .unwrap_or_default()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

/// Sockets passed as sd_listen_fds(3) says, with the names they were given.
#[allow(unsafe_code)]
pub fn inherited() -> io::Result<Vec<(Listener, String)>> {
    let mut sockets = Vec::new();
    for (fd, name) in sd_notify::listen_fds_with_names()? {
        // SAFETY: the protocol hands these descriptors to us alone, and it is asked once.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        let unix = UnixListener::from(fd.try_clone()?);
        let socket = match unix.local_addr() {
            Ok(_) => Listener::Unix(unix),
            Err(_) => Listener::Tcp(TcpListener::from(fd)),
        };
        sockets.push((socket, name));
    }
    Ok(sockets)
}

/// Where standard error is the client's connection, as inetd makes it, it becomes /dev/null: what
/// is said there is not for the client. Tells whether it was so.
pub fn spare_the_client() -> bool {
    let status = |fd: BorrowedFd| nix::sys::stat::fstat(fd).ok();
    let (stdin, stderr) = (io::stdin(), io::stderr());
    let (Some(input), Some(error)) = (status(stdin.as_fd()), status(stderr.as_fd())) else {
        return false;
    };
    let is_socket = error.st_mode & nix::libc::S_IFMT == nix::libc::S_IFSOCK;
    let is_client = is_socket && (input.st_dev, input.st_ino) == (error.st_dev, error.st_ino);
    if is_client && let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stderr(null);
    }
    is_client
}

/// What a program that serves one session finds on its standard input.
pub enum Standard {
    /// inetd: a connected socket.
    Socket(TcpStream),
    /// The same, from this host.
    Unix(UnixStream),
    /// A terminal or pipes: input and output.
    Files(File, File),
}

/// Whether whoever is at standard input is of this host: a terminal, a pipe, a loopback client.
pub fn standard_is_of_this_host() -> bool {
    match standard() {
        Ok(Standard::Socket(socket)) => {
            socket.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback())
        }
        _ => true,
    }
}

/// Standard input and output as a connection.
pub fn standard() -> io::Result<Standard> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let socket = TcpStream::from(input.try_clone()?);
    if socket.peer_addr().is_ok() {
        return Ok(Standard::Socket(socket));
    }
    let unix = UnixStream::from(input.try_clone()?);
    if unix.peer_addr().is_ok() {
        return Ok(Standard::Unix(unix));
    }
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Standard::Files(File::from(input), File::from(output)))
}
/// The addresses of this host that others can reach, loopback and link-local ones apart.
pub fn own_addresses() -> io::Result<Vec<std::net::IpAddr>> {
    let of = |address: nix::sys::socket::SockaddrStorage| -> Option<std::net::IpAddr> {
        let v4 = address.as_sockaddr_in().map(|it| it.ip().into());
        v4.or_else(|| address.as_sockaddr_in6().map(|it| it.ip().into()))
    };
    let reached = |ip: &std::net::IpAddr| match ip {
        std::net::IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        std::net::IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let all = nix::ifaddrs::getifaddrs()?.filter_map(|interface| interface.address.and_then(of));
    Ok(all.filter(reached).collect())
}
