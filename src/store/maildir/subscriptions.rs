//! What a user subscribed to: `subscriptions`, as Dovecot reads and writes it.
//!
//! Version 2 has a line `V<tab>2`, an empty one, and a line for each name, its levels divided by
//! tabs and in modified UTF-7. Older files have no head and dots. It is changed under
//! `subscriptions.lock`; names keep their order, and lines that we do not understand stay.

use std::io::{self, ErrorKind, Read, Write};

use super::super::Error;
use super::directories::Maildir;
use super::dotlock;
use crate::sys::dir::Dir;
use crate::text::utf7;

/// How the file is called, and what divides levels in one without a head.
type Style = (&'static [u8], char);
/// In a Maildir.
pub const MAILDIR: Style = (b"subscriptions", '.');
/// Where folders are mboxes.
pub const MBOX: Style = (b".subscriptions", '/');
const LOCK: &[u8] = b"subscriptions.lock";
/// Until it is complete.
const TEMPORARY: &[u8] = b".buzon-subscriptions.tmp";
const HEAD: &str = "V\t2\n\n";
/// More is not read.
const LONGEST: u64 = 1 << 20;

/// The names, sorted by level.
pub fn read(root: &Dir, style: Style) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = lines(root, style)?.iter().filter_map(|line| name(line)).collect();
    names.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    names.dedup();
    Ok(names)
}

/// Adds or removes a name; tells whether that changed anything.
pub fn change(maildir: &Maildir, wanted: &str, is_wanted: bool) -> Result<bool, Error> {
    let tmp = maildir.sub(b"tmp")?;
    let _lock = dotlock::take(&maildir.root, LOCK, &tmp)?;
    edit(&maildir.root, MAILDIR, wanted, is_wanted)
}

/// The same, by one who holds the lock.
pub fn edit(root: &Dir, style: Style, wanted: &str, is_wanted: bool) -> Result<bool, Error> {
    let mut lines = lines(root, style)?;
    let before = lines.len();
    if !is_wanted {
        lines.retain(|line| name(line).is_none_or(|name| name != wanted));
    } else if !lines.iter().any(|line| name(line).is_some_and(|name| name == wanted)) {
        lines.push(utf7::encode(wanted).replace('/', "\t"));
    }
    if lines.len() == before {
        return Ok(false);
    }
    let lines: String = lines.into_iter().map(|line| line + "\n").collect();
    write(root, style.0, &[HEAD, &lines].concat())?;
    Ok(true)
}

fn name(line: &str) -> Option<String> {
    let name = utf7::decode(line.replace('\t', "/").as_bytes())?;
    (!name.is_empty()).then_some(name)
}

/// The lines below the head, levels divided by tabs.
fn lines(root: &Dir, (file, divider): Style) -> io::Result<Vec<String>> {
    let mut text = Vec::new();
    match root.open_file(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?.take(LONGEST).read_to_end(&mut text)?,
    };
    let text = String::from_utf8_lossy(&text);
    let owned = |line: &str| line.to_owned();
    Ok(match text.strip_prefix(HEAD) {
        Some(names) => names.lines().map(owned).collect(),
        None => text.lines().map(|line| line.replace(divider, "\t")).collect(),
    })
}

fn write(root: &Dir, name: &[u8], text: &str) -> io::Result<()> {
    let _ = root.unlink(TEMPORARY);
    let mut file = root.create_file(TEMPORARY)?;
    let written = (|| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        root.rename(TEMPORARY, root, name)?;
        root.sync()
    })();
    if written.is_err() {
        let _ = root.unlink(TEMPORARY);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_as_dovecot_does() {
        let place = tempfile::tempdir().unwrap();
        let maildir = Maildir::open(&place.path().join("m")).unwrap();
        let path = place.path().join("m/subscriptions");
        let text = || std::fs::read_to_string(&path).unwrap();
        assert!(read(&maildir.root, MAILDIR).unwrap().is_empty());
        assert!(!change(&maildir, "x", false).unwrap());
        for name in ["Sent", "Archive/2026", "Señal", "A & B", "INBOX"] {
            assert!(change(&maildir, name, true).unwrap());
            assert!(!change(&maildir, name, true).unwrap());
        }
        let written = "V\t2\n\nSent\nArchive\t2026\nSe&APE-al\nA &- B\nINBOX\n";
        assert_eq!(text(), written);
        let sorted = ["A & B", "Archive/2026", "INBOX", "Sent", "Señal"];
        assert_eq!(read(&maildir.root, MAILDIR).unwrap(), sorted);
        assert!(change(&maildir, "Archive/2026", false).unwrap());
        assert_eq!(text(), "V\t2\n\nSent\nSe&APE-al\nA &- B\nINBOX\n");

        std::fs::write(&path, "INBOX\nArchive.2025\n\u{e9}\n").unwrap();
        assert_eq!(read(&maildir.root, MAILDIR).unwrap(), ["Archive/2025", "INBOX"]);
        assert!(change(&maildir, "INBOX/x", true).unwrap());
        assert_eq!(text(), "V\t2\n\nINBOX\nArchive\t2025\n\u{e9}\nINBOX\tx\n");
        assert!(!place.path().join("m/subscriptions.lock").exists());
    }
}
