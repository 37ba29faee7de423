//! The words behind a key, and what they can be read as: one or many, a path, a switch, a size, a
//! time. What is not of its form is told in the words of buzon.conf(5).

use super::values::{duration, size, switch};
use std::path::{Path, PathBuf};

/// The words of one value, and the directory that relative paths are relative to.
pub(super) struct Words<'a> {
    pub text: &'a str,
    pub directory: &'a Path,
}

impl Words<'_> {
    pub fn list(&self) -> impl Iterator<Item = &str> {
        self.text.split_whitespace().filter(|word| *word != "none")
    }

    pub fn one(&self) -> Result<&str, String> {
        match self.text.split_whitespace().collect::<Vec<_>>()[..] {
            [word] => Ok(word),
            _ => Err("takes one word".into()),
        }
    }

    pub fn read<T>(&self, read: fn(&str) -> Option<T>, form: &str) -> Result<T, String> {
        let word = self.one()?;
        read(word).ok_or_else(|| format!("'{word}' is not {form}"))
    }

    pub fn all<T>(&self, read: fn(&str) -> Option<T>, form: &str) -> Result<Vec<T>, String> {
        self.list()
            .map(|word| read(word).ok_or_else(|| format!("'{word}' is not {form}")))
            .collect()
    }

    pub fn path(&self) -> Result<PathBuf, String> {
        self.one().map(|word| self.directory.join(word))
    }

    pub fn path_or_none(&self) -> Result<Option<PathBuf>, String> {
        if self.text == "none" { Ok(None) } else { self.path().map(Some) }
    }

    pub fn switch(&self) -> Result<bool, String> {
        self.read(switch, "'yes' or 'no'")
    }

    pub fn size(&self) -> Result<u64, String> {
        self.read(size, "a size such as 4096, 50M or 2G")
    }

    pub fn duration(&self) -> Result<std::time::Duration, String> {
        self.read(duration, "a time such as 30s, 5m or 4d")
    }

    pub fn count(&self) -> Result<usize, String> {
        self.read(|word| word.parse().ok().filter(|n| *n > 0), "a number above 0")
    }
}
