use super::*;
use kontiki::{Configuration, Entry, LogPosition, Payload, Snapshot};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

fn any_position() -> impl Strategy<Value = LogPosition> {
    any::<(u64, u64)>()
        .prop_map(|(index, term)| LogPosition { index: LogIndex(index), term: Term(term) })
}

fn any_configuration() -> impl Strategy<Value = Configuration> {
    let servers = || {
        btree_set(any::<u64>(), 0..4).prop_map(|ids| {
            ids.into_iter().map(ServerId).collect::<std::collections::BTreeSet<_>>()
        })
    };
    (servers(), servers(), servers()).prop_map(|(voters, outgoing, learners)| Configuration {
        voters,
        outgoing,
        learners,
    })
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn any_payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        Just(Payload::Noop),
        any_bytes().prop_map(Payload::Command),
        any_configuration().prop_map(Payload::Configuration),
    ]
}

fn any_append() -> impl Strategy<Value = Message> {
    let entries = vec((any::<u64>(), any_payload()), 0..5);
    (any::<u64>(), any_position(), entries, any::<u64>()).prop_map(|(term, prev, list, commit)| {
        let index = prev.index.0 >> 1; // There is room for entries behind it.
        let prev = LogPosition { index: LogIndex(index), ..prev };
        let entries = list.into_iter().zip(index + 1..).map(|((term, payload), index)| Entry {
            term: Term(term),
            index: LogIndex(index),
            payload,
        });
        let (term, commit_index) = (Term(term), LogIndex(commit));
        Message::AppendEntries { term, prev, entries: entries.collect(), commit_index }
    })
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    (any_position(), any::<u64>(), any_configuration(), any_position(), any::<u64>()).prop_map(
        |(last, by, configuration, configuration_position, size)| Snapshot {
            id: SnapshotId { last, taken_by: ServerId(by) },
            configuration,
            configuration_position,
            size,
        },
    )
}

fn any_message() -> impl Strategy<Value = Message> {
    let small = (any::<(u64, u64, u64, bool)>(), any_position(), 0..12_u8).prop_map(
        |((term, a, b, flag), position, kind)| {
            let term = Term(term);
            match kind {
                0 => Message::RequestPreVote { term, last: position },
                1 => Message::RequestPreVoteReply { term, granted: flag },
                2 => Message::RequestVote { term, last: position, transfer: flag },
                3 => Message::RequestVoteReply { term, granted: flag },
                4 => {
                    let outcome = AppendOutcome::Matched { index: LogIndex(a) };
                    Message::AppendEntriesReply { term, outcome }
                }
                5 => {
                    let outcome =
                        AppendOutcome::Mismatch { prev_index: LogIndex(a), hint: position };
                    Message::AppendEntriesReply { term, outcome }
                }
                6 => Message::ConfirmLeadership { term, round: a },
                7 => Message::ConfirmLeadershipReply { term, round: a },
                8 => Message::ReadIndex { term, read: ReadId(a) },
                9 => Message::ReadIndexReply { term, read: ReadId(a), index: LogIndex(b) },
                10 => Message::TimeoutNow { term },
                _ => Message::LaterTerm { term },
            }
        },
    );
    let install = (any::<(u64, u64, u64)>(), any_snapshot(), any_bytes(), any::<bool>()).prop_map(
        |((term, offset, received), snapshot, data, asks)| match asks {
            true => Message::InstallSnapshot {
                term: Term(term),
                snapshot: Box::new(snapshot),
                offset,
                data,
            },
            false => Message::InstallSnapshotReply {
                term: Term(term),
                snapshot: snapshot.id,
                offset,
                received,
            },
        },
    );
    prop_oneof![3 => small, 2 => any_append(), 2 => install]
}

const GROUP: u64 = 0x1234_5678_9abc_def0;

fn encoded(message: &Message) -> Bytes {
    let mut bytes = Vec::new();
    encode(GROUP, message, &mut bytes);
    Bytes::from(bytes)
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in any_message()) {
        prop_assert_eq!(decode(&encoded(&message)), Ok((GROUP, message)));
    }

    #[test]
    fn a_part_is_no_message_and_neither_is_more(message in any_message()) {
        let whole = encoded(&message);
        for end in 0..whole.len() {
            prop_assert!(decode(&whole.slice(..end)).is_err());
        }
        let more = Bytes::from([&whole[..], &[0]].concat());
        prop_assert_eq!(decode(&more), Err(DecodeError::TooLong { bytes: 1 }));
    }

    /// What is read means the same when it is written again.
    #[test]
    fn any_bytes_are_a_message_or_none(version in 0..3_u8, kind in 0..18_u8, rest: Vec<u8>) {
        let group = GROUP.to_le_bytes();
        let bytes = [&[version, kind], &group[..], &rest].concat();
        if let Ok((group, message)) = decode(&Bytes::from(bytes)) {
            prop_assert_eq!((version, group), (VERSION, GROUP));
            prop_assert_eq!(decode(&encoded(&message)), Ok((GROUP, message)));
        }
    }

    #[test]
    fn an_altered_message_is_read_or_refused(
        message in any_message(),
        place: prop::sample::Index,
        bit in 0..8_u8,
    ) {
        let mut bytes = encoded(&message).to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        if let Ok((_, altered)) = decode(&Bytes::from(bytes)) {
            prop_assert_eq!(decode(&encoded(&altered)), Ok((GROUP, altered)));
        }
    }

    #[test]
    fn no_message_is_larger_than_expected(message in any_message()) {
        let members = 96 * 2; // Up to twelve, and as many that the estimate has no part for.
        prop_assert!(encoded(&message).len() <= message_bytes(&message) + members);
    }
}

#[test]
fn other_versions_and_kinds_are_named() {
    assert_eq!(decode(&Bytes::from_static(&[9, 1])), Err(DecodeError::Version { found: 9 }));
    assert_eq!(decode(&Bytes::from_static(&[VERSION, 99])), Err(DecodeError::Kind { found: 99 }));
    assert_eq!(decode(&Bytes::new()), Err(DecodeError::Malformed { at: 0 }));
}

/// A list that claims to be longer than its frame takes no memory.
#[test]
fn a_length_is_believed_only_if_there_are_as_many_bytes() {
    let term = Term(1);
    let prev = LogPosition::default();
    let (entries, commit_index) = (Entries::new(), LogIndex(0));
    let mut bytes = encoded(&Message::AppendEntries { term, prev, entries, commit_index }).to_vec();
    let length = 1 + 8 + 1 + 8 + 16 + 8;
    bytes[length..length + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(decode(&Bytes::from(bytes)), Err(DecodeError::Malformed { at: length + 4 }));
}
