//! Commands: batches, back-pressure, and what becomes of each (rule L1, rule C8).

use crate::support::{
    S2, S3, Server, TIMEOUT, answers, append, at, batches, config, follower, leader, matched,
};
use kontiki::driver::{Doubt, DriverConfig, Effect, Event, Outcome, Reason, Ticket};
use kontiki::{LogIndex, Message, Payload, Refusal, Term};
use std::time::Duration;

/// Server 2 acknowledges all that server 1 leads with in its term, and the commit comes of it.
fn acknowledged(server: &mut Server) -> Vec<Effect> {
    let status = server.driver.status();
    server.hears(S2, matched(status.term.0, status.last_index.0))
}

fn propose(server: &mut Server, bytes: usize) -> (Ticket, Vec<Effect>) {
    let (ticket, event) = server.proposes(bytes);
    (ticket, server.tell(event))
}

#[test]
fn a_command_is_answered_right_behind_the_entries_that_bring_it() {
    let mut server = leader(config());
    let (ticket, effects) = propose(&mut server, 1);
    assert!(answers(&effects).is_empty());
    let effects = acknowledged(&mut server);
    let [Effect::Apply { entries }, Effect::Answer { ticket: answered, outcome }] = &effects[..2]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(entries.last().map(|entry| entry.position()), Some(at(2, 1)));
    assert_eq!((*answered, outcome), (ticket, &Outcome::Applied { position: at(2, 1) }));
}

#[test]
fn commands_of_one_burst_are_one_batch_and_so_are_those_that_come_during_a_write() {
    let mut server = leader(config());
    server.at_once = false;
    let burst: Vec<Event> = (0..3).map(|_| server.proposes(1).1).collect();
    let effects = server.tell_all(burst);
    assert_eq!(batches(&effects, S2), [3]);
    for _ in 0..5 {
        let (_, effects) = propose(&mut server, 1);
        assert!(batches(&effects, S2).is_empty());
    }
    let effects = server.written();
    assert_eq!(batches(&effects, S2), [5]);
    assert_eq!(server.driver.status().counters.batches, 2);
}

#[test]
fn a_whole_batch_does_not_wait_for_the_disk() {
    let mut config = config();
    (config.limits.batch_commands, config.limits.batch_bytes) = (3, 100);
    let mut server = leader(config);
    server.at_once = false;
    propose(&mut server, 1);
    propose(&mut server, 1);
    propose(&mut server, 1);
    let (_, effects) = propose(&mut server, 1);
    assert_eq!(batches(&effects, S2), [3]);
    let (_, effects) = propose(&mut server, 200);
    assert_eq!(batches(&effects, S2), [1]);
    propose(&mut server, 60);
    let (_, effects) = propose(&mut server, 60);
    assert_eq!(batches(&effects, S2), [1]);
}

#[test]
fn who_does_not_lead_says_who_does() {
    let mut server = follower(config());
    let (ticket, effects) = propose(&mut server, 1);
    let outcome = Outcome::NotLeader { leader: Some(S2) };
    assert!(outcome.is_certainly_not_done());
    assert_eq!(answers(&effects), [(ticket, outcome)]);
}

#[test]
fn too_large_a_command_is_refused_by_itself() {
    let mut config = config();
    config.raft.limits.command_bytes = 10;
    let mut server = leader(config);
    let (small, large) = (server.proposes(10), server.proposes(11));
    let effects = server.tell_all([small.1, large.1]);
    let refusal = Refusal::CommandTooLarge { size: 11, limit: 10 };
    assert_eq!(answers(&effects), [(large.0, Outcome::Refused(Reason::Refused(refusal)))]);
    assert_eq!(batches(&effects, S2), [1]);
}

#[test]
fn back_pressure_is_an_error_that_the_caller_sees() {
    let mut config = config();
    config.limits.waiting_commands = 2;
    let mut server = leader(config);
    propose(&mut server, 1);
    let (second, _) = propose(&mut server, 1);
    let refused = Outcome::Refused(Reason::TooManyWaiting { limit: 2 });
    let (ticket, effects) = propose(&mut server, 1);
    assert_eq!(answers(&effects), [(ticket, refused.clone())]);
    // What is committed and not handed over yet waits as well.
    assert_eq!(answers(&acknowledged(&mut server)).len(), 2);
    assert_eq!(second, Ticket(2));
    assert!(answers(&propose(&mut server, 1).1).is_empty());
}

#[test]
fn bytes_that_wait_to_be_appended_are_bounded_too() {
    let mut config = config();
    config.limits.pending_bytes = 100;
    let mut server = leader(config);
    server.at_once = false;
    propose(&mut server, 1); // It is under way to the disk.
    assert!(answers(&propose(&mut server, 90).1).is_empty());
    let (ticket, effects) = propose(&mut server, 11);
    let refused = Outcome::Refused(Reason::TooManyWaiting { limit: 100 });
    assert_eq!(answers(&effects), [(ticket, refused)]);
    assert!(answers(&propose(&mut server, 10).1).is_empty());
    server.written();
    assert!(answers(&propose(&mut server, 500).1).is_empty(), "one may, whatever its size");
}

#[test]
fn where_the_server_has_no_room_commands_wait_in_order() {
    let mut config = config();
    config.raft.limits.uncommitted_bytes = 100;
    let mut server = leader(config);
    let (first, effects) = propose(&mut server, 80);
    assert_eq!(batches(&effects, S2), [1]);
    let (second, effects) = propose(&mut server, 80);
    assert!(answers(&effects).is_empty() && batches(&effects, S2).is_empty());
    let (third, _) = propose(&mut server, 1);
    // Nothing has changed, so nothing is tried.
    assert_eq!(server.driver.status().counters.batches, 2);
    let effects = acknowledged(&mut server);
    assert_eq!(answers(&effects), [(first, Outcome::Applied { position: at(2, 1) })]);
    assert_eq!(batches(&effects, S2), [2], "one batch is too much only where another waits");
    let effects = acknowledged(&mut server);
    let applied = |index| Outcome::Applied { position: at(index, 1) };
    assert_eq!(answers(&effects), [(second, applied(3)), (third, applied(4))]);
}

#[test]
fn a_batch_that_finds_no_room_keeps_its_order() {
    let mut config = config();
    config.raft.limits.uncommitted_bytes = 100;
    let mut server = leader(config);
    propose(&mut server, 80);
    let burst = [server.proposes(1), server.proposes(2), server.proposes(3)];
    let tickets = [0, 1, 2].map(|place: usize| burst[place].0);
    let effects = server.tell_all(burst.into_iter().map(|(_, event)| event));
    assert!(answers(&effects).is_empty() && batches(&effects, S2).is_empty());
    acknowledged(&mut server);
    let effects = acknowledged(&mut server);
    let [Effect::Apply { entries }, ..] = &effects[..] else { panic!("{effects:?}") };
    let sizes = entries.iter().map(|entry| match &entry.payload {
        Payload::Command(command) => command.len(),
        _ => 0,
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [1, 2, 3]);
    let answered = answers(&effects).into_iter().map(|(ticket, _)| ticket);
    assert_eq!(answered.collect::<Vec<_>>(), tickets);
}

#[test]
fn a_deadline_that_passes_before_the_command_is_appended_is_a_refusal() {
    let mut server = leader(config());
    server.at_once = false;
    let wait = |server: &mut Server| {
        let deadline = Some(server.now.plus(Duration::from_millis(50)));
        let (ticket, command) = (server.ticket(), b"x".as_slice().into());
        server.tell(Event::Propose { ticket, command, deadline });
        ticket
    };
    let (appended, waits) = (wait(&mut server), wait(&mut server));
    assert!(server.driver.next_deadline() <= Some(server.now.plus(Duration::from_millis(50))));
    let effects = server.after(Duration::from_millis(50));
    let unknown = Outcome::Unknown(Doubt::DeadlinePassed);
    assert!(!unknown.is_certainly_not_done());
    let refused = Outcome::Refused(Reason::DeadlinePassed);
    assert_eq!(answers(&effects), [(waits, refused), (appended, unknown)]);
    // It happens all the same, and nobody is told twice.
    server.written();
    let effects = acknowledged(&mut server);
    assert!(answers(&effects).is_empty());
    assert!(matches!(effects[0], Effect::Apply { .. }));
}

#[test]
fn without_a_deadline_a_request_waits_for_the_usual_time() {
    let mut server = leader(config());
    let (ticket, _) = propose(&mut server, 1);
    let mut all = Vec::new();
    for _ in 0..100 {
        all.extend(server.live(Duration::from_millis(100)));
        server.hears(S3, matched(1, 1)); // It has a majority, and commits nothing.
    }
    assert_eq!(answers(&all), [(ticket, Outcome::Unknown(Doubt::DeadlinePassed))]);
}

/// A leader of term 1 with commands at 2 and 3, whom server 3 deposes in term 3 without them.
fn deposed(config: DriverConfig) -> (Server, Ticket, Ticket) {
    let mut server = leader(config);
    let (two, _) = propose(&mut server, 1);
    let (three, effects) = propose(&mut server, 1);
    assert!(answers(&effects).is_empty());
    // A vote is asked for in term 3, by a server that was told to campaign.
    let last = at(9, 2);
    let vote = Message::RequestVote { term: Term(3), last, transfer: true };
    let effects = server.hears(S3, vote);
    assert!(answers(&effects).is_empty());
    (server, two, three)
}

#[test]
fn what_was_dropped_is_lost_for_certain_when_a_later_term_commits_there_or_before() {
    let (mut server, two, three) = deposed(config());
    let effects = server.hears(S3, append(3, at(1, 1), &[3], 1));
    assert!(answers(&effects).is_empty(), "it is dropped, and another server may hold it");
    let effects = server.hears(S3, append(3, at(2, 3), &[], 2));
    let overwritten = |index| {
        let position = at(index, 1);
        Outcome::Refused(Reason::Overwritten { position })
    };
    assert!(overwritten(2).is_certainly_not_done());
    assert_eq!(answers(&effects), [(two, overwritten(2)), (three, overwritten(3))]);
}

#[test]
fn what_was_dropped_may_come_back_and_be_applied() {
    let (mut server, two, three) = deposed(config());
    // The leader of term 3 has an entry of term 2 at index 2, and commits nothing.
    let effects = server.hears(S3, append(3, at(1, 1), &[2], 1));
    assert!(answers(&effects).is_empty());
    // The leader of term 4 has what server 1 had appended in term 1, and commits the first of it.
    let effects = server.hears(S2, append(4, at(1, 1), &[1, 1, 4], 2));
    assert_eq!(answers(&effects), [(two, Outcome::Applied { position: at(2, 1) })]);
    let effects = server.hears(S2, append(4, at(4, 4), &[], 4));
    assert_eq!(answers(&effects), [(three, Outcome::Applied { position: at(3, 1) })]);
}

#[test]
fn an_earlier_term_at_the_same_index_decides_as_well() {
    let mut server = start_in_term_two();
    let (ticket, _) = propose(&mut server, 1);
    // Server 3 had entries of term 1 that this server never had. It leads in term 3.
    let effects = server.hears(S3, append(3, at(0, 0), &[1, 1, 1, 3], 1));
    assert!(answers(&effects).is_empty());
    let effects = server.hears(S3, append(3, at(4, 3), &[], 4));
    let position = at(2, 2);
    assert_eq!(answers(&effects), [(ticket, Outcome::Refused(Reason::Overwritten { position }))]);
}

/// The leader of term 2, which has its no-op at index 1, and has committed nothing.
fn start_in_term_two() -> Server {
    let mut server = crate::support::start(config());
    server.hears(S2, Message::LaterTerm { term: Term(1) });
    server.live(2 * TIMEOUT);
    server.hears(S2, Message::RequestPreVoteReply { term: Term(1), granted: true });
    server.hears(S2, Message::RequestVoteReply { term: Term(2), granted: true });
    assert_eq!(server.driver.status().last_index, LogIndex(1));
    server
}

#[test]
fn commands_that_wait_are_turned_away_when_leadership_ends() {
    let mut server = leader(config());
    server.at_once = false;
    let (appended, _) = propose(&mut server, 1);
    let (waits, _) = propose(&mut server, 1);
    let effects = server.hears(S3, append(3, at(1, 1), &[3], 1));
    assert_eq!(answers(&effects), [(waits, Outcome::NotLeader { leader: Some(S3) })]);
    assert_ne!(appended, waits);
    assert_eq!(server.driver.waiting(), 1);
}
