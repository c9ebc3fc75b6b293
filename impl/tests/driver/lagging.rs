//! A snapshot that is due waits for a follower that catches up (rule S6).

use crate::support::{
    HEARTBEAT, S1, S2, S3, Server, TIMEOUT, append, at, config, leader, matched, start,
};
use kontiki::bytes::Bytes;
use kontiki::driver::{Effect, Event, Instant};
use kontiki::{AppendOutcome, LogIndex, Message, RoleKind, ServerId, Snapshot, SnapshotId, Term};

/// The snapshots' size, in bytes. A snapshot is due after as many bytes of log.
const SIZE: u64 = 200;

const S4: ServerId = ServerId(4);
const S5: ServerId = ServerId(5);

fn to_take(effects: &[Effect]) -> Option<SnapshotId> {
    effects.iter().find_map(|effect| match effect {
        Effect::TakeSnapshot { snapshot } => Some(snapshot.id),
        _ => None,
    })
}

/// Server 3 says so much has arrived, in answer to the question or chunk at an offset.
fn arrived(snapshot: SnapshotId, offset: u64, received: u64) -> Message {
    Message::InstallSnapshotReply { term: Term(1), snapshot, offset, received }
}

/// A leader whose log is let go of up to the end of its snapshot, which server 3 is to be sent. It has
/// not answered yet.
struct Leading {
    server: Server,
    snapshot: SnapshotId,
}

impl Leading {
    fn new() -> Leading {
        let mut config = config();
        (config.raft.kept_entries, config.raft.snapshot_bytes) = (0, SIZE);
        let mut server = leader(config);
        let ticket = server.ticket();
        let id = to_take(&server.tell(Event::TakeSnapshot { ticket })).unwrap();
        let mut leading = Leading { server, snapshot: id };
        leading.taken(id, SIZE);
        let hint = at(0, 0);
        let outcome = AppendOutcome::Mismatch { prev_index: LogIndex(1), hint };
        leading.server.hears(S3, Message::AppendEntriesReply { term: Term(1), outcome });
        leading
    }

    fn taken(&mut self, id: SnapshotId, size: u64) {
        let (position, configuration) = {
            let raft = self.server.driver.server();
            (raft.configuration_position(), raft.configuration().clone())
        };
        let snapshot = Snapshot { id, configuration, configuration_position: position, size };
        let bytes = Bytes::from(vec![0; usize::try_from(size).unwrap()]);
        self.server.driver.store_mut().keep_snapshot(snapshot, bytes);
        self.server.tell(Event::SnapshotTaken { snapshot: id, size });
        self.snapshot = id;
    }

    /// A command is committed, with server 2. The snapshot that is taken then, if any.
    fn commits(&mut self, bytes: usize) -> Option<SnapshotId> {
        let (_, event) = self.server.proposes(bytes);
        self.server.tell(event);
        let last = self.server.driver.status().last_index.0;
        to_take(&self.server.hears(S2, matched(1, last)))
    }

    /// Server 3 says that so much of the snapshot has arrived.
    fn third_has(&mut self, offset: u64, received: u64) -> Option<SnapshotId> {
        to_take(&self.server.hears(S3, arrived(self.snapshot, offset, received)))
    }

    /// Time passes in which server 2 goes on answering.
    fn live_until(&mut self, end: Instant) -> Option<SnapshotId> {
        let mut taken = None;
        while self.server.now < end {
            let last = self.server.driver.status().last_index.0;
            let mut effects = self.server.live(HEARTBEAT / 2);
            effects.extend(self.server.hears(S2, matched(1, last)));
            taken = taken.or(to_take(&effects));
        }
        taken
    }

    fn live(&mut self, timeouts: u32) -> Option<SnapshotId> {
        self.live_until(self.server.now.plus(TIMEOUT * timeouts))
    }
}

#[test]
fn a_snapshot_that_is_due_waits_for_a_follower_that_is_sent_the_last() {
    let mut leading = Leading::new();
    assert_eq!(leading.third_has(SIZE, 0), None);
    assert_eq!(leading.commits(200), None);
    // However long all of it takes, as long as some arrives now and then.
    for received in 1..SIZE {
        let moved = leading.server.now.plus(TIMEOUT * 10 - HEARTBEAT);
        assert_eq!(leading.live_until(moved), None, "{received} bytes have arrived");
        assert_eq!(leading.third_has(received - 1, received), None);
    }
    assert_eq!(leading.third_has(SIZE - 1, SIZE), None);
    assert_eq!(leading.live_until(leading.server.now.plus(TIMEOUT * 10 - HEARTBEAT)), None);
    // Then it needs what the log has behind the snapshot. When it has all, the next is taken.
    assert_eq!(to_take(&leading.server.hears(S3, matched(1, 1))), None);
    assert_eq!(leading.live_until(leading.server.now.plus(TIMEOUT * 10 - HEARTBEAT)), None);
    let taken = to_take(&leading.server.hears(S3, matched(1, 2)));
    assert_eq!(taken.map(|snapshot| snapshot.last), Some(at(2, 1)));
}

#[test]
fn it_waits_for_no_follower_that_comes_no_nearer() {
    let mut leading = Leading::new();
    assert_eq!(leading.third_has(SIZE, 10), None);
    assert_eq!(leading.commits(200), None);
    assert_eq!(leading.live_until(leading.server.now.plus(TIMEOUT * 10 - HEARTBEAT)), None);
    let first = leading.live(1).expect("the follower has stood still for ten election timeouts");
    leading.taken(first, SIZE);
    // It is known by now to be away, though it is asked for another snapshot. So the next is taken at once.
    leading.live(10);
    let second = leading.commits(200).expect("nobody has answered");
    leading.taken(second, SIZE);
    // When it answers, it is waited for again.
    leading.live(10);
    assert_eq!(leading.third_has(SIZE, 10), None);
    assert_eq!(leading.commits(200), None);
}

#[test]
fn it_waits_while_the_log_has_grown_by_less_than_two_snapshots() {
    let mut leading = Leading::new();
    assert_eq!(leading.third_has(SIZE, 1), None);
    assert_eq!(leading.commits(200), None); // It is due.
    let mut committed = 0;
    for received in 2.. {
        assert_eq!(leading.third_has(received - 1, received), None);
        committed += 40 + 24;
        let taken = leading.commits(40);
        assert_eq!(taken.is_some(), committed >= 2 * SIZE, "after {committed} bytes");
        if let Some(taken) = taken {
            leading.taken(taken, SIZE);
            break;
        }
    }
    // So much was written before the next is due. That does not count for the next.
    assert_eq!(leading.third_has(SIZE - 1, SIZE), None);
    leading.live(1);
    assert_eq!(leading.third_has(SIZE, 1), None);
    assert_eq!(leading.commits(200), None);
}

/// What was seen of a follower in an earlier leadership says nothing.
#[test]
fn a_server_that_leads_again_looks_at_its_followers_anew() {
    let mut config = config();
    (config.raft.kept_entries, config.raft.snapshot_bytes) = (3, SIZE);
    let none = SnapshotId { last: at(0, 0), taken_by: S3 };
    let mut leading = Leading { server: leader(config), snapshot: none };
    assert_eq!(leading.commits(50), None);
    leading.server.hears(S3, matched(1, 2));
    let take = |leading: &mut Leading| (0..3).find_map(|_| leading.commits(50));
    let first = take(&mut leading).expect("server 3 lacks less than is kept");
    leading.taken(first, SIZE);
    assert_eq!(take(&mut leading), None);
    let snapshot = leading.live(11).expect("server 3 comes no nearer");
    leading.server.tell(Event::SnapshotFailed { snapshot });
    // Another server leads, and then this one again.
    let server = &mut leading.server;
    let last = server.driver.status().last_index.0;
    server.hears(S2, append(2, at(last, 1), &[2], last + 1));
    while server.driver.server().role() == RoleKind::Follower {
        server.at(server.driver.next_deadline().unwrap());
    }
    server.hears(S2, Message::RequestPreVoteReply { term: Term(2), granted: true });
    server.hears(S2, Message::RequestVoteReply { term: Term(3), granted: true });
    server.hears(S2, matched(3, last + 2));
    server.hears(S3, matched(3, 1));
    for index in last + 3..last + 6 {
        let (_, event) = server.proposes(50);
        server.tell(event);
        assert_eq!(to_take(&server.hears(S2, matched(3, index))), None);
    }
    assert!(server.driver.status().followers.iter().any(|one| one.lag > 3));
}

/// A leader of servers 1 to 5 that is to send its snapshot to servers 4 and 5.
fn leading_five() -> Leading {
    let mut config = config();
    config.raft = kontiki::core::Config::new(S1, (1..=5).map(ServerId));
    config.raft.incarnation = 1;
    (config.raft.kept_entries, config.raft.snapshot_bytes) = (0, SIZE);
    let mut server = start(config);
    server.at(server.driver.next_deadline().unwrap());
    for voter in [S2, S3] {
        server.hears(voter, Message::RequestPreVoteReply { term: Term(0), granted: true });
    }
    for voter in [S2, S3] {
        server.hears(voter, Message::RequestVoteReply { term: Term(1), granted: true });
    }
    for follower in [S2, S3] {
        server.hears(follower, matched(1, 1));
    }
    let ticket = server.ticket();
    let id = to_take(&server.tell(Event::TakeSnapshot { ticket })).unwrap();
    let mut leading = Leading { server, snapshot: id };
    leading.taken(id, SIZE);
    for follower in [S4, S5] {
        let outcome = AppendOutcome::Mismatch { prev_index: LogIndex(1), hint: at(0, 0) };
        leading.server.hears(follower, Message::AppendEntriesReply { term: Term(1), outcome });
    }
    leading
}

#[test]
fn it_waits_for_any_that_comes_nearer_though_another_does_not() {
    for (nearer, silent) in [(S4, S5), (S5, S4)] {
        let mut leading = leading_five();
        let snapshot = leading.snapshot;
        leading.server.hears(nearer, arrived(snapshot, SIZE, 1));
        // It becomes due.
        let (_, event) = leading.server.proposes(200);
        leading.server.tell(event);
        for follower in [S2, S3] {
            assert_eq!(to_take(&leading.server.hears(follower, matched(1, 2))), None);
        }
        for received in 2..30 {
            let mut effects = leading.server.live(TIMEOUT / 2);
            for follower in [S2, S3] {
                effects.extend(leading.server.hears(follower, matched(1, 2)));
            }
            let message = arrived(snapshot, received - 1, received);
            effects.extend(leading.server.hears(nearer, message));
            assert_eq!(to_take(&effects), None, "{silent} is away, and {nearer} is not");
        }
    }
}

/// Once the state machine is held for a snapshot, that is taken as soon as the disk is ready.
#[test]
fn what_is_begun_is_not_put_off() {
    let mut leading = leading_five();
    let server = &mut leading.server;
    // Nobody who lags comes nearer.
    let wait = server.now.plus(TIMEOUT * 11);
    let (_, event) = server.proposes(200);
    server.tell(event);
    let mut taken = None;
    while taken.is_none() && server.now < wait.plus(TIMEOUT) {
        let mut effects = server.live(TIMEOUT / 2);
        for follower in [S2, S3] {
            effects.extend(server.hears(follower, matched(1, 2)));
        }
        taken = to_take(&effects);
    }
    leading.taken(taken.unwrap(), SIZE);
    leading.server.live(2 * HEARTBEAT); // They are asked how much they have of this one.
    // The next is due. It is of what is not on this server's disk yet.
    let server = &mut leading.server;
    server.at_once = false;
    let (_, event) = server.proposes(200);
    server.tell(event);
    let mut effects = Vec::new();
    for follower in [S2, S3, ServerId(4)] {
        effects.extend(server.hears(follower, matched(1, 3)));
    }
    assert_eq!(to_take(&effects), None);
    server.hears(S5, arrived(leading.snapshot, SIZE, 1));
    let effects = server.written();
    assert_eq!(to_take(&effects).map(|snapshot| snapshot.last), Some(at(3, 1)));
}

#[test]
fn what_an_operator_asks_for_is_taken_at_once() {
    let mut leading = Leading::new();
    leading.third_has(SIZE, 10);
    assert_eq!(leading.commits(200), None);
    let ticket = leading.server.ticket();
    let effects = leading.server.tell(Event::TakeSnapshot { ticket });
    assert_eq!(to_take(&effects).map(|snapshot| snapshot.last), Some(at(2, 1)));
}

#[test]
fn who_lacks_no_more_than_the_log_keeps_is_not_waited_for() {
    let mut config = config();
    (config.raft.kept_entries, config.raft.snapshot_bytes) = (2, SIZE);
    let none = SnapshotId { last: at(0, 0), taken_by: S3 };
    let mut leading = Leading { server: leader(config), snapshot: none };
    let taken = leading.commits(200);
    assert_eq!(taken.map(|snapshot| snapshot.last), Some(at(2, 1)));
}
