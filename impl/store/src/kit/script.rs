//! What is done to a store in a test.

use crate::kit::random::Random;
use bytes::Bytes;
use kontiki::storage::{LogStore, MemoryStore};
use kontiki::{
    Configuration, Entries, Entry, LogIndex, LogPosition, Output, Payload, ServerId, Snapshot,
    SnapshotId, Term,
};

/// One thing that is done to a store.
#[derive(Clone, Debug)]
pub enum Step {
    /// A write is taken up.
    Write(Output),
    /// A snapshot that the server has taken is taken up.
    Keep(Snapshot, Bytes),
    /// All that was taken up is made durable.
    Sync,
    /// The store is let go of and opened again, when all is durable.
    Reopen,
}

/// What is done to a store, one after the other, as a server would have it done.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The steps. They end with a sync.
    pub steps: Vec<Step>,
}

/// Which server the store is of.
const SERVER: ServerId = ServerId(1);
const OTHER: ServerId = ServerId(2);

impl Script {
    /// A script of so many writes, drawn at random: entries that are appended and replaced, terms and
    /// votes, snapshots that are taken, received and installed, entries that are let go of.
    pub fn random(seed: u64, writes: usize) -> Script {
        Script::random_after(MemoryStore::new(), seed, writes)
    }

    /// As [`Script::random`], for a store that holds something already.
    pub fn random_after(store: MemoryStore, seed: u64, writes: usize) -> Script {
        let terms = store.log().iter().map(|entry| entry.term);
        let term = terms.chain(store.hard_state().map(|state| state.term)).max();
        let mut writer = Writer {
            random: Random::new(seed),
            store,
            incoming: None,
            term: term.map_or(1, |term| term.0.max(1)),
            steps: Vec::new(),
        };
        for _ in 0..writes {
            writer.write();
            if writer.random.below(3) == 0 {
                writer.steps.push(Step::Sync);
            }
            if writer.random.below(25) == 0 {
                writer.steps.extend([Step::Sync, Step::Reopen]);
            }
        }
        writer.steps.push(Step::Sync);
        Script { steps: writer.steps }
    }
}

/// Draws one write after the other.
struct Writer {
    random: Random,
    /// What all writes amount to.
    store: MemoryStore,
    /// A snapshot that is being received.
    incoming: Option<(Snapshot, Vec<u8>)>,
    term: u64,
    steps: Vec<Step>,
}

impl Writer {
    fn write(&mut self) {
        match self.random.below(16) {
            0..=6 => self.append(),
            7 | 8 => self.replace(),
            9 | 10 => self.vote(),
            11 => self.take_snapshot(),
            12 => self.let_go(),
            _ => self.receive(),
        }
    }

    fn push(&mut self, output: Output) {
        self.store.write(&output);
        self.steps.push(Step::Write(output));
    }

    // A store in memory does not fail to say what is in it.
    fn last_index(&self) -> u64 {
        self.store.last_index().map_or(0, |index| index.0)
    }

    fn covered(&self) -> u64 {
        let snapshot = self.store.snapshot().ok().flatten();
        snapshot.map_or(0, |snapshot| snapshot.id.last.index.0)
    }

    fn append(&mut self) {
        self.entries(self.last_index() + 1);
    }

    /// Entries that a snapshot covers are never replaced (rule S1).
    fn replace(&mut self) {
        let (covered, last) = (self.covered(), self.last_index());
        if covered < last {
            let first = covered + 1 + self.random.below(last - covered);
            self.term += 1;
            self.entries(first);
        }
    }

    fn entries(&mut self, first: u64) {
        let count = 1 + self.random.below(4);
        let entries = (first..first + count).map(|index| Entry {
            term: Term(self.term),
            index: LogIndex(index),
            payload: self.random.payload(),
        });
        let entries: Entries = entries.collect::<Vec<Entry>>().into();
        let (leader_term, first_index) = (Term(self.term), LogIndex(first));
        self.push(Output::WriteEntries { incarnation: 0, leader_term, first_index, entries });
    }

    fn vote(&mut self) {
        self.term += 1;
        let vote = (self.random.below(2) == 0).then_some(OTHER);
        self.push(Output::WriteHardState { incarnation: 0, term: Term(self.term), vote });
    }

    fn take_snapshot(&mut self) {
        let (covered, last) = (self.covered().max(self.base()), self.last_index());
        if covered < last {
            let index = LogIndex(covered + 1 + self.random.below(last - covered));
            let term = self.store.term(index).unwrap_or_default();
            let last = LogPosition { index, term };
            let (snapshot, bytes) = self.random.snapshot(last, SERVER);
            self.store.keep_snapshot(snapshot.clone(), bytes.clone());
            self.steps.push(Step::Keep(snapshot, bytes));
            self.incoming.take_if(|(incoming, _)| incoming.id.last.index <= index);
        }
    }

    fn base(&self) -> u64 {
        self.store.base().map_or(0, |base| base.index.0)
    }

    fn let_go(&mut self) {
        let (base, last) = (self.base(), self.covered().min(self.last_index()));
        if base < last {
            let through = LogIndex(base + 1 + self.random.below(last - base));
            self.push(Output::DropEntries { through });
        }
    }

    /// Goes on with the snapshot that is being received, or begins with another.
    fn receive(&mut self) {
        if self.incoming.is_none() || self.random.below(8) == 0 {
            let (covered, last) = (self.covered(), self.last_index());
            let further = last.saturating_sub(covered) + 5;
            let index = LogIndex(covered + 1 + self.random.below(further));
            let last = LogPosition { index, term: Term(self.term) };
            let (snapshot, bytes) = self.random.snapshot(last, OTHER);
            self.incoming = Some((snapshot, bytes.to_vec()));
            self.chunk(0);
            return;
        }
        let there = self.store.receiving().ok().flatten().map_or(0, |part| part.bytes);
        let whole = self.incoming.as_ref().map_or(0, |(snapshot, _)| snapshot.size);
        if there < whole {
            self.chunk(usize::try_from(there).unwrap_or(0));
        } else if let Some((snapshot, _)) = self.incoming.take() {
            let snapshot = Box::new(snapshot);
            self.push(Output::InstallSnapshot { incarnation: 0, snapshot });
        }
    }

    fn chunk(&mut self, offset: usize) {
        let Some((snapshot, bytes)) = self.incoming.clone() else { return };
        let end = bytes.len().min(offset + 1 + self.random.below(400) as usize);
        let data = Bytes::copy_from_slice(&bytes[offset..end]);
        let (snapshot, offset) = (Box::new(snapshot), offset as u64);
        self.push(Output::WriteChunk { incarnation: 0, snapshot, offset, data });
    }
}

impl Random {
    fn bytes(&mut self, count: u64) -> Bytes {
        // Zeros are what is easily taken for something that was not written.
        let zeros = self.below(3) == 0;
        (0..count).map(|_| if zeros { 0 } else { self.next() as u8 }).collect()
    }

    fn payload(&mut self) -> Payload {
        match self.below(12) {
            0 => Payload::Noop,
            1 => Payload::Configuration(Configuration {
                voters: (1..=1 + self.below(3)).map(ServerId).collect(),
                learners: (10..10 + self.below(3)).map(ServerId).collect(),
                ..Configuration::default()
            }),
            2 => {
                let count = self.below(1500);
                Payload::Command(self.bytes(count))
            }
            _ => {
                let count = self.below(80);
                Payload::Command(self.bytes(count))
            }
        }
    }

    fn snapshot(&mut self, last: LogPosition, taken_by: ServerId) -> (Snapshot, Bytes) {
        let size = 1 + self.below(1000);
        let snapshot = Snapshot {
            id: SnapshotId { last, taken_by },
            configuration: Configuration::of_voters([SERVER, OTHER]),
            configuration_position: LogPosition::default(),
            size,
        };
        (snapshot, self.bytes(size))
    }
}
