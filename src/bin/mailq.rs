//! mailq: the letters that wait. See mailq(1).

use buzon::conf::{self, Site};
use buzon::net::become_owner;
use buzon::queue::{As, Queue, list};
use buzon::sys::{clock, log as logging, signal};
use std::fmt::Display;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::process::ExitCode;

const DEFAULT: &str = "/etc/buzon/buzon.conf";
const USAGE: &str = "usage: mailq [-f file] [-x id | --json]";

// sysexits(3)
const EX_USAGE: u8 = 64;
const EX_DATAERR: u8 = 65;
const EX_IOERR: u8 = 74;
const EX_NOPERM: u8 = 77;
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    signal::end_with_the_reader();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => ExitCode::from(code),
    }
}

fn fault<T>(code: u8, why: impl Display) -> Result<T, u8> {
    eprintln!("mailq: {why}");
    Err(code)
}

fn run() -> Result<(), u8> {
    let mut options = getopts::Options::new();
    options.optopt("f", "", "the configuration", "file");
    options.optopt("x", "", "one letter whole", "id");
    options.optflag("", "json", "an object a letter");
    let matches = match options.parse(std::env::args_os().skip(1)) {
        Ok(matches) if matches.free.is_empty() => matches,
        Ok(matches) => return fault(EX_USAGE, format!("'{}'?\n{USAGE}", matches.free[0])),
        Err(error) => return fault(EX_USAGE, format!("{error}\n{USAGE}")),
    };
    let (id, json) = (matches.opt_str("x"), matches.opt_present("json"));
    if id.is_some() && json {
        return fault(EX_USAGE, USAGE);
    }
    logging::start(c"mailq", logging::Target::choose(false, false), false);
    let path = matches.opt_str("f").map(PathBuf::from);
    let path = path.or_else(|| Some(DEFAULT.into()).filter(|path: &PathBuf| path.exists()));
    let site: Site = match conf::load(path.as_deref()) {
        Ok(site) => site,
        Err(error) => return fault(EX_CONFIG, error),
    };
    // What root reads here may be new: it is made as the owner's.
    become_owner(&Site { system_users: false, ..site.clone() }, true)?;
    let queue = Queue::new(&site.queue);
    let done = match &id {
        Some(id) => show(&queue, id),
        None => {
            let form = if json { As::Json } else { As::Text };
            let now = clock::micros() / 1_000_000;
            list(&queue, now, form, &mut BufWriter::new(io::stdout().lock())).map(|()| true)
        }
    };
    match done {
        Ok(true) => Ok(()),
        Ok(false) => fault(EX_DATAERR, format!("there is no letter '{}'", id.unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let (queue, owner) = (site.queue.display(), &site.mail_owner);
            fault(EX_NOPERM, format!("{queue}: only root and {owner} may look ({error})"))
        }
        Err(error) => fault(EX_IOERR, format!("{}: {error}", site.queue.display())),
    }
}

/// The file as it is.
fn show(queue: &Queue, id: &str) -> io::Result<bool> {
    let Some((place, entry)) = queue.find(id)? else { return Ok(false) };
    io::copy(&mut queue.open(place, &entry)?, &mut io::stdout().lock())?;
    Ok(true)
}
