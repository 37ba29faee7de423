//! Tests of `route` on files of their own.

use super::*;
use crate::conf;
use tempfile::TempDir;

const CONFIGURATION: &str =
    "hostname mail.example.test\ndomains example.test aula.test\nmail_owner nobody\nhome home/%u\n";
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
    std::fs::write(&file, CONFIGURATION).unwrap();
    std::fs::write(directory.path().join("users"), users).unwrap();
    std::fs::write(directory.path().join("aliases"), aliases).unwrap();
    mode(&directory.path().join("aliases"), 0o644);
    let site = conf::load(Some(&file)).unwrap();
    (directory, site)
}

fn mailbox(address: &str) -> Mailbox {
    let (local_part, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    Mailbox { local_part: local_part.into(), domain: domain.into() }
}

fn shown(site: &Site, routed: &Routed) -> String {
    let owner = routed.owner.as_ref().map_or(String::new(), |owner| format!(" by <{owner}>"));
    let target = match &routed.target {
        Target::User(user) => user.name.clone(),
        Target::Remote(mailbox) => mailbox.to_string(),
        Target::Program { command, owner } => format!("{}|{command}", owner.name),
        Target::File { path, owner } => format!("{}>{}", owner.name, path.display()),
        Target::List(list) => format!("list <{}>", list.address),
    };
    let directory = format!("{}/", site.users.parent().unwrap().display());
    format!("{target}{owner}").replace(&directory, "")
}

/// Targets with blanks between them, or the refusal.
fn told(site: &Site, address: &str) -> String {
    let (users, live) = (auth::Live::default(), Live::default());
    match resolve(site, &users, &live, &mailbox(address)) {
        Ok(routed) => routed.iter().map(|routed| shown(site, routed)).collect::<Vec<_>>().join(" "),
        Err(Refusal::Unavailable(why)) => {
            let directory = format!("{}/", site.users.parent().unwrap().display());
            format!("451 {}", why.strip_prefix(&directory).unwrap_or(&why))
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
        ("away@example.test", "jo@elsewhere.test"),
        ("far@example.test", "jo@elsewhere.test"),
        ("both@example.test", "luis ana jo@elsewhere.test"),
        ("two@example.test", "a@elsewhere.test b@elsewhere.test"),
        ("loop@example.test", "Loop"),
        ("half@example.test", "Loop"),
        ("prog@example.test", "nobody|/bin/cat"),
        ("circle@example.test", "luis"),
        ("other@example.test", "luis"),
    ] {
        assert_eq!(told(&site, address), expected, "{address}");
    }
    for (address, start) in [
        ("broken@example.test", "451 users:4: the home 'relative' is no absolute path"),
        ("ghost@example.test", "451 aliases:16: 'nobody' is neither"),
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
    let first = || shown(&site, &resolve().unwrap()[0]);
    assert_eq!(first(), "luis");
    std::fs::write(&site.aliases, "a: \\ana").unwrap();
    assert_eq!(first(), "ana");
    let chain = (0..limits::ALIAS_EXPANSIONS).map(|n| format!("a{n}: a{}\n", n + 1));
    std::fs::write(&site.aliases, format!("a: a0\n{}", chain.collect::<String>())).unwrap();
    assert_eq!(resolve(), Err(Refusal::TooMany));
    std::fs::write(&site.aliases, format!("a: {}luis", "x@far.test,".repeat(1_000))).unwrap();
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
        ("prog", "prog@example.test"),
    ] {
        let found = members(&site, &users, &live, &mailbox(name)).unwrap();
        assert_eq!(found.join(" "), listed, "{name}");
    }
    assert_eq!(members(&site, &users, &live, &mailbox("no")), Err(Refusal::NoSuchUser));
}

#[test]
fn faults_of_the_file() {
    let (_directory, site) = site(USERS, ALIASES);
    let faults = faults(&site, &auth::Live::default(), &Live::default());
    for told in [":13: 'loop' goes", ":15: 'half'", ":16: 'nobody'", "users:4:"] {
        assert!(faults.iter().any(|fault| fault.contains(told)), "{told}: {faults:?}");
    }
    assert!(!faults.iter().any(|fault| fault.contains(":1: ")), "{faults:?}");
}

/// Writes a file of the site, as only its owner could.
fn write(site: &Site, name: &str, text: &str) {
    let path = site.users.parent().unwrap().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    for path in [&path, path.parent().unwrap()] {
        mode(path, if path.is_dir() { 0o755 } else { 0o644 });
    }
}

fn mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn programs_files_and_included_files() {
    let (directory, site) = site(USERS, "");
    let at = directory.path().display();
    write(&site, "class", "luis, jo@far.test # the first\n\n:include:/nonexistent/x\n");
    write(&site, "row", &format!("ana, row\n:include:{at}/row\n\"|/bin/cat\"\nx y\n"));
    write(&site, "empty", "# nobody yet\n");
    write(
        &site,
        "aliases",
        &format!(
            "both: \"|/usr/bin/vacation -a x, luis\", /var/mail/all, \\luis\n\
             class: :include:{at}/class\nrow: :include:{at}/row\nnone: luis, :include:{at}/empty\n\
             luis: \"|/bin/x\"\nvoid: :include:{at}/empty\n"
        ),
    );
    for (address, expected) in [
        ("both", "nobody|/usr/bin/vacation -a x, luis nobody>/var/mail/all luis"),
        ("class", "451 /nonexistent/x: there is no such file"),
        ("row", "451 row:1: 'row' is neither an alias nor a user"),
        ("none", "nobody|/bin/x"),
        ("void", "451 void: all that it includes is empty"),
    ] {
        assert!(told(&site, address).contains(expected), "{address}: {}", told(&site, address));
    }
    write(&site, "row", &format!("ana\n:include:{at}/row\n\"|/bin/cat\"\nx y\n"));
    assert_eq!(told(&site, "row"), "ana nobody|/bin/cat");
    mode(&site.users.with_file_name("row"), 0o664);
    let refused = told(&site, "row");
    assert!(refused.starts_with("451 row:3: '|/bin/cat' is not served, as this file can"));
    write(&site, "row", "ana");
    mode(&site.users.with_file_name("row"), 0o666);
    assert_eq!(told(&site, "row"), "ana");
}

#[test]
fn what_users_forward() {
    let aliases = "class: luis, ana\nluis: luis\nbox: \\luis\npool: loop\nloop: pool\n";
    for (luis, ana, expected) in [
        ("", "", "luis ana"),
        ("# nothing\n", "", "luis ana"),
        ("jo@far.test", "", "jo@far.test ana"),
        ("\\luis, jo@far.test\n", "", "luis jo@far.test ana"),
        ("Luis\njo@far.test", "", "luis jo@far.test ana"),
        ("luis+copy@example.test, jo@far.test", "", "luis jo@far.test ana"),
        ("\"|/bin/x luis\", /tmp/copy", "", "luis|/bin/x luis luis>/tmp/copy ana"),
        ("ana", "", "ana"),
        ("ana", "luis, ana", "ana luis"),
        ("ana", "luis", "luis ana"),
        ("class", "", "ana luis"),
        ("class", "class", "luis ana"),
        ("pool", "", "Loop"),
        ("box", "", "luis ana"),
        ("nobody-here", "", "451 home/luis/.forward:1: 'nobody-here' is neither"),
        ("x y\nana", "", "451 home/luis/.forward:1: 'x y' is two words"),
        (":include:/nonexistent/x", "", "451 /nonexistent/x: there is no such file"),
    ] {
        let (_directory, site) = site(USERS, aliases);
        write(&site, "home/luis/.forward", luis);
        write(&site, "home/ana/.forward", ana);
        let found = told(&site, "class");
        assert!(found.starts_with(expected), "{luis:?} {ana:?}: {found}");
        assert_eq!(told(&site, "box"), "luis");
        assert_eq!(found.starts_with("451"), told(&site, "luis+x").starts_with("451"));
    }
}

#[test]
fn a_forward_that_others_could_have_written_is_refused() {
    let (_directory, site) = site(USERS, "");
    write(&site, "home/luis/.forward", "jo@far.test");
    let home = site.users.with_file_name("home/luis");
    for (file, directory, expected) in [
        (0o644, 0o755, "jo@far.test"),
        (0o664, 0o755, "451 home/luis/.forward: can be written by others (mode 664), chmod go-w"),
        (0o644, 0o777, "451 home/luis/.forward: is in "),
    ] {
        mode(&home.join(".forward"), file);
        mode(&home, directory);
        let found = told(&site, "luis");
        assert!(found.starts_with(expected), "{found}");
    }
    // A home that others may write to is nobody's business where nothing is forwarded.
    std::fs::remove_file(home.join(".forward")).unwrap();
    assert_eq!(told(&site, "luis"), "luis");
}

#[test]
fn virtual_addresses() {
    let (_directory, site) = site(USERS, "class: luis, ana\n");
    write(
        &site,
        "virtual",
        "info@tienda.test class, jo@far.test\npost@tienda.test info@tienda.test\n\
         @tienda.test ana\n@old.test @tienda.test\n@away.test @far.test\nx@no.test nobody-here\n\
         luis@aula.test ana\n@example.test luis\nlost@example.test lost@example.test\n\
         @a.test @b.test\n@b.test @a.test\nana+zoo@tienda.test \\ana\n",
    );
    for (address, expected) in [
        ("info@tienda.test", "luis ana jo@far.test"),
        ("INFO@Tienda.Test", "luis ana jo@far.test"),
        ("info+shop@tienda.test", "luis ana jo@far.test"),
        ("post@tienda.test", "luis ana jo@far.test"),
        ("luis@tienda.test", "ana"),
        ("postmaster@tienda.test", "ana"),
        ("info@old.test", "luis ana jo@far.test"),
        ("whoever@old.test", "ana"),
        ("info@away.test", "info@far.test"),
        ("x@no.test", "451 virtual:6: 'nobody-here' is neither"),
        ("luis@no.test", "NoSuchUser"),
        ("postmaster@no.test", "luis"),
        ("luis@aula.test", "ana"),
        ("ana@aula.test", "ana"),
        ("other@aula.test", "NoSuchUser"),
        ("ana@example.test", "ana"),
        ("class@example.test", "luis ana"),
        ("whoever@example.test", "luis"),
        ("lost@example.test", "451 virtual:9: 'lost' is neither"),
        ("luis@a.test", "Loop"),
        ("luis@far.test", "NotLocal"),
    ] {
        assert!(told(&site, address).starts_with(expected), "{address}: {}", told(&site, address));
    }
    let faults = faults(&site, &auth::Live::default(), &Live::default());
    for line in ["virtual:6: ", "virtual:9: ", "virtual:12: "] {
        assert!(faults.iter().any(|fault| fault.contains(line)), "{line}: {faults:?}");
    }
    assert_eq!(faults.len(), 3, "{faults:?}");
    let expn =
        members(&site, &auth::Live::default(), &Live::default(), &mailbox("info@tienda.test"));
    assert_eq!(expn.unwrap(), ["class@tienda.test", "jo@far.test"]);
}

#[test]
fn lists_and_owners() {
    let (_directory, site) = site(
        USERS,
        "staff: luis, jo@far.test\nowner-staff: ana\nall: row, staff\nwait: luis\nwait-request: ana\n",
    );
    write(&site, "lists/row", "luis\nluis\njo@far.test\n");
    write(&site, "lists/wait", "luis\n");
    write(&site, "lists/empty", "# nobody\n");
    write(&site, "virtual", "team@tienda.test staff\nrow@tienda.test row\n");
    for (address, expected) in [
        (
            "staff@aula.test",
            "luis by <owner-staff@aula.test> jo@far.test by <owner-staff@aula.test>",
        ),
        ("owner-staff@example.test", "ana"),
        ("row@example.test", "list <row@example.test> by <owner-row@example.test>"),
        ("row+x@example.test", "list <row@example.test> by <owner-row@example.test>"),
        ("row@tienda.test", "list <row@example.test> by <owner-row@example.test>"),
        ("owner-row@example.test", "luis"),
        ("row-request@example.test", "luis"),
        ("wait-request@example.test", "ana"),
        ("owner-nolist@example.test", "NoSuchUser"),
        ("empty@example.test", "451 lists/empty: the list has no members"),
        ("../users@example.test", "NoSuchUser"),
        ("all@example.test", "list <row@example.test> by <owner-row@example.test> luis by"),
        ("team@tienda.test", "luis by <owner-staff@example.test>"),
    ] {
        assert!(told(&site, address).starts_with(expected), "{address}: {}", told(&site, address));
    }
    let routed =
        resolve(&site, &auth::Live::default(), &Live::default(), &mailbox("row@aula.test"));
    let [Routed { target: Target::List(list), .. }] = &routed.unwrap()[..] else { panic!() };
    let members: Vec<_> = list.members().map(|member| member.to_string()).collect();
    assert_eq!(members, ["luis@aula.test", "luis@aula.test", "jo@far.test"]);
    assert!(list.fields.starts_with("Delivered-To: row@aula.test\nList-Id: <row.aula.test>\n"));
    let expn = super::members(&site, &auth::Live::default(), &Live::default(), &mailbox("row"));
    assert_eq!(expn.unwrap()[1..], ["luis@example.test", "jo@far.test"]);
}

#[test]
fn senders_of_what_goes_on() {
    let (_directory, mut site) =
        site(USERS, "away: jo@far.test\nstaff: jo@far.test, luis\nowner-staff: ana\n");
    site.srs = Some(site.users.with_file_name("secret"));
    write(&site, "secret", "one\ntwo\n");
    let (users, live) = (auth::Live::default(), Live::default());
    let sender = |address: &str, path: Option<&str>| {
        let routed = resolve(&site, &users, &live, &mailbox(address)).unwrap();
        let path = path.map(mailbox);
        let now = SystemTime::now();
        let path = reverse_path(&site, &live, &routed[0], path.as_ref(), now).unwrap();
        path.map_or("<>".into(), |path| path.to_string())
    };
    for (address, path, expected) in [
        ("away@aula.test", None, "<>"),
        ("staff@aula.test", None, "<>"),
        ("staff@aula.test", Some("eva@else.test"), "owner-staff@aula.test"),
        ("away@aula.test", Some("luis@example.test"), "luis@example.test"),
        ("luis@aula.test", Some("eva@else.test"), "eva@else.test"),
    ] {
        assert_eq!(sender(address, path), expected, "{address} {path:?}");
    }
    let away = sender("away@aula.test", Some("Eva@else.test"));
    assert!(away.starts_with("SRS0=") && away.ends_with("=else.test=Eva@aula.test"), "{away}");
    assert_eq!(told(&site, &away), "Eva@else.test");
    assert_eq!(told(&site, &away.replace("Eva", "Ana")), "NoSuchUser");
    write(&site, "secret", "");
    assert!(told(&site, &away).starts_with("451 secret: there is no secret"));
}

#[test]
fn every_step_is_told() {
    let (directory, site) = site(USERS, "class: luis, jo@far.test\n");
    write(&site, "home/luis/.forward", "\\luis, ana");
    write(&site, "virtual", "info@tienda.test class\n");
    let explained = |address: &str| {
        let lines = explain(&site, &auth::Live::default(), &Live::default(), &mailbox(address));
        lines.join("\n").replace(&format!("{}/", directory.path().display()), "")
    };
    assert_eq!(
        explained("info@tienda.test"),
        "virtual:1: the virtual address <info@tienda.test>\n\
         aliases:1: the alias 'class': luis, jo@far.test\n\
         users:1: the user 'luis'\n\
         home/luis/.forward: forwards to \\luis, ana\n\
         users:2: the user 'ana'\n\
         to mailbox of luis: home/luis/Maildir\n\
         to mailbox of ana: home/ana/Maildir\n\
         to other host: <jo@far.test>"
    );
    assert_eq!(explained("x@far.test"), "refused: the domain is not ours");
}
