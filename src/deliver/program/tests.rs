//! Programs and files that take letters: whose they are, what they find, how they end.

use super::*;
use crate::sys::capability::may_switch;
use crate::sys::process::is_root;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use tempfile::TempDir;

const LETTER: &[u8] = b"Subject: a\n\nFrom here\n.\n";
const NOBODY: u32 = 65534;
/// A group that nobody is in.
const MAIL: u32 = 54321;

/// A home, its owner, a site; whoever may borrow accounts has nobody's.
struct Place {
    home: TempDir,
    account: Option<Account>,
    site: Site,
    sender: Mailbox,
    recipient: Mailbox,
}

fn place() -> Place {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("buzon.conf");
    fs::write(&path, "hostname mail.example.test\nrecipient_delimiter +\ndeliver_wait 1s\n")
        .unwrap();
    let site = crate::conf::load(Some(&path)).unwrap();
    fs::remove_file(path).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).unwrap();
    let account = may_switch().then(|| {
        let (uid, gid) = (NOBODY, NOBODY);
        Account { uid, gid, groups: vec![gid], mail_gid: gid }
    });
    let mailbox = |local_part: &str, domain: &str| Mailbox {
        local_part: local_part.into(),
        domain: domain.into(),
    };
    let sender = mailbox("$(touch x) a", "aula.test");
    Place { home, account, site, sender, recipient: mailbox("luis+lista", "example.test") }
}

impl Place {
    fn behalf(&self) -> Behalf<'_> {
        Behalf {
            site: &self.site,
            account: self.account.as_ref(),
            user: "luis",
            home: self.home.path(),
            sender: Some(&self.sender),
            recipient: &self.recipient,
            now: 1_790_000_000,
        }
    }

    /// What a command says, which ends with a code of its own for that.
    fn said(&self, command: &str) -> String {
        let command = format!("{{ {command}; }} 2>&1; exit 69");
        match to_program(&self.behalf(), &command, &mut &LETTER[..]) {
            Outcome::Never(said) => {
                let prefix = "the program refused it (69, unavailable)";
                let text = said.text.strip_prefix(prefix).unwrap();
                text.strip_prefix(": ").unwrap_or("").to_owned()
            }
            other => panic!("{other:?}"),
        }
    }

    fn status(&self, command: &str) -> String {
        shown(to_program(&self.behalf(), command, &mut &LETTER[..]))
    }

    fn file(&self, path: &Path) -> String {
        shown(to_file(&self.behalf(), path, &Content::Memory(LETTER)))
    }
}

fn shown(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done(_) => "done".into(),
        Outcome::Later(said) | Outcome::Never(said) => said.status,
    }
}

#[test]
fn it_finds_the_letter_as_an_mbox_has_it() {
    let said = place().said("cat");
    let (from, rest) = said.split_once(" / ").unwrap();
    assert!(from.starts_with("From \"$(touch-x)-a\"@aula.test  ") && from.ends_with(" 2026"));
    let expected = "Return-Path: <\"$(touch x) a\"@aula.test> / \
                    Delivered-To: luis+lista@example.test / Subject: a / From here / .";
    assert_eq!(rest, expected);
    let place = place();
    let behalf = Behalf { sender: None, ..place.behalf() };
    let command = "IFS= read -r line; case $line in 'From MAILER-DAEMON  '*) exit 0; esac; exit 1";
    assert_eq!(shown(to_program(&behalf, command, &mut &LETTER[..])), "done");
}

#[test]
fn it_is_the_owner_and_nobody_else() {
    let place = place();
    assert_eq!(place.said("umask; ulimit -c"), "0077 / 0");
    assert_eq!(place.said("pwd"), place.home.path().to_string_lossy());
    // Its own session: the number of the session, sixth of stat, is its process.
    let own = "read -r _ _ _ _ group session _ </proc/$$/stat; test $$ = $group -a $$ = $session";
    assert_eq!(place.said(&format!("{own} && echo own")), "own");
    // Descriptors that others left open do not reach it; the last is that of ls.
    let open = nix::unistd::dup(io::stdin()).unwrap();
    assert_eq!(place.said("ls /proc/self/fd"), "0 / 1 / 2 / 3");
    drop(open);
    if !may_switch() {
        return;
    }
    assert_eq!(place.said("id -u; id -g; id -G"), "65534 / 65534 / 65534");
    let ids = "grep -E '^(Uid|Gid|CapPrm|CapEff|CapInh|CapAmb)' /proc/$$/status | tr '\\t' ' '";
    let said = place.said(ids);
    assert_eq!(said.matches("65534 65534 65534 65534").count(), 2, "{said}");
    assert_eq!(said.matches(" 0000000000000000").count(), 4, "{said}");
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(&secret, "secret").unwrap();
    assert!(place.said(&format!("cat {}", secret.path().display())).contains("denied"));
    // A home that it may not enter.
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let behalf = Behalf { home: closed.path(), ..place.behalf() };
    let outcome = to_program(&behalf, "test $(pwd) = /", &mut &LETTER[..]);
    assert_eq!(shown(outcome), "done");
}

#[test]
fn root_is_never_asked() {
    let place = place();
    let root = Account { uid: 0, gid: 0, groups: vec![0], mail_gid: 0 };
    let mut accounts = vec![Some(&root)];
    // Who is not root may do what it may do.
    accounts.extend(is_root().then_some(None));
    for account in accounts {
        let made = place.home.path().join("made");
        let command = format!("touch {}", made.display());
        let behalf = Behalf { account, ..place.behalf() };
        assert_eq!(shown(to_program(&behalf, &command, &mut &LETTER[..])), "4.3.0");
        assert!(!made.exists());
    }
}

#[test]
fn its_environment_is_what_we_say() {
    let place = place();
    let home = format!("HOME={}", place.home.path().display());
    let said = place.said("env | grep -v -e ^PWD= -e ^OLDPWD= -e ^_= -e ^SHLVL= | sort");
    let expected = [
        "DOMAIN=example.test",
        "EXTENSION=lista",
        &home,
        "LANG=C",
        "LOCAL=luis+lista",
        "LOGNAME=luis",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "RECIPIENT=luis+lista@example.test",
        "SENDER=___touch_x__a_@aula.test",
        "SHELL=/bin/sh",
        "USER=luis",
    ];
    assert_eq!(said, expected.join(" / "));
}

#[test]
fn exit_codes() {
    let place = place();
    for (command, status) in [
        ("exit 0", "done"),
        ("exit 1", "5.3.0"),
        ("exit 64", "5.3.0"),
        ("exit 65", "5.6.0"),
        ("exit 67", "5.1.1"),
        ("exit 68", "5.1.2"),
        ("exit 69", "5.3.0"),
        ("exit 71", "4.3.0"),
        ("exit 74", "4.3.0"),
        ("exit 75", "4.3.0"),
        ("exit 77", "5.7.0"),
        ("exit 78", "5.3.5"),
        ("exit 100", "5.3.0"),
        ("/no/such/program", "5.3.0"),
        ("kill -9 $$", "4.3.0"),
        ("sh -c 'kill -15 $$'; exit $?", "4.3.0"),
    ] {
        assert_eq!(place.status(command), status, "{command}");
    }
}

#[test]
fn what_it_says_is_kept_up_to_a_length_and_the_rest_read() {
    let place = place();
    let said = place.said("yes | head -c 1000000");
    assert!((limits::PROGRAM_OUTPUT..3 * limits::PROGRAM_OUTPUT).contains(&said.len()));
    assert_eq!(place.said("printf 'a\\033[2J\\0\\r\\n\\n b'"), "a\\x1b[2J\\x00 / b");
}

#[test]
fn it_need_not_read_and_may_leave_others_running() {
    let place = place();
    let large = vec![b'x'; 1_000_000];
    assert_eq!(shown(to_program(&place.behalf(), "exit 0", &mut &large[..])), "done");
    assert_eq!(shown(to_program(&place.behalf(), "cat >/dev/null", &mut &large[..])), "done");
    // What it left holds its standard output, and we do not wait for it.
    assert_eq!(shown(to_program(&place.behalf(), "sleep 3 & exit 0", &mut &large[..])), "done");
    // Both directions at once.
    let count = "tee /dev/stderr | wc -c | grep -q '^ *1000[0-9]*$' || exit 1";
    assert_eq!(shown(to_program(&place.behalf(), count, &mut &large[..])), "done");
}

/// Whether a process runs; one that only waits to be taken note of does not.
fn runs(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn it_is_stopped_with_all_that_it_started() {
    let place = place();
    let command = "umask 022; (trap '' TERM HUP; sleep 500 & echo $! >>who; wait) & echo $$ >>who; \
                   echo $! >>who; while :; do sleep 500; done";
    let who = place.home.path().join("who");
    let mut time = Duration::from_millis(200);
    // It must have come so far, however slow the machine.
    let processes = loop {
        let outcome = within(&place.behalf(), command, &mut &LETTER[..], time);
        assert_eq!(shown(outcome), "4.3.0");
        let text = fs::read_to_string(&who).unwrap_or_default();
        if text.lines().count() >= 3 {
            break text;
        }
        assert!(time < Duration::from_secs(20), "{text}");
        time *= 2;
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes.lines().any(runs) {
        assert!(Instant::now() < deadline, "{processes}");
        std::thread::yield_now();
    }
}

#[test]
fn half_a_letter_never_passes_for_a_whole_one() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk"))
        }
    }
    let place = place();
    let outcome =
        to_program(&place.behalf(), "cat >/dev/null; touch whole", &mut LETTER.chain(Broken));
    assert!(matches!(outcome, Outcome::Later(said) if said.text.contains("the disk")));
    assert!(!place.home.path().join("whole").exists());
}

#[test]
fn files_are_the_owners_mboxes() {
    let place = place();
    let path = place.home.path().join("box");
    assert_eq!((place.file(&path), place.file(&path)), ("done".into(), "done".into()));
    let _owner = place.account.as_ref().map(|account| borrow(account).unwrap());
    let data = fs::metadata(&path).unwrap();
    assert_eq!(data.mode() & 0o777, 0o600);
    if may_switch() {
        assert_eq!((data.uid(), data.gid()), (NOBODY, NOBODY));
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("\n>From here\n.\n").count(), 2, "{text}");
    assert_eq!(text.matches("Delivered-To: luis+lista@example.test\n").count(), 2);
    assert_eq!(fs::read_dir(place.home.path()).unwrap().count(), 1, "locks stay");
}

#[test]
fn files_that_are_none() {
    let place = place();
    let at = |name: &str| place.home.path().join(name);
    fs::create_dir(at("directory")).unwrap();
    fs::write(at("other"), "").unwrap();
    symlink(at("other"), at("link")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for name in ["directory", "link", "pipe", "no/such/directory"] {
        assert_eq!(place.file(&at(name)), "4.2.0", "{name}");
    }
    if may_switch() {
        // It is ours; but the letter is put there by somebody else.
        fs::set_permissions(at("other"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(place.file(&at("other")), "4.2.0");
    }
    assert_eq!(fs::read(at("other")).unwrap(), b"");
    assert_eq!(place.file(Path::new("/dev/null")), "done");
    assert_eq!(place.file(Path::new("/dev/zero")), "4.2.0");
    fs::write(at("box.lock"), "").unwrap();
    assert_eq!(place.file(&at("box")), "4.2.0");
}

/// `/var/mail` as Debian has it: the mail group makes mailboxes and locks there, a user does not.
#[test]
fn the_mail_group_is_not_for_paths_that_a_user_chose() {
    if !may_switch() {
        return;
    }
    let mut place = place();
    place.account.as_mut().unwrap().mail_gid = MAIL;
    let spool = place.home.path().join("spool");
    fs::create_dir(&spool).unwrap();
    chown(&spool, None, Some(MAIL)).unwrap();
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o2775)).unwrap();
    assert_eq!(place.file(&spool.join("ana")), "4.2.0");
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
    // What is the user's own takes letters, under the kernel's lock.
    let own = spool.join("eve");
    fs::write(&own, "").unwrap();
    chown(&own, Some(NOBODY), Some(MAIL)).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o660)).unwrap();
    assert_eq!(place.file(&own), "done");
    assert_eq!(fs::read_to_string(&own).unwrap().matches("From here\n").count(), 1);
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 1);
    // Who has locked it the other way is waited for.
    fs::write(spool.join("eve.lock"), "").unwrap();
    assert_eq!(place.file(&own), "4.2.0");
}
