//! Shutting down loses nothing: new work is refused, and whoever waits is told the truth.

use crate::support::{
    S1, S2, S3, TIMEOUT, answers, append, at, config, follower, leader, matched, notices,
};
use kontiki::bytes::Bytes;
use kontiki::core::{MAX_INDEX, Rejection};
use kontiki::driver::{
    Consistency, Doubt, Driver, Effect, Event, Notice, Outcome, Reason, StopCause,
};
use kontiki::storage::MemoryStore;
use kontiki::{
    Configuration, LogIndex, LogPosition, Message, Output, Refusal, Snapshot, SnapshotId, Term,
};

const STOPPING: Outcome = Outcome::Refused(Reason::Stopping);

#[test]
fn a_closed_server_takes_nothing_new_and_finishes_what_was_appended() {
    let mut server = leader(config());
    server.at_once = false;
    let (appended, event) = server.proposes(1);
    server.tell(event);
    let (waits, event) = server.proposes(1);
    server.tell(event);
    let (read, event) = server.reads(Consistency::Linearizable);
    server.tell(event);
    server.driver.close();
    let effects = server.tell_all([]);
    assert_eq!(answers(&effects), [(waits, STOPPING), (read, STOPPING)]);
    assert!(server.driver.status().is_closed);
    let (command, propose) = server.proposes(1);
    let (stale, read) = server.reads(Consistency::Stale);
    let snapshot = server.ticket();
    let take = Event::TakeSnapshot { ticket: snapshot };
    let effects = server.tell_all([propose, read, take]);
    let refused = [command, stale, snapshot].map(|ticket| (ticket, STOPPING));
    assert_eq!(answers(&effects), refused);
    assert_eq!(server.driver.waiting(), 1);
    server.written();
    let effects = server.hears(S2, matched(1, 2));
    assert_eq!(answers(&effects), [(appended, Outcome::Applied { position: at(2, 1) })]);
    assert_eq!(server.driver.waiting(), 0);
}

#[test]
fn a_server_that_stops_tells_everybody_and_does_nothing_more() {
    let mut server = leader(config());
    server.at_once = false;
    let (appended, event) = server.proposes(1);
    server.tell(event);
    let (read, event) = server.reads(Consistency::AtLeast(LogIndex(5)));
    server.tell(event);
    let snapshot = server.ticket();
    server.tell(Event::TakeSnapshot { ticket: snapshot });
    let transfer = server.ticket();
    server.tell(Event::TransferLeadership { ticket: transfer, to: S2 });
    assert_eq!(server.driver.waiting(), 4);
    server.driver.stop();
    let effects = server.tell_all([]);
    let unknown = || Outcome::Unknown(Doubt::Stopped);
    let expected =
        [(appended, unknown()), (read, STOPPING), (snapshot, unknown()), (transfer, unknown())];
    assert_eq!(answers(&effects), expected);
    let cause = StopCause::Asked;
    assert_eq!(notices(&effects), [Notice::Stopped { cause }]);
    assert_eq!(server.driver.waiting(), 0);
    server.driver.stop();
    assert!(server.tell_all([]).is_empty());
    assert!(server.driver.status().is_stopped);
}

#[test]
fn what_was_held_back_for_a_snapshot_is_handed_over_at_the_end() {
    let mut config = config();
    config.limits.batch_commands = 1;
    let mut server = leader(config);
    server.at_once = false;
    let (first, event) = server.proposes(1);
    server.tell(event);
    server.hears(S2, matched(1, 2));
    assert_eq!(answers(&server.hears(S3, matched(1, 2))).len(), 1, "{first:?}");
    // The snapshot waits for 2 to be on this server's disk, and 3 waits for the snapshot.
    let snapshot = server.ticket();
    server.tell(Event::TakeSnapshot { ticket: snapshot });
    let (second, event) = server.proposes(1);
    server.tell(event);
    server.hears(S2, matched(1, 3));
    assert!(answers(&server.hears(S3, matched(1, 3))).is_empty());
    server.driver.stop();
    let effects = server.tell_all([]);
    let applied = Outcome::Applied { position: at(3, 1) };
    let unknown = Outcome::Unknown(Doubt::Stopped);
    assert!(matches!(effects[0], Effect::Apply { .. }));
    assert_eq!(answers(&effects), [(second, applied), (snapshot, unknown)]);
}

#[test]
fn a_store_that_fails_stops_the_server() {
    let mut server = follower(config());
    server.hears(S2, append(1, at(1, 1), &[1, 1, 1], 1));
    let mut config = config();
    config.raft.incarnation = 2;
    let store = server.driver.store_mut().clone();
    server.driver = Driver::start(config, store, server.now).unwrap();
    // The disk loses what was there as the server started, and the server has to read it.
    *server.driver.store_mut() = MemoryStore::new();
    let effects = server.hears(S2, append(1, at(4, 1), &[], 4));
    let stopped = notices(&effects);
    assert!(matches!(stopped[..], [Notice::Stopped { cause: StopCause::Store(_) }]), "{effects:?}");
    assert!(effects.iter().all(|effect| !matches!(effect, Effect::Apply { .. })));
}

#[test]
fn who_asks_for_the_step_in_which_the_store_fails_is_told_so() {
    let mut server = follower(config());
    server.hears(S2, append(1, at(1, 1), &[1, 1], 1));
    let mut config = config();
    config.raft.incarnation = 2;
    config.raft.limits.apply_bytes = 1;
    let store = server.driver.store_mut().clone();
    server.driver = Driver::start(config, store, server.now).unwrap();
    server.live(2 * TIMEOUT);
    server.hears(S2, Message::RequestPreVoteReply { term: Term(1), granted: true });
    server.hears(S2, Message::RequestVoteReply { term: Term(2), granted: true });
    // The state machine is busy with the first entry, and the others are read when there is room.
    server.at_once = false;
    server.hears(S2, matched(2, 4));
    assert_eq!(server.driver.status().applied_index, LogIndex(1));
    *server.driver.store_mut() = MemoryStore::new();
    let (ticket, event) = server.proposes(1);
    let effects = server.tell(event);
    assert_eq!(answers(&effects), [(ticket, Outcome::Unknown(Doubt::Stopped))]);
    assert!(matches!(server.driver.stopped(), Some(StopCause::Store(_))));
}

#[test]
fn who_asks_for_a_step_that_is_rejected_is_told_so() {
    // The log has come to its last index.
    let mut store = MemoryStore::new();
    let last = LogPosition { index: MAX_INDEX, term: Term(1) };
    let configuration = Configuration::of_voters([S1]);
    let id = SnapshotId { last, taken_by: S1 };
    let configuration_position = LogPosition::default();
    let snapshot = Snapshot { id, configuration, configuration_position, size: 1 };
    store.write(&Output::WriteHardState { incarnation: 1, term: Term(1), vote: None });
    store.keep_snapshot(snapshot, Bytes::from_static(b"x"));
    let mut server = follower(config());
    let mut config = config();
    config.raft.bootstrap = Some(Configuration::of_voters([S1]));
    server.driver = Driver::start(config, store, server.now).unwrap();
    server.live(2 * TIMEOUT);
    let (ticket, event) = server.proposes(1);
    let effects = server.tell(event);
    let rejection = Rejection::IndexTooLarge { index: MAX_INDEX.next().next() };
    let rejected = Outcome::Refused(Reason::Rejected(rejection));
    assert_eq!(answers(&effects), [(ticket, rejected)]);
    assert_eq!(notices(&effects), [Notice::Rejected { from: None, rejection }]);
}

#[test]
fn a_refusal_names_its_reason() {
    let told = Outcome::from(Refusal::NothingToChange);
    let Outcome::Refused(reason) = &told else { panic!("{told:?}") };
    assert_eq!(reason.to_string(), Refusal::NothingToChange.to_string());
    assert!(told.is_certainly_not_done());
}
