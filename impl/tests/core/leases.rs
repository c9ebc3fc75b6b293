//! Reads by lease: rule C4.

use crate::support::{S1, S2, S3, append, at, config, deliver, leader, matched, start, step, vote};
use kontiki::core::{Config, ConfigError, Raft};
use kontiki::storage::MemoryStore;
use kontiki::{
    Input, LogIndex, MembershipChange, Message, Output, ReadId, RoleKind, ServerId, Term,
};

fn leases() -> Config {
    let mut config = config();
    (config.leader_contact, config.leases) = (true, true);
    config
}

fn read(read: u64) -> Input {
    Input::Read { read: ReadId(read) }
}

fn ready(read: u64, index: u64) -> Output {
    Output::ReadReady { read: ReadId(read), index: LogIndex(index) }
}

fn confirms(from: ServerId, round: u64) -> Input {
    deliver(from, Message::ConfirmLeadershipReply { term: Term(1), round })
}

fn expires(round: u64) -> Input {
    Input::LeaseExpired { round }
}

/// The round that a step begins or asks about again, if it does.
fn asked(outputs: &[Output]) -> Option<u64> {
    outputs.iter().find_map(|output| match output {
        Output::Send { message: Message::ConfirmLeadership { round, .. }, .. } => Some(*round),
        _ => None,
    })
}

fn heartbeat(raft: &mut Raft<MemoryStore>) -> Option<u64> {
    asked(&step(raft, Input::HeartbeatTimeout))
}

/// A leader that has a lease by its first round.
fn holder() -> Raft<MemoryStore> {
    let mut raft = leader(leases());
    assert_eq!(heartbeat(&mut raft), Some(1));
    assert_eq!(step(&mut raft, confirms(S2, 1)), []);
    raft
}

fn request(term: u64, transfer: bool) -> Message {
    Message::RequestVote { term: Term(term), last: at(9, term - 1), transfer }
}

#[test]
fn c4_leases_need_leader_contact() {
    let mut config = leases();
    config.leader_contact = false;
    assert_eq!(config.check(), Err(ConfigError::LeasesWithoutContact));
    assert_eq!(leases().check(), Ok(()));
}

#[test]
fn c4_with_a_lease_reads_are_answered_at_once() {
    let mut raft = holder();
    assert_eq!(step(&mut raft, read(1)), [ready(1, 1)]);
    let question = deliver(S3, Message::ReadIndex { term: Term(1), read: ReadId(2) });
    let (term, read_id, index) = (Term(1), ReadId(2), LogIndex(1));
    let message = Message::ReadIndexReply { term, read: read_id, index };
    assert_eq!(step(&mut raft, question), [Output::Send { to: S3, message }]);
    step(&mut raft, expires(1));
    assert_eq!(asked(&step(&mut raft, read(3))), Some(2));
}

#[test]
fn c4_without_leases_heartbeats_ask_nothing_and_no_lease_is_had() {
    let mut raft = leader(config());
    assert_eq!(heartbeat(&mut raft), None);
    step(&mut raft, read(1));
    assert_eq!(step(&mut raft, confirms(S2, 1)), [ready(1, 1)]);
    assert_eq!(asked(&step(&mut raft, read(2))), Some(2));
    assert_eq!(step(&mut raft, expires(2)), []);
}

#[test]
fn c4_a_round_whose_time_is_up_gives_no_lease() {
    let mut raft = leader(leases());
    assert_eq!(heartbeat(&mut raft), Some(1));
    step(&mut raft, expires(1));
    step(&mut raft, confirms(S2, 1));
    assert_eq!(asked(&step(&mut raft, read(1))), Some(2));
    step(&mut raft, expires(2));
    assert_eq!(step(&mut raft, confirms(S2, 2)), [ready(1, 1)], "as by rule C3");
    assert_eq!(asked(&step(&mut raft, read(2))), Some(3));
}

#[test]
fn c4_a_round_whose_time_is_up_still_counts_for_the_reads_that_wait_for_it() {
    let five = Config::new(S1, (1..=5).map(ServerId)).bootstrap;
    let mut raft = start(Config { bootstrap: five, ..leases() });
    step(&mut raft, Input::ElectionTimeout);
    for follower in [S2, S3] {
        step(&mut raft, deliver(follower, vote(1)));
    }
    for follower in [S2, S3] {
        step(&mut raft, deliver(follower, matched(1, 1)));
    }
    assert_eq!(asked(&step(&mut raft, read(1))), Some(1));
    assert_eq!(step(&mut raft, confirms(S2, 1)), []);
    step(&mut raft, expires(1));
    assert_eq!(step(&mut raft, confirms(S3, 1)), [ready(1, 1)]);
}

#[test]
fn c4_a_heartbeat_repeats_the_question_until_it_is_answered_or_its_time_is_up() {
    let mut raft = leader(leases());
    assert_eq!(heartbeat(&mut raft), Some(1));
    assert_eq!(heartbeat(&mut raft), Some(1));
    step(&mut raft, confirms(S3, 1));
    assert_eq!(heartbeat(&mut raft), Some(2));
    step(&mut raft, expires(2));
    assert_eq!(heartbeat(&mut raft), Some(3));
}

#[test]
fn c4_a_lease_outlasts_the_time_of_earlier_rounds_only() {
    let mut raft = holder();
    heartbeat(&mut raft);
    step(&mut raft, confirms(S2, 2));
    step(&mut raft, expires(1));
    assert_eq!(step(&mut raft, read(1)), [ready(1, 1)]);
    // A driver may say too much: then there is no lease until the next round.
    step(&mut raft, expires(u64::MAX));
    assert_eq!(asked(&step(&mut raft, read(2))), Some(3));
    step(&mut raft, confirms(S3, 3));
    assert_eq!(step(&mut raft, read(3)), [ready(3, 1)]);
}

#[test]
fn c4_who_tells_another_to_campaign_has_no_lease_any_more_in_its_term() {
    let mut raft = holder();
    step(&mut raft, Input::TransferLeadership { to: S2 });
    assert_eq!(asked(&step(&mut raft, read(1))), Some(2));
    step(&mut raft, Input::TransferExpired);
    assert_eq!(step(&mut raft, confirms(S2, 2)), [ready(1, 1)]);
    assert_eq!(heartbeat(&mut raft), None);
    assert_eq!(asked(&step(&mut raft, read(2))), Some(3));
}

#[test]
fn c4_a_transfer_that_has_to_wait_leaves_the_lease() {
    let mut raft = holder();
    step(&mut raft, Input::TransferLeadership { to: S3 });
    assert_eq!(step(&mut raft, read(1)), [ready(1, 1)], "S3 lacks the log, and is told nothing");
    step(&mut raft, deliver(S3, matched(1, 1)));
    assert_eq!(asked(&step(&mut raft, read(2))), Some(2));
}

#[test]
fn c4_rounds_before_a_configuration_give_no_lease_in_it() {
    let mut config = leases();
    config.catch_up_rounds = 0;
    let mut raft = leader(config);
    heartbeat(&mut raft);
    let change = MembershipChange::AddVoter(ServerId(4));
    step(&mut raft, Input::ChangeMembership { change, expected: None });
    step(&mut raft, confirms(S2, 1));
    step(&mut raft, confirms(S3, 1));
    assert_eq!(asked(&step(&mut raft, read(1))), Some(2));
}

#[test]
fn c4_no_read_is_answered_before_the_leader_has_committed_in_its_term() {
    let mut raft = start(leases());
    step(&mut raft, Input::LeaderContactExpired);
    step(&mut raft, Input::ElectionTimeout);
    step(&mut raft, deliver(S2, vote(1)));
    assert_eq!(heartbeat(&mut raft), Some(1));
    step(&mut raft, confirms(S2, 1));
    assert_eq!(asked(&step(&mut raft, read(1))), Some(2));
    let committed = step(&mut raft, deliver(S2, matched(1, 1)));
    assert_eq!(committed.last(), Some(&ready(1, 1)), "by the lease of the first round");
}

#[test]
fn c4_who_starts_is_in_contact() {
    let mut raft = start(leases());
    assert!(raft.has_leader_contact());
    assert_eq!(step(&mut raft, deliver(S2, request(2, false))), []);
    assert_eq!(raft.term(), Term(0));
    step(&mut raft, Input::LeaderContactExpired);
    step(&mut raft, deliver(S2, request(2, false)));
    assert_eq!(raft.term(), Term(2));
    step(&mut raft, Input::Restart { torn: None });
    assert!(raft.has_leader_contact());
    assert!(!start(config()).has_leader_contact());
}

#[test]
fn c4_a_follower_keeps_its_promise_in_a_later_term() {
    let later = deliver(S3, Message::LaterTerm { term: Term(5) });
    for (config, kept) in [(leases(), true), (config(), false)] {
        let mut raft = start(config);
        step(&mut raft, deliver(S2, append(1, at(0, 0), &[1], 0)));
        step(&mut raft, later.clone());
        assert_eq!((raft.term(), raft.has_leader_contact()), (Term(5), kept));
        assert_eq!((raft.role(), raft.leader()), (RoleKind::Follower, None));
    }
    // A leader or candidate has promised nothing.
    let mut raft = holder();
    step(&mut raft, later);
    assert!(!raft.has_leader_contact());
}

#[test]
fn c4_a_lease_ends_with_leadership() {
    let mut raft = holder();
    step(&mut raft, deliver(S2, append(2, at(1, 1), &[], 1)));
    step(&mut raft, Input::LeaderContactExpired);
    step(&mut raft, Input::ElectionTimeout);
    step(&mut raft, deliver(S3, vote(3)));
    assert_eq!(raft.role(), RoleKind::Leader);
    assert_eq!(asked(&step(&mut raft, read(1))), Some(1));
}

#[test]
fn c4_the_only_voter_needs_nobodys_promise() {
    let mut config = Config::new(S1, [S1]);
    config.leases = true;
    let mut raft = start(config);
    step(&mut raft, Input::LeaderContactExpired);
    step(&mut raft, Input::ElectionTimeout);
    for number in 1..4 {
        assert_eq!(step(&mut raft, read(number)), [ready(number, 1)]);
        step(&mut raft, Input::HeartbeatTimeout);
    }
}
