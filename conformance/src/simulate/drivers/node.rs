//! One server of a cluster of drivers: its driver, its disk and its state machine.

use super::clock::{Clock, Time};
use super::happening::Happening;
use super::plan::Plan;
use super::watcher::Watcher;
use crate::implementation::{DiskHabit, tears};
use crate::shadow::Shadow;
use crate::simulate::fault::Fault;
use crate::simulate::problem::{Invariant, Problem};
use crate::simulate::state_machine::{Content, StateMachine};
use bytes::Bytes;
use kontiki::driver::{Driver, DriverStartError, Effect, WriteGroup};
use kontiki::storage::{LogStore, MemoryStore};
use kontiki_model::server::RaftServer;
use kontiki_specs::{Entry, LogIndex, Output, ServerId, Snapshot, SnapshotId};
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::VecDeque;

/// How often [`Fault::ExecutesTwice`] does.
const TWICE: u64 = 50;

/// What a state machine is asked to do.
#[derive(Clone, Debug)]
pub(super) enum Task {
    Apply(Vec<Entry>),
    Restore(SnapshotId),
    Take(Box<Snapshot>),
}

/// What a state machine has done.
pub(super) enum Done {
    /// It has executed these entries, and come to this by each.
    Applied(Vec<(Entry, Content)>),
    /// It was restored.
    Restored(LogIndex, Content),
    /// It has given the bytes of a snapshot.
    Taken(Snapshot, Bytes),
}

/// What is left of the writes of a server that went down.
#[derive(Clone, Debug, Default)]
struct Remains {
    /// Done, and the driver was not told.
    done: Vec<Output>,
    /// The next was torn.
    torn: Option<u64>,
}

/// A server.
pub(super) struct Node {
    pub(super) id: ServerId,
    pub(super) driver: Driver<MemoryStore, Watcher>,
    machine: StateMachine,
    tasks: VecDeque<Task>,
    /// Whether the state machine is at work.
    pub(super) works: bool,
    writing: Option<WriteGroup>,
    remains: Remains,
    /// How often it has started, counted from 0.
    pub(super) start: u64,
    pub(super) up: bool,
    /// Its process is stopped: what happens to it waits.
    pub(super) asleep: Option<Vec<Happening>>,
    pub(super) clock: Clock,
    pub(super) wakes_at: Option<Time>,
    /// What is wrong here: nothing, but in tests.
    fault: Option<Fault>,
    habit: DiskHabit,
}

impl Node {
    /// A server that starts for the first time.
    pub(super) fn boot(
        model: RaftServer,
        plan: &Plan,
        random: &mut StdRng,
    ) -> Result<Node, Box<Problem>> {
        let (id, clock) = (model.id, Clock::new(Plan::drift(random)));
        let watcher = Watcher::new(id, Shadow::boot(model));
        let (config, store) = (plan.config(id), MemoryStore::new());
        let driver = Driver::observed(config, store, clock.shows(0), |_| watcher);
        Ok(Node {
            id,
            driver: driver.map_err(|error| does_not_start(id, &error))?,
            machine: StateMachine::new(),
            tasks: VecDeque::new(),
            works: false,
            writing: None,
            remains: Remains::default(),
            start: 0,
            up: true,
            asleep: None,
            clock,
            wakes_at: None,
            fault: plan.parameters.fault_of(id),
            habit: plan.parameters.disk_of(id),
        })
    }

    /// Whether it is up, and its process runs.
    pub(super) fn runs(&self) -> bool {
        self.up && self.asleep.is_none()
    }

    /// What the state machine has come to.
    pub(super) fn executed(&self) -> (LogIndex, Content) {
        (self.machine.last(), self.machine.content())
    }

    /// Takes an effect that is for the state machine. The others come back.
    pub(super) fn ask(&mut self, effect: Effect) -> Option<Effect> {
        self.tasks.push_back(match effect {
            Effect::Apply { entries } => Task::Apply(entries.to_vec()),
            Effect::Restore { snapshot } => Task::Restore(snapshot),
            Effect::TakeSnapshot { snapshot } => Task::Take(snapshot),
            effect => return Some(effect),
        });
        None
    }

    /// Whether the state machine has something to do.
    pub(super) fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Whether the state machine has executed all that it was handed.
    pub(super) fn has_executed_all(&self) -> bool {
        self.tasks.iter().all(|task| matches!(task, Task::Take(_)))
    }

    /// The state machine does what it is asked, in order.
    pub(super) fn work(&mut self) -> Result<Option<Done>, Box<Problem>> {
        let Some(task) = self.tasks.pop_front() else { return Ok(None) };
        let done = match task {
            Task::Apply(entries) => {
                let mut applied = Vec::new();
                for entry in entries {
                    if entry.index != self.machine.last().next() {
                        let how = format!("{entry} follows {}", self.machine.last());
                        return Err(self.broken(Invariant::AppliedInOrder, how));
                    }
                    let twice =
                        self.has(Fault::ExecutesTwice) && entry.index.0.is_multiple_of(TWICE);
                    self.machine.execute(&entry, if twice { 2 } else { 1 });
                    applied.push((entry, self.machine.content()));
                }
                Done::Applied(applied)
            }
            Task::Restore(snapshot) => {
                let before = self.machine.last();
                let own = self.own_snapshot()?.filter(|own| own.id == snapshot);
                if own.is_none() || snapshot.last.index < before {
                    let how = format!("it is to be restored from {snapshot} at {before}: {own:?}");
                    return Err(self.broken(Invariant::SnapshotBytes, how));
                }
                if self.has(Fault::RestoresNothing) {
                    self.machine = StateMachine::new();
                    return Ok(Some(Done::Restored(snapshot.last.index, Content::default())));
                }
                self.restore()?;
                Done::Restored(self.machine.last(), self.machine.content())
            }
            Task::Take(snapshot) => {
                let last = snapshot.id.last.index;
                let bytes = (last == self.machine.last())
                    .then(|| self.machine.snapshot(&snapshot, last))
                    .flatten();
                let Some(bytes) = bytes else {
                    let how = format!("{snapshot} is to be taken at {}", self.machine.last());
                    return Err(self.broken(Invariant::SnapshotOfCommitted, how));
                };
                let size = bytes.len() as u64;
                Done::Taken(Snapshot { size, ..*snapshot }, bytes)
            }
        };
        self.machine.forget_before(self.machine.last());
        Ok(Some(done))
    }

    fn own_snapshot(&self) -> Result<Option<Snapshot>, Box<Problem>> {
        let own = self.driver.server().store().snapshot();
        own.map_err(|error| self.broken(Invariant::SnapshotBytes, error.to_string()))
    }

    /// Puts the state machine into the state of the snapshot on disk, or into its first state.
    fn restore(&mut self) -> Result<(), Box<Problem>> {
        let Some(own) = self.own_snapshot()? else {
            self.machine = StateMachine::new();
            return Ok(());
        };
        let bytes = self.driver.server().store().snapshot_bytes();
        let machine = bytes.and_then(|bytes| StateMachine::restored(own.id.last, bytes));
        let Some(machine) = machine else {
            let how = format!("the bytes on disk are not {own}");
            return Err(self.broken(Invariant::SnapshotBytes, how));
        };
        self.machine = machine;
        Ok(())
    }

    /// The bytes of a snapshot from an offset on, if the disk has them.
    pub(super) fn chunk(&self, snapshot: &Snapshot, offset: u64, most: u64) -> Option<Bytes> {
        let store = self.driver.server().store();
        store.snapshot().ok().flatten().filter(|own| own == snapshot)?;
        let bytes = store.snapshot_bytes()?;
        let begin = usize::try_from(offset).ok().filter(|begin| *begin < bytes.len())?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Some(bytes.slice(begin..begin.saturating_add(most).min(bytes.len())))
    }

    /// The disk may forget entries.
    pub(super) fn drop_entries(&mut self, through: LogIndex) {
        self.habit.write(self.driver.store_mut(), &Output::DropEntries { through });
    }

    /// A group of writes is under way from now on.
    pub(super) fn begin_writes(&mut self, group: WriteGroup) -> Result<(), Box<Problem>> {
        match self.writing.replace(group) {
            None => Ok(()),
            Some(group) => {
                let how = format!("group {} is under way, and another is begun", group.number);
                Err(self.broken(Invariant::OwnInvariant, how))
            }
        }
    }

    /// The group that is under way is done. Its number.
    pub(super) fn end_writes(&mut self) -> Option<u64> {
        let group = self.writing.take()?;
        let habit = self.habit;
        let store = self.driver.store_mut();
        group.writes.iter().for_each(|write| habit.write(store, write));
        Some(group.number)
    }

    /// The server goes down. Of the writes that are under way the first are done, and perhaps part of
    /// the next.
    pub(super) fn goes_down(&mut self, random: &mut StdRng) {
        (self.up, self.asleep) = (false, None);
        self.remains = Remains::default();
        let Some(group) = self.writing.take() else { return };
        let mut writes = group.writes;
        let rest = writes.split_off(random.random_range(0..=writes.len()));
        let store = self.driver.store_mut();
        writes.iter().for_each(|write| store.write(write));
        self.remains.done = writes;
        let Some(next) = rest.first() else { return };
        let ways = tears(next);
        if !ways.is_empty() && random.random() {
            let written = random.random_range(ways);
            store.tear(next, written);
            self.remains.torn = Some(written as u64);
        }
    }

    /// The server starts from its disk, with a new driver.
    pub(super) fn starts(&mut self, plan: &Plan, now: Time) -> Result<(), Box<Problem>> {
        self.start += 1;
        let mut config = plan.config(self.id);
        config.raft.incarnation = if self.has(Fault::UsesNumbersAgain) { 0 } else { self.start };
        let store = self.driver.server().store().clone();
        let remains = std::mem::take(&mut self.remains);
        // The watcher goes on with the next driver.
        let model = Watcher::new(self.id, self.driver.observer_mut().shadow.clone());
        let mut watcher = std::mem::replace(self.driver.observer_mut(), model);
        let started = Driver::observed(config, store, self.clock.shows(now), |raft| {
            watcher.restarts(&remains.done, remains.torn, raft);
            watcher
        });
        self.driver = started.map_err(|error| does_not_start(self.id, &error))?;
        self.tasks.clear();
        (self.up, self.works, self.wakes_at) = (true, false, None);
        match self.has(Fault::StartsFromNothing) {
            true => self.machine = StateMachine::new(),
            false => self.restore()?,
        }
        Ok(())
    }

    /// Whether a mistake was planted here.
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn broken(&self, invariant: Invariant, how: String) -> Box<Problem> {
        Box::new(Problem::Broken { invariant, server: self.id, how })
    }
}

fn does_not_start(server: ServerId, error: &DriverStartError) -> Box<Problem> {
    let (invariant, how) = (Invariant::StartFromDisk, error.to_string());
    Box::new(Problem::Broken { invariant, server, how })
}
