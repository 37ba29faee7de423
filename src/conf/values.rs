//! Values as they are written: durations, sizes, networks, listening addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A network in CIDR form, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    /// `192.0.2.0/24`, `::1`.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().ok()?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Network { base, bits })
    }

    /// Whether it is larger than any network that one site has.
    pub fn is_vast(&self) -> bool {
        self.bits < if self.base.is_ipv4() { 8 } else { 16 }
    }

    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// What stands for a client where clients are counted: its address, and of an IPv6 address the /64,
/// as one host may have them all.
pub fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

/// Where to listen: `*:25` is every address, IPv4 and IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Every address of this host.
    Any(u16),
    /// One address.
    One(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// `*:25`, `192.0.2.1:25`, `[::1]:25`, `/run/buzon/lmtp`.
    pub fn parse(text: &str) -> Option<Address> {
        match text.strip_prefix("*:") {
            Some(port) => port.parse().ok().map(Address::Any),
            None if text.starts_with('/') => Some(Address::Unix(text.into())),
            None => text.parse().ok().map(Address::One),
        }
    }

    /// The Internet addresses it stands for.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        match self {
            Address::Any(port) => vec![
                SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), *port),
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), *port),
            ],
            Address::One(address) => vec![*address],
            Address::Unix(_) => Vec::new(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Address::Any(port) => write!(f, "*:{port}"),
            Address::One(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// `90`, `90s`, `300ms`, `5m`, `2h`, `4d`; a year at most, so that a clock can be added to it.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let millis = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis).filter(|time| *time <= LONGEST)
}

const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Octets: `4096`, `50M`, `2G`, powers of 1024.
pub fn size(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// `yes` or `no`.
pub fn switch(text: &str) -> Option<bool> {
    match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, address, inside) in [
            ("127.0.0.0/8", "127.3.2.1", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("::1", "127.0.0.1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(Network::parse(network).unwrap().contains(address), inside, "{network}");
        }
        for wrong in ["127.0.0.0/33", "::/129", "example.test", "127.0.0.1/", "/8", ""] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn clients() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::"),
        ] {
            assert_eq!(client(address.parse().unwrap()).to_string(), expected, "{address}");
        }
    }

    #[test]
    fn durations_and_sizes() {
        assert_eq!(duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("4d"), Some(Duration::from_secs(345_600)));
        assert_eq!(duration("20ms"), Some(Duration::from_millis(20)));
        for wrong in ["", "m", "5x", "-1", "99999999999999999999", "300000000000000000d", "367d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(size("4096"), Some(4096));
        assert_eq!(size("50M"), Some(50 << 20));
        for wrong in ["", "M", "-5", "5T", "99999999999G"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
