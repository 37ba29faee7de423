//! Whatever a peer can make grow, and what stops it.
//!
//! Sizes are octets, times are given as `Duration`. What an administrator may want to change is a
//! key of buzon.conf(5) instead and stands in `conf/keys.rs`.

use std::time::Duration;

/// RFC 5321 §4.5.3.1.4 asks for 512, extensions add to it, and RFC 4954 §4 asks for 12,288 in the
/// lines of an AUTH exchange: one number serves them all.
pub const SMTP_LINE: usize = 12_288;
/// RFC 5321 §4.5.3.1.1: the local-part that everybody must take, and the longest name of a user of
/// ours. Other people's may be longer: §4.5.3.1 wants no limit where none is needed, and senders
/// write the recipient into the reverse-path.
pub const LOCAL_PART: usize = 64;
/// RFC 5321 §4.5.3.1.2: a domain name or number.
pub const DOMAIN: usize = 255;
/// RFC 5321 §4.5.3.1.3: a reverse-path or forward-path, punctuation included; it must fit into the
/// line of a reply (§4.5.3.1.5).
pub const PATH: usize = 256;
/// RFC 5321 §4.5.3.1.8 asks for 100; mailing lists come with more.
pub const RECIPIENTS: usize = 1_000;
/// RFC 5321 §6.3: Received fields that mean a loop.
pub const HOPS: usize = 100;
/// A letter up to this size is held in memory while it comes in, beyond it in the spool.
pub const LETTER_IN_MEMORY: usize = 256 * 1024;
/// The header section of a letter that comes on standard input, looked for its sender.
pub const HEADER: usize = 1024 * 1024;
/// RFC 5322 §2.1.1 allows 998 in a line; behind a longer one than this no header is looked for.
pub const HEADER_LINE: usize = 16 * 1024;
/// Delivered-To fields of a letter that are looked at for a loop.
pub const DELIVERIES: usize = 1_000;
/// An answer of the name server; the resolver itself gives up before.
pub const LOOKUP: Duration = Duration::from_secs(30);
/// The envelope of a queued letter: a thousand recipients with all that RFC 3461 lets them say.
pub const ENVELOPE: usize = 4 * 1024 * 1024;
/// All that happened to a queued letter, a line for each recipient and attempt.
pub const JOURNAL: u64 = 16 * 1024 * 1024;
/// Writing one letter to all its local recipients.
pub const DELIVERY: Duration = Duration::from_secs(60);

/// RFC 2449 §4 allows 255 octets a command; SASL answers (RFC 5034 §4) may be as long as in SMTP.
pub const POP3_LINE: usize = 12_288;

/// The lines of one IMAP command in all, literals apart. RFC 7162 §4 asks for 8,192; sets of
/// scattered UIDs are longer.
pub const IMAP_LINE: usize = 64 * 1024;
/// The literals of one IMAP command in all, APPEND's messages apart.
pub const IMAP_LITERALS: u64 = 64 * 1024;
/// RFC 3502: messages of one APPEND. Each waits in a file of its own.
pub const APPENDS: usize = 100;
/// RFC 9051 §5.4: the silence of a client that has not logged in, where imap_timeout is longer.
pub const IMAP_LOGIN: Duration = Duration::from_secs(180);
/// How deep the keys of one SEARCH may be nested.
pub const SEARCH_DEPTH: usize = 50;
/// Strings up to this size are sent in quotes, longer ones as literals.
pub const IMAP_QUOTED: usize = 1024;

/// Errors after which replies come slower, each by the `failure_delay` of buzon.conf(5).
pub const ERRORS_SLOW: usize = 10;
/// Errors after which a session is ended.
pub const ERRORS: usize = 20;

/// Sessions under way get so long to finish after SIGTERM.
pub const STOP: Duration = Duration::from_secs(30);
/// A TLS handshake must be done within this.
pub const HANDSHAKE: Duration = Duration::from_secs(60);
/// The read buffer of a session; given back while it is idle.
pub const READ_BUFFER: usize = 4 * 1024;
/// The stack of a session's thread.
pub const STACK: usize = 256 * 1024;

/// Password computations at once, since yescrypt takes 16 MiB for each.
pub const CRYPTS: usize = 4;
/// Password computations that may wait for their turn; beyond, logins are told to try again.
pub const CRYPTS_WAITING: usize = 1_000;
/// Addresses remembered for their failed logins.
pub const FAILURES: usize = 10_000;
/// Users remembered for the time of their last POP3 login (RFC 2449 §6.5).
pub const LOGINS: usize = 10_000;

/// RFC 5321 §3.9: names that one alias may come to, loops included.
pub const ALIAS_EXPANSIONS: usize = 1_000;
/// The users file, the aliases file and the configuration are not read beyond this.
pub const TABLE_FILE: u64 = 64 * 1024 * 1024;
/// RFC 1939 §7 allows 70 octets for a unique-id.
pub const UNIQUE_ID: usize = 70;
/// The read buffer while a letter comes in.
pub const TEXT_BUFFER: usize = 64 * 1024;
/// A message is held in memory while it is taken apart; one beyond this is only handed out whole.
pub const MESSAGE_IN_MEMORY: u64 = 1 << 30;
/// What is remembered of all messages of a mailbox so that it need not be worked out again.
pub const CACHE: u64 = 1 << 30;
/// And of one of them.
pub const CACHE_RECORD: usize = 64 * 1024;

/// Sessions in IDLE that look at their mailboxes at once: each opens up to seven files for that.
pub const AWAKE: usize = 128;
