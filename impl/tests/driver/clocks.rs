//! Timers, as a server meets them: elections, heartbeats, quorum checks, and a process that sleeps
//! (rules E1, E8, E9, E10, L12).

use crate::support::{
    HEARTBEAT, S1, S2, S3, TIMEOUT, answers, append, at, config, follower, leader, matched,
    notices, roles, sent_to, start,
};
use kontiki::driver::{Doubt, Effect, Event, Notice, Outcome};
use kontiki::{Message, RoleKind, Term};
use std::time::Duration;

#[test]
fn a_server_that_hears_nobody_seeks_election_between_one_and_two_timeouts() {
    let mut server = start(config());
    assert!(roles(&server.after(TIMEOUT - Duration::from_nanos(1))).is_empty());
    assert_eq!(roles(&server.live(TIMEOUT)), [RoleKind::PreCandidate]);
    // And again, as often as it must.
    let again = server.live(4 * TIMEOUT);
    let questions = sent_to(&again, S2).len();
    assert!((2..=4).contains(&questions), "{questions}");
}

#[test]
fn contact_with_a_leader_ends_after_a_timeout_and_before_an_election() {
    let mut server = follower(config());
    let asks = Message::RequestPreVote { term: Term(1), last: at(9, 1) };
    let answered = |effects: &[Effect]| !sent_to(effects, S3).is_empty();
    server.live(TIMEOUT - Duration::from_nanos(1));
    assert!(server.driver.server().has_leader_contact());
    assert!(!answered(&server.hears(S3, asks.clone())));
    server.live(Duration::from_nanos(1));
    assert!(!server.driver.server().has_leader_contact());
    assert_eq!(server.driver.server().role(), RoleKind::Follower);
    assert!(answered(&server.hears(S3, asks)));
    // Each word from the leader begins the wait anew.
    for _ in 0..30 {
        server.hears(S2, append(1, at(1, 1), &[], 1));
        assert!(roles(&server.live(TIMEOUT - Duration::from_nanos(1))).is_empty());
    }
}

#[test]
fn a_leader_sends_heartbeats_and_leads_while_a_majority_answers() {
    let mut server = leader(config());
    server.live(HEARTBEAT);
    let mut heartbeats = 0;
    for _ in 0..50 {
        let effects = server.live(HEARTBEAT);
        assert!(roles(&effects).is_empty());
        heartbeats += sent_to(&effects, S3).len();
        server.hears(S2, matched(1, 1));
    }
    assert_eq!(heartbeats, 50);
    assert_eq!(server.driver.status().counters.election_timeouts, 1, "the one that it won by");
    // A check begins, and another passes in which nobody answers.
    let effects = server.live(2 * TIMEOUT);
    assert_eq!(roles(&effects)[0], RoleKind::Follower);
}

#[test]
fn followers_learn_of_the_last_commit_soon() {
    let mut server = leader(config());
    server.live(5 * HEARTBEAT);
    let (_, event) = server.proposes(1);
    server.tell(event);
    server.hears(S2, matched(1, 2));
    let effects = server.live(TIMEOUT / 100);
    let told = |message: &Message| matches!(message, Message::AppendEntries { commit_index, .. } if commit_index.0 == 2);
    assert!(sent_to(&effects, S3).iter().any(told), "{effects:?}");
    // Once: the next one comes when it would.
    assert!(sent_to(&server.live(HEARTBEAT - Duration::from_nanos(1)), S3).is_empty());
    assert_eq!(sent_to(&server.live(Duration::from_nanos(1)), S3).len(), 1);
}

#[test]
fn a_leader_that_slept_hears_what_waits_before_it_counts_who_answers() {
    let mut server = leader(config());
    let effects = server.after(60 * TIMEOUT);
    assert!(roles(&effects).is_empty());
    assert_eq!(sent_to(&effects, S2).len(), 1, "one heartbeat for all that it missed");
    server.hears(S2, matched(1, 1));
    assert!(roles(&server.live(TIMEOUT)).is_empty());
    // It counts as ever: nobody has answered since.
    assert!(roles(&server.live(TIMEOUT)).contains(&RoleKind::Follower));
    // If another has been elected meanwhile, that is the first thing it hears.
    let mut server = leader(config());
    server.after(60 * TIMEOUT);
    let effects = server.hears(S3, append(2, at(1, 1), &[2], 1));
    assert_eq!(roles(&effects), [RoleKind::Follower]);
}

#[test]
fn a_follower_that_slept_waits_for_its_leader_once_more() {
    let mut server = follower(config());
    let effects = server.after(60 * TIMEOUT);
    assert!(roles(&effects).is_empty());
    assert!(!server.driver.server().has_leader_contact(), "its promise has ended");
    server.hears(S2, append(1, at(1, 1), &[], 1));
    assert!(roles(&server.live(TIMEOUT)).is_empty());
    let mut server = follower(config());
    server.after(60 * TIMEOUT);
    assert_eq!(roles(&server.live(2 * TIMEOUT)), [RoleKind::PreCandidate]);
}

#[test]
fn what_is_heard_at_the_last_moment_is_heard() {
    let mut server = follower(config());
    server.live(TIMEOUT);
    server.now = server.driver.next_deadline().unwrap();
    let effects = server.hears(S2, append(1, at(1, 1), &[], 1));
    assert!(roles(&effects).is_empty());
}

#[test]
fn a_clock_that_goes_back_does_no_harm() {
    let mut server = follower(config());
    let before = server.driver.next_deadline();
    server.at(kontiki::driver::Instant::ORIGIN);
    assert_eq!(server.driver.next_deadline(), before);
    let effects = server.hears(S2, append(1, at(1, 1), &[], 1));
    assert!(roles(&effects).is_empty() && server.driver.next_deadline() >= before);
}

#[test]
fn a_transfer_is_given_up_after_a_timeout_and_then_commands_are_taken() {
    let mut server = leader(config());
    let ticket = server.ticket();
    let effects = server.tell(Event::TransferLeadership { ticket, to: S3 });
    assert_eq!(notices(&effects), [Notice::TransferBegun { to: S3 }]);
    assert_eq!(server.driver.status().transfers_to, Some(S3));
    let (refused, event) = server.proposes(1);
    let effects = server.tell(event);
    assert!(matches!(answers(&effects)[..], [(ticket, Outcome::Refused(_))] if ticket == refused));
    let mut effects = Vec::new();
    for _ in 0..10 {
        server.hears(S2, matched(1, 1));
        effects.extend(server.live(TIMEOUT / 10));
    }
    assert_eq!(notices(&effects), [Notice::TransferGivenUp { to: S3 }]);
    let given_up = Outcome::Unknown(Doubt::TransferGivenUp);
    assert_eq!(answers(&effects), [(ticket, given_up)]);
    let (_, event) = server.proposes(1);
    assert!(answers(&server.tell(event)).is_empty());
}

#[test]
fn a_transfer_ends_when_the_server_leads_no_more() {
    let mut server = leader(config());
    let ticket = server.ticket();
    server.tell(Event::TransferLeadership { ticket, to: S3 });
    let effects = server.hears(S3, append(2, at(1, 1), &[2], 1));
    assert_eq!(answers(&effects), [(ticket, Outcome::Transferred)]);
    assert_eq!(server.driver.waiting(), 0);
    // Only another voter may be named, and only a leader hands over.
    let ticket = server.ticket();
    let effects = server.tell(Event::TransferLeadership { ticket, to: S1 });
    assert_eq!(answers(&effects), [(ticket, Outcome::NotLeader { leader: Some(S3) })]);
}
