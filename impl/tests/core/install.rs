//! Snapshots that a follower is sent (rule S2).

use crate::support::*;
use kontiki::core::{Raft, Rejection, StepError};
use kontiki::storage::{LogStore, MemoryStore};
use kontiki::{
    Configuration, Entry, Input, LogIndex, LogPosition, Message, Output, Payload, Receiving,
    Snapshot, SnapshotId,
};

/// Server 2's, of five bytes that come in two chunks.
fn offered() -> Snapshot {
    of_two(at(7, 2), 5)
}

/// A follower in term 2 that holds three entries and has executed one.
fn follower() -> Raft<MemoryStore> {
    let mut raft = start(config());
    step(&mut raft, deliver(S2, append(2, at(0, 0), &[1, 1, 1], 1)));
    raft
}

fn offer(offset: u64, data: &'static [u8]) -> Input {
    deliver(S2, install(2, &offered(), offset, data))
}

/// Says to server 2 how much has arrived.
fn says(id: SnapshotId, offset: u64, received: u64) -> Output {
    Output::Send { to: S2, message: arrived(2, id, offset, received) }
}

fn acknowledges(index: u64) -> Output {
    Output::Send { to: S2, message: matched(2, index) }
}

fn sent(outputs: &[Output]) -> Vec<Output> {
    outputs.iter().filter(|output| matches!(output, Output::Send { .. })).cloned().collect()
}

fn receiving(raft: &Raft<MemoryStore>) -> Option<(u64, u64)> {
    let Receiving { received, durable, .. } = raft.observe().unwrap().receiving?;
    Some((received, durable))
}

/// It has the snapshot, and nothing else, on disk too.
#[track_caller]
fn is_installed(raft: &Raft<MemoryStore>, snapshot: &Snapshot) {
    let last = snapshot.id.last;
    assert_eq!(raft.snapshot(), Some(snapshot));
    assert_eq!((raft.log_base(), raft.last_index()), (last, last.index));
    assert_eq!((raft.commit_index(), raft.applied_index()), (last.index, last.index));
    assert_eq!(raft.durable_index(), last.index);
    assert_eq!(raft.observe().unwrap().durable_snapshot, Some(snapshot.id));
    let store = raft.store();
    assert_eq!((store.base().unwrap(), store.log().len()), (last, 0));
    assert_eq!(store.snapshot().unwrap().as_ref(), Some(snapshot));
    assert_eq!(store.snapshot_bytes().unwrap().as_ref(), b"abcde");
    assert_eq!((store.receiving(), raft.observe().unwrap().receiving), (Ok(None), None));
    assert_eq!(raft.broken_invariant(), None);
}

#[test]
fn a_snapshot_comes_in_chunks_and_takes_the_place_of_the_log() {
    let (raft, id) = (&mut follower(), offered().id);
    assert_eq!(sent(&step(raft, offer(0, b""))), [says(id, 0, 0)]);
    assert_eq!(receiving(raft), None);
    assert_eq!(sent(&step(raft, offer(0, b"abc"))), [says(id, 0, 3)]);
    assert_eq!(receiving(raft), Some((3, 3)));
    assert_eq!(sent(&step(raft, offer(3, b""))), [says(id, 3, 3)]);
    let outputs = step(raft, offer(3, b"de"));
    let expected = [
        Output::Truncated { first_index: LogIndex(2), last_index: LogIndex(3) },
        Output::Restore { snapshot: id },
        Output::ResetElectionTimer { leader_contact: false },
        acknowledges(7),
    ];
    for output in &expected {
        assert!(outputs.contains(output), "{output} is not in {outputs:?}");
    }
    assert_eq!(outputs.len(), expected.len(), "{outputs:?}");
    is_installed(raft, &offered());
    // What follows is entries.
    let outputs = step(raft, deliver(S2, append(2, at(7, 2), &[2], 8)));
    assert!(outputs.contains(&acknowledges(8)), "{outputs:?}");
    let applies =
        |output: &Output| matches!(output, Output::Apply { entries } if entries.len() == 1);
    assert!(outputs.iter().any(applies), "{outputs:?}");
    step(raft, Input::Restart { torn: None });
    assert_eq!((raft.log_base(), raft.last_index()), (at(7, 2), LogIndex(8)));
}

#[test]
fn writes_come_first_and_answers_when_they_are_complete() {
    let (raft, id) = (&mut start(config()), offered().id);
    let (writes, effects) = begin(raft, offer(0, b"abc"));
    let [hard_state @ Output::WriteHardState { .. }, chunk @ Output::WriteChunk { .. }] =
        &writes[..]
    else {
        panic!("{writes:?}")
    };
    assert_eq!((sent(&effects), receiving(raft)), (vec![], Some((3, 0))));
    // While it is under way, no other is taken. That is acknowledged which is committed, once the
    // term is on disk.
    for (durable, answer) in [(false, vec![]), (true, vec![acknowledges(0)])] {
        for late in [offer(0, b""), offer(3, b"de"), offer(0, b"abc")] {
            let (writes, effects) = begin(raft, late);
            assert_eq!((writes, sent(&effects)), (vec![], answer.clone()));
        }
        if !durable {
            complete(raft, hard_state);
        }
    }
    assert_eq!(complete(raft, chunk), [says(id, 0, 3)]);
    assert_eq!(receiving(raft), Some((3, 3)));
    let (writes, effects) = begin(raft, offer(3, b"de"));
    let [chunk @ Output::WriteChunk { .. }, whole @ Output::InstallSnapshot { .. }] = &writes[..]
    else {
        panic!("{writes:?}")
    };
    assert_eq!(effects[0], Output::Restore { snapshot: id });
    assert_eq!((raft.commit_index(), raft.durable_index()), (LogIndex(7), LogIndex(0)));
    // Entries are taken behind it at once, and are not on disk before it is.
    let (entries, _) = begin(raft, deliver(S2, append(2, at(7, 2), &[2], 7)));
    assert_eq!(sent(&begin(raft, offer(0, b"")).1), [acknowledges(0)]);
    assert_eq!(complete(raft, chunk), []);
    assert_eq!(complete(raft, whole), [acknowledges(7)]);
    assert_eq!(complete(raft, &entries[0]), [acknowledges(8)]);
    assert_eq!(raft.broken_invariant(), None);
}

/// As much as the follower has committed and has on disk, whichever is less.
#[test]
fn a_follower_that_writes_a_chunk_acknowledges_what_is_committed() {
    let raft = &mut follower();
    let committed = raft.commit_index().0;
    assert!(committed > 0 && raft.last_index().0 > committed);
    begin(raft, offer(0, b"abc"));
    assert_eq!(sent(&begin(raft, offer(0, b"")).1), [acknowledges(committed)]);
    let raft = &mut start(config());
    let (writes, _) = begin(raft, deliver(S2, append(2, at(0, 0), &[1, 1], 2)));
    complete(raft, &writes[0]);
    begin(raft, offer(0, b"abc"));
    assert_eq!((raft.commit_index(), raft.durable_index()), (LogIndex(2), LogIndex(0)));
    assert_eq!(sent(&begin(raft, offer(0, b"")).1), [acknowledges(0)]);
}

#[test]
fn a_chunk_that_does_not_go_on_is_answered_and_not_taken() {
    let (raft, id) = (&mut follower(), offered().id);
    assert_eq!(sent(&step(raft, offer(3, b"de"))), [says(id, 3, 0)]);
    step(raft, offer(0, b"abc"));
    for (offset, data) in [(0, b"abc".as_slice()), (1, b"b"), (4, b"e")] {
        assert_eq!(sent(&step(raft, offer(offset, data))), [says(id, offset, 3)]);
        assert_eq!(receiving(raft), Some((3, 3)));
    }
    step(raft, offer(3, b"de"));
    is_installed(raft, &offered());
    // Late, they are answered for like what is committed.
    for (offset, data) in [(0, b"abc".as_slice()), (3, b"de"), (0, b"")] {
        assert_eq!(sent(&step(raft, offer(offset, data))), [acknowledges(7)]);
    }
    is_installed(raft, &offered());
}

#[test]
fn a_crash_in_the_middle_is_gone_on_from() {
    let raft = &mut follower();
    step(raft, offer(0, b"abc"));
    // One more byte was under way.
    begin(raft, offer(3, b"d"));
    assert_eq!(receiving(raft), Some((4, 3)));
    step(raft, Input::Restart { torn: None });
    assert_eq!(receiving(raft), Some((3, 3)));
    assert_eq!(sent(&step(raft, offer(3, b""))), [says(offered().id, 3, 3)]);
    step(raft, offer(3, b"de"));
    is_installed(raft, &offered());
}

#[test]
fn a_snapshot_that_is_whole_when_the_server_starts_is_installed_when_it_is_asked_for() {
    let raft = &mut follower();
    step(raft, offer(0, b"abc"));
    let (writes, _) = begin(raft, offer(3, b"de"));
    raft.store_mut().write(&writes[0]);
    step(raft, Input::Restart { torn: None });
    assert_eq!((raft.snapshot(), receiving(raft)), (None, Some((5, 5))));
    let outputs = step(raft, offer(0, b""));
    assert!(outputs.contains(&Output::Restore { snapshot: offered().id }), "{outputs:?}");
    assert_eq!(sent(&outputs), [acknowledges(7)]);
    is_installed(raft, &offered());
}

/// On disk the snapshot comes first, then the log goes (rule S2).
#[test]
fn what_a_crash_leaves_of_a_chunk_is_a_smaller_one() {
    let raft = &mut follower();
    step(raft, offer(0, b"ab"));
    let (writes, _) = begin(raft, offer(2, b"cd"));
    raft.store_mut().tear(&writes[0], 1);
    step(raft, Input::Restart { torn: Some(1) });
    assert_eq!(receiving(raft), Some((3, 3)));
    assert_eq!(raft.store().received_bytes(), Some(&b"abc"[..]));
    assert_eq!(sent(&step(raft, offer(0, b""))), [says(offered().id, 0, 3)]);
    step(raft, offer(3, b"de"));
    is_installed(raft, &offered());
}

#[test]
fn a_crash_between_the_halves_of_an_installation_ends_it() {
    let raft = &mut follower();
    step(raft, offer(0, b"abc"));
    let (writes, _) = begin(raft, offer(3, b"de"));
    raft.store_mut().write(&writes[0]);
    raft.store_mut().tear(&writes[1], 0);
    assert_eq!(raft.store().log().len(), 3);
    step(raft, Input::Restart { torn: Some(0) });
    is_installed(raft, &offered());
    // The write of before the crash is no news, though the same might be outstanding.
    let late = Input::SnapshotInstalled { incarnation: 0, snapshot: offered().id };
    assert_eq!(refused(raft, late), StepError::Rejected(Rejection::UnexpectedCompletion));
}

/// L11.
#[test]
fn completions_of_an_earlier_incarnation_say_nothing() {
    let (raft, id) = (&mut follower(), offered().id);
    let written = |incarnation| Input::ChunkWritten { incarnation, snapshot: id, received: 3 };
    let installed = |incarnation| Input::SnapshotInstalled { incarnation, snapshot: id };
    begin(raft, offer(0, b"abc"));
    step(raft, Input::Restart { torn: None });
    let (writes, _) = begin(raft, offer(0, b"abc"));
    assert_eq!(refused(raft, written(0)), StepError::Rejected(Rejection::UnexpectedCompletion));
    assert_eq!(complete(raft, &writes[0]), [says(id, 0, 3)]);
    let (writes, _) = begin(raft, offer(3, b"de"));
    complete(raft, &writes[0]);
    assert_eq!(refused(raft, installed(0)), StepError::Rejected(Rejection::UnexpectedCompletion));
    let other = of_two(at(8, 2), 5).id;
    let other = Input::SnapshotInstalled { incarnation: 1, snapshot: other };
    assert_eq!(refused(raft, other), StepError::Rejected(Rejection::UnexpectedCompletion));
    assert_eq!(complete(raft, &writes[1]), [acknowledges(7)]);
    is_installed(raft, &offered());
}

#[test]
fn another_snapshot_begins_anew_and_the_same_goes_on_under_another_leader() {
    let raft = &mut follower();
    step(raft, offer(0, b"abc"));
    // The same, from a leader that has it too.
    let from = |term, snapshot: &Snapshot, offset, data| {
        deliver(S3, install(term, snapshot, offset, data))
    };
    let outputs = step(raft, from(3, &offered(), 0, b""));
    let message = arrived(3, offered().id, 0, 3);
    assert!(outputs.contains(&Output::Send { to: S3, message }), "{outputs:?}");
    // Of the same position, taken by another: other bytes. Until its first come, nothing is lost.
    let mut other = of_two(at(7, 2), 4);
    other.id.taken_by = S3;
    let outputs = step(raft, from(3, &other, 0, b""));
    let message = arrived(3, other.id, 0, 0);
    assert!(outputs.contains(&Output::Send { to: S3, message }), "{outputs:?}");
    assert_eq!(receiving(raft), Some((3, 3)));
    step(raft, from(3, &other, 0, b"x"));
    assert_eq!(receiving(raft), Some((1, 1)));
    assert_eq!(raft.store().receiving().unwrap().unwrap().snapshot, other);
    // And back.
    step(raft, from(3, &offered(), 0, b"abc"));
    step(raft, from(3, &offered(), 3, b"de"));
    is_installed(raft, &offered());
}

#[test]
fn who_holds_the_last_entry_needs_no_snapshot() {
    let raft = &mut follower();
    let snapshot = of_two(at(3, 1), 5);
    let outputs = step(raft, deliver(S2, install(2, &snapshot, 0, b"")));
    assert_eq!(sent(&outputs), [acknowledges(3)]);
    assert_eq!((raft.commit_index(), raft.applied_index()), (LogIndex(3), LogIndex(3)));
    assert_eq!((raft.snapshot(), raft.last_index()), (None, LogIndex(3)));
    // Nor one who has committed more.
    let snapshot = of_two(at(2, 1), 5);
    let outputs = step(raft, deliver(S2, install(2, &snapshot, 0, b"abc")));
    assert_eq!(sent(&outputs), [acknowledges(2)]);
    assert_eq!(raft.store().receiving(), Ok(None));
    // What is on its way to disk is not acknowledged yet.
    begin(raft, deliver(S2, append(2, at(3, 1), &[2, 2], 3)));
    let snapshot = of_two(at(5, 2), 5);
    let (_, effects) = begin(raft, deliver(S2, install(2, &snapshot, 0, b"")));
    assert_eq!(sent(&effects), [acknowledges(3)]);
    assert_eq!(raft.commit_index(), LogIndex(5));
}

#[test]
fn what_has_arrived_is_given_up_when_it_is_not_needed_any_more() {
    let raft = &mut follower();
    step(raft, offer(0, b"abc"));
    step(raft, deliver(S2, append(2, at(3, 1), &[2, 2, 2, 2, 2], 1)));
    assert_eq!(receiving(raft), Some((3, 3)));
    assert_eq!(sent(&step(raft, offer(3, b"d"))), [acknowledges(7)]);
    assert_eq!(receiving(raft), None);
    // By a snapshot of the server's own.
    let raft = &mut follower();
    step(raft, offer(0, b"abc"));
    step(raft, deliver(S2, append(2, at(3, 1), &[2, 2, 2, 2, 2], 8)));
    snapshot(raft, 6, b"six");
    assert_eq!(receiving(raft), Some((3, 3)));
    snapshot(raft, 7, b"seven");
    assert_eq!(receiving(raft), None);
    assert_eq!(raft.store().receiving(), Ok(None));
    step(raft, Input::Restart { torn: None });
    assert_eq!(receiving(raft), None);
}

/// Rule S3.
#[test]
fn a_snapshot_that_was_being_taken_is_not_taken_up_behind_a_later_one() {
    let raft = &mut follower();
    let asked = step(raft, take(1));
    step(raft, offer(0, b"abc"));
    step(raft, offer(3, b"de"));
    assert_eq!(raft.taking_snapshot(), Some(at(1, 1)));
    assert_eq!(taken(raft, &asked[0], b"one"), []);
    assert_eq!(raft.taking_snapshot(), None);
    is_installed(raft, &offered());
}

/// Entries that were on their way to disk are replaced by the snapshot: that they are on disk says
/// nothing of the log that is there now (rule S2, L9).
#[test]
fn entries_written_before_an_installation_do_not_vouch_for_it() {
    let raft = &mut follower();
    let (entries, _) = begin(raft, deliver(S2, append(2, at(3, 1), &[2, 2], 1)));
    let message = install(3, &of_two(at(7, 3), 3), 0, b"abc");
    let (writes, _) = begin(raft, deliver(S3, message));
    assert_eq!((raft.last_index(), raft.durable_index()), (LogIndex(7), LogIndex(1)));
    assert_eq!(complete(raft, &entries[0]), []);
    assert_eq!(raft.durable_index(), LogIndex(1));
    let answers: Vec<Output> = writes.iter().flat_map(|write| complete(raft, write)).collect();
    assert_eq!(answers, [Output::Send { to: S3, message: matched(3, 7) }]);
}

/// Rule S2, M2.
#[test]
fn a_membership_that_comes_by_snapshot_is_in_force() {
    let raft = &mut start(kontiki::core::Config::joining(S1));
    let configuration = Configuration::of_voters([S1, S2]);
    let snapshot = Snapshot {
        configuration: configuration.clone(),
        configuration_position: at(6, 2),
        ..offered()
    };
    let message = install(2, &snapshot, 0, b"abcde");
    step(raft, deliver(S2, message));
    is_installed(raft, &snapshot);
    for _ in 0..2 {
        assert_eq!(raft.configuration(), &configuration);
        assert_eq!(raft.configuration_position(), at(6, 2));
        step(raft, Input::Restart { torn: None });
    }
    // One in the log takes its place, and gives it back when it is truncated.
    let payload = Payload::Configuration(Configuration::of_voters([S1, S2, S3]));
    let entries = [Entry { payload, ..entry(8, 2) }].into_iter().collect();
    let (term, commit_index) = (kontiki::Term(2), LogIndex(7));
    let prev = at(7, 2);
    step(raft, deliver(S2, Message::AppendEntries { term, prev, entries, commit_index }));
    assert_eq!(raft.configuration_position(), at(8, 2));
    step(raft, deliver(S3, append(3, at(7, 2), &[3], 7)));
    assert_eq!((raft.configuration(), raft.configuration_index()), (&configuration, LogIndex(6)));
}

/// E6.
#[test]
fn the_configuration_that_a_server_was_started_with_is_no_change_that_completes() {
    let raft = &mut start(config());
    step(raft, offer(0, b"abc"));
    let outputs = step(raft, offer(3, b"de"));
    is_installed(raft, &offered());
    let completes = |output: &Output| matches!(output, Output::ChangeCompleted { .. });
    assert!(!outputs.iter().any(completes), "{outputs:?}");
}

#[test]
fn a_leaders_snapshot_is_its_word() {
    // From a later term it is followed, to an earlier one the later is said.
    let raft = &mut start(config());
    step(raft, deliver(S2, install(2, &offered(), 0, b"")));
    assert_eq!((raft.term(), raft.leader()), (kontiki::Term(2), Some(S2)));
    let outputs = step(raft, deliver(S3, install(1, &of_two(at(1, 1), 1), 0, b"")));
    let message = Message::LaterTerm { term: kontiki::Term(2) };
    assert_eq!(outputs, [Output::Send { to: S3, message }]);
}

#[test]
fn snapshots_that_no_honest_server_sends_are_rejected() {
    let raft = &mut follower();
    step(raft, offer(0, b"abc"));
    let with = |last: LogPosition, size| of_two(last, size);
    let impossible = |snapshot: &Snapshot| Rejection::ImpossibleSnapshot {
        last: snapshot.id.last,
        size: snapshot.size,
    };
    let nobody = Snapshot { configuration: Configuration::default(), ..offered() };
    let uncovered = Snapshot { configuration_position: at(8, 2), ..offered() };
    let later = Snapshot { configuration_position: at(6, 3), ..with(at(7, 3), 5) };
    let odd = Snapshot { configuration_position: at(0, 1), ..offered() };
    let other_size = Snapshot { size: 6, ..offered() };
    let beyond = |end, size| Rejection::BeyondSnapshot { end, size };
    let position = Rejection::NoSuchPosition { index: LogIndex(0), term: kontiki::Term(1) };
    let contradicts = |index| Rejection::ContradictsCommitted {
        index: LogIndex(index),
        commit_index: LogIndex(1),
    };
    let later_term =
        Rejection::PositionOfLaterTerm { position: kontiki::Term(3), term: kontiki::Term(2) };
    let cases = [
        (with(at(0, 0), 5), 0, b"".as_slice(), impossible(&with(at(0, 0), 5))),
        (with(at(7, 2), 0), 0, b"", impossible(&with(at(7, 2), 0))),
        (nobody.clone(), 0, b"", impossible(&nobody)),
        (uncovered.clone(), 0, b"", impossible(&uncovered)),
        (odd.clone(), 0, b"", impossible(&odd)),
        (with(at(0, 1), 5), 0, b"", position),
        (later, 0, b"", later_term),
        (other_size, 0, b"", Rejection::AnotherSnapshot { snapshot: offered().id }),
        (offered(), 3, b"def", beyond(6, 5)),
        (offered(), 6, b"", beyond(6, 5)),
        (offered(), u64::MAX, b"d", beyond(u64::MAX, 5)),
        (with(at(7, 2), u64::MAX), u64::MAX, b"", {
            Rejection::AnotherSnapshot { snapshot: offered().id }
        }),
        (with(at(1, 2), 5), 0, b"", contradicts(1)),
    ];
    for (snapshot, offset, data, reason) in cases {
        let input = deliver(S2, install(2, &snapshot, offset, data));
        assert_eq!(refused(raft, input), StepError::Rejected(reason), "{snapshot:?}");
    }
    let reason = Rejection::SecondLeader { from: S3, leader: S2, term: kontiki::Term(2) };
    let input = deliver(S3, install(2, &offered(), 0, b""));
    assert_eq!(refused(raft, input), StepError::Rejected(reason));
    let empty = deliver(S2, arrived(0, offered().id, 0, 0));
    assert_eq!(refused(raft, empty), StepError::Rejected(Rejection::TermZero));
    // Behind what is committed, of an earlier term than that.
    step(raft, deliver(S2, append(2, at(3, 1), &[2], 4)));
    let earlier = deliver(S2, install(2, &with(at(6, 1), 5), 0, b""));
    let reason = Rejection::ContradictsCommitted { index: LogIndex(6), commit_index: LogIndex(4) };
    assert_eq!(refused(raft, earlier), StepError::Rejected(reason));
}
