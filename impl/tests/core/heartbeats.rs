//! What heartbeats cost, and what they repair (L12).

use crate::support::*;
use kontiki::core::{Config, Raft};
use kontiki::storage::MemoryStore;
use kontiki::{Input, LogIndex, Message, Output};
use std::collections::VecDeque;

fn batches(limit: u64) -> Config {
    let mut config = config();
    config.limits.batch_entries = limit;
    config
}

fn commands(count: usize) -> Input {
    propose(&vec![8; count])
}

/// The entries in what was sent to a server.
fn entries(outputs: &[Output]) -> usize {
    sent_to(outputs, S3).iter().map(|entries| entries.len()).sum()
}

/// A follower that is down is sent heartbeats and nothing else, however much it lacks.
#[test]
fn a_follower_that_is_down_costs_heartbeats() {
    let raft = &mut leader(batches(10));
    let mut sent = 0;
    for _ in 0..100 {
        sent += entries(&step(raft, commands(5)));
        sent += entries(&step(raft, Input::HeartbeatTimeout));
        step(raft, deliver(S2, matched(1, raft.last_index().0)));
    }
    assert_eq!(sent, 0, "server 3 was sent its probe when the leader was elected");
    // It comes back with an empty log, and is brought up to date.
    let outputs = step(raft, deliver(S3, mismatch(1, 1, at(0, 0))));
    assert_eq!(entries(&outputs), 10);
}

/// A probe that begins right behind what is known to match is asked for, and sent again only when
/// it is known to be lost.
#[test]
fn a_lost_probe_is_sent_again() {
    let raft = &mut leader(batches(2));
    step(raft, commands(5));
    // Server 3 has nothing: the probe of the no-op alone was overtaken by a heartbeat.
    assert_eq!(entries(&step(raft, Input::HeartbeatTimeout)), 0);
    assert_eq!(entries(&step(raft, deliver(S3, mismatch(1, 1, at(0, 0))))), 2);
    let asks = |outputs: &[Output]| {
        let prevs = outputs.iter().filter_map(|output| match output {
            Output::Send { to, message: Message::AppendEntries { prev, .. } } if *to == S3 => {
                Some(*prev)
            }
            _ => None,
        });
        prevs.collect::<Vec<_>>()
    };
    assert_eq!(asks(&step(raft, Input::HeartbeatTimeout)), [at(1, 1)]);
    // It has taken the probe, and its disk is not done yet: nothing is sent again.
    assert_eq!(entries(&step(raft, deliver(S3, matched(1, 0)))), 0);
    // It has not.
    assert_eq!(entries(&step(raft, deliver(S3, mismatch(1, 1, at(0, 0))))), 2);
    assert_eq!(entries(&step(raft, deliver(S3, matched(1, 2)))), 4);
    assert_eq!(asks(&step(raft, Input::HeartbeatTimeout)), [at(6, 1)]);
}

/// Over a slow link in order, no entry is sent twice.
#[test]
fn a_slow_link_carries_each_entry_once() {
    let raft = &mut leader(batches(10));
    step(raft, commands(1000));
    let mut config = batches(10);
    config.id = S3;
    let slow = &mut Raft::start(config, MemoryStore::new()).unwrap();
    let mut link: VecDeque<Message> = VecDeque::new();
    let mut carried = 0;
    let probe = deliver(S3, mismatch(1, 1, at(0, 0)));
    let post = |outputs: Vec<Output>, link: &mut VecDeque<Message>| {
        link.extend(outputs.into_iter().filter_map(|output| match output {
            Output::Send { to, message } if to == S3 => Some(message),
            _ => None,
        }));
    };
    post(step(raft, probe), &mut link);
    while slow.last_index() < LogIndex(1001) {
        // Ten heartbeats in the time that one message takes.
        for _ in 0..10 {
            post(step(raft, Input::HeartbeatTimeout), &mut link);
        }
        // Heartbeats take no time.
        while let Some(message) = link.pop_front() {
            let Message::AppendEntries { entries, .. } = &message else { continue };
            let carries = !entries.is_empty();
            carried += entries.len();
            for output in step(slow, deliver(S1, message)) {
                if let Output::Send { to: S1, message } = output {
                    post(step(raft, deliver(S3, message)), &mut link);
                }
            }
            if carries {
                break;
            }
        }
        assert!(carried <= 1001, "{carried} entries were sent");
    }
    assert_eq!(carried, 1001);
}
