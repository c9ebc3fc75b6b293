//! Leases: reads that ask nobody, and when they have to ask again (rule C4).

use crate::support::{
    HEARTBEAT, S2, S3, Server, TIMEOUT, answers, append, at, config, leader, matched, roles,
    sent_to, start,
};
use kontiki::driver::{Consistency, DriverConfig, Effect, Outcome, Timings};
use kontiki::{LogIndex, Message, RoleKind, Term};
use std::time::Duration;

fn leases() -> DriverConfig {
    let mut config = config();
    config.raft.leases = true;
    config
}

/// The last round that S2 is asked about.
fn asked(effects: &[Effect]) -> Option<u64> {
    let round = |message| match message {
        Message::ConfirmLeadership { round, .. } => Some(round),
        _ => None,
    };
    sent_to(effects, S2).into_iter().filter_map(round).next_back()
}

/// A leader that has just begun a round and is confirmed in it by S3 after so long.
fn confirmed_after(passed: Duration) -> Server {
    let mut server = leader(leases());
    let round = loop {
        let effects = server.live(Duration::from_millis(1));
        if let Some(round) = asked(&effects) {
            break round;
        }
    };
    server.now = server.now.plus(passed);
    server.hears(S3, Message::ConfirmLeadershipReply { term: Term(1), round });
    server
}

/// Whether a read is answered at once.
fn is_read(server: &mut Server) -> bool {
    let (ticket, event) = server.reads(Consistency::Linearizable);
    let effects = server.tell(event);
    let readable = Outcome::Readable { index: LogIndex(1) };
    answers(&effects) == [(ticket, readable)]
}

#[test]
fn reads_are_answered_at_once_until_the_time_of_the_round_is_up() {
    let lease = leases().timings.lease();
    let mut server = confirmed_after(Duration::from_millis(20));
    assert!(is_read(&mut server));
    // The time counts from the question, and is looked at before the read.
    server.now = server.now.plus(lease - Duration::from_millis(21));
    assert!(is_read(&mut server));
    server.now = server.now.plus(Duration::from_millis(2));
    assert!(!is_read(&mut server));
}

/// Rounds are counted from 1 in every term. The times of those of an earlier leadership say nothing.
#[test]
fn the_lease_of_a_second_leadership_ends_like_that_of_the_first() {
    let mut server = confirmed_after(Duration::from_millis(20));
    for _ in 0..5 {
        server.live(HEARTBEAT);
        server.hears(S3, matched(1, 1));
    }
    server.hears(S2, append(2, at(1, 1), &[2], 2));
    while server.driver.server().role() == RoleKind::Follower {
        server.at(server.driver.next_deadline().unwrap());
    }
    server.hears(S2, Message::RequestPreVoteReply { term: Term(2), granted: true });
    server.hears(S2, Message::RequestVoteReply { term: Term(3), granted: true });
    server.hears(S2, matched(3, 3));
    let round = loop {
        let effects = server.live(Duration::from_millis(1));
        if let Some(round) = asked(&effects) {
            break round;
        }
    };
    server.hears(S3, Message::ConfirmLeadershipReply { term: Term(3), round });
    let read = |server: &mut Server| {
        let (_, event) = server.reads(Consistency::Linearizable);
        !answers(&server.tell(event)).is_empty()
    };
    assert!(read(&mut server));
    server.now = server.now.plus(leases().timings.lease());
    assert!(!read(&mut server));
}

#[test]
fn answers_that_come_when_the_time_is_up_give_no_lease() {
    let mut server = confirmed_after(leases().timings.lease());
    assert!(!is_read(&mut server));
}

#[test]
fn who_starts_waits_for_a_timeout_as_if_it_had_heard_from_a_leader() {
    let mut server = start(leases());
    assert!(server.driver.server().has_leader_contact());
    server.live(TIMEOUT - Duration::from_nanos(1));
    assert!(server.driver.server().has_leader_contact());
    server.live(Duration::from_nanos(1));
    assert!(!server.driver.server().has_leader_contact());
    assert_eq!(roles(&server.live(TIMEOUT)), [RoleKind::PreCandidate]);
}

#[test]
fn a_lease_is_as_much_shorter_as_clocks_may_differ() {
    let timings = Timings { drift_ppm: 10_000, ..Timings::default() };
    assert!(timings.lease() * 101 / 100 <= timings.election_timeout);
    assert!(timings.lease() * 102 / 100 > timings.election_timeout);
    let timings = Timings { drift_ppm: 0, ..Timings::default() };
    assert_eq!(timings.lease(), timings.election_timeout);
}
