//! The log: one line an event, `key=value`, session id first.
//!
//! In the foreground to standard error, under the journal with its `<N>` priorities, else to
//! syslog(3), facility mail. What peers wrote passes through `text::printable` where it is logged;
//! here nothing leaves its line, whatever it is.

use chrono::Local;
use log::{Level, LevelFilter, Record};
use nix::syslog::{Facility, LogFlags, Severity, openlog, syslog};
use std::ffi::CStr;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;

/// Where the lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard error, with the time.
    Terminal,
    /// Standard error, read by the journal.
    Journal,
    /// syslog(3).
    Syslog,
}

/// Where they go, once that is settled.
static TARGET: OnceLock<Target> = OnceLock::new();

impl Target {
    /// The place for a program in the foreground or not. One that will detach leaves its standard
    /// error behind.
    pub fn choose(foreground: bool, detaches: bool) -> Target {
        match (foreground, !detaches && is_journal()) {
            (_, true) => Target::Journal,
            (true, false) => Target::Terminal,
            (false, false) => Target::Syslog,
        }
    }
}

/// Whether standard error is the stream that `JOURNAL_STREAM` names. The name alone says little:
/// whoever the journal's programs start inherits it, with another standard error.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(io::stderr().as_fd())
        .is_ok_and(|stderr| stream == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}

/// Begins logging, also of panics: standard error may be nowhere. A second call changes nothing.
pub fn start(program: &'static CStr, target: Target, verbose: bool) {
    std::panic::set_hook(Box::new(|panic| log::error!("panic={:?}", panic.to_string())));
    let level = if verbose { LevelFilter::Debug } else { LevelFilter::Info };
    let name = program.to_str().unwrap_or("buzon");
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Warn).filter_module("buzon", level);
    match target {
        Target::Terminal => builder.format(move |out, record| {
            let now = Local::now().format("%H:%M:%S%.3f");
            writeln!(out, "{now} {name}[{}]: {}", std::process::id(), line(record))
        }),
        Target::Journal => builder.format(move |out, record| {
            writeln!(out, "<{}>{}", severity(record.level()) as u8, line(record))
        }),
        Target::Syslog => {
            let _ = openlog(Some(program), LogFlags::LOG_PID, Facility::LOG_MAIL);
            builder.format(move |_, record| {
                let _ = syslog(severity(record.level()), &line(record));
                Ok(())
            })
        }
    };
    let _ = builder.try_init();
    let _ = TARGET.set(target);
}

/// Whether lines go to a terminal, or wherever whoever started us wants to read them.
pub fn is_watched() -> bool {
    TARGET.get() == Some(&Target::Terminal)
}

/// Says why a program ends: each line to whoever started it, and to the log.
pub fn fault(fault: &str) {
    let target = TARGET.get().copied();
    if target != Some(Target::Journal) {
        // A reader that has gone is no reason to die of.
        let _ = writeln!(io::stderr(), "{fault}");
    }
    if matches!(target, Some(Target::Journal | Target::Syslog)) {
        fault.lines().for_each(|line| log::error!("{line}"));
    }
}

/// What is said, in one line.
fn line(record: &Record) -> String {
    let text = record.args().to_string();
    match text.contains(char::is_control) {
        true => text.chars().map(|c| if c.is_control() { escaped(c) } else { c.into() }).collect(),
        false => text,
    }
}

fn escaped(control: char) -> String {
    format!("\\x{:02x}", u32::from(control))
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::LOG_ERR,
        Level::Warn => Severity::LOG_WARNING,
        Level::Info => Severity::LOG_INFO,
        Level::Debug | Level::Trace => Severity::LOG_DEBUG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        for (said, shown) in [
            ("a=1 b=\"c\"", "a=1 b=\"c\""),
            ("a\nb\r\0", "a\\x0ab\\x0d\\x00"),
            ("corazón\u{85}x", "corazón\\x85x"),
        ] {
            assert_eq!(line(&Record::builder().args(format_args!("{said}")).build()), shown);
        }
    }
}
