//! Whom a file names: what stands to the right of an alias, in a `.forward`, in an included file.
//!
//! Members are divided by commas or lines: names, addresses, `\luis`, `|program`, `/file` and
//! `:include:/file`, as sendmail reads them. The formats: buzon-aliases(5), buzon-forward(5).

use crate::mail::{self, Mailbox};
use crate::text::Cursor;
use std::fmt;
use std::path::{Path, PathBuf};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// An alias, a list or a user, in lower case.
    Name(String),
    /// `\luis`: the mailbox of the user, in lower case.
    User(String),
    /// With a domain, ours or another.
    Address(Mailbox),
    /// `|program`: a line for the shell.
    Program(String),
    /// `/file`: to be appended to.
    File(PathBuf),
    /// `:include:/file`: all that this file names.
    Include(PathBuf),
}

impl fmt::Display for Member {
    /// As it could be written.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Member::Name(name) => f.write_str(name),
            Member::User(name) => write!(f, "\\{name}"),
            Member::Address(mailbox) => write!(f, "{mailbox}"),
            Member::Program(command) => write!(f, "|{command}"),
            Member::File(path) => write!(f, "{}", path.display()),
            Member::Include(path) => write!(f, ":include:{}", path.display()),
        }
    }
}

/// What is wrong with a line, and the cure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub line: usize,
    pub text: String,
}

impl Fault {
    /// `file:line: what, cure`
    pub fn at(&self, path: &Path) -> String {
        format!("{}:{}: {}", path.display(), self.line, self.text)
    }
}

/// A file of members, each with its line.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub rows: Vec<(usize, Member)>,
    pub faults: Vec<Fault>,
}

/// Reads a `.forward`, an included file or the members of a list.
pub(super) fn parse(text: &str) -> Members {
    let mut members = Members::default();
    for (at, line) in text.lines().enumerate() {
        match list(without_comment(line)) {
            Ok(found) => members.rows.extend(found.into_iter().map(|member| (at + 1, member))),
            Err(text) => members.faults.push(Fault { line: at + 1, text }),
        }
    }
    members
}

/// Lines without comments, each with those that begin with white space and so go on with it, and
/// the number of its first.
pub(super) fn logical_lines(text: &str) -> Vec<(usize, String)> {
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
pub(super) fn cut(text: &str, is_end: impl Fn(char, Option<char>) -> bool) -> (&str, &str) {
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

/// Members with commas between them.
pub(super) fn list(mut rest: &str) -> Result<Vec<Member>, String> {
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (text, after) = cut(rest, |end, _| end == ',');
        members.extend(member(text)?);
        rest = after.strip_prefix(',').unwrap_or_default();
    }
    Ok(members)
}

/// One member; `None` between two commas.
pub(super) fn member(text: &str) -> Result<Option<Member>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let is_special = |text: &str| text.starts_with(['|', '/']) || text.starts_with(":include:");
    if is_special(text) {
        return special(text, text).map(Some);
    }
    if text.starts_with('"') && is_special(&text[1..]) {
        return special(text, &unquoted(text)?).map(Some);
    }
    if let Some(name) = text.strip_prefix('\\') {
        return Ok(Some(match named(name)? {
            Member::Name(name) => Member::User(name),
            other => other,
        }));
    }
    named(address_of(text)).map(Some)
}

/// A program, a file, an included file; `text` is for complaints.
fn special(text: &str, inside: &str) -> Result<Member, String> {
    if let Some(command) = inside.strip_prefix('|') {
        // The quote may also stand behind the bar.
        let command = match command.trim() {
            quoted if quoted.starts_with('"') && cut(quoted, |_, _| true).1.is_empty() => {
                unquoted(quoted)?
            }
            plain => plain.to_owned(),
        };
        return match command.trim().is_empty() {
            true => Err(format!("there is no program in '{text}'")),
            false => Ok(Member::Program(command)),
        };
    }
    let include = inside.strip_prefix(":include:").map(str::trim);
    let path = PathBuf::from(include.unwrap_or(inside));
    match include {
        _ if !path.is_absolute() || path.as_os_str().as_encoded_bytes().contains(&0) => {
            Err(format!("'{text}' needs a path that begins with '/'"))
        }
        Some(_) => Ok(Member::Include(path)),
        None => Ok(Member::File(path)),
    }
}

/// `Luis Soler <luis@example.org>` and `luis@example.org (Luis Soler)` are addresses too.
fn address_of(text: &str) -> &str {
    let (before, comment) = cut(text, |end, _| end == '(');
    let text = if comment.ends_with(')') { before.trim() } else { text };
    let (_, bracket) = cut(text, |end, _| end == '<');
    bracket.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text)
}

fn named(text: &str) -> Result<Member, String> {
    let (local_part, domain) = cut(text, |end, _| end == '@');
    let local_part = unquoted(local_part)?;
    if local_part.is_empty() || local_part.contains('\u{fffd}') {
        return Err(format!("'{text}' is neither a name nor an address"));
    }
    let Some(domain) = domain.strip_prefix('@') else {
        return Ok(Member::Name(local_part.to_lowercase()));
    };
    match whole_domain(domain) {
        Some(domain) => Ok(Member::Address(Mailbox { local_part, domain })),
        None => Err(format!("'{text}' has no domain after the '@'")),
    }
}

/// RFC 5321 §4.1.2 (`Domain`), and nothing behind it.
pub(super) fn whole_domain(text: &str) -> Option<String> {
    let mut cursor = Cursor::new(text.as_bytes());
    mail::domain(&mut cursor).filter(|_| cursor.at_end())
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

    #[test]
    fn members_as_sendmail_reads_them() {
        for (text, expected) in [
            ("luis, Ana", "luis;ana"),
            ("luis@Other.test,", "luis@Other.test"),
            ("\\Luis", "\\luis"),
            ("\\luis@other.test", "luis@other.test"),
            ("\"|/bin/prog -x, y\"", "|/bin/prog -x, y"),
            ("\"|/bin/prog \\\"a b\\\"\"", "|/bin/prog \"a b\""),
            ("|\"/bin/prog a, b\"", "|/bin/prog a, b"),
            ("|/bin/prog a, luis", "|/bin/prog a;luis"),
            ("|\"/bin/a\" \"b c\"", "|\"/bin/a\" \"b c\""),
            ("/var/mail/all, \"/a b\"", "/var/mail/all;/a b"),
            (":include:/etc/class, \":include: /etc/l\"", ":include:/etc/class;:include:/etc/l"),
            ("Luis Soler <luis@other.test>", "luis@other.test"),
            ("luis@other.test (Luis, Soler)", ""),
            ("luis@other.test (Luis Soler)", "luis@other.test"),
            ("\"Soler, Luis\" <luis@other.test>", "luis@other.test"),
            ("ana # why", "ana"),
            ("# all", "none"),
        ] {
            let members = parse(text);
            let shown: Vec<_> = members.rows.iter().map(|(_, row)| row.to_string()).collect();
            match expected {
                "" => assert_eq!(members.faults.len(), 1, "{text}: {members:?}"),
                "none" => assert!(shown.is_empty() && members.faults.is_empty(), "{text}"),
                _ => assert_eq!(shown.join(";"), expected, "{text}: {:?}", members.faults),
            }
        }
    }

    #[test]
    fn faults_bear_their_line() {
        for (text, told) in [
            ("ana\n|", "f:2: there is no program in '|'"),
            ("\"| \"", "f:1: there is no program"),
            (":include:class", "f:1: ':include:class' needs a path"),
            ("\":include:", "f:1: a quote is not closed"),
            ("ana maria", "f:1: 'ana maria' is two words"),
            ("<@>", "f:1: '@' is neither"),
            ("ana@", "f:1: 'ana@' has no domain"),
        ] {
            let faults = parse(text).faults;
            let faults: Vec<_> = faults.iter().map(|fault| fault.at(Path::new("f"))).collect();
            assert!(faults.len() == 1 && faults[0].starts_with(told), "{text:?}: {faults:?}");
        }
    }
}
