//! Leaders: one a term, by votes on disk, and with all that was committed before.

use super::{Broken, Invariants};
use crate::implementation::Implementation;
use crate::simulate::problem::Invariant;
use kontiki::core::Raft;
use kontiki::storage::{HardState, LogStore, MemoryStore};
use kontiki_specs::{RoleKind, ServerId, Term};

impl Invariants {
    pub(super) fn leads<'a>(
        &mut self,
        place: usize,
        raft: &Raft<MemoryStore>,
        servers: &impl Fn(usize) -> Option<&'a Implementation>,
    ) -> Result<(), Broken> {
        let (server, term) = (raft.id(), raft.term());
        if let Some(earlier) = self.leaders.insert(term, server) {
            let how = format!("{server} leads in term {term}, in which {earlier} was elected");
            return Err((Invariant::OneLeader, how));
        }
        let bears_out =
            |disk: HardState| disk.term > term || disk == HardState { term, vote: Some(server) };
        let disk = |place| servers(place).and_then(|one| one.raft().store().hard_state().ok());
        let votes = self.set_of(|place| disk(place).is_some_and(bears_out));
        let first = self.logs.get(place).and_then(|log| log.iter().find(|own| own.term == term));
        let first = first.map_or(raft.last_index().next(), |entry| entry.index);
        let quorums = self.memberships.elected(place, first);
        if !quorums.is_some_and(|quorums| quorums.contains(votes)) {
            let votes = votes.count_ones();
            let how = format!("{server} leads in term {term} by {votes} votes on disk");
            return Err((Invariant::VotesOnDisk, how));
        }
        self.holds_history(place, server, term)
    }

    /// What was committed in earlier terms is in a leader's log. A leader that is elected after
    /// one of a later term need not have what that one committed.
    pub(super) fn holds_history(
        &self,
        place: usize,
        server: ServerId,
        term: Term,
    ) -> Result<(), Broken> {
        let Some(log) = self.logs.get(place) else { return Ok(()) };
        let needed = self.history.iter().rposition(|(_, committed)| *committed < term);
        let needed = needed.map_or(0, |last| last + 1);
        let missing = self.history.iter().take(needed).enumerate().find(|(at, (entry, _))| {
            log.get(*at).is_none_or(|own| own.position() != entry.position())
        });
        let Some((_, (entry, committed))) = missing else { return Ok(()) };
        let how =
            format!("{server} leads in term {term} without {entry}, committed in term {committed}");
        Err((Invariant::LeaderCompleteness, how))
    }

    /// What is committed now must be in the logs of those who lead in later terms already.
    pub(super) fn later_leaders_hold<'a>(
        &self,
        known: usize,
        servers: &impl Fn(usize) -> Option<&'a Implementation>,
    ) -> Result<(), Broken> {
        let Some(committed) = self.history.get(known).map(|(_, term)| *term) else { return Ok(()) };
        for place in 0..self.logs.len() {
            let Some(raft) = servers(place).map(Implementation::raft) else { continue };
            if raft.role() == RoleKind::Leader && raft.term() > committed {
                self.holds_history(place, raft.id(), raft.term())?;
            }
        }
        Ok(())
    }
}
