//! Limits hold, and what exceeds them is refused with its reason (L9).

use crate::support::*;
use kontiki::core::{Config, Limits, Outputs, Raft, Rejection, StepError, completion, entry_bytes};
use kontiki::storage::{HardState, MemoryStore};
use kontiki::{
    Configuration, Entry, Input, LogIndex, Output, Payload, Refusal, RoleKind, ServerId, Term,
};

fn with(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = config();
    change(&mut config.limits);
    config
}

fn refusal(outputs: &[Output]) -> Option<&Refusal> {
    match outputs {
        [Output::Refused { refusal }] => Some(refusal),
        _ => None,
    }
}

fn counts(outputs: &[Output]) -> Vec<usize> {
    sent_to(outputs, S2).iter().map(|entries| entries.len()).collect()
}

#[test]
fn proposals_that_are_not_taken() {
    let raft = &mut leader(with(|limits| {
        limits.command_bytes = 100;
        limits.uncommitted_bytes = 200;
    }));
    let outputs = step(raft, propose(&[]));
    assert_eq!(refusal(&outputs), Some(&Refusal::NothingProposed));
    let outputs = step(raft, propose(&[10, 101]));
    assert_eq!(refusal(&outputs), Some(&Refusal::CommandTooLarge { size: 101, limit: 100 }));
    assert_eq!(raft.last_index(), LogIndex(1), "none of them is appended");
    assert_eq!(refusal(&step(raft, propose(&[100, 100]))), None);
    let outputs = step(raft, propose(&[1]));
    let expected = Refusal::TooMuchUncommitted { uncommitted: 248, limit: 200 };
    assert_eq!(refusal(&outputs), Some(&expected));
    step(raft, deliver(S2, matched(1, 2)));
    assert_eq!(refusal(&step(raft, propose(&[1]))), None, "there is room again");
    step(raft, deliver(S2, append(2, at(3, 1), &[], 0)));
    let outputs = step(raft, propose(&[]));
    assert_eq!(refusal(&outputs), Some(&Refusal::NotLeader { leader: Some(S2) }));
}

/// Followers can commit without the leader's disk, but it may not fall behind without end.
#[test]
fn a_leader_whose_disk_is_stuck_takes_no_more() {
    let raft = &mut leader(with(|limits| limits.uncommitted_bytes = 1000));
    let mut outputs = kontiki::core::Outputs::new();
    let mut taken = 0;
    for _ in 0..20 {
        raft.step(propose(&[76]), &mut outputs).unwrap();
        let last = raft.last_index().0;
        raft.step(deliver(S2, matched(1, last)), &mut outputs).unwrap();
        raft.step(deliver(S3, matched(1, last)), &mut outputs).unwrap();
        taken = last - 1;
    }
    assert_eq!((taken, raft.commit_index(), raft.durable_index()), (10, LogIndex(11), LogIndex(1)));
    let writes: Vec<_> = outputs.drain().collect();
    for write in writes.iter().filter(|write| completion(write).is_some()) {
        raft.step(completion(write).unwrap(), &mut outputs).unwrap();
    }
    raft.step(propose(&[76]), &mut outputs).unwrap();
    assert_eq!(raft.last_index(), LogIndex(12));
}

#[test]
fn one_large_proposal_is_taken_when_nothing_waits() {
    let raft = &mut leader(with(|limits| limits.uncommitted_bytes = 1000));
    assert_eq!(refusal(&step(raft, propose(&[500; 10]))), None);
    step(raft, deliver(S2, matched(1, 11)));
    assert_eq!(refusal(&step(raft, propose(&[500]))), None);
    let expected = Refusal::TooMuchUncommitted { uncommitted: 524, limit: 1000 };
    assert_eq!(refusal(&step(raft, propose(&[453]))), Some(&expected));
    assert_eq!(refusal(&step(raft, propose(&[452]))), None, "a thousand bytes in all");
}

#[test]
fn batches_are_limited_in_entries_and_in_bytes() {
    let raft = &mut leader(with(|limits| limits.batch_entries = 2));
    assert_eq!(counts(&step(raft, propose(&[1; 5]))), [2, 2, 1]);
    // Two commands of 76 bytes count as 200; one that is larger goes alone.
    let raft = &mut leader(with(|limits| limits.batch_bytes = 200));
    assert_eq!(counts(&step(raft, propose(&[76, 76, 76, 300, 1, 300]))), [2, 1, 1, 1, 1]);
    let raft = &mut leader(with(|limits| limits.batch_bytes = 199));
    assert_eq!(counts(&step(raft, propose(&[76, 76]))), [1, 1]);
}

#[test]
fn the_window_is_limited_in_entries() {
    let raft = &mut leader(with(|limits| limits.window_entries = 3));
    assert_eq!(counts(&step(raft, propose(&[1; 5]))), [3]);
    assert_eq!(counts(&step(raft, propose(&[1]))), [0; 0]);
    assert_eq!(counts(&step(raft, deliver(S2, matched(1, 2)))), [1]);
    assert_eq!(counts(&step(raft, deliver(S2, matched(1, 5)))), [2]);
    assert_eq!(counts(&step(raft, deliver(S2, matched(1, 5)))), [0; 0], "nothing new, no room");
}

#[test]
fn the_window_is_limited_in_bytes() {
    let raft = &mut leader(with(|limits| limits.window_bytes = 250));
    // The second fills the window, the third waits.
    assert_eq!(counts(&step(raft, propose(&[100, 100, 100]))), [2]);
    assert_eq!(counts(&step(raft, deliver(S2, matched(1, 2)))), [1]);
    assert_eq!(counts(&step(raft, deliver(S2, matched(1, 4)))), [0; 0]);
    assert_eq!(counts(&step(raft, propose(&[1000]))), [1], "one message may be under way");
    assert_eq!(counts(&step(raft, propose(&[1]))), [0; 0]);
}

/// The entries of each message to server 3: they follow one another, from message to message, too.
fn runs(outputs: &[Output], first: u64) -> Vec<usize> {
    let sent = sent_to(outputs, S3);
    let indexes = sent.iter().flat_map(|entries| entries.iter().map(|entry| entry.index.0));
    let indexes: Vec<u64> = indexes.collect();
    assert!(indexes.iter().copied().eq(first..first + indexes.len() as u64), "{indexes:?}");
    sent.iter().map(|entries| entries.len()).collect()
}

/// A leader of whose six entries server 3 has the first two, and what it sends to it then. They
/// count as 24, 31, 62, 31, 31 and 62 bytes; some are in memory, others in the store.
fn sent_after_two(
    recent_bytes: u64,
    limit: impl FnOnce(&mut Limits),
) -> (Raft<MemoryStore>, Vec<Output>) {
    let mut raft = leader(with(|limits| {
        limits.recent_bytes = recent_bytes;
        limit(limits);
    }));
    for size in [7, 38, 7, 7, 38] {
        step(&mut raft, propose(&[size]));
        let last = raft.last_index().0;
        step(&mut raft, deliver(S2, matched(1, last)));
    }
    assert_eq!(raft.commit_index(), LogIndex(6));
    let outputs = step(&mut raft, deliver(S3, matched(1, 2)));
    (raft, outputs)
}

/// In memory alone, in the store alone, and across both, wherever the border lies.
const RECENT_BYTES: [u64; 5] = [0, 62, 93, 124, u64::MAX];

#[test]
fn batches_are_cut_by_bytes_wherever_entries_are() {
    for recent_bytes in RECENT_BYTES {
        for (batch_bytes, expected) in [
            (1, &[1, 1, 1, 1][..]),
            (92, &[1, 2, 1]),
            (93, &[2, 2]),
            (123, &[2, 2]),
            (124, &[3, 1]),
            (186, &[4]),
        ] {
            let (_, outputs) =
                sent_after_two(recent_bytes, |limits| limits.batch_bytes = batch_bytes);
            assert_eq!(runs(&outputs, 3), expected, "{recent_bytes} recent, {batch_bytes} a batch");
        }
        // The limit in entries comes first.
        let (_, outputs) = sent_after_two(recent_bytes, |limits| {
            limits.batch_bytes = 124;
            limits.batch_entries = 2;
        });
        assert_eq!(runs(&outputs, 3), [2, 2], "{recent_bytes} recent");
    }
}

#[test]
fn the_window_is_limited_in_bytes_over_several_messages() {
    for recent_bytes in RECENT_BYTES {
        let (mut raft, outputs) = sent_after_two(recent_bytes, |limits| {
            limits.batch_bytes = 93;
            limits.window_bytes = 124;
        });
        assert_eq!(runs(&outputs, 3), [2, 1], "the window is full to the byte");
        assert_eq!(runs(&step(&mut raft, deliver(S3, matched(1, 3))), 6), [1], "62 for 62");
        let (mut raft, outputs) = sent_after_two(recent_bytes, |limits| limits.window_bytes = 123);
        assert_eq!(runs(&outputs, 3), [2], "the third does not fit");
        assert_eq!(
            runs(&step(&mut raft, deliver(S3, matched(1, 3))), 5),
            [1],
            "31 and 31 are there"
        );
        assert_eq!(runs(&step(&mut raft, deliver(S3, matched(1, 4))), 6), [1]);
    }
}

/// A log that is read in several pieces by the limits that are the default.
#[test]
fn a_log_of_several_mebibytes_is_applied_in_full_after_a_restart() {
    const ENTRIES: u64 = 40;
    let command =
        |index| Entry { payload: Payload::Command(vec![b'x'; 100_000].into()), ..entry(index, 1) };
    let log: Vec<Entry> = (1..=ENTRIES).map(command).collect();
    assert!(log.iter().map(entry_bytes).sum::<u64>() > 3 * Limits::default().batch_bytes);
    let hard_state = HardState { term: Term(1), vote: None };
    let mut raft = Raft::start(config(), MemoryStore::with(hard_state, log.clone())).unwrap();
    for _ in 0..2 {
        let heartbeat = append(1, at(ENTRIES, 1), &[], ENTRIES);
        let outputs = step(&mut raft, deliver(S2, heartbeat));
        let pieces = outputs.iter().filter_map(|output| match output {
            Output::Apply { entries } => Some(entries),
            _ => None,
        });
        assert!(pieces.clone().count() > 3, "in pieces");
        assert!(pieces.flat_map(|entries| entries.iter()).eq(&log), "all of them, in order");
        assert_eq!(raft.applied_index(), LogIndex(ENTRIES));
        assert_eq!(raft.observe().unwrap().log, log);
        step(&mut raft, Input::Restart { torn: None });
        assert_eq!(raft.applied_index(), LogIndex::ZERO);
    }
}

/// The indexes that are handed to the state machine.
fn applied(outputs: &[Output]) -> Vec<u64> {
    let entries = outputs.iter().flat_map(|output| match output {
        Output::Apply { entries } => &**entries,
        _ => &[],
    });
    entries.map(|entry| entry.index.0).collect()
}

fn executed(index: u64) -> Input {
    Input::Executed { index: LogIndex(index) }
}

/// A follower whose six entries of 24 bytes are committed at once.
fn behind(apply_bytes: u64, recent_bytes: u64) -> (Raft<MemoryStore>, Vec<u64>) {
    let mut raft = start(with(|limits| {
        limits.apply_bytes = apply_bytes;
        limits.recent_bytes = recent_bytes;
    }));
    let outputs = step(&mut raft, deliver(S2, append(1, at(0, 0), &[1; 6], 6)));
    (raft, applied(&outputs))
}

#[test]
fn no_more_is_handed_over_than_the_state_machine_may_have_to_do() {
    for recent_bytes in [0, 48, u64::MAX] {
        for (apply_bytes, pieces) in [
            (1, &[1, 1, 1, 1, 1, 1][..]),
            (47, &[1, 1, 1, 1, 1, 1]),
            (48, &[2, 2, 2]),
            (100, &[4, 2]),
            (144, &[6]),
            (u64::MAX, &[6]),
        ] {
            let (mut raft, mut handed) = behind(apply_bytes, recent_bytes);
            let mut all = Vec::new();
            for expected in pieces {
                assert_eq!(handed.len(), *expected, "{apply_bytes}");
                all.append(&mut handed);
                assert_eq!(raft.applied_index().0, all.len() as u64);
                assert_eq!(raft.broken_invariant(), None);
                // Whatever else happens, no more is handed over, and what is not all says nothing.
                let others =
                    [deliver(S2, append(1, at(6, 1), &[], 6)), executed(all.len() as u64 - 1)];
                for other in others {
                    assert_eq!(applied(&step(&mut raft, other)), [0; 0]);
                }
                handed = applied(&step(&mut raft, executed(all.len() as u64)));
            }
            assert_eq!((all, handed), ((1..=6).collect(), Vec::new()));
            assert_eq!(raft.observe().unwrap().unexecuted_bytes, 0);
        }
    }
}

#[test]
fn what_fits_beside_what_is_not_executed_is_handed_over_at_once() {
    let (mut raft, handed) = behind(150, u64::MAX);
    assert_eq!(handed.len(), 6);
    step(&mut raft, deliver(S2, append(1, at(6, 1), &[1], 7)));
    assert_eq!((raft.commit_index(), raft.applied_index()), (LogIndex(7), LogIndex(6)));
    assert_eq!(applied(&step(&mut raft, executed(6))), [7]);
    assert_eq!(applied(&step(&mut raft, deliver(S2, append(1, at(7, 1), &[1], 8)))), [8]);
    assert_eq!(raft.observe().unwrap().unexecuted_bytes, 48);
}

#[test]
fn no_state_machine_has_executed_what_it_was_not_handed() {
    let (mut raft, _) = behind(48, u64::MAX);
    let (index, applied_index) = (LogIndex(3), LogIndex(2));
    let reason = Rejection::ExecutesUnapplied { index, applied_index };
    assert_eq!(refused(&mut raft, executed(3)), StepError::Rejected(reason));
    // After a restart the state machine has to do nothing.
    step(&mut raft, Input::Restart { torn: None });
    assert_eq!(raft.observe().unwrap().unexecuted_bytes, 0);
    let outputs = step(&mut raft, deliver(S2, append(1, at(6, 1), &[], 6)));
    assert_eq!(applied(&outputs), [1, 2]);
}

#[test]
fn a_refused_request_empties_the_window() {
    let raft = &mut leader(with(|limits| limits.window_entries = 2));
    step(raft, propose(&[1, 1]));
    let outputs = step(raft, deliver(S2, mismatch(1, 3, at(1, 1))));
    assert_eq!(counts(&outputs), [2], "a probe with what follows");
    step(raft, deliver(S2, matched(1, 3)));
    assert_eq!(counts(&step(raft, propose(&[1, 1, 1]))), [2]);
}

#[test]
fn entries_are_shared_not_copied() {
    let raft = &mut leader(config());
    let outputs = step(raft, propose(&[100, 100]));
    let sent = sent_to(&outputs, S2);
    let addresses = |entries: &kontiki::Entries| entries.as_ptr();
    assert_eq!(addresses(&sent[0]), addresses(&sent[0].part(0..1)));
    let again = step(raft, deliver(S2, mismatch(1, 2, at(1, 1))));
    assert_eq!(addresses(&sent_to(&again, S2)[0]), addresses(&sent[0]));
    assert_eq!(entry_bytes(&sent[0][0]), 124);
}

#[test]
fn what_is_not_recent_is_read_from_the_store() {
    for recent_bytes in [0, 150, u64::MAX] {
        let raft = &mut leader(with(|limits| limits.recent_bytes = recent_bytes));
        for _ in 0..5 {
            step(raft, propose(&[76]));
        }
        step(raft, deliver(S2, matched(1, 6)));
        assert_eq!(raft.commit_index(), LogIndex(6));
        // Server 3 has answered nothing so far.
        let outputs = step(raft, deliver(S3, mismatch(1, 1, at(0, 0))));
        assert_eq!(sent_to(&outputs, S3)[0].len(), 6, "{recent_bytes}");
        let whole = raft.observe().unwrap();
        raft.release_memory();
        assert_eq!(raft.observe().unwrap(), whole);
        let outputs = step(raft, deliver(S3, mismatch(1, 1, at(0, 0))));
        assert_eq!(sent_to(&outputs, S3)[0].len(), 6, "{recent_bytes}");
    }
}

#[test]
fn a_single_server_commits_alone_and_only_what_is_durable() {
    let mut config = Config::new(S1, [S1]);
    config.limits.recent_bytes = 0;
    let raft = &mut start(config);
    step(raft, Input::ElectionTimeout);
    assert_eq!((raft.role(), raft.commit_index()), (RoleKind::Leader, LogIndex(1)));
    let mut outputs = kontiki::core::Outputs::new();
    raft.step(propose(&[1, 1]), &mut outputs).unwrap();
    assert_eq!(raft.commit_index(), LogIndex(1));
    let write = outputs.drain().find(|output| completion(output).is_some()).unwrap();
    raft.store_mut().write(&write);
    let outputs = step(raft, completion(&write).unwrap());
    assert_eq!(raft.commit_index(), LogIndex(3));
    assert!(matches!(&outputs[..], [Output::Apply { entries }] if entries.len() == 2));
}

/// A configuration counts eight bytes for each place that a server has in it.
#[test]
fn what_a_configuration_counts_for() {
    let mut configuration = Configuration::of_voters([S1, S2, S3]);
    configuration.outgoing = [S1, S2].into();
    configuration.learners = [ServerId(4)].into();
    let payload = Payload::Configuration(configuration);
    assert_eq!(entry_bytes(&Entry { payload, ..entry(1, 1) }), 24 + 6 * 8);
    assert_eq!(entry_bytes(&entry(1, 1)), 24);
}

/// What nobody has proposed, a no-op or a configuration, takes no room from those who propose.
#[test]
fn only_proposed_commands_wait() {
    let raft = &mut start(with(|limits| limits.uncommitted_bytes = 100));
    step(raft, Input::ElectionTimeout);
    step(raft, deliver(S2, vote(1)));
    assert_eq!((raft.role(), raft.commit_index()), (RoleKind::Leader, LogIndex::ZERO));
    assert_eq!(refusal(&step(raft, propose(&[100]))), None, "the first may be of any size");
    let refusal_of_second = step(raft, propose(&[1]));
    let waits = Refusal::TooMuchUncommitted { uncommitted: 124, limit: 100 };
    assert_eq!(refusal(&refusal_of_second), Some(&waits));
}

/// A log of many terms: each message finds the terms that it asks about by halves, so that this
/// would not end in a reasonable time if it looked at one after the other.
#[test]
fn a_log_of_many_terms_costs_no_more() {
    const TERMS: u64 = 200_000;
    let log = (1..=TERMS).map(|index| entry(index, index)).collect();
    let hard_state = HardState { term: Term(TERMS), vote: None };
    let mut raft = Raft::start(config(), MemoryStore::with(hard_state, log)).unwrap();
    let mut outputs = Outputs::new();
    for index in (1..=TERMS).rev() {
        raft.step(deliver(S2, append(TERMS, at(index, index), &[], 0)), &mut outputs).unwrap();
        let answer = Output::Send { to: S2, message: matched(TERMS, index) };
        assert!(outputs.drain().any(|output| output == answer), "at {index}");
    }
}
