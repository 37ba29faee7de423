//! The hosts of a destination, in the order in which they are to be tried, and what TLS must be:
//! RFC 5321 §5.1, the `relay` and `tls_require` of the site, RFC 8461.

use super::lanes::Lane;
use super::run::Runner;
use super::work::requires_tls;
use crate::conf::{Speaks, Way};
use crate::dns::{Failure, Host, NoHosts};
use crate::limits;
use crate::mail::Mailbox;
use crate::net::client::Place;
use crate::net::sts::{self, Mode, Policy};
use crate::smtp::client::Security;
use std::net::IpAddr;

/// One host with the ways to reach it.
pub(super) struct Target {
    pub name: String,
    pub place: Place,
    pub lmtp: bool,
    pub implicit_tls: bool,
    pub security: Security,
}

/// Why there is nobody to send to, for all recipients alike.
pub(super) type NoTarget = (&'static str, String);

/// Every address of every host, in order.
pub(super) fn targets(runner: &Runner, lane: &Lane) -> Result<Vec<Target>, NoTarget> {
    match lane {
        Lane::Relay(Way::Socket(path), _) => Ok(vec![Target {
            name: "localhost".into(),
            place: Place::Unix(path.clone()),
            lmtp: true,
            implicit_tls: false,
            security: Security::Clear,
        }]),
        Lane::Relay(Way::Host { host, port, speaks }, required) => {
            let required = *required || requires_tls(&runner.site, host);
            let security = if required { Security::Verified } else { Security::Opportunistic };
            let mut found = of_host(runner, host, *port, security);
            for target in &mut found.iter_mut().flatten() {
                target.lmtp = *speaks == Speaks::Lmtp;
                target.implicit_tls = *speaks == Speaks::Smtps;
            }
            // The relay is the site's to set right.
            found.map_err(|why| ("4.4.4", format!("{host}: {why}")))
        }
        Lane::Domain(domain) => fall_back(runner, domain, of_domain(runner, domain)),
        Lane::Relay(Way::Mx, _) | Lane::Here | Lane::Programs(_) => Ok(Vec::new()),
    }
}

/// Behind the hosts of a domain the relay that may reach them from where it stands.
fn fall_back(
    runner: &Runner,
    domain: &str,
    found: Result<Vec<Target>, NoTarget>,
) -> Result<Vec<Target>, NoTarget> {
    let Some(way) = runner.site.relay_fallback.clone() else { return found };
    let required = requires_tls(&runner.site, domain);
    let more = || targets(runner, &Lane::Relay(way, required));
    match found {
        // What nobody can reach, or only the hosts of a policy may have.
        Err((status, why)) if status.starts_with('5') || status == "4.7.5" => Err((status, why)),
        Err(none) => more().map_err(|_| none),
        Ok(found) if !required && found.iter().any(|host| host.security == Security::Verified) => {
            Ok(found)
        }
        Ok(mut found) => {
            let more = more().unwrap_or_default();
            found.truncate(limits::ADDRESSES.saturating_sub(more.len()));
            found.extend(more);
            Ok(found)
        }
    }
}

fn of_domain(runner: &Runner, domain: &str) -> Result<Vec<Target>, NoTarget> {
    let required = requires_tls(&runner.site, domain);
    let mut security = if required { Security::Verified } else { Security::Opportunistic };
    let path = Mailbox { local_part: String::new(), domain: domain.into() };
    if let Some(ip) = path.literal() {
        let found = of_host(runner, &ip.to_string(), 25, security);
        return found.map_err(|why| ("4.4.3", why.to_string()));
    }
    let is_us = |name: &str| name.eq_ignore_ascii_case(&runner.site.hostname);
    let mut hosts = runner.dns.hosts(domain, is_us).map_err(|none| no_hosts(domain, none))?;
    if let Some(policy) = policy(runner, domain) {
        match policy.mode {
            Mode::Enforce => {
                security = Security::Verified;
                hosts.retain(|host| policy.allows(&host.name));
                if hosts.is_empty() {
                    let why = format!("no host of {domain} is in its policy (RFC 8461 §4.1)");
                    return Err(("4.7.5", why));
                }
            }
            Mode::Testing | Mode::None => {}
        }
    }
    let mut targets = Vec::new();
    let mut unknown = None;
    for host in &hosts {
        match of_host(runner, &host.name, 25, security) {
            Ok(found) => targets.extend(found),
            Err(Failure::NoSuchDomain) => {}
            Err(Failure::Temporary(why)) => unknown = Some(format!("{}: {why}", host.name)),
        }
    }
    match unknown {
        _ if !targets.is_empty() => Ok(targets),
        Some(why) => Err(("4.4.3", why)),
        None => Err(no_addresses(domain, &hosts)),
    }
}

/// RFC 5321 §5.1: it is an error, and told at once: records that lead nowhere are as wrong tomorrow
/// (Postfix does so, too), and the sender should know.
fn no_addresses(domain: &str, hosts: &[Host]) -> NoTarget {
    match hosts {
        [Host { name, .. }] if name == domain => {
            ("5.1.2", format!("the domain {domain} has neither hosts for mail nor an address"))
        }
        _ => ("5.4.4", format!("no host for the mail of {domain} has an address")),
    }
}

fn of_host(
    runner: &Runner,
    host: &str,
    port: u16,
    security: Security,
) -> Result<Vec<Target>, Failure> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(ip) => vec![(ip, port).into()],
        Err(_) => runner.dns.addresses(host, port)?,
    };
    let target = |address| Target {
        name: host.to_owned(),
        place: Place::Tcp { address, source: None },
        lmtp: false,
        implicit_tls: false,
        security,
    };
    Ok(addresses.into_iter().map(target).collect())
}

/// RFC 3463 §3.2 and §3.5, RFC 7505 §4.2.
fn no_hosts(domain: &str, none: NoHosts) -> NoTarget {
    match none {
        NoHosts::NoSuchDomain => ("5.1.2", format!("the domain {domain} does not exist")),
        NoHosts::NullMx => ("5.1.10", format!("the domain {domain} takes no mail (RFC 7505)")),
        NoHosts::Us => {
            ("5.4.6", format!("the mail of {domain} comes to this host, which does not know it"))
        }
        NoHosts::Temporary(why) => ("4.4.3", format!("{domain}: {why}")),
    }
}

/// RFC 8461 §3: what the domain says of itself, where it says anything.
fn policy(runner: &Runner, domain: &str) -> Option<Policy> {
    if !runner.site.mta_sts {
        return None;
    }
    let texts = runner.dns.texts(&format!("_mta-sts.{domain}")).unwrap_or_default();
    let texts: Vec<String> =
        texts.into_iter().map(|text| String::from_utf8_lossy(&text).into_owned()).collect();
    let id = sts::record_id(&texts);
    let fetch = || {
        let host = format!("mta-sts.{domain}");
        let addresses = runner.dns.addresses(&host, 443).map_err(|error| error.to_string())?;
        sts::fetch(domain, &addresses, runner.trust()?)
    };
    runner.policies.policy(domain, id.as_deref(), runner.clock.now(), fetch)
}
