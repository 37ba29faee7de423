//! Certificates as files: a self-signed one made, and what is wrong with one that is there.
//!
//! PEM, as RFC 7468 has it; names as RFC 5280 §4.2.1.6 has them, host names and IP addresses.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use openssl::x509::{X509, X509NameBuilder};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Ten years.
const DAYS: u32 = 3_650;

/// Makes a key (EC P-256) and a self-signed certificate for these names and addresses, in two new
/// files; the key may also be read by `group`. What exists is not written over.
pub fn make(names: &[String], chain: &Path, key: &Path, group: Option<u32>) -> io::Result<()> {
    for path in [chain, key] {
        if std::fs::symlink_metadata(path).is_ok() {
            let text = format!("{}: is there already, remove it first", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
    }
    let (certificate, private) = self_signed(names)?;
    write(key, 0o600, &private.private_key_to_pem_pkcs8()?, group)?;
    write(chain, 0o644, &certificate.to_pem()?, None).inspect_err(|_| {
        let _ = std::fs::remove_file(key);
    })
}

fn write(path: &Path, mode: u32, pem: &[u8], group: Option<u32>) -> io::Result<()> {
    let told =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(told)?;
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(told)?;
    let written = (|| {
        if group.is_some() {
            std::os::unix::fs::fchown(&file, None, group)?;
            file.set_permissions(Permissions::from_mode(0o640))?;
        }
        file.write_all(pem)?;
        file.sync_all()
    })();
    written.map_err(|error| {
        let _ = std::fs::remove_file(path);
        told(error)
    })
}

fn self_signed(names: &[String]) -> Result<(X509, PKey<Private>), ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut subject = X509NameBuilder::new()?;
    // A common name ends at 64 characters; who reads it is old, the names below decide.
    if let Some(name) = names.iter().find(|name| name.len() <= 64) {
        subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
    }
    let subject = subject.build();
    let mut alternative = SubjectAlternativeName::new();
    for name in names {
        match name.parse::<IpAddr>() {
            Ok(_) => alternative.ip(name),
            Err(_) => alternative.dns(name),
        };
    }
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;

    let mut builder = X509::builder()?;
    builder.set_version(2)?; // which is v3
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(&subject)?;
    let (from, to) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(DAYS)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&to)?;
    builder.set_pubkey(&key)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let alternative = alternative.build(&builder.x509v3_context(None, None))?;
    builder.append_extension(alternative)?;
    builder.sign(&key, MessageDigest::sha256())?;
    Ok((builder.build(), key))
}

/// What is wrong with a chain and its key, and the cure.
pub fn faults(chain: &Path, key: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let certificate = certificate(chain).map_err(|fault| faults.push(fault)).ok();
    let key = private_key(key, &mut faults);
    if let (Some(certificate), Some(key)) = (&certificate, key)
        && !certificate.public_key().is_ok_and(|public| public.public_eq(&key))
    {
        let chain = chain.display();
        faults.push(format!("'{chain}' is not of this key, its own certificate must come first"));
    }
    if let (Some(certificate), Ok(now)) = (&certificate, Asn1Time::days_from_now(0)) {
        let (chain, from, to) =
            (chain.display(), certificate.not_before(), certificate.not_after());
        if to < now {
            faults.push(format!("'{chain}' has expired on {to}, renew it"));
        } else if from > now {
            faults.push(format!("'{chain}' is valid from {from} on, see to the clock"));
        }
    }
    faults
}

fn certificate(chain: &Path) -> Result<X509, String> {
    let shown = chain.display();
    let pem = std::fs::read(chain).map_err(|error| unreadable(chain, &error))?;
    let chain = X509::stack_from_pem(&pem).unwrap_or_default();
    chain.into_iter().next().ok_or_else(|| format!("'{shown}' holds no PEM certificate"))
}

fn private_key(path: &Path, faults: &mut Vec<String>) -> Option<PKey<Private>> {
    let shown = path.display();
    let opened = File::open(path).and_then(|file| file.metadata());
    if opened.is_ok_and(|data| data.mode() & 0o007 != 0) {
        faults.push(format!("'{shown}' can be read by everybody, chmod o= '{shown}'"));
    }
    let pem = std::fs::read(path).map_err(|error| faults.push(unreadable(path, &error))).ok()?;
    let key = PKey::private_key_from_pem_callback(&pem, |_| Ok(0));
    key.map_err(|_| faults.push(format!("'{shown}' holds no PEM key without a password"))).ok()
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    let cure = match error.kind() {
        io::ErrorKind::NotFound => "make one with 'buzonctl certificate NAME...'",
        io::ErrorKind::PermissionDenied => "let mail_owner read it: chgrp, chmod g+r",
        _ => "see to it",
    };
    format!("'{}': {error}, {cure}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_without_fault() {
        let directory = tempfile::tempdir().unwrap();
        let (chain, key) = (directory.path().join("tls/c.pem"), directory.path().join("tls/k.pem"));
        let names = ["mail.example.test".into(), "127.0.0.1".into(), "::1".into()];
        assert!(faults(&chain, &key)[0].contains("buzonctl certificate"));
        make(&names, &chain, &key, None).unwrap();
        assert_eq!(faults(&chain, &key), [""; 0]);
        assert_eq!(std::fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        let again = make(&names, &chain, &key, None).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);

        let certificate = certificate(&chain).unwrap();
        let alternative = certificate.subject_alt_names().unwrap();
        assert_eq!(alternative[0].dnsname(), Some("mail.example.test"));
        assert_eq!(alternative[1].ipaddress(), Some(&[127, 0, 0, 1][..]));
        assert_eq!(alternative[2].ipaddress().map(<[u8]>::len), Some(16));
        let verified = certificate.verify(&certificate.public_key().unwrap()).unwrap();
        assert!(verified);
    }

    #[test]
    fn faults_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        make(&["a.test".into()], &path("a.pem"), &path("a.key"), None).unwrap();
        make(&["b.test".into()], &path("b.pem"), &path("b.key"), None).unwrap();
        std::fs::write(path("none"), "nothing").unwrap();
        std::fs::copy(path("a.key"), path("open.key")).unwrap();
        std::fs::set_permissions(path("open.key"), Permissions::from_mode(0o644)).unwrap();
        for (chain, key, told) in [
            ("a.pem", "b.key", "is not of this key"),
            ("none", "a.key", "holds no PEM certificate"),
            ("a.pem", "none", "can be read by everybody"),
            ("a.pem", "open.key", "chmod o="),
        ] {
            let faults = faults(&path(chain), &path(key));
            assert!(faults.first().is_some_and(|first| first.contains(told)), "{faults:?}");
        }
    }
}
