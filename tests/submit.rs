//! sendmail(8) as programs call it, and what a user may drop: letters in, envelopes out.

#![allow(clippy::unwrap_used)]

mod sink;
mod who;

use buzon::queue::{Body, Envelope, Notify, Place, Queue, Ret};
use sink::Sink;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt; // as root it leaves the other groups as well
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use who::{ALICE, MAIL, is_root};

const SENDMAIL: &str = env!("CARGO_BIN_EXE_sendmail");
const RUNQ: &str = env!("CARGO_BIN_EXE_runq");

/// A site whose letters stay: what is not ours goes to a socket where nobody listens.
fn site() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let conf = "hostname mx.example.test\ndomains example.test\nmail_owner nobody-here\n\
                queue queue\nspool .\nrun .\nusers users\naliases aliases\nhome mail/%u\n\
                relay * lmtp:/nowhere/at/all\nmessage_size 100k\n";
    fs::write(place.path().join("buzon.conf"), conf).unwrap();
    fs::write(place.path().join("users"), "ana:{PLAIN}secret\n").unwrap();
    fs::create_dir(place.path().join("queue")).unwrap();
    place
}

/// Exit code, and what was said.
fn sendmail(place: &TempDir, args: &[&str], input: &str) -> (i32, String) {
    let mut command = Command::new(SENDMAIL);
    command.arg("-C").arg(place.path().join("buzon.conf")).args(args);
    answer(command, input)
}

fn answer(mut command: Command, input: &str) -> (i32, String) {
    let pipe = Stdio::piped;
    let mut child = command.stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn().unwrap();
    // Who refuses the arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// The letters of the queue with their texts, the oldest first; a runner may be at work.
fn queued(place: &Path) -> Vec<(Envelope, String)> {
    let queue = Queue::new(&place.join("queue"));
    let mut all = Vec::new();
    queue.entries(Place::Due, |entry| all.push(entry)).unwrap();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let mut letters = Vec::new();
    for entry in all {
        let (_, entry) = queue.find(&entry.id).unwrap().unwrap();
        let envelope = queue.look(Place::Due, &entry).unwrap().unwrap();
        let text = std::io::read_to_string(queue.open(Place::Due, &entry).unwrap()).unwrap();
        let text = text.split_once("\n\n").unwrap().1.to_owned();
        letters.push((envelope, text));
    }
    letters
}

/// The one letter that these arguments and this input come to.
fn letter(args: &[&str], input: &str) -> (Envelope, String) {
    let place = site();
    let (code, said) = sendmail(&place, args, input);
    assert_eq!((code, said.as_str()), (0, ""), "{args:?}");
    let mut letters = queued(place.path());
    assert_eq!(letters.len(), 1, "{args:?}");
    letters.remove(0)
}

fn to(envelope: &Envelope) -> String {
    envelope.recipients.iter().map(|to| to.path.to_string()).collect::<Vec<_>>().join(" ")
}

fn from(envelope: &Envelope) -> String {
    envelope.reverse_path.as_ref().map_or("<>".into(), ToString::to_string)
}

#[test]
fn as_programs_call_it() {
    let me = buzon::sys::process::login().unwrap();
    let own = format!("{me}@example.test");
    let letter_to = "To: luis@aula.test\nSubject: a\n\nb\n";
    for (args, recipients, sender) in [
        // mail(1), mutt, git send-email, PHP, cron.
        (&["-i", "--", "luis@aula.test", "eva"][..], "luis@aula.test eva@example.test", &*own),
        (&["-oem", "-oi", "-f", "x@y.test", "--", "luis@aula.test"], "luis@aula.test", "x@y.test"),
        (&["-f", "x@y.test", "-i", "luis@aula.test"], "luis@aula.test", "x@y.test"),
        (&["-t", "-i", "-fx@y.test"], "luis@aula.test", "x@y.test"),
        (&["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"], "root@example.test", &own),
        (&["-ti"], "luis@aula.test", &own),
        (&["-bm", "-odb", "-G", "-U", "-em", "-r", "<>", "luis@aula.test"], "luis@aula.test", "<>"),
        (&["Luis <luis@aula.test>, eva@x.test"], "luis@aula.test eva@x.test", &own),
    ] {
        let (envelope, text) = letter(args, letter_to);
        assert_eq!((&*to(&envelope), &*from(&envelope)), (recipients, sender), "{args:?}");
        assert_eq!(envelope.submitter.as_deref(), Some(&*me));
        assert!(text.starts_with("Received: by mx.example.test (from uid "), "{text}");
        assert!(text.contains("\nTo: luis@aula.test\nSubject: a\nDate: "), "{text}");
        let (header, body) = text.split_once("\n\n").unwrap();
        assert_eq!(body.split_once("\n").unwrap().0, "b");
        let author = if sender == "<>" { &own } else { sender };
        assert!(header.lines().any(|l| l.starts_with("From: ") && l.contains(author)), "{text}");
        assert!(header.contains("\nMessage-ID: <"), "{text}");
    }
}

#[test]
fn fields_say_who_it_is_for() {
    let input = "To: luis@aula.test, Eva <eva@x.test>\nCc: luis@AULA.test\n\
                 Bcc: secret@x.test\nFrom: x@y.test\n\nb\n";
    let (envelope, text) = letter(&["-t"], input);
    assert_eq!(to(&envelope), "luis@aula.test eva@x.test secret@x.test");
    assert!(!text.contains("secret"), "{text}");
    // As sendmail has it, arguments are then who gets nothing.
    let (envelope, _) = letter(&["-t", "eva@x.test"], input);
    assert_eq!(to(&envelope), "luis@aula.test secret@x.test");
    let (envelope, text) = letter(&["ana@x.test"], input);
    assert_eq!(to(&envelope), "ana@x.test");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn addresses_of_the_header_get_the_domain_of_the_envelope() {
    // RFC 5322 §3.4.1: as cron(8) and mail(1) write it.
    let input = "From: root (Cron Daemon)\nTo: bob, Luis\n <luis@aula.test>\nCc: all: eva;\n\
                 Subject: To: bob\n\nTo: bob\n";
    let (envelope, text) = letter(&["-t", "-f", "root"], input);
    assert_eq!(to(&envelope), "bob@example.test luis@aula.test eva@example.test");
    assert_eq!(from(&envelope), "root@example.test");
    let told = "\nFrom: root@example.test (Cron Daemon)\nTo: bob@example.test, Luis\n \
                <luis@aula.test>\nCc: all: eva@example.test;\nSubject: To: bob\n";
    assert!(text.contains(told) && text.contains("\n\nTo: bob\n"), "{text}");
}

#[test]
fn text_ends_at_a_dot_or_not() {
    let body = |args: &[&str], input: &str| {
        let (_, text) = letter(args, input);
        let body = text.split_once("\n\n").unwrap().1.to_owned();
        // A runner may have noted something behind it.
        body.split_inclusive('\n').take_while(|line| !line.contains("wait 1")).collect::<String>()
    };
    for (args, input, told) in [
        (&["a@b.test"][..], "Subject: a\n\nb\n.\nc\n", "b\n"),
        (&["a@b.test"], "Subject: a\r\n\r\nb\r\n..c\r\n.d\r\n.\r\ne", "b\n..c\n.d\n"),
        (&["-i", "a@b.test"], "Subject: a\n\nb\n.\nc\n", "b\n.\nc\n"),
        (&["-oi", "a@b.test"], "Subject: a\r\n\r\nb\r\n.\r\nc", "b\n.\nc\n"),
        (&["a@b.test"], "hello\n", "hello\n"),
        (&["a@b.test"], "Subject: a\nhello: you\nworld\n", "world\n"),
        (&["a@b.test"], "From x Fri\nSubject: a\n\nb", "b\n"),
    ] {
        assert_eq!(body(args, input).split("\n17").next().unwrap().trim_end(), told.trim_end());
    }
    let (_, text) = letter(&["a@b.test"], "");
    assert!(text.contains("\nDate: ") && text.contains("\n\n"), "{text}");
}

#[test]
fn wishes_of_the_sender() {
    let (envelope, _) = letter(
        &["-N", "success,delay", "-R", "hdrs", "-V", "a b+c", "a@b.test"],
        "Subject: ñ\n\nñ\n",
    );
    assert_eq!(envelope.ret, Some(Ret::Headers));
    assert_eq!(envelope.envid.as_deref(), Some("a+20b+2Bc"));
    assert_eq!(envelope.body, Body::EightBit);
    let wanted = Notify { success: true, failure: false, delay: true };
    assert_eq!(envelope.recipients[0].notify, Some(wanted));
    let (envelope, _) = letter(&["-Nnever", "a@b.test"], "Subject: a\n\nb\n");
    assert_eq!(envelope.recipients[0].notify, Some(Notify::default()));
    assert_eq!(envelope.body, Body::SevenBit);
}

#[test]
fn exit_codes() {
    let place = site();
    let large = "x".repeat(1000) + "\n";
    for (args, input, code, told) in [
        (&[][..], "", 64, "no recipients"),
        (&["-t"], "Subject: a\n\nb\n", 64, "no recipients"),
        (&["-y"], "", 64, "usage: sendmail"),
        (&["-bd"], "", 64, "smtpd(8) is the daemon"),
        (&["-q30m"], "", 64, "cron(8)"),
        (&["-N", "often", "a@b.test"], "", 64, "-Noften?"),
        (&["-f"], "", 64, "-f wants a word"),
        (&["a@@b.test"], "Subject: a\n\nb\n", 65, "is no address"),
        (&["-f", "a b", "a@b.test"], "Subject: a\n\nb\n", 65, "is no address"),
        (&["a@b.test"], &large.repeat(110), 65, "and a letter may have"),
        (&["-bv", "ana", "nobody", "x@y.test"], "", 67, "ana... deliverable: mailbox of ana"),
        (&["-bi"], "", 0, ""),
        (&["-bp"], "", 0, "the queue is empty"),
        (&["-q"], "", 0, ""),
    ] {
        let (found, said) = sendmail(&place, args, input);
        assert!(found == code && said.contains(told), "{args:?}: {found} {said}");
    }
    assert!(queued(place.path()).is_empty());
}

/// The owner of the site, a user, and the group between them: a copy of sendmail that is setgid.
fn shared() -> TempDir {
    let place = site();
    let queue = place.path().join("queue");
    fs::create_dir(queue.join("drop")).unwrap();
    for directory in [place.path(), &queue, &queue.join("drop")] {
        chown(directory, Some(MAIL), Some(MAIL)).unwrap();
    }
    fs::set_permissions(&queue, Permissions::from_mode(0o710)).unwrap();
    fs::set_permissions(queue.join("drop"), Permissions::from_mode(0o1730)).unwrap();
    place
}

/// What a setgid program acts as: the uid is the caller's, the gid the group's.
fn as_user(command: &mut Command, uid: u32) {
    command.uid(uid).gid(MAIL);
}

/// The owner of the queue takes in what was dropped.
fn collected(place: &Path) -> Vec<(Envelope, String)> {
    let mut command = Command::new(copied(place, RUNQ));
    command.arg("-d").arg("-f").arg(place.join("buzon.conf"));
    command.uid(MAIL).gid(MAIL);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    queued(place)
}

const DROPPED: &str = "buzon-queue 1\nid x1\narrived 5\nfrom <eva@x.test>\nsubmitter root\n\
                       to 1 <luis@aula.test>\noctets 14 3\n\nSubject: a\n\nb\n";

/// Writes into the drop directory as somebody who got the group.
fn dropped(place: &Path, name: &str, text: &str, mode: u32) {
    let path = place.join("queue/drop").join(name);
    fs::write(&path, text).unwrap();
    chown(&path, Some(ALICE), Some(MAIL)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_a_user_drops_is_taken_and_only_what_a_user_may_ask_for() {
    if !is_root() {
        return;
    }
    let place = shared();
    let path = place.path();
    dropped(path, "x1", DROPPED, 0o640);
    let state = |event: &str| format!("{DROPPED}{event}\n");
    let asks = |to: &str| DROPPED.replace("to 1 <luis@aula.test>", to);
    let refused = [
        asks("to 1 <luis@aula.test> |/usr/bin/touch /tmp/x"),
        asks("to 1 owner=root <luis@aula.test> |/usr/bin/touch /tmp/x"),
        asks("to 1 <luis@aula.test> /etc/passwd"),
        asks("to 1 user=ana <ana@example.test>"),
        asks("to 1 from <root@example.test> <luis@aula.test>"),
        asks("list yes\nto 1 <luis@aula.test>"),
        DROPPED.replace("to 1 <luis@aula.test>\n", ""),
        state("5 done 1"),
        state("5 tried"),
        "junk".into(),
    ];
    for (at, text) in refused.iter().enumerate() {
        dropped(path, &format!("r{at}"), text, 0o640);
    }
    // One with two names, and one that is still being written.
    dropped(path, "two", DROPPED, 0o640);
    fs::hard_link(path.join("queue/drop/two"), path.join("other")).unwrap();
    dropped(path, "part", DROPPED, 0o600);
    std::os::unix::fs::symlink("/etc/passwd", path.join("queue/drop/link")).unwrap();
    let letters = collected(path);
    assert_eq!(letters.len(), 1, "{letters:?}");
    let (envelope, text) = &letters[0];
    assert_eq!((&*to(envelope), &*from(envelope)), ("luis@aula.test", "eva@x.test"));
    let submitter = format!("uid {ALICE}");
    assert_eq!(envelope.submitter.as_deref(), Some(&*submitter), "who the kernel says");
    assert!(envelope.arrived > 5 && envelope.id != "x1", "{envelope:?}");
    let trace = format!("Received: by mx.example.test (from uid {ALICE})\n\tid {}; ", envelope.id);
    assert!(text.starts_with(&trace), "{text}");
    assert_eq!(fs::read_dir(path.join("queue/bad")).unwrap().count(), refused.len() + 1);
    let left: Vec<_> = fs::read_dir(path.join("queue/drop")).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // Whoever releases them has them looked at as what they are.
    let queue = Queue::new(&path.join("queue"));
    let mut bad = Vec::new();
    queue.entries(Place::Bad, |entry| bad.push(entry)).unwrap();
    bad.iter().for_each(|entry| queue.readmit(entry).unwrap());
    assert_eq!(collected(path).len(), 1);
    assert_eq!(fs::read_dir(path.join("queue/bad")).unwrap().count(), refused.len() + 1);
}

#[test]
fn a_user_hands_in_through_the_group() {
    if !is_root() {
        return;
    }
    let place = shared();
    let hand_in = |uid: u32| {
        let mut command = Command::new(copied(place.path(), SENDMAIL));
        command.arg("-C").arg(place.path().join("buzon.conf"));
        command.args(["-f", "alice@example.test", "luis@aula.test"]);
        as_user(&mut command, uid);
        answer(command, "Subject: a\n\nb\n")
    };
    assert_eq!(hand_in(ALICE), (0, String::new()));
    let drop = place.path().join("queue/drop");
    let file = fs::read_dir(&drop).unwrap().next().unwrap().unwrap().metadata().unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (ALICE, MAIL, 0o640));
    let mut mailq = Command::new(copied(place.path(), env!("CARGO_BIN_EXE_mailq")));
    mailq.arg("-f").arg(place.path().join("buzon.conf")).uid(MAIL).gid(MAIL);
    let told = "0 letters for 0 recipients, 0 octets, 1 handed in and not looked at\n";
    assert_eq!(answer(mailq, ""), (0, told.to_owned()));
    let letters = collected(place.path());
    assert_eq!(letters.len(), 1);
    assert_eq!(from(&letters[0].0), "alice@example.test");
    assert!(letters[0].1.contains("\nMessage-ID: <"), "{}", letters[0].1);
    assert_eq!(fs::read_dir(&drop).unwrap().count(), 0);
    fs::remove_dir(&drop).unwrap();
    let (code, said) = hand_in(ALICE);
    assert!(code == 77 && said.contains("drop"), "{code} {said}");
    // The next runner makes it again, with the right modes.
    collected(place.path());
    assert_eq!(fs::metadata(&drop).unwrap().mode() & 0o7777, 0o1730);
}

#[test]
fn a_user_speaks_smtp_and_the_letters_are_dropped() {
    if !is_root() {
        return;
    }
    let place = shared();
    let large = format!("{}\r\n", "x".repeat(998)).repeat(110);
    let begin = "MAIL FROM:<alice@example.test>\r\nRCPT TO:<luis@aula.test>";
    let input = format!(
        "MAIL FROM:<a@b.test>\r\nEHLO pc\r\nRCPT TO:<a@b.test>\r\n{begin} NOTIFY=NEVER\r\n\
         DATA\r\nSubject: one\r\n\r\n..dot\r\n.\r\nDATA\r\n{begin}\r\nDATA\r\n\r\n{large}.\r\n\
         MAIL FROM:<a@b.test> SIZE=999999999\r\n{begin}\r\nRCPT TO:<nobody@example.test>\r\n\
         DATA\r\nSubject: two\r\n\r\nb\r\n.\r\nVRFY luis\r\nQUIT\r\n"
    );
    let mut command = Command::new(copied(place.path(), SENDMAIL));
    command.arg("-C").arg(place.path().join("buzon.conf")).arg("-bs");
    as_user(&mut command, ALICE);
    let (code, said) = answer(command, &input);
    let last = |line: &&str| line.as_bytes().get(3) == Some(&b' ');
    let codes: Vec<&str> = said.lines().filter(last).map(|line| &line[..3]).collect();
    let wanted =
        "220 503 250 503 250 250 354 250 503 250 250 354 552 552 250 250 250 354 250 252 221";
    assert_eq!((code, codes.join(" ").as_str()), (0, wanted), "{said}");
    let letters = collected(place.path());
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!(from(&letters[0].0), "alice@example.test");
    assert_eq!(letters[0].0.recipients[0].notify, Some(Notify::default()));
    assert!(letters[0].1.contains("\n\n.dot\n"), "{}", letters[0].1);
    assert!(letters[0].1.contains("\nMessage-ID: <"), "{}", letters[0].1);
    assert_eq!(to(&letters[1].0), "luis@aula.test nobody@example.test");
}

/// Where somebody else may run it, wherever it was built. cp(1) writes it: a program cannot be
/// started while a child of another test has it open for writing.
fn copied(place: &Path, program: &str) -> PathBuf {
    let copy = place.join(Path::new(program).file_name().unwrap());
    if !copy.exists() {
        assert!(Command::new("cp").arg(program).arg(&copy).status().unwrap().success());
    }
    copy
}

#[test]
fn the_group_is_not_for_a_configuration_of_ones_own() {
    if !is_root() {
        return;
    }
    let place = shared();
    let copy = copied(place.path(), SENDMAIL);
    chown(&copy, Some(MAIL), Some(MAIL)).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o2755)).unwrap();
    let mut command = Command::new(copy);
    command.arg("-C").arg(place.path().join("buzon.conf")).arg("luis@aula.test");
    command.uid(ALICE).gid(ALICE);
    let (code, said) = answer(command, "Subject: a\n\nb\n");
    assert!(code == 77, "{code} {said}");
}

#[test]
fn a_runner_at_work_is_told_of_a_drop() {
    if !is_root() {
        return;
    }
    let place = shared();
    let (slow, fast) = (Sink::new(Duration::from_millis(700)), Sink::new(Duration::ZERO));
    let conf = place.path().join("buzon.conf");
    let text = fs::read_to_string(&conf).unwrap().replace("relay * lmtp:/nowhere/at/all", "");
    fs::write(&conf, text + "dns_zone zone\n").unwrap();
    let zone = format!("slow.test A {}\nfast.test A {}\n", slow.address, fast.address);
    fs::write(place.path().join("zone"), zone).unwrap();
    dropped(place.path(), "x1", &DROPPED.replace("aula.test", "slow.test"), 0o640);
    let mut runner = Command::new(copied(place.path(), RUNQ));
    let mut runner = runner.arg("-f").arg(&conf).uid(MAIL).gid(MAIL).spawn().unwrap();
    let began = Instant::now();
    while slow.connections() == 0 && began.elapsed() < Duration::from_secs(60) {
        buzon::sys::lock::pause(Duration::from_millis(10));
    }
    let mut command = Command::new(copied(place.path(), SENDMAIL));
    command.arg("-C").arg(&conf).arg("luis@fast.test");
    as_user(&mut command, ALICE);
    assert_eq!(answer(command, "Subject: b\n\nb\n"), (0, String::new()));
    assert!(fast.wait_for(1, Duration::from_secs(60)) < Duration::from_secs(1));
    assert!(slow.taken().is_empty());
    assert!(runner.wait().unwrap().success());
    assert_eq!(slow.taken().len(), 1);
}
