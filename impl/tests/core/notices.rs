//! What a driver is told, so that it need not look for it after every step.

use crate::support::*;
use kontiki::core::Config;
use kontiki::{Input, LogIndex, MembershipChange, Message, Output, ServerId, Term};

fn with_contact() -> Config {
    let mut config = config();
    config.leader_contact = true;
    config
}

const ELECTION: Output = Output::ResetElectionTimer { leader_contact: false };
const CONTACT: Output = Output::ResetElectionTimer { leader_contact: true };

fn resets(outputs: &[Output]) -> Vec<&Output> {
    let timers = |output: &&Output| matches!(output, Output::ResetElectionTimer { .. });
    outputs.iter().filter(timers).collect()
}

/// E1, E8: the wait for an election timeout begins anew when a leader is heard, also by entries that
/// are refused, when a vote is given, with every campaign, and when leadership ends.
#[test]
fn when_timers_begin_anew() {
    let raft = &mut start(with_contact());
    let refused = deliver(S2, append(1, at(7, 1), &[], 0));
    assert_eq!(resets(&step(raft, refused)), [&CONTACT]);
    let request = |term| Message::RequestVote { term: Term(term), last: at(0, 0), transfer: false };
    assert_eq!(resets(&step(raft, deliver(S3, request(2)))), [] as [&Output; 0], "it is ignored");
    step(raft, Input::LeaderContactExpired);
    assert_eq!(resets(&step(raft, deliver(S3, request(2)))), [&ELECTION], "it votes");
    assert_eq!(resets(&step(raft, deliver(S2, request(2)))), [] as [&Output; 0], "it does not");
    assert_eq!(resets(&step(raft, deliver(S2, append(1, at(0, 0), &[], 0)))), [] as [&Output; 0]);
    assert_eq!(resets(&step(raft, Input::ElectionTimeout)), [&ELECTION]);
    step(raft, deliver(S2, vote(3)));
    assert_eq!(resets(&step(raft, Input::ElectionTimeout)), [] as [&Output; 0], "it leads");
    let outputs = step(raft, deliver(S2, Message::LaterTerm { term: Term(4) }));
    assert_eq!(resets(&outputs), [&ELECTION]);
    assert!(outputs.contains(&Output::LeaderChanged { term: Term(4), leader: None }));
}

/// A server that may not campaign waits on all the same: it may be made a voter meanwhile.
#[test]
fn who_may_not_campaign_waits_on() {
    let mut config = config();
    config.id = ServerId(4);
    let raft = &mut start(config);
    assert_eq!(step(raft, Input::ElectionTimeout), [ELECTION]);
}

#[test]
fn a_leader_is_known_and_entries_are_dropped() {
    let raft = &mut start(config());
    let known = |term, leader| Output::LeaderChanged { term: Term(term), leader: Some(leader) };
    let outputs = step(raft, deliver(S2, append(1, at(0, 0), &[1, 1, 1], 0)));
    assert!(outputs.contains(&known(1, S2)));
    let outputs = step(raft, deliver(S2, append(1, at(3, 1), &[], 0)));
    assert!(!outputs.contains(&known(1, S2)), "nothing new");
    let outputs = step(raft, deliver(S3, append(2, at(1, 1), &[2], 0)));
    let dropped = Output::Truncated { first_index: LogIndex(2), last_index: LogIndex(3) };
    assert!(outputs.contains(&dropped) && outputs.contains(&known(2, S3)), "{outputs:?}");
    // The same leader in a later term is told, too.
    let outputs = step(raft, deliver(S3, append(4, at(2, 2), &[], 0)));
    assert!(outputs.contains(&known(4, S3)));
}

#[test]
fn changes_and_transfers_are_told() {
    let raft = &mut leader(config());
    let transfer = Input::TransferLeadership { to: S2 };
    let begun = Output::TransferBegun { to: S2 };
    assert!(step(raft, transfer.clone()).contains(&begun));
    assert!(!step(raft, transfer.clone()).contains(&begun), "it is under way");
    let given_up = Output::TransferGivenUp { to: S2 };
    assert_eq!(step(raft, Input::TransferExpired), [given_up]);
    assert_eq!(step(raft, Input::TransferExpired), []);
    let change = MembershipChange::AddLearner(ServerId(4));
    step(raft, Input::ChangeMembership { change, expected: None });
    let completed = Output::ChangeCompleted { position: at(2, 1) };
    assert!(step(raft, deliver(S2, matched(1, 2))).contains(&completed));
    step(raft, transfer);
    let outputs = step(raft, deliver(S2, append(2, at(2, 1), &[2], 0)));
    assert!(outputs.contains(&Output::TransferEnded { to: S2 }), "{outputs:?}");
}
