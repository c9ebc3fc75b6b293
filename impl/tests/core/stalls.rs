//! A disk that makes no progress, and completions of an earlier incarnation (E12, L11).

use crate::support::*;
use kontiki::core::{Outputs, Raft, Rejection, StepError, completion};
use kontiki::storage::MemoryStore;
use kontiki::{Input, LogIndex, Message, Output, RoleKind, Term};

/// Takes a step and leaves the writes to the test.
fn begin(raft: &mut Raft<MemoryStore>, input: Input) -> Vec<Output> {
    let mut outputs = Outputs::new();
    raft.step(input, &mut outputs).unwrap();
    outputs.drain().collect()
}

fn write(raft: &mut Raft<MemoryStore>, output: &Output) -> Vec<Output> {
    raft.store_mut().write(output);
    begin(raft, completion(output).unwrap())
}

#[test]
fn a_leader_whose_disk_stalls_gives_way() {
    let raft = &mut leader(config());
    assert_eq!(begin(raft, Input::DiskStalled), [], "no write is outstanding");
    let outputs = begin(raft, propose(&[1]));
    let stepped_down = Output::RoleChanged { role: RoleKind::Follower };
    assert!(begin(raft, Input::DiskStalled).contains(&stepped_down));
    assert!(raft.disk_stalls());
    assert_eq!(raft.leader(), None);
    for input in [Input::HeartbeatTimeout, Input::ElectionTimeout, Input::DiskStalled] {
        begin(raft, input.clone());
        assert_eq!((raft.role(), raft.term()), (RoleKind::Follower, Term(1)), "{input}");
    }
    let told = Message::TimeoutNow { term: Term(1) };
    assert_eq!(begin(raft, deliver(S2, told)), [], "not even when it is told to");
    write(raft, &outputs[0]);
    assert!(!raft.disk_stalls());
    begin(raft, Input::ElectionTimeout);
    assert_eq!((raft.role(), raft.term()), (RoleKind::Candidate, Term(2)));
}

#[test]
fn a_candidate_whose_disk_stalls_gives_way() {
    for pre_vote in [false, true] {
        let mut config = config();
        config.pre_vote = pre_vote;
        let raft = &mut start(config);
        step(raft, deliver(S2, append(1, at(0, 0), &[], 0)));
        let entries = begin(raft, deliver(S2, append(1, at(0, 0), &[1], 0)));
        begin(raft, Input::ElectionTimeout);
        assert_ne!(raft.role(), RoleKind::Follower);
        begin(raft, Input::DiskStalled);
        assert_eq!(raft.role(), RoleKind::Follower);
        write(raft, &entries[0]);
        assert!(!raft.disk_stalls());
    }
}

/// The same leader sends the same entry again after a crash: a completion of the write that the
/// crash has lost says nothing of the new one.
#[test]
fn a_completion_of_an_earlier_incarnation_is_rejected() {
    let raft = &mut start(config());
    let heartbeat = deliver(S2, append(1, at(0, 0), &[], 0));
    step(raft, heartbeat.clone());
    let entries = deliver(S2, append(1, at(0, 0), &[1], 0));
    let lost = begin(raft, entries.clone());
    step(raft, Input::Restart { torn: None });
    assert_eq!(raft.config().incarnation, 1);
    let again = begin(raft, entries);
    assert_ne!(lost, again);
    let late = completion(&lost[0]).unwrap();
    assert_eq!(refused(raft, late), StepError::Rejected(Rejection::UnexpectedCompletion));
    assert_eq!(raft.durable_index(), LogIndex(0));
    let acknowledged = Output::Send { to: S2, message: matched(1, 1) };
    assert_eq!(write(raft, &again[0]), [acknowledged]);
}

/// A server that is started anew over the same disk is told which incarnation it is.
#[test]
fn a_new_start_names_its_incarnation() {
    let mut config = config();
    config.incarnation = 7;
    let raft = &mut start(config);
    let outputs = begin(raft, Input::ElectionTimeout);
    assert!(
        matches!(
            outputs[0],
            Output::WriteHardState { incarnation: 7, term: Term(1), vote: Some(S1) }
        ),
        "{outputs:?}"
    );
}
