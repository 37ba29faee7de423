//! Whose rights sessions and deliveries of the daemons have: those of the accounts of this host.
//!
//! Only root can try it, with accounts that useradd(8) makes and userdel(8) takes away again, and
//! with made-up uids in the users file.

#![allow(clippy::unwrap_used, unsafe_code)]

mod daemons;
mod who;

use daemons::{Client, Daemon, Site};
use nix::libc;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use who::{ALICE, BOB, NONE, SWITCHING, identity_of, is_root, may_signal};

/// Accounts of this host for as long as a test runs.
struct Host {
    names: Vec<String>,
}

impl Host {
    /// Makes accounts with useradd(8); `None` where that cannot be done.
    fn with(accounts: &[(&str, &[&str])]) -> Option<Host> {
        let mut host = Host { names: Vec::new() };
        for (name, options) in accounts {
            let name = format!("bz{}{name}", std::process::id());
            let made = (0..20).any(|_| {
                let useradd = Command::new("useradd").args(*options).arg(&name).output();
                useradd.is_ok_and(|told| told.status.success())
            });
            if !made {
                println!("skipped: useradd cannot make {name}");
                return None;
            }
            host.names.push(name);
        }
        Some(host)
    }

    fn password(&self, at: usize, password: &str) {
        let mut chpasswd = Command::new("chpasswd").stdin(Stdio::piped()).spawn().unwrap();
        let mut input = chpasswd.stdin.take().unwrap();
        writeln!(input, "{}:{password}", self.names[at]).unwrap();
        drop(input);
        assert!(chpasswd.wait().unwrap().success());
    }

    fn usermod(&self, options: &[&str], at: usize) {
        let done = Command::new("usermod").args(options).arg(&self.names[at]).status();
        assert!(done.unwrap().success(), "{options:?}");
    }

    fn uid(&self, at: usize) -> u32 {
        nix::unistd::User::from_name(&self.names[at]).unwrap().unwrap().uid.as_raw()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("userdel").args(["-f", name]).output();
        }
    }
}

/// A site with system accounts; everybody may pass through its directory.
fn system_site() -> Site {
    let site = Site::new("system_users yes\nfailure_delay 0s\n");
    fs::set_permissions(site.path(""), Permissions::from_mode(0o711)).unwrap();
    fs::create_dir(site.path("home")).unwrap();
    site
}

fn pop3(daemon: &Daemon, name: &str, password: &str) -> (Client, String) {
    let mut client = Client::connect(&daemon.address).unwrap();
    client.line().unwrap();
    client.send(&format!("USER {name}\r\nPASS {password}\r\n")).unwrap();
    client.line().unwrap();
    let reply = client.line().unwrap();
    (client, reply)
}

/// Every file below belongs to the account, and to nobody else.
fn is_all_of(path: &Path, uid: u32) -> usize {
    let data = fs::symlink_metadata(path).unwrap();
    assert_eq!(data.uid(), uid, "{}", path.display());
    assert_eq!(data.mode() & 0o77, 0, "{}", path.display());
    match data.is_dir() {
        true => fs::read_dir(path).unwrap().map(|e| is_all_of(&e.unwrap().path(), uid)).sum(),
        false => {
            assert_eq!(data.mode() & 0o7777, 0o600, "{}", path.display());
            1
        }
    }
}

#[test]
fn accounts_get_letters_and_fetch_them() {
    if !is_root() {
        return;
    }
    let mut site = system_site();
    let homes = ["a", "b"].map(|name| site.path("home").join(name).to_str().unwrap().to_owned());
    let login = |home| ["-m", "-s", "/usr/sbin/nologin", "-d", home];
    let accounts =
        [("a", &login(&homes[0])[..]), ("b", &login(&homes[1])[..]), ("daemon", &["-r"][..])];
    let Some(host) = Host::with(&accounts) else { return };
    host.password(0, "for alice");
    host.password(1, "for bob");
    // carla is no account; her line says whose her files are. A line without uid is mail_owner's.
    let carla = site.path("home").join("carla");
    fs::create_dir(&carla).unwrap();
    chown(&carla, Some(BOB), Some(BOB)).unwrap();
    let lines = format!(
        "ivo:{{PLAIN}}secret\ncarla:{{PLAIN}}secret:{BOB}:{BOB}::{}\nlow:{{PLAIN}}secret:33:33\n\
         eve:{{PLAIN}}secret:{ALICE}:{ALICE}::{}\n",
        carla.display(),
        homes[1]
    );
    fs::write(site.path("users"), lines).unwrap();
    fs::write(site.path("aliases"), "operator: root\n").unwrap();
    let (smtpd, pop3d) = (site.start("smtpd", &[]), site.start("pop3d", &[]));
    is_a_lender(smtpd.pid() as u32);
    is_a_lender(pop3d.pid() as u32);

    let mut client = Client::connect(&smtpd.address).unwrap();
    client.hello().unwrap();
    let (alice, bob) = (host.names[0].as_str(), host.names[1].as_str());
    let reply = client.letter(&[alice, bob, "carla", "ivo"], "Subject: hello\r\n\r\nyou").unwrap();
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let owner = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.as_raw();
    for (maildir, uid) in [
        (Path::new(&homes[0]).join("Maildir"), host.uid(0)),
        (Path::new(&homes[1]).join("Maildir"), host.uid(1)),
        (carla.join("Maildir"), BOB),
        (site.maildir("ivo"), owner),
    ] {
        assert_eq!(is_all_of(&maildir, uid), 1);
    }
    refused_by_uid(&mut client, &smtpd, &host);
    fetched(&pop3d, &host);
    cannot_log_in(&pop3d, &host);
    let maildir = Path::new(&homes[1]).join("Maildir");
    let before = is_all_of(&maildir, host.uid(1));
    leads_elsewhere(&mut client, &pop3d);
    assert_eq!(is_all_of(&maildir, host.uid(1)), before);

    site.change("system_users yes", "system_users no");
    pop3d.signal(nix::sys::signal::Signal::SIGHUP);
    pop3d.log.wait_for("reload=refused", 1);
}

/// Eve's line names bob's home, and she gets no further than her own rights.
fn leads_elsewhere(client: &mut Client, pop3d: &Daemon) {
    assert!(client.ask("RSET").unwrap().starts_with("250"));
    let reply = client.letter(&["eve"], "Subject: for bob?\r\n").unwrap();
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
    let (_client, reply) = pop3(pop3d, "eve", "secret");
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    let logged = pop3d.log.wait_for("Permission denied", 1);
    assert!(logged[0].contains("refused="), "{logged:?}");
}

/// The daemon is the mail owner, with two capabilities and nothing for programs.
fn is_a_lender(process: u32) {
    let status = identity_of(format!("/proc/{process}/status"));
    let uid = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid;
    assert_eq!(status["Uid"], format!("{uid} {uid} {uid} {uid}"));
    for (name, bits) in
        [("CapPrm", SWITCHING), ("CapEff", SWITCHING), ("CapInh", NONE), ("CapAmb", NONE)]
    {
        assert_eq!(status[name], bits, "{name}");
    }
    if let Some(shadow) = nix::unistd::Group::from_name("shadow").unwrap() {
        assert!(status["Groups"].split(' ').any(|gid| gid == shadow.gid.to_string()), "{status:?}");
    }
}

/// Daemons' accounts and root's get no letters, nor do aliases that name them.
fn refused_by_uid(client: &mut Client, smtpd: &Daemon, host: &Host) {
    assert!(client.ask("MAIL FROM:<>").unwrap().starts_with("250"));
    for name in [host.names[2].as_str(), "root", "operator", "low"] {
        let reply = client.ask(&format!("RCPT TO:<{name}@example.test>")).unwrap();
        assert!(reply.starts_with("550 5.1.1 "), "{name}: {reply}");
        assert!(!reply.contains("uid"), "{reply}");
    }
    let logged = smtpd.log.wait_for("rule=\"first_uid\"", 4);
    assert!(logged[1].contains("the account 'root' has uid 0"), "{logged:?}");
}

/// While alice reads, her thread is hers in what it may open, and not hers to signal.
fn fetched(pop3d: &Daemon, host: &Host) {
    let (mut client, reply) = pop3(pop3d, &host.names[0], "for alice");
    assert!(reply.starts_with("+OK") && reply.contains("1 message"), "{reply}");
    let tasks = fs::read_dir(format!("/proc/{}/task", pop3d.pid())).unwrap();
    let mut borrowed = 0;
    for task in tasks.map(|task| task.unwrap().path()) {
        let uids = identity_of(task.join("status"))["Uid"].clone();
        let uids: Vec<u32> = uids.split(' ').map(|uid| uid.parse().unwrap()).collect();
        assert!(uids[0] != host.uid(0) && uids[2] != host.uid(0), "{uids:?}");
        borrowed += usize::from(uids[1] == host.uid(0));
        let tid = task.file_name().unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(may_signal(host.uid(0), pop3d.pid(), tid), Err(libc::EPERM));
    }
    assert_eq!(borrowed, 1);
    client.send("RETR 1\r\nDELE 1\r\nQUIT\r\n").unwrap();
    assert!(client.line().unwrap().starts_with("+OK"));
    assert_eq!(client.lines().unwrap().last().unwrap(), "you");
    assert!(client.line().unwrap().starts_with("+OK"));
    let bye = client.line().unwrap();
    assert!(bye.ends_with("(maildrop empty)"), "{bye}");
    for (name, password) in [("carla", "secret"), ("ivo", "secret")] {
        let (_client, reply) = pop3(pop3d, name, password);
        assert!(reply.starts_with("+OK"), "{name}: {reply}");
    }
}

fn cannot_log_in(pop3d: &Daemon, host: &Host) {
    let refused = |at: usize, password: &str| {
        let (_client, reply) = pop3(pop3d, &host.names[at], password);
        assert!(reply.starts_with("-ERR [AUTH]"), "{password}: {reply}");
    };
    refused(0, "for bob");
    for (from, to, why) in [("-L", "-U", "locked"), ("-e1", "-e", "expired")] {
        host.usermod(&[from], 1);
        refused(1, "for bob");
        host.usermod(&if to == "-e" { vec!["-e", ""] } else { vec![to] }, 1);
        let (_client, reply) = pop3(pop3d, &host.names[1], "for bob");
        assert!(reply.starts_with("+OK"), "no more {why}: {reply}");
    }
    host.usermod(&["-p", ""], 1);
    refused(1, "x");
    host.password(2, "for nobody");
    refused(2, "for nobody");
    let (_client, reply) = pop3(pop3d, "nobody-at-all", "x");
    assert!(reply.starts_with("-ERR [AUTH]"), "{reply}");
}

#[test]
fn alone_in_its_process_a_session_is_the_user_for_good() {
    if !is_root() {
        return;
    }
    let site = system_site();
    let home = site.path("home").join("carla");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(ALICE), Some(ALICE)).unwrap();
    let line = format!("carla:{{PLAIN}}secret:{ALICE}:{ALICE}::{}\n", home.display());
    fs::write(site.path("users"), line).unwrap();
    let mut command = site.command("pop3d");
    let mut child = command.arg("-i").stdin(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut output = BufReader::new(output);
    let mut said = |command: &str| {
        input.write_all(command.as_bytes()).unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    };
    assert!(said("").starts_with("+OK"));
    assert!(said("USER carla\r\n").starts_with("+OK"));
    assert!(said("PASS wrong\r\n").starts_with("-ERR"));
    let before = identity_of(&status);
    assert_eq!(before["CapEff"], SWITCHING);
    assert!(said("USER carla\r\n").starts_with("+OK"));
    let reply = said("PASS secret\r\n");
    assert!(reply.starts_with("+OK"), "{reply}");
    let after = identity_of(&status);
    assert_eq!(after["Uid"], format!("{ALICE} {ALICE} {ALICE} {ALICE}"));
    assert_eq!(after["Gid"], format!("{ALICE} {ALICE} {ALICE} {ALICE}"));
    assert_eq!(after["Groups"], format!("{ALICE}"));
    assert_eq!(after["CapPrm"], NONE);
    assert!(said("QUIT\r\n").starts_with("+OK"));
    assert!(child.wait().unwrap().success());
    assert_eq!(is_all_of(&home.join("Maildir"), ALICE), 1, "the list of UIDs");
}

#[test]
fn who_may_not_lend_says_so() {
    if !is_root() {
        return;
    }
    let site = system_site();
    // Nobody may not get to where we were built.
    let built = site.command("pop3d");
    let program = site.path("pop3d");
    std::fs::copy(built.get_program(), &program).unwrap();
    let command = || {
        let mut command = Command::new(&program);
        command.args(built.get_args()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut told = command();
    as_nobody_with(told.arg("-i"), &[6]);
    let told = told.output().unwrap();
    let words = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(77), "{words}");
    assert!(words.contains("AmbientCapabilities=CAP_SETUID CAP_SETGID"), "{words}");

    // CAP_DAC_OVERRIDE and CAP_NET_BIND_SERVICE are found as well, and not kept.
    let mut alone = command();
    as_nobody_with(alone.arg("-i"), &[1, 6, 7, 10]);
    let mut child = alone.stdin(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    is_a_lender(child.id());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// As systemd starts a program with User= and AmbientCapabilities=.
fn as_nobody_with(command: &mut Command, capabilities: &'static [u32]) {
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let bits = capabilities.iter().fold(0, |bits, capability| bits | 1_u32 << capability);
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            let (header, words) = ([0x2008_0522_u32, 0], [bits, bits, bits, 0, 0, 0]);
            let done = libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
                && libc::setgroups(0, std::ptr::null()) == 0
                && libc::setresgid(gid, gid, gid) == 0
                && libc::setresuid(uid, uid, uid) == 0
                && libc::syscall(libc::SYS_capset, header.as_ptr(), words.as_ptr()) == 0
                && capabilities.iter().all(|capability| {
                    let (ambient, raise) = (libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE);
                    libc::prctl(ambient, raise, *capability, 0, 0) == 0
                });
            if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
}
