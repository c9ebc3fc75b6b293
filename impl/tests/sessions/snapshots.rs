//! Sessions as part of a snapshot (rule S1).

use super::{any_command, apply_all, command, encoded, open};
use bytes::Bytes;
use kontiki::sessions::{Sessions, SessionsError};
use kontiki::{LogIndex, SessionId};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    /// Sessions that come from a snapshot go on as those that it was taken of.
    #[test]
    fn a_snapshot_changes_nothing(log in vec(any_command(), 0..60), at in 0_usize..60) {
        let log = encoded(&log);
        let mut sessions: Sessions<LogIndex> = Sessions::new();
        let before = &log[..at.min(log.len())];
        apply_all(&mut sessions, before);
        let mut restored = Sessions::from_bytes(&sessions.to_bytes()).unwrap();
        prop_assert_eq!(&restored, &sessions);
        for (index, command) in (1..).map(LogIndex).zip(&log).skip(before.len()) {
            let outcome = sessions.apply(index, command, |_| index);
            prop_assert_eq!(restored.apply(index, command, |_| index), outcome);
        }
        prop_assert_eq!(restored, sessions);
    }

    /// Bytes that are not whole are refused, wherever they end.
    #[test]
    fn a_part_is_refused(log in vec(any_command(), 0..30)) {
        let mut sessions: Sessions<LogIndex> = Sessions::new();
        apply_all(&mut sessions, &encoded(&log));
        let bytes = sessions.to_bytes();
        for end in 0..bytes.len() {
            prop_assert!(Sessions::<LogIndex>::from_bytes(&bytes[..end]).is_err());
        }
    }

    /// Any bytes are those of sessions, or refused.
    #[test]
    fn no_bytes_do_any_harm(bytes in vec(any::<u8>(), 0..200), place in any::<usize>(), to in any::<u8>()) {
        if let Ok(sessions) = Sessions::<Bytes>::from_bytes(&bytes) {
            prop_assert_eq!(sessions.to_bytes(), bytes);
        }
        let mut sessions: Sessions<LogIndex> = Sessions::new();
        apply_all(&mut sessions, &encoded(&[open(3, 2), open(3, 1), command(1, 1, 1), command(1, 2, 1)]));
        let mut bytes = sessions.to_bytes();
        let place = place % bytes.len();
        bytes[place] = to;
        if let Ok(sessions) = Sessions::<LogIndex>::from_bytes(&bytes) {
            prop_assert_eq!(sessions.to_bytes(), bytes);
        }
    }
}

/// Bytes of one session, from its parts.
fn session(parts: [u64; 5], answers: &[(u64, &[u8])]) -> Vec<u8> {
    let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
    for (sequence, answer) in answers {
        bytes.extend(sequence.to_le_bytes());
        bytes.extend((answer.len() as u64).to_le_bytes());
        bytes.extend(*answer);
    }
    bytes
}

/// The bytes of sessions with these parts.
fn of(sessions: &[Vec<u8>]) -> Vec<u8> {
    let count = (sessions.len() as u64).to_le_bytes();
    [1].into_iter().chain(count).chain(sessions.concat()).collect()
}

#[test]
fn what_is_wrong_is_said() {
    use SessionsError as E;
    let read =
        |bytes: &[u8]| Sessions::<LogIndex>::from_bytes(bytes).map(|sessions| sessions.len());
    let answer = 4_u64.to_le_bytes();
    let own = |parts| session(parts, &[(3, &answer)]);
    assert_eq!(read(&of(&[own([2, 1, 3, 4, 1])])), Ok(1));
    assert_eq!(read(&of(&[own([2, 1, 3, 4, 1]), own([3, 1, 3, 5, 1])])), Ok(2));
    let flawed = Err(E::Session(SessionId(LogIndex(2))));
    // No answers may be remembered; fewer than there are may be; the answer was forgotten; the last
    // command came before the first; there is no number below 1.
    for parts in [[2, 0, 3, 4, 1], [2, 1, 4, 4, 1], [2, 1, 3, 1, 1], [2, 1, 0, 4, 1]] {
        assert_eq!(read(&of(&[own(parts)])), flawed, "{parts:?}");
    }
    let two = |first, second| {
        session([2, 1 + u64::from(first > 3), 1, 4, 2], &[(first, &answer), (second, &answer)])
    };
    assert_eq!(read(&of(&[two(3, 4)])), flawed, "one answer too many");
    assert_eq!(read(&of(&[two(4, 4)])), flawed, "an answer twice");
    assert_eq!(read(&of(&[two(5, 4)])), flawed, "not in order");
    assert_eq!(read(&of(&[two(4, 5)])), Ok(1));
    // A session twice, and two with one last command.
    assert_eq!(read(&of(&[own([2, 1, 3, 4, 1]), own([2, 1, 3, 5, 1])])), flawed);
    assert_eq!(read(&of(&[own([1, 1, 3, 4, 1]), own([2, 1, 3, 4, 1])])), flawed);
    let (session_id, sequence) = (SessionId(LogIndex(2)), 3);
    let no_index = Err(E::Answer { session: session_id, sequence });
    assert_eq!(read(&of(&[session([2, 1, 3, 4, 1], &[(3, b"four")])])), no_index);
    assert_eq!(read(b""), Err(E::Short));
    assert_eq!(read(b"\x02"), Err(E::Version(2)));
    let whole = of(&[]);
    assert_eq!(read(&whole), Ok(0));
    assert_eq!(read(&[whole.as_slice(), b"xy"].concat()), Err(E::Trailing(2)));
}
