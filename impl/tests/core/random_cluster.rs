//! Servers that take and send each other snapshots (rules S1 to S3), over a network and disks that do
//! as they like: all execute the same, and in the end all of it.

use crate::support::{S1, S2, S3, begin, propose, take};
use kontiki::bytes::Bytes;
use kontiki::core::{Config, Raft, chunk, completion, snapshot_taken};
use kontiki::storage::{LogStore, MemoryStore};
use kontiki::{
    Entry, Input, LogIndex, Message, Output, RoleKind, ServerId, Snapshot, SnapshotId, Term,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A server with its disk and its state machine, which is a number made of all that was executed.
struct Node {
    raft: Raft<MemoryStore>,
    writes: VecDeque<Output>,
    asked: Option<Output>,
    executed: LogIndex,
    states: BTreeMap<LogIndex, u64>,
}

struct Cluster {
    nodes: Vec<Node>,
    network: Vec<(ServerId, ServerId, Message)>,
    /// What was executed at an index, wherever first.
    history: BTreeMap<LogIndex, (Term, u64)>,
    /// The bytes of every snapshot that was ever on a disk.
    snapshots: Vec<(SnapshotId, Bytes)>,
    installed: usize,
}

/// What happens: to which server or message, and how.
#[derive(Clone, Copy, Debug)]
enum Event {
    Deliver(usize, bool),
    Lose(usize),
    /// All that is on its way to a server is lost.
    Isolate(usize),
    Write(usize),
    Election(usize),
    Heartbeat(usize),
    Propose(usize),
    Take(usize, u64),
    Taken(usize),
    Crash(usize, usize),
}

fn event() -> impl Strategy<Value = Event> {
    let node = || 0_usize..3;
    prop_oneof![
        30 => (any::<usize>(), prop::bool::weighted(0.1))
            .prop_map(|(which, again)| Event::Deliver(which, again)),
        3 => any::<usize>().prop_map(Event::Lose),
        6 => node().prop_map(Event::Isolate),
        25 => node().prop_map(Event::Write),
        2 => node().prop_map(Event::Election),
        6 => node().prop_map(Event::Heartbeat),
        8 => node().prop_map(Event::Propose),
        8 => (node(), 0_u64..3).prop_map(|(node, before)| Event::Take(node, before)),
        8 => node().prop_map(Event::Taken),
        1 => (node(), 0_usize..4).prop_map(|(node, torn)| Event::Crash(node, torn)),
    ]
}

impl Cluster {
    fn new(pre_vote: bool, kept_entries: u64, batch: u64, window: u64) -> Cluster {
        let nodes = [S1, S2, S3].map(|id| {
            let mut config = Config::new(id, [S1, S2, S3]);
            (config.pre_vote, config.leader_contact, config.check_quorum) =
                (pre_vote, false, false);
            config.kept_entries = kept_entries;
            config.limits.batch_entries = batch;
            config.limits.window_entries = window;
            config.limits.recent_bytes = 50;
            Node {
                raft: Raft::start(config, MemoryStore::new()).unwrap(),
                writes: VecDeque::new(),
                asked: None,
                executed: LogIndex::ZERO,
                states: BTreeMap::from([(LogIndex::ZERO, 0)]),
            }
        });
        Cluster {
            nodes: nodes.into(),
            network: Vec::new(),
            history: BTreeMap::new(),
            snapshots: Vec::new(),
            installed: 0,
        }
    }

    fn happen(&mut self, event: Event) {
        let input = match event {
            Event::Deliver(which, again) => return self.deliver(which, again),
            Event::Lose(_) if self.network.is_empty() => return,
            Event::Lose(which) => {
                self.network.remove(which % self.network.len());
                return;
            }
            Event::Isolate(node) => {
                let id = self.nodes[node].raft.id();
                return self.network.retain(|(_, to, _)| *to != id);
            }
            Event::Write(node) => return self.write(node),
            Event::Taken(node) => return self.taken(node),
            Event::Crash(node, torn) => return self.crash(node, torn),
            Event::Election(_) => Input::ElectionTimeout,
            Event::Heartbeat(_) => Input::HeartbeatTimeout,
            Event::Propose(_) => propose(&[1]),
            Event::Take(node, before) => take(self.nodes[node].executed.0.saturating_sub(before)),
        };
        match event {
            Event::Election(node)
            | Event::Heartbeat(node)
            | Event::Propose(node)
            | Event::Take(node, _) => self.step(node, input),
            _ => {}
        }
    }

    fn step(&mut self, node: usize, input: Input) {
        let (writes, effects) = begin(&mut self.nodes[node].raft, input);
        assert_eq!(self.nodes[node].raft.broken_invariant(), None);
        self.nodes[node].writes.extend(writes);
        for output in effects {
            self.carry_out(node, output);
        }
        assert_eq!(self.nodes[node].executed, self.nodes[node].raft.applied_index());
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        let from = self.nodes[node].raft.id();
        match output {
            Output::Send { to, message } => self.network.push((from, to, message)),
            Output::SendChunk { ref snapshot, offset, .. } => {
                let bytes = self.bytes_of(node, snapshot.id);
                let from_there = bytes.slice(usize::try_from(offset).unwrap()..);
                let data = from_there.slice(..from_there.len().min(3));
                let (to, message) = chunk(&output, data).unwrap();
                self.network.push((from, to, message));
            }
            Output::Apply { entries } => entries.iter().for_each(|entry| self.execute(node, entry)),
            Output::Restore { snapshot } => {
                self.installed += 1;
                let bytes =
                    self.snapshots.iter().find(|(id, _)| *id == snapshot).unwrap().1.clone();
                self.nodes[node].restore(snapshot.last.index, &bytes);
            }
            Output::TakeSnapshot { .. } => self.nodes[node].asked = Some(output),
            Output::DropEntries { .. } => self.nodes[node].raft.store_mut().write(&output),
            _ => {}
        }
    }

    /// A leader sends its own snapshot, which is on its disk.
    fn bytes_of(&self, node: usize, id: SnapshotId) -> Bytes {
        let store = self.nodes[node].raft.store();
        assert_eq!(store.snapshot().unwrap().map(|own| own.id), Some(id));
        store.snapshot_bytes().unwrap().clone()
    }

    fn execute(&mut self, node: usize, entry: &Entry) {
        let state = self.nodes[node].execute(entry);
        let first = *self.history.entry(entry.index).or_insert((entry.term, state));
        assert_eq!(first, (entry.term, state), "at {}", entry.index);
    }

    fn deliver(&mut self, which: usize, again: bool) {
        if self.network.is_empty() {
            return;
        }
        let which = which % self.network.len();
        let (from, to, message) = self.network[which].clone();
        if !again {
            self.network.remove(which);
        }
        let node = usize::try_from(to.0 - 1).unwrap();
        self.step(node, Input::Deliver { from, message });
    }

    fn write(&mut self, node: usize) {
        let Some(write) = self.nodes[node].writes.pop_front() else { return };
        self.nodes[node].raft.store_mut().write(&write);
        self.check_snapshot(node);
        self.step(node, completion(&write).unwrap());
    }

    /// What is on disk is what was taken.
    fn check_snapshot(&self, node: usize) {
        let store = self.nodes[node].raft.store();
        if let Some(Snapshot { id, size, .. }) = store.snapshot().unwrap() {
            let bytes = store.snapshot_bytes().unwrap();
            assert!(self.snapshots.contains(&(id, bytes.clone())), "{id}");
            assert_eq!(bytes.len() as u64, size);
        }
    }

    fn taken(&mut self, node: usize) {
        let Some(asked) = self.nodes[node].asked.take() else { return };
        let raft = &mut self.nodes[node].raft;
        let Some((snapshot, input)) = snapshot_taken(&asked, raft.id(), 8) else { return };
        let state = self.history[&snapshot.id.last.index].1;
        let bytes = Bytes::copy_from_slice(&state.to_le_bytes());
        self.snapshots.push((snapshot.id, bytes.clone()));
        raft.store_mut().keep_snapshot(snapshot, bytes);
        self.step(node, input);
    }

    /// Of the oldest outstanding write, or with none of it; a snapshot that is being taken may be on
    /// disk.
    fn crash(&mut self, node: usize, torn: usize) {
        if torn == 3 && self.nodes[node].asked.is_some() {
            self.taken(node);
        }
        let crashed = &mut self.nodes[node];
        if let Some(write) = crashed.writes.front().filter(|_| torn < 2) {
            crashed.raft.store_mut().tear(write, torn);
        }
        crashed.writes.clear();
        crashed.asked = None;
        let own = crashed.raft.store().snapshot().unwrap();
        let bytes = crashed.raft.store().snapshot_bytes().cloned();
        crashed.restore(
            own.map_or(LogIndex::ZERO, |own| own.id.last.index),
            &bytes.unwrap_or_else(|| Bytes::from_static(&[0; 8])),
        );
        self.check_snapshot(node);
        self.step(node, Input::Restart { torn: None });
    }

    /// All that is under way comes to pass, writes first.
    fn settle(&mut self) {
        for _ in 0..2000 {
            if let Some(node) = (0..3).find(|node| !self.nodes[*node].writes.is_empty()) {
                self.write(node);
            } else if let Some(node) = (0..3).find(|node| self.nodes[*node].asked.is_some()) {
                self.taken(node);
            } else if self.network.is_empty() {
                return;
            } else {
                self.deliver(0, false);
            }
        }
        panic!("messages never cease");
    }

    /// With a whole network and disks that get on, one server leads and all execute its whole log.
    fn recover(&mut self) {
        self.network.clear();
        self.settle();
        for _ in 0..5 {
            for node in 0..3 {
                self.step(node, Input::HeartbeatTimeout);
                self.settle();
            }
            let leader = (0..3).find(|node| self.nodes[*node].raft.role() == RoleKind::Leader);
            if let Some(leader) = leader {
                self.step(leader, propose(&[1]));
                for _ in 0..8 {
                    self.step(leader, Input::HeartbeatTimeout);
                    self.settle();
                }
                if self.all_have_executed(self.nodes[leader].raft.last_index()) {
                    return;
                }
            }
            let best = (0..3).max_by_key(|node| self.nodes[*node].last()).unwrap();
            self.step(best, Input::ElectionTimeout);
            self.settle();
        }
        panic!("they do not recover");
    }

    fn all_have_executed(&self, last: LogIndex) -> bool {
        self.nodes.iter().all(|node| node.executed == last)
    }
}

impl Node {
    fn execute(&mut self, entry: &Entry) -> u64 {
        assert_eq!(entry.index, self.executed.next());
        let mut hasher = DefaultHasher::new();
        (self.states[&self.executed], entry).hash(&mut hasher);
        let state = hasher.finish();
        self.executed = entry.index;
        self.states.insert(entry.index, state);
        state
    }

    fn restore(&mut self, last: LogIndex, bytes: &[u8]) {
        let state = u64::from_le_bytes(bytes.try_into().unwrap());
        self.executed = last;
        self.states = BTreeMap::from([(last, state)]);
    }

    fn last(&self) -> (Term, LogIndex) {
        let observation = self.raft.observe().unwrap();
        let last = observation.log.last().map_or(observation.log_base, Entry::position);
        (last.term, last.index)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn all_execute_the_same_and_in_the_end_all_of_it(
        (pre_vote, kept, batch, window) in (any::<bool>(), 0_u64..3, 1_u64..4, 1_u64..4),
        events in vec(event(), 50..600),
    ) {
        let mut cluster = Cluster::new(pre_vote, kept, batch, window);
        cluster.happen(Event::Election(0));
        cluster.settle();
        for event in events {
            cluster.happen(event);
        }
        cluster.recover();
    }
}
