//! RFC 4422 exchanges as values: octets in, octets out.
//!
//! PLAIN is RFC 4616; LOGIN (draft-murchison-sasl-login) is what old clients speak. Base64, `334`
//! and `+ ` are the protocols' own; whether the password is right is `auth::check`'s to say.

use std::fmt;

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Name and password, each asked for.
    Login,
}

impl Mechanism {
    /// All of them, best first, as they are announced.
    pub const ALL: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

    /// RFC 4422 §3.1; clients write the name in any case.
    pub fn parse(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// Whether a word is the name of a mechanism, ours or another's (RFC 4422 §3.1). One that is not
    /// may be a password that stands in its place, and is shown to nobody.
    pub fn is_name(word: &str) -> bool {
        let is_one = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || b"-_".contains(&c);
        Mechanism::parse(word).is_some() || (word.len() <= 20 && word.bytes().all(is_one))
    }

    /// As it is announced.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }
}

/// What comes next.
#[derive(PartialEq, Eq)]
pub enum Step {
    /// Send this, and give the client's response to the exchange.
    Challenge(Vec<u8>, Exchange),
    /// The client has said all; `auth::check` decides.
    Done {
        /// Who the client says it is.
        name: String,
        /// How it proves it.
        password: Vec<u8>,
    },
    /// No message of this mechanism, and why; a syntax error on the wire.
    Malformed(&'static str),
    /// The client would act for somebody else (RFC 4422 §3.4.1); refused as a wrong password is.
    Refused,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Step::Challenge(challenge, _) => {
                write!(f, "Challenge({:?})", String::from_utf8_lossy(challenge))
            }
            Step::Done { name, .. } => write!(f, "Done({name:?})"),
            Step::Malformed(why) => write!(f, "Malformed({why:?})"),
            Step::Refused => f.write_str("Refused"),
        }
    }
}

/// An exchange that waits for the client's response.
#[derive(Debug, PartialEq, Eq)]
pub enum Exchange {
    /// PLAIN's one message.
    Plain,
    /// LOGIN's name.
    Name,
    /// LOGIN's password.
    Password {
        /// What the client said first.
        name: String,
    },
}

/// Begins an exchange, with the client's initial response if it came with the command.
pub fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> Step {
    let exchange = match mechanism {
        Mechanism::Plain => Exchange::Plain,
        Mechanism::Login => Exchange::Name,
    };
    match (initial, mechanism) {
        (Some(initial), _) => exchange.next(initial),
        (None, Mechanism::Plain) => Step::Challenge(Vec::new(), exchange),
        (None, Mechanism::Login) => Step::Challenge(b"Username:".into(), exchange),
    }
}

impl Exchange {
    /// Goes on with the client's response.
    pub fn next(self, response: &[u8]) -> Step {
        match self {
            Exchange::Plain => plain(response),
            Exchange::Name => match text(response) {
                Some(name) => Step::Challenge(b"Password:".into(), Exchange::Password { name }),
                None => Step::Malformed("the user name is empty or no UTF-8"),
            },
            Exchange::Password { .. } if response.is_empty() => {
                Step::Malformed("the password is empty")
            }
            Exchange::Password { name } => Step::Done { name, password: response.into() },
        }
    }
}

/// RFC 4616 §2: authorization identity, authentication identity, password, divided by NULs.
fn plain(message: &[u8]) -> Step {
    let parts: Vec<&[u8]> = message.split(|octet| *octet == 0).collect();
    let [authzid, authcid, password] = parts[..] else {
        return Step::Malformed("PLAIN is NUL name NUL password (RFC 4616)");
    };
    let (Some(name), false) = (text(authcid), password.is_empty()) else {
        return Step::Malformed("the user name or the password is empty, or no UTF-8");
    };
    if !authzid.is_empty() && !authzid.eq_ignore_ascii_case(authcid) {
        return Step::Refused;
    }
    Step::Done { name, password: password.into() }
}

fn text(octets: &[u8]) -> Option<String> {
    String::from_utf8(octets.into()).ok().filter(|text| !text.is_empty() && !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(name: &str, password: &str) -> Step {
        Step::Done { name: name.into(), password: password.into() }
    }

    #[test]
    fn plain_messages() {
        let malformed = |step: &Step| matches!(step, Step::Malformed(_));
        for (message, expected) in [
            (&b"\0tim\0tanstaaftanstaaf"[..], Some(done("tim", "tanstaaftanstaaf"))),
            (b"tim\0tim\0secret", Some(done("tim", "secret"))),
            (b"Tim\0tim\0secret", Some(done("tim", "secret"))),
            (b"Ursel\0Kurt\0xipj3plmq", Some(Step::Refused)),
            (b"", None),
            (b"tim", None),
            (b"\0tim", None),
            (b"\0tim\0", None),
            (b"\0\0secret", None),
            (b"tim\0\0secret", None),
            (b"\0tim\0sec\0ret", None),
            (b"\0t\xffm\0secret", None),
        ] {
            let step = start(Mechanism::Plain, Some(message));
            match expected {
                Some(expected) => assert!(step == expected, "{message:?}: {step:?}"),
                None => assert!(malformed(&step), "{message:?}: {step:?}"),
            }
        }
        let Step::Challenge(challenge, exchange) = start(Mechanism::Plain, None) else {
            panic!("PLAIN waits for its message");
        };
        assert!(challenge.is_empty());
        assert!(exchange.next(b"\0tim\0secret") == done("tim", "secret"));
    }

    #[test]
    fn login_asks_twice() {
        let name = Exchange::Password { name: "tim".into() };
        assert!(
            start(Mechanism::Login, None) == Step::Challenge(b"Username:".into(), Exchange::Name)
        );
        assert!(Exchange::Name.next(b"tim") == Step::Challenge(b"Password:".into(), name));
        let Step::Challenge(_, exchange) = start(Mechanism::Login, Some(b"tim")) else {
            panic!("LOGIN takes the name as initial response");
        };
        assert!(exchange.next(b"sec ret") == done("tim", "sec ret"));
        assert!(matches!(Exchange::Name.next(b""), Step::Malformed(_)));
        assert!(matches!(Exchange::Password { name: "tim".into() }.next(b""), Step::Malformed(_)));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(Mechanism::parse("plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::parse("CRAM-MD5"), None);
        for (word, expected) in [("CRAM-MD5", true), ("login", true), ("AGFuYQ", false)] {
            assert_eq!(Mechanism::is_name(word), expected, "{word}");
        }
        assert!(!format!("{:?}", done("tim", "secret")).contains("secret"));
    }
}
