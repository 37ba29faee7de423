//! The aliases file: sendmail's `name: member, member`.
//!
//! A line that begins with white space goes on with the one before; `#` begins a comment, at the
//! start of a line or after white space. Names match in any case and may be quoted. What a member
//! may be: `members`. The format: buzon-aliases(5).

use super::members::{Fault, Member, cut, list, logical_lines, member};
use std::collections::HashMap;

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

fn alias(line: usize, text: &str) -> Result<Alias, String> {
    let (name, rest) = cut(text, |end, _| end == ':');
    let Some(rest) = rest.strip_prefix(':') else {
        return Err(format!("there is no ':' after '{}'; write name: member", name.trim()));
    };
    let name = match member(name)? {
        Some(Member::Name(name)) => name,
        _ => return Err(format!("'{}' is no name of an alias", name.trim())),
    };
    let members = list(rest)?;
    if members.is_empty() {
        return Err(format!("the alias '{name}' has no members; name some or remove it"));
    }
    Ok(Alias { name, line, members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn lines_are_understood() {
        for (text, line, name, members) in [
            ("root: luis", 1, "root", "luis"),
            ("# all\n\n Root : luis,\n\tana , Eva # three\n", 3, "root", "luis;ana;eva"),
            ("staff:\n  luis,\n# a comment does not end it\n  ana", 1, "staff", "luis;ana"),
            ("luis: \\Luis, ana@Other.test,", 1, "luis", "\\luis;ana@Other.test"),
            ("\"Luis Soler\": luis", 1, "luis soler", "luis"),
            ("a: \"two words\", \"x,y\", \"q\\\"q\"", 1, "a", "two words;x,y;q\"q"),
            ("a: \"|/bin/prog -x\", /var/f", 1, "a", "|/bin/prog -x;/var/f"),
            ("a: #not a member\n b", 1, "a", "b"),
            ("a: b#c", 1, "a", "b#c"),
        ] {
            let table = parse(text);
            assert!(table.faults.is_empty(), "{text:?}: {:?}", table.faults);
            let alias = table.find(name).unwrap_or_else(|| panic!("{text:?}"));
            let found: Vec<_> = alias.members.iter().map(Member::to_string).collect();
            assert_eq!(found.join(";"), members, "{text:?}");
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
