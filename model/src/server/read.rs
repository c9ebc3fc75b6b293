//! Linearizable reads without a log write (dissertation §6.4): rules C3 and C5.

use super::step::Step;
use super::{Mutation, RaftServer, Role, ServerState};
use kontiki_specs::{LogIndex, Message, Output, ReadId, Refusal, ServerId, WaitingRead};

impl Step<'_> {
    /// C3: at a leader, reads wait until a majority has confirmed that it leads. C5: any other server
    /// asks its leader for the read index, if it knows one. It keeps nothing in mind: the driver asks
    /// again if no answer comes.
    pub(super) fn read(&mut self, read: ReadId) {
        if self.state.is_leader() {
            return self.read_waits(WaitingRead { read, asked_by: None });
        }
        let Some(leader) = self.known_leader() else {
            let refusal = Refusal::NotLeader { leader: None };
            return self.output(Output::ReadRefused { read, refusal });
        };
        if self.mutated(Mutation::FollowerReadsAtOnce) {
            return self.output(Output::ReadReady { read, index: self.state.commit_index });
        }
        self.send(leader, Message::ReadIndex { term: self.state.term, read });
    }

    /// C5: a follower asks for the read index. A question that waits already is one that was repeated.
    pub(super) fn read_index(&mut self, follower: ServerId, read: ReadId) {
        let question = WaitingRead { read, asked_by: Some(follower) };
        if let Role::Leader { reads, .. } = &self.state.role
            && !reads.waiting.contains(&question)
            && !reads.next.contains(&question)
        {
            self.read_waits(question);
        }
    }

    fn read_waits(&mut self, read: WaitingRead) {
        if let Role::Leader { reads, .. } = &mut self.state.role {
            reads.next.push(read);
        }
        self.begin_read_round();
    }

    /// C3: a round counts for the reads that came before it; those that come while it is under way share
    /// the next. Reads that are answered at once need none (C4).
    fn begin_read_round(&mut self) {
        let at_once = self.may_answer_at_once();
        let Role::Leader { reads, .. } = &mut self.state.role else { return };
        if !at_once && reads.waiting.is_empty() && !reads.next.is_empty() {
            reads.waiting = std::mem::take(&mut reads.next);
            self.begin_round();
        }
    }

    /// C3: a round of questions begins. The number is the leader's own: a number that callers choose
    /// may come twice, and answers to the first question would be taken for answers to the second.
    pub(super) fn begin_round(&mut self) {
        let by_callers_key = self.mutated(Mutation::ReadRoundByCallersKey);
        let Role::Leader { reads, .. } = &mut self.state.role else { return };
        reads.round = match reads.waiting.first() {
            Some(first) if by_callers_key => first.read.0,
            _ => reads.round + 1,
        };
        reads.confirmed_by.clear();
        self.ask_who_confirms();
    }

    /// C3: asks everybody that the leader replicates to and that has not answered in the round under
    /// way. With every heartbeat the question is repeated.
    pub(super) fn ask_who_confirms(&mut self) {
        let under_way = self.state.round_is_under_way(&self.server.options);
        let Role::Leader { reads, progress, .. } = &self.state.role else { return };
        if !under_way {
            return;
        }
        let (term, round) = (self.state.term, reads.round);
        let asked = progress.keys().filter(|follower| !reads.confirmed_by.contains(follower));
        for follower in asked.copied().collect::<Vec<_>>() {
            self.send(follower, Message::ConfirmLeadership { term, round });
        }
    }

    /// C3: a server of the leader's term answers, whatever its log or its disk is at. E6: whoever asks
    /// leads, so a candidate gives up.
    pub(super) fn confirm_leadership(&mut self, leader: ServerId, round: u64) {
        if self.state.is_leader() {
            return; // Two leaders of one term: election safety has fallen already.
        }
        let leader_contact = self.server.options.leader_contact;
        self.state.role = Role::Follower { leader: Some(leader), leader_contact };
        self.send(leader, Message::ConfirmLeadershipReply { term: self.state.term, round });
    }

    /// C3: an answer counts in the round that it was asked for in.
    pub(super) fn leadership_confirmed(&mut self, follower: ServerId, round: u64) {
        let under_way = self.state.round_is_under_way(&self.server.options);
        if let Role::Leader { reads, .. } = &mut self.state.role
            && under_way
            && reads.round == round
        {
            reads.confirmed_by.insert(follower);
        }
    }

    /// C3: the reads that wait for the round under way are answered when a majority has confirmed the
    /// leader, and the leader has committed an entry of its own term. Then the next round begins. No
    /// entry is written. C4: with a lease, all reads are answered.
    pub(super) fn answer_reads(&mut self) {
        self.end_lease_with_change();
        loop {
            let confirmed = self.is_confirmed();
            if confirmed {
                self.take_lease();
            }
            let answered = self.reads_to_answer(confirmed);
            if answered.is_empty() {
                return;
            }
            for read in answered {
                self.answer_read(read);
            }
            self.begin_read_round();
        }
    }

    /// C3, C4: takes out the reads that may be answered now.
    fn reads_to_answer(&mut self, confirmed: bool) -> Vec<WaitingRead> {
        let (at_once, knows) = (self.may_answer_at_once(), self.knows_what_is_committed());
        let Role::Leader { reads, .. } = &mut self.state.role else { return Vec::new() };
        let mut answered = Vec::new();
        if at_once || confirmed && knows {
            answered.append(&mut reads.waiting);
        }
        if at_once {
            answered.append(&mut reads.next);
        }
        if confirmed && !answered.is_empty() {
            reads.confirmed_by.clear();
        }
        answered
    }

    fn answer_read(&mut self, WaitingRead { read, asked_by }: WaitingRead) {
        let index = self.state.commit_index;
        match asked_by {
            None => self.output(Output::ReadReady { read, index }),
            Some(follower) => {
                let term = self.state.term;
                self.send(follower, Message::ReadIndexReply { term, read, index });
            }
        }
    }

    /// C3: before a leader has committed an entry of its own term, more may be committed than it knows.
    pub(super) fn knows_what_is_committed(&self) -> bool {
        self.state.has_committed_in_term() || self.mutated(Mutation::ReadBeforeOwnTermCommit)
    }

    /// C3, M1, M5: whether a quorum, the leader counted, has answered in the round under way.
    fn is_confirmed(&self) -> bool {
        let Role::Leader { reads, .. } = &self.state.role else { return false };
        if !self.state.round_is_under_way(&self.server.options) {
            return false;
        }
        let mut servers = reads.confirmed_by.clone();
        servers.insert(self.state.id);
        self.broken_confirmation(&servers).unwrap_or_else(|| self.is_quorum(&servers))
    }

    /// C5: the leader has answered. The driver knows whether it still waits for it.
    pub(super) fn read_index_reply(&mut self, read: ReadId, index: LogIndex) {
        self.output(Output::ReadReady { read, index });
    }

    /// C3: what waits when leadership ends is refused. The followers that have asked will ask again.
    pub(super) fn reads_refused(&self) -> Vec<Output> {
        let Role::Leader { reads, .. } = &self.before.role else { return Vec::new() };
        if self.state.is_leader() {
            return Vec::new();
        }
        let own = reads.waiting.iter().chain(&reads.next).filter(|read| read.asked_by.is_none());
        own.map(|WaitingRead { read, .. }| {
            let (read, leader) = (*read, self.state.leader());
            if self.mutated(Mutation::ReadSurvivesLeadership) {
                return Output::ReadReady { read, index: self.state.commit_index };
            }
            Output::ReadRefused { read, refusal: Refusal::NotLeader { leader } }
        })
        .collect()
    }
}

impl ServerState {
    /// L5: whether the server has committed an entry of its own term.
    pub(super) fn has_committed_in_term(&self) -> bool {
        self.log.term_at(self.commit_index) == Some(self.term)
    }
}

impl RaftServer {
    /// C3: up to where a read sees the log that is served at a server in this state: the driver waits
    /// until the read index is applied.
    pub fn seen_by_read(&self, state: &ServerState, read_index: LogIndex) -> LogIndex {
        if self.mutation == Some(Mutation::ReadBeforeApply) {
            return state.applied_index;
        }
        state.applied_index.max(read_index)
    }
}

/// C5: the number of a read that follows so many others. It was never used before: an answer to an
/// earlier question may be on its way still.
pub fn number_of_follower_read(earlier: u64, mutation: Option<Mutation>) -> ReadId {
    if mutation == Some(Mutation::ReadNumberUsedAgain) {
        return ReadId(1);
    }
    ReadId(earlier + 1)
}
