//! What other servers send, given as any bytes: for the targets in `conformance/fuzz`, and for tests. Each
//! function panics if a promise is not kept. Not part of what this package offers.

use crate::codec;
use crate::error::TransportError;
use crate::network::fuzzing as network;
use kontiki::bytes::Bytes;

pub use network::{OWN_GROUP, answer, hello};

/// The bytes of a frame. A message that is read is the same when it is written and read again.
pub fn frame(bytes: &[u8]) -> bool {
    let Ok((group, message)) = codec::decode(&Bytes::copy_from_slice(bytes)) else { return false };
    let mut written = Vec::new();
    codec::encode(group, &message, &mut written);
    let again = codec::decode(&Bytes::from(written));
    assert_eq!(again, Ok((group, message)), "what is written is not what was read");
    true
}

/// All bytes that come behind the handshake, read in pieces. Gives how many messages there were.
pub fn stream(bytes: &[u8], piece: usize) -> usize {
    let (messages, result) = network::stream(bytes, piece);
    if let Err(error) = result {
        let is_expected = matches!(
            error,
            TransportError::Frame(_)
                | TransportError::FrameTooLong { .. }
                | TransportError::WrongGroup { .. }
        );
        assert!(is_expected, "{error}");
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::VERSION;
    use proptest::prelude::*;

    /// A frame of a small message, of a kind that may not exist.
    fn a_frame() -> impl Strategy<Value = Vec<u8>> {
        let rest = proptest::collection::vec(any::<u8>(), 8..40);
        let group = prop_oneof![4 => Just(OWN_GROUP), 1 => any::<u64>()];
        (group, 0..18_u8, rest, -1..2_i32).prop_map(|(group, kind, rest, wrong)| {
            let mut message = vec![VERSION, kind];
            message.extend_from_slice(&group.to_le_bytes());
            message.extend_from_slice(&rest);
            let length = message.len() as i32 + i32::from(wrong > 0);
            [&length.to_be_bytes()[..], &message].concat()
        })
    }

    /// What whoever connects sends, with a byte altered or none.
    fn a_hello() -> impl Strategy<Value = Vec<u8>> {
        let ids = (0..3_u64, 0..4_u64, 0..2_u8);
        (ids, proptest::option::of((0..50_usize, any::<u8>()))).prop_map(
            |((from, wanted, lane), altered)| {
                let mut bytes = b"kontiki\n".to_vec();
                bytes.extend_from_slice(&[VERSION, lane]);
                bytes.extend_from_slice(&7_u128.to_le_bytes());
                for number in [OWN_GROUP, from, wanted, 0, 0, 0] {
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
                if let Some((place, byte)) = altered {
                    bytes[place] = byte;
                }
                bytes
            },
        )
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_handshake_or_none(bytes: Vec<u8>, near in a_hello()) {
            prop_assert!(!hello(&bytes, false) && !hello(&bytes, true) && !answer(&bytes));
            // Whoever is welcome with a certificate is welcome without one where none is asked for.
            prop_assert!(!hello(&near, true) || hello(&near, false));
            answer(&near);
        }

        #[test]
        fn any_bytes_are_frames_or_none(frames in proptest::collection::vec(a_frame(), 0..6), end: Vec<u8>) {
            let bytes = [frames.concat(), end].concat();
            let whole = stream(&bytes, bytes.len());
            prop_assert!(whole <= bytes.len());
            prop_assert_eq!(whole, stream(&bytes, 3));
        }
    }

    #[test]
    fn what_is_right_is_taken() {
        let mut bytes = b"kontiki\n\x01\x00".to_vec();
        bytes.extend_from_slice(&7_u128.to_le_bytes());
        for number in [OWN_GROUP, 2, 1_u64, 0, 0, 0, 0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        assert!(hello(&bytes, true) && hello(&bytes, false));
        bytes[34] = 3; // Server 3, with the certificate of server 2.
        assert!(!hello(&bytes, true) && hello(&bytes, false));
        let message = [&[VERSION, 15], &OWN_GROUP.to_le_bytes()[..], &[0; 8]].concat();
        assert!(frame(&message));
        let framed = [&18_u32.to_be_bytes()[..], &message].concat();
        assert_eq!(stream(&framed.repeat(3), 5), 3);
    }
}
