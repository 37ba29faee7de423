//! The log: one line an event, `key=value`, session id first.
//!
//! In the foreground to standard error, under the journal with its `<N>` priorities, else to
//! syslog(3), facility mail. What peers wrote passes through `text::printable` before.

use chrono::Local;
use log::{Level, LevelFilter};
use nix::syslog::{Facility, LogFlags, Severity, openlog, syslog};
use std::ffi::CStr;
use std::io::Write;

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

impl Target {
    /// The place for a program in the foreground or not.
    pub fn choose(foreground: bool) -> Target {
        match (std::env::var_os("JOURNAL_STREAM").is_some(), foreground) {
            (true, _) => Target::Journal,
            (false, true) => Target::Terminal,
            (false, false) => Target::Syslog,
        }
    }
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
            writeln!(out, "{now} {name}[{}]: {}", std::process::id(), record.args())
        }),
        Target::Journal => builder.format(move |out, record| {
            writeln!(out, "<{}>{}", severity(record.level()) as u8, record.args())
        }),
        Target::Syslog => {
            let _ = openlog(Some(program), LogFlags::LOG_PID, Facility::LOG_MAIL);
            builder.format(move |_, record| {
                let _ = syslog(severity(record.level()), &record.args().to_string());
                Ok(())
            })
        }
    };
    let _ = builder.try_init();
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::LOG_ERR,
        Level::Warn => Severity::LOG_WARNING,
        Level::Info => Severity::LOG_INFO,
        Level::Debug | Level::Trace => Severity::LOG_DEBUG,
    }
}
