//! What a daemon is to the host it runs on: what it tells a service manager, and what it tells
//! whom when it cannot start.

#![allow(clippy::unwrap_used)]

mod daemons;

use daemons::Site;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// What a service manager hears.
struct Manager {
    socket: UnixDatagram,
    child: Child,
}

impl Manager {
    /// Starts a daemon that is to give a sign of life twice in `watchdog`.
    fn start(site: &Site, name: &str, watchdog: Option<Duration>) -> Manager {
        let path = site.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        // The daemon becomes another account before it is ready.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(&path, everybody).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut command = site.command(name);
        command.arg("-d").env("NOTIFY_SOCKET", &path).stderr(Stdio::null());
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        Manager { socket, child: command.spawn().unwrap() }
    }

    fn hears(&self) -> String {
        let mut octets = [0; 1000];
        let read = self.socket.recv(&mut octets).unwrap();
        String::from_utf8(octets[..read].to_vec()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_service_manager_hears_how_it_goes() {
    for name in ["smtpd", "pop3d"] {
        let mut site = Site::new("");
        let mut manager = Manager::start(&site, name, None);
        assert_eq!(manager.hears(), "READY=1\nSTATUS=at work\n", "{name}");
        manager.signal(Signal::SIGHUP);
        let told = manager.hears();
        let moment = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or(&told);
        assert!(moment.trim_end().parse::<u64>().is_ok(), "{name}: {told}");
        let told = manager.hears();
        assert!(told.starts_with("READY=1\nSTATUS=at work, the configuration"), "{name}: {told}");
        site.change("domains ", "domain ");
        manager.signal(Signal::SIGHUP);
        assert!(manager.hears().starts_with("RELOADING=1\n"), "{name}");
        let told = manager.hears();
        assert!(told.starts_with("READY=1\n") && told.contains("faults"), "{name}: {told}");
        manager.signal(Signal::SIGTERM);
        assert_eq!(manager.hears(), "STOPPING=1\nSTATUS=0 sessions end\n", "{name}");
        assert!(manager.child.wait().unwrap().success(), "{name}");
    }
}

#[test]
fn the_watchdog_hears_the_loop_and_not_more() {
    let site = Site::new("");
    let limit = Duration::from_secs(2);
    let manager = Manager::start(&site, "pop3d", Some(limit));
    assert!(manager.hears().starts_with("READY=1\n"));
    assert_eq!(manager.hears(), "WATCHDOG=1\n");
    for _ in 0..2 {
        let began = Instant::now();
        // What comes in meanwhile makes the loop go round, and no sign come sooner.
        manager.signal(Signal::SIGHUP);
        assert!(manager.hears().starts_with("RELOADING=1\n"));
        assert!(manager.hears().starts_with("READY=1\n"));
        assert_eq!(manager.hears(), "WATCHDOG=1\n");
        assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    }
}

/// What a client reads when a daemon is started by inetd, its connection being 0, 1 and 2.
fn under_inetd(site: &Site, name: &str, words: &[&str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let server = OwnedFd::from(listener.accept().unwrap().0);
    let [input, output, error] = [(); 3].map(|()| Stdio::from(server.try_clone().unwrap()));
    drop(server);
    let mut command = site.command(name);
    let mut child = command.args(words).stdin(input).stdout(output).stderr(error).spawn().unwrap();
    // The command holds the connection open too.
    drop(command);
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    child.wait().unwrap();
    heard
}

#[test]
fn a_client_of_inetd_hears_the_protocol_and_nothing_else() {
    let mut site = Site::new("");
    let greeting = under_inetd(&site, "smtpd", &["-i"]);
    assert!(greeting.starts_with("220 ") && greeting.lines().count() == 1, "{greeting}");
    let greeting = under_inetd(&site, "pop3d", &["-i", "-v", "-t"]);
    assert!(greeting.starts_with("+OK ") && greeting.lines().count() == 1, "{greeting}");
    assert_eq!(under_inetd(&site, "smtpd", &["-i", "-x"]), "");
    site.change("hostname", "hostnam");
    assert_eq!(under_inetd(&site, "pop3d", &["-i"]), "");
}

#[test]
fn who_starts_a_daemon_sees_why_it_does_not() {
    let mut site = Site::new("");
    site.change("hostname", "hostnam");
    for words in [&[][..], &["-d"], &["-i"], &["-n"]] {
        let output = site.command("smtpd").args(words).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{words:?}: {told}");
        assert_eq!(told.matches("did you mean 'hostname'?").count(), 1, "{words:?}: {told}");
    }
}
