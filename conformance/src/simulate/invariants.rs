//! What must hold in the whole cluster, looked at after every step as far as the step can have
//! touched it.
//!
//! Nothing here is asked of the model. Logs are known by the writes that servers ask for, what is
//! durable by what their stores hold, and commits by what is handed to state machines.

mod disks;
mod history;
mod leaders;
mod logs;
#[cfg(test)]
mod tests;

use super::lineage::Lineage;
use super::memberships::{Memberships, Quorums, ServerSet};
use super::parameters::Parameters;
use super::problem::{Invariant, Problem};
use super::taken::Taken;
use crate::implementation::Implementation;
use kontiki::core::Raft;
use kontiki::storage::MemoryStore;
use kontiki_specs::{Entry, Input, LogIndex, LogPosition, Output, RoleKind, ServerId, Term};
use std::collections::BTreeMap;

/// What the cluster has done so far, as far as it must be remembered.
#[derive(Clone, Debug)]
pub(super) struct Invariants {
    /// Who was elected in which term.
    leaders: BTreeMap<Term, ServerId>,
    lineage: Lineage,
    /// What was committed, from index 1 on, and in which term.
    history: Vec<(Entry, Term)>,
    /// Up to where the history was committed by which quorums. Entries that were committed later
    /// by the same ones stand for those before.
    committed_by: Vec<(usize, Quorums)>,
    /// The log of each server, as it has asked for it to be written.
    logs: Vec<Vec<Entry>>,
    /// How many entries each server has applied since it started.
    applied: Vec<usize>,
    /// How many entries of the history each disk holds, from the first on.
    on_disk: Vec<usize>,
    memberships: Memberships,
}

/// What does not hold, and what is there instead.
type Broken = (Invariant, String);

impl Invariants {
    /// Of a cluster with these parameters, before its first step.
    pub(super) fn new(parameters: &Parameters) -> Invariants {
        let servers = usize::try_from(parameters.servers).unwrap_or(0);
        Invariants {
            committed_by: Vec::new(),
            memberships: Memberships::new(parameters.servers, parameters.voters),
            leaders: BTreeMap::new(),
            lineage: Lineage::default(),
            history: Vec::new(),
            logs: vec![Vec::new(); servers],
            applied: vec![0; servers],
            on_disk: vec![0; servers],
        }
    }

    /// How many entries were committed.
    pub(super) fn committed(&self) -> u64 {
        self.history.len() as u64
    }

    /// Whether these servers have the same log and have applied all of it.
    pub(super) fn at_one_end(&self, mut places: impl Iterator<Item = usize> + Clone) -> bool {
        let first = places.clone().next().and_then(|place| self.logs.get(place));
        places.all(|place| {
            let (log, applied) = (self.logs.get(place), self.applied.get(place).copied());
            log == first && log.map(Vec::len) == applied
        })
    }

    /// The configurations of the servers.
    pub(super) fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    /// The last entry of a server's log.
    pub(super) fn last(&self, place: usize) -> LogPosition {
        let log = self.logs.get(place);
        log.and_then(|log| log.last()).map(Entry::position).unwrap_or_default()
    }

    /// Whether a write would replace entries of a server's log.
    pub(super) fn would_truncate(&self, place: usize, first: LogIndex) -> bool {
        self.logs.get(place).is_some_and(|log| first.0 <= log.len() as u64)
    }

    /// Looks at what a step may have touched. Its place is that of the server in `servers`.
    pub(super) fn check<'a>(
        &mut self,
        taken: &Taken<'_>,
        servers: impl Fn(usize) -> Option<&'a Implementation>,
    ) -> Result<(), Box<Problem>> {
        let Some(implementation) = servers(taken.place) else { return Ok(()) };
        let server = implementation.raft().id();
        self.find(taken, implementation.raft(), servers)
            .map_err(|(invariant, how)| Box::new(Problem::Broken { invariant, server, how }))
    }

    fn find<'a>(
        &mut self,
        taken: &Taken<'_>,
        raft: &Raft<MemoryStore>,
        servers: impl Fn(usize) -> Option<&'a Implementation>,
    ) -> Result<(), Broken> {
        let Taken { place, input, outputs, .. } = *taken;
        if let Some(rule) = raft.broken_invariant() {
            return Err((Invariant::OwnInvariant, rule.to_string()));
        }
        let history = self.history.len();
        // A leader commits by the configuration that it had when it was answered: what it appends
        // in the same step comes after that (M3).
        let quorums = self.memberships.in_force(place).map(|known| known.quorums);
        let (mut disk_changed, mut log_changed) = (false, false);
        match input {
            Input::Restart { .. } => {
                self.restarts(place, raft);
                (disk_changed, log_changed) = (true, true);
            }
            Input::EntriesWritten { .. } => disk_changed = true,
            _ => {}
        }
        for output in outputs {
            match output {
                Output::WriteEntries { first_index, entries, .. } => {
                    self.writes(place, *first_index, entries, raft)?;
                    log_changed = true;
                }
                Output::Apply { entries } => self.applies(place, entries, raft.term())?,
                Output::RoleChanged { role: RoleKind::Leader } => {
                    self.leads(place, raft, &servers)?;
                }
                _ => {}
            }
        }
        self.sent_is_from_log(place, outputs)?;
        self.applied_is_committed(place, raft)?;
        taken.transfers_in_order(raft).map_err(|how| (Invariant::OrderlyTransfer, how))?;
        self.note_commits(history, quorums);
        self.memberships.check(place, raft)?;
        if log_changed {
            let last: Vec<LogPosition> =
                (0..self.logs.len()).map(|place| self.last(place)).collect();
            let is_committed = |at: LogPosition| {
                let place = usize::try_from(at.index.previous().0).unwrap_or(usize::MAX);
                self.history.get(place).is_some_and(|(entry, _)| entry.position() == at)
            };
            self.memberships.check_logs(place, &last, is_committed)?;
        }
        let disks = |place| servers(place).map(|server| server.raft().store());
        if self.history.len() > history {
            self.later_leaders_hold(history, &servers)?;
            (0..self.logs.len()).for_each(|place| self.look_at_disk(place, disks(place)));
        } else if disk_changed {
            self.look_at_disk(place, disks(place));
        } else {
            return Ok(());
        }
        self.committed_is_on_disks()
    }

    /// The servers in the places of which `is_in` is true.
    fn set_of(&self, is_in: impl Fn(usize) -> bool) -> ServerSet {
        let places = (0..self.logs.len()).filter(|place| is_in(*place));
        places.fold(0, |set, place| set | 1 << place)
    }
}
