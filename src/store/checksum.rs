//! A number that tells octets from others which a crash, not an enemy, made of them.
//!
//! Octets are taken in by blocks, whose four words go four ways, so that no word waits for the one
//! before it.

/// Octets of a block.
const BLOCK: usize = 32;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The checksum of octets that come in pieces.
#[derive(Debug, Default)]
pub struct Checksum {
    ways: [u64; BLOCK / 8],
    octets: u64,
}

impl Checksum {
    /// Takes in a piece: whole blocks, unless it is the last.
    pub fn feed(&mut self, piece: &[u8]) {
        let (blocks, rest) = piece.as_chunks::<BLOCK>();
        blocks.iter().for_each(|block| self.take(block));
        if !rest.is_empty() {
            let mut last = [0; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            self.take(&last);
        }
        self.octets += piece.len() as u64;
    }

    fn take(&mut self, block: &[u8; BLOCK]) {
        for (way, word) in self.ways.iter_mut().zip(block.as_chunks::<8>().0) {
            *way = mixed(*way, u64::from_le_bytes(*word));
        }
    }

    /// The number, which is not 0.
    pub fn end(self) -> u64 {
        self.ways.into_iter().fold(self.octets, mixed) | 1
    }
}

fn mixed(sum: u64, word: u64) -> u64 {
    let product = (sum ^ word).wrapping_mul(FACTOR);
    product ^ (product >> 32)
}

/// The checksum of some octets.
pub fn checksum(octets: &[u8]) -> u64 {
    let mut sum = Checksum::default();
    sum.feed(octets);
    sum.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_changes_are_told() {
        let mut swapped = [0; 64];
        swapped[3] = 1;
        let mut other = [0; 64];
        other[35] = 1;
        let texts: [&[u8]; 9] = [
            b"",
            b"\0",
            b"\0\0\0\0\0\0\0\0",
            b"a",
            b"b",
            b"12345678a",
            b"a12345678",
            &swapped,
            &other,
        ];
        for (at, one) in texts.iter().enumerate() {
            assert_ne!(checksum(one), 0);
            assert!(texts[..at].iter().all(|other| checksum(other) != checksum(one)), "{at}");
        }
    }

    #[test]
    fn pieces_are_the_whole() {
        let octets: Vec<u8> = (0..1000u32).map(|at| (at % 251) as u8).collect();
        for cut in [0, BLOCK, 10 * BLOCK, 31 * BLOCK] {
            let mut sum = Checksum::default();
            sum.feed(&octets[..cut]);
            sum.feed(&octets[cut..]);
            assert_eq!(sum.end(), checksum(&octets), "{cut}");
        }
    }
}
