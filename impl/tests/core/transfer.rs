//! Handing leadership over (E10), as a driver and an operator see it.

use crate::cluster::Cluster;
use crate::support::{S1, S2, S3, config, deliver, leader, matched, step};
use kontiki::core::Raft;
use kontiki::storage::MemoryStore;
use kontiki::{Input, LogIndex, Message, Output, Refusal, RoleKind, ServerId, Term};

fn to(server: ServerId) -> Input {
    Input::TransferLeadership { to: server }
}

fn tells(outputs: &[Output], server: ServerId) -> bool {
    let message = Message::TimeoutNow { term: Term(1) };
    outputs.contains(&Output::Send { to: server, message })
}

fn propose(raft: &mut Raft<MemoryStore>) -> Vec<Output> {
    step(raft, Input::Propose { commands: vec![vec![b'x'].into()] })
}

#[test]
fn it_goes_to_another_voter_only() {
    let mut config = config();
    config.bootstrap.as_mut().unwrap().learners.insert(ServerId(4));
    let raft = &mut leader(config);
    for server in [S1, ServerId(4), ServerId(5)] {
        let refusal = Refusal::NotAnotherVoter { server };
        assert_eq!(step(raft, to(server)), [Output::Refused { refusal }]);
        assert_eq!(raft.transfers_to(), None);
    }
    let mut cluster = Cluster::new(3, 0, |_| {});
    cluster.elect(1);
    cluster.happen(2, to(S3));
    assert_eq!(cluster.refusal(2), Some(Refusal::NotLeader { leader: Some(S1) }));
}

/// Who holds the leader's whole log is told at once, and everybody votes for it.
#[test]
fn it_is_done_in_one_go_when_the_successor_has_all() {
    let mut cluster = Cluster::new(3, 0, |_| {});
    cluster.elect(1);
    cluster.heartbeat(1);
    assert!(cluster.server(2).has_leader_contact());
    cluster.happen(1, to(S3));
    assert_eq!(cluster.leaders(), [3]);
    assert_eq!(cluster.server(3).term(), Term(2));
    assert_eq!(cluster.server(1).role(), RoleKind::Follower);
    cluster.heartbeat(3);
    assert_eq!(cluster.server(1).commit_index(), LogIndex(2));
}

/// Until the successor holds all, it is not told, and nothing new comes to what it has to hold.
#[test]
fn it_waits_until_the_successor_has_all() {
    let raft = &mut leader(config());
    assert!(!tells(&step(raft, to(S3)), S3));
    assert_eq!(raft.transfers_to(), Some(S3));
    let refusal = Refusal::TransferUnderWay { to: S3 };
    let refused = [Output::Refused { refusal }];
    assert_eq!(propose(raft), refused);
    assert_eq!(step(raft, to(S2)), refused);
    let change = "remove 2".parse().unwrap();
    assert_eq!(step(raft, Input::ChangeMembership { change, expected: None }), refused);
    assert_eq!(raft.last_index(), LogIndex(1));
    assert!(tells(&step(raft, deliver(S3, matched(1, 1))), S3));
    // The message may have been lost.
    assert!(tells(&step(raft, Input::HeartbeatTimeout), S3));
}

/// The leader goes, and leadership was to go to the voter whose answer lets it go.
#[test]
fn it_is_done_by_a_leader_that_takes_itself_out() {
    let raft = &mut leader(config());
    let change = "remove 1".parse().unwrap();
    step(raft, Input::ChangeMembership { change, expected: None });
    step(raft, to(S2));
    assert!(!tells(&step(raft, deliver(S3, matched(1, 2))), S3));
    assert!(tells(&step(raft, deliver(S2, matched(1, 2))), S2));
    assert_eq!(raft.role(), RoleKind::Follower);
}

#[test]
fn it_is_given_up_when_it_takes_too_long() {
    let raft = &mut leader(config());
    step(raft, to(S3));
    step(raft, Input::TransferExpired);
    assert_eq!(raft.transfers_to(), None);
    assert!(propose(raft).iter().any(|output| matches!(output, Output::Proposed { .. })));
    assert!(!tells(&step(raft, deliver(S3, matched(1, 2))), S3));
    assert!(tells(&step(raft, to(S3)), S3), "and it may be tried again");
}
