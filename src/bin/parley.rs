//! parley: hold a written dialogue with a server. The manual: parley(1).

use buzon::limits;
use buzon::parley::replay::Target;
use buzon::parley::script::{self, Script};
use buzon::parley::show::{self, Style};
use buzon::sys::file;
use getopts::Options;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: u8 = 64;
const DATA_ERROR: u8 = 65;
const NO_INPUT: u8 = 66;
const IO_ERROR: u8 = 74;

fn main() -> ExitCode {
    ExitCode::from(match run() {
        Ok(code) => code,
        Err((fault, code)) => {
            eprintln!("parley: {fault}");
            code
        }
    })
}

fn run() -> Result<u8, (String, u8)> {
    let mut options = Options::new();
    options.optflag("s", "", "only the table of codes that differ");
    options.optopt("t", "", "how long to wait for a line (default 10)", "SECONDS");
    options.optflag("v", "", "print the comments of the file");
    let usage = |fault: String| {
        let usage =
            options.usage("usage: parley [-sv] [-t seconds] file ... host:port [host:port]");
        (format!("{fault}\n{}", usage.trim_end()), USAGE)
    };
    let matches = options.parse(std::env::args().skip(1)).map_err(|e| usage(e.to_string()))?;
    let seconds = matches.opt_get_default("t", 10).map_err(|e| usage(format!("-t: {e}")))?;
    let (targets, files): (Vec<_>, Vec<_>) =
        matches.free.iter().partition(|word| Target::parse(word).is_some());
    let targets: Vec<Target> = targets.into_iter().filter_map(|word| Target::parse(word)).collect();
    let style = Style {
        comments: matches.opt_present("v"),
        table: matches.opt_present("s"),
        patience: Duration::from_secs(seconds),
    };
    let scripts = files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    if scripts.is_empty() {
        return Err(usage("a dialogue is needed".into()));
    }
    let targets: Vec<&Target> = targets.iter().collect();
    hold(&scripts, &targets, style)
        .map_err(|e| (e.to_string(), IO_ERROR))?
        .ok_or_else(|| usage("the address of a server is needed, or of two: host:port".into()))
}

fn read(file: &str) -> Result<Script, (String, u8)> {
    let text = file::read_text(Path::new(file), limits::TABLE_FILE)
        .map_err(|error| (format!("{file}: {error}"), NO_INPUT))?;
    script::parse(Path::new(file), &text).map_err(|faults| (faults.join("\n"), DATA_ERROR))
}

/// Whether all was the same; `None` without one or two servers.
fn hold(scripts: &[Script], targets: &[&Target], style: Style) -> io::Result<Option<u8>> {
    let mut out = io::stdout().lock();
    let mut rows = Vec::new();
    let mut differ = 0;
    for script in scripts {
        if !style.table {
            writeln!(out, "{}", script.path.display())?;
        }
        match targets {
            [one] => {
                let (more, count) = show::one(script, one, style, &mut out)?;
                rows.extend(more);
                differ += count;
            }
            [left, right] => rows.extend(show::two(script, [left, right], style, &mut out)?),
            _ => return Ok(None),
        }
    }
    if style.table || scripts.len() > 1 {
        show::table(&rows, &mut out)?;
    }
    Ok(Some(u8::from(!rows.is_empty() || differ > 0)))
}
