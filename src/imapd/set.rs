//! Numbers of messages, by the thousand: sequence-set of RFC 3501 §9, `$` of RFC 5182 §2.1.
//!
//! `Written` is what a client wrote, where `*` waits for its meaning; `Set` is which numbers that
//! is: sorted ranges that neither touch nor overlap. Nothing here ever takes a range apart, so
//! that `1:4294967295` costs as little as `1`.

use std::fmt;

/// A set as the client wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Its ranges in the client's order; 0 stands for `*`.
    Ranges(Vec<(u32, u32)>),
    /// `$`: what the last SEARCH saved.
    Saved,
}

impl Written {
    /// The numbers meant where `largest` is the largest in use, 0 if there is none. `None` is `$`.
    ///
    /// As RFC 3501 §9 has it, `7:*` holds the largest even where that is below 7. In an empty
    /// mailbox `*` means nothing.
    pub fn resolve(&self, largest: u32) -> Option<Set> {
        let Written::Ranges(ranges) = self else { return None };
        let star = |number| if number == 0 { largest } else { number };
        let known = |(first, last): &&(u32, u32)| largest > 0 || (*first > 0 && *last > 0);
        let resolved = ranges.iter().filter(known).map(|(first, last)| {
            let (first, last) = (star(*first), star(*last));
            (first.min(last), first.max(last))
        });
        Some(Set::of(resolved.collect()))
    }

    /// The largest number that is written out; what is beyond the mailbox's last message is BAD.
    pub fn largest_named(&self) -> u32 {
        let Written::Ranges(ranges) = self else { return 0 };
        ranges.iter().map(|(first, last)| *first.max(last)).max().unwrap_or(0)
    }

    /// Whether `*` occurs, which names no message of an empty mailbox.
    pub fn has_star(&self) -> bool {
        let Written::Ranges(ranges) = self else { return false };
        ranges.iter().any(|(first, last)| *first == 0 || *last == 0)
    }
}

/// Numbers from 1 up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    ranges: Vec<(u32, u32)>,
}

impl Set {
    /// Of ranges in any order; the first of each is not above the second.
    fn of(mut ranges: Vec<(u32, u32)>) -> Set {
        ranges.sort_unstable();
        let mut set = Set::default();
        for (first, last) in ranges {
            set.append(first, last);
        }
        set
    }

    /// All numbers up to this one.
    pub fn up_to(last: u32) -> Set {
        Set { ranges: if last == 0 { vec![] } else { vec![(1, last)] } }
    }

    /// A range that begins no lower than any before it.
    fn append(&mut self, first: u32, last: u32) {
        match self.ranges.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => self.ranges.push((first, last)),
        }
    }

    /// One number more; cheap where it is the largest so far.
    pub fn insert(&mut self, number: u32) {
        match self.ranges.last() {
            Some((_, end)) if number <= *end => {
                if !self.contains(number) {
                    self.ranges.push((number, number));
                    *self = Set::of(std::mem::take(&mut self.ranges));
                }
            }
            _ => self.append(number, number),
        }
    }

    /// Its ranges, ascending.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// Its numbers, ascending, one by one.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Whether this number is one of them.
    pub fn contains(&self, number: u32) -> bool {
        let at = self.ranges.partition_point(|(_, last)| *last < number);
        self.ranges.get(at).is_some_and(|(first, _)| *first <= number)
    }

    /// Whether it holds no number.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many numbers it holds.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    /// The smallest.
    pub fn min(&self) -> Option<u32> {
        self.ranges.first().map(|range| range.0)
    }

    /// The largest.
    pub fn max(&self) -> Option<u32> {
        self.ranges.last().map(|range| range.1)
    }

    /// Those up to `largest`.
    pub fn clip(&self, largest: u32) -> Set {
        let within = self.ranges.iter().take_while(|(first, _)| *first <= largest);
        Set { ranges: within.map(|(first, last)| (*first, *last.min(&largest))).collect() }
    }

    /// Where the numbers of the set stand in an ascending list, such as the UIDs of a mailbox.
    pub fn positions<'a, T>(
        &'a self,
        sorted: &'a [T],
        number: impl Fn(&T) -> u32 + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        let mut from = 0;
        self.ranges.iter().flat_map(move |(first, last)| {
            let start = from + sorted[from..].partition_point(|item| number(item) < *first);
            let end = start + sorted[start..].partition_point(|item| number(item) <= *last);
            from = end;
            start..end
        })
    }
}

impl FromIterator<u32> for Set {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Set {
        let mut numbers = numbers.into_iter().filter(|number| *number > 0).peekable();
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        while let Some(first) = numbers.next() {
            let mut last = first;
            while let Some(next) = numbers.next_if(|next| last.checked_add(1) == Some(*next)) {
                last = next;
            }
            ranges.push((first, last));
        }
        Set::of(ranges)
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write(f, self.ranges.iter().copied())
    }
}

/// Numbers in an order that counts, as in COPYUID and APPENDUID (RFC 4315 §3): runs that ascend
/// by one become ranges, nothing is sorted.
pub struct Ordered<'a>(pub &'a [u32]);

impl fmt::Display for Ordered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let runs = self.0.chunk_by(|number, next| number.checked_add(1) == Some(*next));
        write(f, runs.map(|run| (run[0], run[run.len() - 1])))
    }
}

fn write(f: &mut fmt::Formatter, ranges: impl Iterator<Item = (u32, u32)>) -> fmt::Result {
    for (at, (first, last)) in ranges.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        if first == last {
            write!(f, "{comma}{first}")?;
        } else {
            write!(f, "{comma}{first}:{last}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imapd::syntax::sequence_set;
    use crate::text::Cursor;

    fn written(text: &str) -> Written {
        sequence_set(&mut Cursor::new(text.as_bytes())).expect(text)
    }

    #[test]
    fn what_is_meant() {
        for (text, largest, expected) in [
            ("1", 9, "1"),
            ("3,1,2", 9, "1:3"),
            ("2,4:7,9,12:*", 15, "2,4:7,9,12:15"),
            ("*:4,5:7", 10, "4:10"),
            ("4:2", 10, "2:4"),
            ("3291:*", 100, "100:3291"),
            ("*", 7, "7"),
            ("*:*", 7, "7"),
            ("*", 0, ""),
            ("1:*", 0, ""),
            ("1:3,*", 0, "1:3"),
            ("1:4294967295", 3, "1:4294967295"),
            ("4294967295,4294967294", 3, "4294967294:4294967295"),
            ("1:5,3:4,7:8,6", 9, "1:8"),
        ] {
            let set = written(text).resolve(largest).unwrap();
            assert_eq!(set.to_string(), expected, "{text} of {largest}");
        }
        assert_eq!(written("$").resolve(3), None);
        assert_eq!(written("2,7:5,*").largest_named(), 7);
        assert!(written("2,7:*").has_star() && !written("2,7").has_star());
    }

    #[test]
    fn a_set_and_its_numbers() {
        let set: Set = [5, 1, 2, 9, 3].into_iter().collect();
        assert_eq!(set.to_string(), "1:3,5,9");
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 2, 3, 5, 9]);
        assert_eq!((set.len(), set.min(), set.max()), (5, Some(1), Some(9)));
        for number in 0..12 {
            assert_eq!(set.contains(number), [1, 2, 3, 5, 9].contains(&number), "{number}");
        }
        assert_eq!(set.clip(5).to_string(), "1:3,5");
        assert_eq!(set.clip(2).to_string(), "1:2");
        assert_eq!(set.clip(0).to_string(), "");
        assert_eq!(Set::up_to(u32::MAX).len(), u64::from(u32::MAX));
        let mut set = Set::default();
        for number in [4, 5, 7, 6, 1, 5] {
            set.insert(number);
        }
        assert_eq!(set.to_string(), "1,4:7");
    }

    #[test]
    fn positions_among_uids() {
        let uids = [10, 11, 15, 20, 21];
        for (text, expected) in [
            ("1:*", &[0, 1, 2, 3, 4][..]),
            ("12:14", &[]),
            ("11:15,21", &[1, 2, 4]),
            ("30:*", &[4]),
            ("20:4294967295", &[3, 4]),
        ] {
            let set = written(text).resolve(21).unwrap();
            assert_eq!(set.positions(&uids, |uid| *uid).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn order_is_kept_where_it_counts() {
        for (numbers, expected) in [
            (&[3, 4, 5, 1, 2, 9][..], "3:5,1:2,9"),
            (&[7], "7"),
            (&[], ""),
            (&[5, 4, 3], "5,4,3"),
            (&[u32::MAX, 1], "4294967295,1"),
        ] {
            assert_eq!(Ordered(numbers).to_string(), expected);
        }
    }
}
