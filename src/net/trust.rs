//! TLS as a client: whom we believe, and what a handshake came to.
//!
//! native-tls verifies or it does not, and tells neither version nor cipher. So who wants to go on
//! with a host that cannot be verified connects to it again, and what was agreed is read off the
//! ServerHello as it passes, which is in clear (RFC 8446 §4.1.3, RFC 5246 §7.4.1.3).

use super::stream::Plain;
use crate::limits;
use crate::sys::poll;
use native_tls::{Certificate, HandshakeError, TlsConnector, TlsStream};
use openssl::ssl::{Ssl, SslContext, SslMethod};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// A connector, or why there is none; made when it is needed, as that reads all roots of this host.
type Made = OnceLock<Result<TlsConnector, String>>;

/// Whom to believe; one for the whole process.
pub struct Trust {
    extra: Vec<Certificate>,
    verifying: Made,
    /// Why hosts could not be verified, so that the next connection need not find out again.
    unverified: Mutex<HashMap<String, String>>,
}

/// What a handshake came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// `TLSv1.3`.
    pub version: &'static str,
    /// The registered name of the cipher suite, or its number.
    pub cipher: String,
    /// Whether the host is whom it says it is, or why we cannot know.
    pub verified: Result<(), String>,
}

impl Trust {
    /// Believes the authorities that this host believes, and those of `extra`, each as PEM.
    pub fn new(extra: &[Vec<u8>]) -> io::Result<Trust> {
        let extra: Result<_, _> = extra.iter().map(|pem| Certificate::from_pem(pem)).collect();
        Ok(Trust {
            extra: extra.map_err(io::Error::other)?,
            verifying: OnceLock::new(),
            unverified: Mutex::new(HashMap::new()),
        })
    }

    /// Why the host could not be verified when it was tried.
    pub fn doubt(&self, host: &str) -> Option<String> {
        self.unverified.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    /// Remembers why the host could not be verified.
    pub fn remember(&self, host: &str, why: &str) {
        let mut known = self.unverified.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::UNVERIFIED {
            known.clear();
        }
        known.insert(host.to_owned(), why.to_owned());
    }

    /// The connector that verifies, or the other one.
    pub(super) fn connector(&self, verify: bool) -> io::Result<&TlsConnector> {
        if !verify {
            return any();
        }
        let made = self.verifying.get_or_init(|| {
            let mut builder = TlsConnector::builder();
            for certificate in &self.extra {
                builder.add_root_certificate(certificate.clone());
            }
            builder.build().map_err(|error| error.to_string())
        });
        made.as_ref().map_err(|error| io::Error::other(error.clone()))
    }
}

/// Takes any certificate.
pub(super) fn any() -> io::Result<&'static TlsConnector> {
    static ANY: Made = OnceLock::new();
    let made = ANY.get_or_init(|| {
        let mut builder = TlsConnector::builder();
        builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true);
        builder.disable_built_in_roots(true).build().map_err(|error| error.to_string())
    });
    made.as_ref().map_err(|error| io::Error::other(error.clone()))
}

/// Shakes hands with `host` before `plain.until`.
pub(super) fn connect(
    connector: &TlsConnector,
    host: &str,
    mut plain: Timed,
) -> io::Result<TlsStream<Timed>> {
    plain.hello = ServerHello::default();
    match connector.connect(host, plain) {
        Ok(mut stream) => {
            stream.get_mut().hello.done = true;
            Ok(stream)
        }
        Err(HandshakeError::WouldBlock(_)) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "no handshake in time"))
        }
        Err(HandshakeError::Failure(error)) => {
            Err(io::Error::other(format!("no handshake: {error}")))
        }
    }
}

/// Octets, each with a deadline; what TLS reads from and writes to.
pub(super) struct Timed {
    plain: Plain,
    /// Until when what is read or written next must have gone.
    pub until: Instant,
    hello: ServerHello,
}

impl Timed {
    pub fn new(plain: Plain, until: Instant) -> Timed {
        let hello = ServerHello { octets: Vec::new(), done: true };
        Timed { plain, until, hello }
    }

    pub fn plain(&self) -> &Plain {
        &self.plain
    }

    /// What was agreed.
    pub fn secured(&self, verified: Result<(), String>) -> Secured {
        let (version, cipher) = self.hello.agreed().unwrap_or(("TLS", "unknown".into()));
        Secured { version, cipher, verified }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() || poll::readable([self.plain.input()], Some(left))? != [true] {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.plain.read(buffer)?;
        self.hello.see(&buffer[..count]);
        Ok(count)
    }
}

impl Write for Timed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.plain.set_write_timeout(left)?;
        match self.plain.write(octets) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::ErrorKind::TimedOut.into())
            }
            other => other,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.plain.flush()
    }
}

impl AsFd for Timed {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.plain.input()
    }
}

/// The first octets that the server sends in a handshake.
#[derive(Default)]
struct ServerHello {
    octets: Vec<u8>,
    done: bool,
}

impl ServerHello {
    /// The longest one that is looked at; it comes in the first record.
    const ENOUGH: usize = 1_024;

    fn see(&mut self, octets: &[u8]) {
        if !self.done {
            let room = ServerHello::ENOUGH - self.octets.len();
            self.octets.extend_from_slice(&octets[..octets.len().min(room)]);
            self.done = self.octets.len() == ServerHello::ENOUGH;
        }
    }

    /// RFC 8446 §4.1.3: the version (§4.2.1 has the true one) and the cipher suite.
    fn agreed(&self) -> Option<(&'static str, String)> {
        let record = self.octets.as_slice();
        let hello = record.get(9..).filter(|_| record[0] == 22 && record[5] == 2)?;
        let session_id = usize::from(*hello.get(34)?);
        let rest = hello.get(35 + session_id..)?;
        let cipher = [*rest.first()?, *rest.get(1)?];
        let mut version = [hello[0], hello[1]];
        // Behind the cipher: the compression method, the length of the extensions, and they.
        let mut extensions = rest.get(5..).unwrap_or_default();
        while let [a, b, high, low, others @ ..] = extensions {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if let ([0, 43], Some([high, low])) = ([*a, *b], others.get(..length)) {
                version = [*high, *low];
            }
            extensions = others.get(length..).unwrap_or_default();
        }
        let version = match version {
            [3, 4] => "TLSv1.3",
            [3, 3] => "TLSv1.2",
            [3, 2] => "TLSv1.1",
            _ => "TLSv1",
        };
        Some((version, cipher_name(cipher)))
    }
}

/// As it is registered.
fn cipher_name(suite: [u8; 2]) -> String {
    let name = || {
        let context = SslContext::builder(SslMethod::tls_client()).ok()?.build();
        let lists = Ssl::new(&context).ok()?.bytes_to_cipher_list(&suite, false).ok()?;
        Some(lists.suites.get(0)?.standard_name()?.to_owned())
    };
    name().unwrap_or_else(|| format!("0x{:02x}{:02x}", suite[0], suite[1]))
}

impl fmt::Display for Secured {
    /// `TLSv1.3 TLS_AES_256_GCM_SHA384, verified`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.version, self.cipher)?;
        match &self.verified {
            Ok(()) => f.write_str(", verified"),
            Err(why) => write!(f, ", not verified: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(octets: &[u8]) -> Option<(&'static str, String)> {
        let mut hello = ServerHello::default();
        octets.chunks(7).for_each(|piece| hello.see(piece));
        hello.agreed()
    }

    #[test]
    fn what_a_server_hello_says() {
        let head = [22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3];
        let hello = |rest: &[u8]| [&head[..], &[7; 32], rest].concat();
        let old = hello(&[2, 9, 9, 0xc0, 0x2f, 0, 0, 0]);
        let new = hello(&[0, 0x13, 0x02, 0, 0, 10, 0, 51, 0, 0, 0, 43, 0, 2, 3, 4]);
        let unknown = hello(&[0, 0x7a, 0x7b]);
        for (octets, expected) in [
            (&old, Some(("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"))),
            (&new, Some(("TLSv1.3", "TLS_AES_256_GCM_SHA384"))),
            (&unknown, Some(("TLSv1.2", "0x7a7b"))),
            (&b"220 mx.example.test ready, and more than that".to_vec(), None),
        ] {
            let found = agreed(octets);
            assert_eq!(found.as_ref().map(|(v, c)| (*v, c.as_str())), expected);
        }
        // Cut anywhere, it says less and does no harm.
        (0..new.len()).for_each(|end| drop(agreed(&new[..end])));
        agreed(&[22; 5_000]);
    }
}
