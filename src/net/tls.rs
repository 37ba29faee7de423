//! TLS as a server: TLS 1.2 and 1.3, a certificate for each name (SNI, RFC 6066 §3).
//!
//! The settings are Mozilla's intermediate ones, as the library keeps them. Buffers are given back
//! between records, so that an idle session stays small.

use super::stream::Timed;
use crate::conf::{Certificate, Site};
use openssl::ssl::{
    NameType, SniError, Ssl, SslAcceptor, SslAcceptorBuilder, SslContext, SslFiletype, SslMethod,
    SslMode, SslRef, SslSessionCacheMode, SslStream,
};
use openssl::x509::X509;
use std::fmt::Display;
use std::io;

/// The certificates of a site, ready for handshakes; cheap to clone.
#[derive(Clone)]
pub struct Acceptor(SslAcceptor);

/// What a handshake came to.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// `TLSv1.3`.
    pub version: &'static str,
    /// The registered name of the cipher suite.
    pub cipher: &'static str,
}

impl TlsInfo {
    pub(super) fn of(ssl: &SslRef) -> TlsInfo {
        let cipher = ssl.current_cipher();
        TlsInfo {
            version: ssl.version_str(),
            cipher: cipher.and_then(|cipher| cipher.standard_name()).unwrap_or("unknown"),
        }
    }
}

/// Reads the site's certificates; `None` where it has none. The error names the file.
pub fn acceptor(site: &Site) -> Result<Option<Acceptor>, String> {
    let Some((first, others)) = site.certificates.split_first() else { return Ok(None) };
    let mut named = Vec::new();
    for certificate in others {
        let names = names(certificate)?;
        named.push((names, builder(certificate)?.build().into_context()));
    }
    let mut builder = builder(first)?;
    builder.set_servername_callback(move |ssl, _| {
        if let Some(context) = ssl.servername(NameType::HOST_NAME).and_then(|n| find(&named, n)) {
            ssl.set_ssl_context(context).map_err(|_| SniError::ALERT_FATAL)?;
        }
        Ok(())
    });
    Ok(Some(Acceptor(builder.build())))
}

fn find<'a>(named: &'a [(Vec<String>, SslContext)], host: &str) -> Option<&'a SslContext> {
    named.iter().find(|(names, _)| names.iter().any(|name| matches(name, host))).map(|(_, c)| c)
}

/// RFC 6125 §6.4.3: a wildcard stands for one label, the leftmost.
fn matches(name: &str, host: &str) -> bool {
    match (name.strip_prefix("*."), host.split_once('.')) {
        (Some(parent), Some((_, rest))) => parent.eq_ignore_ascii_case(rest),
        _ => name.eq_ignore_ascii_case(host),
    }
}

fn builder(certificate: &Certificate) -> Result<SslAcceptorBuilder, String> {
    let (chain, key) = (certificate.chain.display(), certificate.key.display());
    let wrong = |file: &dyn Display, error: &dyn Display| format!("certificate: {file}: {error}");
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())
        .map_err(|error| error.to_string())?;
    builder.set_certificate_chain_file(&certificate.chain).map_err(|e| wrong(&chain, &e))?;
    builder
        .set_private_key_file(&certificate.key, SslFiletype::PEM)
        .map_err(|e| wrong(&key, &e))?;
    builder
        .check_private_key()
        .map_err(|_| format!("certificate: {key} is not the key of {chain}"))?;
    builder.set_mode(SslMode::RELEASE_BUFFERS);
    // Careful: resumed sessions are found by ticket only; nothing is kept here for each client.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    Ok(builder)
}

/// The DNS names a certificate is for.
fn names(certificate: &Certificate) -> Result<Vec<String>, String> {
    let place = certificate.chain.display();
    let pem = std::fs::read(&certificate.chain).map_err(|error| format!("{place}: {error}"))?;
    let x509 = X509::from_pem(&pem).map_err(|error| format!("{place}: {error}"))?;
    let names = x509.subject_alt_names();
    Ok(names.iter().flatten().filter_map(|name| name.dnsname().map(str::to_owned)).collect())
}

pub(super) fn accept(acceptor: &Acceptor, plain: Timed) -> io::Result<SslStream<Timed>> {
    let ssl = Ssl::new(acceptor.0.context())?;
    let mut stream = SslStream::new(ssl, plain)?;
    stream.accept().map_err(io::Error::other)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_stand_for_one_label() {
        for (name, host, expected) in [
            ("mail.example.test", "MAIL.example.test", true),
            ("*.example.test", "pop.example.test", true),
            ("*.example.test", "a.b.example.test", false),
            ("*.example.test", "example.test", false),
            ("mail.example.test", "pop.example.test", false),
        ] {
            assert_eq!(matches(name, host), expected, "{name} {host}");
        }
    }
}
