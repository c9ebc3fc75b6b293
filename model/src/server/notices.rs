//! What a step tells its driver of the server besides what the rules send: what a driver would
//! otherwise have to look for after every step.

use super::Role;
use super::step::Step;
use kontiki_specs::{Entry, Input, Message, Output, Payload, RoleKind};

impl Step<'_> {
    /// What has changed in this step, for whoever wants to know, and which timer begins anew.
    pub(super) fn notices(&self, input: &Input) -> Vec<Output> {
        let (before, after) = (self.before, &self.state);
        let mut notices: Vec<Output> = Vec::new();
        let role = after.role.kind();
        if role != before.role.kind() {
            notices.push(Output::RoleChanged { role });
        }
        if let Some(to) = before.transfers_to()
            && role != RoleKind::Leader
        {
            notices.push(Output::TransferEnded { to });
        }
        let leader = after.leader();
        let known = |of: &super::ServerState| of.leader().map(|leader| (leader, of.term));
        if known(before) != known(after) {
            notices.push(Output::LeaderChanged { term: after.term, leader });
        }
        notices.extend(self.reads_refused());
        notices.extend(self.election_timer(input));
        notices
    }

    /// What comes of what was handed to the state machine: before the reads that may see it.
    pub(super) fn handed_over(&self) -> Vec<Output> {
        let mut notices = self.changes_completed();
        if self.snapshot_becomes_due() {
            notices.push(Output::SnapshotDue);
        }
        notices
    }

    /// M7: what is committed in this step and completes a change.
    fn changes_completed(&self) -> Vec<Output> {
        let before = self.before.applied_index;
        let new = self.state.log.from(before.next()).iter();
        let new = new.filter(|entry| entry.index <= self.state.applied_index);
        let complete = new.filter(|entry| match &entry.payload {
            Payload::Configuration(configuration) => configuration.outgoing.is_empty(),
            _ => false,
        });
        let complete = complete.map(Entry::position);
        // S2: of those that a snapshot covers, the last is known.
        let installed = self.state.snapshot.as_ref().map(|own| &own.about).filter(|own| {
            let position = own.configuration_position;
            position.index > before && own.configuration.outgoing.is_empty()
        });
        let installed = installed.map(|own| own.configuration_position);
        let installed = installed.filter(|at| self.state.log.get(at.index).is_none());
        let positions = installed.into_iter().chain(complete);
        positions.map(|position| Output::ChangeCompleted { position }).collect()
    }

    /// E1, E8: a server that does not lead waits for a whole election timeout from when it last
    /// heard from a leader, gave its vote, sought election, or led.
    fn election_timer(&self, input: &Input) -> Option<Output> {
        let (before, after) = (self.before, &self.state);
        if after.is_leader() {
            return None;
        }
        let (hears, votes) = match input {
            Input::Deliver {
                message:
                    Message::AppendEntries { term, .. }
                    | Message::InstallSnapshot { term, .. }
                    | Message::ConfirmLeadership { term, .. },
                ..
            } => (*term == after.term, false),
            Input::Deliver { from, message: Message::RequestVote { term, .. } } => {
                (false, *term == after.term && after.vote == Some(*from))
            }
            _ => (false, false),
        };
        let seeks = matches!(after.role, Role::PreCandidate { .. } | Role::Candidate { .. })
            && before.role.kind() != after.role.kind();
        let begins = seeks || before.is_leader() || *input == Input::ElectionTimeout;
        let leader_contact = hears && self.server.options.leader_contact;
        (hears || votes || begins).then_some(Output::ResetElectionTimer { leader_contact })
    }
}
