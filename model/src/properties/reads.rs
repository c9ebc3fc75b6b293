//! Goals of reads: C3, C4 and C5. Whether a read sees what it has to is judged for the whole cluster
//! (`cluster::reads`).

use super::GoalSet;
use super::quorum::is_quorum;
use super::steps::Judged;
use crate::server::{Role, ServerState};
use kontiki_specs::{Goal, Input, Lease, Message, Output, WaitingReads};

impl Judged<'_> {
    pub(super) fn reach_reads(&self, goals: &mut GoalSet) {
        use Goal as G;
        let ready = self.outputs.iter().filter(|one| matches!(one, Output::ReadReady { .. }));
        let (ready, leads) = (ready.count(), self.after.is_leader());
        let answers =
            self.sends().filter(|(_, sent)| matches!(sent, Message::ReadIndexReply { .. }));
        goals.insert_if(ready > 0 && leads, G::ReadServed);
        goals.insert_if(ready > 0 && !leads, G::FollowerReadServed);
        let shared = waiting(self.before).is_some_and(|reads| reads.waiting.len() > 1);
        goals.insert_if(leads && shared && ready + answers.count() > 1, G::ReadsShareRound);
        let refused = self.outputs.iter().any(|one| matches!(one, Output::ReadRefused { .. }));
        goals.insert_if(refused && self.before.is_leader(), G::ReadRefused);
        self.reach_leases(goals);
        if let Some(reads) = waiting(self.after) {
            let confirmed = is_quorum(&self.after.configuration, |server| {
                server == self.after.id || reads.confirmed_by.contains(&server)
            });
            goals.insert_if(confirmed, G::ReadWaitsForOwnTerm);
        }
    }
}

impl Judged<'_> {
    fn reach_leases(&self, goals: &mut GoalSet) {
        use Goal as G;
        let (before, after) = (lease(self.before), lease(self.after));
        let had_one = before.is_some_and(|lease| lease.round.is_some());
        let asked = matches!(self.input, Input::Read { .. });
        let ready = self.outputs.iter().any(|one| matches!(one, Output::ReadReady { .. }));
        goals.insert_if(had_one && asked && ready, G::LeaseRead);
        let given_up = after.is_some_and(|lease| lease.given_up);
        goals.insert_if(had_one && given_up, G::LeaseGivenUp);
        let changed = self.before.configuration_position() != self.after.configuration_position();
        let has_one = after.is_some_and(|lease| lease.round.is_some());
        goals.insert_if(had_one && after.is_some() && !has_one && changed, G::LeaseEndsWithChange);
        let answers_to = |state| waiting(state).map(|reads| (reads.round, reads.lease));
        let expired = answers_to(self.before).is_some_and(|(round, lease)| round <= lease.over);
        let answer = matches!(self.delivered(), Some((_, Message::ConfirmLeadershipReply { .. })));
        goals.insert_if(expired && answer && ready && !has_one, G::ExpiredRoundConfirmed);
        if self.ignores_vote_request()
            && self.before.leader().is_none()
            && self.before.incarnation > 0
        {
            goals.insert(G::PromiseOutlivesRestart);
        }
        let contact =
            |state: &ServerState| matches!(state.role, Role::Follower { leader_contact: true, .. });
        let later = self.after.term > self.before.term;
        goals.insert_if(
            later && contact(self.before) && contact(self.after) && self.after.leader().is_none(),
            G::PromiseOutlivesTerm,
        );
    }
}

fn lease(state: &ServerState) -> Option<Lease> {
    match &state.role {
        Role::Leader { reads, .. } => Some(reads.lease),
        _ => None,
    }
}

/// The reads of a leader that has a round under way.
fn waiting(state: &ServerState) -> Option<&WaitingReads> {
    match &state.role {
        Role::Leader { reads, .. } if !reads.waiting.is_empty() => Some(reads),
        _ => None,
    }
}
