//! Changes of membership: when they are complete, and what becomes of those that are not (rules M1, M6,
//! M10).

use crate::support::{
    S1, S2, S3, Server, answers, append, at, config, follower, leader, matched, notices,
};
use kontiki::bytes::Bytes;
use kontiki::driver::{Doubt, Effect, Event, Notice, Outcome, Reason, Ticket};
use kontiki::{
    Configuration, LogIndex, LogPosition, MembershipChange, Message, Refusal, ServerId, Snapshot,
    SnapshotId, Term,
};

const S4: ServerId = ServerId(4);

fn change(server: &mut Server, change: MembershipChange) -> (Ticket, Vec<Effect>) {
    let ticket = server.ticket();
    let (expected, deadline) = (None, None);
    let event = Event::ChangeMembership { ticket, change, expected, deadline };
    (ticket, server.tell(event))
}

fn replace(voters: &[ServerId]) -> MembershipChange {
    MembershipChange::Replace { voters: voters.to_vec(), learners: Vec::new() }
}

#[test]
fn a_change_of_one_server_is_complete_when_it_is_committed() {
    let mut server = leader(config());
    let (ticket, effects) = change(&mut server, MembershipChange::AddLearner(S4));
    assert!(answers(&effects).is_empty());
    assert!(server.driver.status().change_under_way);
    let effects = server.hears(S2, matched(1, 2));
    assert_eq!(answers(&effects), [(ticket, Outcome::Changed { position: at(2, 1) })]);
    assert!(notices(&effects).contains(&Notice::ChangeCompleted { position: at(2, 1) }));
    let status = server.driver.status();
    assert_eq!((status.change_under_way, status.followers.len()), (false, 3));
    assert_eq!(status.configuration_position, at(2, 1));
}

#[test]
fn a_joint_change_is_complete_with_the_configuration_after_it() {
    let mut server = leader(config());
    let (ticket, _) = change(&mut server, replace(&[S1, S2]));
    let effects = server.hears(S2, matched(1, 2));
    assert!(answers(&effects).is_empty(), "the joint configuration is committed, and no more");
    let effects = server.hears(S2, matched(1, 3));
    assert_eq!(answers(&effects), [(ticket, Outcome::Changed { position: at(3, 1) })]);
}

/// Another leader has completed it, and this server learns of that by a snapshot, if that is of later.
#[test]
fn a_joint_change_may_be_completed_by_a_snapshot() {
    let is_told = |outgoing: &[ServerId], configuration_position| {
        let mut server = leader(config());
        let (ticket, _) = change(&mut server, replace(&[S1, S2]));
        server.hears(S2, matched(1, 2));
        let outgoing = outgoing.iter().copied().collect();
        let configuration = Configuration { outgoing, ..Configuration::of_voters([S1, S2]) };
        let id = SnapshotId { last: at(9, 2), taken_by: S2 };
        let snapshot = Snapshot { id, configuration, configuration_position, size: 2 };
        let (snapshot, data) = (Box::new(snapshot), Bytes::from_static(b"ab"));
        let message = Message::InstallSnapshot { term: Term(2), snapshot, offset: 0, data };
        let told = answers(&server.hears(S2, message));
        assert!(told.iter().all(|(of, _)| *of == ticket));
        told.into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>()
    };
    assert_eq!(is_told(&[], at(4, 2)), [Outcome::Changed { position: at(4, 2) }]);
    assert_eq!(is_told(&[S1, S2, S3], at(2, 1)), []);
}

#[test]
fn an_earlier_change_completes_no_later_one() {
    let mut config = config();
    config.raft.limits.apply_bytes = 1000;
    let mut server = leader(config);
    // The state machine is busy, so that both changes are handed over together.
    server.at_once = false;
    let (_, event) = server.proposes(990);
    server.tell(event);
    server.written();
    server.hears(S2, matched(1, 2));
    let (first, _) = change(&mut server, MembershipChange::AddLearner(S4));
    server.written();
    server.hears(S2, matched(1, 3));
    let (second, _) = change(&mut server, replace(&[S1, S2]));
    server.written();
    server.hears(S2, matched(1, 4));
    let effects = server.tell(Event::Executed { index: LogIndex(2) });
    assert_eq!(server.driver.status().applied_index, LogIndex(4));
    assert_eq!(answers(&effects), [(first, Outcome::Changed { position: at(3, 1) })]);
    server.written();
    let effects = server.hears(S2, matched(1, 5));
    assert_eq!(answers(&effects), [(second, Outcome::Changed { position: at(5, 1) })]);
}

#[test]
fn a_change_that_is_refused_certainly_does_not_happen() {
    let mut server = leader(config());
    let (ticket, effects) = change(&mut server, MembershipChange::Remove(S4));
    let unknown = Refusal::UnknownServer { server: S4 };
    assert_eq!(answers(&effects), [(ticket, Outcome::Refused(Reason::Refused(unknown)))]);
    let (_, _) = change(&mut server, MembershipChange::AddLearner(S4));
    let (ticket, effects) = change(&mut server, MembershipChange::Remove(S3));
    let pending = Refusal::ChangePending { index: LogIndex(2) };
    assert_eq!(answers(&effects), [(ticket, Outcome::Refused(Reason::Refused(pending)))]);
    let ticket = server.ticket();
    let (change_of, expected) = (MembershipChange::Remove(S3), Some(LogPosition::default()));
    let event = Event::ChangeMembership { ticket, change: change_of, expected, deadline: None };
    let other = Refusal::OtherConfiguration { position: at(2, 1) };
    let refused = Outcome::Refused(Reason::Refused(other));
    assert_eq!(answers(&server.tell(event)), [(ticket, refused)]);
    let mut server = follower(config());
    let (ticket, effects) = change(&mut server, MembershipChange::Remove(S3));
    assert_eq!(answers(&effects), [(ticket, Outcome::NotLeader { leader: Some(S2) })]);
}

#[test]
fn a_change_that_another_leader_overwrites_is_lost_and_one_that_waits_too_long_is_unknown() {
    let mut server = leader(config());
    let (ticket, _) = change(&mut server, MembershipChange::AddLearner(S4));
    server.hears(S3, append(2, at(1, 1), &[2], 1));
    let effects = server.hears(S3, append(2, at(2, 2), &[], 2));
    let position = at(2, 1);
    assert_eq!(answers(&effects), [(ticket, Outcome::Refused(Reason::Overwritten { position }))]);
    let mut server = leader(config());
    let (ticket, _) = change(&mut server, replace(&[S1, S2]));
    server.hears(S2, matched(1, 2));
    let wait = server.driver.config().timings.request_timeout;
    let effects = server.after(wait);
    assert_eq!(answers(&effects), [(ticket, Outcome::Unknown(Doubt::DeadlinePassed))]);
}

#[test]
fn changes_count_as_requests_that_wait() {
    let mut config = config();
    config.limits.waiting_commands = 1;
    let mut server = leader(config);
    let (_, event) = server.proposes(1);
    server.tell(event);
    let (ticket, effects) = change(&mut server, MembershipChange::AddLearner(S4));
    let refused = Outcome::Refused(Reason::TooManyWaiting { limit: 1 });
    assert_eq!(answers(&effects), [(ticket, refused)]);
}
