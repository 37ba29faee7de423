//! A dialogue file read into steps.
//!
//! Every line is one step; blank lines are none. All faults of a file are found in one reading,
//! each named with file and line and the nearest kind of line. The format: parley-dialogue(5).

use super::text::Text;
use crate::text::nearest;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A dialogue.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file, as faults name it.
    pub path: PathBuf,
    /// Its lines.
    pub steps: Vec<Step>,
}

/// One line of a dialogue.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number in the file.
    pub line: usize,
    /// As it stands there.
    pub source: String,
    /// What it means.
    pub act: Act,
}

/// The language a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321, RFC 2033.
    Smtp,
    /// RFC 1939.
    Pop3,
    /// RFC 9051.
    Imap,
}

/// A service that can be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The word after `server`; also the name of an inherited socket.
    pub name: &'static str,
    /// Its language.
    pub protocol: Protocol,
    /// Whether TLS begins with the connection (RFC 8314 §3).
    pub implicit_tls: bool,
}

/// All of them.
pub const SERVICES: [Service; 8] = [
    Service { name: "smtp", protocol: Protocol::Smtp, implicit_tls: false },
    Service { name: "submission", protocol: Protocol::Smtp, implicit_tls: false },
    Service { name: "submissions", protocol: Protocol::Smtp, implicit_tls: true },
    Service { name: "lmtp", protocol: Protocol::Smtp, implicit_tls: false },
    Service { name: "pop3", protocol: Protocol::Pop3, implicit_tls: false },
    Service { name: "pop3s", protocol: Protocol::Pop3, implicit_tls: true },
    Service { name: "imap", protocol: Protocol::Imap, implicit_tls: false },
    Service { name: "imaps", protocol: Protocol::Imap, implicit_tls: true },
];

/// What a line asks for; `usize` is the number of a connection.
#[derive(Clone, Debug)]
pub enum Act {
    /// `# text`
    Comment,
    /// `site NAME`
    Site(String),
    /// `set KEY VALUE`
    Set(String, String),
    /// `user NAME PASSWORD`
    User(String, String),
    /// `alias A: B`
    Alias(String),
    /// `file NAME TEXT`
    File(PathBuf, String),
    /// `zone RECORD`
    Zone(String),
    /// `mail USER [FOLDER] FILE`
    Mail {
        /// Whose mailbox.
        user: String,
        /// Another folder than the inbox.
        folder: Option<String>,
        /// The letter, relative to the dialogue.
        file: PathBuf,
    },
    /// `server [SITE] SERVICE [N]`
    Server(Option<String>, Service, usize),
    /// `C: text`
    Send(usize, Text),
    /// `C! text`
    SendRaw(usize, Text),
    /// `S: text`
    Expect(usize, Text),
    /// `S& text`
    ExpectAmong(usize, Text),
    /// `S{ text`
    Literal(usize, Text),
    /// `S{ <FILE`
    LiteralFile(usize, PathBuf),
    /// `S- TIME`
    Silence(usize, Duration),
    /// `within TIME`
    Within(Duration),
    /// `tls [N]`
    Tls(usize),
    /// `closed [N]`
    Closed(usize),
    /// `run PROGRAM ARGS`
    Run(Vec<String>),
    /// `O: text`
    Output(Text),
    /// `kill`
    Kill,
    /// `restart`
    Restart,
    /// `reload`
    Reload,
    /// `later +TIME`
    Later(Duration),
    /// `wake`
    Wake,
    /// `host NAME`, and the lines of one connection to it
    Host(String, Vec<Step>),
    /// `H: text`
    Hear(Text),
    /// `R: text`
    Reply(Text),
    /// `R! text`
    ReplyRaw(Text),
    /// `cut`
    Cut,
    /// `slow TIME`
    Slow(Duration),
}

impl Step {
    /// Whether only a host that the dialogue plays can do it.
    fn is_only_of_host(&self) -> bool {
        let act = &self.act;
        matches!(act, Act::Hear(_) | Act::Reply(_) | Act::ReplyRaw(_) | Act::Cut | Act::Slow(_))
    }

    /// Whether it is the host's where it stands behind its lines.
    fn is_of_host(&self) -> bool {
        self.is_only_of_host() || ["tls", "closed"].contains(&self.source.trim())
    }
}

/// The words that begin a line, for the nearest one to a slip.
const WORDS: [&str; 19] = [
    "site", "set", "user", "alias", "file", "zone", "mail", "server", "within", "tls", "closed",
    "run", "kill", "restart", "reload", "later", "wake", "host", "slow",
];

/// Reads a dialogue; the faults are lines `file:line: what`.
pub fn parse(path: &Path, text: &str) -> Result<Script, Vec<String>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut faults = Vec::new();
    // Where the host stands whose lines these are.
    let mut host = None;
    for (at, source) in text.lines().enumerate() {
        if source.trim().is_empty() {
            continue;
        }
        let line = at + 1;
        let step = match act(source) {
            Ok(act) => Step { line, source: source.to_string(), act },
            Err(fault) => {
                faults.push(format!("{}:{line}: {fault}", path.display()));
                continue;
            }
        };
        match host.and_then(|at: usize| steps.get_mut(at)) {
            _ if matches!(step.act, Act::Comment) => steps.push(step),
            Some(Step { act: Act::Host(_, lines), .. }) if step.is_of_host() => lines.push(step),
            _ if step.is_only_of_host() => faults.push(format!(
                "{}:{line}: '{}' stands before it",
                path.display(),
                form("host")
            )),
            _ => {
                host = matches!(step.act, Act::Host(..)).then_some(steps.len());
                steps.push(step);
            }
        }
    }
    if faults.is_empty() { Ok(Script { path: path.into(), steps }) } else { Err(faults) }
}

fn act(source: &str) -> Result<Act, String> {
    if source.starts_with('#') {
        return Ok(Act::Comment);
    }
    let (digits, rest) = source.split_at(source.bytes().take_while(u8::is_ascii_digit).count());
    let connection = if digits.is_empty() { 1 } else { number(digits)? };
    if let Some(spoken) = spoken(connection, rest) {
        return spoken;
    }
    let (word, rest) = source.split_once(' ').unwrap_or((source, ""));
    let words: Vec<&str> = rest.split_whitespace().collect();
    match (word, &words[..]) {
        ("server", words) => server(words),
        ("tls", words) => last_number(words).map(Act::Tls),
        ("closed", words) => last_number(words).map(Act::Closed),
        ("run", [_, ..]) => Ok(Act::Run(words.into_iter().map(String::from).collect())),
        ("kill", []) => Ok(Act::Kill),
        ("restart", []) => Ok(Act::Restart),
        ("reload", []) => Ok(Act::Reload),
        ("wake", []) => Ok(Act::Wake),
        ("cut", []) => Ok(Act::Cut),
        ("within", [time]) => duration(time).map(Act::Within),
        ("slow", [time]) => duration(time).map(Act::Slow),
        ("later", [time]) => duration(time.trim_start_matches('+')).map(Act::Later),
        ("host", [name]) => Ok(Act::Host(name.to_string(), Vec::new())),
        _ => furnishing(word, rest.trim(), &words),
    }
}

/// Lines that begin with a speaker.
fn spoken(connection: usize, rest: &str) -> Option<Result<Act, String>> {
    let (speaker, text) = rest.split_at_checked(2)?;
    let text = text.strip_prefix(' ').unwrap_or(text);
    Some(match speaker {
        "C:" => Text::line(text).map(|text| Act::Send(connection, text)),
        "C!" => Text::raw(text).map(|text| Act::SendRaw(connection, text)),
        "S:" => Text::expected(text).map(|text| Act::Expect(connection, text)),
        "S&" => Text::expected(text).map(|text| Act::ExpectAmong(connection, text)),
        "S{" => match text.strip_prefix('<') {
            Some(file) => Ok(Act::LiteralFile(connection, file.into())),
            None => Text::raw(text).map(|text| Act::Literal(connection, text)),
        },
        "S-" => duration(text.trim()).map(|time| Act::Silence(connection, time)),
        "H:" => Text::expected(text).map(Act::Hear),
        "R:" => Text::line(text).map(Act::Reply),
        "R!" => Text::raw(text).map(Act::ReplyRaw),
        "O:" => Text::expected(text).map(Act::Output),
        _ => return None,
    })
}

fn furnishing(word: &str, rest: &str, words: &[&str]) -> Result<Act, String> {
    let two = || rest.split_once(char::is_whitespace).map(|(a, b)| (a.into(), b.trim().into()));
    match (word, words) {
        ("site", [name]) => Ok(Act::Site(name.to_string())),
        ("set", [_, _, ..]) => {
            Ok(two().map(|(key, value)| Act::Set(key, value)).expect("two words"))
        }
        ("user", [_, _, ..]) => {
            Ok(two().map(|(name, password)| Act::User(name, password)).expect("two words"))
        }
        ("alias", [_, _, ..]) if rest.contains(':') => Ok(Act::Alias(rest.into())),
        ("file", [_, _, ..]) => Ok(two()
            .map(|(name, text): (String, _)| Act::File(name.into(), text))
            .expect("two words")),
        ("zone", [_, ..]) => Ok(Act::Zone(rest.into())),
        ("mail", [user, folder @ .., file]) if folder.len() < 2 => Ok(Act::Mail {
            user: user.to_string(),
            folder: folder.first().map(|folder| folder.to_string()),
            file: file.into(),
        }),
        (word, _) if WORDS.contains(&word) || word == "cut" => {
            Err(format!("'{word}' is written '{}'", form(word)))
        }
        _ => {
            let hint = nearest(word, WORDS.into_iter());
            let hint = hint.map(|word| format!("; '{}'?", form(word))).unwrap_or_default();
            Err(format!("'{word}' begins no line of a dialogue{hint}"))
        }
    }
}

/// How a line is written.
fn form(word: &str) -> &'static str {
    match word {
        "site" => "site NAME",
        "set" => "set KEY VALUE",
        "user" => "user NAME PASSWORD",
        "alias" => "alias NAME: ADDRESS, ...",
        "file" => "file NAME TEXT",
        "zone" => "zone RECORD",
        "mail" => "mail USER [FOLDER] FILE",
        "server" => "server [SITE] SERVICE [N]",
        "within" => "within TIME",
        "tls" => "tls [N]",
        "closed" => "closed [N]",
        "run" => "run PROGRAM ARGUMENT ...",
        "kill" => "kill",
        "restart" => "restart",
        "reload" => "reload",
        "later" => "later +TIME",
        "wake" => "wake",
        "host" => "host NAME",
        "slow" => "slow TIME",
        _ => "cut",
    }
}

fn server(words: &[&str]) -> Result<Act, String> {
    let service = |word: &str| SERVICES.into_iter().find(|service| service.name == word);
    let (site, rest) = match words {
        [first, ..] if service(first).is_some() => (None, words),
        [site, rest @ ..] if !rest.is_empty() => (Some(site.to_string()), rest),
        _ => (None, words),
    };
    let [name, rest @ ..] = rest else {
        return Err(format!("'server' is written '{}'", form("server")));
    };
    let service = service(name).ok_or_else(|| {
        let names: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
        format!("'{name}' is none of the services {}", names.join(", "))
    })?;
    Ok(Act::Server(site, service, last_number(rest)?))
}

/// The number of a connection at the end of a line, or 1.
fn last_number(words: &[&str]) -> Result<usize, String> {
    match words {
        [] => Ok(1),
        [word] => number(word),
        _ => Err("one number of a connection may stand here".into()),
    }
}

fn number(word: &str) -> Result<usize, String> {
    word.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("'{word}' is no number of a connection"))
}

fn duration(word: &str) -> Result<Duration, String> {
    crate::conf::duration(word).ok_or_else(|| format!("'{word}' is no time such as 300ms, 5s, 26h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_language() {
        let text = include_str!("every-line.txt");
        let script = parse(Path::new("every-line.txt"), text).unwrap();
        let shown: Vec<String> =
            script.steps.iter().map(|step| format!("{:?}", step.act)).collect();
        for (at, begin) in [
            (0, "Comment"),
            (1, "Site(\"foo.com\")"),
            (2, "Set(\"failure_delay\", \"0s\")"),
            (3, "User(\"alice\", \"open sesame\")"),
            (4, "Alias(\"sales: alice, bob\")"),
            (29, "Host(\"mx.bar.com\", [Step { line: 31, source: \"H: EHLO ...\", act: Hear("),
            (30, "File(\"virtual\", \"info@tienda.test alice\")"),
            (6, "Mail { user: \"alice\", folder: None, file: \"letters/one.eml\" }"),
            (7, "Mail { user: \"alice\", folder: Some(\"Sent\"), file: \"letters/one.eml\" }"),
            (8, "Server(None, Service { name: \"smtp\""),
            (
                9,
                "Server(Some(\"foo.com\"), Service { name: \"pop3s\", protocol: Pop3, implicit_tls: true }, 2)",
            ),
            (10, "Send(1, "),
            (11, "Send(2, "),
            (12, "SendRaw(1, "),
        ] {
            assert!(shown[at].starts_with(begin), "{}", shown[at]);
        }
        assert!(matches!(script.steps.last().unwrap().act, Act::Closed(2)));
    }

    #[test]
    fn faults_name_file_line_and_the_nearest_kind() {
        let text = "# x\nsevrer smtp\nC: hello\nserver ftp\nuser alice\nS- soon\n\nC; x\nS: %{\n\
                    host a\n# x\nR: 220\ncut\nwake\nH: x\n";
        let faults = parse(Path::new("d.txt"), text).unwrap_err();
        assert_eq!(
            faults,
            [
                "d.txt:2: 'sevrer' begins no line of a dialogue; 'server [SITE] SERVICE [N]'?",
                "d.txt:4: 'ftp' is none of the services smtp, submission, submissions, lmtp, \
                 pop3, pop3s, imap, imaps",
                "d.txt:5: 'user' is written 'user NAME PASSWORD'",
                "d.txt:6: 'soon' is no time such as 300ms, 5s, 26h",
                "d.txt:8: 'C;' begins no line of a dialogue",
                "d.txt:9: %{ without a name and }",
                "d.txt:15: 'host NAME' stands before it",
            ]
        );
    }
}
