//! What the state machine is handed, in which order, and how far it has come (rules L8, S2).

use super::{Driver, Effect, Notice, Observer, Outcome};
use crate::core::Rejection;
use crate::storage::LogStore;
use kontiki_specs::{Entries, Input, LogIndex, SnapshotId};
use std::collections::VecDeque;
use std::mem;

/// The way to the state machine. As a rule nothing waits here.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// The last index that the state machine was handed, or that the snapshot covers which it was
    /// started or restored from.
    pub(super) handed: LogIndex,
    /// The last index that it has executed, as far as the shell has said.
    pub(super) executed: LogIndex,
    /// What it was to be restored from last ends there.
    restored: LogIndex,
    /// What is held back, in order.
    held: VecDeque<Held>,
    /// A snapshot is to be taken of exactly what was handed over so far, so nothing follows (rule S1).
    pub(super) awaits_snapshot: bool,
}

#[derive(Clone, Debug)]
enum Held {
    /// Entries and answers.
    Effect(Effect),
    /// The snapshot is on disk when this write is done.
    Restore { snapshot: SnapshotId, write: u64 },
}

impl Machine {
    /// A state machine in the state of the snapshot that the server starts with.
    pub(super) fn new(covered: LogIndex) -> Machine {
        let (handed, executed) = (covered, covered);
        let (held, awaits_snapshot) = (VecDeque::new(), false);
        Machine { handed, executed, restored: covered, held, awaits_snapshot }
    }

    /// Whether it has not said yet that it was restored from a snapshot.
    pub(super) fn is_restoring(&self) -> bool {
        self.executed < self.restored
    }
}

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// L8: entries are committed. The outcomes of those that somebody waits for come right behind them.
    pub(super) fn apply(&mut self, entries: Entries) {
        let outcomes = self.clients.committed(&entries);
        self.machine.held.push_back(Held::Effect(Effect::Apply { entries }));
        for (ticket, outcome) in outcomes {
            self.counters.count(&outcome);
            self.machine.held.push_back(Held::Effect(Effect::Answer { ticket, outcome }));
        }
        self.release_machine();
    }

    /// S2: the state machine is to be put into the state of a snapshot. Its last bytes, and the
    /// writes which make it the server's own, are the last that were issued. What it replaces need not be
    /// executed any more, but has been put out already, or is ordered to.
    pub(super) fn restore(&mut self, snapshot: SnapshotId) {
        let write = self.disk.last_issued();
        self.machine.held.push_back(Held::Restore { snapshot, write });
        // A snapshot that was to be taken would cover less, and nothing waits for it.
        self.snapshots.due = false;
        self.machine.awaits_snapshot = false;
        self.release_machine();
    }

    /// Hands over what nothing stands against any more.
    pub(super) fn release_machine(&mut self) {
        while !self.machine.awaits_snapshot
            && let Some(held) = self.machine.held.pop_front()
        {
            match held {
                Held::Effect(effect) => {
                    if let Effect::Apply { entries } = &effect {
                        self.counters.applied += entries.len() as u64;
                        if self.snapshots.due {
                            self.snapshots.lagging.handed_over(entries);
                        }
                        let last = entries.last_index();
                        self.machine.handed = last.unwrap_or(self.machine.handed);
                    }
                    self.effects.push_back(effect);
                }
                Held::Restore { snapshot, write } if self.disk.is_done(write) => {
                    let covered = snapshot.last.index;
                    (self.machine.handed, self.machine.restored) = (covered, covered);
                    self.effects.push_back(Effect::Restore { snapshot });
                }
                Held::Restore { .. } => {
                    self.machine.held.push_front(held);
                    return;
                }
            }
        }
    }

    /// The server has stopped. What may be executed is handed over. What waits for a write never will
    /// be; whoever waits for that is told so.
    pub(super) fn stop_machine(&mut self) {
        self.machine.awaits_snapshot = false;
        self.release_machine();
        for held in mem::take(&mut self.machine.held) {
            if let Held::Effect(Effect::Answer { ticket, outcome }) = held {
                let outcome = match outcome {
                    Outcome::Applied { position } => Outcome::Committed { position },
                    outcome => outcome,
                };
                self.effects.push_back(Effect::Answer { ticket, outcome });
            }
        }
    }

    /// The state machine has come to an index: there is room for more, and reads may be served.
    pub(super) fn executed(&mut self, index: LogIndex) {
        let handed = self.machine.handed;
        if index > handed {
            let rejection = Rejection::ExecutesUnapplied { index, applied_index: handed };
            return self.notice(Notice::Rejected { from: None, rejection });
        }
        self.machine.executed = self.machine.executed.max(index);
        // Anything less means nothing to the server (rule L8).
        if index == self.raft.applied_index() {
            self.step(Input::Executed { index });
        }
        self.serve_executed();
    }
}
