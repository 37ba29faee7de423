//! One letter that a program of this host hands over, on its way into one mailbox: what deliver(8)
//! does between its arguments and its exit code.
//!
//! Lines end in LF or CRLF, as the program likes. A `From ` line, as mbox files and mail programs
//! have it before a letter, is no part of it but tells the sender. No Received field is written: the
//! letter makes no hop (RFC 5321 §4.4 asks it of SMTP servers).

use super::local::{Failure, Letter, Recipient, local};
use crate::auth::User;
use crate::conf::Site;
use crate::limits;
use crate::mail::{Filter, Mailbox, reverse_path};
use crate::queue::Spool;
use crate::sys::{access, clock};
use crate::text::{Cursor, printable};
use memchr::memchr;
use std::io::{self, Read};

/// Whose letter it is when nobody says: `None` is `<>`.
pub type Sender = Option<Mailbox>;

/// Why it was not delivered.
#[derive(Debug)]
pub enum Trouble {
    /// It never can be: too large for this site, or it was here before.
    Refused(String),
    /// It could not be read or kept for the moment.
    Io(io::Error),
    /// The mailbox did not take it.
    Mailbox(Failure),
}

/// A mailbox, and who says that the letter is from whom.
pub struct Handover {
    /// Whose mailbox; this process has the rights to write there.
    pub user: User,
    /// The user's own address.
    pub address: Mailbox,
    /// The sender that was told; else the letter says it, else the caller is it.
    pub sender: Option<Sender>,
    /// Whoever started this program.
    pub caller: Mailbox,
}

/// Reads a letter to its end and delivers it.
pub fn hand_over(site: &Site, input: impl Read, to: Handover) -> Result<(), Trouble> {
    let mut text = Text::read(site, input)?;
    text.may_be_kept(site, &to.address)?;
    let said = text.from_line.as_deref().and_then(|line| from_line(line, &to.caller.domain));
    let noted = text.filter.return_path.as_deref();
    let noted = noted.and_then(|path| sender(path, &to.caller.domain));
    let reverse_path = to.sender.or(said).or(noted).unwrap_or(Some(to.caller));
    let content = text.spool.content().map_err(Trouble::Io)?;
    let letter = Letter { reverse_path: reverse_path.as_ref(), hop: None, content };
    let forward_path = to.address.clone();
    let recipient = Recipient { forward_path, user: to.user, address: to.address };
    let recipients = [recipient];
    local(&letter, &recipients, site.deliver_wait).map_err(Trouble::Mailbox)?;
    let [Recipient { user, address, .. }] = &recipients;
    let from = reverse_path.map_or(String::new(), |mailbox| mailbox.to_string());
    log::info!(
        "{} delivered from=<{}> to=<{}> user={} size={}",
        clock::id(),
        printable(from.as_bytes()),
        printable(address.to_string().as_bytes()),
        user.name,
        text.octets
    );
    Ok(())
}

/// A sender as programs write it: a path with or without angle brackets, a name of this host, and
/// for `<>` nothing, or the name that `From ` lines have for it.
pub fn sender(word: &str, domain: &str) -> Option<Sender> {
    let word = word.trim();
    let inner = word.strip_prefix('<').and_then(|word| word.strip_suffix('>')).unwrap_or(word);
    if inner.is_empty() || inner.eq_ignore_ascii_case("MAILER-DAEMON") {
        return Some(None);
    }
    let whole = |text: &str| {
        let mut cursor = Cursor::new(text.as_bytes());
        reverse_path(&mut cursor).ok().filter(|_| cursor.at_end())
    };
    whole(inner).or_else(|| whole(&format!("{inner}@{domain}")))
}

/// The sender in `From bob@example.org Fri Nov 20 23:53:33 2026` (RFC 4155 appendix A).
fn from_line(line: &[u8], domain: &str) -> Option<Sender> {
    let mut cursor = Cursor::new(line);
    if let Ok(path) = reverse_path(&mut cursor)
        && cursor.peek().is_none_or(|octet| octet == b' ')
    {
        return Some(path);
    }
    let word = line.split(|octet| *octet == b' ').next().unwrap_or_default();
    sender(std::str::from_utf8(word).ok()?, domain)
}

/// A letter that was read.
struct Text {
    spool: Spool,
    filter: Filter,
    /// RFC 1870 §4: octets with CRLF line ends.
    octets: u64,
    from_line: Option<Vec<u8>>,
}

impl Text {
    /// Reads to the end, also what is too much: the writer shall not die of a broken pipe.
    fn read(site: &Site, mut input: impl Read) -> Result<Text, Trouble> {
        // Whoever calls us may have no right to the spool.
        let spool = match access::fault(&site.spool) {
            None if site.spool.exists() => site.spool.clone(),
            _ => std::env::temp_dir(),
        };
        let (spool, filter) = (Spool::new(spool), Filter::new());
        let mut text = Text { spool, filter, octets: 0, from_line: None };
        let mut lines = Lines::default();
        let (mut buffer, mut piece) = (vec![0; limits::TEXT_BUFFER], Vec::new());
        loop {
            let read = match input.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(Trouble::Io)?,
            };
            piece.clear();
            match read {
                0 => lines.end(&mut piece),
                _ => lines.feed(&buffer[..read], &mut piece),
            }
            text.take(&piece, site.message_size)?;
            if read == 0 {
                break;
            }
        }
        let mut rest = Vec::new();
        text.filter.end(&mut rest);
        text.spool.room().extend_from_slice(&rest);
        text.from_line = lines.from_line;
        Ok(text)
    }

    fn take(&mut self, piece: &[u8], limit: u64) -> Result<(), Trouble> {
        let lines = memchr::memchr_iter(b'\n', piece).count();
        self.octets += (piece.len() + lines) as u64;
        if self.octets > limit {
            self.spool.clear();
            return Ok(());
        }
        self.filter.feed(piece, self.spool.room());
        self.spool.settle().map_err(Trouble::Io)
    }

    /// RFC 5321 §6.3, as smtpd does; but the program that hands the letter over may have written
    /// Delivered-To already, above the last hop.
    fn may_be_kept(&self, site: &Site, address: &Mailbox) -> Result<(), Trouble> {
        let been = |been: &String| been.eq_ignore_ascii_case(&address.to_string());
        let why = if self.octets > site.message_size {
            format!("{} octets, and a letter may have {}", self.octets, site.message_size)
        } else if self.filter.hops > limits::HOPS {
            format!("{} hops: this letter goes round in circles", self.filter.hops)
        } else if self.filter.delivered_before().iter().any(been) {
            format!("it was delivered to <{address}> before, and came back")
        } else {
            return Ok(());
        };
        Err(Trouble::Refused(why))
    }
}

/// Turns CRLF into LF, and takes a `From ` line away.
#[derive(Default)]
pub(super) struct Lines {
    /// A CR at the end of a piece.
    cr: bool,
    /// The first line, until it is known to its end.
    first: Vec<u8>,
    begun: bool,
    from_line: Option<Vec<u8>>,
}

/// What a `From ` line begins with.
const FROM: &[u8] = b"From ";

impl Lines {
    pub fn feed(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        if std::mem::take(&mut self.cr) && piece.first() != Some(&b'\n') {
            out.push(b'\r');
        }
        while let Some(at) = memchr(b'\r', piece) {
            out.extend_from_slice(&piece[..at]);
            piece = &piece[at + 1..];
            match piece.first() {
                Some(b'\n') => {}
                Some(_) => out.push(b'\r'),
                None => self.cr = true,
            }
        }
        out.extend_from_slice(piece);
        if !self.begun {
            self.first.extend(out.drain(start..));
            self.judge(false, out);
        }
    }

    pub fn end(&mut self, out: &mut Vec<u8>) {
        if self.cr {
            self.feed(b"\n", out);
        }
        if !self.begun {
            self.judge(true, out);
        }
    }

    /// Whether the first line is one, once that can be said.
    fn judge(&mut self, all: bool, out: &mut Vec<u8>) {
        let known = self.first.len().min(FROM.len());
        let end = memchr(b'\n', &self.first);
        let is_from = self.first[..known] == FROM[..known];
        let whole = all || end.is_some() || self.first.len() > limits::HEADER;
        if is_from && !whole {
            return;
        }
        self.begun = true;
        let mut first = std::mem::take(&mut self.first);
        if let (true, Some(end)) = (is_from, end) {
            out.extend_from_slice(&first[end + 1..]);
            first.truncate(end);
            self.from_line = Some(first.split_off(FROM.len()));
        } else {
            out.extend_from_slice(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_the_line_before_them() {
        for (input, text, from) in [
            ("To: a\n\nb\n", "To: a\n\nb\n", None),
            ("To: a\r\n\r\nb\r\n", "To: a\n\nb\n", None),
            ("To: a\r\n\r\nb\rc\r\r\n\r", "To: a\n\nb\rc\r\n\n", None),
            ("From bob Fri\nTo: a\n", "To: a\n", Some("bob Fri")),
            ("From bob Fri\r\nTo: a\r\n", "To: a\n", Some("bob Fri")),
            ("From: bob\nFrom x\n", "From: bob\nFrom x\n", None),
            ("From nobody", "From nobody", None),
            ("From", "From", None),
            ("\n", "\n", None),
            ("", "", None),
        ] {
            for size in [input.len().max(1), 1, 2, 3] {
                let (mut lines, mut out) = (Lines::default(), Vec::new());
                input.as_bytes().chunks(size).for_each(|piece| lines.feed(piece, &mut out));
                lines.end(&mut out);
                assert_eq!(String::from_utf8(out).unwrap(), text, "{input:?} by {size}");
                assert_eq!(lines.from_line.as_deref(), from.map(str::as_bytes), "{input:?}");
            }
        }
    }

    #[test]
    fn senders_as_programs_write_them() {
        let shown = |sender: Option<Sender>| {
            sender.map(|path| path.map_or("<>".into(), |mailbox| mailbox.to_string()))
        };
        for (word, told) in [
            ("bob@example.org", Some("bob@example.org")),
            ("<bob@example.org>", Some("bob@example.org")),
            ("bob", Some("bob@here.test")),
            ("uunet!foo!bob", Some("uunet!foo!bob@here.test")),
            ("", Some("<>")),
            ("<>", Some("<>")),
            ("MAILER-DAEMON", Some("<>")),
            ("bob@", None),
            ("a b", None),
        ] {
            assert_eq!(shown(sender(word, "here.test")).as_deref(), told, "{word}");
        }
        for (line, told) in [
            ("bob@example.org Fri Nov 20 23:53:33 2026", Some("bob@example.org")),
            ("\"a b\"@example.org Fri", Some("\"a b\"@example.org")),
            ("bob  Fri Nov 20 23:53:33 2026", Some("bob@here.test")),
            ("MAILER-DAEMON Fri Nov 20 23:53:33 2026", Some("<>")),
            ("??? @@", Some("???@here.test")),
            ("@ Fri", None),
        ] {
            assert_eq!(shown(from_line(line.as_bytes(), "here.test")).as_deref(), told, "{line}");
        }
    }
}
