//! deliver: one letter from standard input into a mailbox, for other mail programs to call. See
//! deliver(8).

use buzon::auth;
use buzon::conf::{self, Location, Site};
use buzon::deliver::Failure as Cause;
use buzon::deliver::stdin::{Handover, Sender, Trouble, hand_over, sender};
use buzon::mail::Mailbox;
use buzon::route::{self, Refusal};
use buzon::sys::identity::borrow;
use buzon::sys::{log as logging, process};
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

const DEFAULT: &str = "/etc/buzon/buzon.conf";
const USAGE: &str = "usage: deliver [-f file] [-r reverse-path] [user]";

// sysexits(3)
const EX_USAGE: u8 = 64;
const EX_DATAERR: u8 = 65;
const EX_NOUSER: u8 = 67;
const EX_TEMPFAIL: u8 = 75;
const EX_CONFIG: u8 = 78;

/// The exit code and what is said on standard error and in the log.
type Failure = (u8, String);

fn fail<T>(code: u8, why: impl Display) -> Result<T, Failure> {
    Err((code, format!("deliver: {why}")))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            logging::fault(&why);
            ExitCode::from(code)
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut options = getopts::Options::new();
    options.optopt("f", "", "the configuration", "file");
    options.optopt("r", "", "the sender", "reverse-path");
    let matches = match options.parse(std::env::args_os().skip(1)) {
        Ok(matches) if matches.free.len() <= 1 => matches,
        Ok(_) => return fail(EX_USAGE, format!("one user is enough\n{USAGE}")),
        Err(error) => return fail(EX_USAGE, format!("{error}\n{USAGE}")),
    };
    logging::start(c"deliver", logging::Target::choose(false, false), false);
    let path = matches.opt_str("f").map(PathBuf::from);
    let path = path.or_else(|| Some(DEFAULT.into()).filter(|path: &PathBuf| path.exists()));
    // The faults name their file and line themselves.
    let site = conf::load(path.as_deref()).map_err(|error| (EX_CONFIG, error.to_string()))?;
    let caller = process::login().unwrap_or("nobody".into());
    let name = matches.free.first().unwrap_or(&caller);
    let (name, domain) = taken_apart(&site, name);
    let caller = Mailbox { local_part: caller.clone(), domain: domain.to_owned() };
    let told = matches.opt_str("r").map(|word| told(&word, domain)).transpose()?;
    let mut user = find(&site, name)?;
    let address = Mailbox { local_part: user.name.clone(), domain: domain.to_owned() };
    become_owner(&site, &user)?;
    // From here on this process is whoever touches the mailbox: nothing is left to be borrowed.
    user.account = None;
    let to = Handover { user, address, sender: told, caller };
    hand_over(&site, std::io::stdin().lock(), to).or_else(|trouble| match trouble {
        Trouble::Refused(why) => fail(EX_DATAERR, why),
        Trouble::Io(error) => fail(EX_TEMPFAIL, error),
        Trouble::Mailbox(Cause::TooLarge(name)) => {
            fail(EX_DATAERR, format!("the mailbox of {name} cannot hold this letter"))
        }
        Trouble::Mailbox(Cause::OverQuota(name)) => {
            fail(EX_TEMPFAIL, format!("the mailbox of {name} is full"))
        }
        Trouble::Mailbox(Cause::DiskFull(why) | Cause::Unavailable(why)) => fail(EX_TEMPFAIL, why),
    })
}

/// The user, and the domain of the user's own address: one of ours if it was named, else the first.
fn taken_apart<'a>(site: &'a Site, name: &'a str) -> (&'a str, &'a str) {
    match name.rsplit_once('@') {
        Some((name, domain)) if site.is_local(domain) => (name, domain),
        _ => (name, site.domains.first().unwrap_or(&site.hostname)),
    }
}

fn told(word: &str, domain: &str) -> Result<Sender, Failure> {
    match sender(word, domain) {
        Some(sender) => Ok(sender),
        None => fail(EX_USAGE, format!("-r: '{word}' is no address, write bob@example.org")),
    }
}

fn find(site: &Site, name: &str) -> Result<auth::User, Failure> {
    let found = match route::user(site, &auth::Live::default(), name) {
        // The users file is not for everybody to read; whoever calls has an account all the same.
        Err(Refusal::Unavailable(why)) if !process::is_root() => {
            let account = auth::find_account(site, name).ok().flatten();
            account.ok_or(Refusal::Unavailable(why))
        }
        found => found,
    };
    found.or_else(|refusal| match refusal {
        Refusal::Unavailable(why) => fail(EX_TEMPFAIL, why),
        _ => fail(EX_NOUSER, format!("there is no user '{name}'")),
    })
}

/// Root becomes whoever owns the mailbox, for good; anybody else stays who it is.
fn become_owner(site: &Site, user: &auth::User) -> Result<(), Failure> {
    if !process::is_root() {
        return Ok(());
    }
    let owner = &site.mail_owner;
    let became = match &user.account {
        // The directory of mboxes is the mail group's.
        Some(account) => borrow(account)
            .and_then(|account| account.settle(matches!(user.mailbox, Location::Mbox { .. })))
            .map(|()| true),
        None => process::become_account(owner, false),
    };
    match became {
        Ok(true) => Ok(()),
        Ok(false) => fail(EX_CONFIG, format!("there is no account '{owner}' for root to become")),
        Err(error) => fail(EX_TEMPFAIL, format!("becoming the owner of the mailbox: {error}")),
    }
}
