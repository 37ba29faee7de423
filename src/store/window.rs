//! A file read here and there, mostly forwards: what lies near was read along with it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What is read at once.
const ROOM: usize = 16 * 1024;

/// A file and the part of it that was read last.
#[derive(Debug)]
pub struct Window {
    file: File,
    at: u64,
    octets: Vec<u8>,
}

impl Window {
    /// On a file.
    pub fn new(file: File) -> Window {
        Window { file, at: 0, octets: Vec::new() }
    }

    /// So many octets at a place; fewer where the file ends.
    pub fn get(&mut self, at: u64, length: usize) -> io::Result<&[u8]> {
        let end = self.at + self.octets.len() as u64;
        if at < self.at || at + length as u64 > end {
            self.fill(at, length)?;
        }
        let from = usize::try_from(at - self.at).unwrap_or(usize::MAX);
        let rest = self.octets.get(from..).unwrap_or_default();
        Ok(&rest[..length.min(rest.len())])
    }

    fn fill(&mut self, at: u64, length: usize) -> io::Result<()> {
        self.octets.resize(length.max(ROOM), 0);
        self.at = at;
        let mut have = 0;
        while have < length {
            match self.file.read_at(&mut self.octets[have..], at + have as u64) {
                Ok(0) => break,
                Ok(got) => have += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.octets.clear();
                    return Err(error);
                }
            }
        }
        self.octets.truncate(have);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn every_place_is_read_as_it_is() {
        let mut file = tempfile::tempfile().unwrap();
        let text: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
        file.write_all(&text).unwrap();
        let mut window = Window::new(file);
        for (at, length) in [(0, 5), (5, 40_000), (3, 2), (99_990, 10), (16_380, 10), (0, 100_000)]
        {
            assert_eq!(window.get(at, length).unwrap(), &text[at as usize..][..length]);
        }
        assert_eq!(window.get(99_990, 20).unwrap(), &text[99_990..]);
        assert_eq!(window.get(200_000, 20).unwrap(), b"");
    }
}
