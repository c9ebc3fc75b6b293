//! When snapshots are taken, and what becomes of them (rules S1, S3, S6).

use super::lagging::Lagging;
use super::{Asking, Driver, Effect, Notice, Observer, Outcome, Reason, Ticket};
use crate::core::snapshot_taken;
use crate::storage::LogStore;
use kontiki_specs::{Input, LogIndex, Output, Refusal, SnapshotId};
use std::mem;

/// Snapshots that are asked for, and the one that is being taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    /// The server has said that one is due.
    pub(super) due: bool,
    /// One of what was handed over up to there was refused: one that is due waits for more.
    refused_at: Option<LogIndex>,
    /// For whom one that is due is put off.
    pub(super) lagging: Lagging,
    /// Operators who have asked for one that has not begun.
    asked_by: Vec<Ticket>,
    taking: Option<Taking>,
}

#[derive(Clone, Debug)]
struct Taking {
    snapshot: SnapshotId,
    /// Who waits for it.
    asked_by: Vec<Ticket>,
}

impl Snapshots {
    /// The server has stopped: who waits for a snapshot.
    pub(super) fn stopped(&mut self) -> Vec<Ticket> {
        let mut waiting = mem::take(&mut self.asked_by);
        waiting.extend(self.taking.take().into_iter().flat_map(|taking| taking.asked_by));
        waiting
    }

    pub(super) fn waiting(&self) -> u64 {
        let taking = self.taking.as_ref().map_or(0, |taking| taking.asked_by.len());
        (self.asked_by.len() + taking) as u64
    }
}

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// The server says that one is due.
    pub(super) fn snapshot_is_due(&mut self) {
        self.snapshots.due = self.config.snapshots_when_due;
        self.snapshots.lagging.bytes = 0;
    }

    /// Whether one is to be begun of what was handed over up to an index.
    fn snapshot_is_wanted(&mut self, index: LogIndex) -> bool {
        let is_refused = self.snapshots.refused_at.is_some_and(|refused| index <= refused);
        let is_due = self.snapshots.due && !is_refused;
        let is_begun = self.machine.awaits_snapshot;
        !self.snapshots.asked_by.is_empty() || is_due && (is_begun || !self.put_off_for(index))
    }

    /// An operator asks for one.
    pub(super) fn take_snapshot(&mut self, ticket: Ticket) {
        match self.takes_requests() {
            Ok(()) => self.snapshots.asked_by.push(ticket),
            Err(outcome) => self.answer(ticket, outcome),
        }
    }

    /// Begins a snapshot that is wanted.
    ///
    /// It is to be of exactly what the state machine has come to when it is asked, and of nothing that is
    /// not on this server's disk. The state machine does in order what it is asked. So the snapshot is of
    /// the last entry that was handed over. If that entry is on its way to disk still (a majority may
    /// have been faster), nothing more is handed over until it is there: that takes one write.
    pub(super) fn begin_snapshot(&mut self) {
        let index = self.machine.handed;
        if !self.snapshot_is_wanted(index) {
            return;
        }
        let under_way = self.raft.taking_snapshot().is_some();
        let covered = self.raft.snapshot().is_some_and(|own| own.id.last.index >= index);
        if index > self.raft.durable_index() && !under_way && !covered {
            self.machine.awaits_snapshot = true;
            return;
        }
        let asked_by = mem::take(&mut self.snapshots.asked_by);
        self.asking = Some(Asking::Snapshot { asked_by, index });
        self.step(Input::TakeSnapshot { index });
        self.machine.awaits_snapshot = false;
        self.release_machine();
    }

    /// The server has begun one.
    pub(super) fn snapshot_begun(&mut self, output: &Output, asked_by: Vec<Ticket>) {
        let Some((snapshot, _)) = snapshot_taken(output, self.raft.id(), 0) else { return };
        (self.snapshots.due, self.snapshots.refused_at) = (false, None);
        self.snapshots.taking = Some(Taking { snapshot: snapshot.id, asked_by });
        self.effects.push_back(Effect::TakeSnapshot { snapshot: Box::new(snapshot) });
    }

    /// The server has refused to begin one. If one was due, it is not said again, and asked for later.
    pub(super) fn snapshot_refused(
        &mut self,
        asked_by: Vec<Ticket>,
        index: LogIndex,
        refusal: &Refusal,
    ) {
        self.snapshots.refused_at = Some(index);
        for ticket in asked_by {
            self.answer(ticket, Outcome::from(refusal.clone()));
        }
    }

    /// It is on disk, or never will be.
    pub(super) fn snapshot_ended(&mut self, snapshot: SnapshotId, size: Option<u64>) {
        let Some(taking) = self.snapshots.taking.take_if(|taking| taking.snapshot == snapshot)
        else {
            return self.notice(Notice::UnknownSnapshot { snapshot });
        };
        // A driver's server starts once, so all of its snapshots are of one incarnation.
        let (incarnation, last) = (self.raft.config().incarnation, snapshot.last);
        let (input, outcome) = match size {
            Some(size) => {
                (Input::SnapshotTaken { incarnation, last, size }, Outcome::SnapshotTaken { last })
            }
            None => {
                let outcome = Outcome::Refused(Reason::SnapshotFailed);
                (Input::SnapshotFailed { incarnation, last }, outcome)
            }
        };
        if !self.step(input) {
            self.snapshots.taking = Some(taking); // No snapshot has no bytes: it is not there yet.
            return;
        }
        match size {
            Some(_) => self.counters.snapshots_taken += 1,
            None => self.counters.snapshots_failed += 1,
        }
        for ticket in taking.asked_by {
            self.answer(ticket, outcome.clone());
        }
    }
}
