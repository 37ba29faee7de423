//! Ways that letters take from the queue: lists, relays, addresses instead of names, policies.
//!
//! What one host says to another is in dialogues/queue; here is what needs several hosts at once,
//! many recipients, or a file whose path is not known before.

#![allow(clippy::unwrap_used)]

mod remote;
mod sink;

use buzon::mail::forward_path;
use buzon::queue::{Content, Entry, Envelope, Place, Queue};
use buzon::sys::clock;
use buzon::text::Cursor;
use remote::{Certificate, Remote};
use sink::Sink;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Site {
    place: TempDir,
    queue: Queue,
}

impl Site {
    fn new(zone: &str, more: &str) -> Site {
        let place = tempfile::tempdir().unwrap();
        let conf = format!(
            "hostname mx.example.test\ndomains example.test\nmail_owner nobody-here\n\
             queue queue\ndns_zone zone\nspool .\nrun .\nhome mail/%u\n{more}\n"
        );
        let queue = Queue::new(&place.path().join("queue"));
        let site = Site { place, queue };
        site.file("zone", zone);
        site.file("users", "ana:{PLAIN}secret\n");
        site.file("buzon.conf", &conf);
        site
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.place.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn put(&self, from: &str, to: &str) {
        let path = |text: &str| forward_path(&mut Cursor::new(text.as_bytes())).unwrap();
        let now = clock::micros() / 1_000_000;
        let mut envelope = Envelope::new(clock::id(), now, Some(path(from)));
        envelope.add(path(to));
        self.queue.put(&envelope, b"", &Content::Memory(b"Subject: hola\n\nHola.\n")).unwrap();
    }

    fn runq(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runq"));
        command.arg("-d").arg("-f").arg(self.place.path().join("buzon.conf")).args(args);
        command
    }

    fn run(&self) {
        assert!(self.runq(&[]).status().unwrap().success());
    }

    fn left(&self) -> Vec<Entry> {
        let mut left = Vec::new();
        self.queue.entries(Place::Due, |entry| left.push(entry)).unwrap();
        left
    }
}

/// Who got something there, in order of their names.
fn taken(sink: &Sink) -> Vec<String> {
    let mut taken: Vec<_> = sink.taken().into_iter().map(|(to, _)| to).collect();
    taken.sort();
    taken
}

#[test]
fn a_list_of_many_reaches_each_once_and_soon() {
    let sink = Sink::new(Duration::ZERO);
    let site = Site::new(&format!("aula.test A {}\n", sink.address), "");
    let mut members: Vec<String> = (0..1100).map(|n| format!("m{n}@aula.test")).collect();
    site.file("lists/class", &members.join("\n"));
    site.put("ana@example.test", "class@example.test");
    let start = Instant::now();
    site.run();
    let time = start.elapsed();
    members.sort();
    assert_eq!(taken(&sink), members);
    assert!(site.left().is_empty());
    println!("{} members in {time:?}", members.len());
    assert!(time < Duration::from_secs(3), "{time:?}");
}

/// `relay`: by sender, by domains below one, all; the first line that fits, and `mx` that ends it.
#[test]
fn the_first_relay_line_that_fits_decides() {
    let sinks: Vec<Sink> = (0..6).map(|_| Sink::new(Duration::ZERO)).collect();
    let [one, class, below, domain, all, mx] = &sinks[..] else { panic!() };
    let relays = format!(
        "relay kept.aula.test mx\n\
         relay from:pia@example.test smtp:relay.test:{}\n\
         relay from:@class.test smtp:127.0.0.1:{}\n\
         relay .aula.test smtp:[127.0.0.1]:{}\n\
         relay aula.test smtp:relay.test:{}\n\
         relay * smtp:relay.test:{}\n",
        one.address.port(),
        class.address.port(),
        below.address.port(),
        domain.address.port(),
        all.address.port()
    );
    let zone = format!(
        "kept.aula.test MX 10 mx.aula.test\nmx.aula.test A {}\nrelay.test A 127.0.0.1\n",
        mx.address
    );
    let site = Site::new(&zone, &relays);
    for (from, to) in [
        ("Pia@Example.test", "1@pc.aula.test"),
        ("pia@example.test", "2@far.test"),
        ("pia@example.test", "3@kept.aula.test"),
        ("eva@class.test", "4@aula.test"),
        ("ana@example.test", "5@PC.aula.test"),
        ("ana@example.test", "6@aula.test"),
        ("ana@example.test", "7@xaula.test"),
        ("ana@example.test", "8@far.test"),
        ("eva@xclass.test", "9@far.test"),
    ] {
        site.put(from, to);
    }
    site.run();
    for (sink, expected) in [
        (one, &["1@pc.aula.test", "2@far.test"][..]),
        (class, &["4@aula.test"]),
        (below, &["5@PC.aula.test"]),
        (domain, &["6@aula.test"]),
        (all, &["7@xaula.test", "8@far.test", "9@far.test"]),
        (mx, &["3@kept.aula.test"]),
    ] {
        assert_eq!(taken(sink), expected);
    }
    assert!(site.left().is_empty());
}

/// RFC 5321 §5.2: an address of the other family is one like any.
#[test]
fn by_ipv6_where_there_is_some() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let sink = Sink::at(listener, Duration::ZERO);
    let site = Site::new(&format!("six.test AAAA {}\n", sink.address), "");
    site.put("ana@example.test", "eva@six.test");
    site.run();
    assert_eq!(taken(&sink), ["eva@six.test"]);
    assert!(site.left().is_empty());
}

/// RFC 5321 §4.1.3: no name server is asked. A literal has no port, so only root can try it.
#[test]
fn to_an_address_without_a_name() {
    let [a, b, ..] = std::process::id().to_le_bytes();
    let address = format!("127.25.{a}.{}", b | 1);
    let Ok(listener) = TcpListener::bind(format!("{address}:25")) else { return };
    let sink = Sink::at(listener, Duration::ZERO);
    let site = Site::new("", "");
    let to = format!("eva@[{address}]");
    site.put("ana@example.test", &to);
    site.run();
    assert_eq!(taken(&sink), [to]);
    assert!(site.left().is_empty());
}

#[test]
fn an_alias_that_includes_a_file() {
    let sink = Sink::new(Duration::ZERO);
    let site = Site::new(&format!("aula.test A {}\n", sink.address), "");
    let press = site.place.path().join("press");
    site.file("press", "# of the town\neva@aula.test\nPia <pia@aula.test>, ana\n");
    site.file("aliases", &format!("press: :include:{}\n", press.display()));
    site.put("eva@aula.test", "press@example.test");
    site.run();
    assert_eq!(taken(&sink), ["eva@aula.test", "pia@aula.test"]);
    let mailbox = site.place.path().join("mail/ana/Maildir/new");
    assert_eq!(std::fs::read_dir(mailbox).unwrap().count(), 1);
    assert!(site.left().is_empty());
}

/// RFC 8461 §5: where a policy is enforced, only a host that it names and that proves its name.
#[test]
fn a_policy_that_is_enforced() {
    let web = Certificate::new(&["mta-sts.aula.test"]);
    let proven = Certificate::new(&["mx.aula.test"]);
    let other = Certificate::new(&["mx.aula.test"]);
    for (certificate, arrives) in [(&proven, true), (&other, false)] {
        let policy = "version: STSv1\r\nmode: enforce\r\nmx: mx.aula.test\r\nmax_age: 86400\r\n";
        let lines: String = policy.lines().map(|line| format!("> {line}\n")).collect();
        let host = Remote::with(
            format!(
                "tls\n< GET /.well-known/mta-sts.txt\n< Host: mta-sts.aula.test\n< User-Agent\n\
                 < Accept\n< Connection\n<\n> HTTP/1.1 200 OK\n> Content-Type: text/plain\n\
                 > Content-Length: {}\n>\n{lines}",
                policy.len()
            ),
            Some(&web),
        );
        let opening = "> 220 mx.aula.test\n< EHLO\n> 250-mx.aula.test\n> 250 STARTTLS\n\
                       < STARTTLS\n> 220 go on\ntls\n";
        let talk = "< EHLO\n> 250 mx.aula.test\n< MAIL\n> 250 ok\n< RCPT\n> 250 ok\n< DATA\n\
                    > 354 go on\ntext\n> 250 taken\n< QUIT\n> 221 bye\n";
        let script = format!("{opening}{}", if arrives { talk } else { "" });
        let mx = Remote::with(script, Some(certificate));
        let stranger = Sink::new(Duration::ZERO);
        let zone = format!(
            "aula.test MX 10 stranger.test\naula.test MX 20 mx.aula.test\n\
             stranger.test A {}\nmx.aula.test A {}\nmta-sts.aula.test A {}\n\
             _mta-sts.aula.test TXT \"v=STSv1; id=1;\"\n",
            stranger.address, mx.address, host.address
        );
        let site = Site::new(&zone, "");
        let believed = [web.pem(), proven.pem()].concat();
        site.file("believed.pem", &String::from_utf8(believed).unwrap());
        site.put("ana@example.test", "eva@aula.test");
        let believed = site.place.path().join("believed.pem");
        let ran = site.runq(&[]).env("SSL_CERT_FILE", believed).output().unwrap();
        let log = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.success(), "{log}");
        assert_eq!(stranger.connections(), 0, "{log}");
        assert_eq!(site.left().is_empty(), arrives, "{log}");
        assert_eq!(log.contains("status=4.7.5"), !arrives, "{log}");
        // Careful: these wait for their scripts to end.
        assert_eq!(host.heard().lines[1], "Host: mta-sts.aula.test");
        assert_eq!(mx.heard().texts.len(), usize::from(arrives), "{log}");
    }
}
