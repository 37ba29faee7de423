//! buzonctl(8) as a program: words in, files changed, exit codes of sysexits(3) out.

#![allow(clippy::unwrap_used)]

use buzon::mail::forward_path;
use buzon::queue::{Content, Envelope, Queue};
use buzon::text::Cursor;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A site that whoever runs the test, or as root `nobody`, may use.
fn site() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let text = "hostname mail.example.test\ndomains example.test\nmail_owner nobody\n\
                home home/%u\nspool spool\nrun run\nqueue queue\ndns_zone zone\ncertificate tls/c.pem tls/k.pem\n";
    fs::write(directory.path().join("buzon.conf"), text).unwrap();
    directory
}

/// Exit code, standard output, standard error.
fn buzonctl(directory: &Path, words: &str, input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_buzonctl"))
        .args(["-f", "buzon.conf"])
        .args(words.split(' '))
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who refuses the words does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn users_come_and_go() {
    let directory = site();
    for (words, input, code, told) in [
        ("user list", "", 78, "users: there is no such file"),
        ("user add Luis", "secret\n", 0, ""),
        ("user add luis", "secret\n", 65, "there is a user 'luis' already"),
        ("user add ana -s plain", "se cret\r\n", 0, ""),
        ("user add eva", "", 65, "no password given"),
        ("user add eva", "\n", 65, "no password given"),
        ("user add eva -s MD5", "secret\n", 65, "there is no scheme 'MD5'"),
        ("user add a/b", "secret\n", 65, "is no user name"),
        ("user add .eva", "secret\n", 65, "is no user name"),
        ("user passwd luis -s SSHA", "other\n", 0, ""),
        ("user passwd eva", "other\n", 67, "there is no user 'eva'"),
        ("user list", "", 0, "luis\tSSHA\t"),
        ("user list", "", 0, "ana\tPLAIN\t"),
        ("user del ana", "", 0, "home/ana/Maildir\n"),
        ("user del ana", "", 67, "there is no user 'ana'"),
        ("user", "", 64, "usage: buzonctl"),
        ("user list -s SSHA", "", 64, "usage: buzonctl"),
        ("users list", "", 64, "usage: buzonctl"),
        ("-y", "", 64, "usage: buzonctl"),
    ] {
        let (found, out, err) = buzonctl(directory.path(), words, input);
        assert!(
            found == code && format!("{out}{err}").contains(told),
            "{words}: {found} {out}{err}"
        );
    }
    let users = fs::read_to_string(directory.path().join("users")).unwrap();
    assert!(users.starts_with("luis:{SSHA}") && users.lines().count() == 1, "{users}");
    let mode = fs::metadata(directory.path().join("users")).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "others read no passwords");
}

#[test]
fn a_site_in_order_and_one_that_is_not() {
    let directory = site();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let (code, _, err) = buzonctl(directory.path(), "check", "");
    let whole = format!("{}/buzon.conf:9: certificate: ", directory.path().display());
    assert!(code == 78 && err.contains(&whole), "{err}");

    for (words, input, code) in [
        ("certificate mail.exa_mple", "", 65),
        ("certificate mail.example.test *.example.test 127.0.0.1 ::1", "", 0),
        ("certificate mail.example.test", "", 73),
        ("user add luis", "secret\n", 0),
        ("check", "", 0),
    ] {
        let (found, out, err) = buzonctl(directory.path(), words, input);
        assert!(found == code, "{words}: {found} {out}{err}");
    }
    write("aliases", "root: luis\nclass: luis, jo\ncircle: round\nround: circle\n");
    let (code, _, err) = buzonctl(directory.path(), "check", "");
    assert_eq!((code, err.lines().count()), (78, 3), "{err}");
    assert!(err.contains("aliases:2: 'jo' is neither"), "{err}");
    write("aliases", "class: luis, jo@elsewhere.test\n");
    for (words, code, told) in [
        (
            "explain class@example.test",
            0,
            "aliases:1: the alias 'class': luis, jo@elsewhere.test\n",
        ),
        ("explain class", 0, "users:1: the user 'luis'\nto mailbox of luis: "),
        ("explain CLASS+x", 0, "\nto other host: <jo@elsewhere.test>\n"),
        ("explain jo@elsewhere.test", 0, "elsewhere.test is none of our domains\n"),
        ("explain jo@", 65, "'jo@' is no address"),
        ("explain", 64, "usage: buzonctl"),
    ] {
        let (found, out, err) = buzonctl(directory.path(), words, "");
        let said = format!("{out}{err}").replace(&format!("{}/", directory.path().display()), "");
        assert!(found == code && said.contains(told), "{words}: {found} {said}");
    }
    write("aliases", "");
    write("spool", "a file");
    write("home", "a file");
    let (code, _, err) = buzonctl(directory.path(), "check", "");
    assert_eq!((code, err.lines().count()), (78, 2), "{err}");
    assert!(err.contains("users:1: the mailbox of 'luis'"), "{err}");
    write("buzon.conf", "hostnam x\n");
    let (code, _, err) = buzonctl(directory.path(), "check", "");
    assert!(code == 78 && err.contains("did you mean 'hostname'"), "{err}");
}

#[test]
fn queued_letters_are_held_and_released_and_removed() {
    let directory = site();
    let conf = directory.path().join("buzon.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text).unwrap();
    let queue = Queue::new(&directory.path().join("queue"));
    for id in ["a1", "b2"] {
        let path = |text: &str| forward_path(&mut Cursor::new(text.as_bytes())).unwrap();
        // Its time comes in a long while.
        let mut envelope = Envelope::new(id.into(), 4_000_000_000, Some(path("ana@example.test")));
        envelope.add(path("luis@aula.test"));
        queue.put(&envelope, b"", &Content::Memory(b"Subject: a\n\n")).unwrap();
    }
    given_to_nobody(&directory.path().join("queue"));
    for (words, code, told) in [
        ("queue hold", 64, "usage: buzonctl"),
        ("queue keep a1", 64, "usage: buzonctl"),
        ("queue hold c3", 65, "c3 there is no such letter"),
        ("queue release a1", 65, "a1 waits for its turn and is not held"),
        ("queue hold a1", 0, "a1 held\n"),
        ("queue hold a1", 65, "a1 is held already"),
        ("queue hold all", 0, "b2 held\n"),
        ("queue remove b2", 0, "b2 removed: 12 octets from <ana@example.test> to <luis@aula.test>"),
        ("queue release all", 0, "a1 released\n"),
        ("queue remove all", 0, "a1 removed"),
        ("queue remove all", 0, ""),
    ] {
        let (exit, output, error) = buzonctl(directory.path(), words, "");
        assert_eq!(exit, code, "{words}: {output}{error}");
        assert!(format!("{output}{error}").contains(told), "{words}: {output}{error}");
    }
}

/// Root becomes nobody, whose queue it is then.
fn given_to_nobody(directory: &Path) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let chown = |path: &Path| nix::unistd::chown(path, Some(nobody.uid), Some(nobody.gid)).unwrap();
    chown(directory);
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { given_to_nobody(&path) } else { chown(&path) }
    }
}

#[test]
fn the_records_of_a_domain_are_printed_and_checked() {
    let directory = site();
    let conf = directory.path().join("buzon.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{text}smtp 192.0.2.7:25\n")).unwrap();
    fs::write(directory.path().join("zone"), "example.test. MX 20 other.test.\n").unwrap();
    let (code, printed, error) = buzonctl(directory.path(), "dns", "");
    assert_eq!(code, 69, "{error}");
    assert!(error.contains("5 records are not there"), "{error}");
    for told in [
        "example.test.                   IN MX    10 mail.example.test. ; different: 20 other.test.",
        "example.test.                   IN TXT   \"v=spf1 mx -all\" ; missing",
        "mail.example.test.              IN A     192.0.2.7 ; missing",
        "7.2.0.192.in-addr.arpa.         IN PTR   mail.example.test. ; missing",
        "; _mta-sts.example.test. IN TXT \"v=STSv1; id=",
    ] {
        assert!(printed.contains(told), "{told}: {printed}");
    }
    // What was printed is a zone file in which nothing is missing, and so is what the comments say.
    let zone = printed.replace("; _mta-sts", "_mta-sts");
    fs::write(directory.path().join("zone"), &zone).unwrap();
    let (code, printed, error) = buzonctl(directory.path(), "dns", "");
    assert_eq!((code, error.as_str()), (0, ""), "{printed}");
    assert_eq!(printed.matches("; there\n").count(), 5, "{printed}");
    // The domains of the virtual file are ours as well.
    let virtuals = "info@tienda.test luis\n@Mail.example.test luis\nana@EXAMPLE.test luis\n";
    fs::write(directory.path().join("virtual"), virtuals).unwrap();
    let (code, printed, error) = buzonctl(directory.path(), "dns", "");
    assert!(code == 69 && error.contains("3 records are not there"), "{printed}{error}");
    for told in [
        "\ntienda.test.                    IN MX    10 mail.example.test. ; missing",
        "\ntienda.test.                    IN TXT   \"v=spf1 mx -all\" ; missing",
        "\nmail.example.test.              IN MX    10 mail.example.test. ; missing",
        "\n; _mta-sts.tienda.test. IN TXT ",
    ] {
        assert!(printed.contains(told), "{told}: {printed}");
    }
    assert_eq!(printed.matches("; _mta-sts.").count(), 3, "{printed}");
}

#[test]
fn the_way_of_an_address_is_explained() {
    let directory = site();
    let conf = directory.path().join("buzon.conf");
    let text = fs::read_to_string(&conf).unwrap();
    let more = "relay .aula.test smtp:smart.test:587\ntls_require safe.test\n";
    fs::write(&conf, format!("{text}{more}")).unwrap();
    let zone = "far.test MX 20 b.test\nfar.test MX 10 a.test\na.test A 192.0.2.1\n\
                b.test AAAA 2001:db8::2\nsafe.test A 192.0.2.3\nnull.test MX 0 .\n";
    fs::write(directory.path().join("zone"), zone).unwrap();
    fs::write(directory.path().join("users"), "luis:{PLAIN}secret\n").unwrap();
    for (address, told) in [
        // RFC 5321 §4.1.3, as RCPT has it.
        ("luis@[127.0.0.1]", "[127.0.0.1] is this host: <luis@example.test>\n"),
        ("luis@[127.0.0.1]", "\nRCPT: 250\n"),
        ("luis@[IPv6:::1]", "\nRCPT: 250\n"),
        ("jo@[127.0.0.1]", "\nRCPT: 550 5.1.1\n"),
        ("luis@[192.0.2.1]", "to <luis@[192.0.2.1]>: [192.0.2.1] is none of our domains\n"),
        ("ana@far.test", "  MX 10 a.test: 192.0.2.1\n  MX 20 b.test: 2001:db8::2\n"),
        ("ana@far.test", "RCPT: 250 for who logged in and for relay_from, else 550 5.7.1\n"),
        ("ana@pc.aula.test", "buzon.conf:10: relay .aula.test smtp:smart.test:587\n"),
        ("ana@pc.aula.test", "leaves by smtp:smart.test:587\n"),
        ("ana@safe.test", "  MX 0 safe.test: 192.0.2.3\n  tls: verified or not at all"),
        ("ana@null.test", "it takes no mail (RFC 7505)"),
        ("ana@none.test", "the domain does not exist"),
    ] {
        let (code, printed, error) = buzonctl(directory.path(), &format!("explain {address}"), "");
        assert_eq!(code, 0, "{error}");
        assert!(printed.contains(told), "{address}: {told}: {printed}");
    }
}
