//! Requests of clients of the key-value server. However they are cut into pieces, they are the same.
#![no_main]

use kontiki_kv::command::Command;
use kontiki_kv::resp::{RequestLimits, RequestParser};
use libfuzzer_sys::fuzz_target;

/// The end of each request, and the first bytes that make no sense, if there are any.
fn requests(bytes: &[u8], piece: usize) -> (Vec<usize>, Option<String>) {
    let limits = RequestLimits { bytes: 4096, argument_bytes: 1024, arguments: 64 };
    let mut parser = RequestParser::new(limits);
    let (mut begin, mut ends) = (0, Vec::new());
    let pieces = (0..bytes.len()).step_by(piece.max(1)).skip(1).chain([bytes.len()]);
    for known in pieces {
        loop {
            let buffer = &bytes[begin..known];
            match parser.parse(buffer) {
                Ok(Some(length)) => {
                    let request = parser.arguments(buffer);
                    if !request.is_empty() {
                        drop(Command::parse(&request));
                    }
                    begin += length;
                    ends.push(begin);
                }
                Ok(None) => break,
                Err(error) => return (ends, Some(error.to_string())),
            }
            if begin == known {
                break;
            }
        }
    }
    (ends, None)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = requests(bytes, bytes.len());
    assert_eq!(whole, requests(bytes, 1));
    assert_eq!(whole, requests(bytes, 7));
});
