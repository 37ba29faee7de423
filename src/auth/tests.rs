//! Tests of `auth` on a users file of its own.

use super::*;
use crate::conf;
use std::path::Path;
use tempfile::TempDir;

/// A site whose users file is this text.
fn site(users: &str, settings: &str) -> (TempDir, Site) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("buzon.conf");
    let text =
        format!("hostname mail.example.test\ndomains example.test\nfailure_delay 0s\n{settings}\n");
    std::fs::write(&file, text).unwrap();
    std::fs::write(directory.path().join("users"), users).unwrap();
    let site = conf::load(Some(&file)).unwrap();
    (directory, site)
}

/// Made by Dovecot's doveadm, by openssl and by perl's crypt; the password is `se cret`.
const HASHES: [(&str, &str); 13] = [
    ("PLAIN", "{PLAIN}se cret"),
    ("PLAIN", "{cleartext}se cret"),
    ("SSHA", "{SSHA}5iGiRgRv3Rmr9ixaK4A5ntXSiveH6Mbb"),
    ("SSHA", "{SSHA}Vls/Adi7EAK5kXYHvMg1W6wECkcxMjM0NTY3OA=="),
    (
        "SHA512-CRYPT",
        "{SHA512-CRYPT}$6$VaLvOy9.BrIEEko9$16PlRCSybVF0Z.lgShTp2gMrEehMZj/zEcGCq2o2STDnVp3eEVkWcwa\
         7wyInlbAeB/1gq1yUqew5t6aolXPHF1",
    ),
    (
        "SHA512-CRYPT",
        "{SHA512-CRYPT}$6$rounds=6000$VqCPw0mKK7xWuYDM$6jLOlwkxhumrBkx8vQaY4Pq5pdcgRAgCTSlLww8ZIBU\
         9LQqRgcHvxajayWbzxd8Yc.o04BUBBez1nItBCiSQj0",
    ),
    (
        "SHA512-CRYPT",
        "$6$abcdefgh$xipHhw9/NU1ASPvh9yHqieZTU/wnHyMSOZS8m4xkh3DunUWS9aWU6YyGCVH6.orJUrRcjNuTwSSMm\
         BOVdkdOl0",
    ),
    (
        "SHA256-CRYPT",
        "{SHA256-CRYPT}$5$vOdaqXjSReKwAezN$Ba4yssjsErSodf53yjQJQHPSS4UCgrjdBYwirjrD4S1",
    ),
    ("SHA256-CRYPT", "{CRYPT}$5$abcdefgh$R.O4v3YfCsHKLE1odnRJ9V3X46Hup06XNkuWBVbgro3"),
    ("BLF-CRYPT", "{BLF-CRYPT}$2y$05$vMrfVO6pCL7pk1yY7/tpE.KY49RGpEIxgy4l70Nj2ecvMhmW3NXSS"),
    ("BLF-CRYPT", "{CRYPT}$2y$05$3luwRNHV5SCPBU6/XqAV/uUDpfkAyBjk4JrDGX7qGAk.MdfzbZ6Ca"),
    ("CRYPT", "$1$abcdefgh$DVuLYHjDhfNuwQY5aLev/1"),
    ("CRYPT", "{CRYPT}$y$j9T$F5Jx5fExrKuPp53xLKQ..1$f1Xeu3lybmRqzUUrjpMOqOPCLbYrcWn.WuAfWQwgdu9"),
];

#[test]
fn schemes_of_others_are_understood() {
    for (scheme, stored) in HASHES {
        let (_directory, site) = site(&format!("luis:{stored}\n"), "");
        let live = Live::default();
        let check = |password: &[u8]| check(&site, &live, "luis", password, None);
        assert_eq!(check(b"se cret").map(|user| user.name), Ok("luis".into()), "{stored}");
        for wrong in [&b"se crets"[..], b"se cre", b"Se cret", b"se cret\0", b"", &[b'a'; 9_000]] {
            assert_eq!(check(wrong), Err(Error::Wrong), "{stored}");
        }
        assert_eq!(scheme::name(stored), scheme);
        assert_eq!(scheme::fault(stored), None);
    }
}

#[test]
fn what_we_make_we_understand() {
    for scheme in ["PLAIN", "ssha", "CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT"] {
        let stored = scheme::make(scheme, b"se cret").unwrap();
        assert_ne!((scheme == "PLAIN"), (stored != "{PLAIN}se cret"), "{stored}");
        let (_directory, site) = site(&format!("luis:{stored}\n"), "");
        assert!(check(&site, &Live::default(), "luis", b"se cret", None).is_ok(), "{stored}");
        assert!(scheme == "PLAIN" || stored != scheme::make(scheme, b"se cret").unwrap());
    }
    for (scheme, password) in [
        ("MD5", &b"secret"[..]),
        ("PLAIN", b"a:b"),
        ("PLAIN", b"caf\xe9"),
        ("SHA512-CRYPT", b""),
        ("SSHA", b"a\0b"),
        ("CRYPT", &[b'a'; 600]),
    ] {
        assert!(scheme::make(scheme, password).is_err(), "{scheme}");
    }
}

#[test]
fn who_cannot_log_in() {
    for entry in [
        "luis:",
        "luis:!",
        "luis:*",
        "luis:{CRYPT}*",
        "luis:{PLAIN}",
        "luis:secret",
        "luis:{MD4}secret",
        "luis:{SSHA}c2VjcmV0",
        "luis:{SHA512-CRYPT}$5$abcdefgh$R.O4v3YfCsHKLE1odnRJ9V3X46Hup06XNkuWBVbgro3",
        "luis:{PLAIN}secret::::::nologin",
        "luis:{PLAIN}secret::::::allow_nets=192.0.2.0/24",
        "ana:{PLAIN}secret",
        "#luis:{PLAIN}secret",
    ] {
        let (_directory, site) = site(&format!("{entry}\n"), "");
        let live = Live::default();
        for password in ["secret", "", "*", "!"] {
            let outcome = check(&site, &live, "luis", password.as_bytes(), None);
            assert_eq!(outcome, Err(Error::Wrong), "{entry}");
        }
        let known = find(&site, &live, "luis").unwrap().is_some();
        assert_eq!(known, entry.starts_with("luis"), "{entry}: mail is taken all the same");
    }
}

#[test]
fn entries_and_their_users() {
    let users = "# people\n\nluis:{PLAIN}x\nAna:{PLAIN}y:1000:1000:Ana B:/srv/ana:/bin/sh:\
                 userdb_mail=x userdb_quota_rule=*:storage=100M\neva:x:::::::\
                 userdb_quota_rule=*:bytes=5000\nñandú:x:::::: userdb_quota_rule=*:storage=2\n";
    for (mailbox, name, told) in [
        ("maildir:~/Maildir", "luis", "luis /home/luis /home/luis/Maildir 7"),
        ("maildir:~/Maildir", "LUIS@Example.Test", "luis /home/luis /home/luis/Maildir 7"),
        ("maildir:~/Maildir", "ANA", "ana /srv/ana /srv/ana/Maildir 104857600"),
        ("maildir:/var/mail/%u", "ana", "ana /srv/ana /var/mail/ana 104857600"),
        ("maildir:~/Maildir", "Ñandú", "ñandú /home/ñandú /home/ñandú/Maildir 2048"),
        ("maildir:~/Maildir", "luis@other.test", ""),
        ("maildir:~/Maildir", "# people", ""),
        ("maildir:~/Maildir", "", ""),
    ] {
        let (_directory, site) = site(users, &format!("home /home/%u\nmailbox {mailbox}\nquota 7"));
        let user = find(&site, &Live::default(), name).unwrap().map_or(String::new(), |user| {
            let (home, maildir) = (user.home.display(), user.mailbox.inbox().display());
            format!("{} {home} {maildir} {}", user.name, user.quota)
        });
        assert_eq!(user, told, "{name}");
    }
    let (_directory, site) = site(users, "");
    assert_eq!(first(&site, &Live::default()).unwrap().unwrap().name, "luis");
    assert_eq!(list(&site, &Live::default()).unwrap().len(), 4);
}

#[test]
fn uids_count_with_system_users_only() {
    let users = "luis:{PLAIN}x:1000:1001\nana:{PLAIN}x\nroot2:{PLAIN}x:0:0\nwww:{PLAIN}x:999:999\n\
                 staff:{PLAIN}x:1000:0\nnone:{PLAIN}x:65534:65534\neva:{PLAIN}x:vmail:\n";
    let (_directory, without) = site(users, "");
    let (_directory, with) = site(users, "system_users yes\nmail_group none");
    for (name, owner, code) in [
        ("luis", Some((1000, 1001)), Ok(())),
        ("ana", None, Ok(())),
        ("root2", None, Err("has uid 0, first_uid is 1000")),
        ("www", None, Err("has uid 999, first_uid is 1000")),
        ("staff", None, Err("has uid 1000 and gid 0")),
        ("none", None, Err("has uid 65534")),
        ("eva", None, Err(":7: uid 'vmail' and gid '' are not two numbers")),
        ("root", None, Err("the account 'root' has uid 0")),
    ] {
        let live = Live::default();
        let plain = find(&without, &live, name).unwrap();
        assert_eq!(plain.and_then(|user| user.account), None, "{name}");
        match (find(&with, &live, name), code) {
            (Ok(user), Ok(())) => {
                let account = user.unwrap().account;
                assert_eq!(account.as_ref().map(|account| (account.uid, account.gid)), owner);
                assert!(account.is_none_or(|account| account.groups == [1001]));
            }
            (Err(error), Err(told)) => assert!(error.to_string().contains(told), "{error}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
        let outcome = check(&with, &live, name, b"x", None);
        match code {
            Ok(()) => assert!(outcome.is_ok(), "{name}"),
            Err(_) if name == "eva" => assert!(matches!(outcome, Err(Error::Unavailable(_)))),
            Err(_) => assert_eq!(outcome, Err(Error::Wrong), "{name}"),
        }
    }
    let told = faults(&with, &Live::default());
    assert_eq!(told.iter().filter(|fault| fault.contains(" has uid ")).count(), 4, "{told:?}");
    assert!(host_faults(&with).iter().any(|(key, _)| *key == "mail_group"));
    assert!(host_faults(&without).is_empty());
}

#[test]
fn accounts_are_users_enough() {
    let (_directory, site) = site("", "system_users yes\nfirst_uid 4000000000");
    std::fs::remove_file(&site.users).unwrap();
    let live = Live::default();
    assert_eq!(find(&site, &live, "no-such-account").unwrap(), None);
    assert_eq!(find(&site, &live, "../root").unwrap(), None);
    assert_eq!(first(&site, &live).unwrap(), None);
    for (number, name) in ["no-such-account", "root", ""].iter().enumerate() {
        assert_eq!(check(&site, &live, name, b"x", None), Err(Error::Wrong));
        assert_eq!(live.crypts.taken(), number as u64 + 1, "{name}");
    }
}

#[test]
fn faults_cost_no_other_line() {
    for (line, told) in [
        ("eva:secret", "has no scheme and is no crypt(3) hash; set another with"),
        ("eva:{XX}secret", "there is no password scheme {XX}"),
        ("eva", "there is no ':' after the name"),
        ("eva {PLAIN}guess", "there is no ':' after the name"),
        ("../eva:{PLAIN}x", "is no user name"),
        (".eva:{PLAIN}x", "is no user name"),
        ("a/b:{PLAIN}x", "is no user name"),
        ("eva b:{PLAIN}x", "is no user name"),
        (":{PLAIN}x", "is no user name"),
        ("eva@example.test:{PLAIN}x", "has a domain"),
        ("LUIS:{PLAIN}x", "there is a user 'luis' above"),
        ("eva:{PLAIN}x::::home/eva", "is no absolute path"),
        ("eva:{PLAIN}x::::::userdb_quota_rule=Trash:storage=1M", "write *:storage=100M"),
    ] {
        let (_directory, site) = site(&format!("luis:{{PLAIN}}secret\n{line}\n"), "home people/%u");
        let live = Live::default();
        let place = format!("{}:2: ", site.users.display());
        let faults = faults(&site, &live);
        assert!(faults.len() == 1 && faults[0].starts_with(&place), "{line}: {faults:?}");
        assert!(faults[0].contains(told) && !faults[0].contains("guess"), "{line}: {faults:?}");
        assert!(check(&site, &live, "luis", b"secret", None).is_ok(), "{line}");
    }
}

#[test]
fn a_line_that_leads_nowhere_is_no_missing_user() {
    let (_directory, site) = site("eva:{PLAIN}x::::home/eva\n", "");
    let live = Live::default();
    let unavailable =
        |error: &Error| matches!(error, Error::Unavailable(why) if why.contains(":1: "));
    assert!(unavailable(&find(&site, &live, "eva").unwrap_err()));
    assert!(unavailable(&check(&site, &live, "eva", b"x", None).unwrap_err()));
    std::fs::remove_file(&site.users).unwrap();
    assert!(matches!(find(&site, &live, "eva"), Err(Error::Unavailable(_))));
}

#[test]
fn the_file_is_read_again() {
    let (_directory, site) = site("luis:{PLAIN}one\n", "");
    let live = Live::default();
    assert!(check(&site, &live, "luis", b"one", None).is_ok());
    std::fs::write(&site.users, "luis:{PLAIN}two\n").unwrap();
    assert_eq!(check(&site, &live, "luis", b"one", None), Err(Error::Wrong));
    assert!(check(&site, &live, "luis", b"two", None).is_ok());
    edit::add(&site, "ana", "{PLAIN}three").unwrap();
    assert!(check(&site, &live, "ana", b"three", None).is_ok());
}

/// RFC 1939 §7 has the example.
#[test]
fn apop() {
    let (_directory, site) = site("mrose:{PLAIN}tanstaaf\neva:$6$x$y\n", "");
    let live = Live::default();
    let stamp = "<1896.697170952@dbc.mtview.ca.us>";
    let apop = |name: &str, digest: &str| {
        check_apop(&site, &live, name, stamp, digest, None).map(|user| user.name)
    };
    assert_eq!(apop("mrose", "c4c9334bac560ecc979e58001b3e22fb"), Ok("mrose".into()));
    let nobody = format!("{:x}", Nobody(stamp));
    for (name, digest) in [
        ("mrose", "c4c9334bac560ecc979e58001b3e22fc"),
        ("mrose", "C4C9334BAC560ECC979E58001B3E22FB"),
        ("mrose", ""),
        ("eva", "c4c9334bac560ecc979e58001b3e22fb"),
        ("eva", &nobody),
        ("nobody", &nobody),
    ] {
        assert_eq!(apop(name, digest), Err(Error::Wrong), "{name} {digest}");
    }
}

/// The digest that is compared with where there is no password.
struct Nobody<'a>(&'a str);

impl fmt::LowerHex for Nobody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let digest = Md5::new().chain_update(self.0).chain_update("nobody knows").finalize();
        digest.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[test]
fn an_unknown_name_costs_what_a_known_one_costs() {
    let hash = "{CRYPT}$5$abcdefgh$R.O4v3YfCsHKLE1odnRJ9V3X46Hup06XNkuWBVbgro3";
    let (_directory, site) = site(&format!("luis:{{PLAIN}}x\nana:{hash}\neva:{hash}\nivo:!\n"), "");
    let live = Live::default();
    for (number, name) in ["ana", "nobody", "ivo", "ana@other.test", ""].iter().enumerate() {
        assert_eq!(check(&site, &live, name, b"wrong", None), Err(Error::Wrong));
        assert_eq!(live.crypts.taken(), number as u64 + 1, "{name}");
    }
    // Nobody has the password of the one whose scheme is taken.
    assert_eq!(check(&site, &live, "nobody", b"se cret", None), Err(Error::Wrong));
}

#[test]
fn costs_are_told_apart() {
    for (stored, class) in [
        ("{PLAIN}$6$x$y", "PLAIN"),
        ("{SSHA}5iGiRgRv3Rmr9ixaK4A5ntXSiveH6Mbb", "SSHA"),
        ("$6$abc$def", "$6"),
        ("{CRYPT}$6$rounds=6000$abc$def", "$6$rounds=6000"),
        ("$5$abc$def", "$5"),
        ("$1$abc$def", "$1"),
        ("{BLF-CRYPT}$2y$05$abc", "$2y$05"),
        ("$y$j9T$abc$def", "$y$j9T"),
        ("{CRYPT}abJnggxhB/yWI", "DES"),
    ] {
        assert_eq!(scheme::class(stored), class, "{stored}");
    }
}

#[test]
fn crypts_take_turns() {
    let (_directory, site) = site(&format!("luis:{}\n", HASHES[6].1), "");
    let live = Live::default();
    let mut turns: Vec<_> = (0..limits::CRYPTS).map(|_| live.crypts.take().unwrap()).collect();
    live.crypts.crowd(limits::CRYPTS_WAITING);
    for name in ["luis", "nobody"] {
        assert_eq!(check(&site, &live, name, b"se cret", None), Err(Error::Busy), "{name}");
    }
    live.crypts.crowd(0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| check(&site, &live, "luis", b"se cret", None));
        while live.crypts.waiting() == 0 {
            std::thread::yield_now();
        }
        assert!(!waiting.is_finished());
        turns.pop();
        assert!(waiting.join().unwrap().is_ok());
    });
}

#[test]
fn edits_keep_the_rest() {
    let (_directory, site) = site("# first\nluis:x:1::Luis:/srv/l\n\nAna:y", "");
    let text = || std::fs::read_to_string(&site.users).unwrap();
    edit::add(&site, "eva", "{PLAIN}z").unwrap();
    assert_eq!(text(), "# first\nluis:x:1::Luis:/srv/l\n\nAna:y\neva:{PLAIN}z\n");
    edit::passwd(&site, "luis", "{PLAIN}1").unwrap();
    edit::passwd(&site, "ana", "{PLAIN}2").unwrap();
    assert_eq!(text(), "# first\nluis:{PLAIN}1:1::Luis:/srv/l\n\nAna:{PLAIN}2\neva:{PLAIN}z\n");
    edit::del(&site, "ana").unwrap();
    assert_eq!(text(), "# first\nluis:{PLAIN}1:1::Luis:/srv/l\n\neva:{PLAIN}z\n");
    assert!(matches!(edit::add(&site, "luis", "x"), Err(edit::Error::Exists(_))));
    assert!(matches!(edit::passwd(&site, "ana", "x"), Err(edit::Error::NoSuchUser(_))));
    assert!(matches!(edit::del(&site, "ana"), Err(edit::Error::NoSuchUser(_))));
    for wrong in ["", "a:b", "a/b", ".a", "a b", "a\nb", "#a", "a@b", "..", &"a".repeat(65)] {
        assert!(matches!(edit::name(wrong), Err(edit::Error::Name(_))), "{wrong:?}");
    }
    assert_eq!(edit::name("Luis+Lista").unwrap(), "luis+lista");
}

#[test]
fn edits_at_once_lose_nothing() {
    let (_directory, site) = site("", "");
    std::fs::remove_file(&site.users).unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let site = &site;
            scope.spawn(move || edit::add(site, &format!("user{number}"), "{PLAIN}x").unwrap());
        }
    });
    assert_eq!(list(&site, &Live::default()).unwrap().len(), 8);
    assert_eq!(std::fs::read_dir(Path::new(&site.users).parent().unwrap()).unwrap().count(), 2);
}
