//! Records of the store's log.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    kontiki_store::fuzzing::records(bytes);
});
