//! MTA-STS, RFC 8461: which hosts a domain says have its mail, and that they must prove it.
//!
//! `record_id` reads the TXT record, `fetch` gets the policy, and `Policies` keeps it: one file for
//! each domain, named as the domain. The first line says `policy ID TIME`, of the record that it
//! was got for and when; the second `failed ID TIME`, if it could not be got; the policy follows as
//! it came. Times are seconds since 1970. The files may be deleted: what is lost is the memory that
//! guards against who can hide a record (§10.2), until they are got again.

use super::{Trust, https};
use crate::limits;
use crate::sys::{clock, dir};
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

/// RFC 8461 §3.2: a year, the longest that a policy may be kept.
const MAX_AGE: u64 = 31_557_600;
/// RFC 8461 §3.3: a policy is got again after a day, before it ends,
const REFRESH: u64 = 86_400;
/// and not sooner than so if that failed.
const RETRY: u64 = 300;

/// What a domain asks of who sends it mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What to do with a host that does not fit.
    pub mode: Mode,
    /// Names, or `*.` and a name.
    pub mx: Vec<String>,
    /// Seconds that it is good for.
    pub max_age: u64,
}

/// RFC 8461 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is delivered to it.
    Enforce,
    /// It is told, and delivered to.
    Testing,
    /// There is no policy any more.
    None,
}

impl Policy {
    /// RFC 8461 §3.2; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Policy, String> {
        let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
        for line in text.split('\n').map(|line| line.trim_end_matches(['\r', ' ', '\t'])) {
            let (key, value) = match line.split_once(':') {
                Some((key, value)) => (key, value.trim_start()),
                None if line.is_empty() => continue,
                None => return Err(format!("'{}' is no key and value", line.escape_debug())),
            };
            match key {
                "version" => version = version.or(Some(value)),
                "mode" => mode = mode.or(Some(value)),
                "max_age" => max_age = max_age.or(Some(value)),
                "mx" if is_name(value.strip_prefix("*.").unwrap_or(value)) => {
                    mx.push(value.to_ascii_lowercase());
                }
                "mx" => return Err(format!("'{}' is no host", value.escape_debug())),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err("it is not of version STSv1".into());
        }
        let mode = match mode {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err("its mode is not enforce, testing or none".into()),
        };
        let digits = max_age.filter(|age| (1..=10).contains(&age.len()));
        let digits = digits.filter(|age| age.bytes().all(|octet| octet.is_ascii_digit()));
        let max_age = digits.and_then(|age| age.parse::<u64>().ok()).ok_or("it has no max_age")?;
        if mx.is_empty() && mode != Mode::None {
            return Err("it names no mx".into());
        }
        Ok(Policy { mode, mx, max_age: max_age.min(MAX_AGE) })
    }

    /// RFC 8461 §4.1: whether a host is one of those; a wildcard stands for one label.
    pub fn allows(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.mx.iter().any(|pattern| match (pattern.strip_prefix("*."), host.split_once('.')) {
            (Some(parent), Some((label, rest))) => !label.is_empty() && parent == rest,
            (Some(_), None) => false,
            (None, _) => *pattern == host,
        })
    }
}

/// RFC 8461 §3.1: the id in the TXT records at `_mta-sts.DOMAIN`, each with its strings joined.
/// `None` where there is not exactly one that is whole.
pub fn record_id(records: &[String]) -> Option<String> {
    let ours = |record: &&String| {
        record.strip_prefix("v=STSv1").is_some_and(|rest| rest.trim_start().starts_with(';'))
    };
    let mut ours = records.iter().filter(ours);
    let (record, None) = (ours.next()?, ours.next()) else { return None };
    let id = record.split(';').find_map(|field| field.trim().strip_prefix("id="))?;
    let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|o| o.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}

/// RFC 8461 §3.3: gets the text of a policy from `mta-sts.DOMAIN`, whose addresses these are, with
/// the port (443). It takes a minute at the most.
pub fn fetch(domain: &str, addresses: &[SocketAddr], trust: &Trust) -> Result<String, String> {
    let deadline = Instant::now() + limits::STS_FETCH;
    let host = format!("mta-sts.{domain}");
    https::get(&host, "/.well-known/mta-sts.txt", addresses, trust, deadline)
}

/// The policies that were got.
pub struct Policies {
    directory: PathBuf,
}

/// What is known of one domain: an id and when, of the policy and of the last failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    policy: (String, u64),
    failed: (String, u64),
    text: String,
}

impl Policies {
    /// Kept in that directory, which is made when it is needed.
    pub fn new(directory: PathBuf) -> Policies {
        Policies { directory }
    }

    /// RFC 8461 §5.1: the policy of a domain, `None` where it has none or wants none. `id` is what
    /// its TXT record says now, `now` is in seconds since 1970. `get` gets the text, if it must be.
    pub fn policy(
        &self,
        domain: &str,
        id: Option<&str>,
        now: u64,
        get: impl FnOnce() -> Result<String, String>,
    ) -> Option<Policy> {
        let domain = domain.to_ascii_lowercase();
        if !is_name(&domain) {
            return None;
        }
        let mut known = self.read(&domain).unwrap_or_default();
        let kept =
            Policy::parse(&known.text).ok().filter(|kept| now < known.policy.1 + kept.max_age);
        let wanted = |policy: &Policy| policy.mode != Mode::None;
        let Some(id) = id else { return kept.filter(wanted) };
        let is_new = known.policy.0 == id && now < known.policy.1 + REFRESH;
        let failed_just_now = known.failed.0 == id && now < known.failed.1 + RETRY;
        if (is_new && kept.is_some()) || failed_just_now {
            return kept.filter(wanted);
        }
        let got = get().and_then(|text| Ok((Policy::parse(&text)?, text)));
        let policy = match got {
            Ok((policy, text)) => {
                known = Known { policy: (id.to_owned(), now), text, ..Known::default() };
                Some(policy)
            }
            Err(error) => {
                log::warn!("mta-sts domain={domain} id={id} error=\"{}\"", error.escape_debug());
                known.failed = (id.to_owned(), now);
                kept
            }
        };
        if let Err(error) = self.write(&domain, &known) {
            log::warn!("mta-sts file=\"{}/{domain}\" error=\"{error}\"", self.directory.display());
        }
        policy.filter(wanted)
    }

    fn read(&self, domain: &str) -> Option<Known> {
        let limit = 2 * limits::STS_POLICY as u64;
        let text = crate::sys::file::read_text(&self.directory.join(domain), limit).ok()?;
        let mut lines = text.splitn(3, '\n');
        let mut line = |name: &str| {
            let mut words = lines.next()?.split(' ').filter(|word| !word.is_empty());
            let (key, id, time) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
            (key == name).then(|| (id.to_owned(), time))
        };
        let (policy, failed) = (line("policy")?, line("failed")?);
        Some(Known { policy, failed, text: lines.next()?.to_owned() })
    }

    /// Whole or not at all; other threads and programs may do the same.
    fn write(&self, domain: &str, known: &Known) -> io::Result<()> {
        let shown = |(id, time): &(String, u64)| match id.as_str() {
            "" => format!("- {time}"),
            id => format!("{id} {time}"),
        };
        let (policy, failed) = (shown(&known.policy), shown(&known.failed));
        // No domain begins with a dot.
        let new = self.directory.join(format!(".{}.{}", std::process::id(), clock::id()));
        let written = (|| {
            dir::create_path(&self.directory)?;
            let mut file = File::create_new(&new)?;
            write!(file, "policy {policy}\nfailed {failed}\n{}", known.text)?;
            file.sync_all()?;
            std::fs::rename(&new, self.directory.join(domain))
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        written
    }
}

/// RFC 8461 §3.2: a domain name in ASCII, fit to be the name of a file.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
