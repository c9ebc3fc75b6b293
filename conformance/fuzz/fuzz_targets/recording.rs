//! Recordings of servers.
#![no_main]

use kontiki_specs::recording::{Recorded, RecordingReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = RecordingReader::begin(bytes) else { return };
    while let Ok(recorded) = reader.read() {
        if matches!(recorded, Recorded::End(_)) {
            break;
        }
    }
});
