//! A state machine that takes its time, and does in order what it is asked: a list of commands.

use kontiki::driver::{Effect, Event};
use kontiki::storage::{LogStore, MemoryStore};
use kontiki::{Entry, LogIndex, Payload, Snapshot, SnapshotId};
use std::collections::VecDeque;

/// What it is asked to do.
#[derive(Clone, Debug)]
pub enum Task {
    Apply(Vec<Entry>),
    Restore(SnapshotId),
    Take(Box<Snapshot>),
}

#[derive(Clone, Debug, Default)]
pub struct Machine {
    pub executed: LogIndex,
    /// Every command that was executed, by its number.
    pub commands: Vec<u64>,
    tasks: VecDeque<Task>,
}

/// What comes of a task.
pub struct Done {
    pub event: Option<Event>,
    /// The entries that were executed.
    pub entries: Vec<Entry>,
    /// A snapshot that goes to disk now, with its bytes.
    pub snapshot: Option<(Snapshot, Vec<u8>)>,
}

impl Machine {
    /// In the state of the snapshot in a store.
    pub fn start(store: &MemoryStore) -> Machine {
        let mut machine = Machine::default();
        if let Some(snapshot) = store.snapshot().unwrap() {
            machine.restore(snapshot.id, store);
        }
        machine
    }

    /// Takes an effect that is for it. The others come back.
    pub fn ask(&mut self, effect: Effect) -> Option<Effect> {
        self.tasks.push_back(match effect {
            Effect::Apply { entries } => Task::Apply(entries.to_vec()),
            Effect::Restore { snapshot } => Task::Restore(snapshot),
            Effect::TakeSnapshot { snapshot } => Task::Take(snapshot),
            effect => return Some(effect),
        });
        None
    }

    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Does the next thing.
    pub fn work(&mut self, store: &MemoryStore) -> Option<Done> {
        let mut done = Done { event: None, entries: Vec::new(), snapshot: None };
        match self.tasks.pop_front()? {
            Task::Apply(entries) => {
                entries.iter().for_each(|entry| self.execute(entry));
                done.entries = entries;
            }
            Task::Restore(snapshot) => self.restore(snapshot, store),
            Task::Take(mut snapshot) => {
                // Exactly what the state machine has come to.
                assert_eq!(snapshot.id.last.index, self.executed);
                let numbers = self.commands.iter().flat_map(|number| number.to_le_bytes());
                let bytes: Vec<u8> = [0; 8].into_iter().chain(numbers).collect();
                snapshot.size = bytes.len() as u64;
                done.snapshot = Some((*snapshot, bytes));
                return Some(done);
            }
        }
        if self.tasks.iter().all(|task| matches!(task, Task::Take(_))) {
            done.event = Some(Event::Executed { index: self.executed });
        }
        Some(done)
    }

    fn execute(&mut self, entry: &Entry) {
        assert_eq!(entry.index, self.executed.next(), "executed out of order");
        self.executed = entry.index;
        if let Payload::Command(command) = &entry.payload {
            self.commands.push(number(command));
        }
    }

    fn restore(&mut self, snapshot: SnapshotId, store: &MemoryStore) {
        // It is on disk when the state machine is to be restored from it.
        assert_eq!(store.snapshot().unwrap().map(|own| own.id), Some(snapshot));
        assert!(snapshot.last.index >= self.executed, "taken back to {snapshot}");
        let bytes = store.snapshot_bytes().unwrap();
        self.commands = bytes[8..].chunks(8).map(number).collect();
        self.executed = snapshot.last.index;
    }
}

/// A command is a number, and perhaps something behind it.
pub fn number(command: &[u8]) -> u64 {
    u64::from_le_bytes(command[..8].try_into().unwrap())
}
