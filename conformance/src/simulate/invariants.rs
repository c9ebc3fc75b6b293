//! What must hold in the whole cluster, looked at after every step as far as the step can have
//! touched it.
//!
//! Nothing here is asked of the model. Logs are known by the writes that servers ask for, what is
//! durable by what their stores hold, and commits by what is handed to state machines.

mod disks;
mod history;
mod known_log;
mod leaders;
mod logs;
#[cfg(test)]
mod tests;

use self::disks::OnDisk;
use self::history::Committed;
use self::known_log::KnownLog;
use super::lineage::Lineage;
use super::memberships::{Memberships, Quorums, ServerSet};
use super::parameters::Parameters;
use super::problem::{Invariant, Problem};
use super::state_machine::Content;
use super::taken::Taken;
use crate::implementation::Implementation;
use kontiki::core::{Raft, snapshot_taken};
use kontiki::storage::MemoryStore;
use kontiki_specs::{Input, LogIndex, LogPosition, Output, RoleKind, ServerId, Term};
use std::collections::BTreeMap;

/// What the cluster has done so far, as far as it must be remembered.
#[derive(Clone, Debug)]
pub(super) struct Invariants {
    /// Who was elected in which term.
    leaders: BTreeMap<Term, ServerId>,
    lineage: Lineage,
    /// What was committed, from index 1 on.
    history: Vec<Committed>,
    /// Up to where the history was committed by which quorums. Entries that were committed later
    /// by the same ones stand for those before.
    committed_by: Vec<(LogIndex, Quorums)>,
    /// The log of each server, as it has asked for it to be written.
    logs: Vec<KnownLog>,
    /// Up to where each server has applied, by its snapshot or by entries.
    applied: Vec<LogIndex>,
    on_disk: Vec<OnDisk>,
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
            logs: vec![KnownLog::default(); servers],
            applied: vec![LogIndex::ZERO; servers],
            on_disk: vec![OnDisk::default(); servers],
        }
    }

    /// How many entries were committed.
    pub(super) fn committed(&self) -> u64 {
        self.history.len() as u64
    }

    /// Whether the logs of these servers end in one place, which means that they are the same (log
    /// matching), and all of it is applied.
    pub(super) fn at_one_end(&self, mut places: impl Iterator<Item = usize> + Clone) -> bool {
        let first = places.clone().next().map(|place| self.last(place)).unwrap_or_default();
        places
            .all(|place| self.last(place) == first && self.applied.get(place) == Some(&first.index))
    }

    /// The configurations of the servers.
    pub(super) fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    /// The last entry of a server's log.
    pub(super) fn last(&self, place: usize) -> LogPosition {
        self.logs.get(place).map(KnownLog::last).unwrap_or_default()
    }

    /// Whether a write would replace entries of a server's log.
    pub(super) fn would_truncate(&self, place: usize, first: LogIndex) -> bool {
        self.logs.get(place).is_some_and(|log| first <= log.last().index)
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
        let mut contents = taken.contents.iter().copied();
        let (mut disk_changed, mut log_changed) = (false, false);
        match input {
            Input::Restart { .. } => {
                self.log_restarts(place, raft);
                self.restarts(place, raft, contents.next().unwrap_or_default())?;
                (disk_changed, log_changed) = (true, true);
            }
            Input::SnapshotTaken { .. } => {
                self.memberships.has_snapshot(place, raft.snapshot());
                disk_changed = true;
            }
            Input::EntriesWritten { .. } | Input::SnapshotInstalled { .. } => disk_changed = true,
            _ => {}
        }
        for output in outputs {
            match output {
                Output::WriteEntries { first_index, entries, .. } => {
                    self.writes(place, *first_index, entries, raft)?;
                    log_changed = true;
                }
                Output::InstallSnapshot { snapshot, .. } => {
                    self.log_begins_behind(place, snapshot.id.last);
                    self.memberships.begins_behind(place, snapshot);
                    log_changed = true;
                }
                Output::Restore { .. } => {
                    let content = contents.next().unwrap_or_default();
                    raft.snapshot().map_or(Ok(()), |own| self.goes_on_from(place, own, content))?;
                }
                Output::DropEntries { through } => self.drops(place, *through, raft)?,
                Output::TakeSnapshot { .. } => {
                    let snapshot = snapshot_taken(output, raft.id(), 0);
                    snapshot.map_or(Ok(()), |(taken, _)| self.is_of_committed(&taken))?;
                }
                Output::Apply { entries } => {
                    for (entry, content) in entries.iter().zip(contents.by_ref()) {
                        self.applies(place, entry, content, raft.term())?;
                    }
                }
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
            let is_committed =
                |at: LogPosition| self.committed_at(at.index).is_some_and(|is| is.position == at);
            self.memberships.check_logs(place, &last, is_committed)?;
        }
        let disks = |place| servers(place).map(|server| server.raft().store());
        if self.history.len() > history {
            self.later_leaders_hold(history, &servers)?;
            (0..self.logs.len()).try_for_each(|place| self.look_at_disk(place, disks(place)))?;
        } else if disk_changed {
            self.look_at_disk(place, disks(place))?;
        } else {
            return Ok(());
        }
        self.committed_is_on_disks()
    }

    /// L8, S1: a server that starts has applied what its snapshot covers.
    fn restarts(
        &mut self,
        place: usize,
        raft: &Raft<MemoryStore>,
        content: Content,
    ) -> Result<(), Broken> {
        if let Some(applied) = self.applied.get_mut(place) {
            *applied = LogIndex::ZERO;
        }
        raft.snapshot().map_or(Ok(()), |own| self.goes_on_from(place, own, content))
    }

    /// The servers in the places of which `is_in` is true.
    fn set_of(&self, is_in: impl Fn(usize) -> bool) -> ServerSet {
        let places = (0..self.logs.len()).filter(|place| is_in(*place));
        places.fold(0, |set, place| set | 1 << place)
    }
}
