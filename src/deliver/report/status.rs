//! The part for programs: message/delivery-status (RFC 3464 §2), with the demands of RFC 3461 §6.3,
//! or message/global-delivery-status where an address is not ASCII (RFC 6533 §4.1).
//!
//! Fields stand in the RFC's order. Whatever a peer said is cut to a length and to printable ASCII,
//! and folded.

use super::xtext::{envelope_id, final_recipient, original_recipient};
use super::{Action, Entry, Part, Times, date, returned};
use crate::conf::Site;
use crate::limits;
use crate::queue::Envelope;

/// Where lines are folded, and the longest word that is not cut.
const LINE: usize = 76;
const WORD: usize = 900;

/// The second part.
pub(super) fn part(site: &Site, envelope: &Envelope, entries: &[Entry], times: &Times) -> Part {
    let mut fields = String::new();
    if let Some(envid) = &envelope.envid {
        add(&mut fields, "Original-Envelope-Id", &envelope_id(envid));
    }
    add(&mut fields, "Reporting-MTA", &format!("dns; {}", site.hostname));
    add(&mut fields, "Arrival-Date", &date(envelope.arrived));
    for entry in entries {
        fields.push('\n');
        recipient(&mut fields, envelope, entry, times);
    }
    let description = "Delivery report";
    match fields.is_ascii() {
        true => Part {
            content_type: "message/delivery-status",
            encoding: "7bit",
            description,
            octets: fields.into_bytes(),
        },
        false => Part {
            content_type: "message/global-delivery-status",
            encoding: "quoted-printable",
            description,
            octets: returned::quoted(fields.as_bytes()),
        },
    }
}

/// RFC 3464 §2.3.
fn recipient(fields: &mut String, envelope: &Envelope, entry: &Entry, times: &Times) {
    let said = entry.said();
    if let Some(orcpt) = &entry.to.orcpt {
        add(fields, "Original-Recipient", &original_recipient(orcpt));
    }
    add(fields, "Final-Recipient", &final_recipient(&entry.to.path));
    let (action, remote, diagnostic) = match &entry.action {
        Action::Failed | Action::Delayed => {
            let is_failed = entry.action == Action::Failed;
            let host = said.and_then(|said| said.host.as_deref());
            // What we say ourselves is no reply of SMTP; the type is ours, as Postfix's is its own.
            let kind = if host.is_some() { "smtp" } else { "X-Buzon" };
            let text = said.map(|said| format!("{kind}; {}", printable(&said.text)));
            (if is_failed { "failed" } else { "delayed" }, host, text)
        }
        Action::Delivered => ("delivered", None, None),
        Action::Relayed(host) => ("relayed", Some(host.as_str()), last_reply(&entry.dialogue)),
        Action::Expanded => ("expanded", None, None),
    };
    add(fields, "Action", action);
    add(fields, "Status", &status(entry));
    if let Some(host) = remote {
        add(fields, "Remote-MTA", &format!("dns; {}", printable(host)));
    }
    if let Some(text) = diagnostic {
        add(fields, "Diagnostic-Code", &text);
    }
    add(fields, "Last-Attempt-Date", &date(said.map_or(times.now, |said| said.at)));
    add(fields, "Final-Log-ID", &printable(&envelope.id));
    if entry.action == Action::Delayed {
        add(fields, "Will-Retry-Until", &date(times.until));
    }
}

/// RFC 3464 §2.3.4; RFC 3461 §6.3 has x.0.0 where nothing fits.
pub(super) fn status(entry: &Entry) -> String {
    let known = entry.said().map(|said| said.status.as_str()).filter(|status| is_status(status));
    let other = match entry.action {
        Action::Failed => known.unwrap_or("5.0.0"),
        Action::Delayed => known.unwrap_or("4.0.0"),
        Action::Delivered | Action::Relayed(_) | Action::Expanded => "2.0.0",
    };
    other.to_owned()
}

fn is_status(status: &str) -> bool {
    let is_number = |part: &str| {
        let digits = part.bytes().all(|octet| octet.is_ascii_digit());
        (1..=3).contains(&part.len()) && digits && (part == "0" || !part.starts_with('0'))
    };
    let parts: Vec<&str> = status.split('.').collect();
    matches!(parts[..], ["2" | "4" | "5", subject, detail] if is_number(subject) && is_number(detail))
}

/// RFC 3461 §6.3 (i): what the host said that took it.
fn last_reply(dialogue: &[String]) -> Option<String> {
    let reply = dialogue
        .iter()
        .rev()
        .find_map(|line| line.strip_prefix("S: ").filter(|reply| reply.starts_with("250")))?;
    Some(format!("smtp; {}", printable(reply)))
}

/// Printable ASCII, and not too much of it.
fn printable(text: &str) -> String {
    let harmless = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
    text.trim().chars().take(limits::REPORT_WORDS).map(harmless).collect()
}

/// A field, folded before words that would be behind the end of the line.
fn add(fields: &mut String, name: &str, value: &str) {
    fields.push_str(name);
    fields.push(':');
    let mut column = name.len() + 1;
    for word in value.split(' ').flat_map(pieces) {
        // Careful: a line of blanks alone would end the fields for some.
        if column > name.len() + 1 && column + word.len() >= LINE && !word.is_empty() {
            fields.push('\n');
            column = 0;
        }
        fields.push(' ');
        fields.push_str(word);
        column += word.len() + 1;
    }
    fields.truncate(fields.trim_end_matches(' ').len());
    fields.push('\n');
}

/// A word in pieces that fit a line.
pub(super) fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(word);
    std::iter::from_fn(move || {
        let word = rest?;
        let end = (0..=WORD.min(word.len())).rev().find(|at| word.is_char_boundary(*at))?;
        let (piece, left) = word.split_at(end);
        rest = Some(left).filter(|left| !left.is_empty());
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        for (code, valid) in [
            ("5.1.1", true),
            ("4.0.0", true),
            ("2.123.0", true),
            ("3.1.1", false),
            ("5.1", false),
            ("5.1.1.1", false),
            ("5.01.1", false),
            ("5.1.1234", false),
            ("5.1.x", false),
            ("5..1", false),
            ("", false),
        ] {
            assert_eq!(is_status(code), valid, "{code}");
        }
    }

    #[test]
    fn fields_are_folded_between_words() {
        let folded = |value: &str| {
            let mut fields = String::new();
            add(&mut fields, "Diagnostic-Code", value);
            fields
        };
        assert_eq!(folded("smtp; 550 no"), "Diagnostic-Code: smtp; 550 no\n");
        assert_eq!(folded(""), "Diagnostic-Code:\n");
        let text = "550 5.7.1 we take nothing from you ".repeat(8);
        let long = folded(text.trim());
        assert!(long.lines().count() > 3 && long.lines().all(|line| line.len() <= 78), "{long}");
        assert_eq!(long.replace('\n', ""), format!("Diagnostic-Code: {}", text.trim()));
        for strange in [&" ".repeat(900), &"x".repeat(5000), &"ñ ".repeat(900)] {
            let long = folded(strange);
            let fits = |line: &str| line.len() <= 998 && !line.trim().is_empty();
            assert!(long.lines().all(fits), "{long}");
        }
    }
}
