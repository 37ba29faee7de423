//! A letter that a user of this host hands in by sendmail(8), to anybody: read from standard input,
//! completed, and put where a runner finds it.
//!
//! Whoever may write the queue puts it in; anybody else drops it (`queue::drop`). Lines end in LF or
//! CRLF; a dot alone ends the letter where the program says so.

use super::stdin::{self, Lines};
use super::submitted::{Writer, completed, end, listed, named};
use crate::conf::Site;
use crate::limits;
use crate::mail::{Mailbox, fields, submitted};
use crate::queue::{Body, Content, Envelope, Notify, Queue, Ret, Spool, drop, wake};
use crate::sys::{access, accounts, clock, process};
use crate::text::printable;
use std::collections::HashSet;
use std::io::{self, Read};

/// What the arguments say.
#[derive(Debug, Default)]
pub struct Handed {
    /// The reverse-path, as it was written; the user's own where nothing was said.
    pub sender: Option<String>,
    /// The name in From.
    pub name: Option<String>,
    /// Addresses, each perhaps a list of them.
    pub recipients: Vec<String>,
    /// The fields say who it is for, and the arguments who shall not have it.
    pub from_fields: bool,
    /// A dot alone is text.
    pub dots_are_text: bool,
    /// RFC 3461 §4.1.
    pub notify: Option<Notify>,
    /// RFC 3461 §4.3.
    pub ret: Option<Ret>,
    /// RFC 3461 §4.4, as xtext.
    pub envid: Option<String>,
}

/// Why it was not taken.
#[derive(Debug)]
pub enum Trouble {
    /// It is for nobody.
    Nobody,
    /// An address or the letter itself is none.
    Data(String),
    /// This user may not hand letters in here.
    Rights(String),
    /// It could not be read or kept for the moment.
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

/// The letter's name, and whether it is in the queue already.
pub struct Taken {
    /// As the log has it.
    pub id: String,
    /// It was put there; else it was dropped, and gets another name there.
    pub is_queued: bool,
}

/// Reads a letter to its end and hands it in for `uid`.
pub fn submit(site: &Site, input: impl Read, uid: u32, handed: &Handed) -> Result<Taken, Trouble> {
    let domain = site.domains.first().unwrap_or(&site.hostname);
    let mut envelope = Envelope::new(clock::id(), clock::micros() / 1_000_000, None);
    let own = Mailbox { local_part: login(uid)?, domain: domain.clone() };
    envelope.reverse_path = match &handed.sender {
        None => Some(own),
        Some(word) => stdin::sender(word, domain)
            .ok_or_else(|| Trouble::Data(format!("-f: '{}' is no address", word.escape_debug())))?,
    };
    let mut said = Vec::new();
    for word in &handed.recipients {
        said.extend(listed(word.as_bytes(), domain).map_err(Trouble::Data)?);
    }
    if said.is_empty() && !handed.from_fields {
        return Err(Trouble::Nobody);
    }
    let text = Text::read(site, input, handed.dots_are_text)?;
    let recipients = match handed.from_fields {
        false => said,
        // As sendmail has it: whoever is an argument too gets nothing.
        true => {
            let named = named(&text.header, domain).map_err(Trouble::Data)?;
            named.into_iter().filter(|mailbox| !said.contains(mailbox)).collect()
        }
    };
    let mut once = HashSet::new();
    for mailbox in recipients {
        if once.insert((mailbox.local_part.clone(), mailbox.domain.to_lowercase())) {
            envelope.add(mailbox).notify = handed.notify;
        }
    }
    let (many, octets) = (envelope.recipients.len(), limits::PATH * envelope.recipients.len());
    if many == 0 {
        return Err(Trouble::Nobody);
    }
    if many > limits::QUEUED_RECIPIENTS || octets > limits::ENVELOPE / 2 {
        return Err(Trouble::Data(format!("{many} recipients are too many")));
    }
    (envelope.ret, envelope.envid) = (handed.ret, handed.envid.clone());
    hand_in(site, uid, envelope, text, handed.name.clone())
}

/// Completes a letter whose recipients are known, and keeps it.
pub(super) fn hand_in(
    site: &Site,
    uid: u32,
    mut envelope: Envelope,
    mut text: Text,
    name: Option<String>,
) -> Result<Taken, Trouble> {
    text.may_be_sent(site)?;
    let (id, login) = (envelope.id.clone(), login(uid)?);
    let domain = site.domains.first().unwrap_or(&site.hostname).clone();
    let own = Mailbox { local_part: login.clone(), domain: domain.clone() };
    let ascii = |path: Option<&Mailbox>| path.is_none_or(Mailbox::is_ascii);
    envelope.utf8 |= !ascii(envelope.reverse_path.as_ref())
        || envelope.recipients.iter().any(|to| !to.path.is_ascii());
    envelope.body = if text.is_ascii { Body::SevenBit } else { Body::EightBit };
    envelope.submitter = Some(login);
    let full_name = name.or_else(|| accounts::full_name(uid));
    let sender = envelope.reverse_path.as_ref().or(Some(&own));
    let (name, hostname) = (full_name.as_deref(), &site.hostname);
    let writer = Writer { sender, name, hostname, domain: &domain, id: &id };
    let header = completed(&text.header, &writer);
    let is_queued = keep(site, &envelope, uid, &header, &text.spool.content()?)?;
    let from = envelope.reverse_path.as_ref().map_or(String::new(), ToString::to_string);
    let (from, count) = (printable(from.as_bytes()), envelope.recipients.len());
    let place = if is_queued { "queued" } else { "dropped" };
    log::info!("{id} {place} uid={uid} from=<{from}> recipients={count} size={}", text.octets);
    Ok(Taken { id, is_queued })
}

fn login(uid: u32) -> io::Result<String> {
    Ok(accounts::of_uid(uid)?.map_or_else(|| format!("uid-{uid}"), |login| login.name))
}

/// Whether this process puts letters into the queue itself.
pub fn may_queue(site: &Site) -> bool {
    !process::is_setgid() && access::fault(&site.queue).is_none()
}

/// Puts it into the queue, or drops it there; whoever looks at the queue is told.
fn keep(
    site: &Site,
    envelope: &Envelope,
    uid: u32,
    header: &[u8],
    content: &Content,
) -> Result<bool, Trouble> {
    if may_queue(site) {
        let trace = submitted(&site.hostname, uid, &envelope.id);
        let head = [trace.as_bytes(), header].concat();
        Queue::new(&site.queue).put(envelope, &head, content)?;
        super::summon(site);
        return Ok(true);
    }
    drop::put(&site.queue, envelope, header, content).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Trouble::Rights(format!(
            "{}/drop: {error}; is sendmail setgid, and did a runq ever run?",
            site.queue.display()
        )),
        _ => Trouble::Io(error),
    })?;
    // Careful: nobody is started with the rights and the surroundings of this program; where no
    // runner listens, cron's will find it.
    if let Err(error) = wake::call(&site.queue) {
        log::warn!("{} wake error={error}", envelope.id);
    }
    Ok(false)
}

/// RFC 3461 §4: what is no printable ASCII, and `+` and `=`, as `+` and two digits.
pub fn xtext(text: &str) -> String {
    let plain = |octet: u8| (0x21..=0x7e).contains(&octet) && octet != b'+' && octet != b'=';
    let written = text.bytes().map(|octet| match plain(octet) {
        true => char::from(octet).to_string(),
        false => format!("+{octet:02X}"),
    });
    written.collect()
}

/// A letter that was read: its header, and what stands behind it, the empty line first.
pub(super) struct Text {
    header: Vec<u8>,
    in_header: bool,
    spool: Spool,
    /// RFC 1870 §4: octets with CRLF line ends.
    pub octets: u64,
    is_ascii: bool,
    last: u8,
}

impl Text {
    pub fn new(site: &Site) -> Text {
        let spool = match access::fault(&site.spool) {
            None if site.spool.exists() => site.spool.clone(),
            _ => std::env::temp_dir(),
        };
        let spool = Spool::new(spool);
        let (header, in_header, is_ascii) = (Vec::new(), true, true);
        Text { header, in_header, spool, octets: 0, is_ascii, last: b'\n' }
    }

    /// Reads to the end, also what is too much: the writer shall not die of a broken pipe.
    fn read(site: &Site, mut input: impl Read, dots_are_text: bool) -> Result<Text, Trouble> {
        let mut text = Text::new(site);
        let mut lines = Lines::default();
        let mut dots = Dots { are_text: dots_are_text, at_start: true, held: false, end: false };
        let (mut buffer, mut piece, mut kept) = (vec![0; limits::TEXT_BUFFER], vec![], vec![]);
        while !dots.end {
            let read = match input.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            piece.clear();
            kept.clear();
            match read {
                0 => lines.end(&mut piece),
                _ => lines.feed(&buffer[..read], &mut piece),
            }
            dots.feed(&piece, &mut kept);
            text.take(&kept, site.message_size)?;
            if read == 0 {
                break;
            }
        }
        text.end()?;
        Ok(text)
    }

    /// All of it was taken.
    pub fn end(&mut self) -> Result<(), Trouble> {
        self.settle(true)?;
        if self.last != b'\n' {
            self.spool.room().push(b'\n');
        }
        Ok(())
    }

    pub fn take(&mut self, piece: &[u8], limit: u64) -> Result<(), Trouble> {
        let Some(last) = piece.last() else { return Ok(()) };
        self.last = *last;
        self.octets += (piece.len() + memchr::memchr_iter(b'\n', piece).count()) as u64;
        self.is_ascii &= piece.is_ascii();
        if self.octets > limit {
            self.spool.clear();
            return Ok(());
        }
        if self.in_header {
            self.header.extend_from_slice(piece);
            return self.settle(false);
        }
        self.spool.room().extend_from_slice(piece);
        Ok(self.spool.settle()?)
    }

    /// Divides header and text once it is clear where.
    fn settle(&mut self, all: bool) -> Result<(), Trouble> {
        if !self.in_header {
            return Ok(());
        }
        let Some((at, is_divided)) = end(&self.header, all) else {
            return match self.header.len() > limits::HEADER {
                true => Err(Trouble::Data("the header does not end".into())),
                false => Ok(()),
            };
        };
        self.in_header = false;
        if !is_divided {
            self.spool.room().push(b'\n');
        }
        let rest = self.header.split_off(at);
        if rest.is_empty() {
            // The header gets its line end, and the empty line is there.
            self.last = b'\n';
        }
        self.spool.room().extend_from_slice(&rest);
        Ok(self.spool.settle()?)
    }

    fn may_be_sent(&self, site: &Site) -> Result<(), Trouble> {
        let (octets, most) = (self.octets, site.message_size);
        if octets > most {
            return Err(Trouble::Data(format!("{octets} octets, and a letter may have {most}")));
        }
        let hops = fields(&self.header, 0..self.header.len())
            .filter(|field| field.name.eq_ignore_ascii_case(b"Received"))
            .count();
        // RFC 5321 §6.3: a program of an alias may have sent it round.
        match hops > limits::HOPS {
            true => Err(Trouble::Data(format!("{hops} hops: this letter goes round in circles"))),
            false => Ok(()),
        }
    }
}

/// A line that is a dot.
struct Dots {
    are_text: bool,
    at_start: bool,
    /// A dot at the start of a line, of which no more is known.
    held: bool,
    end: bool,
}

impl Dots {
    fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if self.are_text {
            return out.extend_from_slice(piece);
        }
        for line in piece.split_inclusive(|octet| *octet == b'\n') {
            let held = std::mem::take(&mut self.held);
            match line {
                b"\n" if held => return self.end = true,
                b".\n" if self.at_start && !held => return self.end = true,
                b"." if self.at_start && !held => {
                    self.held = true;
                    return;
                }
                _ => {}
            }
            if held {
                out.push(b'.');
            }
            out.extend_from_slice(line);
            self.at_start = line.ends_with(b"\n");
        }
    }
}
