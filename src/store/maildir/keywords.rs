//! The names of keywords: `dovecot-keywords`, a line `NUMBER NAME` for each. The number stands for
//! one of the small letters in the names of files, 0 for `a`.
//!
//! Numbers are given under the lock of the list of UIDs and are never given to another name.

use std::io::{self, ErrorKind, Read, Write};

use super::super::flags::{KEYWORDS, is_keyword};
use crate::sys::dir::{Dir, Stat};

const NAME: &[u8] = b"dovecot-keywords";
/// Until it is complete; Dovecot's too.
const TEMPORARY: &[u8] = b"dovecot-keywords.tmp";
/// More is not read.
const LONGEST: u64 = 64 * 1024;

/// The names as they were read.
#[derive(Clone, Debug, Default)]
pub struct Keywords {
    /// By number; an empty one is not given, or not understood.
    pub names: Vec<String>,
    stat: Option<Stat>,
}

impl Keywords {
    /// Reads the names of a mailbox.
    pub fn read(root: &Dir) -> io::Result<Keywords> {
        let file = match root.open_file(NAME) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Keywords::default()),
            file => file?,
        };
        let mut text = Vec::new();
        (&file).take(LONGEST).read_to_end(&mut text)?;
        let names = parse(&String::from_utf8_lossy(&text));
        Ok(Keywords { names, stat: Some(Stat::of_file(&file)?) })
    }

    /// Whether the file still is as it was read.
    pub fn is_current(&self, root: &Dir) -> io::Result<bool> {
        match root.stat(NAME) {
            Ok(stat) => Ok(self.stat == Some(stat)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(self.stat.is_none()),
            Err(error) => Err(error),
        }
    }

    /// The number of a keyword, in any case.
    pub fn find(&self, name: &str) -> Option<u32> {
        let is_it = |other: &String| other.eq_ignore_ascii_case(name);
        self.names.iter().position(is_it).filter(|_| !name.is_empty()).map(|at| at as u32)
    }

    /// The bits of all that have a name.
    pub fn named(&self) -> u32 {
        let named = self.names.iter().enumerate().filter(|(_, name)| !name.is_empty());
        named.fold(0, |bits, (at, _)| bits | (1 << at))
    }

    /// Gives a keyword a number and writes that down; `None` where there is no room. The lock of
    /// the list of UIDs is held, and the names were read under it.
    pub fn add(&mut self, root: &Dir, name: &str) -> io::Result<Option<u32>> {
        if self.names.len() >= KEYWORDS || !is_keyword(name) {
            return Ok(None);
        }
        self.names.push(name.into());
        let written = self.write(root);
        if written.is_err() {
            self.names.pop();
            let _ = root.unlink(TEMPORARY);
        }
        written.map(|()| Some(self.names.len() as u32 - 1))
    }

    fn write(&mut self, root: &Dir) -> io::Result<()> {
        let named = self.names.iter().enumerate().filter(|(_, name)| !name.is_empty());
        let text: String = named.map(|(at, name)| format!("{at} {name}\n")).collect();
        let _ = root.unlink(TEMPORARY);
        let mut file = root.create_file(TEMPORARY)?;
        file.write_all(text.as_bytes())?;
        // Careful: a letter in a file's name must not outlive what it stands for.
        file.sync_all()?;
        root.rename(TEMPORARY, root, NAME)?;
        root.sync()?;
        self.stat = Some(Stat::of_file(&file)?);
        Ok(())
    }
}

fn parse(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines() {
        let Some((number, name)) = line.split_once(' ') else { continue };
        let Some(number) = number.parse().ok().filter(|number| *number < KEYWORDS) else {
            continue;
        };
        if names.len() <= number {
            names.resize(number + 1, String::new());
        }
        if is_keyword(name) {
            names[number] = name.to_owned();
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_kept_and_given() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        let mut keywords = Keywords::read(&root).unwrap();
        assert!(keywords.is_current(&root).unwrap() && keywords.names.is_empty());
        let text = "0 $Forwarded\n3 NonJunk\n26 late\nx y\n2 a b\n1 a)b\n";
        std::fs::write(place.path().join("dovecot-keywords"), text).unwrap();
        assert!(!keywords.is_current(&root).unwrap());
        keywords = Keywords::read(&root).unwrap();
        assert_eq!(keywords.names, ["$Forwarded", "", "", "NonJunk"]);
        assert_eq!((keywords.find("nonjunk"), keywords.find("")), (Some(3), None));
        assert_eq!(keywords.named(), 0b1001);
        assert_eq!(keywords.add(&root, "$Label1").unwrap(), Some(4));
        assert_eq!(keywords.add(&root, "a b").unwrap(), None);
        assert!(keywords.is_current(&root).unwrap());
        let text = std::fs::read_to_string(place.path().join("dovecot-keywords")).unwrap();
        assert_eq!(text, "0 $Forwarded\n3 NonJunk\n4 $Label1\n");
        for at in 5..26 {
            assert_eq!(keywords.add(&root, &format!("k{at}")).unwrap(), Some(at));
        }
        assert_eq!(keywords.add(&root, "more").unwrap(), None);
    }
}
