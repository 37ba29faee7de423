//! Trace fields: RFC 5321 §4.4. Lines end in LF, as the store wants them.

use super::{Mailbox, date};
use chrono::{DateTime, Local};
use std::net::IpAddr;

/// What we know of the hop that a letter just made.
pub struct Hop<'a> {
    /// What the client called itself.
    pub client: &'a str,
    /// Where it really is; `None` on standard input.
    pub address: Option<IpAddr>,
    /// Our name.
    pub server: &'a str,
    /// RFC 3848: the word after `with`.
    pub protocol: &'static str,
    /// TLS version and cipher suite.
    pub tls: Option<(&'static str, &'static str)>,
    /// The id of the letter.
    pub id: &'a str,
    /// When it came in.
    pub moment: DateTime<Local>,
}

impl Hop<'_> {
    /// RFC 5321 §4.4 (`Time-stamp-line`), with the `tls` clause of RFC 8314 §4.3. `for` is told
    /// only to the one it is for, and left out where there are several.
    pub fn received(&self, forward_path: Option<&Mailbox>) -> String {
        let address = match self.address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => format!(" ([{address}])"),
            Some(IpAddr::V6(address)) => format!(" ([IPv6:{address}])"),
            None => " (standard input)".into(),
        };
        let (version, tls) = match self.tls {
            Some((version, cipher)) => (format!(" ({version})"), format!("\n\ttls {cipher}")),
            None => (String::new(), String::new()),
        };
        let whose = forward_path.map_or(String::new(), |path| format!("\n\tfor <{path}>"));
        let client: String = self.client.chars().map(plain).collect();
        format!(
            "Received: from {client}{address}\n\tby {} with {}{version} id {}{whose}{tls}; {}\n",
            self.server,
            self.protocol,
            self.id,
            date(self.moment)
        )
    }
}

/// What a client calls itself may be any word; in a trace field it must not look like a clause.
fn plain(character: char) -> char {
    let harmless = character.is_alphanumeric() || "-._:[]".contains(character);
    if harmless { character } else { '?' }
}

/// The trace of a letter that a user of this host handed in: no host sent it, and the uid is what
/// the kernel says (RFC 5322 §3.6.7).
pub fn submitted(server: &str, uid: u32, id: &str) -> String {
    format!("Received: by {server} (from uid {uid})\n\tid {id}; {}\n", date(Local::now()))
}

/// RFC 5321 §4.4 (`Return-path-line`).
pub fn return_path(reverse_path: Option<&Mailbox>) -> String {
    match reverse_path {
        Some(mailbox) => format!("Return-Path: <{mailbox}>\n"),
        None => "Return-Path: <>\n".into(),
    }
}

/// RFC 9228 §4.
pub fn delivered_to(mailbox: &Mailbox) -> String {
    format!("Delivered-To: {mailbox}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn received() {
        let to = Mailbox { local_part: "ana".into(), domain: "example.test".into() };
        let mut hop = Hop {
            client: "pc1",
            address: Some("192.0.2.7".parse().unwrap()),
            server: "mail.example.test",
            protocol: "ESMTPS",
            tls: Some(("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
            id: "1k3-1",
            moment: Local.timestamp_opt(1_790_000_000, 0).unwrap(),
        };
        let field = hop.received(Some(&to));
        let (before, _) = field.split_once(';').unwrap();
        assert_eq!(
            before,
            "Received: from pc1 ([192.0.2.7])\n\tby mail.example.test with ESMTPS (TLSv1.3) id 1k3-1\
             \n\tfor <ana@example.test>\n\ttls TLS_AES_256_GCM_SHA384"
        );
        assert!(!hop.received(None).contains("for <"));
        hop.client = "pc;(1)";
        assert!(hop.received(Some(&to)).starts_with("Received: from pc??1? ([192.0.2.7])\n"));
        hop.client = "pc1";
        hop.address = Some("2001:db8::1".parse().unwrap());
        assert!(hop.received(Some(&to)).starts_with("Received: from pc1 ([IPv6:2001:db8::1])\n"));
        assert_eq!(return_path(None), "Return-Path: <>\n");
        assert_eq!(return_path(Some(&to)), "Return-Path: <ana@example.test>\n");
        assert_eq!(delivered_to(&to), "Delivered-To: ana@example.test\n");
    }
}
