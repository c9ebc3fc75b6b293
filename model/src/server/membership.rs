//! Changes of membership (paper §6, dissertation chapter 4): rules M1 to M4, M6 to M8 and M10.

use super::change::changed;
use super::step::Step;
use super::{Mutation, Role};
use kontiki_specs::{
    Configuration, FollowerProgress, Input, LogIndex, LogPosition, MembershipChange, Message,
    Output, Payload, Refusal, ReplicationMode, ServerId,
};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Step<'_> {
    /// E1, M4: who has a vote in its configuration may campaign. So may a server that has none as
    /// long as it does not know this to be committed, if it had one before: it may hold the only
    /// log that can be elected.
    pub(super) fn may_campaign(&self) -> bool {
        let votes_in = |configuration: &Configuration| {
            configuration.voters.contains(&self.state.id)
                || configuration.outgoing.contains(&self.state.id)
        };
        let newest = &self.state.configuration;
        let pending = self.state.configuration_index > self.state.commit_index
            && !self.mutated(Mutation::OutsideServerNeverCampaigns);
        votes_in(newest) || (pending && votes_in(&self.configuration_before()))
    }

    fn configuration_before(&self) -> Arc<Configuration> {
        self.configuration_as_of(self.state.configuration_index.previous()).1
    }

    /// M2: the last configuration in the log is in force from the moment it is appended, on every
    /// server, committed or not; where it is truncated, the one before it is in force again.
    pub(super) fn take_newest_configuration(&mut self) {
        let log = &self.state.log;
        let end = if self.mutated(Mutation::ConfigurationAtCommit) {
            self.state.commit_index
        } else {
            log.last_index()
        };
        let (LogPosition { index, .. }, configuration) = self.configuration_as_of(end);
        if index < self.state.configuration_index
            && self.mutated(Mutation::KeepTruncatedConfiguration)
        {
            return;
        }
        self.state.configuration_index = index;
        self.state.configuration = configuration;
    }

    /// An operator asks for a change. A leader appends the configuration that it leads to, which
    /// is in force at once (M2), or refuses and appends nothing.
    pub(super) fn change_membership(
        &mut self,
        change: &MembershipChange,
        expected: Option<LogPosition>,
    ) {
        match self.admit_change(change, expected) {
            Ok(configuration) => self.append_configuration(configuration, true),
            Err(refusal) => self.output(Output::Refused { refusal }),
        }
    }

    /// What a change leads to, if it may be made now.
    fn admit_change(
        &self,
        change: &MembershipChange,
        expected: Option<LogPosition>,
    ) -> Result<Configuration, Refusal> {
        let Role::Leader { transfer, .. } = &self.state.role else {
            return Err(Refusal::NotLeader { leader: self.known_leader() });
        };
        if let Some(to) = *transfer {
            return Err(Refusal::TransferUnderWay { to });
        }
        self.is_meant_for_this_configuration(expected)?;
        self.one_change_at_a_time()?;
        let target = self.target(change)?;
        self.all_have_caught_up(&target)?;
        Ok(target)
    }

    /// M10: a change is meant for the configuration that the operator names, if one is named. A
    /// position names it: at the same index another leader can have had another configuration.
    fn is_meant_for_this_configuration(
        &self,
        expected: Option<LogPosition>,
    ) -> Result<(), Refusal> {
        let position = self.state.configuration_position();
        let by_index_only = self.mutated(Mutation::ChangeExpectedByIndexOnly);
        let is_other = |expected: LogPosition| {
            expected.index != position.index || (expected.term != position.term && !by_index_only)
        };
        if expected.is_some_and(is_other) {
            return Err(Refusal::OtherConfiguration { position });
        }
        Ok(())
    }

    /// M7: a change begins only when the last is complete: its configuration is committed, as far
    /// as the leader knows, and is not joint.
    fn one_change_at_a_time(&self) -> Result<(), Refusal> {
        let index = self.state.configuration_index;
        let pending =
            index > self.state.commit_index || !self.state.configuration.outgoing.is_empty();
        if pending && !self.mutated(Mutation::OverlappingChanges) {
            return Err(Refusal::ChangePending { index });
        }
        Ok(())
    }

    /// M1, M6: the configuration that a change leads to: at once for one server, a joint one for
    /// any set of them. M10: what makes no sense is refused.
    fn target(&self, change: &MembershipChange) -> Result<Configuration, Refusal> {
        let now = &self.state.configuration;
        if let MembershipChange::Replace { .. } = change {
            return Ok(self.through_joint(changed(now, change)?));
        }
        self.own_term_is_committed()?;
        changed(now, change)
    }

    /// M1: the joint configuration through which the cluster goes to these members.
    fn through_joint(&self, members: Configuration) -> Configuration {
        let now = &self.state.configuration;
        let few = members.voters.symmetric_difference(&now.voters).count() <= 2;
        let at_once = self.mutated(Mutation::DirectSwitch)
            || (self.mutated(Mutation::TwoServersAsSingleChange) && few);
        if at_once {
            return members;
        }
        Configuration { outgoing: now.voters.clone(), ..members }
    }

    /// M6: a leader changes single servers only after it has committed an entry of its own term.
    /// Before, an earlier leader's change may be under way that it does not know of.
    fn own_term_is_committed(&self) -> Result<(), Refusal> {
        if self.state.has_committed_in_term()
            || self.mutated(Mutation::SingleChangeWithoutOwnCommit)
        {
            return Ok(());
        }
        Err(Refusal::NothingCommittedInTerm)
    }

    fn append_configuration(&mut self, configuration: Configuration, asked_for: bool) {
        let first = self.append(Payload::Configuration(configuration));
        if asked_for {
            self.output(Output::Proposed { first, last_index: first.index });
        }
        let new = self.follow_members(first.index.previous());
        self.hear_new_members(&new);
        self.send_new_entries(&new);
    }

    /// A leader replicates to every member but itself, and to nobody else. Nothing is known of a
    /// new one's log, so it is probed from `end` on. Returns those that are new.
    pub(super) fn follow_members(&mut self, end: LogIndex) -> Vec<ServerId> {
        let Configuration { voters, outgoing, learners } = &*self.state.configuration.clone();
        let members = &(voters | outgoing) | learners;
        let unknown = FollowerProgress {
            match_index: LogIndex::ZERO,
            next_index: end.next(),
            mode: ReplicationMode::Probe,
            catch_up: None,
        };
        let own = self.state.id;
        let Role::Leader { progress, heard, .. } = &mut self.state.role else { return Vec::new() };
        progress.retain(|follower, _| members.contains(follower));
        heard.retain(|follower| members.contains(follower));
        let new = members.into_iter().filter(|id| *id != own && !progress.contains_key(id));
        let new: Vec<ServerId> = new.collect();
        progress.extend(new.iter().map(|follower| (*follower, unknown)));
        self.begin_rounds();
        new
    }

    /// E9: who has only just become a member counts as heard in the quorum check that is next.
    fn hear_new_members(&mut self, new: &[ServerId]) {
        if let Role::Leader { heard, .. } = &mut self.state.role
            && self.server.options.check_quorum
        {
            heard.extend(new);
        }
    }

    /// M3: when a joint configuration is committed, its leader appends the new one: whichever
    /// leader finds it so, its own or one that it has inherited.
    pub(super) fn leave_joint(&mut self) {
        if let Some(configuration) = self.new_configuration() {
            self.append_configuration(configuration, false);
        }
    }

    /// What a leader has to append after a joint configuration, if it is time.
    pub(super) fn new_configuration(&self) -> Option<Configuration> {
        let Configuration { voters, outgoing, learners } = &*self.state.configuration;
        let committed = self.state.configuration_index <= self.state.commit_index;
        let due = (committed && !self.mutated(Mutation::JointNeverLeft))
            || self.mutated(Mutation::LeaveJointBeforeCommitted);
        if !due || !self.state.is_leader() || outgoing.is_empty() {
            return None;
        }
        // Nothing else can be there, unless M2 is broken.
        let newest = self.state.log.newest_configuration(self.state.log.last_index());
        let none_yet = newest.is_none_or(|(index, _)| index == self.state.configuration_index);
        let (voters, learners) = (voters.clone(), learners.clone());
        none_yet.then_some(Configuration { voters, outgoing: BTreeSet::new(), learners })
    }

    /// M4: a leader that is not among the voters steps down when that is committed. It hands over
    /// to a voter, unless it is handing over to another already.
    pub(super) fn step_down_outside(&mut self, input: &Input) {
        let Configuration { voters, outgoing, .. } = &*self.state.configuration;
        let committed = self.state.configuration_index <= self.state.commit_index;
        let outside = outgoing.is_empty() && !voters.contains(&self.state.id);
        if !self.state.is_leader()
            || !outside
            || !committed
            || self.mutated(Mutation::OutsideLeaderStays)
        {
            return;
        }
        let asked_for = self.state.transfers_to();
        if let Some(successor) = self.successor(input)
            && asked_for.is_none_or(|to| to == successor)
        {
            self.send(successor, Message::TimeoutNow { term: self.state.term });
        }
        self.state.role = Role::FOLLOWER;
    }

    /// M4: who leads after a leader that has no vote. The voter whose acknowledgement this step is
    /// about is alive, but may lack entries; another may lack none.
    fn successor(&self, input: &Input) -> Option<ServerId> {
        let Role::Leader { progress, .. } = &self.state.role else { return None };
        let answers = match input {
            Input::Deliver { from, .. } => Some(*from),
            _ => None,
        };
        let voters = &self.state.configuration.voters;
        let answering = answers.filter(|from| voters.contains(from));
        let last_index = self.state.log.last_index();
        if self.mutated(Mutation::HeirLacksEntries) {
            return answering;
        }
        let lacks_nothing = |voter: &ServerId| {
            progress.get(voter).is_some_and(|known| known.match_index == last_index)
        };
        answering
            .filter(lacks_nothing)
            .or_else(|| voters.iter().copied().find(lacks_nothing))
            .or(answering)
    }
}
