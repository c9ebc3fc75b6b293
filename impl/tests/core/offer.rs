//! A leader that sends its snapshot to a follower that lags too far (rule S2).

use crate::support::*;
use kontiki::core::{Config, Raft};
use kontiki::storage::MemoryStore;
use kontiki::{
    FollowerProgress, Input, LogIndex, Message, Output, ReplicationMode, RoleObservation, ServerId,
    Snapshot,
};

const BYTES: &[u8] = b"abcde";

fn no_entries_kept() -> Config {
    let mut config = config();
    config.kept_entries = 0;
    config
}

/// The leader of term 1, with a snapshot of five entries and one entry behind it. Server 2 holds all,
/// server 3 has never been heard of.
fn with_snapshot(mut raft: Raft<MemoryStore>) -> Raft<MemoryStore> {
    step(&mut raft, propose(&[1; 4]));
    step(&mut raft, deliver(S2, matched(1, 5)));
    snapshot(&mut raft, 5, BYTES);
    step(&mut raft, propose(&[1]));
    step(&mut raft, deliver(S2, matched(1, 6)));
    assert_eq!((raft.log_base(), raft.commit_index()), (at(5, 1), LogIndex(6)));
    raft
}

fn progress(raft: &Raft<MemoryStore>, of: ServerId) -> FollowerProgress {
    match raft.observe().unwrap().role {
        RoleObservation::Leader { progress, .. } => progress[&of],
        other => panic!("{other:?} does not lead"),
    }
}

fn mode(raft: &Raft<MemoryStore>) -> ReplicationMode {
    progress(raft, S3).mode
}

fn own(raft: &Raft<MemoryStore>) -> Snapshot {
    raft.snapshot().unwrap().clone()
}

fn to_three(outputs: &[Output]) -> Vec<Output> {
    let is_to_three = |output: &&Output| matches!(output, Output::Send { to, .. } | Output::SendChunk { to, .. } if *to == S3);
    outputs.iter().filter(is_to_three).cloned().collect()
}

fn asks(raft: &Raft<MemoryStore>, offset: u64) -> Output {
    Output::Send { to: S3, message: install(1, &own(raft), offset, b"") }
}

fn chunk_of(raft: &Raft<MemoryStore>, offset: u64) -> Output {
    Output::SendChunk { to: S3, term: kontiki::Term(1), snapshot: Box::new(own(raft)), offset }
}

#[test]
fn a_follower_that_lags_too_far_is_sent_the_snapshot_chunk_by_chunk() {
    let raft = &mut with_snapshot(leader(no_entries_kept()));
    // Until it answers, it is taken to have all five bytes, however often it is asked.
    for _ in 0..2 {
        assert_eq!(to_three(&step(raft, Input::HeartbeatTimeout)), [asks(raft, 5)]);
    }
    let id = own(raft).id;
    assert_eq!(mode(raft), ReplicationMode::Snapshot { snapshot: id, offset: 5 });
    assert_eq!(progress(raft, S3).next_index, LogIndex(6));
    // Nothing else is sent to it, whatever is proposed.
    assert_eq!(to_three(&step(raft, propose(&[1, 1]))), []);
    assert_eq!(step(raft, deliver(S3, arrived(1, id, 5, 0))), [chunk_of(raft, 0)]);
    assert_eq!(step(raft, deliver(S3, arrived(1, id, 5, 0))), [], "asked twice, sent once");
    assert_eq!(step(raft, deliver(S3, arrived(1, id, 0, 3))), [chunk_of(raft, 3)]);
    assert_eq!(mode(raft), ReplicationMode::Snapshot { snapshot: id, offset: 3 });
    // Late, of another, or of more than there is.
    let mut other = id;
    other.taken_by = S2;
    for late in [arrived(1, id, 0, 3), arrived(1, other, 3, 5), arrived(1, id, 3, 6)] {
        assert_eq!(step(raft, deliver(S3, late)), []);
    }
    assert_eq!(to_three(&step(raft, Input::HeartbeatTimeout)), [asks(raft, 3)]);
    // All is there: the acknowledgement will come.
    assert_eq!(step(raft, deliver(S3, arrived(1, id, 3, 5))), []);
    assert_eq!(to_three(&step(raft, Input::HeartbeatTimeout)), [asks(raft, 5)]);
    let outputs = step(raft, deliver(S3, matched(1, 5)));
    assert_eq!(sent_to(&outputs, S3).iter().map(|entries| entries.len()).sum::<usize>(), 3);
    let FollowerProgress { match_index, next_index, mode, .. } = progress(raft, S3);
    assert_eq!((match_index, next_index), (LogIndex(5), LogIndex(9)));
    assert_eq!(mode, ReplicationMode::Pipeline);
    assert_eq!(step(raft, deliver(S3, arrived(1, id, 5, 5))), []);
}

#[test]
fn a_follower_that_has_lost_bytes_is_sent_them_again() {
    let raft = &mut with_snapshot(leader(no_entries_kept()));
    step(raft, Input::HeartbeatTimeout);
    let id = own(raft).id;
    step(raft, deliver(S3, arrived(1, id, 5, 4)));
    assert_eq!(step(raft, deliver(S3, arrived(1, id, 4, 2))), [chunk_of(raft, 2)]);
}

#[test]
fn with_another_snapshot_it_begins_anew() {
    for by_answer in [true, false] {
        let raft = &mut with_snapshot(leader(no_entries_kept()));
        step(raft, Input::HeartbeatTimeout);
        let old = own(raft).id;
        step(raft, deliver(S3, arrived(1, old, 5, 3)));
        snapshot(raft, 6, b"newer");
        assert_eq!(mode(raft), ReplicationMode::Snapshot { snapshot: old, offset: 3 });
        let input =
            if by_answer { deliver(S3, arrived(1, old, 3, 5)) } else { Input::HeartbeatTimeout };
        assert_eq!(to_three(&step(raft, input)), [asks(raft, 5)]);
        let new = own(raft).id;
        assert_eq!(mode(raft), ReplicationMode::Snapshot { snapshot: new, offset: 5 });
        assert_eq!(progress(raft, S3).next_index, LogIndex(7));
        // The old one has arrived all the same: it is not enough.
        assert_eq!(to_three(&step(raft, deliver(S3, matched(1, 5)))), []);
        assert_eq!(mode(raft), ReplicationMode::Snapshot { snapshot: new, offset: 5 });
        assert_eq!(progress(raft, S3).match_index, LogIndex(5));
        step(raft, deliver(S3, matched(1, 6)));
        assert_eq!(mode(raft), ReplicationMode::Pipeline);
    }
}

/// L2, rule S2.
#[test]
fn a_hint_below_the_base_leads_to_the_snapshot_and_one_at_the_base_to_entries() {
    let hints = [(at(0, 0), true), (at(4, 1), true), (at(5, 1), false), (at(6, 1), false)];
    for (hint, lacks) in hints {
        // The leader of term 2, whose log holds entries 6 to 9 behind its snapshot.
        let raft = &mut start(no_entries_kept());
        step(raft, deliver(S2, append(1, at(0, 0), &[1; 8], 8)));
        snapshot(raft, 5, BYTES);
        step(raft, Input::ElectionTimeout);
        step(raft, deliver(S2, vote(2)));
        let outputs = step(raft, deliver(S3, mismatch(2, 8, hint)));
        let sent = to_three(&outputs);
        let [Output::Send { message, .. }] = &sent[..] else { panic!("{hint}: {sent:?}") };
        match message {
            Message::InstallSnapshot { snapshot, .. } => {
                assert!(lacks, "{hint}");
                assert_eq!(Some(&**snapshot), raft.snapshot());
                // Refusals that come later are of no interest.
                assert_eq!(step(raft, deliver(S3, mismatch(2, 5, at(0, 0)))), []);
            }
            Message::AppendEntries { prev, .. } => {
                assert!(!lacks, "{hint}");
                assert_eq!(*prev, hint);
            }
            other => panic!("{other}"),
        }
    }
}

/// L10, rule S2.
#[test]
fn a_follower_in_pipeline_is_sent_the_snapshot_when_its_next_entry_is_gone() {
    let mut config = no_entries_kept();
    config.limits.window_entries = 2;
    let raft = &mut leader(config);
    step(raft, deliver(S3, matched(1, 1)));
    step(raft, propose(&[1; 6]));
    for index in [3, 5, 7] {
        step(raft, deliver(S2, matched(1, index)));
    }
    // Two are under way to it, and more may not be sent.
    assert_eq!(progress(raft, S3).next_index, LogIndex(4));
    snapshot(raft, 2, BYTES);
    assert_eq!(raft.broken_invariant(), None);
    snapshot(raft, 5, BYTES);
    assert_eq!(raft.broken_invariant(), None);
    assert_eq!(mode(raft), ReplicationMode::Pipeline);
    let outputs = step(raft, propose(&[1]));
    assert_eq!(to_three(&outputs), [asks(raft, 5)]);
    // What was under way arrives: it is not enough, and then it is.
    assert_eq!(to_three(&step(raft, deliver(S3, matched(1, 3)))), []);
    let outputs = step(raft, deliver(S3, matched(1, 5)));
    assert_eq!(to_three(&outputs).len(), 1);
    assert_eq!(raft.broken_invariant(), None);
}

/// S2, L9. It may be down: then what it is sent must have an end.
#[test]
fn snapshots_do_not_open_the_window_of_a_follower_that_does_not_answer() {
    let mut config = no_entries_kept();
    config.limits.window_entries = 4;
    let raft = &mut leader(config);
    step(raft, deliver(S3, matched(1, 1)));
    let mut sent = Vec::new();
    for last in 2..40 {
        sent.extend(sent_to(&step(raft, propose(&[1])), S3));
        step(raft, deliver(S2, matched(1, last)));
        if last % 3 == 0 && last > 5 {
            snapshot(raft, last - 1, BYTES);
        }
        assert_eq!(raft.broken_invariant(), None);
    }
    assert_eq!(sent.iter().map(|entries| entries.len()).sum::<usize>(), 4);
    assert!(matches!(mode(raft), ReplicationMode::Snapshot { .. }), "what is left is a question");
}

/// S2, L9. A follower that is slow, and holds what the leader lets go of a little later.
#[test]
fn the_window_opens_again_when_what_is_let_go_of_is_acknowledged() {
    let mut config = no_entries_kept();
    config.limits.window_entries = 4;
    let raft = &mut leader(config);
    step(raft, deliver(S3, matched(1, 1)));
    step(raft, propose(&[1; 4]));
    step(raft, deliver(S2, matched(1, 5)));
    snapshot(raft, 3, BYTES);
    let outputs = step(raft, propose(&[1; 4]));
    assert_eq!(sent_to(&outputs, S3).len(), 0);
    assert_eq!(sent_to(&step(raft, deliver(S3, matched(1, 2))), S3).len(), 0);
    assert_eq!(raft.broken_invariant(), None);
    let outputs = step(raft, deliver(S3, matched(1, 3)));
    assert_eq!(sent_to(&outputs, S3).iter().map(|entries| entries.len()).sum::<usize>(), 2);
    assert_eq!(
        (mode(raft), progress(raft, S3).next_index),
        (ReplicationMode::Pipeline, LogIndex(8))
    );
    assert_eq!(raft.broken_invariant(), None);
}

/// E9.
#[test]
fn answers_to_a_snapshot_are_contact() {
    let mut config = no_entries_kept();
    config.check_quorum = true;
    for answers in [true, false] {
        let raft = &mut with_snapshot(leader(config.clone()));
        step(raft, Input::HeartbeatTimeout);
        step(raft, Input::QuorumContactExpired);
        let id = own(raft).id;
        if answers {
            step(raft, deliver(S3, arrived(1, id, 0, 0)));
        }
        step(raft, Input::QuorumContactExpired);
        let leads = raft.leader() == Some(S1);
        assert_eq!(leads, answers);
        // To one that does not lead, an answer says nothing.
        if !leads {
            assert_eq!(step(raft, deliver(S3, arrived(1, id, 0, 3))), []);
        }
    }
}

#[test]
fn what_is_put_out_for_a_follower_far_behind_does_not_grow() {
    let raft = &mut with_snapshot(leader(no_entries_kept()));
    for _ in 0..100 {
        step(raft, propose(&[10_000]));
        let last = raft.last_index().0;
        step(raft, deliver(S2, matched(1, last)));
        let mut outputs = step(raft, Input::HeartbeatTimeout);
        outputs.extend(step(raft, deliver(S3, arrived(1, own(raft).id, 5, 0))));
        for output in to_three(&outputs) {
            let empty = match output {
                Output::Send { message: Message::InstallSnapshot { data, .. }, .. } => {
                    data.is_empty()
                }
                Output::SendChunk { .. } => true,
                _ => false,
            };
            assert!(empty && outputs.len() <= 4, "{outputs:?}");
        }
        snapshot(raft, last, BYTES);
        let observation = raft.observe().unwrap();
        assert_eq!((observation.log_base.index.0, observation.log.len()), (last, 0));
    }
}

/// The leader with its snapshot, and server 3, which has nothing, with a network between them.
struct Pair {
    leader: Raft<MemoryStore>,
    follower: Raft<MemoryStore>,
    carried: usize,
}

/// What the network does with one message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Lost,
    Twice,
    /// After everything that comes of the next heartbeat, too.
    Late,
}

impl Pair {
    fn new() -> Pair {
        let mut config = no_entries_kept();
        config.id = S3;
        let leader = with_snapshot(leader(no_entries_kept()));
        Pair { leader, follower: start(config), carried: 0 }
    }

    /// Lets a heartbeat and all that comes of it happen. The `fated` message, of all that are ever
    /// sent, has this fate.
    fn heartbeat(&mut self, fated: usize, fate: Fate, late: &mut Vec<(ServerId, Message)>) {
        let due = std::mem::take(late);
        let outputs = step(&mut self.leader, Input::HeartbeatTimeout);
        let mut queue = sends(&self.leader, &outputs, 3);
        for round in [Vec::new(), due] {
            queue.extend(round);
            while !queue.is_empty() {
                let (to, message) = queue.remove(0);
                if to == S2 {
                    continue;
                }
                self.carried += 1;
                let is_fated = self.carried == fated;
                match fate {
                    Fate::Lost if is_fated => continue,
                    Fate::Late if is_fated => {
                        late.push((to, message));
                        continue;
                    }
                    Fate::Twice if is_fated => queue.push((to, message.clone())),
                    _ => {}
                }
                let (from, server) = match to {
                    S3 => (S1, &mut self.follower),
                    _ => (S3, &mut self.leader),
                };
                let outputs = step(server, deliver(from, message));
                assert_eq!(server.broken_invariant(), None);
                queue.extend(sends(server, &outputs, 3));
            }
        }
    }

    fn is_caught_up(&self) -> bool {
        let own = self.leader.snapshot();
        self.follower.snapshot() == own
            && self.follower.store().snapshot_bytes().is_some_and(|bytes| bytes == BYTES)
            && self.follower.applied_index() == LogIndex(6)
            && progress(&self.leader, S3).match_index == LogIndex(6)
    }
}

#[test]
fn whatever_message_is_lost_doubled_or_late_the_follower_catches_up() {
    let mut pair = Pair::new();
    pair.heartbeat(0, Fate::Lost, &mut Vec::new());
    // Question, chunk and chunk with their answers, the entry behind with its answer.
    assert_eq!(pair.carried, 8);
    pair.heartbeat(0, Fate::Lost, &mut Vec::new());
    assert!(pair.is_caught_up());
    for fate in [Fate::Lost, Fate::Twice, Fate::Late] {
        for fated in 1..=8 {
            let mut pair = Pair::new();
            let mut late = Vec::new();
            for _ in 0..5 {
                pair.heartbeat(fated, fate, &mut late);
            }
            assert!(late.is_empty() && pair.is_caught_up(), "message {fated} {fate:?}");
            assert!(pair.carried < 40, "message {fated} {fate:?}: {}", pair.carried);
        }
    }
}
