//! The bytes of one frame.
#![no_main]

use kontiki_node::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::frame(bytes);
});
