//! Snapshots that a server takes, and what it starts with afterwards (rules S1 and S3).

use crate::support::*;
use kontiki::core::{Config, Raft, Rejection, StartError, StepError};
use kontiki::storage::{HardState, LogStore, MemoryStore, StoreError};
use kontiki::{
    Configuration, Entry, Input, LogIndex, LogPosition, Message, Output, Payload, Refusal,
    RoleKind, Snapshot, Term,
};

/// The only voter, which keeps so many entries, with its no-op and four commands executed.
fn alone(kept_entries: u64) -> Raft<MemoryStore> {
    let mut config = Config::new(S1, [S1]);
    config.pre_vote = false;
    config.kept_entries = kept_entries;
    let mut raft = start(config);
    step(&mut raft, Input::ElectionTimeout);
    step(&mut raft, propose(&[1; 4]));
    assert_eq!((raft.role(), raft.applied_index()), (RoleKind::Leader, LogIndex(5)));
    raft
}

fn refusal(raft: &mut Raft<MemoryStore>, index: u64) -> Refusal {
    let before = raft.clone();
    let outputs = step(raft, take(index));
    let [Output::Refused { refusal }] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(*raft == before, "{refusal} changed something");
    refusal.clone()
}

/// The base of a server's log, and of its store's, with how many entries are behind each.
fn logs(raft: &Raft<MemoryStore>) -> [(LogPosition, usize); 2] {
    let observation = raft.observe().unwrap();
    let store = raft.store();
    [(observation.log_base, observation.log.len()), (store.base().unwrap(), store.log().len())]
}

#[test]
fn a_snapshot_that_cannot_be_taken_is_refused() {
    let raft = &mut alone(0);
    assert_eq!(refusal(raft, 0), Refusal::SnapshotExists { last: at(0, 0) });
    assert_eq!(refusal(raft, 6), Refusal::NotSettled { settled: LogIndex(5) });
    let asked = step(raft, take(3));
    assert_eq!(raft.taking_snapshot(), Some(at(3, 1)));
    for index in [0, 3, 4, 9] {
        assert_eq!(refusal(raft, index), Refusal::SnapshotUnderWay { last: at(3, 1) });
    }
    taken(raft, &asked[0], b"one");
    assert_eq!(raft.taking_snapshot(), None);
    for index in [0, 2, 3] {
        assert_eq!(refusal(raft, index), Refusal::SnapshotExists { last: at(3, 1) });
    }
    assert_eq!(refusal(raft, 6), Refusal::NotSettled { settled: LogIndex(5) });
    assert!(matches!(step(raft, take(5))[..], [Output::TakeSnapshot { .. }]));
}

#[test]
fn a_server_that_does_not_know_its_cluster_takes_no_snapshot() {
    let mut raft = start(Config::joining(S1));
    step(&mut raft, deliver(S2, append(1, at(0, 0), &[1, 1], 2)));
    assert_eq!(raft.applied_index(), LogIndex(2));
    assert_eq!(refusal(&mut raft, 2), Refusal::ConfigurationUnknown);
}

#[test]
fn what_a_snapshot_covers_is_let_go_of_when_it_is_on_disk() {
    for (kept, through) in [(0, 4), (1, 3), (3, 1)] {
        let raft = &mut alone(kept);
        let asked = step(raft, take(4));
        assert_eq!(logs(raft), [(at(0, 0), 5); 2]);
        assert_eq!(raft.snapshot(), None);
        let let_go = Output::DropEntries { through: LogIndex(through) };
        let outputs = taken(raft, &asked[0], b"four");
        assert_eq!(outputs, std::slice::from_ref(&let_go));
        assert_eq!(logs(raft)[1], (at(0, 0), 5));
        raft.store_mut().write(&let_go);
        let left = usize::try_from(5 - through).unwrap();
        assert_eq!(logs(raft), [(at(through, 1), left); 2]);
        let snapshot = raft.snapshot().unwrap();
        assert_eq!((snapshot.id.last, snapshot.id.taken_by, snapshot.size), (at(4, 1), S1, 4));
        assert_eq!(snapshot.configuration, Configuration::of_voters([S1]));
        assert_eq!(snapshot.configuration_position, at(0, 0));
        assert_eq!(raft.observe().unwrap().durable_snapshot, Some(snapshot.id));
        // The log goes on.
        step(raft, propose(&[1]));
        assert_eq!(raft.applied_index(), LogIndex(6));
        raft.release_memory();
        assert_eq!(raft.broken_invariant(), None);
        assert_eq!(raft.observe().unwrap().log.len(), left + 1);
    }
}

#[test]
fn where_more_entries_are_kept_than_there_are_none_is_let_go_of() {
    for kept in [4, 5, u64::MAX] {
        let raft = &mut alone(kept);
        let asked = step(raft, take(4));
        assert_eq!(taken(raft, &asked[0], b"four"), []);
        assert_eq!(logs(raft), [(at(0, 0), 5); 2]);
        assert_eq!(raft.snapshot().unwrap().id.last, at(4, 1));
    }
}

/// Rule S3: after a crash, neither does one of before.
#[test]
fn a_completion_of_another_snapshot_says_nothing() {
    let raft = &mut alone(0);
    step(raft, take(3));
    let said = |incarnation, last| Input::SnapshotTaken { incarnation, last, size: 3 };
    for late in [said(0, at(2, 1)), said(0, at(3, 2)), said(1, at(3, 1))] {
        let before = raft.clone();
        assert_eq!(step(raft, late), []);
        assert!(*raft == before);
    }
    let empty = Input::SnapshotTaken { incarnation: 0, last: at(3, 1), size: 0 };
    let reason = Rejection::ImpossibleSnapshot { last: at(3, 1), size: 0 };
    assert_eq!(refused(raft, empty), StepError::Rejected(reason));
    // After a crash, the snapshot that was being taken has never been.
    step(raft, Input::Restart { torn: None });
    assert_eq!(raft.taking_snapshot(), None);
    assert_eq!(step(raft, said(0, at(3, 1))), []);
    assert_eq!(raft.snapshot(), None);
}

/// Rule S1, M2.
#[test]
fn a_snapshot_that_has_failed_makes_room_for_another() {
    let raft = &mut alone(0);
    step(raft, take(3));
    let failed = |incarnation, last| Input::SnapshotFailed { incarnation, last };
    for other in [failed(1, at(3, 1)), failed(0, at(2, 1)), failed(0, at(3, 2))] {
        let before = raft.clone();
        assert_eq!(step(raft, other), []);
        assert!(*raft == before);
    }
    assert_eq!(step(raft, failed(0, at(3, 1))), []);
    assert_eq!(raft.taking_snapshot(), None);
    let late = Input::SnapshotTaken { incarnation: 0, last: at(3, 1), size: 3 };
    assert_eq!(step(raft, late), []);
    assert_eq!(raft.snapshot(), None);
    snapshot(raft, 4, b"four");
    assert_eq!(raft.snapshot().map(|own| own.id.last), Some(at(4, 1)));
}

/// Whether a step says that a snapshot is due, which it says once at most.
fn is_due(outputs: &[Output]) -> bool {
    let said = outputs.iter().filter(|output| **output == Output::SnapshotDue).count();
    assert!(said <= 1, "{outputs:?}");
    said == 1
}

/// The only voter, which finds a snapshot due after so many bytes.
fn counting(snapshot_bytes: u64) -> Raft<MemoryStore> {
    let mut config = Config::new(S1, [S1]);
    config.pre_vote = false;
    config.snapshot_bytes = snapshot_bytes;
    let mut raft = start(config);
    assert!(!is_due(&step(&mut raft, Input::ElectionTimeout)));
    raft
}

#[test]
fn a_snapshot_is_due_after_so_many_bytes_and_that_is_said_once() {
    // A no-op counts 24 bytes and each command 100.
    let raft = &mut counting(224);
    let said: Vec<bool> = (0..5).map(|_| is_due(&step(raft, propose(&[76])))).collect();
    assert_eq!(said, [false, true, false, false, false]);
    // Counted anew from when it is begun. Not said while it is being taken, but then.
    let asked = step(raft, take(4));
    let said: Vec<bool> = (0..4).map(|_| is_due(&step(raft, propose(&[76])))).collect();
    assert_eq!(said, [false; 4]);
    assert!(is_due(&taken(raft, &asked[0], b"four")));
    assert!(!is_due(&step(raft, propose(&[76]))));
    // The same if it fails.
    step(raft, take(5));
    assert!(!is_due(&step(raft, propose(&[76, 76, 76]))));
    assert!(is_due(&step(raft, Input::SnapshotFailed { incarnation: 0, last: at(5, 1) })));
    // And not if there has been less.
    step(raft, take(5));
    assert!(!is_due(&step(raft, propose(&[76, 76]))));
    assert!(!is_due(&step(raft, Input::SnapshotFailed { incarnation: 0, last: at(5, 1) })));
    assert!(is_due(&step(raft, propose(&[0]))));
    // After a restart the log is handed over again.
    step(raft, Input::Restart { torn: None });
    assert_eq!(raft.observe().unwrap().bytes_since_snapshot, 0);
    let raft = &mut counting(0);
    assert!(!is_due(&step(raft, propose(&[76]))));
    assert_eq!(raft.observe().unwrap().bytes_since_snapshot, 0);
    // None is ever due, not even after one that was asked for.
    let asked = step(raft, take(2));
    assert!(!is_due(&taken(raft, &asked[0], b"two")));
}

#[test]
fn the_configuration_of_a_snapshot_is_the_one_as_of_its_last_entry() {
    let raft = &mut alone(0);
    let change = "add-learner 2".parse().unwrap();
    step(raft, Input::ChangeMembership { change, expected: None });
    assert_eq!((raft.configuration_index(), raft.applied_index()), (LogIndex(6), LogIndex(6)));
    let with_learner = raft.configuration().clone();
    snapshot(raft, 5, b"five");
    assert_eq!(raft.snapshot().unwrap().configuration, Configuration::of_voters([S1]));
    assert_eq!(raft.configuration(), &with_learner);
    step(raft, propose(&[1]));
    snapshot(raft, 7, b"seven");
    let covered = raft.snapshot().unwrap();
    assert_eq!(covered.configuration, with_learner);
    assert_eq!(covered.configuration_position, at(6, 1));
    // In the log it is no more, and in force it is still, also after a restart.
    let in_force = (raft.configuration().clone(), raft.configuration_position());
    assert_eq!(in_force, (with_learner, at(6, 1)));
    step(raft, Input::Restart { torn: None });
    assert_eq!((raft.configuration().clone(), raft.configuration_position()), in_force);
}

#[test]
fn a_configuration_that_the_snapshot_covers_may_be_in_the_log_still() {
    let raft = &mut alone(2);
    for change in ["add-learner 2", "add-learner 3"] {
        let change = change.parse().unwrap();
        step(raft, Input::ChangeMembership { change, expected: None });
    }
    // At 6 and 7. The snapshot of 7 lets go of what is before 6.
    let in_force = (raft.configuration().clone(), raft.configuration_position());
    snapshot(raft, 7, b"seven");
    for _ in 0..2 {
        assert_eq!((raft.log_base(), raft.last_index()), (at(5, 1), LogIndex(7)));
        assert_eq!((raft.configuration().clone(), raft.configuration_position()), in_force);
        assert_eq!(raft.snapshot().unwrap().configuration_position, at(7, 1));
        step(raft, Input::Restart { torn: None });
    }
}

/// A follower of server 2 in term 2 that holds five entries and has executed three.
fn follower(kept_entries: u64) -> Raft<MemoryStore> {
    let mut config = config();
    config.kept_entries = kept_entries;
    let mut raft = start(config);
    step(&mut raft, deliver(S2, append(2, at(0, 0), &[1, 1, 2, 2, 2], 3)));
    raft
}

#[test]
fn a_server_starts_behind_its_snapshot() {
    for (kept, base, left) in [(0, at(3, 2), 2), (1, at(2, 1), 3), (9, at(0, 0), 5)] {
        let raft = &mut follower(kept);
        let asked = step(raft, take(3));
        let outputs = taken(raft, &asked[0], b"three");
        // The disk may forget entries later than it is told, or never.
        for forgets in [false, true] {
            outputs.iter().filter(|_| forgets).for_each(|output| raft.store_mut().write(output));
            step(raft, Input::Restart { torn: None });
            let observation = raft.observe().unwrap();
            assert_eq!((observation.log_base, observation.log.len()), (base, left));
            let indexes = (raft.commit_index().0, raft.applied_index().0, raft.durable_index().0);
            assert_eq!(indexes, (3, 3, 5));
            assert_eq!(observation.durable_snapshot, raft.snapshot().map(|own| own.id));
            assert_eq!(raft.broken_invariant(), None);
        }
        // It applies what is behind the snapshot.
        let outputs = step(raft, deliver(S2, append(2, at(5, 2), &[], 5)));
        let applied = outputs.iter().find_map(|output| match output {
            Output::Apply { entries } => Some((entries.first_index(), entries.last_index())),
            _ => None,
        });
        assert_eq!(applied, Some((Some(LogIndex(4)), Some(LogIndex(5)))));
    }
}

#[test]
fn a_log_that_lacks_what_the_snapshot_covers_goes_when_the_server_starts() {
    let hard_state = HardState { term: Term(3), vote: None };
    let logs: [&[u64]; 4] = [&[], &[1, 2], &[1, 1, 2, 2], &[1, 1, 1, 3, 3]];
    for terms in logs {
        let log: Vec<Entry> = (1..).zip(terms).map(|(index, term)| entry(index, *term)).collect();
        let mut store = MemoryStore::with(hard_state, log);
        store.keep_snapshot(of_two(at(4, 3), 4), b"four".as_slice().into());
        let holds = terms.get(3) == Some(&3);
        let mut config = config();
        config.kept_entries = 1;
        let mut raft = Raft::start(config, store).unwrap();
        let (base, last) = if holds { (at(3, 1), 5) } else { (at(4, 3), 4) };
        assert_eq!((raft.log_base(), raft.last_index()), (base, LogIndex(last)));
        assert_eq!((raft.durable_index(), raft.commit_index()), (LogIndex(last), LogIndex(4)));
        // What is written from now on is there after the next start.
        step(&mut raft, deliver(S2, append(3, at(4, 3), &[3, 3, 3], 4)));
        step(&mut raft, Input::Restart { torn: None });
        assert_eq!((raft.log_base(), raft.last_index()), (base, LogIndex(7)));
    }
}

/// What is committed elsewhere and executed here may still be on its way to this server's disk
/// (rule S1).
#[test]
fn no_snapshot_is_taken_of_what_is_not_on_disk() {
    let raft = &mut start(config());
    step(raft, deliver(S2, append(1, at(0, 0), &[1, 1], 0)));
    let (writes, _) = begin(raft, deliver(S2, append(2, at(1, 1), &[2, 2, 2], 4)));
    assert_eq!((raft.applied_index(), raft.durable_index()), (LogIndex(4), LogIndex(1)));
    assert_eq!(refusal(raft, 2), Refusal::NotSettled { settled: LogIndex(1) });
    writes.iter().for_each(|write| {
        complete(raft, write);
    });
    let (_, asked) = begin(raft, take(4));
    assert!(matches!(asked[..], [Output::TakeSnapshot { .. }]), "{asked:?}");
}

#[test]
fn a_store_with_what_no_server_leaves_is_not_started_with() {
    let start = |snapshot: Snapshot, term| {
        let mut store = MemoryStore::with(HardState { term: Term(term), vote: None }, vec![]);
        store.keep_snapshot(snapshot, b"x".as_slice().into());
        Raft::start(config(), store)
    };
    let good = of_two(at(3, 2), 1);
    assert!(start(good.clone(), 2).is_ok());
    let nobody = Configuration::default();
    let bad = [
        (of_two(at(3, 2), 0), 2),
        (of_two(at(3, 0), 1), 2),
        (Snapshot { configuration: nobody, ..good.clone() }, 2),
        (Snapshot { configuration_position: at(4, 2), ..good.clone() }, 2),
        (Snapshot { configuration_position: at(3, 0), ..good }, 2),
    ];
    for (snapshot, term) in bad {
        let error = start(snapshot.clone(), term).unwrap_err();
        assert!(
            matches!(error, StartError::Store(StoreError::Corrupt(_))),
            "{snapshot:?}: {error}"
        );
    }
    // A log that begins behind nothing that is known.
    let mut store = MemoryStore::with(HardState { term: Term(2), vote: None }, vec![]);
    store.drop_log(at(3, 2)).unwrap();
    let error = Raft::start(config(), store.clone()).unwrap_err();
    assert!(error.to_string().contains("there is no snapshot"), "{error}");
    store.keep_snapshot(of_two(at(2, 2), 1), b"x".as_slice().into());
    let error = Raft::start(config(), store).unwrap_err();
    assert!(error.to_string().contains("its snapshot is of 2"), "{error}");
}

/// L2, L3.
#[test]
fn entries_below_the_base_are_taken_for_known() {
    let raft = &mut follower(0);
    snapshot(raft, 3, b"three");
    let answer = |index| {
        let Message::AppendEntriesReply { outcome, .. } = matched(2, index) else { panic!() };
        Message::AppendEntriesReply { term: Term(2), outcome }
    };
    // From below the base to below it, to it, and beyond what there is.
    for (prev, terms, index) in [(1, &[1][..], 2), (1, &[1, 2], 3), (0, &[1, 1, 2, 2, 2, 2], 6)] {
        let prev = if prev == 0 { at(0, 0) } else { at(prev, 1) };
        let outputs = step(raft, deliver(S2, append(2, prev, terms, 3)));
        let sent = Output::Send { to: S2, message: answer(index) };
        assert!(outputs.contains(&sent), "{outputs:?}");
        assert_eq!(raft.broken_invariant(), None);
    }
    assert_eq!((raft.log_base(), raft.last_index()), (at(3, 2), LogIndex(6)));
}

/// L2.
#[test]
fn a_refusal_offers_the_base_at_the_lowest() {
    let raft = &mut follower(0);
    snapshot(raft, 3, b"three");
    // Of entries behind the base, all are of a later term than what is asked for, or there is none.
    for (prev, hint) in [(at(5, 3), at(4, 2)), (at(4, 3), at(3, 2)), (at(9, 2), at(5, 2))] {
        let outputs = step(raft, deliver(S2, append(3, prev, &[], 0)));
        let message = mismatch(3, prev.index.0, hint);
        assert!(outputs.contains(&Output::Send { to: S2, message }), "{outputs:?}");
    }
}

#[test]
fn payloads_survive_being_let_go_of_in_the_middle_of_a_piece() {
    let raft = &mut alone(0);
    step(raft, propose(&[10, 20, 30]));
    snapshot(raft, 7, b"seven");
    let sizes: Vec<usize> = raft.observe().unwrap().log.iter().map(size).collect();
    assert_eq!(sizes, [30]);
    assert_eq!(raft.broken_invariant(), None);
}

fn size(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Command(command) => command.len(),
        _ => 0,
    }
}
