//! What must hold between steps.

use super::Raft;
use super::progress::{Mode, Progress};
use super::role::{Leader, Role};
use crate::storage::LogStore;
use kontiki_specs::LogIndex;

impl<S: LogStore> Raft<S> {
    /// The first thing that does not hold of those that must hold between steps, if there is one:
    /// for simulators. It takes time in proportion to the entries in memory.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        self.broken_at_once().or_else(|| self.log.broken_invariant())
    }

    /// As [`Raft::broken_invariant`], as far as it is seen at once: where debug assertions are on,
    /// this is looked at after every step.
    pub(super) fn broken_at_once(&self) -> Option<&'static str> {
        let last_index = self.log.last_index();
        let voted_for_itself = self.hard_state.vote == Some(self.config.id);
        let rules = [
            (self.applied_index <= self.commit_index, "what is applied is committed"),
            (self.commit_index <= last_index, "what is committed is in the log"),
            (self.disk.durable_index <= last_index, "what is durable is in the log"),
            (self.log.last().term <= self.hard_state.term, "no entry is of a later term"),
            (self.disk.hard_state.term <= self.hard_state.term, "the term on disk is not later"),
            (
                voted_for_itself || matches!(self.role, Role::Follower(_) | Role::PreCandidate(_)),
                "who campaigns or leads has voted for itself",
            ),
        ];
        let broken = rules.iter().find(|(holds, _)| !holds).map(|(_, rule)| *rule);
        broken.or_else(|| match &self.role {
            Role::Leader(leader) => leader.broken_invariant(last_index, self.commit_index),
            _ => None,
        })
    }
}

impl Leader {
    fn broken_invariant(
        &self,
        last_index: LogIndex,
        commit_index: LogIndex,
    ) -> Option<&'static str> {
        let waiting = last_index.0 - commit_index.max(self.inherited).0;
        if self.uncommitted.entries() != waiting {
            return Some("the sizes that wait are those of the leader's uncommitted entries");
        }
        self.followers.iter().find_map(|progress| progress.broken_invariant(last_index))
    }
}

impl Progress {
    fn broken_invariant(&self, last_index: LogIndex) -> Option<&'static str> {
        if self.match_index >= self.next_index {
            return Some("the next index is beyond the match index");
        }
        if self.next_index > last_index.next() {
            return Some("the next index is in the log or right behind it");
        }
        match &self.mode {
            Mode::Probe => None,
            Mode::Pipeline { under_way } => {
                let between = self.next_index.0 - self.match_index.0 - 1;
                (under_way.entries() != between)
                    .then_some("the sizes under way are those between match and next index")
            }
        }
    }
}
