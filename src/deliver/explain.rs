//! The way that a letter for an address takes, for a person to read: what `route` says of it, and
//! beyond it the relay line or the hosts of the domain with their addresses, and what TLS is asked.

use super::work::{relay, way};
use crate::conf::{Role, Site, Way};
use crate::dns::{Dns, NoHosts};
use crate::mail::Mailbox;
use crate::route::{self, Refusal, Target};
use crate::sys::socket;
use crate::{auth, limits};
use std::net::{IpAddr, SocketAddr};

/// Every step, a line each; then where it goes, and what RCPT would be answered.
pub fn explain(site: &Site, path: &Mailbox) -> Vec<String> {
    if let Some(meant) = at_our_domain(site, path) {
        let mut lines = vec![format!("{} is this host: <{meant}>", path.domain)];
        lines.extend(explain(site, &meant));
        return lines;
    }
    let (users, live) = (auth::Live::default(), route::Live::default());
    let ours = path.domain.is_empty() || route::is_ours(site, &live, &path.domain) != Ok(false);
    if !ours {
        let mut lines = vec![format!("to <{path}>: {} is none of our domains", path.domain)];
        lines.extend(remote(site, path));
        let taken = site.relay_domains.iter().any(|domain| domain.holds(&path.domain));
        lines.push(match taken {
            true => "RCPT: 250, the domain is one of relay_domains".into(),
            false => format!(
                "RCPT: 250 for who logged in and for relay_from, else {}",
                reply(&Refusal::NotLocal)
            ),
        });
        return lines;
    }
    let mut lines = route::explain(site, &users, &live, path);
    let resolved = route::resolve(site, &users, &live, path);
    for routed in resolved.iter().flatten() {
        if let Target::Remote(there) = &routed.target {
            lines.extend(remote(site, there));
        }
    }
    lines.push(format!(
        "RCPT: {}",
        resolved.map_or_else(|refusal| reply(&refusal), |_| "250".into())
    ));
    lines
}

/// RFC 5321 §4.1.3: an address literal that smtpd can be reached at stands for the first of our
/// domains, to whoever reached it there.
fn at_our_domain(site: &Site, path: &Mailbox) -> Option<Mailbox> {
    let domain = site.domains.first().unwrap_or(&site.hostname).clone();
    path.literal().filter(|ip| is_this_host(site, *ip)).map(|_| Mailbox { domain, ..path.clone() })
}

fn is_this_host(site: &Site, ip: IpAddr) -> bool {
    let roles = [Role::Smtp, Role::Submission, Role::Submissions, Role::Lmtp];
    let listens = site.listen.iter().filter(|(role, _)| roles.contains(role));
    let own = || ip.is_loopback() || socket::own_addresses().is_ok_and(|all| all.contains(&ip));
    let is_at =
        |at: IpAddr| at == ip || (at.is_unspecified() && at.is_ipv4() == ip.is_ipv4() && own());
    listens.flat_map(|(_, address)| address.sockets()).any(|place| is_at(place.ip()))
}

/// RFC 5321 §4.2.3, RFC 3463 §3.
fn reply(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoSuchUser | Refusal::NotServed(_) => "550 5.1.1",
        Refusal::NotLocal => "550 5.7.1",
        Refusal::Elsewhere(_) => "551 5.1.6",
        Refusal::Loop | Refusal::TooMany => "554 5.4.6",
        Refusal::Unavailable(_) => "451 4.3.0",
    }
    .into()
}

/// Which way it leaves.
fn remote(site: &Site, path: &Mailbox) -> Vec<String> {
    let domain = &path.domain;
    let mut lines = Vec::new();
    if let Some(nth) = relay(site, "", domain) {
        let mut said = site.settings.iter().filter(|it| it.key == "relay" && it.line.is_some());
        let file = site.file.as_ref().map_or(String::new(), |file| file.display().to_string());
        lines.extend(said.nth(nth).map(|setting| {
            format!("  {file}:{}: relay {}", setting.line.unwrap_or(0), setting.value)
        }));
    }
    let dns = Dns::new(site);
    match way(site, "", domain) {
        Way::Mx => lines.extend(hosts(site, &dns, path)),
        way => lines.push(format!("  <{path}> leaves by {way}")),
    }
    lines.push(format!("  tls: {}", tls(site, &dns, domain)));
    lines
}

fn hosts(site: &Site, dns: &Dns, path: &Mailbox) -> Vec<String> {
    let domain = &path.domain;
    if let Some(ip) = path.literal() {
        return vec![format!("  to the host {ip}")];
    }
    let is_us = |name: &str| name.eq_ignore_ascii_case(&site.hostname);
    let hosts = match dns.hosts(domain, is_us) {
        Ok(hosts) => hosts,
        Err(none) => return vec![format!("  {domain}: {}", no_hosts(none))],
    };
    let told = hosts.iter().take(limits::ADDRESSES).map(|host| {
        let addresses = match dns.addresses(&host.name, 25) {
            Ok(addresses) if addresses.is_empty() => "no address".into(),
            Ok(addresses) => addresses.iter().map(place).collect::<Vec<_>>().join(" "),
            Err(failure) => failure.to_string(),
        };
        format!("  MX {} {}: {addresses}", host.preference, host.name)
    });
    told.collect()
}

fn place(address: &SocketAddr) -> String {
    if address.port() == 25 { address.ip().to_string() } else { address.to_string() }
}

fn no_hosts(none: NoHosts) -> String {
    match none {
        NoHosts::NoSuchDomain => "the domain does not exist".into(),
        NoHosts::NullMx => "it takes no mail (RFC 7505)".into(),
        NoHosts::Us => "its mail comes to this host, which does not know it".into(),
        NoHosts::Temporary(why) => why,
    }
}

fn tls(site: &Site, dns: &Dns, domain: &str) -> String {
    if site.tls_require.iter().any(|pattern| pattern.holds(domain)) {
        return "verified or not at all (tls_require)".into();
    }
    let texts = match site.mta_sts {
        true => dns.texts(&format!("_mta-sts.{domain}")).unwrap_or_default(),
        false => Vec::new(),
    };
    match texts.iter().any(|text| text.starts_with(b"v=STSv1")) {
        true => "as the domain's policy asks (RFC 8461), else where it is offered".into(),
        false => "where it is offered, certificates not verified".into(),
    }
}
