//! Every dialogue under tests/dialogues against the real daemons, each on a fresh site; those about
//! mailboxes once with each format.
//!
//! `cargo test --test dialogues smtp/helo` plays those whose name has it. Two are played at a time;
//! sockets are bound to port 0 and handed to the daemons, so that runs never collide. The language
//! is in parley-dialogue(5); what furnishes and starts a site is in `dialogues/site.rs`.

#![allow(clippy::unwrap_used)]

#[path = "dialogues/hosts.rs"]
mod hosts;
#[path = "dialogues/site.rs"]
mod site;

use buzon::parley::play::Player;
use buzon::parley::script::{self, Act, Script, Service, Step};
use hosts::Hosts;
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
    // There is nothing yet that sends what they queue.
    let runs = site::program("runq").exists();
    files.retain(|path| runs || !path.starts_with("tests/dialogues/queue"));
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
    let mut stage = Stage {
        script,
        sites,
        now: 0,
        keys,
        hosts: Hosts::new(keys),
        records: vec!["example.test MX 10 mail.example.test".into()],
        player: Player::new(script),
    };
    stage.name("mail.example.test", stage.sites[0].port());
    for (at, step) in script.steps.iter().enumerate() {
        stage.step(at, &step.act)?;
    }
    stage.hosts.finish()?;
    stage.sites.iter_mut().try_for_each(Site::end)
}

/// What a dialogue is played with: its sites, the hosts it plays itself, the names of them all.
struct Stage<'a> {
    script: &'a Script,
    sites: &'a mut Vec<Site>,
    /// The site that lines are about.
    now: usize,
    keys: &'a Keys,
    hosts: Hosts,
    records: Vec<String>,
    player: Player<'a>,
}

impl Stage<'_> {
    fn step(&mut self, at: usize, act: &Act) -> Result<(), String> {
        let done = match act {
            Act::Comment => Ok(()),
            Act::Host(name, lines) => self.host(name, lines),
            Act::Zone(record) => self.zone(record),
            Act::Server(name, service, n) => self
                .address(name.as_deref(), *service)
                .and_then(|address| self.player.connect(*n, *service, &address)),
            Act::Run(words) => self.run(words),
            Act::Site(name) => {
                self.site(name);
                Ok(())
            }
            Act::Set(key, value) => {
                self.player.computed(value).and_then(|value| self.sites[self.now].set(key, &value))
            }
            act => match of_site(&mut self.sites[self.now], self.script, act) {
                Some(done) => done,
                None => return self.player.step(at),
            },
        };
        done.map_err(|fault| self.player.failure(at, &fault))
    }

    /// From here on this site, which is made if it is new.
    fn site(&mut self, name: &str) {
        let known = self.sites.iter().position(|site| site.name == name);
        self.now = known.unwrap_or_else(|| {
            let site = Site::new(name, name, self.keys);
            self.name(name, site.port());
            self.sites.push(site);
            self.sites.len() - 1
        });
    }

    /// The name has an address for all.
    fn name(&mut self, name: &str, port: u16) {
        self.records.push(format!("{name} A 127.0.0.1:{port}"));
        let port = port.to_string().into_bytes();
        self.player.learn([(format!("port {name}"), port)].into());
    }

    fn zone(&mut self, record: &str) -> Result<(), String> {
        let record = self.player.computed(record)?;
        self.records.push(record);
        // Daemons that run see it at once.
        self.sites.iter().for_each(|site| site.zone(&self.records));
        Ok(())
    }

    fn host(&mut self, name: &str, lines: &[Step]) -> Result<(), String> {
        let (port, is_new) = self.hosts.port(name);
        if is_new {
            self.name(name, port);
        }
        self.hosts.expect(name, &self.script.path, lines, self.player.captures());
        Ok(())
    }

    fn address(&mut self, name: Option<&str>, service: Service) -> Result<String, String> {
        self.sites.iter().for_each(|site| site.zone(&self.records));
        let Some(name) = name else { return self.sites[self.now].address(service) };
        match self.sites.iter_mut().find(|site| site.name == name) {
            Some(site) => site.address(service),
            None => match self.hosts.find(name) {
                Some(port) => Ok(format!("127.0.0.1:{port}")),
                None => Err(format!("there is no site and no host {name}")),
            },
        }
    }

    /// A program, and what the hosts that it meets have to say of it.
    fn run(&mut self, words: &[String]) -> Result<(), String> {
        let words = words.iter().map(|word| self.player.computed(word));
        let words = words.collect::<Result<Vec<_>, _>>()?;
        self.sites.iter().for_each(|site| site.zone(&self.records));
        if words[0] == "runq" && self.sites.len() > 1 {
            self.sites.iter_mut().try_for_each(Site::listen)?;
        }
        let ran = self.sites[self.now].run(&words);
        self.player.learn(self.hosts.finish()?);
        self.player.said(&ran?);
        Ok(())
    }
}

/// What is done to one site alone; `None` if the line is about something else.
fn of_site(site: &mut Site, script: &Script, act: &Act) -> Option<Result<(), String>> {
    Some(match act {
        Act::User(name, password) => site.user(name, password),
        Act::Alias(line) => site.alias(line),
        Act::File(name, line) => site.file(name, line),
        Act::Mail { user, folder, file } => {
            let letter = script.path.parent().unwrap_or(Path::new(".")).join(file);
            site.mail(user, folder.as_deref(), &letter)
        }
        Act::Kill => site.kill(),
        Act::Restart => site.restart(),
        Act::Reload => site.reload(),
        Act::Later(time) => {
            site.later(*time);
            Ok(())
        }
        Act::Wake => {
            site.wake();
            Ok(())
        }
        _ => return None,
    })
}
