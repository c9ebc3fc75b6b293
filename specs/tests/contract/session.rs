//! Commands of sessions as bytes: all come back, and no bytes do any harm.

use bytes::Bytes;
use kontiki_specs::{LogIndex, SessionCommand, SessionCommandError, SessionId};
use quickcheck::{Arbitrary, Gen, quickcheck};
use std::num::NonZeroU64;

#[derive(Clone, Debug)]
struct Any(SessionCommand);

/// A number of any size: most have a few bits only.
fn any_number(g: &mut Gen) -> u64 {
    u64::arbitrary(g) >> (u32::arbitrary(g) % 64)
}

fn any_positive(g: &mut Gen) -> NonZeroU64 {
    NonZeroU64::new(any_number(g)).unwrap_or(NonZeroU64::MIN)
}

impl Arbitrary for Any {
    fn arbitrary(g: &mut Gen) -> Self {
        let session = SessionId(LogIndex(any_number(g)));
        let command = Bytes::from(Vec::<u8>::arbitrary(g));
        Any(match u8::arbitrary(g) % 4 {
            0 => SessionCommand::Outside { command },
            1 => SessionCommand::Open {
                most_sessions: any_positive(g),
                most_answers: any_positive(g),
            },
            2 => SessionCommand::InSession {
                session,
                sequence: any_positive(g),
                answered_below: any_number(g),
                command,
            },
            _ => SessionCommand::End { session },
        })
    }
}

quickcheck! {
    fn a_command_comes_back(command: Any) -> bool {
        SessionCommand::decode(&command.0.encode()) == Ok(command.0)
    }

    /// Different commands have different bytes: those that decode are those of what they decode to, but
    /// for zeros that a number may end with.
    fn no_bytes_do_any_harm(bytes: Vec<u8>) -> bool {
        let bytes = Bytes::from(bytes);
        SessionCommand::decode(&bytes).is_err()
            || SessionCommand::decode(&bytes).is_ok_and(|one| one.encode().len() <= bytes.len())
    }

    /// A command without content is not whole without its last byte.
    fn a_part_is_refused(command: Any) -> bool {
        let whole = command.0.encode();
        let part = whole.slice(..whole.len() - 1);
        match command.0 {
            SessionCommand::Outside { command } | SessionCommand::InSession { command, .. }
                if !command.is_empty() => true,
            _ => SessionCommand::decode(&part) == Err(SessionCommandError::Short),
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    use SessionCommandError as E;
    let decode = |bytes: &'static [u8]| SessionCommand::decode(&Bytes::from_static(bytes));
    assert_eq!(decode(b""), Err(E::Short));
    assert_eq!(decode(b"\x04"), Err(E::Kind(4)));
    assert_eq!(decode(b"x = 1"), Err(E::Kind(b'x')));
    assert_eq!(decode(b"\x01\x01"), Err(E::Short));
    assert_eq!(decode(b"\x01\x01\x00"), Err(E::Zero));
    assert_eq!(decode(b"\x01\x00\x01"), Err(E::Zero));
    assert_eq!(decode(b"\x02\x01\x00\x01"), Err(E::Zero));
    assert_eq!(decode(b"\x03\x05x"), Err(E::Trailing(1)));
    assert_eq!(decode(b"\x01\x01\x01xyz"), Err(E::Trailing(3)));
    assert_eq!(decode(b"\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), Err(E::Number));
    assert_eq!(decode(b"\x03\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), Err(E::Number));
    let largest = SessionCommand::End { session: SessionId(LogIndex(u64::MAX)) };
    assert_eq!(decode(b"\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Ok(largest));
}
