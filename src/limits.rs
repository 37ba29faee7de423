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
/// RFC 3461 §4.2: the ORCPT parameter, keyword included.
pub const ORCPT: usize = 500;
/// RFC 3461 §4.4: the value of ENVID.
pub const ENVID: usize = 100;
/// Mailboxes that a letter is written into before the client hears of it; for more of them the
/// runner does it.
pub const AT_ONCE: usize = 20;
/// The octets of all those copies together.
pub const OCTETS_AT_ONCE: u64 = 64 * 1024 * 1024;
/// The recipients of one letter that leaves, in octets, as the queue writes them.
pub const QUEUED_ENVELOPE: usize = ENVELOPE / 2;
/// Names of a client's address that are looked at, and addresses of these.
pub const CLIENT_NAMES: usize = 10;
/// RFC 1985: runners that clients have asked for, at once.
pub const TURNS: usize = 5;
/// Letters that are looked at for what waits for a domain.
pub const TURN_LETTERS: usize = 1_000;
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
/// Letters that a runner works on at a time; each has its file and its directory open.
pub const LETTERS: usize = 1_000;
/// Jobs of one destination that a runner keeps in memory; further letters stay in their files.
pub const LANE: usize = 100;
/// How long a connection waits for another letter.
pub const LANE_IDLE: Duration = Duration::from_secs(1);
/// Letters that one scan of the queue remembers, the earliest first.
pub const BACKLOG: usize = 100_000;
/// Recipients of a queued letter, those that aliases came to included.
pub const QUEUED_RECIPIENTS: usize = 20_000;
/// Addresses of the hosts of a domain that are tried in one attempt.
pub const ADDRESSES: usize = 20;
/// A host that was down is not tried again for so long by the same runner.
pub const DOWN: Duration = Duration::from_secs(60);
/// The envelope of a queued letter: a thousand recipients with all that RFC 3461 lets them say.
pub const ENVELOPE: usize = 4 * 1024 * 1024;
/// All that happened to a queued letter, a line for each recipient and attempt; from a quarter of it
/// on the letter is written anew, with what holds now.
pub const JOURNAL: u64 = 64 * 1024 * 1024;
/// What was begun in a directory of the queue and never finished goes after so long.
pub const ABANDONED: Duration = Duration::from_secs(86_400);
/// Octets of a reply that the queue keeps.
pub const SAID: usize = 500;
/// RFC 5321 §4.5.3.1.5 asks servers for replies of 512 octets a line; some write more.
pub const REPLY_LINE: usize = 4_096;
/// The lines of one reply; EHLO's are the most (RFC 5321 §4.2.1 sets no limit).
pub const REPLY_LINES: usize = 200;
/// The octets of one reply that are kept; the code counts wherever it stands.
pub const REPLY: usize = 8 * 1024;
/// The octets of a command or a reply that a dialogue shows.
pub const DIALOGUE_LINE: usize = 512;
/// The octets of commands that wait for their replies at once: what fits the windows of both sides,
/// so that nobody waits for somebody who waits (RFC 2920 §3.1).
pub const PIPELINE: usize = 16 * 1024;
/// The lines of a dialogue that are remembered for a report, the first and the last of them.
pub const DIALOGUE: usize = 200;
/// Hosts remembered for certificates that could not be verified.
pub const UNVERIFIED: usize = 10_000;
/// A client's connection to another host is made within this, or another host is tried.
pub const CONNECT: Duration = Duration::from_secs(30);
/// RFC 5321 §4.5.3.2.1: for the greeting.
pub const GREETING: Duration = Duration::from_secs(300);
/// RFC 5321 §4.5.3.2.2 and §4.5.3.2.3: for the replies to MAIL and RCPT, and all others that are
/// not named there.
pub const COMMAND: Duration = Duration::from_secs(300);
/// RFC 5321 §4.5.3.2.4: for the reply to DATA.
pub const DATA: Duration = Duration::from_secs(120);
/// RFC 5321 §4.5.3.2.5: for the other side to take a block of the text.
pub const DATA_BLOCK: Duration = Duration::from_secs(180);
/// RFC 5321 §4.5.3.2.6: for the reply to the final dot.
pub const DATA_END: Duration = Duration::from_secs(600);
/// For the reply to QUIT; all has been said by then.
pub const QUIT: Duration = Duration::from_secs(10);
/// RFC 8461 §3.3: the octets of a policy, and of the header before it.
pub const STS_POLICY: usize = 64 * 1024;
/// RFC 8461 §3.3: for getting it.
pub const STS_FETCH: Duration = Duration::from_secs(60);
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
/// So many times that silence, and a client that talks and does not log in has had its time.
pub const IMAP_LOGIN_IN_ALL: u32 = 3;
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

/// RFC 5321 §3.9: members that one address may come to, of aliases, `.forward` and what they
/// include, circles counted once.
pub const ALIAS_EXPANSIONS: usize = 1_000;
/// A `.forward` file, and a file that an alias or it includes.
pub const MEMBERS_FILE: u64 = 1024 * 1024;
/// Included files and mailing lists that are remembered.
pub const MEMBERS_FILES: usize = 1_000;
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
/// RFC 3461 §6.2: a larger letter comes back as its header, and of that not more either.
pub const RETURNED: u64 = 64 * 1024;
/// What another host said about one recipient, as far as a report repeats it.
pub const REPORT_WORDS: usize = 900;
/// All dialogues of one report.
pub const REPORT_DIALOGUES: usize = 64 * 1024;
/// A program that takes letters has so long for one; as many seconds as Postfix gives it.
pub const PROGRAM: Duration = Duration::from_secs(1_000);
/// What such a program says, as far as it is kept for a report.
pub const PROGRAM_OUTPUT: usize = 4 * 1024;

/// Sessions in IDLE that look at their mailboxes at once: each opens up to seven files for that.
pub const AWAKE: usize = 128;
