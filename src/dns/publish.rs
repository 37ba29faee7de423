//! What the name server should say of our domains, so that other hosts find us and believe us, and
//! whether it does.
//!
//! Who takes the mail (RFC 5321 §5.1), the addresses of this host and its names backwards, who may
//! send in our name (RFC 7208), and what TLS others can rely on (RFC 8461). The lines are those of
//! a zone file (RFC 1035 §5.1), and of buzon-zone(5).

use super::{Data, Dns, Failure, Type};
use crate::conf::Site;
use std::fmt;
use std::net::SocketAddr;

/// One line that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The whole name, without a final dot.
    pub name: String,
    kind: Type,
    data: Data,
}

/// What the name server says of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is there.
    There,
    /// There is none of its type.
    Missing,
    /// Something else is there.
    Different(String),
    /// Nobody could say.
    Unknown(String),
}

/// All of them: for each of these domains of ours, and for this host, which takes mail at these
/// addresses.
pub fn records(site: &Site, domains: &[String], own: &[SocketAddr]) -> Vec<Record> {
    let host = &site.hostname;
    let record = |name: &str, kind, data| Record { name: name.into(), kind, data };
    let mut records = Vec::new();
    for domain in domains {
        let exchange = if site.accept_mail { (10, host.clone()) } else { (0, String::new()) };
        records.push(record(domain, Type::Mx, Data::Mx(exchange.0, exchange.1)));
        // RFC 7208 §5.4: whoever takes our mail sends it too.
        let spf = if site.accept_mail { "v=spf1 mx -all" } else { "v=spf1 -all" };
        records.push(record(domain, Type::Txt, Data::Text(spf.into())));
    }
    for place in own {
        let kind = if place.is_ipv4() { Type::A } else { Type::Aaaa };
        // Another port is for a zone file of ours alone.
        let port = Some(place.port()).filter(|port| *port != 25);
        records.push(record(host, kind, Data::Address(place.ip(), port)));
    }
    // RFC 7208 §10.1.3: the name in HELO is asked for as well.
    if !domains.contains(host) {
        records.push(record(host, Type::Txt, Data::Text(b"v=spf1 a -all".into())));
    }
    for place in own {
        let name = super::backwards(place.ip());
        records.push(record(&name, Type::Ptr, Data::Name(host.clone())));
    }
    records
}

/// RFC 8461 §3.1 and §3.2, for a domain: to be said by whoever has a web server for it too.
pub fn mta_sts(site: &Site, domain: &str, now: u64) -> String {
    format!(
        "; _mta-sts.{domain}. IN TXT \"v=STSv1; id={now}\"\n\
         ;   with https://mta-sts.{domain}/.well-known/mta-sts.txt, which says\n\
         ;   version: STSv1 / mode: testing / mx: {} / max_age: 604800",
        site.hostname
    )
}

impl fmt::Display for Record {
    /// A line of a zone file.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = match self.kind {
            Type::A => "A",
            Type::Aaaa => "AAAA",
            Type::Mx => "MX",
            Type::Ptr => "PTR",
            Type::Txt => "TXT",
            Type::Cname => "CNAME",
        };
        write!(f, "{:<31} IN {kind:<5} {}", format!("{}.", self.name), shown(&self.data))
    }
}

fn shown(data: &Data) -> String {
    match data {
        Data::Address(ip, None) => ip.to_string(),
        Data::Address(ip, Some(port)) if ip.is_ipv6() => format!("[{ip}]:{port}"),
        Data::Address(ip, Some(port)) => format!("{ip}:{port}"),
        Data::Mx(preference, name) => format!("{preference} {name}."),
        Data::Name(name) => format!("{name}."),
        Data::Text(text) => format!("\"{}\"", crate::text::printable(text)),
    }
}

impl Record {
    /// Asks the name server.
    pub fn check(&self, dns: &Dns) -> Check {
        let mut found = match dns.ask(&self.name, self.kind) {
            Ok(found) => found,
            Err(Failure::NoSuchDomain) => Vec::new(),
            Err(Failure::Temporary(why)) => return Check::Unknown(why),
        };
        // Other texts stand beside it (RFC 7208 §3.2).
        found.retain(|data| !matches!(data, Data::Text(text) if !text.starts_with(b"v=spf1")));
        if found.iter().any(|data| self.is_as_good(data)) {
            return Check::There;
        }
        match found.is_empty() {
            true => Check::Missing,
            false => Check::Different(found.iter().map(shown).collect::<Vec<_>>().join(", ")),
        }
    }

    fn is_as_good(&self, found: &Data) -> bool {
        match (&self.data, found) {
            // The preference is the site's own matter.
            (Data::Mx(_, ours), Data::Mx(_, name)) => name.eq_ignore_ascii_case(ours),
            (Data::Address(ours, _), Data::Address(ip, _)) => ip == ours,
            (Data::Name(ours), Data::Name(name)) => name.eq_ignore_ascii_case(ours),
            // Any that is there was thought of by somebody.
            (Data::Text(_), Data::Text(_)) => true,
            _ => false,
        }
    }
}
