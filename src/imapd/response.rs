//! Status responses and their codes: RFC 3501 §7.1, RFC 9051 §7.1, RFC 5530, RFC 4315 §3.
//!
//! A command comes to a `Result<Status, Status>`: its OK, or its NO or BAD. As replies elsewhere
//! in this suite, a status knows the rule that gave it and why, for transcript and log. CRLF is
//! written here and in `net` only.

use super::flag::Flag;
use super::set::{Ordered, Set};
use std::borrow::Cow;
use std::fmt;

/// The end of a line.
pub(super) const CRLF: &str = "\r\n";

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// RFC 3501 §7.1.1: done, or untagged: to be known.
    Ok,
    /// RFC 3501 §7.1.2: not done, or untagged: a warning.
    No,
    /// RFC 3501 §7.1.3: no command, or not now.
    Bad,
    /// RFC 3501 §7.1.5: the end.
    Bye,
}

impl Condition {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Ok => "OK",
            Condition::No => "NO",
            Condition::Bad => "BAD",
            Condition::Bye => "BYE",
        }
    }
}

/// What a client's program understands of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// RFC 5530 §3.
    AlreadyExists,
    /// RFC 4315 §3: UIDVALIDITY, and the UIDs in the order of the messages.
    AppendUid(u32, Vec<u32>),
    /// RFC 5530 §3.
    AuthenticationFailed,
    /// RFC 3501 §7.1: and which are known.
    BadCharset(&'static [&'static str]),
    /// RFC 5530 §3.
    Cannot,
    /// RFC 3501 §7.1: the list, divided by spaces.
    Capability(String),
    /// RFC 7162 §3.2.11, RFC 9051 §7.1: the mailbox selected before is no more.
    Closed,
    /// RFC 4315 §3: UIDVALIDITY of the destination; the UID that each message had, and has there.
    CopyUid(u32, Vec<(u32, u32)>),
    /// RFC 5530 §3.
    Corruption,
    /// RFC 5530 §3.
    ExpungeIssued,
    /// RFC 9051 §7.1.
    HasChildren,
    /// RFC 5530 §3.
    InUse,
    /// RFC 5530 §3.
    Limit,
    /// RFC 5530 §3.
    NonExistent,
    /// RFC 5530 §3.
    NoPerm,
    /// RFC 5530 §3.
    OverQuota,
    /// RFC 3501 §7.1: which can be kept, and whether new keywords can.
    PermanentFlags(Vec<Flag>, bool),
    /// RFC 5530 §3.
    PrivacyRequired,
    /// RFC 3501 §7.1.
    ReadOnly,
    /// RFC 3501 §7.1.
    ReadWrite,
    /// RFC 5530 §3.
    ServerBug,
    /// RFC 4469 §4.2, RFC 7888 §5.
    TooBig,
    /// RFC 3501 §7.1.
    TryCreate,
    /// RFC 3501 §7.1.
    UidNext(u32),
    /// RFC 3501 §7.1.
    UidValidity(u32),
    /// RFC 5530 §3.
    Unavailable,
    /// RFC 3516 §4.3.
    UnknownCte,
    /// RFC 3501 §7.1: the number of the first message not seen.
    Unseen(u32),
    /// RFC 6154 §3.
    UseAttr,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Code::AppendUid(validity, uids) => {
                write!(f, "APPENDUID {validity} {}", Ordered(uids))
            }
            Code::BadCharset([]) => f.write_str("BADCHARSET"),
            Code::BadCharset(known) => write!(f, "BADCHARSET ({})", known.join(" ")),
            Code::Capability(list) => write!(f, "CAPABILITY {list}"),
            Code::CopyUid(validity, uids) => {
                let (from, to): (Vec<u32>, Vec<u32>) = uids.iter().copied().unzip();
                write!(f, "COPYUID {validity} {} {}", Ordered(&from), Ordered(&to))
            }
            Code::PermanentFlags(flags, more) => {
                let names = flags.iter().map(Flag::name).chain(more.then_some("\\*"));
                write!(f, "PERMANENTFLAGS ({})", names.collect::<Vec<_>>().join(" "))
            }
            Code::UidNext(uid) => write!(f, "UIDNEXT {uid}"),
            Code::UidValidity(validity) => write!(f, "UIDVALIDITY {validity}"),
            Code::Unseen(number) => write!(f, "UNSEEN {number}"),
            plain => f.write_str(plain.name()),
        }
    }
}

impl Code {
    /// Its atom.
    #[rustfmt::skip]
    pub fn name(&self) -> &'static str {
        match self {
            Code::AlreadyExists => "ALREADYEXISTS", Code::AppendUid(..) => "APPENDUID",
            Code::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Code::BadCharset(_) => "BADCHARSET", Code::Cannot => "CANNOT",
            Code::Capability(_) => "CAPABILITY", Code::Closed => "CLOSED",
            Code::CopyUid(..) => "COPYUID", Code::Corruption => "CORRUPTION",
            Code::ExpungeIssued => "EXPUNGEISSUED", Code::HasChildren => "HASCHILDREN",
            Code::InUse => "INUSE", Code::Limit => "LIMIT", Code::NonExistent => "NONEXISTENT",
            Code::NoPerm => "NOPERM", Code::OverQuota => "OVERQUOTA",
            Code::PermanentFlags(..) => "PERMANENTFLAGS",
            Code::PrivacyRequired => "PRIVACYREQUIRED", Code::ReadOnly => "READ-ONLY",
            Code::ReadWrite => "READ-WRITE", Code::ServerBug => "SERVERBUG",
            Code::TooBig => "TOOBIG", Code::TryCreate => "TRYCREATE", Code::UidNext(_) => "UIDNEXT",
            Code::UidValidity(_) => "UIDVALIDITY",
            Code::Unavailable => "UNAVAILABLE", Code::UnknownCte => "UNKNOWN-CTE",
            Code::Unseen(_) => "UNSEEN", Code::UseAttr => "USEATTR",
        }
    }
}

/// A status response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// How it went.
    pub condition: Condition,
    /// For the client's program.
    pub code: Option<Code>,
    /// For the person; never empty.
    pub text: Cow<'static, str>,
    /// The section whose rule gave it, where it is not the command's own.
    pub rule: Option<&'static str>,
    /// What the log says beside it.
    pub cause: Option<String>,
}

impl Status {
    fn new(condition: Condition, text: impl Into<Cow<'static, str>>) -> Status {
        Status { condition, code: None, text: text.into(), rule: None, cause: None }
    }

    /// Done.
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Status {
        Status::new(Condition::Ok, text)
    }

    /// Not done, and the code that says why.
    pub fn no(code: Code, text: impl Into<Cow<'static, str>>) -> Status {
        Status { code: Some(code), ..Status::new(Condition::No, text) }
    }

    /// Not done, for a reason that has no code.
    pub fn plain_no(text: impl Into<Cow<'static, str>>) -> Status {
        Status::new(Condition::No, text)
    }

    /// No command, or not now.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Status {
        Status::new(Condition::Bad, text)
    }

    /// The end of the session.
    pub fn bye(text: impl Into<Cow<'static, str>>) -> Status {
        Status::new(Condition::Bye, text)
    }

    /// With this code.
    pub fn with(mut self, code: Code) -> Status {
        self.code = Some(code);
        self
    }

    /// By which rule, where the command's own section does not say it.
    pub fn by(mut self, rule: &'static str) -> Status {
        self.rule = Some(rule);
        self
    }

    /// Why, for the log.
    pub fn because(mut self, cause: impl Into<String>) -> Status {
        self.cause = Some(cause.into());
        self
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.condition.name())?;
        if let Some(code) = &self.code {
            write!(f, " [{code}]")?;
        }
        write!(f, " {}", self.text)
    }
}

/// A line: its parts must hold no line end.
pub(super) fn line(out: &mut Vec<u8>, text: fmt::Arguments) {
    out.extend_from_slice(text.to_string().as_bytes());
    end(out);
}

/// The end of a line.
pub(super) fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(CRLF.as_bytes());
}

/// The end of a command.
pub fn tagged(out: &mut Vec<u8>, tag: &str, status: &Status) {
    line(out, format_args!("{tag} {status}"));
}

/// A status that ends no command.
pub fn untagged(out: &mut Vec<u8>, status: &Status) {
    line(out, format_args!("* {status}"));
}

/// RFC 3501 §7.5: go on; text, or a challenge in base64, or nothing.
pub fn go_on(out: &mut Vec<u8>, text: &str) {
    line(out, format_args!("+ {text}"));
}

/// The octets of what `Set` and its like write.
pub(super) fn text(out: &mut Vec<u8>, text: impl fmt::Display) {
    out.extend_from_slice(text.to_string().as_bytes());
}

/// A set of numbers, as ESEARCH tells it.
pub(super) fn set(out: &mut Vec<u8>, set: &Set) {
    text(out, set);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        let keywords = vec![Flag::Seen, Flag::Keyword("tarea".into())];
        for (status, expected) in [
            (Status::ok("Done"), "OK Done"),
            (Status::plain_no("No"), "NO No"),
            (Status::bad("What?").by("RFC 3501 §9").because("x"), "BAD What?"),
            (Status::bye("Good-bye"), "BYE Good-bye"),
            (Status::no(Code::TryCreate, "No"), "NO [TRYCREATE] No"),
            (Status::ok("x").with(Code::AppendUid(7, vec![4])), "OK [APPENDUID 7 4] x"),
            (Status::ok("x").with(Code::AppendUid(7, vec![4, 5, 9])), "OK [APPENDUID 7 4:5,9] x"),
            (
                Status::ok("x").with(Code::CopyUid(7, vec![(1, 9), (2, 8), (3, 10)])),
                "OK [COPYUID 7 1:3 9,8,10] x",
            ),
            (Status::no(Code::BadCharset(&[]), "x"), "NO [BADCHARSET] x"),
            (Status::no(Code::BadCharset(&["A", "B"]), "x"), "NO [BADCHARSET (A B)] x"),
            (Status::ok("x").with(Code::Capability("A B".into())), "OK [CAPABILITY A B] x"),
            (
                Status::ok("x").with(Code::PermanentFlags(keywords, true)),
                "OK [PERMANENTFLAGS (\\Seen tarea \\*)] x",
            ),
            (Status::ok("x").with(Code::PermanentFlags(vec![], false)), "OK [PERMANENTFLAGS ()] x"),
            (Status::ok("x").with(Code::UidNext(5)), "OK [UIDNEXT 5] x"),
            (Status::ok("x").with(Code::UidValidity(5)), "OK [UIDVALIDITY 5] x"),
            (Status::ok("x").with(Code::Unseen(5)), "OK [UNSEEN 5] x"),
            (Status::no(Code::UnknownCte, "x"), "NO [UNKNOWN-CTE] x"),
        ] {
            let line = written(&|out| tagged(out, "a1", &status));
            assert_eq!(line, format!("a1 {expected}{CRLF}"));
            let line = written(&|out| untagged(out, &status));
            assert_eq!(line, format!("* {expected}{CRLF}"));
        }
        assert_eq!(written(&|out| go_on(out, "")), format!("+ {CRLF}"));
        assert_eq!(written(&|out| go_on(out, "idling")), format!("+ idling{CRLF}"));
    }
}
