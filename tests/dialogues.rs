//! Every dialogue under tests/dialogues against the real daemons, each on a fresh site; those about
//! mailboxes once with each format.
//!
//! `cargo test --test dialogues smtp/helo` plays those whose name has it. Two are played at a time;
//! sockets are bound to port 0 and handed to the daemons, so that runs never collide. The language
//! is in parley-dialogue(5); what furnishes and starts a site is in `dialogues/site.rs`.

#![allow(clippy::unwrap_used)]

#[path = "dialogues/site.rs"]
mod site;

use buzon::parley::play::Player;
use buzon::parley::script::{self, Act, Script};
use site::{Keys, MBOX, Site};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Dialogues played at once.
const AT_ONCE: usize = 2;

fn main() -> ExitCode {
    // What cargo passes on for its own harness begins with a dash.
    let filters: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |path: &Path| {
        let name = path.to_string_lossy();
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let mut files = Vec::new();
    find(Path::new("tests/dialogues"), &mut files);
    files.retain(|path| wanted(path));
    files.sort();
    let files: Vec<(PathBuf, &str)> = files.iter().flat_map(|path| plays(path)).collect();
    let keys = Keys::make();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let screen = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((path, mailbox)) = files.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let played = dialogue(path, mailbox, &keys);
                    let _turn = screen.lock();
                    match played {
                        Ok(()) => println!("ok {} {mailbox}", path.display()),
                        Err(failure) => {
                            failed.fetch_add(1, Ordering::SeqCst);
                            println!("FAIL {mailbox} {failure}");
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{} passed, {failed} failed", files.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
}

/// A dialogue about mailboxes holds for both formats, unless it sets one.
fn plays(path: &Path) -> Vec<(PathBuf, &'static str)> {
    let folders = ["imap", "pop3", "suite"];
    let is_of_mailboxes = folders.iter().any(|folder| path.parent().unwrap().ends_with(folder));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let sets_one = text.lines().any(|line| line.starts_with("set mailbox "));
    let formats: &[&str] = match is_of_mailboxes && !sets_one {
        true => &["maildir:~/Maildir", MBOX],
        false => &["maildir:~/Maildir"],
    };
    formats.iter().map(|format| (path.to_owned(), *format)).collect()
}

fn dialogue(path: &Path, mailbox: &str, keys: &Keys) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let script = script::parse(path, &text).map_err(|faults| faults.join("\n"))?;
    if !matches!(script.steps.first().map(|step| &step.act), Some(Act::Comment)) {
        return Err(format!(
            "{}:1: the first line tells what it is about: '# ...'",
            path.display()
        ));
    }
    let mut sites = vec![Site::new("mail.example.test", "example.test", keys)];
    sites[0].set("mailbox", mailbox)?;
    let played = play(&script, &mut sites, keys);
    played.map_err(|failure| {
        let logs: Vec<String> = sites.iter().map(Site::log).collect();
        format!("{failure}\n{}", logs.concat())
    })
}

fn play(script: &Script, sites: &mut Vec<Site>, keys: &Keys) -> Result<(), String> {
    let mut player = Player::new(script);
    let mut now = 0;
    for (at, step) in script.steps.iter().enumerate() {
        let site = &mut sites[now];
        let done = match &step.act {
            Act::Comment => Ok(()),
            Act::Site(name) => {
                now = sites.iter().position(|site| site.name == *name).unwrap_or_else(|| {
                    sites.push(Site::new(name, name, keys));
                    sites.len() - 1
                });
                Ok(())
            }
            Act::Set(key, value) => site.set(key, value),
            Act::User(name, password) => site.user(name, password),
            Act::Alias(line) => site.alias(line),
            Act::Mail { user, folder, file } => {
                let letter = script.path.parent().unwrap_or(Path::new(".")).join(file);
                site.mail(user, folder.as_deref(), &letter)
            }
            Act::Server(name, service, n) => {
                let site = match name {
                    Some(name) => sites.iter_mut().find(|site| site.name == *name),
                    None => sites.get_mut(now),
                };
                match site.ok_or("there is no such site".into()).and_then(|s| s.address(*service)) {
                    Ok(address) => player.connect(*n, *service, &address),
                    Err(fault) => Err(fault),
                }
            }
            Act::Run(words) => site.run(words),
            Act::Kill => site.kill(),
            Act::Restart => site.restart(),
            Act::Reload => site.reload(),
            Act::Zone(_) | Act::Later(_) | Act::Host(_) | Act::Hear(_) => Err(LATER.into()),
            Act::Reply(_) | Act::Cut | Act::Slow(_) => Err(LATER.into()),
            _ => {
                player.step(at)?;
                Ok(())
            }
        };
        done.map_err(|fault: String| player.failure(at, &fault))?;
    }
    sites.iter_mut().try_for_each(Site::end)
}

/// Lines for letters that leave: there is nothing yet that sends them.
const LATER: &str = "this line comes with the queue";
