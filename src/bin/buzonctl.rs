//! buzonctl: users, certificates, queued letters, and whether a site is in order. See buzonctl(8).

use buzon::auth::{self, edit, scheme};
use buzon::conf::{self, Role, Site};
use buzon::deliver::{self, Change, Refused, change};
use buzon::dns::{self, Check, Dns};
use buzon::queue::Queue;
use buzon::text::Cursor;
use buzon::{mail, route, sys};
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const DEFAULT: &str = "/etc/buzon/buzon.conf";
const USAGE: &str = "usage: buzonctl [-f file] user add name [-s scheme]
       buzonctl [-f file] user passwd name [-s scheme]
       buzonctl [-f file] user del name
       buzonctl [-f file] user list
       buzonctl [-f file] certificate name ...
       buzonctl [-f file] check
       buzonctl [-f file] explain address
       buzonctl [-f file] dns
       buzonctl [-f file] queue hold|release|remove|retry|bounce id ...|all";

// sysexits(3)
const EX_USAGE: u8 = 64;
const EX_DATAERR: u8 = 65;
const EX_NOUSER: u8 = 67;
const EX_UNAVAILABLE: u8 = 69;
const EX_CANTCREAT: u8 = 73;
const EX_IOERR: u8 = 74;
const EX_TEMPFAIL: u8 = 75;
const EX_NOPERM: u8 = 77;
const EX_CONFIG: u8 = 78;

/// The exit code and what is said on standard error.
type Failure = (u8, String);

fn fail<T>(code: u8, why: impl Display) -> Result<T, Failure> {
    Err((code, format!("buzonctl: {why}")))
}

fn main() -> ExitCode {
    sys::signal::end_with_the_reader();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            eprintln!("{why}");
            ExitCode::from(code)
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut options = getopts::Options::new();
    options.optopt("f", "", "the configuration", "file");
    options.optopt("s", "", "the password scheme", "scheme");
    let matches = match options.parse(std::env::args_os().skip(1)) {
        Ok(matches) => matches,
        Err(error) => return fail(EX_USAGE, format!("{error}\n{USAGE}")),
    };
    let path = matches.opt_str("f").map(PathBuf::from);
    let path = path.or_else(|| Some(DEFAULT.into()).filter(|path: &PathBuf| path.exists()));
    let scheme = matches.opt_str("s");
    let words: Vec<&str> = matches.free.iter().map(String::as_str).collect();
    // Faults and mailboxes are told with whole paths, wherever one stands.
    let path = path.map(|path| std::path::absolute(&path).unwrap_or(path));
    let site = || load(path.as_deref());
    match (&words[..], &scheme) {
        (["user", "add", name], scheme) => add(&site()?, name, scheme.as_deref()),
        (["user", "passwd", name], scheme) => passwd(&site()?, name, scheme.as_deref()),
        (["user", "del", name], None) => del(&site()?, name),
        (["user", "list"], None) => list(&site()?),
        (["certificate", _, ..], None) => certificate(&site()?, &matches.free[1..]),
        (["check"], None) => check(&site()?, path.as_deref()),
        (["explain", address], None) => explain(&site()?, address),
        (["dns"], None) => dns(&site()?),
        (["queue", what, _, ..], None) => queue(&site()?, what, &matches.free[2..]),
        _ => Err((EX_USAGE, USAGE.into())),
    }
}

fn load(path: Option<&Path>) -> Result<Site, Failure> {
    // The faults name their file and line themselves.
    conf::load(path).map_err(|error| (EX_CONFIG, error.to_string()))
}

fn edited<T>(result: Result<T, edit::Error>) -> Result<T, Failure> {
    result.or_else(|error| {
        let code = match error {
            edit::Error::Name(_) | edit::Error::Exists(_) => EX_DATAERR,
            edit::Error::NoSuchUser(_) => EX_NOUSER,
            edit::Error::Locked(_) => EX_TEMPFAIL,
            edit::Error::Io(..) => EX_IOERR,
        };
        fail(code, error)
    })
}

fn add(site: &Site, name: &str, scheme: Option<&str>) -> Result<(), Failure> {
    let name = edited(edit::name(name))?;
    let live = auth::Live::default();
    if site.users.exists() && matches!(auth::find(site, &live, &name), Ok(Some(_))) {
        return edited(Err(edit::Error::Exists(name)));
    }
    edited(edit::add(site, &name, &new_password(scheme)?))
}

fn passwd(site: &Site, name: &str, scheme: Option<&str>) -> Result<(), Failure> {
    let name = edited(edit::name(name))?;
    let live = auth::Live::default();
    if matches!(auth::find(site, &live, &name), Ok(None)) {
        return edited(Err(edit::Error::NoSuchUser(name)));
    }
    edited(edit::passwd(site, &name, &new_password(scheme)?))
}

fn del(site: &Site, name: &str) -> Result<(), Failure> {
    let name = edited(edit::name(name))?;
    let user = auth::find(site, &auth::Live::default(), &name).unwrap_or_default();
    edited(edit::del(site, &name))?;
    if let Some(user) = user {
        println!("{name} is out of {}; the mailbox stays:", site.users.display());
        println!("{}", user.mailbox.inbox().display());
    }
    Ok(())
}

fn list(site: &Site) -> Result<(), Failure> {
    match auth::list(site, &auth::Live::default()) {
        Ok(users) => {
            for (user, scheme) in users {
                println!("{}\t{scheme}\t{}", user.name, user.mailbox.inbox().display());
            }
            Ok(())
        }
        Err(error) => fail(EX_CONFIG, error),
    }
}

/// Asks twice on a terminal; else the password is a line of standard input.
fn new_password(scheme: Option<&str>) -> Result<String, Failure> {
    let ask = |prompt| match sys::terminal::ask(prompt) {
        Ok(Some(password)) if !password.is_empty() => Ok(password),
        Ok(_) => fail(EX_DATAERR, "no password given"),
        Err(error) => fail(EX_IOERR, error),
    };
    let password = ask("Password")?;
    if sys::terminal::is_terminal() && ask("Again")? != password {
        return fail(EX_DATAERR, "the two are not the same");
    }
    let stored = scheme::make(scheme.unwrap_or("SHA512-CRYPT"), &password);
    stored.or_else(|why| fail(EX_DATAERR, why))
}

fn certificate(site: &Site, names: &[String]) -> Result<(), Failure> {
    let Some(files) = site.certificates.first() else {
        return fail(EX_CONFIG, "the configuration has no line 'certificate chain.pem key.pem'");
    };
    if let Some(wrong) = names.iter().find(|name| !is_host(name)) {
        return fail(EX_DATAERR, format!("'{wrong}' is neither a host name nor an IP address"));
    }
    // The daemons become mail_owner and read the key again when they reload.
    let owner = match sys::process::is_root() {
        true => sys::process::account(&site.mail_owner),
        false => Ok(None),
    };
    let made = owner.and_then(|owner| {
        let group = owner.map(|(_, gid)| gid);
        sys::certificate::make(names, &files.chain, &files.key, group)
    });
    made.or_else(|error| fail(EX_CANTCREAT, error))
}

/// A domain, `*.` and a domain, or an address.
fn is_host(name: &str) -> bool {
    let mut cursor = Cursor::new(name.strip_prefix("*.").unwrap_or(name).as_bytes());
    let domain = mail::domain(&mut cursor).is_some_and(|domain| !domain.starts_with('['));
    (domain && cursor.at_end()) || name.parse::<std::net::IpAddr>().is_ok()
}

/// Everything that is wrong, a line each.
fn check(site: &Site, path: Option<&Path>) -> Result<(), Failure> {
    let path = path.unwrap_or(Path::new(DEFAULT)).display();
    let place = |key: &str, nth: usize| {
        let mut said = site.settings.iter().filter(|setting| setting.key == key);
        let line = said.nth(nth).and_then(|setting| setting.line);
        line.map_or(format!("{path}: {key}"), |line| format!("{path}:{line}: {key}"))
    };
    let mut faults = Vec::new();
    // What root starts makes these two itself.
    let root = sys::process::is_root();
    let made = |directory: &PathBuf| !root || directory.exists();
    let directories = [("spool", &site.spool), ("run", &site.run), ("queue", &site.queue)];
    let directories = directories.map(|(key, directory)| (key, directory, made(directory)));
    if root {
        become_owner(site, &place("mail_owner", 0), &mut faults)?;
    }
    for (key, why) in auth::host_faults(site) {
        faults.push(format!("{}: {why}", place(key, 0)));
    }
    for (nth, files) in site.certificates.iter().enumerate() {
        for fault in sys::certificate::faults(&files.chain, &files.key) {
            faults.push(format!("{}: {fault}", place("certificate", nth)));
        }
    }
    for (key, directory, _) in directories.into_iter().filter(|(.., made)| *made) {
        if let Some((_, why)) = sys::access::fault(directory) {
            faults.push(format!("{}: {why}", place(key, 0)));
        }
    }
    if let Some(why) = deliver::logins_fault(site) {
        faults.push(format!("{}: {why}", place("relay_logins", 0)));
    }
    if let Some(why) = sys::program::runner_fault() {
        faults.push(format!("{}: {why}", place("queue", 0)));
    }
    let (users, aliases) = (auth::Live::default(), route::Live::default());
    faults.extend(auth::faults(site, &users));
    faults.extend(route::faults(site, &users, &aliases));
    for warning in site.warnings() {
        eprintln!("{warning}");
    }
    if faults.is_empty() { Ok(()) } else { Err((EX_CONFIG, faults.join("\n"))) }
}

/// What becomes of a letter for an address, step by step.
fn explain(site: &Site, address: &str) -> Result<(), Failure> {
    let mut cursor = Cursor::new(address.as_bytes());
    let path = match mail::forward_path(&mut cursor) {
        Ok(path) if cursor.at_end() => path,
        _ if !address.contains(['@', '<']) => {
            mail::Mailbox { local_part: address.into(), domain: String::new() }
        }
        _ => return fail(EX_DATAERR, format!("'{address}' is no address, write luis@example.org")),
    };
    as_owner(site)?;
    for line in deliver::explain(site, &path) {
        println!("{line}");
    }
    Ok(())
}

/// The records that others need, in the lines of a zone file, and whether they are there.
fn dns(site: &Site) -> Result<(), Failure> {
    let mut own: Vec<_> = (site.listen.iter().filter(|(role, _)| *role == Role::Smtp))
        .flat_map(|(_, address)| address.sockets())
        .collect();
    if own.iter().any(|place| place.ip().is_unspecified()) {
        let port = own[0].port();
        let all = sys::socket::own_addresses().or_else(|error| fail(EX_IOERR, error))?;
        own.extend(all.into_iter().map(|ip| SocketAddr::new(ip, port)));
        own.retain(|place| !place.ip().is_unspecified());
    }
    own.sort_unstable();
    own.dedup();
    let domains = route::our_domains(site, &route::Live::default());
    let domains = domains.or_else(|refusal| fail(EX_IOERR, refusal))?;
    let (asked, mut wrong) = (Dns::new(site), 0);
    for record in dns::records(site, &domains, &own) {
        let told = match record.check(&asked) {
            Check::There => "there".into(),
            Check::Missing => "missing".into(),
            Check::Different(other) => format!("different: {other}"),
            Check::Unknown(why) => format!("not known: {why}"),
        };
        wrong += usize::from(told != "there");
        println!("{record} ; {told}");
    }
    let now = sys::clock::micros() / 1_000_000;
    domains.iter().for_each(|domain| println!("{}", dns::mta_sts(site, domain, now)));
    if wrong == 0 { Ok(()) } else { fail(EX_UNAVAILABLE, format!("{wrong} records are not there")) }
}

/// Does the same to each letter; what could not be done is told at the end.
fn queue(site: &Site, word: &str, ids: &[String]) -> Result<(), Failure> {
    let Some(what) = Change::named(word) else { return Err((EX_USAGE, USAGE.into())) };
    as_owner(site)?;
    let queue = Queue::new(&site.queue);
    let failed = |error: io::Error| {
        let (place, owner) = (site.queue.display(), &site.mail_owner);
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                (EX_NOPERM, format!("{place}: only root and {owner} may do this ({error})"))
            }
            _ => (EX_IOERR, format!("{place}: {error}")),
        }
    };
    let ids = match ids {
        [all] if all == "all" => what.all(&queue).map_err(failed)?,
        ids => ids.to_vec(),
    };
    let now = sys::clock::micros() / 1_000_000;
    let (mut code, mut faults) = (EX_USAGE, Vec::new());
    let mut done = 0;
    for id in &ids {
        let (fault, why) = match change(&queue, what, id, now) {
            Ok(told) => {
                println!("{id} {told}");
                done += 1;
                continue;
            }
            Err(Refused::Unknown) => (EX_DATAERR, "there is no such letter".into()),
            Err(Refused::Not(why)) => (EX_DATAERR, why.into()),
            Err(Refused::Busy) => (EX_TEMPFAIL, "a runner is at work on it".into()),
            Err(Refused::Io(error)) => failed(error),
        };
        code = fault;
        faults.push(format!("{id} {why}"));
    }
    if done > 0 && !matches!(what, Change::Hold | Change::Remove) {
        deliver::summon(site);
    }
    if faults.is_empty() { Ok(()) } else { fail(code, faults.join("\nbuzonctl: ")) }
}

/// Root acts as the daemons do.
fn as_owner(site: &Site) -> Result<(), Failure> {
    if sys::process::is_root() {
        let mut faults = Vec::new();
        become_owner(site, "mail_owner", &mut faults)?;
        if !faults.is_empty() {
            return fail(EX_CONFIG, faults.join("\n"));
        }
    }
    Ok(())
}

/// Careful: from here on this process sees files as the daemons will, not as root.
fn become_owner(site: &Site, place: &str, faults: &mut Vec<String>) -> Result<(), Failure> {
    let owner = &site.mail_owner;
    match sys::process::become_account(owner, site.system_users) {
        Ok(true) => Ok(()),
        Ok(false) => {
            faults.push(format!(
                "{place}: there is no account '{owner}' for root to become, make it: \
                 useradd --system {owner}"
            ));
            Ok(())
        }
        Err(error) => fail(EX_IOERR, format!("becoming {owner}: {error}")),
    }
}
