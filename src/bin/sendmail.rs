//! sendmail: a letter from standard input to anybody, as programs call it. See sendmail(8).

use buzon::conf::{self, Site};
use buzon::deliver::submit::{Handed, Trouble, submit};
use buzon::net::become_owner;
use buzon::queue::{Notify, Ret};
use buzon::route::{self, Target};
use buzon::sys::{log as logging, process, program};
use buzon::{auth, deliver, mail, text};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const DEFAULT: &str = "/etc/buzon/buzon.conf";
const USAGE: &str = "usage: sendmail [-itv] [-b mode] [-C file] [-F name] [-f reverse-path]
                [-N when] [-R full|hdrs] [-r reverse-path] [-V envid]
                [-o option] [-GUmns] [-A x] [-B x] [-L x] [-O x] [-X x]
                [-d x] [-e x] [-h x] [-p x] [address ...]
       sendmail [-C file] [-q] [-v]";

// sysexits(3)
const EX_USAGE: u8 = 64;
const EX_DATAERR: u8 = 65;
const EX_NOUSER: u8 = 67;
const EX_UNAVAILABLE: u8 = 69;
const EX_OSERR: u8 = 71;
const EX_TEMPFAIL: u8 = 75;
const EX_NOPERM: u8 = 77;
const EX_CONFIG: u8 = 78;

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Deliver,
    /// `-bs`
    Smtp,
    /// `-bv`
    Verify,
    /// `-bp`, or called mailq
    List,
    /// `-bi`, or called newaliases
    Aliases,
    /// `-q`
    Run,
}

/// The arguments, understood.
#[derive(Debug, Default)]
struct Asked {
    mode: Mode,
    file: Option<PathBuf>,
    verbose: bool,
    /// For runq.
    choice: Vec<String>,
    handed: Handed,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => ExitCode::from(code),
    }
}

fn fault<T>(code: u8, why: impl Display) -> Result<T, u8> {
    eprintln!("sendmail: {why}");
    Err(code)
}

fn run() -> Result<(), u8> {
    let mut args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    let called = args.next().unwrap_or_default();
    let mut asked = match parse(args) {
        Ok(asked) => asked,
        Err(why) => return fault(EX_USAGE, format!("{why}\n{USAGE}")),
    };
    match Path::new(&called).file_name().and_then(|name| name.to_str()) {
        Some("mailq") => asked.mode = Mode::List,
        Some("newaliases") => asked.mode = Mode::Aliases,
        _ => {}
    }
    // Careful: the group is for handing letters in to the site of this host, and nothing else.
    if !matches!(asked.mode, Mode::Deliver | Mode::Smtp)
        || asked.file.as_deref().is_some_and(|file| file != Path::new(DEFAULT))
    {
        process::drop_group().or_else(|error| fault(EX_OSERR, error))?;
    }
    let default = Some(PathBuf::from(DEFAULT)).filter(|path| path.exists());
    let file = asked.file.clone().or(default);
    let other = |name: &str, args: &[&str]| {
        let configuration = asked.file.iter().map(|file| file.display().to_string());
        let configuration = configuration.flat_map(|file| ["-f".to_owned(), file]);
        let args =
            configuration.chain(args.iter().map(|arg| (*arg).to_owned())).collect::<Vec<_>>();
        fault(EX_UNAVAILABLE, format!("{name}: {}", program::become_other(name, &args)))
    };
    match asked.mode {
        Mode::List => return other("mailq", &[]),
        Mode::Run => {
            let verbose = asked.verbose.then_some("-v");
            let choice = asked.choice.iter().map(String::as_str);
            return other("runq", &verbose.into_iter().chain(choice).collect::<Vec<_>>());
        }
        _ => {}
    }
    logging::start(c"sendmail", logging::Target::choose(false, false), false);
    let site: Site = conf::load(file.as_deref()).or_else(|error| fault(EX_CONFIG, error))?;
    let uid = process::real_uid();
    if asked.mode == Mode::Smtp {
        if process::is_root() || deliver::submit::may_queue(&site) {
            process::drop_group().or_else(|error| fault(EX_OSERR, error))?;
            return other("smtpd", &["-i"]);
        }
        let (input, output) = (std::io::stdin().lock(), std::io::stdout().lock());
        return deliver::standard::serve(&site, uid, input, output)
            .or_else(|error| fault(EX_TEMPFAIL, error));
    }
    if process::is_root() {
        become_owner(&site, true)?;
    }
    match asked.mode {
        Mode::Verify => verify(&site, &asked.handed.recipients),
        Mode::Aliases => aliases(&site),
        _ => hand_in(&site, uid, &asked),
    }
}

fn hand_in(site: &Site, uid: u32, asked: &Asked) -> Result<(), u8> {
    match submit(site, std::io::stdin().lock(), uid, &asked.handed) {
        Ok(taken) if asked.verbose => {
            let place = if taken.is_queued { "queued" } else { "handed in" };
            println!("{} {place}", taken.id);
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(Trouble::Nobody) => fault(EX_USAGE, format!("no recipients\n{USAGE}")),
        Err(Trouble::Data(why)) => fault(EX_DATAERR, why),
        Err(Trouble::Rights(why)) => fault(EX_NOPERM, why),
        Err(Trouble::Io(error)) => fault(EX_TEMPFAIL, error),
    }
}

/// Where addresses lead, without sending anything.
fn verify(site: &Site, words: &[String]) -> Result<(), u8> {
    let (users, live) = (auth::Live::default(), route::Live::default());
    let domain = site.domains.first().unwrap_or(&site.hostname);
    let mut code = Ok(());
    for word in words {
        let whole = if word.contains('@') { word.clone() } else { format!("{word}@{domain}") };
        let mut cursor = text::Cursor::new(whole.as_bytes());
        let path = mail::forward_path(&mut cursor).ok().filter(|_| cursor.at_end());
        let Some(path) = path else {
            println!("{word}... is no address");
            code = Err(EX_DATAERR);
            continue;
        };
        match route::resolve(site, &users, &live, &path) {
            Ok(routed) => {
                let targets: Vec<String> = routed.iter().map(|to| to.target.to_string()).collect();
                println!("{word}... deliverable: {}", targets.join(", "));
            }
            Err(route::Refusal::NotLocal) => {
                println!("{word}... deliverable: {}", Target::Remote(path));
            }
            Err(refusal) => {
                println!("{word}... undeliverable: {refusal}");
                code = Err(match refusal {
                    route::Refusal::Unavailable(_) => EX_TEMPFAIL,
                    _ => EX_NOUSER,
                });
            }
        }
    }
    code
}

/// There is nothing to be built from the aliases; what is wrong with them can be told.
fn aliases(site: &Site) -> Result<(), u8> {
    let faults = route::faults(site, &auth::Live::default(), &route::Live::default());
    match faults.is_empty() {
        true => Ok(()),
        false => fault(EX_DATAERR, faults.join("\n")),
    }
}

/// As getopt(3) does, `-e`, `-q` and `-d` with what follows in the same word only.
fn parse(args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let (mut asked, mut args) = (Asked::default(), args);
    while let Some(arg) = args.next() {
        let flags = match arg.strip_prefix('-') {
            Some("-") => break,
            Some(flags) if !flags.is_empty() => flags,
            _ => {
                asked.handed.recipients.push(arg);
                break;
            }
        };
        let mut rest = flags.chars();
        while let Some(flag) = rest.next() {
            let value = match flag {
                'A' | 'B' | 'b' | 'C' | 'F' | 'f' | 'h' | 'L' | 'N' | 'O' | 'o' | 'p' | 'R'
                | 'r' | 'V' | 'X' => {
                    let glued = rest.as_str().to_owned();
                    rest = "".chars();
                    let missing = || format!("-{flag} wants a word");
                    Some(glued)
                        .filter(|it| !it.is_empty())
                        .or_else(|| args.next())
                        .ok_or_else(missing)?
                }
                'e' | 'q' | 'd' => std::mem::replace(&mut rest, "".chars()).as_str().to_owned(),
                _ => String::new(),
            };
            option(&mut asked, flag, value)?;
        }
    }
    asked.handed.recipients.extend(args);
    Ok(asked)
}

fn option(asked: &mut Asked, flag: char, value: String) -> Result<(), String> {
    let fault = || format!("-{flag}{value}?");
    match (flag, value.as_str()) {
        ('i', _) | ('o', "i" | "itrue" | "iTrue") => asked.handed.dots_are_text = true,
        ('t', _) | ('o', "t") => asked.handed.from_fields = true,
        ('v', _) | ('o', "v") => asked.verbose = true,
        ('b', "m") => asked.mode = Mode::Deliver,
        ('b', "s") => asked.mode = Mode::Smtp,
        ('b', "v") => asked.mode = Mode::Verify,
        ('b', "p") => asked.mode = Mode::List,
        ('b', "i") => asked.mode = Mode::Aliases,
        ('b', "d" | "D") => return Err("smtpd(8) is the daemon".into()),
        ('b', "t") => return Err("'buzonctl explain ADDRESS' tells where mail goes".into()),
        ('C', _) => asked.file = Some(value.into()),
        ('F', _) => asked.handed.name = Some(value),
        ('f' | 'r', _) => asked.handed.sender = Some(value),
        ('N', words) => asked.handed.notify = Some(notify(words).ok_or_else(fault)?),
        ('R', "full") => asked.handed.ret = Some(Ret::Full),
        ('R', "hdrs" | "headers") => asked.handed.ret = Some(Ret::Headers),
        ('V', envid) => asked.handed.envid = Some(deliver::submit::xtext(envid)),
        ('q', "") => asked.mode = Mode::Run,
        ('q', choice) => {
            asked.mode = Mode::Run;
            match choice.split_at_checked(1) {
                Some((which @ ("I" | "R" | "S"), word)) if !word.is_empty() => {
                    asked.choice = vec![format!("-{which}"), word.into()];
                }
                _ => return Err("how often the queue is run, cron(8) says: see runq(8)".into()),
            }
        }
        // What is meant by these happens anyway, or is nothing that we have.
        (
            'G' | 'U' | 'm' | 'n' | 's' | 'A' | 'B' | 'L' | 'O' | 'o' | 'X' | 'd' | 'e' | 'h' | 'p',
            _,
        ) => {}
        _ => return Err(fault()),
    }
    Ok(())
}

/// RFC 3461 §4.1, as `-N` has it.
fn notify(words: &str) -> Option<Notify> {
    let mut notify = Notify::default();
    for word in words.split(',').map(str::to_ascii_lowercase) {
        match word.as_str() {
            "success" => notify.success = true,
            "failure" => notify.failure = true,
            "delay" => notify.delay = true,
            "never" if !words.contains(',') => {}
            _ => return None,
        }
    }
    Some(notify)
}
