//! What happens around a dialogue: limits of the machine, TLS by name, reload, stop, standard
//! input. The dialogues themselves are in `tests/dialogues`.

#![allow(clippy::unwrap_used)]

mod daemons;

use daemons::{Client, Site};
use nix::sys::signal::Signal;
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

/// CPU time a process has used, in hundredths of a second.
fn cpu(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn descriptors_that_run_out_are_told_and_nobody_spins() {
    let site = Site::new("max_connections_per_address 1000\n");
    let smtpd = site.start("smtpd", &[]);
    let open = std::fs::read_dir(format!("/proc/{}/fd", smtpd.pid())).unwrap().count();
    smtpd.prlimit(&format!("--nofile={}:", open + 4));
    let mut clients: Vec<Client> =
        (0..12).map(|_| Client::connect(&smtpd.address).unwrap()).collect();
    let mut lines: Vec<String> = clients.iter_mut().map(|c| c.line().unwrap()).collect();
    let refused = lines.iter().filter(|line| line.starts_with("421 4.7.0 ")).count();
    let served = lines.iter().filter(|line| line.starts_with("220 ")).count();
    assert!(refused > 0 && served > 0 && refused + served == 12, "{lines:#?}");
    // With all descriptors taken, the daemon waits instead of turning round in accept(2).
    let before = cpu(smtpd.pid());
    let mut waiting = Client::connect(&smtpd.address).unwrap();
    assert!(waiting.line().unwrap().starts_with("421 "));
    std::thread::sleep(Duration::from_millis(500));
    assert!(cpu(smtpd.pid()) - before < 25);
    // Places that become free are taken again.
    clients.clear();
    smtpd.prlimit(&format!("--nofile={}:", open + 40));
    smtpd.log.wait_for("end=", served);
    lines.push(Client::connect(&smtpd.address).unwrap().line().unwrap());
    assert!(lines[12].starts_with("220 "), "{}", lines[12]);
}

#[test]
fn threads_that_cannot_start_are_told() {
    let site = Site::new("");
    for (name, refusal) in
        [("smtpd", "421 4.7.0 "), ("pop3d", "-ERR "), ("imapd", "* BYE [UNAVAILABLE] ")]
    {
        let daemon = site.start(name, &[]);
        daemon.prlimit("--nproc=1:1");
        let line = Client::connect(&daemon.address).unwrap().line().unwrap();
        assert!(line.starts_with(refusal), "{name}: {line}");
        daemon.log.wait_for("refused=Resources", 1);
    }
}

#[test]
fn connections_are_cut_to_what_the_machine_carries() {
    let site = Site::new("max_connections 100000\n");
    let sh: Vec<&std::ffi::OsStr> =
        ["sh", "-c", "ulimit -n 264; exec \"$@\"", "sh"].map(AsRef::as_ref).to_vec();
    let smtpd = site.start("smtpd", &sh);
    smtpd.log.wait_for("max_connections=100000 cut to 120 by RLIMIT_NOFILE", 1);
}

#[test]
fn several_sockets_on_ports_of_the_kernels_choice() {
    let ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    let mut site = Site::new("");
    let more = if ipv6 { " [::1]:0" } else { "" };
    site.change("smtp 127.0.0.1:0", &format!("smtp 127.0.0.1:0 127.0.0.2:0{more}"));
    site.change("submission none", "submission 127.0.0.1:0");
    let smtpd = site.start("smtpd", &[]);
    assert_eq!(smtpd.addresses.len(), 3 + usize::from(ipv6));
    for address in &smtpd.addresses {
        assert!(Client::connect(address).unwrap().line().unwrap().starts_with("220 "), "{address}");
    }
}

#[test]
fn an_idle_session_hears_of_the_end_and_a_text_is_read_to_its_own() {
    let site = Site::new("");
    let smtpd = site.start("smtpd", &[]);
    let mut idle = Client::connect(&smtpd.address).unwrap();
    idle.hello().unwrap();
    let mut busy = Client::connect(&smtpd.address).unwrap();
    busy.hello().unwrap();
    for (line, code) in
        [("MAIL FROM:<>", "250"), ("RCPT TO:<alice@example.test>", "250"), ("DATA", "354")]
    {
        assert!(busy.ask(line).unwrap().starts_with(code), "{line}");
    }
    smtpd.signal(Signal::SIGTERM);
    assert!(idle.line().unwrap().starts_with("421 4.3.2 "));
    assert_eq!(idle.line(), None);
    assert!(Client::connect(&smtpd.address).is_none_or(|mut late| late.line().is_none()));
    assert!(busy.ask("X-Mark: late\r\n\r\ntext\r\n.").unwrap().starts_with("250 2.0.0 "));
    assert!(busy.line().unwrap().starts_with("421 4.3.2 "));
    assert_eq!(smtpd.wait().code(), Some(0));
    assert_eq!(site.messages("alice").len(), 1);
}

#[test]
fn a_bad_configuration_is_told_and_the_old_one_stays() {
    let mut site = Site::new("vrfy yes\n");
    let smtpd = site.start("smtpd", &[]);
    let mut old = Client::connect(&smtpd.address).unwrap();
    old.hello().unwrap();
    site.change("vrfy yes", "vrfi yes");
    smtpd.signal(Signal::SIGHUP);
    let told = smtpd.log.wait_for("reload=refused", 1);
    assert!(told[0].contains("buzon.conf:15: there is no key 'vrfi'; did you mean 'vrfy'?"));
    let mut new = Client::connect(&smtpd.address).unwrap();
    new.hello().unwrap();
    assert!(new.ask("VRFY alice").unwrap().starts_with("250 "));
    site.change("vrfi yes", "vrfy no");
    smtpd.signal(Signal::SIGHUP);
    smtpd.log.wait_for("reload=done", 1);
    let mut newest = Client::connect(&smtpd.address).unwrap();
    newest.hello().unwrap();
    assert!(newest.ask("VRFY alice").unwrap().starts_with("252 "));
    assert!(old.ask("VRFY alice").unwrap().starts_with("250 "), "a session keeps its site");
}

/// A TLS connection to that name, with that version at most; `None` if there is none.
fn tls(address: &str, name: &str, most: SslVersion) -> Option<SslStream<TcpStream>> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
    builder.set_min_proto_version(None).unwrap();
    builder.set_max_proto_version(Some(most)).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    builder.build().configure().unwrap().verify_hostname(false).connect(name, stream).ok()
}

fn subject(stream: &SslStream<TcpStream>) -> String {
    let names = stream.ssl().peer_certificate().unwrap().subject_alt_names().unwrap();
    names.iter().filter_map(|name| name.dnsname()).collect::<Vec<_>>().join(" ")
}

#[test]
fn certificates_are_chosen_by_name_and_read_again() {
    let mut site = Site::new("certificate a.pem a.key\ncertificate b.pem b.key\n");
    site.certify("a", &["mail.example.test"]);
    site.certify("b", &["pop.example.test", "*.aula.test"]);
    site.change("pop3 127.0.0.1:0", "pop3 none");
    site.change("pop3s none", "pop3s 127.0.0.1:0");
    let pop3d = site.start("pop3d", &[]);
    for (name, expected) in [
        ("mail.example.test", "mail.example.test"),
        ("pop.example.test", "pop.example.test *.aula.test"),
        ("x.aula.test", "pop.example.test *.aula.test"),
        ("elsewhere.test", "mail.example.test"),
    ] {
        for (most, version) in [(SslVersion::TLS1_2, "TLSv1.2"), (SslVersion::TLS1_3, "TLSv1.3")] {
            let mut stream = tls(&pop3d.addresses[0], name, most).unwrap();
            assert_eq!(subject(&stream), expected, "{name}");
            assert_eq!(stream.ssl().version_str(), version);
            stream.write_all(b"QUIT\r\n").unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).unwrap();
            assert!(line.starts_with("+OK "), "{line}");
        }
    }
    assert!(tls(&pop3d.addresses[0], "mail.example.test", SslVersion::TLS1_1).is_none());
    site.certify("a", &["new.example.test"]);
    pop3d.signal(Signal::SIGHUP);
    pop3d.log.wait_for("reload=done", 1);
    let stream = tls(&pop3d.addresses[0], "mail.example.test", SslVersion::TLS1_3).unwrap();
    assert_eq!(subject(&stream), "new.example.test");
}

#[test]
fn one_session_on_standard_input() {
    let site = Site::new("");
    for (name, said, expected) in [
        ("smtpd", "HELO me\nQUIT\n", "220 mail.example.test"),
        ("pop3d", "USER alice\nPASS secret\nQUIT\n", "+OK mail.example.test"),
        ("imapd", "a1 LOGIN alice secret\na2 LOGOUT\n", "* OK [CAPABILITY "),
    ] {
        let mut child = site.command(name).arg("-i").stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let lines = String::from_utf8(output.stdout).unwrap();
        let replies = lines.lines().filter(|line| !line.starts_with("* BYE "));
        assert_eq!(replies.count(), said.lines().count() + 1, "{lines}");
        assert!(lines.starts_with(expected), "{lines}");
    }
}

#[test]
fn no_password_is_written_down() {
    let site = Site::new("failure_delay 1ms\n");
    // alice's password, as PLAIN and LOGIN send it, typed in all the ways that go wrong.
    for (name, said) in [
        (
            "smtpd",
            "AUTH PLAIN AGFsaWNlAHNlY3JldA==\nEHLO me\nAUTH AGFsaWNlAHNlY3JldA==\n\
             AGFsaWNlAHNlY3JldA==\nAUTH PLAIN\nAG!\nAGFsaWNlAHNlY3JldA==\nATUH LOGIN c2VjcmV0\n\
             AUTH LOGIN\nYWxpY2U=\nZ3Vlc3M=\nc2VjcmV0\nAUTH LOGIN c2VjcmV0 c2VjcmV0\nPASS secret\n\
             AUTH PLAIN AGFsaWNlAHNlY3JldA==\nQUIT\n",
        ),
        (
            "pop3d",
            "AUTH AGFsaWNlAHNlY3JldA==\nAGFsaWNlAHNlY3JldA==\nPAS secret\nUSER alice secret\n\
             AUTH PLAIN\nsecret\nsecret\nUSER alice\nPASS secret\nAUTH AGFsaWNlAHNlY3JldA==\nQUIT\n",
        ),
        (
            "imapd",
            "a1 LOGIN secret\na2 LOGN alice secret\nLOGIN alice secret\nPASS secret\nsecret\n\
             a3 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==x\na4 AUTHENTICATE AGFsaWNlAHNlY3JldA==\n\
             a5 AUTHENTICATE PLAIN\nsecret\na6 AUTHENTICATE LOGIN\nYWxpY2U=\nc2VjcmV0\n\
             a7 LOGIN alice secret\na8 LOGIN alice {6+}\nsecret\na9 LOGOUT\n",
        ),
    ] {
        let mut child =
            site.command(name).args(["-i", "-t"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let replies = String::from_utf8(output.stdout).unwrap();
        assert!(
            ["235 2.7.0 ", "+OK alice's", "Hello, alice"]
                .iter()
                .any(|welcome| replies.contains(welcome)),
            "{replies}"
        );
        let log = String::from_utf8(output.stderr).unwrap();
        for secret in ["AGFsaWNlA", "c2VjcmV0", "secret"] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

#[test]
fn root_gives_away_no_directory_that_is_in_use() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let site = Site::new("");
    let run = site.path("run");
    std::fs::create_dir(&run).unwrap();
    let owner = || std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&run).unwrap());
    std::fs::write(run.join("other.pid"), "1\n").unwrap();
    site.start("smtpd", &[]).log.wait_for("pid_file=", 1);
    assert_eq!(owner(), 0);
    std::fs::remove_file(run.join("other.pid")).unwrap();
    let _smtpd = site.start("smtpd", &[]);
    assert_ne!(owner(), 0);
}

#[test]
fn a_reader_that_has_gone_is_no_fault() {
    let site = Site::new("");
    for (name, words) in [("smtpd", &["-n", "-v"][..]), ("buzonctl", &["user", "list"])] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = site.command(name).args(words).stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{name}");
    }
}

#[test]
fn an_open_relay_is_warned_of_and_serves() {
    let mut site = Site::new("relay_from 10.0.0.0/8 0.0.0.0/0 ::/0\n");
    let file = std::fs::read_to_string(site.path("buzon.conf")).unwrap();
    let line = file.lines().position(|line| line.starts_with("relay_from")).unwrap() + 1;
    let place = format!("{}:{line}: relay_from: ", site.path("buzon.conf").display());
    let told = |said: &str| said.matches(&place).count();
    let check = |site: &Site, name: &str| {
        let output = site.command(name).arg("-n").output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = check(&site, "smtpd");
    assert!(told(&said) == 2 && said.contains(" 0.0.0.0/0 lets strangers"), "{said}");
    assert_eq!(check(&site, "pop3d"), "");
    let said = site.command("buzonctl").arg("check").output().unwrap().stderr;
    assert_eq!(told(&String::from_utf8(said).unwrap()), 2);
    let smtpd = site.start("smtpd", &[]);
    assert!(smtpd.log.wait_for("lets strangers", 2).iter().all(|line| told(line) == 1));
    site.change(" 0.0.0.0/0 ::/0", "");
    assert_eq!(check(&site, "smtpd"), "");
}

#[test]
fn a_port_in_use_is_named_with_the_cure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut site = Site::new("");
    site.change("smtp 127.0.0.1:0", &format!("smtp 127.0.0.1:{port}"));
    let output = site.command("smtpd").arg("-d").output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("127.0.0.1:{port}: ")) && said.contains("stop it, or change 'smtp'")
    );
}

#[test]
fn a_daemon_in_the_background_is_ready_when_its_parent_ends() {
    let site = Site::new("");
    let status = site.command("pop3d").status().unwrap();
    assert_eq!(status.code(), Some(0));
    let pid = std::fs::read_to_string(site.path("run/pop3d.pid")).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    assert_eq!(nix::unistd::getsid(Some(pid)).unwrap(), pid);
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    while site.path("run/pop3d.pid").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}
