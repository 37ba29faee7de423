//! What the other side can do: the reply to EHLO, RFC 5321 §4.1.1.1.

use super::answer::Answer;

/// The extensions that we make use of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// RFC 1870: octets that a letter may have; 0 where there is no limit that they know.
    pub size: Option<u64>,
    /// RFC 6152.
    pub eight_bit: bool,
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 6531.
    pub utf8: bool,
    /// RFC 3207.
    pub start_tls: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 4954: mechanisms, in capitals.
    pub auth: Vec<String>,
}

impl Offers {
    /// From the lines behind the first, which is the name of the server.
    pub(super) fn of(answer: &Answer) -> Offers {
        let mut offers = Offers::default();
        for line in answer.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("SIZE") => {
                    offers.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0));
                }
                Some("8BITMIME") => offers.eight_bit = true,
                Some("PIPELINING") => offers.pipelining = true,
                Some("SMTPUTF8") => offers.utf8 = true,
                Some("STARTTLS") => offers.start_tls = true,
                Some("DSN") => offers.dsn = true,
                Some("AUTH") => offers.mechanisms(words),
                // What old servers say: AUTH=LOGIN PLAIN.
                Some(word) if word.starts_with("AUTH=") => {
                    offers.mechanisms(word[5..].split('=').chain(words));
                }
                _ => {}
            }
        }
        offers
    }

    fn mechanisms<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let new: Vec<String> =
            words.filter(|word| !self.auth.iter().any(|a| a == word)).map(str::to_owned).collect();
        self.auth.extend(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::client::answer::{Reading, Step};

    #[test]
    fn lines_of_ehlo() {
        let mut reading = Reading::new(Step::Hello);
        let mut offers = Offers::default();
        for line in [
            "250-mx.example.test at your service, PIPELINING",
            "250-size 1000",
            "250-8BITMIME",
            "250-Auth PLAIN login",
            "250-AUTH=PLAIN CRAM-MD5",
            "250-XYZZY",
            "250 DSN",
        ] {
            if let Some(answer) = reading.take(line.as_bytes()).unwrap() {
                offers = Offers::of(&answer);
            }
        }
        let auth = ["PLAIN", "LOGIN", "CRAM-MD5"].map(str::to_owned).to_vec();
        let expected =
            Offers { size: Some(1000), eight_bit: true, dsn: true, auth, ..Offers::default() };
        assert_eq!(offers, expected);
    }
}
