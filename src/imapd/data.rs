//! What we tell of the server and its mailboxes: RFC 3501 §7.2, §7.3, RFC 9051 §7.2, §7.3, with
//! the responses of extensions beside them. Each function writes one response.

use super::command::{IdField, Returns, StatusItem};
use super::flag::Flag;
use super::response::{end, line, set as write_set};
use super::set::Set;
use super::write;
use std::fmt::Display;

fn begin(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"* ");
    out.extend_from_slice(name.as_bytes());
}

/// CAPABILITY: the list, divided by spaces (RFC 3501 §7.2.1).
pub fn capability(out: &mut Vec<u8>, list: &str) {
    line(out, format_args!("* CAPABILITY {list}"));
}

/// ENABLED: what this command enabled (RFC 5161 §3.2).
pub fn enabled<T: Display>(out: &mut Vec<u8>, capabilities: &[T]) {
    begin(out, "ENABLED");
    for capability in capabilities {
        super::response::text(out, format_args!(" {capability}"));
    }
    end(out);
}

/// ID: who we are (RFC 2971 §3.2).
pub fn id(out: &mut Vec<u8>, fields: &[IdField]) {
    begin(out, "ID ");
    if fields.is_empty() {
        write::nil(out);
        return end(out);
    }
    out.push(b'(');
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        write::string(out, name, false);
        out.push(b' ');
        write::nstring(out, value.as_deref(), false);
    }
    out.push(b')');
    end(out);
}

/// A namespace: what its names begin with, and what divides them (RFC 2342 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// What the names begin with; may be empty.
    pub prefix: String,
    /// What divides levels, if there are any.
    pub delimiter: Option<char>,
}

/// NAMESPACE: one's own, other people's, shared ones (RFC 2342 §5).
pub fn namespace(out: &mut Vec<u8>, kinds: [&[Namespace]; 3], utf8: bool) {
    begin(out, "NAMESPACE");
    for kind in kinds {
        out.push(b' ');
        if kind.is_empty() {
            write::nil(out);
            continue;
        }
        out.push(b'(');
        for namespace in kind {
            out.push(b'(');
            write::mailbox(out, &namespace.prefix, utf8);
            out.push(b' ');
            delimiter(out, namespace.delimiter);
            out.push(b')');
        }
        out.push(b')');
    }
    end(out);
}

fn delimiter(out: &mut Vec<u8>, delimiter: Option<char>) {
    match delimiter {
        Some(delimiter) => write::string(out, delimiter.to_string().as_bytes(), false),
        None => write::nil(out),
    }
}

/// A row of LIST or LSUB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed<'a> {
    /// `\Noselect`, `\HasChildren`, `\Sent` ...: each as it is written.
    pub attributes: &'a [&'a str],
    /// What divides levels.
    pub delimiter: Option<char>,
    /// Which mailbox.
    pub name: &'a str,
    /// RFC 5258 §3.5: listed for the sake of subscribed mailboxes below it.
    pub child_subscribed: bool,
    /// RFC 9051 §6.3.9.7: the name it had, or that the client gave it.
    pub old_name: Option<&'a str>,
}

/// LIST (RFC 3501 §7.2.2).
pub fn list(out: &mut Vec<u8>, listed: &Listed, utf8: bool) {
    mailbox_list(out, "LIST ", listed, utf8);
}

/// LSUB (RFC 3501 §7.2.3).
pub fn lsub(out: &mut Vec<u8>, listed: &Listed, utf8: bool) {
    mailbox_list(out, "LSUB ", listed, utf8);
}

fn mailbox_list(out: &mut Vec<u8>, name: &str, listed: &Listed, utf8: bool) {
    begin(out, name);
    write::list(out, listed.attributes);
    out.push(b' ');
    delimiter(out, listed.delimiter);
    out.push(b' ');
    write::mailbox(out, listed.name, utf8);
    if listed.child_subscribed || listed.old_name.is_some() {
        out.extend_from_slice(b" (");
        if listed.child_subscribed {
            out.extend_from_slice(b"\"CHILDINFO\" (\"SUBSCRIBED\")");
        }
        if let Some(old_name) = listed.old_name {
            let space = if listed.child_subscribed { " " } else { "" };
            out.extend_from_slice(format!("{space}\"OLDNAME\" (").as_bytes());
            write::mailbox(out, old_name, utf8);
            out.push(b')');
        }
        out.push(b')');
    }
    end(out);
}

/// STATUS (RFC 3501 §7.2.4); an APPENDLIMIT that is `None` is none (RFC 7889 §3.2).
pub fn status(out: &mut Vec<u8>, name: &str, items: &[(StatusItem, Option<u64>)], utf8: bool) {
    begin(out, "STATUS ");
    write::mailbox(out, name, utf8);
    let told = items.iter().map(|(item, value)| match value {
        Some(value) => format!("{} {value}", item.name()),
        None => format!("{} NIL", item.name()),
    });
    out.push(b' ');
    write::list(out, told);
    end(out);
}

/// SEARCH (RFC 3501 §7.2.5).
pub fn search(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    begin(out, "SEARCH");
    for number in numbers {
        out.push(b' ');
        write::number(out, number.into());
    }
    end(out);
}

/// ESEARCH (RFC 4731 §3.1): what was asked for of what was found. `None` where only SAVE was
/// asked for (RFC 5182 §2.1).
pub fn esearch(out: &mut Vec<u8>, tag: &str, uid: bool, returns: Returns, found: &Set) {
    let Returns { min, max, all, count, save } = returns;
    if save && !(min || max || all || count) {
        return;
    }
    begin(out, "ESEARCH (TAG ");
    write::string(out, tag.as_bytes(), false);
    out.extend_from_slice(if uid { b") UID" } else { b")" });
    let mut item = |name: &str, value: u64| {
        out.extend_from_slice(name.as_bytes());
        write::number(out, value);
    };
    if let Some(least) = found.min().filter(|_| min) {
        item(" MIN ", least.into());
    }
    if let Some(greatest) = found.max().filter(|_| max) {
        item(" MAX ", greatest.into());
    }
    if count {
        item(" COUNT ", found.len());
    }
    if all && !found.is_empty() {
        out.extend_from_slice(b" ALL ");
        write_set(out, found);
    }
    end(out);
}

/// FLAGS: those of the mailbox (RFC 3501 §7.2.6).
pub fn flags<'a>(out: &mut Vec<u8>, flags: impl IntoIterator<Item = &'a Flag>) {
    begin(out, "FLAGS ");
    write::flags(out, flags);
    end(out);
}

/// EXISTS (RFC 3501 §7.3.1).
pub fn exists(out: &mut Vec<u8>, messages: u32) {
    line(out, format_args!("* {messages} EXISTS"));
}

/// RECENT (RFC 3501 §7.3.2); nothing in IMAP4rev2.
pub fn recent(out: &mut Vec<u8>, messages: u32) {
    line(out, format_args!("* {messages} RECENT"));
}

/// EXPUNGE (RFC 3501 §7.4.1).
pub fn expunge(out: &mut Vec<u8>, number: u32) {
    line(out, format_args!("* {number} EXPUNGE"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        text.strip_suffix(crate::imapd::response::CRLF).unwrap().to_owned()
    }

    #[test]
    fn of_the_server() {
        assert_eq!(written(|out| enabled(out, &["IMAP4rev2"])), "* ENABLED IMAP4rev2");
        assert_eq!(written(|out| enabled::<&str>(out, &[])), "* ENABLED");
        assert_eq!(written(|out| id(out, &[])), "* ID NIL");
        let fields = [(b"name".to_vec(), Some(b"buzon".to_vec())), (b"os".to_vec(), None)];
        assert_eq!(written(|out| id(out, &fields)), r#"* ID ("name" "buzon" "os" NIL)"#);
        let own = [Namespace { prefix: String::new(), delimiter: Some('/') }];
        let shared = [Namespace { prefix: "ñ".into(), delimiter: None }];
        assert_eq!(
            written(|out| namespace(out, [&own, &[], &shared], false)),
            r#"* NAMESPACE (("" "/")) NIL (("&APE-" NIL))"#
        );
    }

    #[test]
    fn of_mailboxes() {
        let listed = Listed {
            attributes: &["\\HasNoChildren", "\\Sent"],
            delimiter: Some('\\'),
            name: "Enviados",
            ..Listed::default()
        };
        let row = r#"* LIST (\HasNoChildren \Sent) "\\" "Enviados""#;
        assert_eq!(written(|out| list(out, &listed, false)), row);
        let more = Listed { child_subscribed: true, old_name: Some("a"), ..listed.clone() };
        assert_eq!(
            written(|out| list(out, &more, true)),
            format!(r#"{row} ("CHILDINFO" ("SUBSCRIBED") "OLDNAME" ("a"))"#)
        );
        assert_eq!(
            written(|out| lsub(out, &Listed { name: "x", ..Listed::default() }, false)),
            r#"* LSUB () NIL "x""#
        );
        let items = [(StatusItem::Messages, Some(2)), (StatusItem::AppendLimit, None)];
        assert_eq!(
            written(|out| status(out, "a b", &items, false)),
            r#"* STATUS "a b" (MESSAGES 2 APPENDLIMIT NIL)"#
        );
    }

    #[test]
    fn of_a_search() {
        assert_eq!(written(|out| search(out, [3, 1])), "* SEARCH 3 1");
        assert_eq!(written(|out| search(out, [])), "* SEARCH");
        let found: Set = [2, 3, 9].into_iter().collect();
        let every = Returns { min: true, max: true, all: true, count: true, save: true };
        assert_eq!(
            written(|out| esearch(out, "a1", true, every, &found)),
            r#"* ESEARCH (TAG "a1") UID MIN 2 MAX 9 COUNT 3 ALL 2:3,9"#
        );
        assert_eq!(
            written(|out| esearch(out, "a1", false, every, &Set::default())),
            r#"* ESEARCH (TAG "a1") COUNT 0"#
        );
        let mut out = Vec::new();
        esearch(&mut out, "a1", false, Returns { save: true, ..Returns::default() }, &found);
        assert!(out.is_empty());
    }
}
