//! Changes of membership as they go through the log (rules M1 to M8).

use super::Raft;
use super::change::changed;
use super::configurations::{members, votes_in};
use super::outputs::Outputs;
use super::progress::{Mode, Progress};
use super::role::{Leader, Role};
use crate::storage::{LogStore, StoreError};
use kontiki_specs::{
    Configuration, Entries, Entry, LogIndex, LogPosition, MembershipChange, Message, Output,
    Payload, Refusal, ServerId,
};
use std::collections::BTreeSet;

impl<S: LogStore> Raft<S> {
    /// E1, M4: whether this server may seek election: with a vote in the newest configuration or,
    /// while it does not know that to be committed, in the one before.
    pub(super) fn may_campaign(&self) -> bool {
        let (newest, id) = (self.configurations.newest(), self.config.id);
        votes_in(newest, id)
            || self.configurations.newest_index() > self.commit_index
                && votes_in(self.configurations.previous(), id)
    }

    /// M1, M6: appends what the change leads to, or refuses and appends nothing.
    pub(super) fn change_membership(
        &mut self,
        change: &MembershipChange,
        expected: Option<LogPosition>,
        outputs: &mut Outputs,
    ) -> Result<(), StoreError> {
        match self.admit_change(change, expected) {
            Err(refusal) => {
                outputs.push(Output::Refused { refusal });
                Ok(())
            }
            Ok(configuration) => {
                let index = self.log.last_index().next();
                let first = LogPosition { index, term: self.hard_state.term };
                outputs.push(Output::Proposed { first, last_index: index });
                self.append_configuration(configuration, outputs)
            }
        }
    }

    /// What is refused first is what lies in the leader's state, then what lies in the change.
    fn admit_change(
        &self,
        change: &MembershipChange,
        expected: Option<LogPosition>,
    ) -> Result<Configuration, Refusal> {
        let Role::Leader(leader) = &self.role else {
            return Err(Refusal::NotLeader { leader: self.leader() });
        };
        if let Some(to) = leader.transfer {
            return Err(Refusal::TransferUnderWay { to });
        }
        let (index, now) = (self.configurations.newest_index(), self.configurations.newest());
        let position = self.configuration_position();
        if expected.is_some_and(|expected| expected != position) {
            return Err(Refusal::OtherConfiguration { position }); // M10
        }
        if index > self.commit_index || !now.outgoing.is_empty() {
            return Err(Refusal::ChangePending { index }); // M7
        }
        let takes_one_step = !matches!(change, MembershipChange::Replace { .. });
        if takes_one_step && !self.own_term_is_committed() {
            return Err(Refusal::NothingCommittedInTerm); // M6
        }
        let next = changed(now, change)?;
        self.all_have_caught_up(leader, &next)?;
        Ok(next)
    }

    /// M6, C3: only then is it sure that no earlier leader's change is under way elsewhere, and that all
    /// that is committed is known to be.
    pub(super) fn own_term_is_committed(&self) -> bool {
        self.log.term_at(self.commit_index) == Some(self.hard_state.term)
    }

    /// M5: who becomes a voter has caught up as a learner, if that is asked for.
    fn all_have_caught_up(&self, leader: &Leader, next: &Configuration) -> Result<(), Refusal> {
        if self.config.catch_up_rounds == 0 {
            return Ok(());
        }
        let now = &self.configurations.newest().voters;
        let done =
            |server: &ServerId| leader.progress(*server).is_some_and(Progress::has_caught_up);
        match next.voters.difference(now).find(|server| !done(server)) {
            Some(server) => Err(Refusal::NotCaughtUp { server: *server }),
            None => Ok(()),
        }
    }

    /// M2: the configuration is in force at once, on the leader first.
    fn append_configuration(
        &mut self,
        configuration: Configuration,
        outputs: &mut Outputs,
    ) -> Result<(), StoreError> {
        let (term, index) = (self.hard_state.term, self.log.last_index().next());
        let payload = Payload::Configuration(configuration);
        let entries: Entries = [Entry { term, index, payload }].into_iter().collect();
        if let Role::Leader(leader) = &mut self.role {
            leader.unsettled.push_proposed(&entries);
        }
        self.append(entries, outputs);
        self.configuration_ends_lease();
        // E9: who has only just become a member counts as heard in the quorum check that is next.
        let new = self.follow_members(index, self.config.check_quorum);
        self.for_each_follower(outputs, |progress, sender| match progress.mode {
            Mode::Probe if !new.contains(&progress.id) => Ok(()),
            Mode::Probe | Mode::Pipeline { .. } | Mode::Snapshot { .. } => progress.send(sender),
        })
    }

    /// A leader replicates to every other member and to nobody else. Returns those that are new,
    /// who are probed from `next_index` on and have been `heard` or not.
    pub(super) fn follow_members(
        &mut self,
        next_index: LogIndex,
        heard: bool,
    ) -> BTreeSet<ServerId> {
        let Role::Leader(leader) = &mut self.role else { return BTreeSet::new() };
        let configuration = self.configurations.newest();
        let mut missing = members(configuration);
        missing.remove(&self.config.id);
        leader.followers.retain(|progress| missing.remove(&progress.id));
        let new = missing.iter().map(|id| Progress::unknown(*id, next_index, heard));
        leader.followers.extend(new);
        leader.followers.sort_unstable_by_key(|progress| progress.id);
        if self.config.catch_up_rounds > 0 {
            let goal = self.log.last_index();
            for progress in &mut leader.followers {
                progress.begin_rounds(votes_in(configuration, progress.id), goal);
            }
        }
        missing
    }

    /// M3: what a leader has to append when its joint configuration is committed, whoever began
    /// the change.
    pub(super) fn new_configuration(&self) -> Option<Configuration> {
        let joint = self.configurations.newest();
        let committed = self.configurations.newest_index() <= self.commit_index;
        (committed && !joint.outgoing.is_empty()).then(|| Configuration {
            voters: joint.voters.clone(),
            outgoing: BTreeSet::new(),
            learners: joint.learners.clone(),
        })
    }

    /// M3, M4: whether a leader has a change to go on with, or has to step down.
    pub(super) fn owes_to_change(&self) -> bool {
        let newest = self.configurations.newest();
        let committed = self.configurations.newest_index() <= self.commit_index;
        committed && !(newest.outgoing.is_empty() && votes_in(newest, self.config.id))
    }

    /// M3: when a joint configuration is committed, its leader appends the new one.
    pub(super) fn leave_joint(&mut self, outputs: &mut Outputs) -> Result<(), StoreError> {
        match self.new_configuration() {
            Some(configuration) => self.append_configuration(configuration, outputs),
            None => Ok(()),
        }
    }

    /// M4: a leader that has no vote in its configuration steps down when that is committed, and
    /// hands over. `from` is who has just been heard.
    pub(super) fn step_down_outside(&mut self, from: Option<ServerId>, outputs: &mut Outputs) {
        let Role::Leader(leader) = &self.role else { return };
        if !self.owes_to_change() {
            return; // Not committed: it has just left the joint one (M3).
        }
        if let Some(successor) = self.successor(leader, from)
            && leader.transfer.is_none_or(|to| to == successor)
        {
            outputs.send(successor, Message::TimeoutNow { term: self.hard_state.term });
        }
        self.become_follower();
    }

    /// M4: who is to lead after this server: the voter that has just been heard or another, one that
    /// lacks nothing if there is one.
    fn successor(&self, leader: &Leader, heard: Option<ServerId>) -> Option<ServerId> {
        let voters = &self.configurations.newest().voters;
        let last_index = self.log.last_index();
        let lacks_nothing = |voter: &ServerId| leader.held_by(*voter) == last_index;
        let heard = heard.filter(|from| voters.contains(from));
        let best = heard.filter(lacks_nothing);
        best.or_else(|| voters.iter().copied().find(lacks_nothing)).or(heard)
    }
}
