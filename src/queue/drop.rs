//! Letters that users of this host hand in: `drop/`, where the group of sendmail(8) may make files
//! and see none (mode 1730), and from where a runner takes them.
//!
//! A file there is a buzon-queue(5) of its writer. While it is being written its mode is 0600; once
//! it is whole and synced its group may read it. The kernel says whose it is, and of what it says
//! itself only the addresses and wishes of the sender count: one that asks for programs, files or
//! mailboxes, or tells of deliveries, is put into `bad/`.

use super::directory::{Place, Queue, write};
use super::envelope::{Envelope, Goal, Recipient, State};
use super::{Content, claim};
use crate::conf::Site;
use crate::limits;
use crate::mail::submitted;
use crate::sys::dir::{self, Dir, Kind};
use crate::sys::{accounts, clock, lock};
use crate::text::printable;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

pub(super) const NAME: &str = "drop";
/// Whoever holds it empties the directory.
const LOCK: &[u8] = b"drop.lock";
/// Search and write for the group, and nobody takes away what is another's.
const MODE: u32 = 0o1730;
/// The group may read: it is whole.
const WHOLE: u32 = 0o640;
/// How long one runner waits for another that empties it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hands a letter in.
///
/// Careful: the directory cannot be opened here, and so not be synced; a file that is synced after
/// it was made is found again on every file system that a queue is fit for.
pub fn put(root: &Path, envelope: &Envelope, head: &[u8], content: &Content) -> io::Result<()> {
    let path = root.join(NAME).join(&envelope.id);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let written = write(&file, envelope, head, content).and_then(|()| {
        file.sync_all()?;
        file.set_permissions(Permissions::from_mode(WHOLE))?;
        file.sync_all()
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&path);
    }
    written
}

/// How many letters nobody looked at yet.
pub fn count(queue: &Queue) -> io::Result<u64> {
    let mut count = 0;
    match Dir::open(&queue.root().join(NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        dir => dir?.entries(|_, kind| count += u64::from(kind == Kind::File))?,
    }
    Ok(count)
}

/// Moves what was handed in to where letters wait, and tells how many there were.
pub fn collect(site: &Site, queue: &Queue) -> io::Result<usize> {
    let dir = match Dir::open(&queue.root().join(NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return make(queue).map(|()| 0),
        dir => dir?,
    };
    let mut names: Vec<Vec<u8>> = Vec::new();
    dir.entries(|name, kind| {
        if kind == Kind::File && names.len() < limits::BACKLOG {
            names.push(name.to_owned());
        }
    })?;
    if names.is_empty() {
        return Ok(0);
    }
    let lock = Dir::open(queue.root())?.lock_file(LOCK)?;
    if !lock::exclusive(&lock, Instant::now() + PATIENCE)? {
        return Ok(0);
    }
    names.sort_unstable();
    let now = clock::micros() / 1_000_000;
    let mut count = 0;
    for name in &names {
        let done = match take(site, queue, &dir, name, now) {
            Ok(Taken::Letter) => {
                count += 1;
                Ok(())
            }
            Ok(Taken::Nothing) => Ok(()),
            Ok(Taken::Refused(why)) => refuse(queue, &dir, name, now, &why),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            // What is full now may have room for a smaller one.
            log::error!("drop={} error={error}", printable(name));
        }
    }
    Ok(count)
}

/// Only who owns the queue makes the directory, and so only its group may drop.
fn make(queue: &Queue) -> io::Result<()> {
    let path = queue.root().join(NAME);
    dir::create_path(&path)?;
    let root = std::fs::metadata(queue.root())?.permissions().mode();
    std::fs::set_permissions(queue.root(), Permissions::from_mode(root | 0o010))?;
    std::fs::set_permissions(path, Permissions::from_mode(MODE))
}

enum Taken {
    Letter,
    /// It is not whole yet, or another was faster.
    Nothing,
    Refused(String),
}

fn take(site: &Site, queue: &Queue, dir: &Dir, name: &[u8], now: u64) -> io::Result<Taken> {
    let file = match dir.open_file(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Taken::Nothing),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return abandoned(dir, name, dir.stat(name)?.mtime);
        }
        file => file?,
    };
    let data = file.metadata()?;
    if data.mode() & 0o040 == 0 {
        return abandoned(dir, name, data.modified()?);
    }
    if data.nlink() != 1 {
        return Ok(Taken::Refused("it has several names".into()));
    }
    if data.len() > site.message_size.saturating_add(limits::ENVELOPE as u64) {
        return Ok(Taken::Refused(format!("{} octets", data.len())));
    }
    let read = match claim::read(&file)? {
        Ok(read) => read,
        Err(why) => return Ok(Taken::Refused(why)),
    };
    let uid = data.uid();
    let told = match checked(read.envelope, uid, now) {
        Ok(envelope) => envelope,
        Err(why) => return Ok(Taken::Refused(why.into())),
    };
    let lines = lines(&file, read.at, read.octets)?;
    let content = Content::File { file: &file, at: read.at, octets: read.octets, lines };
    queue.put(&told, submitted(&site.hostname, uid, &told.id).as_bytes(), &content)?;
    dir.unlink(name)?;
    let from = told.reverse_path.as_ref().map_or(String::new(), ToString::to_string);
    log::info!(
        "{} submitted drop={} uid={uid} from=<{}> recipients={} size={}",
        told.id,
        printable(name),
        printable(from.as_bytes()),
        told.recipients.len(),
        read.octets
    );
    Ok(Taken::Letter)
}

/// What counts of an envelope that anybody may have written.
fn checked(told: Envelope, uid: u32, now: u64) -> Result<Envelope, &'static str> {
    let Envelope { reverse_path, body, utf8, ret, envid, recipients, .. } = told;
    let mut envelope =
        Envelope { body, utf8, ret, envid, ..Envelope::new(clock::id(), now, reverse_path) };
    // Who hands it in is what the kernel says, not what stands there.
    let login = accounts::of_uid(uid).ok().flatten();
    envelope.submitter = Some(login.map_or_else(|| format!("uid {uid}"), |login| login.name));
    if told.is_list || told.attempts > 0 || told.is_delay_told {
        return Err("it tells of deliveries");
    }
    if recipients.is_empty() || recipients.len() > limits::QUEUED_RECIPIENTS {
        return Err("it is for nobody, or for too many");
    }
    for Recipient { path, goal, notify, orcpt, sender, state, .. } in recipients {
        if goal != Goal::Address || sender.is_some() {
            return Err("only addresses may be asked for");
        }
        if state != State::Waiting(None) {
            return Err("it tells of deliveries");
        }
        let to = envelope.add(path);
        (to.notify, to.orcpt) = (notify, orcpt);
    }
    Ok(envelope)
}

fn lines(file: &File, at: u64, octets: u64) -> io::Result<u64> {
    use std::os::unix::fs::FileExt;
    let (mut lines, mut offset) = (0, 0);
    let mut buffer = vec![0; limits::TEXT_BUFFER];
    while offset < octets {
        let most = buffer.len().min((octets - offset) as usize);
        let read = file.read_at(&mut buffer[..most], at + offset)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
        offset += read as u64;
    }
    Ok(lines)
}

/// Its writer died before anything was promised.
fn abandoned(dir: &Dir, name: &[u8], changed: SystemTime) -> io::Result<Taken> {
    if changed.elapsed().is_ok_and(|since| since > limits::ABANDONED) {
        dir.unlink(name)?;
    }
    Ok(Taken::Nothing)
}

fn refuse(queue: &Queue, dir: &Dir, name: &[u8], now: u64, why: &str) -> io::Result<()> {
    let bad = format!("{now:010}.{}", clock::id());
    log::error!("drop={} bad={bad} cause={why:?}", printable(name));
    dir.rename_new(name, &queue.dir(Place::Bad.name())?, bad.as_bytes())
}
