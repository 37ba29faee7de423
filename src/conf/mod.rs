//! The configuration: `key value` lines become a `Site`.
//!
//! `keys` is the one table of what may be said; `file` reads lines and finds faults; `values`
//! and `relay` turn words into durations, sizes, networks. A Site never changes: SIGHUP makes another. The
//! users, aliases and lists are no part of it. The format: buzon.conf(5).

mod file;
mod keys;
mod relay;
mod values;
mod words;

pub use file::{Error, Setting, load};
pub use keys::{KEYS, Key};
pub use relay::{Domain, Peers, Relay, Speaks, Way, Whose};
pub use values::{Address, Network, client, duration};

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a listening socket serves; the name is also the one systemd gives an inherited socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// RFC 5321, port 25.
    Smtp,
    /// RFC 6409, port 587.
    Submission,
    /// RFC 8314 §3.3, port 465: TLS from the first octet.
    Submissions,
    /// RFC 2033: letters from another MTA, each recipient answered for itself.
    Lmtp,
    /// RFC 1939, port 110.
    Pop3,
    /// RFC 8314 §3.1, port 995: TLS from the first octet.
    Pop3s,
    /// RFC 3501 and RFC 9051, port 143.
    Imap,
    /// RFC 8314 §3.3, port 993: TLS from the first octet.
    Imaps,
}

impl Role {
    /// The name in the configuration, in logs and in `LISTEN_FDNAMES`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Smtp => "smtp",
            Role::Submission => "submission",
            Role::Submissions => "submissions",
            Role::Lmtp => "lmtp",
            Role::Pop3 => "pop3",
            Role::Pop3s => "pop3s",
            Role::Imap => "imap",
            Role::Imaps => "imaps",
        }
    }

    /// Whether TLS begins with the connection (RFC 8314 §3).
    pub fn implicit_tls(self) -> bool {
        matches!(self, Role::Submissions | Role::Pop3s | Role::Imaps)
    }
}

/// A certificate chain and its key, PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, the server's own certificate first.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Where a mailbox is, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// One file a message: the directory that holds `tmp`, `new` and `cur`.
    Maildir(PathBuf),
    /// One file a mailbox (RFC 4155): the INBOX, and the directory of the other folders.
    Mbox {
        /// The file where letters arrive.
        inbox: PathBuf,
        /// Where folders are files.
        folders: PathBuf,
    },
}

impl Location {
    /// `maildir:~/Maildir`, `mbox:/var/mail/%u`: `~` is the home, `%u` the user's name. The folders
    /// of an mbox user are in `~/mail`.
    pub fn of(template: &str, home: &Path, user: &str) -> Option<Location> {
        let (format, path) = template.split_once(':')?;
        let path = path.replace("%u", user);
        let path = match path.strip_prefix("~/") {
            Some(below) => home.join(below),
            None if path.starts_with('/') => path.into(),
            None => return None,
        };
        match format {
            "maildir" => Some(Location::Maildir(path)),
            "mbox" => Some(Location::Mbox { inbox: path, folders: home.join("mail") }),
            _ => None,
        }
    }

    /// Where letters arrive, for logs.
    pub fn inbox(&self) -> &Path {
        match self {
            Location::Maildir(path) | Location::Mbox { inbox: path, .. } => path,
        }
    }
}

/// One site: everything the configuration says, with defaults filled in.
#[derive(Clone, Debug)]
pub struct Site {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// Where each value came from, for `-n -v`.
    pub settings: Vec<Setting>,
    /// The name in greetings, replies and trace fields.
    pub hostname: String,
    /// Domains whose mail is ours, in lower case.
    pub domains: Vec<String>,
    /// Whether this host takes mail at all (RFC 7504).
    pub accept_mail: bool,
    /// The account that owns all mail; daemons started by root become it.
    pub mail_owner: String,
    /// Accounts of this host have mailboxes too, and their owners are who touches them.
    pub system_users: bool,
    /// The lowest uid of an account that may have mail.
    pub first_uid: u32,
    /// The group that may write in the directory of mboxes.
    pub mail_group: String,
    /// The users file.
    pub users: PathBuf,
    /// The aliases file.
    pub aliases: PathBuf,
    /// The virtual file: addresses of further domains.
    pub virtual_addresses: PathBuf,
    /// The directory of mailing lists.
    pub lists: PathBuf,
    /// The secrets of SRS; `None`: senders of forwarded letters stay as they are.
    pub srs: Option<PathBuf>,
    /// Home of users whose entry names none; `%u` is the user's name.
    pub home: String,
    /// The mailbox of a user, for `Location::of`.
    pub mailbox: String,
    /// Directory for letters that are being received.
    pub spool: PathBuf,
    /// Directory for pid files.
    pub run: PathBuf,
    /// Addresses to listen on, with their roles.
    pub listen: Vec<(Role, Address)>,
    /// Certificates; the first is for clients that name no server.
    pub certificates: Vec<Certificate>,
    /// Networks that may log in without TLS.
    pub clear_text_login: Vec<Network>,
    /// Connections in all, each daemon.
    pub max_connections: usize,
    /// Connections from one address.
    pub max_connections_per_address: usize,
    /// The largest letter, octets.
    pub message_size: u64,
    /// Octets a mailbox may hold; 0 is no limit.
    pub quota: u64,
    /// What divides `luis+lista` in user and detail.
    pub recipient_delimiter: Option<char>,
    /// VRFY tells who exists.
    pub vrfy: bool,
    /// EXPN lists the members of an alias.
    pub expn: bool,
    /// The POP3 greeting carries a stamp for APOP.
    pub apop: bool,
    /// LAST of RFC 1460.
    pub old_verbs: bool,
    /// How long a delivery waits for the locks of mailboxes.
    pub deliver_wait: Duration,
    /// RFC 5321 §4.5.3.2.7: silence after which smtpd hangs up.
    pub smtp_timeout: Duration,
    /// RFC 1939 §3: silence after which pop3d hangs up.
    pub pop3_timeout: Duration,
    /// RFC 3501 §5.4: silence after which imapd hangs up.
    pub imap_timeout: Duration,
    /// The pause after a failed login, and after each error from the tenth on.
    pub failure_delay: Duration,
    /// RFC 2449 §6.5: seconds between two POP3 logins of a user.
    pub login_delay: Duration,
    /// Directory of letters that wait to leave.
    pub queue: PathBuf,
    /// The file that stands for the domain name system.
    pub dns_zone: Option<PathBuf>,
    /// Which letters leave which way; the first that fits counts.
    pub relays: Vec<Relay>,
    /// The way for letters whose hosts cannot be reached.
    pub relay_fallback: Option<Way>,
    /// The file with names and passwords at relays.
    pub relay_logins: Option<PathBuf>,
    /// Domains of others whose mail is taken and handed on.
    pub relay_domains: Vec<Domain>,
    /// Clients whose letters may leave without a login.
    pub relay_from: Vec<Peers>,
    /// Domains that are sent to by verified TLS or not at all.
    pub tls_require: Vec<Domain>,
    /// Heed what domains say of TLS (RFC 8461).
    pub mta_sts: bool,
    /// The time before a letter is tried again; it doubles with each attempt.
    pub retry_first: Duration,
    /// RFC 5321 §4.5.4.1: the longest time between two attempts.
    pub retry_longest: Duration,
    /// When the sender is told that it takes long.
    pub delay_report: Duration,
    /// RFC 5321 §4.5.4.1: when a letter goes back to its sender.
    pub give_up: Duration,
    /// Connections to other hosts at once.
    pub max_deliveries: usize,
    /// Connections to one destination at once.
    pub max_deliveries_per_host: usize,
}

impl Site {
    /// What can be meant, but hardly is: `file:line: what, cure`.
    pub fn warnings(&self) -> Vec<String> {
        let file = self.file.as_deref().unwrap_or(Path::new("/etc/buzon/buzon.conf")).display();
        let said = self.settings.iter().filter(|setting| setting.key == "relay_from");
        let words = said.flat_map(|said| said.value.split_whitespace().map(move |it| (said, it)));
        let vast = words.filter(|(_, it)| Peers::parse(it).is_some_and(|peers| peers.are_vast()));
        let told = vast.map(|(said, word)| {
            let line = said.line.map_or(String::new(), |line| format!(":{line}"));
            format!(
                "{file}{line}: relay_from: {word} lets strangers send letters to anybody through \
                 this host, an open relay (RFC 2505 §2.1); name your own networks only"
            )
        });
        told.collect()
    }

    /// Whether this is one of our domains.
    pub fn is_local(&self, domain: &str) -> bool {
        self.domains.iter().any(|ours| ours.eq_ignore_ascii_case(domain))
    }

    /// Whether a peer may log in without TLS; whoever sits at stdin may.
    pub fn may_log_in_clear(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|peer| self.clear_text_login.iter().any(|network| network.contains(peer)))
    }
}
