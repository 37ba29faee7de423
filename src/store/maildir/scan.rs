//! Who is in the box, and under which number: the files of `new` and `cur` joined with the list
//! of UIDs, newcomers given theirs.
//!
//! A file without a line is a newcomer; a line without a file is a message that went away, but
//! only after the directories were looked at twice more, since a file renamed at the wrong moment
//! may hide.

use std::io::{self, ErrorKind};

use super::super::{Error, wire};
use super::directories::{Maildir, Places, was_quiet};
use super::files::{Files, LOOKS};
use super::stamp::Stamp;
use super::uidlist::{self, Draft, Line, Uidlist};
use super::{dotlock, name};

/// The list is written anew once every fourth of its lines is of a message that went away.
const LOST_SHARE: usize = 4;

/// What the wire form of a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Unknown,
    /// So many octets, as the name or the list tell.
    Known(u64),
    /// So many octets, just counted and worth remembering.
    Counted(u64),
    /// So many octets, two of which the file has not. The list has no word for that, so they are
    /// counted each time.
    Unended(u64),
    /// The file went away, or may not be read.
    Gone,
}

/// The box as it was found.
#[derive(Debug)]
pub struct Scan {
    pub list: Uidlist,
    pub files: Files,
    sizes: Vec<Size>,
    /// For each file its line, for each line its file.
    line_of: Vec<Option<usize>>,
    file_of: Vec<Option<usize>>,
    /// UIDs given now, and to which files.
    newcomers: Vec<(u32, usize)>,
}

/// A message of the box.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub uid: u32,
    pub octets: u64,
    /// The index of its file.
    pub file: usize,
    /// Its line, unless it is a newcomer.
    pub line: Option<Line>,
}

impl Scan {
    /// Lists the box, gives UIDs to newcomers, and writes what is new into the list.
    pub fn run(maildir: &Maildir, places: &Places) -> Result<Scan, Error> {
        if let Some(scan) = Scan::unchanged(maildir, places)? {
            return Ok(scan);
        }
        let before = places.stamp()?;
        let mut scan = Scan::look(maildir, places, None)?;
        if !scan.has_news() {
            if let Some(list) = scan.list.stat.filter(|_| scan.lost() == 0)
                && let Some(stamp) = Stamp::now(places, before, &list)?
            {
                stamp.leave(&maildir.root);
            }
            return Ok(scan);
        }
        // Only now, when all sizes are counted, which may have taken a while.
        let tmp = maildir.sub(b"tmp")?;
        let _lock = dotlock::take(&maildir.root, uidlist::LOCK, &tmp)?;
        if !scan.list.is_current(&maildir.root)? {
            scan = Scan::look(maildir, places, Some(&scan))?;
        }
        match scan.record(maildir).map_err(Error::from) {
            // A full disk must not keep anybody from removing messages: the box opens without
            // those that can be given no number now.
            Err(Error::Full(_)) if scan.list.validity > 0 => Ok(scan),
            recorded => recorded.map(|()| scan),
        }
    }

    /// The box as the list tells, where nothing has changed since somebody looked.
    fn unchanged(maildir: &Maildir, places: &Places) -> io::Result<Option<Scan>> {
        let list = Uidlist::read(&maildir.root)?;
        let Some(stat) = list.stat.filter(|_| list.can_grow()) else { return Ok(None) };
        if !Stamp::is_left(&maildir.root, places, &stat)? {
            return Ok(None);
        }
        let files = Files::of_bases(list.lines.iter().map(|line| list.name(*line)));
        let lines = 0..list.lines.len();
        if files.len() != lines.len() {
            return Ok(None);
        }
        let size = |line: &Line| {
            name::wire_octets(list.name(*line)).or_else(|| list.wire_octets(*line)).map(Size::Known)
        };
        let Some(sizes) = list.lines.iter().map(size).collect() else { return Ok(None) };
        let all: Vec<Option<usize>> = lines.map(Some).collect();
        let newcomers = Vec::new();
        Ok(Some(Scan { files, sizes, line_of: all.clone(), file_of: all, newcomers, list }))
    }

    /// Looks at the box. What an earlier look has counted is taken from there.
    fn look(maildir: &Maildir, places: &Places, earlier: Option<&Scan>) -> io::Result<Scan> {
        let mut list = Uidlist::read(&maildir.root)?;
        if let Some(earlier) = earlier {
            list.distrust(earlier.list.validity, earlier.list.next);
        }
        let before = places.stamp()?;
        let files = Files::list(places)?;
        let mut scan = Scan {
            list,
            files,
            sizes: Vec::new(),
            line_of: Vec::new(),
            file_of: Vec::new(),
            newcomers: Vec::new(),
        };
        scan.join();
        if scan.lost() > 0 && !was_quiet(before, places.stamp()?) {
            scan.look_again(places)?;
        }
        scan.know_sizes(places, earlier)?;
        Ok(scan)
    }

    /// Finds the file of each line. Of two lines with one name the later is true, as in Dovecot.
    fn join(&mut self) {
        self.line_of = vec![None; self.files.len()];
        self.file_of = vec![None; self.list.lines.len()];
        for (index, line) in self.list.lines.iter().enumerate() {
            if let Some(file) = self.files.find(self.list.name(*line)) {
                self.file_of[index] = Some(file);
                if let Some(earlier) = self.line_of[file].replace(index) {
                    self.file_of[earlier] = None;
                }
            }
        }
    }

    /// Looks for the files of all lines that have none.
    fn look_again(&mut self, places: &Places) -> io::Result<()> {
        for _ in 0..LOOKS {
            let again = Files::list(places)?;
            let lost = self.list.lines.iter().zip(&self.file_of).filter(|pair| pair.1.is_none());
            let names = lost.map(|(line, _)| self.list.name(*line));
            let hidden = names.filter(|name| self.files.find(name).is_none());
            let found: Vec<usize> = hidden.filter_map(|name| again.find(name)).collect();
            self.files.add_from(&again, &found);
            self.join();
        }
        Ok(())
    }

    /// Fills in the size of each file: from its name, from its line, else by reading it.
    fn know_sizes(&mut self, places: &Places, earlier: Option<&Scan>) -> io::Result<()> {
        for index in 0..self.files.len() {
            let base = self.files.base(index);
            let in_line = || self.list.wire_octets(self.list.lines[self.line_of[index]?]);
            let counted = || earlier.map(|scan| (scan, scan.files.find(base)));
            let size = match name::wire_octets(base).or_else(in_line) {
                Some(octets) => Size::Known(octets),
                None => match counted() {
                    Some((scan, Some(at))) => scan.sizes[at],
                    _ => Size::Unknown,
                },
            };
            self.sizes.push(size);
        }
        for index in 0..self.files.len() {
            if self.sizes[index] == Size::Unknown {
                self.sizes[index] = self.measure(places, index)?;
            }
        }
        Ok(())
    }

    fn measure(&mut self, places: &Places, index: usize) -> io::Result<Size> {
        let measured = self
            .files
            .at(places, index, |dir, name| dir.open_file(name))
            .and_then(|mut file| wire::measure(&mut file));
        match measured {
            Ok(wire::Size { octets, is_ended: true }) => Ok(Size::Counted(octets)),
            Ok(wire::Size { octets, is_ended: false }) => Ok(Size::Unended(octets)),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::PermissionDenied => Ok(Size::Gone),
                _ => Err(error),
            },
        }
    }

    /// How many lines have no file.
    fn lost(&self) -> usize {
        self.file_of.iter().filter(|file| file.is_none()).count()
    }

    /// Whether there is something to write into the list.
    fn has_news(&self) -> bool {
        self.must_rewrite() || !self.unnumbered().is_empty()
    }

    /// Whether it is more than newcomers.
    fn must_rewrite(&self) -> bool {
        let (lost, lines) = (self.lost(), self.list.lines.len());
        let is_old = |index: &usize| self.line_of[*index].is_some();
        lost * LOST_SHARE > lines
            || (self.list.validity == 0 && lines > 0)
            || (0..self.files.len()).filter(is_old).any(|index| self.counted(index).is_some())
    }

    fn counted(&self, file: usize) -> Option<u64> {
        match self.sizes[file] {
            Size::Counted(octets) => Some(octets),
            _ => None,
        }
    }

    /// Files without a number, in the order in which they came.
    fn unnumbered(&self) -> Vec<usize> {
        let is_one = |index: &usize| self.line_of[*index].is_none() && self.is_here(*index);
        let mut files: Vec<usize> = (0..self.files.len()).filter(is_one).collect();
        files.sort_by_key(|index| name::arrival(self.files.base(*index)));
        files
    }

    fn is_here(&self, file: usize) -> bool {
        self.sizes[file] != Size::Gone
    }

    /// Gives UIDs and writes them down. The lock is held.
    fn record(&mut self, maildir: &Maildir) -> io::Result<()> {
        let mut draft = Draft::default();
        let is_growing = self.list.can_grow() && !self.must_rewrite();
        if !is_growing {
            for (line, file) in self.list.lines.iter().zip(&self.file_of) {
                if let Some(file) = file {
                    draft.keep(&self.list, *line, self.counted(*file));
                }
            }
        }
        let mut next = self.list.next;
        let mut newcomers = Vec::new();
        for file in self.unnumbered() {
            draft.newcomer(next, self.counted(file), self.files.base(file));
            newcomers.push((next, file));
            next = next.checked_add(1).ok_or_else(|| io::Error::other("UIDs are used up"))?;
        }
        let validity = self.list.valid();
        match is_growing {
            true => draft.append(&self.list, &maildir.root)?,
            false => draft.replace(&self.list, validity, next, &maildir.root)?,
        }
        (self.list.validity, self.list.next, self.newcomers) = (validity, next, newcomers);
        Ok(())
    }

    /// The messages, UIDs rising.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let lines = self.list.lines.iter().zip(&self.file_of);
        let known = lines.filter_map(|(line, file)| Some((line.uid, (*file)?, Some(*line))));
        let newcomers = self.newcomers.iter().map(|(uid, file)| (*uid, *file, None));
        known.chain(newcomers).filter_map(|(uid, file, line)| {
            let octets = match self.sizes[file] {
                Size::Known(octets) | Size::Counted(octets) | Size::Unended(octets) => octets,
                Size::Unknown | Size::Gone => return None,
            };
            Some(Entry { uid, octets, file, line })
        })
    }
}
