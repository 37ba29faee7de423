//! A number that tells octets from others which a crash, not an enemy, made of them.

/// The checksum of some octets.
pub fn checksum(octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    let sum = words.fold(octets.len() as u64, |sum, word| {
        let mixed = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    });
    sum | 1
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn small_changes_are_told() {
        let texts: [&[u8]; 7] =
            [b"", b"\0", b"\0\0\0\0\0\0\0\0", b"a", b"b", b"12345678a", b"a12345678"];
        for (at, one) in texts.iter().enumerate() {
            assert_ne!(checksum(one), 0);
            assert!(texts[..at].iter().all(|other| checksum(other) != checksum(one)), "{at}");
        }
    }
}
