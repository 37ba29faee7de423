//! A place in a line of octets, and the few steps a parser takes from there.

/// A cursor; copying it is a bookmark.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At the first octet of a line.
    pub fn new(line: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: line }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next octet, left where it is.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next octet, passed.
    pub fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Passes exactly these octets, letters in either case.
    pub fn literal(&mut self, expected: &str) -> Option<()> {
        let head = self.rest.get(..expected.len())?;
        head.eq_ignore_ascii_case(expected.as_bytes()).then(|| {
            self.rest = &self.rest[expected.len()..];
        })
    }

    /// The longest run of octets of a class; may be empty.
    pub fn run(&mut self, class: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|octet| !class(*octet)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    /// The longest run of octets of a class; at least one.
    pub fn run1(&mut self, class: impl Fn(u8) -> bool) -> Option<&'a [u8]> {
        let run = self.run(class);
        (!run.is_empty()).then_some(run)
    }

    /// Passes spaces and tabs.
    pub fn spaces(&mut self) {
        self.run(|octet| octet == b' ' || octet == b'\t');
    }
}
