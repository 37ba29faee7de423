//! The delimiters of multiparts: RFC 2046 §5.1.1.
//!
//! A line that begins with a boundary delimits, whatever follows. Where several of the open ones
//! fit, the longest is meant, and of two alike the inner one. Finding it takes time in proportion to
//! the line, however many are open.

/// What tells the parts of a multipart from each other.
#[derive(Debug)]
pub(super) struct Boundary {
    /// Never empty.
    pub text: Vec<u8>,
    /// RFC 2046 §5.1.5: parts without a type are messages.
    pub digest: bool,
}

/// Those of the multiparts that are open.
#[derive(Debug, Default)]
pub(super) struct Boundaries {
    /// Outermost first.
    open: Vec<Boundary>,
    /// Places in `open`, in the order of the texts; of those alike the inner one comes last.
    sorted: Vec<usize>,
}

impl Boundaries {
    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// The innermost one.
    pub fn last(&self) -> Option<&Boundary> {
        self.open.last()
    }

    /// One more opens, within the others.
    pub fn push(&mut self, boundary: Boundary) {
        let at = self.sorted.partition_point(|other| self.open[*other].text <= boundary.text);
        self.sorted.insert(at, self.open.len());
        self.open.push(boundary);
    }

    /// All but the outermost ones are closed.
    pub fn truncate(&mut self, keep: usize) {
        if keep < self.open.len() {
            self.open.truncate(keep);
            self.sorted.retain(|at| *at < keep);
        }
    }

    /// Which of them a line delimits, its `--` taken away, and whether it closes it.
    pub fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        // The last one that is not behind the line in order; if it is no beginning of it, what is
        // must also be one of what the two have in common.
        let mut common = line;
        loop {
            let behind = self.sorted.partition_point(|at| self.open[*at].text[..] <= *common);
            let at = self.sorted[behind.checked_sub(1)?];
            let text = &self.open[at].text;
            if common.starts_with(text) {
                return Some((at, line[text.len()..].starts_with(b"--")));
            }
            let same = common.iter().zip(text).take_while(|(one, other)| one == other).count();
            common = &common[..same];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(texts: &[&str]) -> Boundaries {
        let mut open = Boundaries::default();
        for text in texts {
            open.push(Boundary { text: text.as_bytes().to_vec(), digest: false });
        }
        open
    }

    #[test]
    fn lines_that_are_delimiters() {
        let mut boundaries = open(&["ab", "abc", "x", "ab", "abb"]);
        for (line, expected) in [
            ("ab\r\n", Some((3, false))),
            ("ab \t\n", Some((3, false))),
            ("ab--\r\n", Some((3, true))),
            ("ab-- ", Some((3, true))),
            ("ab-", Some((3, false))),
            ("aba", Some((3, false))),
            ("abb", Some((4, false))),
            ("abc\r\n", Some((1, false))),
            ("abc--\r\n", Some((1, true))),
            ("abd\n", Some((3, false))),
            ("xyz\n", Some((2, false))),
            ("z\n", None),
            ("a\r\n", None),
            ("", None),
        ] {
            assert_eq!(boundaries.delimiter(line.as_bytes()), expected, "{line:?}");
        }
        boundaries.truncate(2);
        assert_eq!(boundaries.delimiter(b"abb"), Some((0, false)));
        assert_eq!(boundaries.delimiter(b"abc--"), Some((1, true)));
        assert_eq!(boundaries.delimiter(b"x"), None);
        assert_eq!(open(&[]).delimiter(b"ab"), None);
    }

    #[test]
    fn the_longest_among_all() {
        let texts = ["a", "aa", "b", "ab", "aab", "aba", "ba", "bb", "aaa", "bab", "a", "aa"];
        let boundaries = open(&texts);
        for number in 0..256u32 {
            let line: String =
                (0..8).map(|bit| if number >> bit & 1 == 0 { 'a' } else { 'b' }).collect();
            let fits = (0..).zip(texts).filter(|(_, text)| line.starts_with(text));
            let expected = fits.max_by_key(|(at, text)| (text.len(), *at)).map(|(at, _)| at);
            let found = boundaries.delimiter(line.as_bytes()).map(|(at, _)| at);
            assert_eq!(found, expected, "{line}");
        }
    }
}
