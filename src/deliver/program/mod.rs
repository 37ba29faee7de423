//! To a program or a file that an alias or a `.forward` names, as its owner.
//!
//! A program finds on its standard input what an mbox has of a letter: the `From ` line, Return-Path,
//! Delivered-To, and the letter with LF line ends; around it the variables that Postfix's local(8)
//! sets. Its exit code is one of sysexits(3). A file is an mbox, appended to under its locks.
//!
//! The sender never reads which program or file it was; the log is told.

use super::outcome::{Delivered, Outcome};
use crate::conf::{Location, Site};
use crate::limits;
use crate::mail::{Mailbox, asctime, delivered_to, return_path};
use crate::queue::Content;
use crate::store;
use crate::sys::child::{self, End, Task};
use crate::sys::identity::{Account, borrow};
use crate::text::printable;
use chrono::{Local, TimeZone};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

/// As whom, and whose letter.
pub(super) struct Behalf<'a> {
    pub site: &'a Site,
    /// `None` for who we are.
    pub account: Option<&'a Account>,
    /// The owner's name and home.
    pub user: &'a str,
    pub home: &'a Path,
    /// `None` for `<>`.
    pub sender: Option<&'a Mailbox>,
    /// The address that led there.
    pub recipient: &'a Mailbox,
    /// Seconds since 1970.
    pub now: u64,
}

/// Gives the letter, its text from the beginning, to a command of the shell.
pub(super) fn to_program(behalf: &Behalf, command: &str, text: &mut impl Read) -> Outcome {
    within(behalf, command, text, limits::PROGRAM)
}

fn within(behalf: &Behalf, command: &str, text: &mut impl Read, time: Duration) -> Outcome {
    let task = Task {
        command,
        environment: &environment(behalf),
        directory: behalf.home,
        account: behalf.account,
        time,
        output: limits::PROGRAM_OUTPUT,
    };
    let head = [from(behalf), return_path(behalf.sender), delivered_to(behalf.recipient)].concat();
    let later = |text: String| Outcome::ours(behalf.now, "4.3.0", text);
    let (end, output) = match child::run(&task, &mut head.as_bytes().chain(text)) {
        Ok(ended) => ended,
        Err(error) => return later(format!("the program could not be run: {error}")),
    };
    match end {
        // The shell tells so of a program that was killed.
        End::Signal(signal) => later(format!("a signal ended the program: {signal}")),
        End::Code(code @ 129..=192) => later(format!("a signal ended the program: {}", code - 128)),
        End::TooLong => later(format!("the program was stopped after {} s", time.as_secs())),
        End::Code(0) => done("given to a program"),
        End::Code(code) => {
            let (status, meaning) = meaning(code);
            let text = format!("the program refused it ({code}, {meaning}){}", quoted(&output));
            Outcome::ours(behalf.now, status, text)
        }
    }
}

/// Puts the letter at the end of a file, an mbox; `/dev/null` takes all.
pub(super) fn to_file(behalf: &Behalf, path: &Path, content: &Content) -> Outcome {
    if path == Path::new("/dev/null") {
        return done("thrown away, as the alias says");
    }
    match append(behalf, path, content) {
        Ok(()) => done("put into a file"),
        Err(error) => {
            log::warn!("file={} error={:?}", path.display(), error.to_string());
            let (status, text) = match error {
                store::Error::Full(_) => ("4.2.2", "there is no room for it"),
                store::Error::Busy => ("4.2.0", "the file is in use by another program"),
                store::Error::Unavailable(_) => ("4.2.0", "the file cannot be used now"),
            };
            Outcome::ours(behalf.now, status, text)
        }
    }
}

fn append(behalf: &Behalf, path: &Path, content: &Content) -> Result<(), store::Error> {
    // Careful: whoever owns it chose the path, and must not write with the mail group's rights, not
    // even a lock: others' mailboxes are made in its directory.
    let account = behalf.account.map(|it| Account { mail_gid: it.gid, ..it.clone() });
    let _owner = account.as_ref().map(borrow).transpose()?;
    // A directory that is not there is a mistake in the alias; nothing is made of it.
    std::fs::metadata(path.parent().unwrap_or(Path::new("/")))?;
    let head = [return_path(behalf.sender), delivered_to(behalf.recipient)].concat();
    let sender = behalf.sender.map_or(String::new(), ToString::to_string);
    let body = match *content {
        Content::Memory(octets) => store::Body::Octets(octets),
        Content::File { file, at, octets, lines } => store::Body::File { file, at, octets, lines },
    };
    let letter = store::Letter { sender: &sender, head: head.as_bytes(), body };
    // A file alone has no folders, and below a file there is no directory.
    let location = Location::Mbox { inbox: path.into(), folders: path.join("folders") };
    let mut prepared =
        store::prepare(&location, &letter, Instant::now() + behalf.site.deliver_wait)?;
    prepared.show()?;
    prepared.settle()
}

fn done(text: &str) -> Outcome {
    Outcome::Done(Delivered { text: text.into(), ..Delivered::default() })
}

/// The line before a letter, as procmail and vacation(1) expect it.
fn from(behalf: &Behalf) -> String {
    let sender = behalf.sender.map_or("MAILER-DAEMON".into(), ToString::to_string);
    let moment = i64::try_from(behalf.now).ok();
    let moment = moment.and_then(|moment| Local.timestamp_opt(moment, 0).single());
    let strange = |c: char| c.is_whitespace() || c.is_control();
    format!("From {}  {}\n", sender.replace(strange, "-"), asctime(moment.unwrap_or_default()))
}

fn environment(behalf: &Behalf) -> Vec<(&'static str, String)> {
    let Mailbox { local_part, domain } = behalf.recipient;
    let detail = behalf.site.recipient_delimiter.and_then(|it| local_part.split_once(it));
    let sender = behalf.sender.map_or(String::new(), ToString::to_string);
    let mut environment = vec![
        ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
        ("SHELL", "/bin/sh".into()),
        ("LANG", "C".into()),
        ("HOME", behalf.home.to_string_lossy().into_owned()),
        ("USER", behalf.user.to_owned()),
        ("LOGNAME", behalf.user.to_owned()),
        ("SENDER", harmless(&sender)),
        ("RECIPIENT", harmless(&behalf.recipient.to_string())),
        ("LOCAL", harmless(local_part)),
        ("DOMAIN", harmless(domain)),
    ];
    environment.extend(detail.map(|(_, detail)| ("EXTENSION", harmless(detail))));
    environment
}

/// What strangers write, for scripts whose authors did not think of strangers.
fn harmless(text: &str) -> String {
    let is_harmless = |c: char| c.is_alphanumeric() || "!@%-_=+:,./".contains(c);
    text.chars().map(|c| if is_harmless(c) { c } else { '_' }).collect()
}

/// What it said, on one line.
fn quoted(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(|line| printable(line.as_bytes())).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join(" / ")) }
}

/// What an exit code of sysexits(3) says, and what Postfix and sendmail make of it. Where they
/// differ (74) it is tried again. Other codes are refusals, as for both.
fn meaning(code: i32) -> (&'static str, &'static str) {
    match code {
        64 => ("5.3.0", "wrong usage"),
        65 => ("5.6.0", "wrong data"),
        66 => ("5.3.0", "no input"),
        67 => ("5.1.1", "no such user"),
        68 => ("5.1.2", "no such host"),
        69 => ("5.3.0", "unavailable"),
        70 => ("5.3.0", "internal error"),
        71 => ("4.3.0", "operating system error"),
        72 => ("5.3.0", "system file missing"),
        73 => ("5.3.0", "cannot create its output"),
        74 => ("4.3.0", "input/output error"),
        75 => ("4.3.0", "try again"),
        76 => ("5.5.0", "protocol error"),
        77 => ("5.7.0", "not allowed"),
        78 => ("5.3.5", "configuration error"),
        126 => ("5.3.0", "command cannot be run"),
        127 => ("5.3.0", "command not found"),
        _ => ("5.3.0", "exit code"),
    }
}

#[cfg(test)]
mod tests;
