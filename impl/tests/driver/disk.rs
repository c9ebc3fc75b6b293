//! The disk: order, groups, stalls and failures (rules L9, L11, E12).

use crate::support::{
    S2, S3, Server, TIMEOUT, answers, append, at, config, follower, leader, matched, notices,
    roles, sent_to,
};
use kontiki::core::completion;
use kontiki::driver::{Doubt, Effect, Event, Notice, Outcome, Reason, StopCause};
use kontiki::{AppendOutcome, LogIndex, Message, Output, RoleKind, Term};

/// How far a server has acknowledged the log.
fn acknowledged(effects: &[Effect]) -> Vec<u64> {
    let index = |message| match message {
        Message::AppendEntriesReply { outcome: AppendOutcome::Matched { index }, .. } => {
            Some(index.0)
        }
        _ => None,
    };
    sent_to(effects, S2).into_iter().filter_map(index).collect()
}

#[test]
fn writes_go_out_in_the_order_issued_and_before_the_messages_of_the_burst() {
    let mut server = follower(config());
    server.at_once = false;
    let first = server.hears(S2, append(1, at(1, 1), &[1], 1));
    assert!(matches!(first[0], Effect::Write(_)));
    // The next group gathers: an entry, a new term, and what the leader of that term replaces.
    let second =
        [append(1, at(2, 1), &[1], 1), append(2, at(2, 1), &[2], 1), append(2, at(3, 2), &[2], 1)];
    let burst = second.into_iter().map(|message| Event::Received { from: S2, message });
    let effects = server.tell_all(burst.take(1));
    assert!(effects.iter().all(|effect| !matches!(effect, Effect::Write(_))));
    let later = [append(2, at(2, 1), &[2], 1), append(2, at(3, 2), &[2], 1)];
    server.tell_all(later.into_iter().map(|message| Event::Received { from: S3, message }));
    let effects = server.written();
    assert!(acknowledged(&effects).is_empty(), "who led in term 1 leads no more");
    let Effect::Write(group) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(group.number, server.driver.status().counters.write_groups);
    let kinds: Vec<&str> = group.writes.iter().map(kind).collect();
    assert_eq!(kinds, ["entries 3", "term 2", "entries 3", "entries 4"]);
    assert!(group.writes.iter().all(|write| completion(write).is_some()));
    let effects = server.written();
    let log = server.driver.server().store().log().iter().map(|entry| entry.term.0);
    assert_eq!(log.collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert_eq!(sent_to(&effects, S3).len(), 2);
}

fn kind(write: &Output) -> &'static str {
    match write {
        Output::WriteHardState { term: Term(2), .. } => "term 2",
        Output::WriteEntries { first_index: LogIndex(3), .. } => "entries 3",
        Output::WriteEntries { first_index: LogIndex(4), .. } => "entries 4",
        _ => "another",
    }
}

#[test]
fn nothing_is_acknowledged_before_its_group_is_durable() {
    let mut server = follower(config());
    server.at_once = false;
    let effects = server.hears(S2, append(1, at(1, 1), &[1, 1], 1));
    assert!(acknowledged(&effects).is_empty());
    assert_eq!(acknowledged(&server.written()), [3]);
}

#[test]
fn a_group_that_is_not_under_way_is_not_done() {
    let mut server = follower(config());
    server.at_once = false;
    server.hears(S2, append(1, at(1, 1), &[1], 1));
    let number = server.writing.as_ref().map_or(0, |group| group.number);
    for group in [number - 1, number + 1] {
        let effects = server.tell(Event::Written { group });
        assert_eq!(notices(&effects), [Notice::UnknownGroup { group }]);
    }
    assert_eq!(acknowledged(&server.written()), [2]);
    let effects = server.tell(Event::Written { group: number });
    assert_eq!(notices(&effects), [Notice::UnknownGroup { group: number }]);
}

/// A leader whose disk hangs, though its followers answer.
fn hangs(server: &mut Server, heartbeats: u32) -> Vec<Effect> {
    let mut all = Vec::new();
    for _ in 0..heartbeats {
        all.extend(server.live(TIMEOUT / 10));
        all.extend(server.hears(S2, matched(1, 1)));
    }
    all
}

#[test]
fn a_leader_whose_disk_makes_no_progress_gives_way() {
    let mut server = leader(config());
    server.at_once = false;
    let (ticket, event) = server.proposes(1);
    server.tell(event);
    let effects = hangs(&mut server, 19);
    assert!(roles(&effects).is_empty() && notices(&effects).is_empty());
    let effects = hangs(&mut server, 1);
    assert_eq!(roles(&effects), [RoleKind::Follower]);
    assert_eq!(notices(&effects)[0], Notice::DiskStalled);
    assert!(server.driver.status().disk_stalls && answers(&effects).is_empty());
    // Until a write is done it does not campaign.
    assert!(roles(&server.live(5 * TIMEOUT)).is_empty());
    let effects = server.written();
    assert_eq!(notices(&effects)[0], Notice::DiskGoesOn);
    assert!(!server.driver.status().disk_stalls);
    assert_eq!(roles(&server.live(2 * TIMEOUT)), [RoleKind::PreCandidate]);
    assert_eq!(server.driver.waiting(), 1, "nobody knows what becomes of {ticket:?}");
}

#[test]
fn a_disk_that_has_nothing_to_do_does_not_stall() {
    let mut server = follower(config());
    server.hears(S2, append(1, at(1, 1), &[1], 2));
    assert!(!notices(&server.live(5 * TIMEOUT)).contains(&Notice::DiskStalled));
    assert_eq!(server.driver.status().counters.disk_stalls, 0);
}

#[test]
fn a_slow_disk_that_gets_on_costs_nobody_office() {
    let mut server = leader(config());
    server.at_once = false;
    for _ in 0..10 {
        let (_, event) = server.proposes(1);
        server.tell(event);
        let (_, event) = server.proposes(1);
        server.tell(event);
        let effects = hangs(&mut server, 15);
        assert!(roles(&effects).is_empty());
        let effects = server.written();
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Write(_))));
        assert!(roles(&hangs(&mut server, 15)).is_empty());
        server.written();
    }
}

#[test]
fn a_failed_write_stops_the_server_for_good() {
    let mut server = leader(config());
    server.at_once = false;
    let (appended, event) = server.proposes(1);
    server.tell(event);
    let (waits, event) = server.proposes(1);
    server.tell(event);
    let (read, event) = server.reads(kontiki::driver::Consistency::Linearizable);
    server.tell(event);
    let how = "no space left on device".to_string();
    let effects = server.tell(Event::DiskFailed { how: how.clone() });
    let stopping = || Outcome::Refused(Reason::Stopping);
    let unknown = Outcome::Unknown(Doubt::Stopped);
    assert_eq!(answers(&effects), [(waits, stopping()), (appended, unknown), (read, stopping())]);
    let cause = StopCause::Disk(how);
    assert_eq!(notices(&effects), [Notice::Stopped { cause: cause.clone() }]);
    assert_eq!(server.driver.stopped(), Some(&cause));
    // Nothing that comes later matters: a second sync may succeed for what is lost.
    let group = server.writing.take().map_or(0, |group| group.number);
    assert!(server.tell(Event::Written { group }).is_empty());
    assert!(server.hears(S2, matched(1, 2)).is_empty());
    assert_eq!(server.driver.next_deadline(), None);
    assert!(server.after(10 * TIMEOUT).is_empty());
    let (ticket, event) = server.proposes(1);
    assert_eq!(answers(&server.tell(event)), [(ticket, stopping())]);
}
