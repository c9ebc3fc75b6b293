//! Properties of a single step of a single server: what it may never do, whatever the others do.

use super::quorum::{is_majority, is_member, votes_in};
use super::{GoalSet, PropertySet};
use crate::environment::Turn;
use crate::server::{RaftServer, Role, ServerState};
use kontiki_specs::{
    AppendOutcome, Configuration, Entry, Goal, Input, Message, Output, Payload, Property, ServerId,
};
use std::collections::BTreeSet;

/// What a step breaks and reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepVerdict {
    /// Properties that the step breaks.
    pub broken: PropertySet,
    /// Goals that the step reaches.
    pub goals: GoalSet,
}

/// Judges every step of a turn.
pub fn judge_step(server: &RaftServer, before: &ServerState, turn: &Turn) -> StepVerdict {
    let mut verdict = StepVerdict::default();
    let mut before = before;
    for (input, outputs, after) in &turn.steps {
        let step = Judged { server, before, input, outputs, after };
        step.judge(&mut verdict.broken);
        step.reach(&mut verdict.goals);
        before = after;
    }
    verdict
}

/// A step, with what came before and after it.
pub(super) struct Judged<'a> {
    pub(super) server: &'a RaftServer,
    pub(super) before: &'a ServerState,
    pub(super) input: &'a Input,
    pub(super) outputs: &'a [Output],
    pub(super) after: &'a ServerState,
}

impl Judged<'_> {
    fn judge(&self, broken: &mut PropertySet) {
        use Property as P;
        broken.insert_if(!self.term_is_monotonic(), P::MonotonicTerm);
        broken.insert_if(!self.vote_is_monotonic(), P::MonotonicVote);
        broken.insert_if(!self.commit_is_monotonic(), P::MonotonicCommit);
        broken.insert_if(!self.match_is_monotonic(), P::MonotonicMatch);
        broken.insert_if(!self.leader_only_appends(), P::LeaderAppendOnly);
        broken.insert_if(!self.applies_in_order(), P::StateMachineSafety);
        broken.insert_if(!self.own_term_is_counted(), P::OwnTermCommit);
        broken.insert_if(!self.sends().all(|sent| self.is_justified(sent)), P::JustifiedByDisk);
        broken.insert_if(!self.sends().all(|sent| self.is_from_log(sent)), P::SentFromLog);
        broken.insert_if(!self.sending_is_within_limits(), P::WithinLimits);
        broken.insert_if(!self.handing_over_is_within_limits(), P::WithinLimits);
        broken.insert_if(!self.later_term_is_adopted(), P::LaterTermAdopted);
        broken.insert_if(!self.leader_is_undisturbed(), P::UndisturbedLeader);
        broken.insert_if(!self.timeout_keeps_term(), P::CutOffRaisesNoTerm);
        broken.insert_if(!self.majority_has_promised(), P::CutOffRaisesNoTerm);
        broken.insert_if(!self.leader_has_majority(), P::LeaderHasMajority);
        broken.insert_if(!self.promotion_is_timely(), P::PromotedWhenCaughtUp);
        broken.insert_if(!self.transfer_is_orderly(), P::OrderlyTransfer);
        broken.insert_if(!self.change_is_as_expected(), P::ExpectedConfiguration);
        broken.insert_if(!self.told_is_told(), P::ToldToCampaign);
        broken.insert_if(!self.learners_catch_up_in_time(), P::CaughtUpInTime);
        self.judge_sessions(broken);
    }

    pub(super) fn is_restart(&self) -> bool {
        matches!(self.input, Input::Restart { .. })
    }

    pub(super) fn sends(&self) -> impl Iterator<Item = (ServerId, &Message)> {
        self.outputs.iter().filter_map(|output| match output {
            Output::Send { to, message } => Some((*to, message)),
            _ => None,
        })
    }

    pub(super) fn delivered(&self) -> Option<(ServerId, &Message)> {
        match self.input {
            Input::Deliver { from, message } => Some((*from, message)),
            _ => None,
        }
    }

    fn term_is_monotonic(&self) -> bool {
        let (before, after) = (self.before, self.after);
        let in_memory = if self.is_restart() {
            after.term == before.disk.term
        } else {
            after.term >= before.term
        };
        in_memory && after.disk.term >= before.disk.term
    }

    fn vote_is_monotonic(&self) -> bool {
        let (before, after) = (self.before, self.after);
        if self.is_restart() {
            return after.term != before.disk.term || after.vote == before.disk.vote;
        }
        after.term != before.term || before.vote.is_none() || after.vote == before.vote
    }

    fn commit_is_monotonic(&self) -> bool {
        self.is_restart()
            || (self.after.commit_index >= self.before.commit_index
                && self.after.applied_index >= self.before.applied_index)
    }

    fn match_is_monotonic(&self) -> bool {
        let (Role::Leader { progress: before, .. }, Role::Leader { progress: after, .. }) =
            (&self.before.role, &self.after.role)
        else {
            return true;
        };
        let left = |follower| !is_member(&self.after.configuration, follower);
        self.before.term != self.after.term
            || before.iter().all(|(follower, known)| match after.get(follower) {
                Some(now) => now.match_index >= known.match_index,
                None => left(*follower),
            })
    }

    fn leader_only_appends(&self) -> bool {
        let goes_on = self.before.is_leader() && self.after.term == self.before.term;
        !goes_on
            || self.is_restart()
            || self.after.log.entries().starts_with(self.before.log.entries())
    }

    /// L4 as a property of the step: whoever leads and raises its commit index does so to an
    /// entry of its own term.
    fn own_term_is_counted(&self) -> bool {
        !self.after.is_leader()
            || self.after.commit_index <= self.before.commit_index
            || self.after.log.term_at(self.after.commit_index) == Some(self.after.term)
    }

    /// What a server says may be relied on for good, so its disk must bear it out.
    fn is_justified(&self, (to, message): (ServerId, &Message)) -> bool {
        let disk = &self.after.disk;
        match message {
            Message::RequestVote { term, last, .. } => {
                let held = disk.log.holds(*last)
                    || disk.snapshot.as_ref().is_some_and(|own| own.about.id.last == *last);
                disk.term == *term && disk.vote == Some(self.after.id) && held
            }
            Message::RequestVoteReply { term, granted: true } => {
                disk.term == *term && disk.vote == Some(to)
            }
            Message::AppendEntriesReply { term, outcome: AppendOutcome::Matched { index } } => {
                disk.term == *term && self.after.log.up_to(*index).iter().all(|at| disk.holds(at))
            }
            _ => true,
        }
    }

    /// What a leader sends is what its log holds right after the position that it is placed behind:
    /// the next entries without a gap, in their order.
    fn is_from_log(&self, (_, message): (ServerId, &Message)) -> bool {
        let Message::AppendEntries { prev, entries, .. } = message else { return true };
        let log = &self.after.log;
        log.holds(*prev) && log.from(prev.index.next()).starts_with(entries)
    }

    /// L8: what is handed over is the log from the last applied entry to the new one, each once.
    fn applies_in_order(&self) -> bool {
        let restored = self.outputs.iter().any(|output| matches!(output, Output::Restore { .. }));
        let first = if self.is_restart() || restored {
            self.after.covered().index.next()
        } else {
            self.before.applied_index.next()
        };
        let last = self.after.applied_index;
        let handed_over = self.outputs.iter().flat_map(|output| match output {
            Output::Apply { entries } => &**entries,
            _ => &[],
        });
        let due = self.after.log.from(first).iter().take_while(|entry| entry.index <= last);
        last.max(self.after.commit_index) <= self.after.log.last_index() && handed_over.eq(due)
    }

    /// E10, M4: who is told to campaign is a voter that holds the leader's whole log, or one whose
    /// acknowledgement has made a leader outside the configuration step down. Meanwhile nothing is
    /// appended for clients and operators.
    fn transfer_is_orderly(&self) -> bool {
        let told = |to: ServerId| match &self.after.role {
            Role::Leader { progress, transfer, .. } => {
                let holds = progress.get(&to).map(|known| known.match_index);
                *transfer == Some(to) && holds == Some(self.after.log.last_index())
            }
            _ => self.before.is_leader() && self.is_best_successor(to),
        };
        let votes = |to| self.after.configuration.voters.contains(&to);
        let mut sends = self.sends().filter(|(_, sent)| matches!(sent, Message::TimeoutNow { .. }));
        let takes = self.outputs.iter().any(|output| matches!(output, Output::Proposed { .. }));
        let transferring = matches!(self.before.role, Role::Leader { transfer: Some(_), .. });
        sends.all(|(to, _)| votes(to) && told(to)) && !(takes && transferring)
    }

    /// M4: whoever takes over from a leader that has no vote lacks nothing, or has just answered and
    /// no voter lacks nothing.
    fn is_best_successor(&self, to: ServerId) -> bool {
        let Role::Leader { progress, .. } = &self.before.role else { return false };
        let answer = |voter| match self.delivered() {
            Some((from, Message::AppendEntriesReply { outcome, .. })) if from == voter => {
                match outcome {
                    AppendOutcome::Matched { index } => Some(*index),
                    AppendOutcome::Mismatch { .. } => None,
                }
            }
            _ => None,
        };
        let last_index = self.after.log.last_index();
        let lacks_nothing = |voter: ServerId| {
            let known = progress.get(&voter).map(|known| known.match_index);
            known.max(answer(voter)) == Some(last_index)
        };
        let voters = &self.after.configuration.voters;
        let has_answered = self.delivered().is_some_and(|(from, _)| from == to);
        lacks_nothing(to) || (has_answered && !voters.iter().any(|voter| lacks_nothing(*voter)))
    }

    /// M10: a change that names a configuration is accepted only where the last configuration in the
    /// log stands there.
    fn change_is_as_expected(&self) -> bool {
        let Input::ChangeMembership { expected: Some(expected), .. } = self.input else {
            return true;
        };
        let newest = self.before.log.entries().iter().rev().find(|entry| names_members(entry));
        let accepts = self.outputs.iter().any(|output| matches!(output, Output::Proposed { .. }));
        !accepts || *expected == newest.map(Entry::position).unwrap_or_default()
    }

    fn reach(&self, goals: &mut GoalSet) {
        use Goal as G;
        let (before, after) = (self.before, self.after);
        goals.insert_if(self.ignores_vote_request(), G::VoteRequestIgnored);
        let shortened = !after.log.entries().starts_with(before.log.entries());
        goals.insert_if(shortened && !self.is_restart(), G::FollowerTruncates);
        let refuses = self.sends().any(|(_, message)| {
            let Message::AppendEntriesReply { outcome, .. } = message else { return false };
            matches!(outcome, AppendOutcome::Mismatch { .. })
        });
        goals.insert_if(refuses, G::MismatchReported);
        goals.insert_if(after.applied_index < after.commit_index, G::ApplyWaits);
        if self.is_restart() {
            goals.insert_if(before.disk.vote.is_some(), G::RestartWithVote);
            goals.insert_if(before.disk.log.last_index().0 > 0, G::RestartWithEntries);
            goals.insert_if(!before.writes.is_empty(), G::WriteLost);
        }
        let promised = matches!(before.role, Role::PreCandidate { .. });
        goals.insert_if(promised && matches!(after.role, Role::Candidate { .. }), G::PreVoteWon);
        let gives_way = *self.input == Input::DiskStalled && before.is_leader();
        goals.insert_if(gives_way && !after.is_leader(), G::LeaderGivesWay);
        if *self.input == Input::QuorumContactExpired && before.is_leader() {
            goals.insert_if(!after.is_leader(), G::LeaderStepsDown);
            goals.insert_if(after.is_leader() && before != after, G::QuorumCheckPassed);
        }
        self.reach_membership(goals);
        self.reach_quorums(goals);
        self.reach_snapshots(goals);
        self.reach_reads(goals);
        self.reach_sessions(goals);
    }

    /// Servers that would have enough if less were asked for.
    fn reach_quorums(&self, goals: &mut GoalSet) {
        use Goal as G;
        let Configuration { voters, outgoing, learners } = &*self.before.configuration;
        let one_half = |of: &BTreeSet<ServerId>| {
            let is_in = |server| of.contains(&server);
            !outgoing.is_empty() && is_majority(voters, is_in) != is_majority(outgoing, is_in)
        };
        if let Role::PreCandidate { pre_votes } = &self.after.role {
            goals.insert_if(one_half(pre_votes), G::HalfNotPromised);
        }
        if let Role::Leader { heard, transfer, .. } = &self.before.role
            && *self.input == Input::QuorumContactExpired
            && !self.after.is_leader()
        {
            let present = heard | &BTreeSet::from([self.before.id]);
            goals.insert_if(one_half(&present), G::HalfNotHeard);
            let with_learners = (voters | learners).intersection(&present).count();
            let enough = outgoing.is_empty() && 2 * with_learners > voters.len();
            goals.insert_if(enough, G::LearnersNotCounted);
            goals.insert_if(transfer.is_some(), G::TransferCutOff);
        }
    }

    fn reach_membership(&self, goals: &mut GoalSet) {
        use Goal as G;
        let (before, after) = (self.before, self.after);
        let is_lost = |entry: &Entry| after.log.known(entry.index) != Some(entry);
        let configurations = before.log.entries().iter().filter(|entry| names_members(entry));
        let aborted = !self.is_restart() && configurations.into_iter().any(is_lost);
        goals.insert_if(aborted, G::ChangeAborted);
        let own = |at| after.log.term_at(at) == Some(after.term);
        let finishes = after.is_leader()
            && !before.configuration.outgoing.is_empty()
            && after.configuration.outgoing.is_empty()
            && own(after.configuration_index)
            && !own(before.configuration_index);
        goals.insert_if(finishes, G::JointFinishedByAnother);
        let votes = after.configuration.voters.contains(&after.id);
        let steps_down = before.is_leader() && !after.is_leader() && before.term == after.term;
        let knows = after.configuration_index <= after.commit_index;
        goals.insert_if(steps_down && knows && !votes, G::OutsideLeaderStepsDown);
        let outsider =
            self.delivered().is_some_and(|(from, _)| !votes_in(&before.configuration, from));
        let deposed = before.is_leader() && after.term > before.term;
        goals.insert_if(deposed && outsider, G::RemovedServerDeposes);
        goals.insert_if(self.learner_falls_behind(), G::LearnerFallsBehind);
        for output in self.outputs {
            goals.insert_if(matches!(output, Output::CaughtUp { .. }), G::LearnerCaughtUp);
            goals.insert_if(matches!(output, Output::TooSlow { .. }), G::LearnerTooSlow);
        }
        let told = matches!(before.role, Role::Candidate { transfer: true, .. });
        goals.insert_if(told && after.is_leader(), G::TransferCompleted);
        let transferring = matches!(before.role, Role::Leader { transfer: Some(_), .. });
        let expired = *self.input == Input::TransferExpired;
        goals.insert_if(transferring && expired, G::TransferGivenUp);
    }
}

fn names_members(entry: &Entry) -> bool {
    matches!(entry.payload, Payload::Configuration(_))
}
