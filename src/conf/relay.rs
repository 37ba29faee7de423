//! Where letters go that leave, and whose: the values of `relay`, `relay_from` and `tls_require`.

use super::values::Network;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// One `relay` line: these letters go that way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Which letters.
    pub whose: Whose,
    /// Which way.
    pub way: Way,
}

/// Which letters a `relay` line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// `*`: all of them.
    All,
    /// `aula.test`, `.aula.test`: to this domain, or to those below it.
    To(Domain),
    /// `from:ana@example.test`, `from:@example.test`: by this sender, or by all of this domain.
    From(String),
}

/// A domain, or the domains below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(String);

impl Domain {
    /// `aula.test`, or `.aula.test` for those below it.
    pub fn parse(text: &str) -> Option<Domain> {
        super::keys::domain(text.strip_prefix('.').unwrap_or(text))?;
        Some(Domain(text.to_lowercase()))
    }

    /// Whether it is this one, or below.
    pub fn holds(&self, domain: &str) -> bool {
        let domain = domain.to_lowercase();
        match self.0.starts_with('.') {
            true => domain.ends_with(&self.0),
            false => domain == self.0,
        }
    }
}

/// How letters leave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// `mx`: to the hosts of the recipient's domain (RFC 5321 §5.1).
    Mx,
    /// `smtp:mx.example.org:25`, `smtps:smart.example.org:465`: all to this host.
    Host {
        /// Its name, or its address.
        host: String,
        /// TCP.
        port: u16,
        /// What is spoken there.
        speaks: Speaks,
    },
    /// `lmtp:/run/dovecot/lmtp`
    Socket(PathBuf),
}

impl fmt::Display for Way {
    /// As it would be written.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Way::Mx => f.write_str("mx"),
            Way::Socket(path) => write!(f, "lmtp:{}", path.display()),
            Way::Host { host, port, speaks } => {
                let speaks = match speaks {
                    Speaks::Smtp => "smtp",
                    Speaks::Smtps => "smtps",
                    Speaks::Lmtp => "lmtp",
                };
                match host.contains(':') {
                    true => write!(f, "{speaks}:[{host}]:{port}"),
                    false => write!(f, "{speaks}:{host}:{port}"),
                }
            }
        }
    }
}

/// What a host speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Speaks {
    /// RFC 5321, STARTTLS where it is offered.
    Smtp,
    /// TLS from the first octet (RFC 8314 §3.3).
    Smtps,
    /// RFC 2033.
    Lmtp,
}

impl Relay {
    /// `* smtp:smart.example.org:587`
    pub fn parse(text: &str) -> Option<Relay> {
        let (whose, way) = text.split_once(char::is_whitespace)?;
        let whose = match whose.strip_prefix("from:") {
            Some(sender) if sender.contains('@') => Whose::From(sender.to_lowercase()),
            Some(_) => return None,
            None if whose == "*" => Whose::All,
            None => Whose::To(Domain::parse(whose)?),
        };
        Some(Relay { whose, way: Way::parse(way.trim())? })
    }
}

impl Way {
    /// `smtp:mx.example.org`, and so on.
    pub fn parse(text: &str) -> Option<Way> {
        if text == "mx" {
            return Some(Way::Mx);
        }
        let (speaks, place) = text.split_once(':')?;
        let (speaks, default) = match speaks {
            "smtp" => (Speaks::Smtp, Some(25)),
            "smtps" => (Speaks::Smtps, Some(465)),
            "lmtp" if place.starts_with('/') => return Some(Way::Socket(place.into())),
            "lmtp" => (Speaks::Lmtp, None),
            _ => return None,
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(literal) => {
                let (address, rest) = literal.split_once(']')?;
                address.parse::<IpAddr>().ok()?;
                (address, rest.strip_prefix(':'))
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let is_address = host.parse::<IpAddr>().is_ok();
        let host = if is_address { host.into() } else { super::keys::domain(host)? };
        let port = port.map_or(default, |port| port.parse().ok())?;
        Some(Way::Host { host, port, speaks })
    }
}

/// One word of `relay_from`: clients whose letters may leave without a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// `192.0.2.0/24`, `192.0.2.7`
    Network(Network),
    /// `192.0.2.10-192.0.2.20`
    Range(IpAddr, IpAddr),
    /// `pc1.aula.test`, `.aula.test`: the name of the address, confirmed by the address of the name.
    Name(Domain),
}

impl Peers {
    /// A network, an address, a range, a host, or the hosts of a domain.
    pub fn parse(text: &str) -> Option<Peers> {
        if let Some(network) = Network::parse(text) {
            return Some(Peers::Network(network));
        }
        if let Some((first, last)) = text.split_once('-')
            && let (Ok(first), Ok(last)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>())
        {
            let fits = first.is_ipv4() == last.is_ipv4() && first <= last;
            return fits.then_some(Peers::Range(first, last));
        }
        // A slip in an address is no name.
        let digits = |c: char| c.is_ascii_digit() || ".:/-".contains(c);
        if text.chars().all(digits) { None } else { Domain::parse(text).map(Peers::Name) }
    }

    /// Whether strangers must be among them.
    pub fn are_vast(&self) -> bool {
        match self {
            Peers::Network(network) => network.is_vast(),
            Peers::Range(IpAddr::V4(first), IpAddr::V4(last)) => {
                last.to_bits() - first.to_bits() >= 1 << 24
            }
            Peers::Range(IpAddr::V6(first), IpAddr::V6(last)) => {
                last.to_bits() - first.to_bits() >= 1 << 112
            }
            Peers::Range(..) | Peers::Name(_) => false,
        }
    }

    /// Whether the address is among them; `names` are the confirmed names of it.
    pub fn holds(&self, address: IpAddr, names: impl FnOnce() -> Vec<String>) -> bool {
        let address = address.to_canonical();
        match self {
            Peers::Network(network) => network.contains(address),
            Peers::Range(first, last) => {
                first.is_ipv4() == address.is_ipv4() && (*first..=*last).contains(&address)
            }
            Peers::Name(domain) => names().iter().any(|name| domain.holds(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays() {
        let host = |host: &str, port, speaks| Way::Host { host: host.into(), port, speaks };
        for (text, way) in [
            ("* mx", Some(Way::Mx)),
            ("* smtp:smart.test", Some(host("smart.test", 25, Speaks::Smtp))),
            ("aula.test  smtp:Smart.test:587", Some(host("smart.test", 587, Speaks::Smtp))),
            (".aula.test smtps:smart.test", Some(host("smart.test", 465, Speaks::Smtps))),
            ("from:ana@a.test smtp:[::1]:2525", Some(host("::1", 2525, Speaks::Smtp))),
            ("from:@a.test smtp:127.0.0.1:25", Some(host("127.0.0.1", 25, Speaks::Smtp))),
            ("a.test lmtp:/run/lmtp", Some(Way::Socket("/run/lmtp".into()))),
            ("a.test lmtp:imap.a.test:24", Some(host("imap.a.test", 24, Speaks::Lmtp))),
            ("a.test lmtp:imap.a.test", None),
            ("from:ana smtp:a.test", None),
            ("smtp:a.test", None),
            ("* smtp:a.test:x", None),
            ("* uucp:a.test", None),
            ("* smtp:", None),
        ] {
            assert_eq!(Relay::parse(text).map(|relay| relay.way), way, "{text}");
        }
    }

    #[test]
    fn domains_and_those_below() {
        for (pattern, domain, holds) in [
            ("aula.test", "AULA.test", true),
            ("aula.test", "pc1.aula.test", false),
            (".aula.test", "pc1.aula.test", true),
            (".aula.test", "aula.test", false),
            (".aula.test", "xaula.test", false),
        ] {
            assert_eq!(Domain::parse(pattern).unwrap().holds(domain), holds, "{pattern} {domain}");
        }
    }

    #[test]
    fn peers() {
        for (text, address, holds) in [
            ("192.0.2.0/24", "192.0.2.9", true),
            ("192.0.2.10-192.0.2.20", "192.0.2.20", true),
            ("192.0.2.10-192.0.2.20", "192.0.2.21", false),
            ("192.0.2.10-192.0.2.20", "::ffff:192.0.2.15", true),
            ("192.0.2.10-192.0.2.20", "2001:db8::1", false),
            (".aula.test", "192.0.2.1", true),
            ("pc2.aula.test", "192.0.2.1", false),
        ] {
            let names = || vec!["pc1.aula.test".to_owned()];
            let address = address.parse().unwrap();
            assert_eq!(
                Peers::parse(text).unwrap().holds(address, names),
                holds,
                "{text} {address}"
            );
        }
        for (text, vast) in [
            ("0.0.0.0/0", true),
            ("128.0.0.0/7", true),
            ("10.0.0.0/8", false),
            ("::/0", true),
            ("2000::/15", true),
            ("2001::/16", false),
            ("0.0.0.0-255.255.255.255", true),
            ("10.0.0.0-10.255.255.255", false),
            ("::-ffff::", true),
            ("2001:db8::1-2001:db8::9", false),
            (".aula.test", false),
        ] {
            assert_eq!(Peers::parse(text).unwrap().are_vast(), vast, "{text}");
        }
        for wrong in ["192.0.2.9-192.0.2.1", "192.0.2.300", "192.0.2.1-::1", "a b", ""] {
            assert_eq!(Peers::parse(wrong), None, "{wrong}");
        }
    }
}
