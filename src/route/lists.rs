//! Mailing lists: a file each in the directory `lists`, whose name is the list's.
//!
//! RFC 5321 §3.9.2: a list sends a letter on in its owner's name. The fields that tell readers
//! what it is, RFC 2369 and RFC 2919, are made here as values. The format: buzon-lists(5).
//!
//! Not here: who may post (everybody), and joining by mail (a person reads `NAME-request`).

use super::members::{Fault, Member, Members};
use crate::limits;
use crate::mail::{Mailbox, delivered_to};
use crate::text::is_atext;
use std::fmt::Write;

/// One list's file, understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListFile {
    /// Fields that the file gives itself, `List-` names and values.
    fields: Vec<(String, String)>,
    /// Names and addresses.
    pub members: Vec<Member>,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
}

/// Whether a file of this name is a list: letters, digits and the other characters of an address
/// (RFC 5322 §3.2.3: dot-atom), no path, nothing hidden.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= limits::LOCAL_PART
        && !name.contains('/')
        && name
            .split('.')
            .all(|atom| !atom.is_empty() && atom.is_ascii() && atom.bytes().all(is_atext))
}

/// Whom the letters to a list's owner, and requests (RFC 2142 §6), are about.
pub(super) fn administered(name: &str) -> Option<&str> {
    name.strip_prefix("owner-").or_else(|| name.strip_suffix("-request"))
}

/// Reads the file's text.
pub(super) fn parse(text: &str) -> ListFile {
    let mut list = ListFile::default();
    let mut rest = String::new();
    for line in text.lines() {
        let field = line.split_once(':').filter(|(name, _)| is_field(name));
        if let Some((name, value)) = field {
            let value = value.chars().filter(|c| !c.is_control()).collect::<String>();
            list.fields.push((name.into(), value.trim().into()));
        } else {
            rest.push_str(line);
        }
        // Careful: the line numbers of the members stay those of the file.
        rest.push('\n');
    }
    let Members { rows, faults } = super::members::parse(&rest);
    list.faults = faults;
    for (line, member) in rows {
        match member {
            Member::Name(_) | Member::Address(_) => list.members.push(member),
            other => {
                let text = format!("'{other}' belongs to the aliases; name an alias here");
                list.faults.push(Fault { line, text });
            }
        }
    }
    list
}

fn is_field(name: &str) -> bool {
    let begins = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("List-"));
    begins && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

impl ListFile {
    /// What stands before the header of a letter that the list sends on. Delivered-To, so that one
    /// that comes back is known; RFC 2919 §3 and RFC 2369 §3, the file's own values first.
    pub fn fields(&self, list: &Mailbox) -> String {
        let mut fields = delivered_to(list);
        let name = &list.local_part;
        let request = url(&Mailbox { local_part: format!("{name}-request"), ..list.clone() });
        for (name, value) in [
            ("List-Id", format!("<{name}.{}>", list.domain)),
            ("List-Help", format!("<{request}?subject=help>")),
            ("List-Subscribe", format!("<{request}?subject=subscribe>")),
            ("List-Unsubscribe", format!("<{request}?subject=unsubscribe>")),
            ("List-Post", format!("<{}>", url(list))),
            ("List-Owner", format!("<{}>", url(&owner(list)))),
        ] {
            if !self.fields.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                let _ = writeln!(fields, "{name}: {value}");
            }
        }
        for (name, value) in self.fields.iter().filter(|(_, value)| value != "none") {
            let _ = writeln!(fields, "{name}: {value}");
        }
        fields
    }

    /// Complete addresses; names are at the domain of the list.
    pub fn addresses(&self, domain: &str) -> impl Iterator<Item = Mailbox> {
        self.members.iter().map(move |member| match member {
            Member::Address(mailbox) => mailbox.clone(),
            other => Mailbox { local_part: other.to_string(), domain: domain.into() },
        })
    }
}

/// RFC 5321 §3.9.2: in whose name a list, or an alias with an owner, sends on.
pub(super) fn owner(list: &Mailbox) -> Mailbox {
    Mailbox { local_part: format!("owner-{}", list.local_part), ..list.clone() }
}

/// RFC 6068 §2: a `mailto` URL.
fn url(mailbox: &Mailbox) -> String {
    let mut url = String::from("mailto:");
    for octet in mailbox.local_part.bytes() {
        match octet {
            b'-' | b'.' | b'_' | b'~' | b'+' => url.push(octet.into()),
            _ if octet.is_ascii_alphanumeric() => url.push(octet.into()),
            _ => {
                let _ = write!(url, "%{octet:02X}");
            }
        }
    }
    url + "@" + &mailbox.domain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn names_of_lists() {
        for (name, is) in [
            ("class", true),
            ("a.b-c_d", true),
            ("", false),
            (".class", false),
            ("class.", false),
            ("..", false),
            ("a/b", false),
            ("niñas", false),
            ("a b", false),
        ] {
            assert_eq!(is_name(name), is, "{name}");
        }
    }

    #[test]
    fn members_and_fields() {
        let list = parse(
            "# the first row\nList-Id: \"First row\" <row.example.test>\nluis\n\
             list-post: NO\nAna <ana@other.test>\nList-Help: none\n|/bin/x\nx y\n",
        );
        let faults: Vec<_> = list.faults.iter().map(|f| f.at(Path::new("l"))).collect();
        assert!(faults.len() == 2 && faults[0].starts_with("l:8:"), "{faults:?}");
        assert!(faults[1].starts_with("l:7: '|/bin/x' belongs"), "{faults:?}");
        let shown: Vec<_> = list.addresses("a.test").map(|m| m.to_string()).collect();
        assert_eq!(shown, ["luis@a.test", "ana@other.test"]);
        let address = Mailbox { local_part: "row%1".into(), domain: "example.test".into() };
        assert_eq!(
            list.fields(&address),
            "Delivered-To: row%1@example.test\n\
             List-Subscribe: <mailto:row%251-request@example.test?subject=subscribe>\n\
             List-Unsubscribe: <mailto:row%251-request@example.test?subject=unsubscribe>\n\
             List-Owner: <mailto:owner-row%251@example.test>\n\
             List-Id: \"First row\" <row.example.test>\n\
             list-post: NO\n"
        );
    }
}
