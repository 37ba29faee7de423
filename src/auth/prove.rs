//! The client's side of RFC 4422 exchanges as values: PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195).

use md5::{Digest, Md5};
use std::fmt;

/// How we can prove who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// RFC 4616.
    Plain,
    /// Name and password, each asked for.
    Login,
    /// RFC 2195: the password does not go over the wire.
    CramMd5,
}

impl Way {
    /// The best one of those that a server announces. Where everybody can listen in, only what does
    /// not give the password away, unless it is `plain_allowed`.
    pub fn best(offered: &[String], is_private: bool, plain_allowed: bool) -> Option<Way> {
        let order = match (is_private, plain_allowed) {
            (true, _) => &[Way::Plain, Way::Login, Way::CramMd5][..],
            (false, true) => &[Way::CramMd5, Way::Plain, Way::Login],
            (false, false) => &[Way::CramMd5],
        };
        let is_offered = |way: &Way| offered.iter().any(|o| o.eq_ignore_ascii_case(way.name()));
        order.iter().copied().find(is_offered)
    }

    /// As it is announced.
    pub fn name(self) -> &'static str {
        match self {
            Way::Plain => "PLAIN",
            Way::Login => "LOGIN",
            Way::CramMd5 => "CRAM-MD5",
        }
    }
}

/// An exchange, from the client's side.
pub struct Proof<'a> {
    way: Way,
    name: &'a str,
    password: &'a str,
    /// Responses given.
    given: usize,
}

impl<'a> Proof<'a> {
    /// Before the first word.
    pub fn new(way: Way, name: &'a str, password: &'a str) -> Proof<'a> {
        Proof { way, name, password, given: 0 }
    }

    /// What goes with the command itself.
    pub fn initial(&mut self) -> Option<Vec<u8>> {
        if self.way == Way::Plain { self.respond(b"") } else { None }
    }

    /// The response to a challenge; `None` where the server asks for more than there is.
    pub fn respond(&mut self, challenge: &[u8]) -> Option<Vec<u8>> {
        self.given += 1;
        match (self.way, self.given) {
            (Way::Plain, 1) => Some(format!("\0{}\0{}", self.name, self.password).into_bytes()),
            (Way::Login, 1) => Some(self.name.as_bytes().to_vec()),
            (Way::Login, 2) => Some(self.password.as_bytes().to_vec()),
            (Way::CramMd5, 1) => {
                let digest = hmac_md5(self.password.as_bytes(), challenge);
                let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
                Some(format!("{} {hex}", self.name).into_bytes())
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Proof({} of {:?})", self.way.name(), self.name)
    }
}

/// RFC 2104 §2 over MD5.
pub fn hmac_md5(key: &[u8], text: &[u8]) -> [u8; 16] {
    const BLOCK: usize = 64;
    let mut block = [0; BLOCK];
    match key.len() {
        0..=BLOCK => block[..key.len()].copy_from_slice(key),
        _ => block[..16].copy_from_slice(&Md5::digest(key)),
    }
    let padded = |pad: u8| Md5::new().chain_update(block.map(|octet| octet ^ pad));
    let inner = padded(0x36).chain_update(text).finalize();
    padded(0x5c).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_digests() {
        // RFC 2202 §2.
        for (key, text, expected) in [
            (&[0x0b; 16][..], &b"Hi There"[..], "9294727a3638bb1c13f48ef8158bfc9d"),
            (b"Jefe", b"what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738"),
            (&[0xaa; 16], &[0xdd; 50], "56be34521d144c88dbb8c733f0e8b3f6"),
            (
                &[0xaa; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
            ),
        ] {
            let hex: String = hmac_md5(key, text).iter().map(|o| format!("{o:02x}")).collect();
            assert_eq!(hex, expected);
        }
    }

    #[test]
    fn exchanges() {
        let text = |response: Option<Vec<u8>>| response.map(|r| String::from_utf8(r).unwrap());
        // RFC 2195 §2.
        let mut proof = Proof::new(Way::CramMd5, "tim", "tanstaaftanstaaf");
        assert_eq!(proof.initial(), None);
        let response = text(proof.respond(b"<1896.697170952@postoffice.reston.mci.net>"));
        assert_eq!(response.as_deref(), Some("tim b913a602c7eda7a495b4e6e7334d3890"));
        assert_eq!(proof.respond(b"more"), None);
        let mut proof = Proof::new(Way::Plain, "tim", "secret");
        assert_eq!(text(proof.initial()).as_deref(), Some("\0tim\0secret"));
        assert_eq!(proof.respond(b""), None);
        let mut proof = Proof::new(Way::Login, "tim", "secret");
        assert_eq!(proof.initial(), None);
        assert_eq!(text(proof.respond(b"Username:")).as_deref(), Some("tim"));
        assert_eq!(text(proof.respond(b"Password:")).as_deref(), Some("secret"));
        assert_eq!(proof.respond(b"Shoe size:"), None);
        assert!(!format!("{proof:?}").contains("secret"));
    }

    #[test]
    fn the_best_way() {
        let offered = ["LOGIN", "cram-md5", "PLAIN", "GSSAPI"].map(str::to_owned);
        assert_eq!(Way::best(&offered, true, false), Some(Way::Plain));
        assert_eq!(Way::best(&offered, false, true), Some(Way::CramMd5));
        assert_eq!(Way::best(&offered[..1], true, false), Some(Way::Login));
        assert_eq!(Way::best(&offered[..1], false, false), None);
        assert_eq!(Way::best(&offered[3..], true, true), None);
    }
}
