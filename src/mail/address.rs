//! Addresses: RFC 5321 §4.1.2 (Path, Mailbox), RFC 6531 §3.3 for UTF-8.

/// `local-part@domain`; the local part without its quoting, the domain as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Left of the `@`, quotes and backslashes taken away.
    pub local_part: String,
    /// Right of the `@`; empty for `<postmaster>` alone (RFC 5321 §4.5.1).
    pub domain: String,
}
