//! Who is in the box, and under which number: the files of `new` and `cur` joined with the list
//! of UIDs, newcomers given theirs.
//!
//! A file without a line is a newcomer; a line without a file is a message that went away, but
//! only after the directories were looked at twice more, since a file renamed at the wrong moment
//! may hide.

use std::io::{self, ErrorKind};
use std::time::SystemTime;

use super::super::selected::Summary;
use super::super::{Error, wire};
use super::directories::{Look, Maildir, Places};
use super::files::{Files, LOOKS};
use super::stamp::Stamp;
use super::uidlist::{self, Draft, Line, Uidlist};
use super::{dotlock, listing, name};

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

/// What a look at the box is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Purpose<'a> {
    /// Sizes that nobody tells are counted and remembered; else they stay unknown.
    pub measure: bool,
    /// Newcomers get their numbers; else they are passed over.
    pub number: bool,
    /// What the box held at the look before, UIDs rising.
    pub known: Option<&'a [Summary]>,
    /// Its UIDVALIDITY and next UID then.
    pub former: Option<(u32, u32)>,
}

/// The box as it was found.
#[derive(Debug)]
pub struct Scan {
    pub list: Uidlist,
    pub files: Files,
    /// The stamp of the directories, if it stands for just these files.
    pub stamp: Option<[SystemTime; 2]>,
    sizes: Vec<Size>,
    /// For each file its line, for each line its file.
    line_of: Vec<Option<usize>>,
    file_of: Vec<Option<usize>>,
}

/// A message of the box.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub line: Line,
    /// In wire form, where that is known.
    pub octets: Option<u64>,
    /// The index of its file.
    pub file: usize,
}

impl Scan {
    /// Lists the box with all sizes, gives UIDs to newcomers, and writes what is new into the list.
    pub fn run(maildir: &Maildir, places: &Places) -> Result<Scan, Error> {
        if let Some(scan) = Scan::unchanged(maildir, places)? {
            return Ok(scan);
        }
        let purpose = Purpose { measure: true, number: true, ..Purpose::default() };
        let scan = Scan::with(maildir, places, &purpose)?;
        if let (Some(list), Some(stamp), 0) = (scan.list.stat, scan.stamp, scan.lost()) {
            Stamp::of(stamp, &list).leave(&maildir.root);
        }
        Ok(scan)
    }

    /// Lists the box for a purpose.
    pub fn with(maildir: &Maildir, places: &Places, purpose: &Purpose) -> Result<Scan, Error> {
        let mut scan = Scan::look(maildir, places, purpose, None)?;
        if !purpose.number {
            scan.stamp = scan.stamp.filter(|_| scan.unnumbered().is_empty());
            return Ok(scan);
        }
        if !scan.has_news(purpose) {
            return Ok(scan);
        }
        // Only now, when all sizes are counted, which may have taken a while.
        let tmp = maildir.sub(b"tmp")?;
        let _lock = dotlock::take(&maildir.root, uidlist::LOCK, &tmp)?;
        if !scan.list.is_current(&maildir.root)? {
            scan = Scan::look(maildir, places, purpose, Some(&scan))?;
        }
        match scan.record(maildir, purpose).map_err(Error::from) {
            // A full disk must not keep anybody from removing messages: the box opens without
            // those that can be given no number now.
            Err(Error::Full(_)) if scan.list.validity > 0 => {
                scan.stamp = None;
                Ok(scan)
            }
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
        Ok(Some(Scan { files, sizes, line_of: all.clone(), file_of: all, stamp: None, list }))
    }

    /// Looks at the box. What an earlier look has counted is taken from there.
    fn look(
        maildir: &Maildir,
        places: &Places,
        purpose: &Purpose,
        earlier: Option<&Scan>,
    ) -> io::Result<Scan> {
        // Careful: what was left is read first, as meanwhile others may give numbers.
        let left = listing::numbers(&maildir.root);
        let mut list = Uidlist::read(&maildir.root)?;
        let former = earlier.map(|scan| (scan.list.validity, scan.list.next));
        for (validity, next) in [purpose.former, former, left].into_iter().flatten() {
            list.distrust(validity, next);
        }
        let look = Look::begin(places)?;
        let files = Files::list(places)?;
        let (sizes, line_of, file_of) = (Vec::new(), Vec::new(), Vec::new());
        let mut scan = Scan { list, files, stamp: None, sizes, line_of, file_of };
        scan.join();
        let was_quiet = look.was_quiet(places)?;
        if was_quiet {
            scan.stamp = Some(look.stamp);
        } else if scan.is_missing_some(purpose.known) {
            scan.look_again(places)?;
        }
        scan.know_sizes(places, purpose.measure, earlier)?;
        Ok(scan)
    }

    /// Whether a message was there at the look before, or may be new, and has no file.
    fn is_missing_some(&self, known: Option<&[Summary]>) -> bool {
        let Some(known) = known else { return self.lost() > 0 };
        let highest = known.last().map_or(0, |message| message.uid);
        let mut known = known.iter().peekable();
        self.list.lines.iter().zip(&self.file_of).any(|(line, file)| {
            while known.next_if(|message| message.uid < line.uid).is_some() {}
            let was_here = known.peek().is_some_and(|message| message.uid == line.uid);
            file.is_none() && (was_here || line.uid > highest)
        })
    }

    /// Finds the file of each line. Of two lines with one name the later is true, as in Dovecot.
    fn join(&mut self) {
        self.line_of = vec![None; self.files.len()];
        self.file_of = vec![None; self.list.lines.len()];
        // Messages mostly have their numbers in the order of their names.
        let mut guess = 0;
        for (index, line) in self.list.lines.iter().enumerate() {
            if let Some(file) = self.files.find_near(self.list.name(*line), guess) {
                guess = file + 1;
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
    fn know_sizes(
        &mut self,
        places: &Places,
        measure: bool,
        earlier: Option<&Scan>,
    ) -> io::Result<()> {
        self.sizes.reserve_exact(self.files.len());
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
            if measure && self.sizes[index] == Size::Unknown {
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
    fn has_news(&self, purpose: &Purpose) -> bool {
        self.must_rewrite(purpose) || !self.unnumbered().is_empty()
    }

    /// Whether it is more than newcomers.
    fn must_rewrite(&self, purpose: &Purpose) -> bool {
        let (lost, lines) = (self.lost(), self.list.lines.len());
        let is_old = |index: &usize| self.line_of[*index].is_some();
        lost * LOST_SHARE > lines
            || (self.list.validity == 0 && (lines > 0 || !purpose.measure))
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

    /// Whether this is the base of such a file.
    pub fn is_unnumbered(&self, base: &[u8]) -> bool {
        self.files.find(base).is_some_and(|file| self.line_of[file].is_none())
    }

    fn is_here(&self, file: usize) -> bool {
        self.sizes[file] != Size::Gone
    }

    /// Gives UIDs and writes them down. The lock is held.
    fn record(&mut self, maildir: &Maildir, purpose: &Purpose) -> io::Result<()> {
        let mut draft = Draft::default();
        let is_growing = self.list.can_grow() && !self.must_rewrite(purpose);
        if !is_growing {
            for (line, file) in self.list.lines.iter().zip(&self.file_of) {
                if let Some(file) = file {
                    draft.keep(&self.list, *line, self.counted(*file));
                }
            }
        }
        let newcomers = self.unnumbered();
        let mut next = self.list.next;
        for file in &newcomers {
            draft.newcomer(next, self.counted(*file), self.files.base(*file));
            next = next.checked_add(1).ok_or_else(|| io::Error::other("UIDs are used up"))?;
        }
        if is_growing {
            draft.append(&mut self.list, &maildir.root)?;
            for file in newcomers {
                self.line_of[file] = Some(self.file_of.len());
                self.file_of.push(Some(file));
            }
            return Ok(());
        }
        draft.replace(&self.list, self.list.valid(), next, &maildir.root)?;
        self.list = Uidlist::read(&maildir.root)?;
        self.join();
        Ok(())
    }

    /// The messages, UIDs rising.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let lines = self.list.lines.iter().zip(&self.file_of);
        lines.filter_map(|(line, file)| {
            let file = (*file)?;
            let octets = match self.sizes[file] {
                Size::Known(octets) | Size::Counted(octets) | Size::Unended(octets) => Some(octets),
                Size::Unknown => None,
                Size::Gone => return None,
            };
            Some(Entry { line: *line, octets, file })
        })
    }
}
