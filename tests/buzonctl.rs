//! buzonctl(8) as a program: words in, files changed, exit codes of sysexits(3) out.

#![allow(clippy::unwrap_used)]

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
                home home/%u\nspool spool\nrun run\ncertificate tls/c.pem tls/k.pem\n";
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
    let whole = format!("{}/buzon.conf:7: certificate: ", directory.path().display());
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
        ("explain jo@elsewhere.test", 0, "refused: the domain is not ours\n"),
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
