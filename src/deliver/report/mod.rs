//! Reports: what became of a letter, told to its sender (RFC 3464 in RFC 6522's multipart/report).
//!
//! Three parts: words for people (`words`), fields for programs (`status`), and what is given back of
//! the letter (`returned`). RFC 6533 where there is UTF-8 in addresses or in the header.
//!
//! The text may hold octets beyond ASCII, its header only where the sender's address does: a report
//! about an internationalized letter leaves through hosts that know nothing of RFC 6531.
//! Not here: who wants a report (RFC 3461 §5.2), and its envelope, which is from `<>`.

mod kinds; // what became of a recipient, in both languages
mod returned; // the letter or its header
mod status; // message/delivery-status
mod words; // English and Spanish
mod xtext; // RFC 3461 §4, RFC 6533 §3

use crate::conf::Site;
use crate::mail::{self, Mailbox, field, unfold};
use crate::queue::{self, Envelope, Said, State};
use crate::sys::clock;
use chrono::{Local, TimeZone};
use returned::Original;
use std::io::{self, Read, Seek};
use std::sync::Arc;

/// RFC 3464 §2.3.3: what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Given up.
    Failed,
    /// Not yet, but it is tried again.
    Delayed,
    /// In the mailbox.
    Delivered,
    /// Handed over to this host, which tells nobody what becomes of it.
    Relayed(String),
    /// Sent on to the several addresses that an alias stands for.
    Expanded,
}

/// What is told of one recipient.
pub(super) struct Entry<'a> {
    /// Who.
    pub to: &'a queue::Recipient,
    /// What was done.
    pub action: Action,
    /// What the hosts said to each other at the last attempt, secrets masked.
    pub dialogue: Arc<Vec<String>>,
}

impl Entry<'_> {
    /// Why it failed, or waits.
    fn said(&self) -> Option<&Said> {
        match &self.to.state {
            State::Failed(said) | State::Waiting(Some(said)) => Some(said),
            _ => None,
        }
    }
}

/// One of the three parts.
struct Part {
    content_type: &'static str,
    encoding: &'static str,
    description: &'static str,
    octets: Vec<u8>,
}

/// When, for everybody.
struct Times {
    now: u64,
    /// When delayed letters are given up.
    until: u64,
}

/// Writes the report to `sender`, header included, lines ending in LF. `text` is the letter itself;
/// `until` is when it is given up; times are seconds since 1970.
pub(super) fn compose(
    site: &Site,
    envelope: &Envelope,
    sender: &Mailbox,
    entries: &[Entry],
    text: &mut (impl Read + Seek),
    until: u64,
    now: u64,
) -> io::Result<Vec<u8>> {
    let original = Original::read(text)?;
    let times = Times { now, until };
    let parts = [
        words::part(site, envelope, entries, &times),
        status::part(site, envelope, entries, &times),
        returned::part(envelope, entries, &original),
    ];
    let id = clock::id();
    let boundary = boundary(&id, &parts);
    let mut report = header(site, sender, entries, &original, now, &id).into_bytes();
    let all = parts.iter().find(|part| part.encoding == "8bit").map_or("7bit", |it| it.encoding);
    report.extend_from_slice(
        format!(
            "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;\n\
             \tboundary=\"{boundary}\"\nContent-Transfer-Encoding: {all}\n\n\
             This is a report in several parts (RFC 3464).\n"
        )
        .as_bytes(),
    );
    for Part { content_type, encoding, description, octets } in &parts {
        let head = format!(
            "\n--{boundary}\nContent-Type: {content_type}\nContent-Transfer-Encoding: {encoding}\n\
             Content-Description: {description}\n\n"
        );
        report.extend_from_slice(head.as_bytes());
        report.extend_from_slice(octets);
    }
    report.extend_from_slice(format!("\n--{boundary}--\n").as_bytes());
    Ok(report)
}

/// RFC 2046 §5.1.1: something that stands in no part.
fn boundary(id: &str, parts: &[Part]) -> String {
    let occurs = |name: &str| {
        parts.iter().any(|it| memchr::memmem::find(&it.octets, name.as_bytes()).is_some())
    };
    let mut name = format!("buzon-{id}");
    let mut number = 0;
    while occurs(&name) {
        number += 1;
        name = format!("buzon-{id}-{number}");
    }
    name
}

/// The header but for MIME's fields.
fn header(
    site: &Site,
    sender: &Mailbox,
    entries: &[Entry],
    original: &Original,
    now: u64,
    id: &str,
) -> String {
    let host = &site.hostname;
    let is = |action: &Action| entries.iter().any(|entry| entry.action == *action);
    let subject = if is(&Action::Failed) {
        "Not delivered / No entregado"
    } else if is(&Action::Delayed) {
        "Delayed, no need to send it again / Con retraso, no hace falta reenviarlo"
    } else {
        "Delivered / Entregado"
    };
    // RFC 3834 §5: auto-replied is the word for reports, which answer a letter.
    let mut header = format!(
        "From: Mail Delivery System <MAILER-DAEMON@{host}>\nTo: <{sender}>\nSubject: {subject}\n\
         Date: {}\nMessage-ID: <{id}.report@{host}>\nAuto-Submitted: auto-replied\n",
        date(now)
    );
    if let Some(message_id) = message_id(&original.header) {
        header.push_str(&format!("In-Reply-To: {message_id}\nReferences: {message_id}\n"));
    }
    header
}

/// RFC 5322 §3.6.4: the name of the letter, if it is one that fits a line.
fn message_id(header: &[u8]) -> Option<String> {
    let value = unfold(field(header, 0..header.len(), b"Message-ID")?);
    let inner = value.strip_prefix(b"<")?.strip_suffix(b">")?;
    let fits = |octet: &u8| octet.is_ascii_graphic() && !b"<>".contains(octet);
    let valid = (3..=900).contains(&inner.len()) && inner.iter().all(fits);
    valid.then(|| String::from_utf8_lossy(&value).into_owned())
}

/// RFC 5322 §3.3, in the zone of this host.
fn date(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|it| Local.timestamp_opt(it, 0).single());
    mail::date(moment.unwrap_or_default())
}

#[cfg(test)]
mod tests;
