//! Properties that concern snapshots: S1 and S2.

use super::states::ClusterView;
use super::steps::Judged;
use super::{GoalSet, PropertySet};
use crate::server::{Log, StoredSnapshot, Write};
use kontiki_specs::{
    Configuration, Goal, Input, LogIndex, LogPosition, Message, Output, Payload, Property,
};

impl ClusterView<'_> {
    pub(super) fn judge_snapshots(&self, broken: &mut PropertySet) {
        use Property as P;
        let in_memory = self.servers.iter().map(|server| (&server.log, &server.snapshot));
        let on_disk = self.servers.iter().map(|server| (&server.disk.log, &server.disk.snapshot));
        for (log, snapshot) in in_memory.chain(on_disk) {
            let of_commits = snapshot.as_ref().is_none_or(|own| self.is_of_commits(own));
            broken.insert_if(!of_commits, P::SnapshotOfCommitted);
            broken.insert_if(!stands_for(snapshot.as_ref(), log), P::NothingLetGoUncovered);
        }
    }

    /// S1: what a snapshot has executed is the beginning of what was committed, and the configuration
    /// in it is the last one in that.
    fn is_of_commits(&self, snapshot: &StoredSnapshot) -> bool {
        let StoredSnapshot { about, executed, .. } = snapshot;
        let committed = self.committed.iter().map(|known| &known.entry);
        let is_beginning = executed.len() <= self.committed.len()
            && executed.iter().zip(committed).all(|(own, known)| own == known);
        let last = executed.last().map(|entry| entry.position());
        let newest = executed.iter().rev().find_map(|entry| match &entry.payload {
            Payload::Configuration(configuration) => Some((entry.position(), configuration)),
            _ => None,
        });
        let first: (LogPosition, &Configuration) = (LogPosition::default(), self.bootstrap);
        let (position, configuration) = newest.unwrap_or(first);
        is_beginning
            && last == Some(about.id.last)
            && (position, configuration) == (about.configuration_position, &about.configuration)
    }
}

/// S1: whether a snapshot covers all that the log has let go of.
fn stands_for(snapshot: Option<&StoredSnapshot>, log: &Log) -> bool {
    let covered = snapshot.map_or(LogIndex::ZERO, |own| own.about.id.last.index);
    log.base().index <= covered
}

impl Judged<'_> {
    pub(super) fn reach_snapshots(&self, goals: &mut GoalSet) {
        use Goal as G;
        let (before, after) = (self.before, self.after);
        let taken = matches!(self.input, Input::SnapshotTaken { .. }) && after != before;
        goals.insert_if(taken && after.snapshot != before.snapshot, G::SnapshotTaken);
        goals.insert_if(self.outputs.contains(&Output::SnapshotDue), G::SnapshotDue);
        let failed = matches!(self.input, Input::SnapshotFailed { .. }) && after != before;
        goals.insert_if(failed, G::SnapshotFailed);
        if matches!(self.input, Input::SnapshotInstalled { .. }) {
            goals.insert_if(after.durable_index > before.durable_index, G::SnapshotInstalled);
        }
        let restored = self.outputs.iter().any(|output| matches!(output, Output::Restore { .. }));
        let lost = before.log.last_index() > before.commit_index;
        goals.insert_if(restored && lost, G::SnapshotOverConflict);
        if self.is_restart() {
            goals.insert_if(after.snapshot.is_some(), G::RestartFromSnapshot);
        }
        if let Some((_, Message::InstallSnapshotReply { .. })) = self.delivered() {
            let goes_on = |output: &Output| match output {
                Output::SendChunk { offset, .. } => *offset > 0,
                _ => false,
            };
            let resumes = self.outputs.iter().any(goes_on) && self.answers_first_question();
            goals.insert_if(resumes, G::SnapshotResumed);
            let own = before.snapshot.as_ref();
            let of_another = own.is_some_and(|own| own.about.id.taken_by != before.id);
            goals.insert_if(resumes && of_another, G::SnapshotResumedByAnother);
        }
        let writes_chunk = before.writes.iter().any(|write| matches!(write, Write::Chunk { .. }));
        if let Some((leader, Message::InstallSnapshot { .. })) = self.delivered() {
            let answers = writes_chunk && self.sends().any(|(to, _)| to == leader);
            goals.insert_if(answers, G::AnswersWhileWriting);
        }
        let begins_anew = matches!((&before.receiving, &after.receiving), (Some(old), Some(new))
            if old.snapshot.id != new.snapshot.id);
        goals.insert_if(begins_anew, G::SnapshotSuperseded);
    }

    /// Whether a follower says for the first time how much it has of a snapshot: the leader has taken
    /// it to have all.
    fn answers_first_question(&self) -> bool {
        let own = self.before.snapshot.as_ref().map(|own| own.about.size);
        matches!(self.delivered(), Some((_, Message::InstallSnapshotReply { offset, .. }))
            if own == Some(*offset))
    }
}
