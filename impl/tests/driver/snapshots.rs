//! Snapshots: of exactly what was executed, one at a time, and on disk before anything is restored from
//! them (rules S1, S2, S3).

use crate::support::{
    S2, S3, Server, answers, append, at, config, follower, leader, matched, notices,
};
use kontiki::bytes::Bytes;
use kontiki::driver::{
    ChunkRequest, Consistency, Effect, Event, Notice, Outcome, Reason, StopCause, Ticket,
};
use kontiki::{
    Configuration, LogIndex, LogPosition, Message, Refusal, ServerId, Snapshot, SnapshotId, Term,
};

/// The snapshot that the state machine is to take.
fn to_take(effects: &[Effect]) -> Option<Snapshot> {
    effects.iter().find_map(|effect| match effect {
        Effect::TakeSnapshot { snapshot } => Some((**snapshot).clone()),
        _ => None,
    })
}

fn asks(server: &mut Server) -> (Ticket, Vec<Effect>) {
    let ticket = server.ticket();
    let effects = server.tell(Event::TakeSnapshot { ticket });
    (ticket, effects)
}

fn taken(server: &mut Server, snapshot: &Snapshot) -> Vec<Effect> {
    let bytes = Bytes::from_static(b"state");
    let snapshot = Snapshot { size: 5, ..snapshot.clone() };
    let id = snapshot.id;
    server.driver.store_mut().keep_snapshot(snapshot, bytes);
    server.tell(Event::SnapshotTaken { snapshot: id, size: 5 })
}

/// Another server's snapshot, of 2 bytes.
fn foreign(index: u64, term: u64) -> Snapshot {
    Snapshot {
        id: SnapshotId { last: at(index, term), taken_by: S2 },
        configuration: Configuration::of_voters([1, 2, 3].map(ServerId)),
        configuration_position: LogPosition::default(),
        size: 2,
    }
}

fn install(snapshot: &Snapshot, term: u64) -> Message {
    let (snapshot, data) = (Box::new(snapshot.clone()), Bytes::from_static(b"ab"));
    Message::InstallSnapshot { term: Term(term), snapshot, offset: 0, data }
}

fn restores(effects: &[Effect]) -> Vec<u64> {
    let restored = effects.iter().filter_map(|effect| match effect {
        Effect::Restore { snapshot } => Some(snapshot.last.index.0),
        _ => None,
    });
    restored.collect()
}

#[test]
fn a_snapshot_is_taken_when_one_is_due() {
    let mut config = config();
    config.raft.snapshot_bytes = 100;
    let mut server = leader(config.clone());
    let (_, event) = server.proposes(100);
    server.tell(event);
    let effects = server.hears(S2, matched(1, 2));
    let snapshot = to_take(&effects).unwrap();
    assert_eq!((snapshot.id.last, snapshot.size), (at(2, 1), 0));
    assert_eq!(server.driver.status().taking_snapshot, Some(at(2, 1)));
    taken(&mut server, &snapshot);
    assert_eq!(server.driver.status().snapshot, Some(snapshot.id));
    assert_eq!(server.driver.status().counters.snapshots_taken, 1);
    // The next is not due at once.
    let (_, event) = server.proposes(1);
    server.tell(event);
    assert_eq!(to_take(&server.hears(S2, matched(1, 3))), None);
    // Or when operators ask, if that is wished.
    config.snapshots_when_due = false;
    let mut server = leader(config);
    let (_, event) = server.proposes(100);
    server.tell(event);
    let effects = server.hears(S2, matched(1, 2));
    assert_eq!(to_take(&effects), None);
    assert!(to_take(&asks(&mut server).1).is_some());
}

#[test]
fn what_is_not_on_disk_yet_holds_the_state_machine_until_it_is() {
    let mut server = leader(config());
    server.at_once = false;
    let (_, event) = server.proposes(1);
    server.tell(event);
    // Servers 2 and 3 have it, and it is committed; this server's disk is behind.
    server.hears(S2, matched(1, 2));
    let effects = server.hears(S3, matched(1, 2));
    assert!(matches!(effects[0], Effect::Apply { .. }));
    let (ticket, effects) = asks(&mut server);
    assert_eq!(to_take(&effects), None);
    // More is committed meanwhile, and waits, with whom it brings an answer.
    let (second, event) = server.proposes(1);
    server.tell(event);
    let effects = server.written();
    let snapshot = to_take(&effects).unwrap();
    assert_eq!(snapshot.id.last, at(2, 1));
    server.hears(S2, matched(1, 3));
    let effects = server.hears(S3, matched(1, 3));
    let applied = Outcome::Applied { position: at(3, 1) };
    assert_eq!(answers(&effects), [(second, applied)]);
    let effects = taken(&mut server, &snapshot);
    assert_eq!(answers(&effects), [(ticket, Outcome::SnapshotTaken { last: at(2, 1) })]);
}

#[test]
fn entries_that_are_committed_while_a_snapshot_is_wanted_follow_it() {
    let mut server = follower(config());
    server.at_once = false;
    server.hears(S2, append(1, at(1, 1), &[1], 2)); // Committed, and on its way to disk.
    let (_, effects) = asks(&mut server);
    assert_eq!(to_take(&effects), None);
    let effects = server.hears(S2, append(1, at(2, 1), &[1], 3));
    assert!(effects.iter().all(|effect| !matches!(effect, Effect::Apply { .. })));
    let effects = server.written();
    let place = |wanted: fn(&Effect) -> bool| effects.iter().position(wanted).unwrap();
    let take = place(|effect| matches!(effect, Effect::TakeSnapshot { .. }));
    let apply = place(|effect| matches!(effect, Effect::Apply { .. }));
    assert!(take < apply);
    assert_eq!(to_take(&effects).map(|snapshot| snapshot.id.last), Some(at(2, 1)));
}

#[test]
fn two_snapshots_are_never_taken_at_once() {
    let mut server = leader(config());
    let (first, second) = (server.ticket(), server.ticket());
    let ask = |ticket| Event::TakeSnapshot { ticket };
    let effects = server.tell_all([ask(first), ask(second)]);
    let snapshot = to_take(&effects).unwrap();
    let (third, effects) = asks(&mut server);
    assert_eq!(to_take(&effects), None);
    let under_way = Refusal::SnapshotUnderWay { last: at(1, 1) };
    let refused = Outcome::Refused(Reason::Refused(under_way));
    assert_eq!(answers(&effects), [(third, refused)]);
    let done = || Outcome::SnapshotTaken { last: at(1, 1) };
    assert_eq!(answers(&taken(&mut server, &snapshot)), [(first, done()), (second, done())]);
    let (fourth, effects) = asks(&mut server);
    let exists = Refusal::SnapshotExists { last: at(1, 1) };
    assert_eq!(answers(&effects), [(fourth, Outcome::Refused(Reason::Refused(exists)))]);
}

#[test]
fn while_one_is_taken_nothing_is_held_back_for_another() {
    let mut server = follower(config());
    let (_, effects) = asks(&mut server);
    assert!(to_take(&effects).is_some());
    server.at_once = false;
    server.hears(S2, append(1, at(1, 1), &[1], 2)); // Committed, and on its way to disk.
    let (ticket, effects) = asks(&mut server);
    let under_way = Refusal::SnapshotUnderWay { last: at(1, 1) };
    assert_eq!(answers(&effects), [(ticket, Outcome::Refused(Reason::Refused(under_way)))]);
    let effects = server.hears(S2, append(1, at(2, 1), &[1], 3));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Apply { .. })));
}

#[test]
fn a_snapshot_that_fails_makes_room_for_the_next() {
    let mut server = leader(config());
    let (ticket, effects) = asks(&mut server);
    let snapshot = to_take(&effects).unwrap().id;
    // No snapshot is without bytes.
    let effects = server.tell(Event::SnapshotTaken { snapshot, size: 0 });
    assert!(matches!(notices(&effects)[..], [Notice::Rejected { from: None, .. }]));
    let other = SnapshotId { taken_by: S2, ..snapshot };
    let effects = server.tell(Event::SnapshotFailed { snapshot: other });
    assert_eq!(notices(&effects), [Notice::UnknownSnapshot { snapshot: other }]);
    let effects = server.tell(Event::SnapshotFailed { snapshot });
    assert_eq!(answers(&effects), [(ticket, Outcome::Refused(Reason::SnapshotFailed))]);
    assert!(to_take(&asks(&mut server).1).is_some());
}

#[test]
fn the_state_machine_is_restored_when_the_snapshot_is_on_disk() {
    let mut server = follower(config());
    server.at_once = false;
    let effects = server.hears(S2, install(&foreign(9, 1), 1));
    assert!(restores(&effects).is_empty() && matches!(effects[0], Effect::Write(_)));
    // Entries behind it may be committed already. They wait.
    let effects = server.hears(S2, append(1, at(9, 1), &[1], 10));
    assert!(effects.iter().all(|effect| !matches!(effect, Effect::Apply { .. })));
    let effects = server.written();
    let machine: Vec<&Effect> = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Restore { .. } | Effect::Apply { .. }))
        .collect();
    assert!(matches!(machine[..], [Effect::Restore { .. }, Effect::Apply { .. }]), "{machine:?}");
    // A read that may see the snapshot's state waits until it is there.
    let (ticket, event) = server.reads(Consistency::AtLeast(LogIndex(9)));
    assert!(answers(&server.tell(event)).is_empty());
    let effects = server.tell(Event::Executed { index: LogIndex(9) });
    assert_eq!(answers(&effects), [(ticket, Outcome::Readable { index: LogIndex(9) })]);
}

#[test]
fn the_next_snapshot_is_installed_when_the_state_machine_is_done_with_the_last() {
    let mut server = follower(config());
    server.at_once = false;
    server.hears(S2, install(&foreign(9, 1), 1));
    assert_eq!(restores(&server.written()), [9]);
    let effects = server.hears(S2, install(&foreign(20, 1), 1));
    // Its bytes are written, and do not take the place of what is being read.
    assert!(matches!(&effects[0], Effect::Write(group) if group.writes.len() == 1));
    server.written();
    assert!(server.writing.is_none());
    server.tell(Event::Executed { index: LogIndex(9) });
    assert_eq!(restores(&server.written()), [20]);
}

#[test]
fn a_command_that_a_snapshot_covers_is_committed_or_unknown_or_lost() {
    let mut config = config();
    config.raft.limits.apply_bytes = 1;
    let mut server = leader(config);
    server.at_once = false;
    let propose = |server: &mut Server| {
        let (ticket, event) = server.proposes(1);
        server.tell(event);
        server.written();
        ticket
    };
    // The state machine is busy with 2, and 3 is committed; 4 and 5 are not.
    let tickets: Vec<Ticket> = (2..=5).map(|_| propose(&mut server)).collect();
    let effects = server.hears(S2, matched(1, 3));
    assert_eq!(answers(&effects), [(tickets[0], Outcome::Applied { position: at(2, 1) })]);
    let effects = server.hears(S3, install(&foreign(4, 3), 3));
    let committed = Outcome::Committed { position: at(3, 1) };
    let overwritten = |index| Outcome::Refused(Reason::Overwritten { position: at(index, 1) });
    let expected =
        [(tickets[1], committed), (tickets[2], overwritten(4)), (tickets[3], overwritten(5))];
    assert_eq!(answers(&effects), expected);
}

/// A command that another leader has overwritten may be in the log of a third, and be committed by it.
/// Until a snapshot or an entry says otherwise, nobody may be told that it is not done.
#[test]
fn a_command_that_was_dropped_may_come_back_behind_a_snapshot() {
    let mut server = leader(config());
    let tickets: Vec<Ticket> = (2..=3)
        .map(|_| {
            let (ticket, event) = server.proposes(1);
            server.tell(event);
            ticket
        })
        .collect();
    let effects = server.hears(S2, append(2, at(1, 1), &[2], 1));
    assert!(answers(&effects).is_empty());
    // The snapshot ends with the first of the two.
    let effects = server.hears(S3, install(&foreign(2, 1), 3));
    let committed = |index| Outcome::Committed { position: at(index, 1) };
    assert_eq!(answers(&effects), [(tickets[0], committed(2))]);
    let effects = server.hears(S3, append(3, at(2, 1), &[1, 3], 4));
    let applied = Outcome::Applied { position: at(3, 1) };
    assert_eq!(answers(&effects), [(tickets[1], applied)]);
}

/// What a snapshot is to be taken of was to reach the disk first, and is overtaken by a snapshot from
/// another server.
#[test]
fn a_snapshot_that_waits_for_the_disk_holds_nothing_back_when_another_is_installed() {
    let mut config = config();
    config.raft.snapshot_bytes = 48;
    let mut server = follower(config);
    server.at_once = false;
    let effects = server.hears(S2, append(1, at(1, 1), &[1], 2));
    assert!(to_take(&effects).is_none(), "it is not on disk");
    server.hears(S2, install(&foreign(9, 1), 1));
    let mut effects = Vec::new();
    while server.writing.is_some() {
        effects.extend(server.written());
    }
    assert_eq!(restores(&effects), [9]);
}

#[test]
fn of_what_was_dropped_below_a_snapshot_nothing_is_known() {
    let mut server = leader(config());
    let (ticket, event) = server.proposes(1);
    server.tell(event);
    let effects = server.hears(S3, install(&foreign(4, 3), 3));
    let doubt = kontiki::driver::Doubt::CoveredBySnapshot;
    assert_eq!(answers(&effects), [(ticket, Outcome::Unknown(doubt))]);
}

#[test]
fn chunks_are_read_by_the_shell_and_sent_as_they_are() {
    let snapshot = foreign(9, 1);
    let request =
        ChunkRequest { to: S3, term: Term(1), snapshot: Box::new(snapshot.clone()), offset: 0 };
    assert_eq!(request.message(Bytes::from_static(b"ab")), install(&snapshot, 1));
}

#[test]
fn a_follower_that_lags_too_far_is_sent_chunks() {
    let mut config = config();
    config.raft.kept_entries = 0;
    let mut server = leader(config);
    let (_, effects) = asks(&mut server);
    let snapshot = to_take(&effects).unwrap();
    let effects = taken(&mut server, &snapshot);
    assert!(effects.contains(&Effect::DropEntries { through: LogIndex(1) }));
    let hint = at(0, 0);
    let outcome = kontiki::AppendOutcome::Mismatch { prev_index: LogIndex(1), hint };
    server.hears(S3, Message::AppendEntriesReply { term: Term(1), outcome });
    let arrived = Message::InstallSnapshotReply {
        term: Term(1),
        snapshot: snapshot.id,
        offset: 5,
        received: 2,
    };
    let effects = server.hears(S3, arrived);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::SendChunk(request) => Some((request.to, request.offset)),
        _ => None,
    });
    assert_eq!(asked, Some((S3, 2)));
}

#[test]
fn a_state_machine_that_fails_stops_the_server() {
    let mut server = follower(config());
    let how = "the state is corrupt".to_string();
    server.tell(Event::StateMachineFailed { how: how.clone() });
    assert_eq!(server.driver.stopped(), Some(&StopCause::StateMachine(how)));
}

#[test]
fn what_was_not_handed_over_cannot_have_been_executed() {
    let mut server = follower(config());
    let effects = server.tell(Event::Executed { index: LogIndex(2) });
    assert!(matches!(notices(&effects)[..], [Notice::Rejected { from: None, .. }]));
    assert_eq!(server.driver.status().executed_index, LogIndex(1));
}
