//! The manuals say what the programs do.
//!
//! Keys: the table in `conf/keys.rs`, buzon.conf(5) and the sample `etc/buzon/buzon.conf` name the
//! same ones, in the same order, with the same defaults. Options: what a program prints as its
//! usage and what its manual lists are the same letters. And mandoc(1) finds nothing to say.

#![allow(clippy::unwrap_used)]

use buzon::conf::KEYS;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Defaults that this machine or another key gives, so that they cannot be written down.
const COMPUTED: [&str; 2] = ["hostname", "domains"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(directory: &Path, wanted: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, wanted) } else { wanted(&path) }
    }
}

fn manuals() -> Vec<PathBuf> {
    let mut manuals = Vec::new();
    files(&root().join("src"), &mut |path| {
        if path.extension().is_some_and(|section| ["1", "5", "8"].iter().any(|s| section == *s)) {
            manuals.push(path.to_owned());
        }
    });
    assert!(!manuals.is_empty());
    manuals
}

/// The programs of src/bin, and where cargo put each.
fn programs() -> Vec<(String, PathBuf)> {
    let built = std::env::current_exe().unwrap();
    let built = built.ancestors().nth(2).unwrap();
    let mut programs = Vec::new();
    files(&root().join("src/bin"), &mut |path| {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            programs.push((name.clone(), built.join(name)));
        }
    });
    programs
}

#[test]
fn the_sample_says_every_key_with_its_default() {
    let sample = read("etc/buzon/buzon.conf");
    let said: Vec<(&str, &str)> = sample
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_once(' ').unwrap_or_else(|| panic!("no value: {line}")))
        .collect();
    let names: Vec<_> = said.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    for ((name, value), key) in said.into_iter().zip(KEYS) {
        assert!(COMPUTED.contains(&name) || value == key.default, "{name} {value}");
    }
    let set = sample.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(set, None, "the sample leaves every default alone");
}

#[test]
fn the_sample_is_valid_as_it_stands_and_uncommented() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("buzon.conf");
    let sample = read("etc/buzon/buzon.conf");
    let spoken = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    // The ports of TLS want the certificate that the sample cannot have.
    let uncommented: String = sample
        .lines()
        .map(spoken)
        .map(|line| line.replace("certificate none", "certificate chain.pem key.pem"))
        .collect();
    for text in [sample, uncommented] {
        std::fs::write(&path, text).unwrap();
        buzon::conf::load(Some(&path)).unwrap();
    }
}

#[test]
fn the_manual_says_every_key_with_its_default() {
    let manual = read("src/conf/buzon.conf.5");
    let items: Vec<&str> = manual.lines().filter_map(|line| line.strip_prefix(".It Ic ")).collect();
    let names: Vec<_> = items.iter().map(|item| item.split(' ').next().unwrap()).collect();
    assert_eq!(names, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    for (item, key) in items.iter().zip(KEYS) {
        let told = format!(" Pq default Ql {}", key.default);
        let computed = COMPUTED.contains(&key.name) && item.contains("Pq default: the ");
        assert!(computed || item.ends_with(&told), ".It Ic {item}: want{told}");
    }
}

/// The letters in `[-dnv]`, `[-f file]`, and in lines that begin with `-f`.
fn usage_letters(usage: &str) -> BTreeSet<char> {
    let mut letters = BTreeSet::new();
    for line in usage.lines() {
        let bracketed = line.split('[').skip(1).map(|part| part.split([' ', ']']).next().unwrap());
        let leading = line.trim_start().split([' ', ',']).next();
        for word in bracketed.chain(leading) {
            match word.strip_prefix('-') {
                Some(flags) if flags.chars().all(|c| c.is_ascii_alphabetic()) => {
                    letters.extend(flags.chars());
                }
                _ => {}
            }
        }
    }
    letters
}

/// The letters that follow `Fl` on a line of SYNOPSIS or at the head of an item.
fn manual_letters(manual: &str) -> BTreeSet<char> {
    let mut letters = BTreeSet::new();
    let mut synopsis = false;
    for line in manual.lines() {
        if let Some(section) = line.strip_prefix(".Sh ") {
            synopsis = section == "SYNOPSIS";
        }
        if !synopsis && !line.starts_with(".It Fl") {
            continue;
        }
        let words: Vec<&str> = line.split([' ', '.']).collect();
        for pair in words.windows(2).filter(|pair| pair[0] == "Fl") {
            if !pair[1].starts_with('-') {
                letters.extend(pair[1].chars().filter(char::is_ascii_alphabetic));
            }
        }
    }
    letters
}

#[test]
fn every_program_has_a_manual_that_lists_its_options() {
    let manuals = manuals();
    for (name, program) in programs() {
        let manual = manuals.iter().find(|path| path.file_stem().unwrap() == name.as_str());
        let manual = read(manual.unwrap_or_else(|| panic!("{name} has no manual")));
        assert!(manual.contains(&format!(".Nm {name}\n")), "{name}: .Nm");
        let told = Command::new(&program).arg("-?").output();
        let told = told.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let usage = String::from_utf8([told.stdout, told.stderr].concat()).unwrap();
        assert_eq!(told.status.code(), Some(64), "{name} -?: EX_USAGE");
        assert!(usage.contains(&format!("usage: {name}")), "{name}: {usage}");
        assert_eq!(usage_letters(&usage), manual_letters(&manual), "{name}: {usage}");
    }
}

#[test]
fn what_our_manuals_refer_to_exists() {
    let manuals = manuals();
    let ours: Vec<String> =
        manuals.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    for path in &manuals {
        for line in read(path).lines() {
            let mut words = line.split(' ');
            if words.next() != Some(".Xr") {
                continue;
            }
            let (name, section) = (words.next().unwrap(), words.next().unwrap());
            let named = format!("{name}.{section}");
            let mine = name.starts_with("buzon")
                || ours.iter().any(|our| our.starts_with(&format!("{name}.")));
            assert!(!mine || ours.contains(&named), "{}: {line}", path.display());
        }
    }
}

#[test]
fn mandoc_has_nothing_to_say() {
    for path in manuals() {
        let Ok(told) = Command::new("mandoc").args(["-Tlint"]).arg(&path).output() else {
            eprintln!("skipped: mandoc is not installed (apt-get install mandoc)");
            return;
        };
        // Whether the manuals of others, or ours already, are installed here is not the question.
        let faults: Vec<String> = String::from_utf8_lossy(&told.stdout)
            .lines()
            .chain(String::from_utf8_lossy(&told.stderr).lines())
            .filter(|line| !line.contains("referenced manual not found"))
            .filter(|line| !line.contains("outdated mandoc.db"))
            .map(str::to_owned)
            .collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn letters_are_found() {
    let letters = |text: &str| text.chars().collect::<BTreeSet<char>>();
    let usage = "usage: x [-dn] [-f file] add name [-s scheme]\n    -o, --old  x\n    -q WORD  y";
    assert_eq!(usage_letters(usage), letters("dnfsoq"));
    let manual =
        ".Sh SYNOPSIS\n.Nm x\n.Op Fl dn\n.Op Fl f Ar file\n.Sh DESCRIPTION\n.Fl z\n.It Fl q";
    assert_eq!(manual_letters(manual), letters("dnfq"));
}
