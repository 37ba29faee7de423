//! The aliases file: sendmail's `name: member, member`, so far with names and addresses only.
//!
//! A line that begins with white space goes on with the one before; `#` begins a comment, at the
//! start of a line or after white space. Names match in any case and may be quoted; `\luis` is the
//! user, whatever alias has that name. The format: buzon-aliases(5).

use crate::mail::{self, Mailbox};
use crate::text::Cursor;
use std::collections::HashMap;
use std::path::Path;

/// One alias.
#[derive(Debug)]
pub(super) struct Alias {
    /// In lower case.
    pub name: String,
    /// Where it begins.
    pub line: usize,
    /// At least one.
    pub members: Vec<Member>,
}

/// Whom an alias names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// An alias or a user, in lower case.
    Name(String),
    /// `\luis`: the user.
    User(String),
    /// With a domain, ours or another.
    Address(Mailbox),
    /// A program, a file or an included list.
    Unserved(String),
}

/// What is wrong with a line, and the cure.
#[derive(Debug)]
pub(super) struct Fault {
    line: usize,
    text: String,
}

impl Fault {
    /// `file:line: what, cure`
    pub fn at(&self, path: &Path) -> String {
        format!("{}:{}: {}", path.display(), self.line, self.text)
    }
}

/// The file, understood.
#[derive(Debug, Default)]
pub(super) struct Table {
    aliases: Vec<Alias>,
    by_name: HashMap<String, usize>,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
}

impl Table {
    /// The alias of a name in lower case.
    pub fn find(&self, name: &str) -> Option<&Alias> {
        self.by_name.get(name).map(|at| &self.aliases[*at])
    }

    /// All of them, in the order of the file.
    pub fn all(&self) -> impl Iterator<Item = &Alias> {
        self.aliases.iter()
    }
}

/// Reads the file's text.
pub(super) fn parse(text: &str) -> Table {
    let mut table = Table::default();
    for (line, text) in logical_lines(text) {
        let fault = |text| Fault { line, text };
        match alias(line, &text) {
            Ok(alias) if table.by_name.contains_key(&alias.name) => {
                let name = alias.name;
                let text = format!("there is an alias '{name}' above, this is not used; join them");
                table.faults.push(fault(text));
            }
            Ok(alias) => {
                table.by_name.insert(alias.name.clone(), table.aliases.len());
                table.aliases.push(alias);
            }
            Err(why) => table.faults.push(fault(why)),
        }
    }
    table
}

/// Lines without comments, each with those that go on with it, and the number of its first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let goes_on = line.starts_with([' ', '\t']);
        let line = without_comment(line);
        match lines.last_mut() {
            _ if line.trim().is_empty() => {}
            Some((_, whole)) if goes_on => whole.push_str(line),
            _ => lines.push((at + 1, line.to_owned())),
        }
    }
    lines
}

/// Cuts at the first character that `is_end` takes, unless it is quoted or escaped; `is_end` is
/// also told the character before it.
fn cut(text: &str, is_end: impl Fn(char, Option<char>) -> bool) -> (&str, &str) {
    let (mut quoted, mut escaped, mut before) = (false, false, None);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if !quoted && is_end(character, before) => return text.split_at(at),
            _ => {}
        }
        before = Some(character);
    }
    (text, "")
}

fn without_comment(line: &str) -> &str {
    cut(line, |end, before| end == '#' && before.is_none_or(char::is_whitespace)).0
}

fn alias(line: usize, text: &str) -> Result<Alias, String> {
    let (name, rest) = cut(text, |end, _| end == ':');
    let Some(mut rest) = rest.strip_prefix(':') else {
        return Err(format!("there is no ':' after '{}'; write name: member", name.trim()));
    };
    let name = match member(name)? {
        Some(Member::Name(name)) => name,
        _ => return Err(format!("'{}' is no name of an alias", name.trim())),
    };
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (text, after) = cut(rest, |end, _| end == ',');
        members.extend(member(text)?);
        rest = after.strip_prefix(',').unwrap_or_default();
    }
    if members.is_empty() {
        return Err(format!("the alias '{name}' has no members; name some or remove it"));
    }
    Ok(Alias { name, line, members })
}

/// One member; `None` between two commas.
fn member(text: &str) -> Result<Option<Member>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(name) = text.strip_prefix('\\') {
        return Ok(Some(Member::User(name.to_lowercase())));
    }
    let inside = text.trim_start_matches('"');
    if inside.starts_with(['|', '/']) || inside.starts_with(":include:") {
        return Ok(Some(Member::Unserved(text.into())));
    }
    let (local_part, domain) = cut(text, |end, _| end == '@');
    let local_part = unquoted(local_part)?;
    if local_part.is_empty() || local_part.contains('\u{fffd}') {
        return Err(format!("'{text}' is neither a name nor an address"));
    }
    let Some(domain) = domain.strip_prefix('@') else {
        return Ok(Some(Member::Name(local_part.to_lowercase())));
    };
    let mut cursor = Cursor::new(domain.as_bytes());
    match mail::domain(&mut cursor) {
        Some(domain) if cursor.at_end() => {
            Ok(Some(Member::Address(Mailbox { local_part, domain })))
        }
        _ => Err(format!("'{text}' has no domain after the '@'")),
    }
}

/// Without quotes and backslashes (RFC 5321 §4.1.2: Quoted-string); white space only inside them.
fn unquoted(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    let (mut quoted, mut characters) = (false, text.chars());
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            '"' => quoted = !quoted,
            _ if character.is_whitespace() && !quoted => {
                return Err(format!("'{text}' is two words; put a ',' between them"));
            }
            _ => plain.push(character),
        }
    }
    if quoted { Err(format!("a quote is not closed in '{text}'")) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(member: &Member) -> String {
        match member {
            Member::Name(name) => name.clone(),
            Member::User(name) => format!("\\{name}"),
            Member::Address(mailbox) => format!("{}@{}", mailbox.local_part, mailbox.domain),
            Member::Unserved(what) => format!("unserved {what}"),
        }
    }

    #[test]
    fn lines_are_understood() {
        for (text, line, name, members) in [
            ("root: luis", 1, "root", "luis"),
            ("# all\n\n Root : luis,\n\tana , Eva # three\n", 3, "root", "luis;ana;eva"),
            ("staff:\n  luis,\n# a comment does not end it\n  ana", 1, "staff", "luis;ana"),
            ("luis: \\Luis, ana@Other.test,", 1, "luis", "\\luis;ana@Other.test"),
            ("\"Luis Soler\": luis", 1, "luis soler", "luis"),
            ("a: \"two words\", \"x,y\", \"q\\\"q\"", 1, "a", "two words;x,y;q\"q"),
            ("a: \"|/bin/prog -x\", /var/f, :include:/etc/l", 1, "a", ""),
            ("a: #not a member\n b", 1, "a", "b"),
            ("a: b#c", 1, "a", "b#c"),
        ] {
            let table = parse(text);
            assert!(table.faults.is_empty(), "{text:?}: {:?}", table.faults);
            let alias = table.find(name).unwrap_or_else(|| panic!("{text:?}"));
            let found: Vec<_> = alias.members.iter().map(shown).collect();
            if members.is_empty() {
                assert!(found.iter().all(|member| member.starts_with("unserved")), "{found:?}");
            } else {
                assert_eq!(found.join(";"), members, "{text:?}");
            }
            assert_eq!(alias.line, line, "{text:?}");
        }
    }

    #[test]
    fn faults_are_told_and_cost_no_other_line() {
        for (text, told) in [
            ("luis ana", "a:1: there is no ':' after 'luis ana'"),
            ("\nx:", "a:2: the alias 'x' has no members"),
            ("x: luis ana", "a:1: 'luis ana' is two words"),
            ("x: \"luis", "a:1: a quote is not closed"),
            ("x: luis@", "a:1: 'luis@' has no domain"),
            ("x: luis@a b", "a:1: 'luis@a b' has no domain"),
            ("x: @other.test", "a:1: '@other.test' is neither"),
            ("x@y: luis", "a:1: 'x@y' is no name"),
            (": luis", "a:1: '' is no name"),
            ("x: luis\nX: ana", "a:2: there is an alias 'x' above"),
        ] {
            let table = parse(&format!("{text}\ngood: luis\n"));
            let faults: Vec<_> = table.faults.iter().map(|f| f.at(Path::new("a"))).collect();
            assert!(faults.len() == 1 && faults[0].starts_with(told), "{text:?}: {faults:?}");
            assert!(table.find("good").is_some(), "{text:?}");
        }
    }
}
