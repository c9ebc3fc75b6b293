//! Frames in a row, with their lengths. However they are cut into pieces, they are the same.
#![no_main]

use kontiki_node::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = fuzzing::stream(bytes, bytes.len());
    assert_eq!(whole, fuzzing::stream(bytes, 3));
});
