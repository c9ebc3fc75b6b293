//! Changes of membership (paper §6, dissertation chapter 4): rules M1 to M4, M6 to M8 and M10.

use super::step::Step;
use super::{Mutation, Role};
use kontiki_specs::{
    Configuration, FollowerProgress, Input, LogIndex, LogPosition, MembershipChange, Message,
    Output, Payload, Refusal, ReplicationMode, ServerId,
};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Step<'_> {
    /// E5, M1: whether these servers hold a majority of the voters and, while the configuration is
    /// joint, one of the outgoing voters too. Nobody else counts.
    pub(super) fn is_quorum(&self, servers: &BTreeSet<ServerId>) -> bool {
        self.is_quorum_of(&self.state.configuration, servers)
    }

    /// Whether a leader may commit what these servers hold.
    pub(super) fn commits(&self, holders: &BTreeSet<ServerId>) -> bool {
        if self.mutated(Mutation::LeaderCountsByCommittedConfiguration) {
            let committed = self.state.log.newest_configuration(self.state.commit_index);
            let bootstrap = || Arc::clone(&self.server.bootstrap);
            let committed = committed.map_or_else(bootstrap, |(_, committed)| committed);
            return self.is_quorum_of(&committed, holders);
        }
        self.is_quorum(holders)
    }

    fn is_quorum_of(&self, configuration: &Configuration, servers: &BTreeSet<ServerId>) -> bool {
        let Configuration { voters, outgoing, learners } = configuration;
        let majority = |of: &BTreeSet<ServerId>| 2 * of.intersection(servers).count() > of.len();
        let joint = !outgoing.is_empty();
        let own = BTreeSet::from([self.state.id]);
        match self.server.mutation {
            Some(Mutation::MinorityElects) => {
                2 * voters.intersection(servers).count() >= voters.len().saturating_sub(1)
            }
            Some(Mutation::CountVotesFromOutside) => 2 * servers.len() > voters.len(),
            Some(Mutation::JointByUnion) => majority(&(voters | outgoing)),
            Some(Mutation::JointOldMajorityOnly) if joint => majority(outgoing),
            Some(Mutation::JointNewMajorityOnly) => majority(voters),
            Some(Mutation::LearnerCounts) => {
                2 * (voters | learners).intersection(servers).count() > voters.len()
            }
            Some(Mutation::OutsideLeaderCountsItself) if !joint => {
                2 * (voters | &own).intersection(servers).count() > voters.len()
            }
            _ => majority(voters) && (!joint || majority(outgoing)),
        }
    }

    /// M1: whether a server's vote and its copy of the log count.
    pub(super) fn counts(&self, server: ServerId) -> bool {
        let Configuration { voters, outgoing, .. } = &*self.state.configuration;
        voters.contains(&server)
            || outgoing.contains(&server)
            || self.mutated(Mutation::CountVotesFromOutside)
    }

    /// The other servers whose votes count.
    pub(super) fn other_voters(&self) -> Vec<ServerId> {
        let Configuration { voters, outgoing, .. } = &*self.state.configuration;
        (voters | outgoing).into_iter().filter(|voter| *voter != self.state.id).collect()
    }

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
        let before = self.state.configuration_index.previous();
        let newest = self.state.log.newest_configuration(before);
        newest.map_or_else(|| Arc::clone(&self.server.bootstrap), |(_, before)| before)
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
        let newest = log.newest_configuration(end);
        let (index, configuration) =
            newest.unwrap_or_else(|| (LogIndex::ZERO, Arc::clone(&self.server.bootstrap)));
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
        let target = match change {
            MembershipChange::Replace { voters, learners } => self.replacement(voters, learners)?,
            change => {
                self.own_term_is_committed()?;
                self.with_one_server_changed(change)?
            }
        };
        if target.voters.is_empty() { Err(Refusal::NoVoters) } else { Ok(target) }
    }

    /// M10, for a change of one server.
    fn with_one_server_changed(&self, change: &MembershipChange) -> Result<Configuration, Refusal> {
        let mut target = (*self.state.configuration).clone();
        let (voters, learners) = (&mut target.voters, &mut target.learners);
        match *change {
            MembershipChange::AddLearner(server) if voters.contains(&server) => {
                return Err(Refusal::LearnerIsVoter { server });
            }
            MembershipChange::AddLearner(server) => {
                if !learners.insert(server) {
                    return Err(Refusal::Duplicate { server });
                }
            }
            MembershipChange::AddVoter(server) => {
                if !voters.insert(server) {
                    return Err(Refusal::Duplicate { server });
                }
                learners.remove(&server);
            }
            MembershipChange::Demote(server) if learners.contains(&server) => {
                return Err(Refusal::Duplicate { server });
            }
            MembershipChange::Demote(server) => {
                if !voters.remove(&server) {
                    return Err(Refusal::UnknownServer { server });
                }
                learners.insert(server);
            }
            MembershipChange::Remove(server) => {
                if !voters.remove(&server) && !learners.remove(&server) {
                    return Err(Refusal::UnknownServer { server });
                }
            }
            MembershipChange::Replace { .. } => {}
        }
        Ok(target)
    }

    /// M10 and M1, for a change of any set of servers.
    fn replacement(
        &self,
        voters: &[ServerId],
        learners: &[ServerId],
    ) -> Result<Configuration, Refusal> {
        let now = &self.state.configuration;
        if let Some(server) = listed_twice(voters).or_else(|| listed_twice(learners)) {
            return Err(Refusal::Duplicate { server });
        }
        if let Some(server) = learners.iter().copied().find(|server| voters.contains(server)) {
            return Err(Refusal::LearnerIsVoter { server });
        }
        let mut target = Configuration {
            voters: voters.iter().copied().collect(),
            outgoing: BTreeSet::new(),
            learners: learners.iter().copied().collect(),
        };
        if (&target.voters, &target.learners) == (&now.voters, &now.learners) {
            return Err(Refusal::NothingToChange);
        }
        let few = target.voters.symmetric_difference(&now.voters).count() <= 2;
        let at_once = self.mutated(Mutation::DirectSwitch)
            || (self.mutated(Mutation::TwoServersAsSingleChange) && few);
        if !at_once {
            target.outgoing = now.voters.clone();
        }
        Ok(target)
    }

    /// M6: a leader changes single servers only after it has committed an entry of its own term.
    /// Before, an earlier leader's change may be under way that it does not know of.
    fn own_term_is_committed(&self) -> Result<(), Refusal> {
        let committed = self.state.log.term_at(self.state.commit_index) == Some(self.state.term);
        if committed || self.mutated(Mutation::SingleChangeWithoutOwnCommit) {
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
        // Nothing else can be there, unless M2 is broken.
        let newest = self.state.log.newest_configuration(self.state.log.last_index());
        let none_yet = newest.is_none_or(|(index, _)| index == self.state.configuration_index);
        let due = due && none_yet && self.state.is_leader() && !outgoing.is_empty();
        let (voters, learners) = (voters.clone(), learners.clone());
        due.then_some(Configuration { voters, outgoing: BTreeSet::new(), learners })
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

fn listed_twice(servers: &[ServerId]) -> Option<ServerId> {
    let (mut seen, mut servers) = (BTreeSet::new(), servers.iter().copied());
    servers.find(|server| !seen.insert(*server))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Options, RaftServer};

    fn run(first: u64, end: u64) -> BTreeSet<ServerId> {
        (first..end).map(ServerId).collect()
    }

    fn server(bootstrap: Configuration) -> RaftServer {
        RaftServer {
            id: ServerId(1),
            bootstrap: Arc::new(bootstrap),
            peers: run(2, 8),
            options: Options {
                pre_vote: false,
                leader_contact: false,
                check_quorum: false,
                batch: 1,
                batch_bytes: u64::MAX,
                window_bytes: u64::MAX,
                window: 1,
                catch_up_rounds: 0,
            },
            mutation: None,
        }
    }

    /// Those in a set outnumber those that are not.
    fn outnumber(half: &BTreeSet<ServerId>, set: &BTreeSet<ServerId>) -> bool {
        let (inside, outside): (Vec<ServerId>, Vec<ServerId>) =
            half.iter().partition(|server| set.contains(server));
        inside.len() > outside.len()
    }

    /// One of the groups of 1 to 7 voters, alone and with every run of servers as the outgoing half.
    fn small_groups() -> impl Iterator<Item = Configuration> {
        let halves = (1..9).flat_map(|first| (first..9).map(move |end| (first, end)));
        let pairs = halves.flat_map(|outgoing| (2..9).map(move |voters| (voters, outgoing)));
        pairs.map(|(voters, (first, end))| Configuration {
            voters: run(1, voters),
            outgoing: run(first, end),
            learners: run(voters.max(end), 9),
        })
    }

    #[test]
    fn in_every_small_group_a_quorum_outnumbers_the_rest_of_each_half() {
        let sets: Vec<BTreeSet<ServerId>> = (0_u32..256)
            .map(|set| (1..9).filter(|id| set & (1 << (id - 1)) != 0).map(ServerId).collect())
            .collect();
        for configuration in small_groups() {
            let Configuration { voters, outgoing, .. } = &configuration;
            let server = server(configuration.clone());
            let state = server.boot();
            let step = Step::new(&server, &state);
            for set in &sets {
                let due =
                    outnumber(voters, set) && (outgoing.is_empty() || outnumber(outgoing, set));
                assert_eq!(step.is_quorum(set), due, "{configuration:?} {set:?}");
            }
        }
    }
}
