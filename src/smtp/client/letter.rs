//! MAIL and RCPT with what goes with them, each only where the other side offers it: RFC 1870,
//! RFC 6152, RFC 6531, RFC 3461. And what can be refused here, before anything is said.

use super::answer::{Answer, Step};
use super::offers::Offers;
use crate::mail::{Mailbox, Survey};

/// A letter, but for its content.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// `None` is the null one.
    pub reverse_path: Option<&'a Mailbox>,
    /// Who shall have it; their answers come in the same order.
    pub recipients: &'a [Recipient<'a>],
    /// What kind of octets the content has.
    pub survey: &'a Survey,
    /// RFC 6531 §3.4: it was said with SMTPUTF8 that its addresses or its header may hold UTF-8.
    pub utf8: bool,
    /// RFC 3461 §4.3: `FULL` or `HDRS`.
    pub ret: Option<&'a str>,
    /// RFC 3461 §4.4: xtext, as it came.
    pub envid: Option<&'a str>,
}

/// One recipient.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The forward-path.
    pub path: &'a Mailbox,
    /// RFC 3461 §4.1: `NEVER`, or a list like `SUCCESS,FAILURE`.
    pub notify: Option<&'a str>,
    /// RFC 3461 §4.2: `rfc822;` and xtext.
    pub orcpt: Option<&'a str>,
}

impl Letter<'_> {
    /// Why nobody can have this letter from here.
    pub(super) fn refused(&self, offers: &Offers) -> Option<Answer> {
        let octets = self.survey.octets;
        if let Some(limit) = offers.size.filter(|limit| *limit > 0 && *limit < octets) {
            let text = format!("the letter has {octets} octets, and the host takes {limit}");
            return Some(Answer::made_up(552, "5.3.4", Step::Mail, text));
        }
        let path = self.reverse_path;
        if path.is_some_and(|path| !is_line(path)) {
            let text = "the reverse-path holds a control character";
            return Some(Answer::made_up(553, "5.1.7", Step::Mail, text));
        }
        let is_utf8 = path.is_some_and(|path| !path.is_ascii())
            || (self.utf8 && self.survey.header_eight_bit);
        (is_utf8 && !offers.utf8).then(|| needs_utf8(Step::Mail))
    }

    /// RFC 5321 §4.1.1.2.
    pub(super) fn mail(&self, offers: &Offers) -> String {
        let path = self.reverse_path.map(ToString::to_string).unwrap_or_default();
        let mut command = format!("MAIL FROM:<{path}>");
        if offers.size.is_some() {
            command.push_str(&format!(" SIZE={}", self.survey.octets));
        }
        if offers.eight_bit && (self.survey.eight_bit || self.survey.header_eight_bit) {
            command.push_str(" BODY=8BITMIME");
        }
        if offers.utf8 && self.needs_utf8() {
            command.push_str(" SMTPUTF8");
        }
        if offers.dsn {
            parameter(&mut command, "RET", self.ret);
            parameter(&mut command, "ENVID", self.envid);
        }
        command
    }

    /// RFC 6531 §3.4. A letter that may hold UTF-8 and does not needs nothing.
    fn needs_utf8(&self) -> bool {
        let paths = self.reverse_path.into_iter().chain(self.recipients.iter().map(|r| r.path));
        paths.into_iter().any(|path| !path.is_ascii())
            || (self.utf8 && self.survey.header_eight_bit)
    }
}

impl Recipient<'_> {
    /// Why this recipient cannot have the letter from here.
    pub(super) fn refused(&self, offers: &Offers) -> Option<Answer> {
        if !is_line(self.path) {
            let text = "the address holds a control character";
            return Some(Answer::made_up(553, "5.1.3", Step::Rcpt, text));
        }
        (!self.path.is_ascii() && !offers.utf8).then(|| needs_utf8(Step::Rcpt))
    }

    /// RFC 5321 §4.1.1.3.
    pub(super) fn rcpt(&self, offers: &Offers) -> String {
        let mut command = format!("RCPT TO:<{}>", self.path);
        if offers.dsn {
            parameter(&mut command, "NOTIFY", self.notify);
            parameter(&mut command, "ORCPT", self.orcpt);
        }
        command
    }
}

/// RFC 6531 §3.2, §3.5.
fn needs_utf8(step: Step) -> Answer {
    Answer::made_up(553, "5.6.7", step, "the letter needs SMTPUTF8, which the host does not offer")
}

/// Whether an address stays within its line and its brackets.
fn is_line(path: &Mailbox) -> bool {
    let within = |c: char| !c.is_control();
    path.local_part.chars().all(within)
        && path.domain.chars().all(|c| within(c) && !matches!(c, ' ' | '<' | '>'))
}

/// A value that is no `esmtp-value` (RFC 5321 §4.1.2) is left out.
fn parameter(command: &mut String, keyword: &str, value: Option<&str>) {
    let is_value = |value: &&str| {
        !value.is_empty() && value.bytes().all(|octet| octet > b' ' && octet != 0x7f)
    };
    if let Some(value) = value.filter(is_value) {
        command.push_str(&format!(" {keyword}={value}"));
    }
}
