//! The file of `relay_logins`: lines of host, name and password.

use crate::conf::Site;
use crate::limits;
use crate::sys::file;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Name and password at a host; `None` where the file has none for it.
pub(super) fn find(site: &Site, host: &str) -> Result<Option<(String, String)>, String> {
    let Some(path) = &site.relay_logins else { return Ok(None) };
    let fault = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = read(path)?;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let mut words = line.split_whitespace();
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case(host)) {
            return match (words.next(), words.next(), words.next()) {
                (Some(name), Some(password), None) => Ok(Some((name.into(), password.into()))),
                _ => Err(fault(&format!("'{host}' takes a name and a password"))),
            };
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<String, String> {
    let fault = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let mode = std::fs::metadata(path).map_err(|error| fault(&error))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(fault(&"others may read it; chmod 640"));
    }
    file::read_text(path, limits::TABLE_FILE).map_err(|error| fault(&error))
}

/// Why nobody could log in anywhere.
pub fn logins_fault(site: &Site) -> Option<String> {
    read(site.relay_logins.as_ref()?).err()
}
