//! Goals of reads: C3 and C5. Whether a read sees what it has to is judged for the whole cluster
//! (`cluster::reads`).

use super::GoalSet;
use super::quorum::is_quorum;
use super::steps::Judged;
use crate::server::{Role, ServerState};
use kontiki_specs::{Goal, Message, Output, WaitingReads};

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
        if let Some(reads) = waiting(self.after) {
            let confirmed = is_quorum(&self.after.configuration, |server| {
                server == self.after.id || reads.confirmed_by.contains(&server)
            });
            goals.insert_if(confirmed, G::ReadWaitsForOwnTerm);
        }
    }
}

/// The reads of a leader that has a round under way.
fn waiting(state: &ServerState) -> Option<&WaitingReads> {
    match &state.role {
        Role::Leader { reads, .. } if !reads.waiting.is_empty() => Some(reads),
        _ => None,
    }
}
