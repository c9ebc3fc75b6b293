//! Leaders: one a term, by votes on disk, and with all that was committed before.

use super::history::Committed;
use super::known_log::KnownLog;
use super::{Broken, Invariants};
use crate::implementation::Implementation;
use crate::simulate::problem::Invariant;
use kontiki::core::Raft;
use kontiki::storage::{HardState, LogStore, MemoryStore};
use kontiki_specs::{LogIndex, RoleKind, ServerId, Term};

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
        let own = |log: &KnownLog| log.entries().iter().find(|own| own.term == term).cloned();
        let first = self.logs.get(place).and_then(own);
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
        let earlier = self.history.iter().rfind(|committed| committed.term < term);
        let needed = earlier.map_or(LogIndex::ZERO, |committed| committed.position.index);
        // What is let go of is covered by a snapshot of what is committed.
        let from = usize::try_from(log.base().index.previous().0).unwrap_or(usize::MAX);
        let known = self.history.iter().skip(from);
        let mut known = known.take_while(|committed| committed.position.index <= needed);
        let lacks = |is: &&Committed| log.position_at(is.position.index) != Some(is.position);
        let Some(Committed { position, term: committed, .. }) = known.find(lacks) else {
            return Ok(());
        };
        let how = format!(
            "{server} leads in term {term} without {position}, committed in term {committed}"
        );
        Err((Invariant::LeaderCompleteness, how))
    }

    /// What is committed now must be in the logs of those who lead in later terms already.
    pub(super) fn later_leaders_hold<'a>(
        &self,
        known: usize,
        servers: &impl Fn(usize) -> Option<&'a Implementation>,
    ) -> Result<(), Broken> {
        let Some(committed) = self.history.get(known).map(|first| first.term) else {
            return Ok(());
        };
        for place in 0..self.logs.len() {
            let Some(raft) = servers(place).map(Implementation::raft) else { continue };
            if raft.role() == RoleKind::Leader && raft.term() > committed {
                self.holds_history(place, raft.id(), raft.term())?;
            }
        }
        Ok(())
    }
}
