//! Tests of `route` on files of their own.

use super::*;
use crate::conf;
use tempfile::TempDir;

const USERS: &str = "luis:{PLAIN}x\nana:{PLAIN}x\nana+zoo:{PLAIN}x\neva:x::::relative\n";
const ALIASES: &str = "root: luis
class: luis, ana,
  Luis, ana+x   # each once
luis: luis, ana
zoo: \\ana
circle: other, \\luis
other: circle
swap: \\luis, ana+zoo
away: jo@elsewhere.test
far: away
both: luis, jo@elsewhere.test
two: a@elsewhere.test, b@elsewhere.test
loop: loop2
loop2: loop
half: loop, \\luis
ghost: luis, nobody
broken: eva
prog: \"|/bin/cat\"
home: luis@example.test, ANA+zoo@AULA.test
\"two words\": \\ana
list+x: \\ana
";

fn site(users: &str, aliases: &str) -> (TempDir, Site) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("buzon.conf");
    std::fs::write(&file, "hostname mail.example.test\ndomains example.test aula.test\n").unwrap();
    std::fs::write(directory.path().join("users"), users).unwrap();
    std::fs::write(directory.path().join("aliases"), aliases).unwrap();
    let site = conf::load(Some(&file)).unwrap();
    (directory, site)
}

fn mailbox(address: &str) -> Mailbox {
    let (local_part, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    Mailbox { local_part: local_part.into(), domain: domain.into() }
}

fn told(site: &Site, address: &str) -> String {
    let (users, live) = (auth::Live::default(), Live::default());
    match resolve(site, &users, &live, &mailbox(address)) {
        Ok(users) => users.into_iter().map(|user| user.name).collect::<Vec<_>>().join(" "),
        Err(Refusal::Elsewhere(mailbox)) => format!("551 {mailbox}"),
        Err(Refusal::Unavailable(why)) => {
            let directory = format!("{}/", site.users.parent().unwrap().display());
            format!("451 {}", why.strip_prefix(&directory).unwrap())
        }
        Err(refusal) => format!("{refusal:?}"),
    }
}

#[test]
fn names_and_whom_they_come_to() {
    let (_directory, site) = site(USERS, ALIASES);
    for (address, expected) in [
        ("ana+zoo@example.test", "ana+zoo"),
        ("root@example.test", "luis ana"),
        ("ROOT@AULA.test", "luis ana"),
        ("class@example.test", "luis ana"),
        ("luis@example.test", "luis ana"),
        ("luis+lista@example.test", "luis ana"),
        ("zoo@example.test", "ana"),
        ("swap@example.test", "luis ana+zoo"),
        ("home@example.test", "luis ana ana+zoo"),
        ("two words@example.test", "ana"),
        ("list+x@example.test", "ana"),
        ("list+y@example.test", "NoSuchUser"),
        ("+x@example.test", "NoSuchUser"),
        ("nobody@example.test", "NoSuchUser"),
        ("@example.test", "NoSuchUser"),
        ("luis@elsewhere.test", "NotLocal"),
        ("luis@test", "NotLocal"),
        ("away@example.test", "551 jo@elsewhere.test"),
        ("far@example.test", "551 jo@elsewhere.test"),
        ("both@example.test", "451 aliases:11: 'jo@elsewhere.test' cannot be served yet"),
        ("two@example.test", "451 aliases:12: 'b@elsewhere.test' cannot be served yet"),
        ("loop@example.test", "Loop"),
        ("half@example.test", "Loop"),
        ("circle@example.test", "luis"),
        ("other@example.test", "luis"),
    ] {
        assert_eq!(told(&site, address), expected, "{address}");
    }
    for (address, start) in [
        ("broken@example.test", "451 users:4: the home 'relative' is no absolute path"),
        ("ghost@example.test", "451 aliases:16: 'nobody' is neither"),
        ("prog@example.test", "451 aliases:18: '\"|/bin/cat\"' cannot be served yet"),
    ] {
        assert!(told(&site, address).starts_with(start), "{}", told(&site, address));
    }
}

#[test]
fn postmaster_is_always_somebody() {
    for (users, aliases, expected) in [
        (USERS, "", "luis"),
        (USERS, "postmaster: ana", "ana"),
        (USERS, "Postmaster: postmaster", "luis"),
        ("eva:x\npostmaster:x\n", "", "postmaster"),
        ("eva:x\npostmaster:x\n", "postmaster: postmaster, eva", "postmaster eva"),
        ("", "", "NoSuchUser"),
    ] {
        let (_directory, site) = site(users, aliases);
        for address in ["postmaster", "POSTmaster", "Postmaster@example.test"] {
            assert_eq!(told(&site, address), expected, "{aliases:?} {address}");
        }
        assert_eq!(told(&site, "abuse@example.test"), "NoSuchUser");
    }
}

#[test]
fn without_a_file_there_are_no_aliases() {
    let (_directory, mut site) = site(USERS, "");
    std::fs::remove_file(&site.aliases).unwrap();
    assert_eq!(told(&site, "luis@example.test"), "luis");
    assert_eq!(told(&site, "root@example.test"), "NoSuchUser");
    site.recipient_delimiter = None;
    assert_eq!(told(&site, "luis+x@example.test"), "NoSuchUser");
    assert_eq!(told(&site, "ana+zoo@example.test"), "ana+zoo");
}

#[test]
fn aliases_are_read_again_and_bounded() {
    let (_directory, site) = site(USERS, "a: luis");
    let (users, live) = (auth::Live::default(), Live::default());
    let resolve = || resolve(&site, &users, &live, &mailbox("a@example.test"));
    assert_eq!(resolve().unwrap()[0].name, "luis");
    std::fs::write(&site.aliases, "a: \\ana").unwrap();
    assert_eq!(resolve().unwrap()[0].name, "ana");
    let chain = (0..limits::ALIAS_EXPANSIONS).map(|n| format!("a{n}: a{}\n", n + 1));
    std::fs::write(&site.aliases, format!("a: a0\n{}", chain.collect::<String>())).unwrap();
    assert_eq!(resolve(), Err(Refusal::TooMany));
}

#[test]
fn vrfy_and_expn() {
    let (_directory, site) = site(USERS, ALIASES);
    let (users, live) = (auth::Live::default(), Live::default());
    for (name, full) in [
        ("Ana+Zoo", Ok("ana+zoo@example.test")),
        ("luis@AULA.test", Ok("luis@AULA.test")),
        ("two words", Ok("\"two words\"@example.test")),
        ("nobody", Err(Refusal::NoSuchUser)),
        ("luis@elsewhere.test", Err(Refusal::NotLocal)),
    ] {
        let full = full.map(str::to_owned);
        assert_eq!(verify(&site, &users, &live, &mailbox(name)), full, "{name}");
    }
    for (name, listed) in [
        ("class", "luis@example.test ana@example.test luis@example.test ana+x@example.test"),
        ("both@aula.test", "luis@aula.test jo@elsewhere.test"),
        ("ana+zoo", "ana+zoo@example.test"),
    ] {
        let found = members(&site, &users, &live, &mailbox(name)).unwrap();
        assert_eq!(found.join(" "), listed, "{name}");
    }
    assert_eq!(members(&site, &users, &live, &mailbox("no")), Err(Refusal::NoSuchUser));
    assert!(matches!(
        members(&site, &users, &live, &mailbox("prog")),
        Err(Refusal::Unavailable(_))
    ));
}

#[test]
fn faults_of_the_file() {
    let (_directory, site) = site(USERS, ALIASES);
    let faults = faults(&site, &auth::Live::default(), &Live::default());
    for told in [
        ":11: 'jo@",
        ":12: 'b@",
        ":13: 'loop' goes",
        ":15: 'half'",
        ":16: 'nobody'",
        "users:4:",
        ":18: ",
    ] {
        assert!(faults.iter().any(|fault| fault.contains(told)), "{told}: {faults:?}");
    }
    assert!(!faults.iter().any(|fault| fault.contains(":1: ")), "{faults:?}");
}
