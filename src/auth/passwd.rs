//! The users file: Dovecot's passwd-file, `user:password:uid:gid:gecos:home:shell:extra`.
//!
//! All but the first two fields may be left out. Of the extra fields we know `userdb_quota_rule`,
//! `nologin` and `allow_nets`; uid and gid count where `system_users` is on.
//! A line with a fault takes no other line with it. The format: buzon-users(5).

use super::scheme;
use crate::text::is_atext;
use std::collections::HashMap;
use std::path::Path;

/// One user's line.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// In lower case.
    pub name: String,
    /// As it stands in the file, scheme included.
    pub password: String,
    /// uid and gid as they stand in the file, perhaps empty.
    pub ids: [String; 2],
    /// Absolute; `None` for the site's default.
    pub home: Option<String>,
    /// Octets; `None` for the site's default.
    pub quota: Option<u64>,
    /// `nologin`: mail is taken, a login is not.
    pub nologin: bool,
    /// The line of the file.
    pub line: usize,
}

/// Passwords are not for debugging.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Entry({:?})", self.name)
    }
}

impl Entry {
    pub fn may_log_in(&self) -> bool {
        !self.nologin && scheme::usable(&self.password)
    }

    /// Whose files the mail is, as uid and gid; `None` where nothing is said.
    pub fn owner(&self) -> Result<Option<(u32, u32)>, Fault> {
        let [uid, gid] = &self.ids;
        match (uid.as_str(), uid.parse(), gid.parse()) {
            ("", ..) => Ok(None),
            (_, Ok(uid), Ok(gid)) => Ok(Some((uid, gid))),
            _ => {
                let text = format!("uid '{uid}' and gid '{gid}' are not two numbers; write both");
                Err(Fault { line: self.line, text })
            }
        }
    }
}

/// What is wrong with a line, and the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    line: usize,
    text: String,
}

impl Fault {
    /// `file:line: what, cure`
    pub fn at(&self, path: &Path) -> String {
        format!("{}:{}: {}", path.display(), self.line, self.text)
    }
}

/// The file, understood.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// In the order of the file; a line whose user cannot be served is its fault.
    rows: Vec<Result<Entry, Fault>>,
    by_name: HashMap<String, usize>,
    usual: Option<(usize, usize)>,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
}

impl Table {
    /// The line of a name in lower case.
    pub fn find(&self, name: &str) -> Option<Result<&Entry, &Fault>> {
        self.by_name.get(name).map(|at| self.rows[*at].as_ref())
    }

    /// Every user that can be served.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.rows.iter().flatten()
    }

    /// A user whose password costs what most users' passwords cost to compare, and how many those
    /// are.
    pub fn usual(&self) -> Option<(usize, &Entry)> {
        self.usual.and_then(|(count, at)| Some((count, self.rows[at].as_ref().ok()?)))
    }
}

/// Reads the file's text.
pub(super) fn parse(text: &str) -> Table {
    let mut table = Table::default();
    let mut classes: HashMap<String, (usize, usize)> = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fault = |text: String| table.faults.push(Fault { line: at + 1, text });
        let name = line.split(':').next().unwrap_or_default().to_lowercase();
        if let Err(why) = valid_name(&name) {
            // Careful: without a ':' all of the line would be shown, and there is a password in it.
            let forgotten = || "there is no ':' after the name; write name:password".into();
            fault(if line.contains(':') { why } else { forgotten() });
            continue;
        }
        if table.by_name.contains_key(&name) {
            fault(format!("there is a user '{name}' above, this line is not used; remove one"));
            continue;
        }
        let row = entry(&name, at + 1, line, &mut fault);
        if let Err(text) = &row {
            fault(text.clone());
        }
        if let Ok(entry) = &row
            && entry.may_log_in()
        {
            let class = scheme::class(&entry.password).to_owned();
            classes.entry(class).or_insert((0, table.rows.len())).0 += 1;
        }
        table.by_name.insert(name, table.rows.len());
        table.rows.push(row.map_err(|text| Fault { line: at + 1, text }));
    }
    table.usual = classes.into_values().max();
    table
}

/// One line; the error is why its user cannot be served at all.
fn entry(
    name: &str,
    number: usize,
    line: &str,
    fault: &mut impl FnMut(String),
) -> Result<Entry, String> {
    let mut fields = line.splitn(8, ':').skip(1);
    let Some(password) = fields.next() else {
        return Err("there is no ':' after the name; write name:password".into());
    };
    let ids = [(); 2].map(|()| fields.next().unwrap_or_default().to_owned());
    let mut fields = fields.skip(1);
    let home = fields.next().filter(|home| !home.is_empty()).map(str::to_owned);
    if let Some(home) = &home
        && (!home.starts_with('/') || home.contains('\u{fffd}'))
    {
        return Err(format!("the home '{home}' is no absolute path; begin it with '/'"));
    }
    if let Some(why) = scheme::fault(password) {
        fault(format!("{why}; set another with 'buzonctl user passwd {name}'"));
    }
    let password = password.to_owned();
    let name = name.to_owned();
    let (quota, nologin) = (None, false);
    let mut entry = Entry { name, password, ids, home, quota, nologin, line: number };
    for extra in fields.nth(1).unwrap_or_default().split_whitespace() {
        let (key, value) = extra.split_once('=').unwrap_or((extra, ""));
        match key {
            "userdb_quota_rule" => match octets(value) {
                Some(octets) => entry.quota = Some(octets),
                None => fault(format!("'{extra}' is not understood; write *:storage=100M")),
            },
            "nologin" => entry.nologin = true,
            // Careful: what narrows a login is never passed over.
            "allow_nets" => {
                entry.nologin = true;
                fault("allow_nets is not served yet, so the user cannot log in; remove it".into());
            }
            _ => {}
        }
    }
    Ok(entry)
}

/// `*:storage=100M` or `*:bytes=N`; Dovecot counts storage in kilobytes where no unit is said.
fn octets(rule: &str) -> Option<u64> {
    let rule = rule.strip_prefix("*:")?;
    let (number, unit) = match rule.split_once('=')? {
        ("storage", number) => (number, 1 << 10),
        ("bytes", number) => (number, 1),
        _ => return None,
    };
    let (digits, unit) = match number.as_bytes().last()?.to_ascii_lowercase() {
        b'b' => (&number[..number.len() - 1], 1),
        b'k' => (&number[..number.len() - 1], 1 << 10),
        b'm' => (&number[..number.len() - 1], 1 << 20),
        b'g' => (&number[..number.len() - 1], 1 << 30),
        b't' => (&number[..number.len() - 1], 1 << 40),
        _ => (number, unit),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// A user's name becomes part of paths and addresses: atoms and inner dots (RFC 5321 §4.1.2:
/// Dot-string), nothing that leads elsewhere.
pub(super) fn valid_name(name: &str) -> Result<(), String> {
    let atoms = name.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext));
    if name.starts_with('#') {
        Err(format!("'{name}' is no user name, since '#' begins a comment"))
    } else if name.contains('@') {
        Err(format!("the name '{name}' has a domain; domains of users are not served yet"))
    } else if !atoms || name.contains(['/', '\u{fffd}']) || name.chars().any(char::is_control) {
        Err(format!("'{name}' is no user name; take letters, digits, '-', '_', inner dots"))
    } else if name.len() > crate::limits::LOCAL_PART {
        Err(format!("the name '{name}' is longer than {} octets", crate::limits::LOCAL_PART))
    } else {
        Ok(())
    }
}
