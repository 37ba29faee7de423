//! runq: one pass over the letters that wait. See runq(8).

use buzon::conf::{self, Site, duration};
use buzon::deliver::{Orders, Runner};
use buzon::net::become_owner;
use buzon::queue::Queue;
use buzon::sys::{log as logging, process, signal};
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

const DEFAULT: &str = "/etc/buzon/buzon.conf";
const USAGE: &str =
    "usage: runq [-dnv] [-f file] [-I id] [-R domain] [-S reverse-path] [--at +time]";

// sysexits(3)
const EX_USAGE: u8 = 64;
const EX_NOINPUT: u8 = 66;
const EX_OSERR: u8 = 71;
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => ExitCode::from(code),
    }
}

fn fault<T>(code: u8, why: impl Display) -> Result<T, u8> {
    eprintln!("runq: {why}");
    Err(code)
}

fn run() -> Result<(), u8> {
    let mut options = getopts::Options::new();
    options.optflag("d", "", "log to standard error");
    options.optflag("n", "", "only tell what would be tried");
    options.optflag("v", "", "show the dialogues as they happen");
    options.optopt("f", "", "the configuration", "file");
    options.optopt("I", "", "only this letter", "id");
    options.optopt("R", "", "only letters to this domain", "domain");
    options.optopt("S", "", "only letters of this sender", "reverse-path");
    options.optopt("", "at", "as if it were so much later", "+time");
    let matches = match options.parse(std::env::args_os().skip(1)) {
        Ok(matches) if matches.free.is_empty() => matches,
        Ok(matches) => return fault(EX_USAGE, format!("'{}'?\n{USAGE}", matches.free[0])),
        Err(error) => return fault(EX_USAGE, format!("{error}\n{USAGE}")),
    };
    let ahead = matches
        .opt_str("at")
        .map_or(Some(Default::default()), |at| at.strip_prefix('+').and_then(duration));
    let Some(ahead) = ahead else {
        return fault(EX_USAGE, "--at takes a time such as +26h");
    };
    let (told, verbose) = (matches.opt_present("n"), matches.opt_present("v"));
    let foreground = matches.opt_present("d") || verbose;
    logging::start(c"runq", logging::Target::choose(foreground, !foreground), false);
    let path = matches.opt_str("f").map(PathBuf::from);
    let path = path.or_else(|| Some(DEFAULT.into()).filter(|path: &PathBuf| path.exists()));
    let site: Site = match conf::load(path.as_deref()) {
        Ok(site) => site,
        Err(error) => return fault(EX_CONFIG, error),
    };
    process::share_heap();
    // What leaves is not served to anybody, wherever root serves what comes in.
    become_owner(&site, true)?;
    if told || verbose {
        signal::end_with_the_reader();
    }
    let orders = Orders {
        id: matches.opt_str("I"),
        domain: matches.opt_str("R"),
        sender: matches.opt_str("S").map(|path| path.trim_matches(['<', '>']).to_owned()),
        ahead,
        verbose,
    };
    if let Some(id) = &orders.id
        && Queue::new(&site.queue).find(id).map_err(|error| told_of(&error))?.is_none()
    {
        return fault(EX_NOINPUT, format!("there is no letter '{id}', see mailq(1)"));
    }
    let runner = Arc::new(Runner::new(site, orders).map_err(|error| told_of(&error))?);
    let done = if told { runner.tell(&mut std::io::stdout().lock()) } else { runner.run() };
    done.map_err(|error| told_of(&error))
}

fn told_of(error: &std::io::Error) -> u8 {
    logging::fault(&format!("runq: {error}"));
    EX_OSERR
}
