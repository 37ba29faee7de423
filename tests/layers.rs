//! The floors hold, and what a test can hold of the invariants.
//!
//! A folder uses only folders on lower floors; each door (kernel, network, files) is in one place;
//! a file is one sitting. It reads the sources as text: rustfmt keeps them regular enough for that.

#![allow(clippy::unwrap_used)]

use std::path::Path;

/// From the ground up: a folder uses those before its line, and the ground in its own order.
const FLOORS: [&[&str]; 8] = [
    &["limits", "sys", "text"],
    &["conf", "mail"],
    &["auth", "dns", "net", "queue", "store"],
    &["policy", "route"],
    &["parley", "smtp"],
    &["deliver"],
    &["imapd", "pop3d", "smtpd"],
    &["bin"],
];
const PROTOCOLS: [&str; 4] = ["smtp", "smtpd", "pop3d", "imapd"];

/// The longest file, function and card, in lines.
const FILE: usize = 500;
const FUNCTION: usize = 60;
const CARD: usize = 12;

struct Source {
    /// `net/conn.rs`
    name: String,
    /// `net`
    folder: String,
    /// All of it.
    text: String,
    /// Without comments and without the tests at its end.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    assert!(sources.len() > 30, "{}", sources.len());
    sources
}

fn collect(root: &Path, directory: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let folder = name.split(['/', '.']).next().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let tests = name.ends_with("/tests.rs");
            let code = if tests { String::new() } else { code(&text) };
            sources.push(Source { name, folder, text, code });
        }
    }
}

fn code(text: &str) -> String {
    let before_tests = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let mut code = String::new();
    for line in before_tests.lines() {
        let comment = if line.trim_start().starts_with("//") { Some(0) } else { line.find(" // ") };
        code.push_str(&line[..comment.unwrap_or(line.len())]);
        code.push('\n');
    }
    code
}

/// Every path that is written, `use` groups taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let path_character = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut rest = code;
    while let Some(at) = rest.find("::") {
        let start = rest[..at]
            .rfind(|c| !path_character(c))
            .map_or(0, |before| before + rest[before..].chars().next().unwrap().len_utf8());
        let length = rest[start..].find(|c| !path_character(c)).unwrap_or(rest.len() - start);
        let path = &rest[start..start + length];
        rest = &rest[start + length..];
        match path.strip_suffix("::").filter(|_| rest.starts_with('{')) {
            Some(prefix) => {
                let end = group(rest, prefix, &mut paths);
                rest = &rest[end..];
            }
            None => paths.push(path.to_owned()),
        }
    }
    paths
}

/// Takes apart the group that `text` begins with; tells where it ends.
fn group(text: &str, prefix: &str, paths: &mut Vec<String>) -> usize {
    let mut at = 1;
    let mut word = at;
    loop {
        match text.as_bytes()[at] {
            b'{' => {
                let inner = format!("{prefix}::{}", text[word..at].trim().trim_end_matches("::"));
                at += group(&text[at..], &inner, paths);
                word = at;
                continue;
            }
            end @ (b',' | b'}') => {
                let name = text[word..at].trim();
                if !name.is_empty() {
                    paths.push(format!("{prefix}::{name}"));
                }
                word = at + 1;
                if end == b'}' {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

fn floor(folder: &str) -> usize {
    let floor = FLOORS.iter().position(|folders| folders.contains(&folder));
    floor.unwrap_or_else(|| panic!("src/{folder} has no floor: give it one"))
}

/// Names each source whose paths begin with one of these.
fn users_of(wanted: &[&str], allowed: impl Fn(&Source, &str) -> bool) -> Vec<String> {
    let begins = |path: &str, start: &str| {
        path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let mut users = Vec::new();
    for source in sources() {
        for path in paths(&source.code) {
            let path = path.trim_end_matches("::self");
            if wanted.iter().any(|start| begins(path, start)) && !allowed(&source, path) {
                users.push(format!("{}: {path}", source.name));
            }
        }
    }
    users
}

#[test]
fn a_folder_uses_only_lower_floors() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.folder != "lib") {
        let own = floor(&source.folder);
        for path in paths(&source.code) {
            let mut names = path.split("::");
            let Some(used) = names.next().filter(|name| ["crate", "buzon"].contains(name)) else {
                continue;
            };
            let used = names.next().unwrap_or(used);
            let lower = floor(used) < own
                || (floor(used) == 0 && own == 0 && used < source.folder.as_str());
            if used != source.folder && !lower {
                faults.push(format!("{}: {path}", source.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nobody_leaves_a_folder_by_super() {
    for source in sources() {
        let out = if source.name.ends_with("mod.rs") { "super::" } else { "super::super::" };
        let nested = source.name.matches('/').count() > 1;
        assert!(nested || !source.code.contains(out), "{}: {out}", source.name);
    }
}

#[test]
fn lib_lists_the_folders_from_the_ground_up() {
    let lib = sources().into_iter().find(|source| source.name == "lib.rs").unwrap();
    let order: Vec<usize> = lib
        .code
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "))
        .map(|name| floor(name.trim_end_matches(';')))
        .collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn one_door_to_the_kernel() {
    let sys = |source: &Source, _: &str| source.folder == "sys";
    let doors = ["nix", "libc", "signal_hook", "sd_notify"];
    assert_eq!(users_of(&doors, sys), [""; 0], "only in sys");
    for source in sources().iter().filter(|source| source.folder != "sys") {
        let word =
            |word: &str| source.code.split(|c: char| !c.is_alphanumeric()).any(|w| w == word);
        assert!(!word("unsafe") && !word("extern"), "{}: unsafe only in sys", source.name);
    }
}

#[test]
fn threads_and_programs_start_only_through_sys() {
    let harmless = |source: &Source, path: &str| {
        source.folder == "sys"
            || ["thread::sleep", "thread::panicking", "process::id", "process::ExitCode"]
                .iter()
                .any(|end| path.ends_with(end))
    };
    assert_eq!(users_of(&["std::thread", "std::process"], harmless), [""; 0]);
}

#[test]
fn one_door_to_the_network() {
    let sockets = ["TcpListener", "TcpStream", "UdpSocket", "ToSocketAddrs", "UnixStream"];
    for source in sources() {
        if !["net", "dns", "sys"].contains(&source.folder.as_str()) {
            let used = sockets.iter().find(|socket| source.code.contains(*socket));
            assert_eq!(used, None, "{}: sockets only in net", source.name);
        }
    }
}

#[test]
fn line_ends_of_the_wire_are_written_in_few_places() {
    for source in sources() {
        // parley writes what it is told to; store/wire turns files into wire form.
        let place = ["net", "parley"].contains(&source.folder.as_str())
            || source.name == "store/wire.rs"
            || source.name.ends_with("/reply.rs")
            || source.name.ends_with("/response.rs")
            // CRLF that is content.
            || source.name == "mail/binary.rs";
        assert!(place || !source.code.contains("\\r\\n\""), "{}: \\r\\n", source.name);
    }
}

#[test]
fn protocols_touch_no_files() {
    let elsewhere = |source: &Source, _: &str| !PROTOCOLS.contains(&source.folder.as_str());
    let files = ["std::fs", "std::path", "std::os", "crate::sys::file", "crate::sys::dir"];
    assert_eq!(users_of(&files, elsewhere), [""; 0]);
}

#[test]
fn mail_and_text_are_values() {
    let elsewhere = |source: &Source, path: &str| {
        // An address is a value; a socket is not.
        !["mail", "text"].contains(&source.folder.as_str())
            || ["IpAddr", "Ipv4Addr", "Ipv6Addr"].iter().any(|end| path.ends_with(end))
    };
    let world = ["std::fs", "std::io", "std::net", "std::env", "std::time", "crate::sys"];
    assert_eq!(users_of(&world, elsewhere), [""; 0]);
}

#[test]
fn a_file_is_one_sitting() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        if lines.len() > FILE {
            faults.push(format!("{}: {} lines", source.name, lines.len()));
        }
        let card = lines.iter().take_while(|line| line.starts_with("//!")).count();
        if !(1..=CARD).contains(&card) {
            faults.push(format!("{}: a card of {card} lines", source.name));
        }
        let before_tests = source.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        for (at, line) in lines.iter().enumerate().take(before_tests.lines().count()) {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start().trim_start_matches("pub(super) ");
            let head = head.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            if head.starts_with("fn ") && !line.ends_with('}') {
                let end = format!("{}}}", " ".repeat(indent));
                let length = lines[at..].iter().take_while(|line| **line != end).count() + 1;
                if length > FUNCTION {
                    faults.push(format!("{}:{}: {length} lines: {head}", source.name, at + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    for source in sources() {
        for word in ["todo!", "unimplemented!", "dbg!", "FIXME", "TODO", "XXX"] {
            assert!(!source.code.contains(word), "{}: {word}", source.name);
        }
    }
}

#[test]
fn citations_have_one_form() {
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            let other = ["RFC5", "RFC1", "RFC2", "rfc 5", "section 4"]
                .iter()
                .any(|form| line.contains(form) && line.contains("//"));
            assert!(!other, "{}:{}: write RFC 5321 §4.1", source.name, at + 1);
        }
    }
}

#[test]
fn paths_are_taken_apart() {
    let code = "use crate::{conf, net::{Conn, Line as L}};\nlet x = crate::text::y(std::fs::read);";
    assert_eq!(
        paths(code),
        [
            "crate::conf",
            "crate::net::Conn",
            "crate::net::Line as L",
            "crate::text::y",
            "std::fs::read"
        ]
    );
}
