//! The first bytes of both sides of a connection.
#![no_main]

use kontiki_node::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::hello(bytes, false);
    fuzzing::hello(bytes, true);
    fuzzing::answer(bytes);
});
