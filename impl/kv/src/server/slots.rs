//! Slots, into which clients of Redis clusters sort keys. Here one server leads for all of them.

/// How many slots there are.
pub(super) const SLOTS: u16 = 16384;

/// The slot of a key: a checksum (CRC-16/XMODEM) of it, or of what stands between its first braces.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tagged = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let behind = key.get(open + 1..)?;
        let close = behind.iter().position(|byte| *byte == b'}')?;
        behind.get(..close).filter(|tag| !tag.is_empty())
    });
    let mut sum = 0_u16;
    for byte in tagged.unwrap_or(key) {
        sum ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            let carry = sum & 0x8000 != 0;
            sum = (sum << 1) ^ if carry { 0x1021 } else { 0 };
        }
    }
    sum % SLOTS
}

#[cfg(test)]
mod tests {
    use super::slot;

    #[test]
    fn keys_have_the_slots_that_they_have_in_redis() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"{foo}.bar"), slot(b"foo"));
        assert_eq!(slot(b"a{}b"), slot(b"a{}b"));
        assert_ne!(slot(b"{}foo"), slot(b"foo"));
    }
}
