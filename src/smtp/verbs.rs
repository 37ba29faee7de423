//! The table of commands: name, section, syntax, and the parser of what follows the name.
//!
//! Dispatch, HELP and the transcript's sections come from here, so that they cannot drift apart.

use super::command::*;
use super::reply::Reply;
use crate::text::Cursor;

/// One command of the language.
pub struct Verb {
    /// As it is typed, in capitals.
    pub name: &'static str,
    /// The section that defines it.
    pub section: &'static str,
    /// What follows the name.
    pub syntax: &'static str,
    /// A sentence for HELP.
    pub meaning: &'static str,
    pub(super) parse: fn(&mut Cursor) -> Result<Command, Reply>,
}

/// Every command, in the order of RFC 5321 §4.1.1 and then of the extensions.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "EHLO",
        section: "RFC 5321 §4.1.1.1",
        syntax: "your.host.name",
        meaning: "say who you are, and see what this server can do",
        parse: |cursor| client(cursor).map(Command::Ehlo),
    },
    Verb {
        name: "HELO",
        section: "RFC 5321 §4.1.1.1",
        syntax: "your.host.name",
        meaning: "say who you are, in the manner of 1982",
        parse: |cursor| client(cursor).map(Command::Helo),
    },
    Verb {
        name: "LHLO",
        section: "RFC 2033 §4.1",
        syntax: "your.host.name",
        meaning: "the EHLO of LMTP, where each recipient gets a reply after the text",
        parse: |cursor| client(cursor).map(Command::Lhlo),
    },
    Verb {
        name: "MAIL",
        section: "RFC 5321 §4.1.1.2",
        syntax: "FROM:<ana@example.org> [SIZE=octets] [BODY=8BITMIME|BINARYMIME] [SMTPUTF8] \
                 [RET=FULL|HDRS] [ENVID=name]",
        meaning: "begin a letter: the reverse-path, where reports go; <> for nobody",
        parse: mail,
    },
    Verb {
        name: "RCPT",
        section: "RFC 5321 §4.1.1.3",
        syntax: "TO:<luis@example.org> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=rfc822;address]",
        meaning: "name one recipient, the forward-path; again for each",
        parse: rcpt,
    },
    Verb {
        name: "DATA",
        section: "RFC 5321 §4.1.1.4",
        syntax: "",
        meaning: "then the letter: header, an empty line, text, and a dot alone on its line",
        parse: |_| Ok(Command::Data),
    },
    Verb {
        name: "BDAT",
        section: "RFC 3030 §2",
        syntax: "octets [LAST]",
        meaning: "then exactly so many octets of the letter; LAST with the last of them",
        parse: bdat,
    },
    Verb {
        name: "RSET",
        section: "RFC 5321 §4.1.1.5",
        syntax: "",
        meaning: "forget the letter that was begun",
        parse: |_| Ok(Command::Rset),
    },
    Verb {
        name: "VRFY",
        section: "RFC 5321 §4.1.1.6",
        syntax: "luis [SMTPUTF8]",
        meaning: "ask whether there is such a user",
        parse: |cursor| question(cursor, "VRFY luis").map(|(who, utf8)| Command::Vrfy(who, utf8)),
    },
    Verb {
        name: "EXPN",
        section: "RFC 5321 §4.1.1.7",
        syntax: "list [SMTPUTF8]",
        meaning: "ask who is behind an alias",
        parse: |cursor| question(cursor, "EXPN list").map(|(who, utf8)| Command::Expn(who, utf8)),
    },
    Verb {
        name: "HELP",
        section: "RFC 5321 §4.1.1.8",
        syntax: "[command]",
        meaning: "this",
        parse: |cursor| Ok(Command::Help(rest(cursor))),
    },
    Verb {
        name: "NOOP",
        section: "RFC 5321 §4.1.1.9",
        syntax: "[anything]",
        meaning: "nothing, politely answered",
        parse: |cursor| Ok(rest(cursor)).map(|_| Command::Noop),
    },
    Verb {
        name: "QUIT",
        section: "RFC 5321 §4.1.1.10",
        syntax: "",
        meaning: "say good-bye",
        parse: |_| Ok(Command::Quit),
    },
    Verb {
        name: "STARTTLS",
        section: "RFC 3207 §4",
        syntax: "",
        meaning: "go on under TLS",
        parse: |_| Ok(Command::StartTls),
    },
    Verb {
        name: "AUTH",
        section: "RFC 4954 §4",
        syntax: "PLAIN|LOGIN [initial-response in base64]",
        meaning: "log in",
        parse: auth,
    },
    Verb {
        name: "ETRN",
        section: "RFC 1985 §5",
        syntax: "[@]example.org",
        meaning: "send what waits for this domain, with @ for those below it too",
        parse: etrn,
    },
    Verb {
        name: "SEND",
        section: "RFC 5321 appendix F.6",
        syntax: "",
        meaning: "obsolete: showed the letter on a terminal",
        parse: obsolete,
    },
    Verb {
        name: "SOML",
        section: "RFC 5321 appendix F.6",
        syntax: "",
        meaning: "obsolete: SEND or MAIL",
        parse: obsolete,
    },
    Verb {
        name: "SAML",
        section: "RFC 5321 appendix F.6",
        syntax: "",
        meaning: "obsolete: SEND and MAIL",
        parse: obsolete,
    },
    Verb {
        name: "TURN",
        section: "RFC 5321 appendix F.1",
        syntax: "",
        meaning: "obsolete: changed sides, and gave letters to whoever asked",
        parse: obsolete,
    },
];

/// The verb of that name, in either case.
pub fn find(name: &[u8]) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name.as_bytes().eq_ignore_ascii_case(name))
}
