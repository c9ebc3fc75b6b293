//! What stands on a disk, given as any bytes: for the targets in `conformance/fuzz`, and for tests. Not part of what
//! this package offers.

use crate::encoding::Reader;
use crate::record::Record;
use bytes::Bytes;

/// Reads records as long as there are any, and gives how many there were. Each is the same when it is
/// written and read again.
///
/// # Panics
/// If one is not.
pub fn records(bytes: &[u8]) -> usize {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut from = Reader::new(&bytes, 0);
    let mut count = 0;
    while let Some(record) = Record::decode(&mut from) {
        let mut written = Vec::new();
        record.encode(&mut written);
        let written = Bytes::from(written);
        let again = Record::decode(&mut Reader::new(&written, 0));
        assert_eq!(again, Some(record), "what is written is not what was read");
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_records_or_none(first in 0..11_u8, rest: Vec<u8>) {
            let bytes = [&[first], &rest[..]].concat();
            prop_assert!(records(&bytes) <= bytes.len());
        }
    }

    #[test]
    fn records_are_found() {
        let mut bytes = Vec::new();
        (1..4).for_each(|starts| Record::Start(starts).encode(&mut bytes));
        assert_eq!(records(&bytes), 3);
        bytes.insert(0, u8::MAX); // No record begins so.
        assert_eq!(records(&bytes), 0);
    }
}
