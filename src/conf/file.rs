//! The file: `key value` lines, `#` comments.
//!
//! Every fault is named with file and line and, for an unknown key, the nearest valid one. All
//! faults are found in one reading, so that they can be mended in one sitting.

use super::keys::KEYS;
use super::words::Words;
use super::{Role, Site};
use crate::limits;
use crate::sys;
use crate::text::nearest;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A key's effective value and where it was said, `None` for a default.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// The value as written.
    pub value: String,
    /// The line of the file.
    pub line: Option<usize>,
}

/// Why there is no Site.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// What is wrong, each with `file:line: `.
    Faults(Vec<String>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Unreadable(path, error) => write!(f, "{}: {error}", path.display()),
            Error::Faults(faults) => write!(f, "{}", faults.join("\n")),
        }
    }
}

/// Reads the configuration; without a file, the defaults.
pub fn load(path: Option<&Path>) -> Result<Site, Error> {
    let text = match path {
        Some(path) => sys::file::read_text(path, limits::TABLE_FILE)
            .map_err(|error| Error::Unreadable(path.into(), error))?,
        None => String::new(),
    };
    let mut site = parse(path.unwrap_or(Path::new("/etc/buzon/buzon.conf")), &text)?;
    site.file = path.map(|path| std::path::absolute(path).unwrap_or(path.into()));
    Ok(site)
}

fn parse(path: &Path, text: &str) -> Result<Site, Error> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut site = empty();
    let mut faults = Vec::new();
    let said = lines(path, text, &mut faults);
    for key in KEYS {
        let mut lines = said.iter().filter(|(name, ..)| *name == key.name).peekable();
        if lines.peek().is_none() {
            let value = default(key.name, key.default, &site);
            let words = Words { text: &value, directory: Path::new("/etc/buzon") };
            let words = Words {
                directory: if path.exists() { directory } else { words.directory },
                ..words
            };
            if let Err(fault) = (key.set)(&mut site, &words) {
                // Of this host's name nobody has made sure yet.
                let (place, name) = (path.display(), key.name);
                faults.push(format!(
                    "{place}: {name}: {fault}; write a line '{name} ...' of its own"
                ));
            }
            site.settings.push(Setting { key: key.name, value, line: None });
        }
        for (at, (_, value, line)) in lines.enumerate() {
            if at > 0 && !["certificate", "relay"].contains(&key.name) {
                faults.push(format!("{}:{line}: '{}' is said twice", path.display(), key.name));
            }
            if let Err(fault) = (key.set)(&mut site, &Words { text: value, directory }) {
                let place = path.display();
                faults.push(format!("{place}:{line}: {}: {fault} ({})", key.name, key.meaning));
            }
            let setting = Setting { key: key.name, value: value.to_string(), line: Some(*line) };
            site.settings.push(setting);
        }
    }
    need_certificates(path, &mut site, &mut faults);
    if faults.is_empty() { Ok(site) } else { Err(Error::Faults(faults)) }
}

/// The lines that say something: key, value, line number.
fn lines<'a>(
    path: &Path,
    text: &'a str,
    faults: &mut Vec<String>,
) -> Vec<(&'static str, &'a str, usize)> {
    let mut said = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let begins = |at: &usize| *at == 0 || line[..*at].ends_with([' ', '\t']);
        let comment = line.match_indices('#').map(|(at, _)| at).find(begins);
        let line = line[..comment.unwrap_or(line.len())].trim();
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let place = format!("{}:{}", path.display(), at + 1);
        match KEYS.iter().find(|key| key.name == name) {
            Some(key) if value.trim().is_empty() => faults
                .push(format!("{place}: '{name}' has no value; the default is '{}'", key.default)),
            Some(key) => said.push((key.name, value.trim(), at + 1)),
            None => {
                let near = nearest(name, KEYS.iter().map(|key| key.name));
                let near = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
                faults.push(format!("{place}: there is no key '{name}'{near}"));
            }
        }
    }
    said
}

/// Defaults that depend on this machine or on another key.
fn default(key: &str, written: &str, site: &Site) -> String {
    match key {
        "hostname" => sys::hostname().unwrap_or_else(|| written.into()),
        "domains" => site.hostname.clone(),
        _ => written.into(),
    }
}

/// Roles with TLS from the first octet need a certificate: without one, a role that was asked for
/// is a fault, and one that is only a default is left out.
fn need_certificates(path: &Path, site: &mut Site, faults: &mut Vec<String>) {
    if !site.certificates.is_empty() {
        return;
    }
    for setting in &mut site.settings {
        let Some(role) = [Role::Submissions, Role::Pop3s, Role::Imaps]
            .into_iter()
            .find(|role| role.name() == setting.key)
        else {
            continue;
        };
        match setting.line {
            Some(line) if site.listen.iter().any(|(other, _)| *other == role) => {
                let place = path.display();
                faults.push(format!("{place}:{line}: '{}' needs a certificate", setting.key));
            }
            _ => {
                site.listen.retain(|(other, _)| *other != role);
                setting.value = "none".into();
            }
        }
    }
}

fn empty() -> Site {
    Site {
        file: None,
        settings: Vec::new(),
        hostname: String::new(),
        domains: Vec::new(),
        accept_mail: true,
        mail_owner: String::new(),
        system_users: false,
        first_uid: 0,
        mail_group: String::new(),
        users: PathBuf::new(),
        aliases: PathBuf::new(),
        virtual_addresses: PathBuf::new(),
        lists: PathBuf::new(),
        srs: None,
        home: String::new(),
        mailbox: String::new(),
        spool: PathBuf::new(),
        run: PathBuf::new(),
        listen: Vec::new(),
        certificates: Vec::new(),
        clear_text_login: Vec::new(),
        max_connections: 1,
        max_connections_per_address: 1,
        message_size: 0,
        quota: 0,
        recipient_delimiter: None,
        vrfy: false,
        expn: false,
        apop: false,
        old_verbs: false,
        deliver_wait: Duration::ZERO,
        smtp_timeout: Duration::ZERO,
        pop3_timeout: Duration::ZERO,
        imap_timeout: Duration::ZERO,
        failure_delay: Duration::ZERO,
        login_delay: Duration::ZERO,
        queue: PathBuf::new(),
        dns_zone: None,
        relays: Vec::new(),
        relay_fallback: None,
        relay_logins: None,
        relay_domains: Vec::new(),
        relay_from: Vec::new(),
        tls_require: Vec::new(),
        mta_sts: false,
        retry_first: Duration::ZERO,
        retry_longest: Duration::ZERO,
        delay_report: Duration::ZERO,
        give_up: Duration::ZERO,
        max_deliveries: 1,
        max_deliveries_per_host: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> String {
        parse(Path::new("/nowhere/buzon.conf"), text).unwrap_err().to_string()
    }

    #[test]
    fn values_and_their_places() {
        let text =
            "# a class\nhostname Mail.Example.test\t# us\n\ndomains example.test aula.test # two\n";
        let site = parse(Path::new("/nowhere/buzon.conf"), text).unwrap();
        assert_eq!(site.hostname, "mail.example.test");
        assert_eq!(site.domains, ["example.test", "aula.test"]);
        assert!(site.is_local("AULA.test") && !site.is_local("test"));
        let setting = site.settings.iter().find(|setting| setting.key == "domains").unwrap();
        assert_eq!((setting.value.as_str(), setting.line), ("example.test aula.test", Some(4)));
    }

    #[test]
    fn domains_default_to_the_hostname() {
        let site = parse(Path::new("/nowhere/buzon.conf"), "hostname mx.example.test\n").unwrap();
        assert_eq!(site.domains, ["mx.example.test"]);
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let site = parse(Path::new("/nowhere/buzon.conf"), "users people\n").unwrap();
        assert_eq!(site.users, Path::new("/nowhere/people"));
    }

    #[test]
    fn faults_name_line_and_cure() {
        for (text, told) in [
            (
                "hostnam x\n",
                "/nowhere/buzon.conf:1: there is no key 'hostnam'; did you mean 'hostname'?",
            ),
            ("\nvrfy maybe\n", "/nowhere/buzon.conf:2: vrfy: 'maybe' is not 'yes' or 'no'"),
            ("quota\n", "/nowhere/buzon.conf:1: 'quota' has no value; the default is '0'"),
            ("message_size 0\n", "message_size: '0' is not a size above 0"),
            ("smtp_timeout 99999d\n", "'99999d' is not a time"),
            ("quota 1\nquota 2\n", "/nowhere/buzon.conf:2: 'quota' is said twice"),
            ("pop3s *:995\n", "/nowhere/buzon.conf:1: 'pop3s' needs a certificate"),
            ("mailbox mh:~/Mail\n", "maildir:~/Maildir"),
            ("smtp 25\n", "'25' is not an address"),
        ] {
            assert!(faults(text).contains(told), "{text:?}: {}", faults(text));
        }
        assert_eq!(faults("a b\nc d\n").lines().count(), 2);
    }

    #[test]
    fn roles_that_need_a_certificate_are_left_out_by_default() {
        let site = parse(Path::new("/nowhere/buzon.conf"), "").unwrap();
        assert!(site.listen.iter().all(|(role, _)| !role.implicit_tls()));
        let site = parse(Path::new("/nowhere/buzon.conf"), "certificate c.pem k.pem\n").unwrap();
        assert!(site.listen.iter().any(|(role, _)| *role == Role::Pop3s));
    }
}
