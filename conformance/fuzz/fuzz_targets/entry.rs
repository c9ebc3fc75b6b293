//! What a log entry of the key-value server holds. What is understood is written as it was read.
#![no_main]

use kontiki_kv::operation::{begin_entry, decode_entry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((time, operations)) = decode_entry(bytes) {
        let mut again = begin_entry(time);
        operations.iter().for_each(|operation| operation.encode(&mut again));
        assert_eq!(decode_entry(&again), Ok((time, operations)));
    }
});
