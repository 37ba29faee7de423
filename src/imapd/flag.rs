//! Flags and keywords: RFC 3501 §2.3.2, RFC 9051 §2.3.2; attributes of mailboxes: RFC 6154 §2.

use std::fmt;

/// What a message may be marked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
    /// `\Recent`: ours to give; only SEARCH asks for it.
    Recent,
    /// A keyword, in the letters the client used; equal to another in any case.
    Keyword(String),
}

impl Flag {
    /// RFC 3501 §2.3.2: those that begin with a backslash and that a client may set.
    pub const SYSTEM: [Flag; 5] =
        [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft];

    /// As it is written.
    pub fn name(&self) -> &str {
        match self {
            Flag::Answered => "\\Answered",
            Flag::Flagged => "\\Flagged",
            Flag::Deleted => "\\Deleted",
            Flag::Seen => "\\Seen",
            Flag::Draft => "\\Draft",
            Flag::Recent => "\\Recent",
            Flag::Keyword(name) => name,
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a mailbox is for: RFC 6154 §2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
    /// One that we do not know: NO with USEATTR (RFC 6154 §3).
    Other(String),
}

impl Use {
    /// Those we know.
    pub const ALL: [Use; 7] =
        [Use::All, Use::Archive, Use::Drafts, Use::Flagged, Use::Junk, Use::Sent, Use::Trash];

    /// As it is written.
    pub fn name(&self) -> &str {
        match self {
            Use::All => "\\All",
            Use::Archive => "\\Archive",
            Use::Drafts => "\\Drafts",
            Use::Flagged => "\\Flagged",
            Use::Junk => "\\Junk",
            Use::Sent => "\\Sent",
            Use::Trash => "\\Trash",
            Use::Other(name) => name,
        }
    }
}
