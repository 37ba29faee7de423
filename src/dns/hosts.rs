//! The hosts of a domain: RFC 5321 §5.1, RFC 7505.
//!
//! MX records by preference, equals in a new order each time, or the domain itself where there are
//! none. Addresses are asked for when a host's turn comes. Who we are is the caller's to say: a host
//! is never asked to send to itself, nor to one that stands behind it.

use super::{Data, Dns, Failure, Type};

/// One that takes the mail of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, in lower case.
    pub name: String,
    /// Lower is tried first.
    pub preference: u16,
}

/// Why nobody takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoHosts {
    /// RFC 3463 §3.2, X.1.2.
    NoSuchDomain,
    /// RFC 7505 §4: it takes no mail.
    NullMx,
    /// RFC 5321 §5.1: the best of them are we, and the domain is not ours.
    Us,
    /// It cannot be said now.
    Temporary(String),
}

impl From<Failure> for NoHosts {
    fn from(failure: Failure) -> NoHosts {
        match failure {
            Failure::NoSuchDomain => NoHosts::NoSuchDomain,
            Failure::Temporary(why) => NoHosts::Temporary(why),
        }
    }
}

impl Dns {
    /// The hosts of a domain in the order in which they are to be tried, at least one.
    pub fn hosts(&self, domain: &str, is_us: impl Fn(&str) -> bool) -> Result<Vec<Host>, NoHosts> {
        let mut hosts: Vec<Host> = self
            .ask(domain, Type::Mx)?
            .into_iter()
            .filter_map(|data| match data {
                Data::Mx(preference, name) => Some(Host { name, preference }),
                _ => None,
            })
            .collect();
        if matches!(&hosts[..], [only] if only.name.is_empty()) {
            return Err(NoHosts::NullMx);
        }
        hosts.retain(|host| !host.name.is_empty());
        if hosts.is_empty() {
            let name = domain.trim_end_matches('.').to_lowercase();
            hosts.push(Host { name, preference: 0 });
        }
        shuffle(&mut hosts);
        hosts.sort_by_key(|host| host.preference);
        let ours = hosts.iter().filter(|host| is_us(&host.name)).map(|host| host.preference).min();
        if let Some(ours) = ours {
            hosts.retain(|host| host.preference < ours);
        }
        if hosts.is_empty() { Err(NoHosts::Us) } else { Ok(hosts) }
    }
}

/// Each order as likely as any other, as long as the random octets are.
fn shuffle(hosts: &mut [Host]) {
    let mut random = vec![0; hosts.len()];
    if openssl::rand::rand_bytes(&mut random).is_ok() {
        for at in (1..hosts.len()).rev() {
            hosts.swap(at, usize::from(random[at]) % (at + 1));
        }
    }
}
