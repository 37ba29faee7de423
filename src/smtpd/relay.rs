//! For whom letters leave: relaying (RFC 5321 §3.6), and a host that asks for those that were held
//! for it (RFC 1985).

use super::session::{Outcome, Smtpd, other_protocol};
use crate::deliver::{self, Turn};
use crate::dns::{Dns, Failure};
use crate::limits;
use crate::smtp::reply::Reply;
use std::net::IpAddr;
use std::sync::Arc;

impl Smtpd<'_> {
    /// RFC 5321 §3.6.2, RFC 2505 §2.1: whoever logged in may send anywhere, and so may the clients of
    /// `relay_from`; to the domains of `relay_domains` anybody.
    pub(super) fn may_relay(&mut self, domain: &str) -> Result<bool, Reply> {
        if self.is_lmtp() {
            return Ok(false);
        }
        Ok(self.user.is_some() || self.is_held(domain) || self.is_of_ours()?)
    }

    /// Whether we hold the mail of a domain for its own host.
    pub(super) fn is_held(&self, domain: &str) -> bool {
        self.site.relay_domains.iter().any(|held| held.holds(domain))
    }

    /// Whether the client is of `relay_from`.
    fn is_of_ours(&mut self) -> Result<bool, Reply> {
        let Some(peer) = self.conn.peer() else { return Ok(false) };
        let site = Arc::clone(&self.site);
        let mut failed = None;
        for peers in &site.relay_from {
            let names = || {
                self.names(peer.ip()).unwrap_or_else(|failure| {
                    failed = Some(failure);
                    Vec::new()
                })
            };
            if peers.holds(peer.ip(), names) {
                return Ok(true);
            }
        }
        match failed {
            None => Ok(false),
            // It may be one of ours; that is known when the name server answers.
            Some(failure) => {
                let text = "Your name cannot be looked up now, try again later";
                let reply = Reply::new(451, "4.4.3", text).by("RFC 5321 §3.6.2");
                Err(reply.because(failure.to_string()))
            }
        }
    }

    /// The names of the client's address; asked for once.
    fn names(&mut self, address: IpAddr) -> Result<Vec<String>, Failure> {
        let (live, site) = (self.live, &self.site);
        self.names.get_or_insert_with(|| confirmed(&live.dns.of(site), address)).clone()
    }

    /// RFC 1985 §5. Whoever asks, the letters go to the hosts of the domain and nowhere else.
    pub(super) fn etrn(&mut self, node: &str) -> Outcome {
        let rule = "RFC 1985 §5.1";
        if self.is_lmtp() {
            return Err(other_protocol("This is LMTP, ETRN is of SMTP"));
        }
        if node.starts_with('#') {
            let text = format!("There is no queue {node}; ask for a domain");
            return Err(Reply::new(458, "4.3.0", text).by("RFC 1985 §5.3"));
        }
        if !self.is_for_all(node) {
            let text = format!("Node {node} not allowed: its mail is not held here");
            return Err(Reply::new(459, "4.7.1", text).by(rule));
        }
        let turn = deliver::turn(&self.site, node).map_err(|error| {
            let reply = Reply::new(458, "4.3.0", format!("Unable to send to {node} now"));
            reply.by(rule).because(error.to_string())
        })?;
        log::info!("{} etrn={node:?} found={turn:?}", self.id);
        let (code, text) = match turn {
            Turn::Unknown => (250, format!("Sending to {node} started")),
            Turn::Nothing => (251, format!("No letters wait for {node}")),
            Turn::AtLeast(_) => (252, format!("Letters wait for {node}, sending started")),
            Turn::Letters(count) => {
                (253, format!("{count} letters wait for {node}, sending started"))
            }
            Turn::Busy => {
                let text = "Others are being sent to; ask again in a minute";
                return Err(Reply::new(458, "4.3.2", text).by(rule));
            }
        };
        Ok(Reply::new(code, "2.0.0", text).by(rule))
    }

    /// Whether we hold the mail of a node; `@` before it: or that of a domain below.
    fn is_for_all(&self, node: &str) -> bool {
        match node.strip_prefix('@') {
            None => self.is_held(node),
            // What stands for any name below.
            Some(node) => self.is_held(node) || self.is_held(&format!("x.{node}")),
        }
    }
}

/// The names of an address that have it among their addresses: anybody can give themselves the name
/// of another.
fn confirmed(dns: &Dns, address: IpAddr) -> Result<Vec<String>, Failure> {
    let address = address.to_canonical();
    let mut names = dns.names(address).or_else(none)?;
    names.truncate(limits::CLIENT_NAMES);
    let mut confirmed = Vec::new();
    for name in names {
        let addresses = dns.addresses(&name, 0).or_else(none)?;
        if addresses.iter().any(|other| other.ip().to_canonical() == address) {
            confirmed.push(name);
        }
    }
    Ok(confirmed)
}

/// Who does not exist has none.
fn none<T>(failure: Failure) -> Result<Vec<T>, Failure> {
    match failure {
        Failure::NoSuchDomain => Ok(Vec::new()),
        failure => Err(failure),
    }
}
