//! The one table of keys: name, default, meaning, and how the value reaches the Site.
//!
//! A test holds this table, the sample `etc/buzon/buzon.conf` and buzon.conf(5) together.

use super::relay::{Domain, Peers, Relay, Way};
use super::values::{Address, Network, size};
use super::words::Words;
use super::{Certificate, Location, Role, Site};
use std::path::Path;

/// One key of the configuration.
pub struct Key {
    /// The word before the value.
    pub name: &'static str,
    /// What holds when it is not said, as it would be written.
    pub default: &'static str,
    /// One line for `-n -v` and for errors.
    pub meaning: &'static str,
    pub(super) set: fn(&mut Site, &Words) -> Result<(), String>,
}

fn listen(site: &mut Site, role: Role, words: &Words) -> Result<(), String> {
    let addresses = words.all(
        Address::parse,
        "an address such as *:25, 192.0.2.1:25, [::1]:25 or /run/buzon/lmtp",
    )?;
    site.listen.retain(|(other, _)| *other != role);
    site.listen.extend(addresses.into_iter().map(|address| (role, address)));
    Ok(())
}

/// A host or domain name, in lower case (RFC 5321 §4.1.2: Domain).
pub(super) fn domain(word: &str) -> Option<String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || !c.is_ascii())
    };
    (word.len() <= crate::limits::DOMAIN && word.split('.').all(label))
        .then(|| word.to_ascii_lowercase())
}

/// Every key, in the order of buzon.conf(5).
pub const KEYS: &[Key] = &[
    Key {
        name: "hostname",
        default: "localhost",
        meaning: "the name in greetings, replies and Received fields",
        set: |site, words| {
            site.hostname = words.read(domain, "a host name")?;
            Ok(())
        },
    },
    Key {
        name: "domains",
        default: "localhost",
        meaning: "the domains whose mail is ours",
        set: |site, words| {
            site.domains = words.all(domain, "a domain name")?;
            Ok(())
        },
    },
    Key {
        name: "accept_mail",
        default: "yes",
        meaning: "no: answer 521, this host takes no mail (RFC 7504)",
        set: |site, words| words.switch().map(|value| site.accept_mail = value),
    },
    Key {
        name: "mail_owner",
        default: "buzon",
        meaning: "the account that owns all mail; root becomes it",
        set: |site, words| words.one().map(|value| site.mail_owner = value.into()),
    },
    Key {
        name: "system_users",
        default: "no",
        meaning: "yes: accounts of this host have mailboxes, which their owners touch",
        set: |site, words| words.switch().map(|value| site.system_users = value),
    },
    Key {
        name: "first_uid",
        default: "1000",
        meaning: "the lowest uid of an account that may have mail",
        set: |site, words| {
            site.first_uid =
                words.read(|word| word.parse().ok().filter(|uid| *uid > 0), "a uid above 0")?;
            Ok(())
        },
    },
    Key {
        name: "mail_group",
        default: "mail",
        meaning: "the group that may write in the directory of mboxes",
        set: |site, words| words.one().map(|value| site.mail_group = value.into()),
    },
    Key {
        name: "users",
        default: "users",
        meaning: "the users file, see buzon-users(5)",
        set: |site, words| words.path().map(|value| site.users = value),
    },
    Key {
        name: "aliases",
        default: "aliases",
        meaning: "the aliases file, see buzon-aliases(5)",
        set: |site, words| words.path().map(|value| site.aliases = value),
    },
    Key {
        name: "virtual",
        default: "virtual",
        meaning: "addresses of further domains, see buzon-virtual(5)",
        set: |site, words| words.path().map(|value| site.virtual_addresses = value),
    },
    Key {
        name: "lists",
        default: "lists",
        meaning: "the directory of mailing lists, see buzon-lists(5)",
        set: |site, words| words.path().map(|value| site.lists = value),
    },
    Key {
        name: "srs",
        default: "none",
        meaning: "the secrets for senders of forwarded letters, or none",
        set: |site, words| {
            site.srs = Some(words.path()?).filter(|_| words.text != "none");
            Ok(())
        },
    },
    Key {
        name: "home",
        default: "/var/lib/buzon/%u",
        meaning: "the home of users whose entry names none; %u is the user",
        set: |site, words| {
            site.home = words.path()?.to_string_lossy().into_owned();
            Ok(())
        },
    },
    Key {
        name: "mailbox",
        default: "maildir:~/Maildir",
        meaning: "the mailbox of a user; ~ is the home, %u the user",
        set: |site, words| {
            let word = words.one()?;
            if Location::of(word, Path::new("/"), "u").is_none() {
                let form = "a mailbox such as maildir:~/Maildir or mbox:/var/mail/%u";
                return Err(format!("'{word}' is not {form}"));
            }
            site.mailbox = word.into();
            Ok(())
        },
    },
    Key {
        name: "spool",
        default: "/var/spool/buzon",
        meaning: "the directory for letters that are being received",
        set: |site, words| words.path().map(|value| site.spool = value),
    },
    Key {
        name: "run",
        default: "/run/buzon",
        meaning: "the directory for pid files",
        set: |site, words| words.path().map(|value| site.run = value),
    },
    Key {
        name: "smtp",
        default: "*:25",
        meaning: "where smtpd listens for other hosts",
        set: |site, words| listen(site, Role::Smtp, words),
    },
    Key {
        name: "submission",
        default: "*:587",
        meaning: "where smtpd listens for users who log in (RFC 6409)",
        set: |site, words| listen(site, Role::Submission, words),
    },
    Key {
        name: "submissions",
        default: "*:465",
        meaning: "the same with TLS from the first octet (RFC 8314)",
        set: |site, words| listen(site, Role::Submissions, words),
    },
    Key {
        name: "lmtp",
        default: "none",
        meaning: "where smtpd listens for other MTAs by LMTP (RFC 2033)",
        set: |site, words| listen(site, Role::Lmtp, words),
    },
    Key {
        name: "pop3",
        default: "*:110",
        meaning: "where pop3d listens",
        set: |site, words| listen(site, Role::Pop3, words),
    },
    Key {
        name: "pop3s",
        default: "*:995",
        meaning: "the same with TLS from the first octet (RFC 8314)",
        set: |site, words| listen(site, Role::Pop3s, words),
    },
    Key {
        name: "imap",
        default: "*:143",
        meaning: "where imapd listens",
        set: |site, words| listen(site, Role::Imap, words),
    },
    Key {
        name: "imaps",
        default: "*:993",
        meaning: "the same with TLS from the first octet (RFC 8314)",
        set: |site, words| listen(site, Role::Imaps, words),
    },
    Key {
        name: "certificate",
        default: "none",
        meaning: "PEM files: chain and key; more lines for more names (SNI)",
        set: |site, words| {
            match words.list().collect::<Vec<_>>()[..] {
                [] => site.certificates.clear(),
                [chain, key] => site.certificates.push(Certificate {
                    chain: words.directory.join(chain),
                    key: words.directory.join(key),
                }),
                _ => return Err("takes two files: the chain and the key".into()),
            }
            Ok(())
        },
    },
    Key {
        name: "clear_text_login",
        default: "none",
        meaning: "networks whose clients may log in without TLS",
        set: |site, words| {
            site.clear_text_login = words.all(Network::parse, "a network such as 127.0.0.0/8")?;
            Ok(())
        },
    },
    Key {
        name: "max_connections",
        default: "1000",
        meaning: "connections of each daemon in all",
        set: |site, words| words.count().map(|value| site.max_connections = value),
    },
    Key {
        name: "max_connections_per_address",
        default: "50",
        meaning: "connections of each daemon from one address, or one /64 of IPv6",
        set: |site, words| words.count().map(|value| site.max_connections_per_address = value),
    },
    Key {
        name: "message_size",
        default: "50M",
        meaning: "the largest letter, octets (RFC 1870)",
        set: |site, words| {
            // RFC 1870 §3: 0 would promise that there is no limit.
            site.message_size =
                words.read(|word| size(word).filter(|n| *n > 0), "a size above 0")?;
            Ok(())
        },
    },
    Key {
        name: "quota",
        default: "0",
        meaning: "octets a mailbox may hold, 0 for no limit",
        set: |site, words| words.size().map(|value| site.quota = value),
    },
    Key {
        name: "recipient_delimiter",
        default: "+",
        meaning: "what divides luis+lista in user and detail, or none",
        set: |site, words| {
            site.recipient_delimiter = match words.one()? {
                "none" => None,
                word if word.chars().count() == 1 => word.chars().next(),
                word => return Err(format!("'{word}' is not one character or none")),
            };
            Ok(())
        },
    },
    Key {
        name: "vrfy",
        default: "no",
        meaning: "VRFY tells who exists (RFC 5321 §7.3)",
        set: |site, words| words.switch().map(|value| site.vrfy = value),
    },
    Key {
        name: "expn",
        default: "no",
        meaning: "EXPN lists the members of an alias (RFC 5321 §7.3)",
        set: |site, words| words.switch().map(|value| site.expn = value),
    },
    Key {
        name: "apop",
        default: "no",
        meaning: "the POP3 greeting carries a stamp for APOP (RFC 1939 §7)",
        set: |site, words| words.switch().map(|value| site.apop = value),
    },
    Key {
        name: "old_verbs",
        default: "no",
        meaning: "LAST, as in RFC 1460",
        set: |site, words| words.switch().map(|value| site.old_verbs = value),
    },
    Key {
        name: "deliver_wait",
        default: "10s",
        meaning: "how long a delivery waits for the locks of mailboxes",
        set: |site, words| words.duration().map(|value| site.deliver_wait = value),
    },
    Key {
        name: "smtp_timeout",
        default: "5m",
        meaning: "silence after which smtpd hangs up (RFC 5321 §4.5.3.2.7)",
        set: |site, words| words.duration().map(|value| site.smtp_timeout = value),
    },
    Key {
        name: "pop3_timeout",
        default: "10m",
        meaning: "silence after which pop3d hangs up (RFC 1939 §3)",
        set: |site, words| words.duration().map(|value| site.pop3_timeout = value),
    },
    Key {
        name: "imap_timeout",
        default: "30m",
        meaning: "silence after which imapd hangs up (RFC 3501 §5.4)",
        set: |site, words| words.duration().map(|value| site.imap_timeout = value),
    },
    Key {
        name: "failure_delay",
        default: "2s",
        meaning: "the pause after a failed login, and after each error from the tenth on",
        set: |site, words| words.duration().map(|value| site.failure_delay = value),
    },
    Key {
        name: "login_delay",
        default: "0s",
        meaning: "the time between two POP3 logins of a user (RFC 2449 §6.5)",
        set: |site, words| words.duration().map(|value| site.login_delay = value),
    },
    Key {
        name: "queue",
        default: "/var/spool/buzon/queue",
        meaning: "where letters wait that leave",
        set: |site, words| words.path().map(|value| site.queue = value),
    },
    Key {
        name: "dns_zone",
        default: "none",
        meaning: "a zone file that stands for the domain name system",
        set: |site, words| {
            site.dns_zone = words.path_or_none()?;
            Ok(())
        },
    },
    Key {
        name: "relay",
        default: "none",
        meaning: "which letters leave which way; more lines for more",
        set: |site, words| {
            if words.text != "none" {
                let relay = Relay::parse(words.text);
                site.relays.push(relay.ok_or("is not letters and a way: * smtp:host:port")?);
            }
            Ok(())
        },
    },
    Key {
        name: "relay_fallback",
        default: "none",
        meaning: "the way for letters whose hosts cannot be reached",
        set: |site, words| {
            if words.text != "none" {
                let way = words.read(Way::parse, "a way: smtp:host:port")?;
                site.relay_fallback = Some(way).filter(|way| *way != Way::Mx);
            }
            Ok(())
        },
    },
    Key {
        name: "relay_logins",
        default: "none",
        meaning: "the file of names and passwords at relays",
        set: |site, words| {
            site.relay_logins = words.path_or_none()?;
            Ok(())
        },
    },
    Key {
        name: "relay_domains",
        default: "none",
        meaning: "domains of others whose mail is taken and handed on",
        set: |site, words| {
            site.relay_domains = words.all(Domain::parse, "a domain name")?;
            Ok(())
        },
    },
    Key {
        name: "relay_from",
        default: "none",
        meaning: "clients whose letters may leave without a login",
        set: |site, words| {
            site.relay_from = words.all(Peers::parse, "a network, a range or a name")?;
            Ok(())
        },
    },
    Key {
        name: "tls_require",
        default: "none",
        meaning: "domains that are sent to by verified TLS or not at all",
        set: |site, words| {
            site.tls_require = words.all(Domain::parse, "a domain name")?;
            Ok(())
        },
    },
    Key {
        name: "mta_sts",
        default: "yes",
        meaning: "heed what domains say of TLS (RFC 8461)",
        set: |site, words| words.switch().map(|value| site.mta_sts = value),
    },
    Key {
        name: "retry_first",
        default: "5m",
        meaning: "the time before a letter is tried again",
        set: |site, words| words.duration().map(|value| site.retry_first = value),
    },
    Key {
        name: "retry_longest",
        default: "4h",
        meaning: "the longest time between two attempts (RFC 5321 §4.5.4.1)",
        set: |site, words| words.duration().map(|value| site.retry_longest = value),
    },
    Key {
        name: "delay_report",
        default: "4h",
        meaning: "when the sender is told that it takes long",
        set: |site, words| words.duration().map(|value| site.delay_report = value),
    },
    Key {
        name: "give_up",
        default: "4d",
        meaning: "when a letter goes back to its sender (RFC 5321 §4.5.4.1)",
        set: |site, words| words.duration().map(|value| site.give_up = value),
    },
    Key {
        name: "max_deliveries",
        default: "200",
        meaning: "connections to other hosts at once",
        set: |site, words| words.count().map(|value| site.max_deliveries = value),
    },
    Key {
        name: "max_deliveries_per_host",
        default: "5",
        meaning: "connections to one destination at once",
        set: |site, words| words.count().map(|value| site.max_deliveries_per_host = value),
    },
];
