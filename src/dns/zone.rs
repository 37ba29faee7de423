//! A zone file in place of the network: for a class without one, and for tests. The format:
//! buzon-zone(5), the lines of RFC 1035 §5.1 and failures that can be written down.

use super::{Data, Failure, Type, absolute};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

/// CNAMEs that are followed one after another.
const ALIASES: usize = 8;

/// The file, understood.
#[derive(Debug, Default)]
pub(super) struct Zone {
    names: HashMap<String, Vec<Record>>,
    /// `LINE: what is wrong`.
    pub faults: Vec<String>,
}

#[derive(Debug)]
enum Record {
    Data(Type, Data),
    /// What the name server says instead of an answer.
    Failure(&'static str),
}

impl Zone {
    /// The records of a name, CNAMEs followed.
    pub fn ask(&self, name: &str, kind: Type) -> Result<Vec<Data>, Failure> {
        let mut name = name.to_owned();
        for _ in 0..=ALIASES {
            let Some(records) = self.names.get(&name) else {
                return match self.has_below(&name) {
                    true => Ok(Vec::new()),
                    false => Err(Failure::NoSuchDomain),
                };
            };
            let mut found = Vec::new();
            let mut alias = None;
            for record in records {
                match record {
                    Record::Failure(what) => return Err(Failure::Temporary((*what).into())),
                    Record::Data(Type::Cname, Data::Name(other)) if kind != Type::Cname => {
                        alias = Some(other.clone());
                    }
                    Record::Data(of, data) if *of == kind => found.push(data.clone()),
                    Record::Data(..) => {}
                }
            }
            match alias {
                Some(other) if found.is_empty() => name = other,
                _ => return Ok(found),
            }
        }
        Err(Failure::Temporary("CNAMEs without end".into()))
    }

    /// RFC 8020 §2: a name with others below it exists.
    fn has_below(&self, name: &str) -> bool {
        let end = format!(".{name}");
        self.names.keys().any(|known| known.ends_with(&end))
    }
}

pub(super) fn parse(text: &str) -> Zone {
    let mut zone = Zone::default();
    for (at, line) in text.lines().enumerate() {
        let line = before_comment(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        match record(&words, line) {
            Ok((name, record)) => zone.names.entry(name).or_default().push(record),
            Err(why) => zone.faults.push(format!("{}: {why}", at + 1)),
        }
    }
    zone
}

/// RFC 1035 §5.1: a `;` in quotes begins no comment; policies are full of them (RFC 8461 §3.1).
fn before_comment(line: &str) -> &str {
    let mut is_quoted = false;
    let end = line.find(|c| {
        is_quoted ^= c == '"';
        !is_quoted && matches!(c, ';' | '#')
    });
    &line[..end.unwrap_or(line.len())]
}

/// `name [seconds] [IN] TYPE value`
fn record(words: &[&str], line: &str) -> Result<(String, Record), String> {
    let name = absolute(words[0]).ok_or_else(|| format!("'{}' is no name", words[0]))?;
    let mut rest = &words[1..];
    while let [word, after @ ..] = rest
        && (word.eq_ignore_ascii_case("IN") || word.bytes().all(|octet| octet.is_ascii_digit()))
    {
        rest = after;
    }
    let [kind, values @ ..] = rest else {
        return Err("the type is missing, as in 'aula.test. MX 10 mx.aula.test.'".into());
    };
    let one = || match values {
        [value] => Ok(*value),
        _ => Err(format!("{kind} takes one value")),
    };
    let data = match kind.to_ascii_uppercase().as_str() {
        "A" => Record::Data(Type::A, address(one()?, "an IPv4 address", v4)?),
        "AAAA" => Record::Data(Type::Aaaa, address(one()?, "an IPv6 address", v6)?),
        "MX" => Record::Data(Type::Mx, mx(values)?),
        "PTR" => Record::Data(Type::Ptr, Data::Name(host(one()?)?)),
        "CNAME" => Record::Data(Type::Cname, Data::Name(host(one()?)?)),
        "TXT" => Record::Data(Type::Txt, Data::Text(text(line))),
        "SERVFAIL" => Record::Failure("SERVFAIL"),
        "TIMEOUT" => Record::Failure("no answer in time"),
        _ => return Err(format!("'{kind}' is none of A AAAA MX PTR TXT CNAME SERVFAIL TIMEOUT")),
    };
    Ok((name, data))
}

/// An address, and the port where one is said.
type Place = (IpAddr, Option<u16>);

fn address(word: &str, form: &str, read: fn(&str) -> Option<Place>) -> Result<Data, String> {
    let (ip, port) = read(word).ok_or_else(|| format!("'{word}' is not {form}"))?;
    Ok(Data::Address(ip, port))
}

/// `192.0.2.1`, `127.0.0.1:2525`
fn v4(word: &str) -> Option<Place> {
    match word.parse::<SocketAddrV4>() {
        Ok(address) => Some(((*address.ip()).into(), Some(address.port()))),
        Err(_) => Some((word.parse::<Ipv4Addr>().ok()?.into(), None)),
    }
}

/// `2001:db8::1`, `[::1]:2525`
fn v6(word: &str) -> Option<Place> {
    match word.parse::<SocketAddrV6>() {
        Ok(address) => Some(((*address.ip()).into(), Some(address.port()))),
        Err(_) => Some((word.parse::<Ipv6Addr>().ok()?.into(), None)),
    }
}

/// `10 mx.aula.test.`; `0 .` for a domain that takes no mail.
fn mx(values: &[&str]) -> Result<Data, String> {
    match values {
        [preference, "."] if *preference == "0" => Ok(Data::Mx(0, String::new())),
        [preference, name] => {
            let preference = preference.parse();
            let preference = preference.map_err(|_| "MX takes a preference and a host")?;
            Ok(Data::Mx(preference, host(name)?))
        }
        _ => Err("MX takes a preference and a host".into()),
    }
}

fn host(word: &str) -> Result<String, String> {
    absolute(word).ok_or_else(|| format!("'{word}' is no name"))
}

/// What stands between quotes, joined (RFC 1035 §3.3.14); else what follows the type.
fn text(line: &str) -> Vec<u8> {
    let quoted: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
    match quoted.is_empty() {
        true => line.split_whitespace().last().unwrap_or_default().into(),
        false => quoted.concat().into(),
    }
}
