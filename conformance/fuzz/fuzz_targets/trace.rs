//! Trace files. One that is read is written as it was read.
#![no_main]

use kontiki_specs::trace::Trace;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(trace) = Trace::read(bytes) else { return };
    let mut again = Vec::new();
    if trace.write(&mut again).is_ok() {
        assert_eq!(Trace::read(&again[..]).ok(), Some(trace));
    }
});
