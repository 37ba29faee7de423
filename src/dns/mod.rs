//! Questions to the name server, or to a zone file for a class without a network.
//!
//! `hosts` gives the hosts of a domain in the order of RFC 5321 §5.1; the rest are plain questions.
//! Whoever asks waits at most `limits::LOOKUP`. A zone file: buzon-zone(5).

mod hosts; // RFC 5321 §5.1
mod network; // the resolver of this host, in a thread of its own
mod publish; // what a domain of ours should say
mod zone; // buzon-zone(5)

pub use hosts::{Host, NoHosts};
pub use publish::{Check, Record, mta_sts, records};

use crate::conf::Site;
use crate::limits;
use crate::sys::cached::Cached;
use network::Network;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use zone::Zone;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// RFC 1035 §3.4.1.
    A,
    /// RFC 3596 §2.1.
    Aaaa,
    /// RFC 1035 §3.3.9.
    Mx,
    /// RFC 1035 §3.3.12.
    Ptr,
    /// RFC 1035 §3.3.14.
    Txt,
    /// RFC 1035 §3.3.1: asked for it, not followed.
    Cname,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A and AAAA. A zone file may say another port than the one that is asked for.
    Address(IpAddr, Option<u16>),
    /// Preference and host, without a final dot; empty for the root (RFC 7505).
    Mx(u16, String),
    /// PTR and CNAME.
    Name(String),
    /// The strings of a TXT, joined.
    Text(Vec<u8>),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The domain does not exist (RFC 1035 §4.1.1, RCODE 3), or is none.
    NoSuchDomain,
    /// Nobody could say so far.
    Temporary(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::NoSuchDomain => f.write_str("the domain does not exist"),
            Failure::Temporary(why) => write!(f, "the name server: {why}"),
        }
    }
}

/// Who is asked.
pub struct Dns {
    zone_file: Option<PathBuf>,
    zone: Cached<Zone>,
    network: OnceLock<Result<Network, String>>,
}

impl Dns {
    /// The zone file of the site, or the name servers of this host, which are asked when the first
    /// question comes.
    pub fn new(site: &Site) -> Dns {
        let zone_file = site.dns_zone.clone();
        Dns { zone_file, zone: Cached::default(), network: OnceLock::new() }
    }

    /// Starts the thread that asks, where one is needed.
    ///
    /// Careful: after detaching, and never from a thread that has borrowed an identity.
    pub fn start(&self) {
        if self.zone_file.is_none() {
            self.network.get_or_init(|| Network::start().map_err(|error| error.to_string()));
        }
    }

    /// The records of a name; none where there are none of that type.
    pub fn ask(&self, name: &str, kind: Type) -> Result<Vec<Data>, Failure> {
        let name = absolute(name).ok_or(Failure::NoSuchDomain)?;
        match self.zone()? {
            Some(zone) => zone.ask(&name, kind),
            None => {
                self.start();
                match self.network.get() {
                    Some(Ok(network)) => network.ask(&name, kind),
                    Some(Err(why)) => Err(Failure::Temporary(why.clone())),
                    None => Err(Failure::Temporary("not started".into())),
                }
            }
        }
    }

    /// The addresses of a host, IPv6 first; at this port where the zone says no other.
    pub fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let mut addresses = Vec::new();
        let mut failure = None;
        for kind in [Type::Aaaa, Type::A] {
            match self.ask(host, kind) {
                Ok(found) => addresses.extend(found.into_iter().filter_map(|data| match data {
                    Data::Address(ip, other) => Some(SocketAddr::new(ip, other.unwrap_or(port))),
                    _ => None,
                })),
                Err(error) => failure = Some(error),
            }
        }
        // RFC 5321 §5.1: one address is enough to go on with.
        match failure {
            Some(failure) if addresses.is_empty() => Err(failure),
            _ => Ok(addresses),
        }
    }

    /// The names of an address (RFC 1035 §3.5, RFC 3596 §2.5).
    pub fn names(&self, address: IpAddr) -> Result<Vec<String>, Failure> {
        let name = backwards(address);
        let names = self.ask(&name, Type::Ptr)?.into_iter();
        Ok(names
            .filter_map(|data| if let Data::Name(name) = data { Some(name) } else { None })
            .collect())
    }

    /// The texts of a name, one for each record.
    pub fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let texts = self.ask(name, Type::Txt)?.into_iter();
        Ok(texts
            .filter_map(|data| if let Data::Text(text) = data { Some(text) } else { None })
            .collect())
    }

    fn zone(&self) -> Result<Option<Arc<Zone>>, Failure> {
        let Some(path) = &self.zone_file else { return Ok(None) };
        let news = |zone: &Zone| {
            for fault in &zone.faults {
                log::warn!("{}:{fault}", path.display());
            }
        };
        let zone = self.zone.get(path, limits::TABLE_FILE, zone::parse, news);
        let zone = zone.and_then(|zone| zone.ok_or(io::ErrorKind::NotFound.into()));
        zone.map(Some).map_err(|error| Failure::Temporary(format!("{}: {error}", path.display())))
    }
}

/// The name that an address has (RFC 1035 §3.5, RFC 3596 §2.5).
fn backwards(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let nibbles = (0..32).map(|at| format!("{:x}.", address.to_bits() >> (4 * at) & 15));
            format!("{}ip6.arpa", nibbles.collect::<String>())
        }
    }
}

/// Who is asked by a daemon, whose configuration may be read again.
#[derive(Default)]
pub struct Live(Mutex<Option<Arc<Dns>>>);

impl Live {
    /// Who is asked for a site.
    pub fn of(&self, site: &Site) -> Arc<Dns> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(dns) if dns.zone_file == site.dns_zone => dns.clone(),
            _ => known.insert(Arc::new(Dns::new(site))).clone(),
        }
    }
}

/// A name in lower case and ASCII (RFC 5890 §2.3.2.1), without a final dot.
fn absolute(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let name = match name.is_ascii() {
        true => name.to_ascii_lowercase(),
        false => idna::domain_to_ascii(name).ok()?,
    };
    let label = |label: &str| (1..=63).contains(&label.len());
    (name.len() <= 253 && name.split('.').all(label)).then_some(name)
}

#[cfg(test)]
mod tests;
