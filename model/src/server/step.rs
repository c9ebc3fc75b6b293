//! One step of a server: the state being changed, and what it puts out.

use super::{Mutation, RaftServer, ServerState, Write};
use kontiki_specs::{
    Entries, Entry, Input, LogIndex, LogPosition, Message, Output, Payload, ServerId,
};

/// A step under way. The rules are methods of this type, in the files beside this one.
pub(super) struct Step<'a> {
    pub(super) server: &'a RaftServer,
    pub(super) before: &'a ServerState,
    pub(super) state: ServerState,
    /// The first index at which this step has changed the log.
    changed_from: Option<LogIndex>,
    /// Where the configuration stood that was in force before the step.
    pub(super) configured_before: LogPosition,
    sent: Vec<Output>,
    /// Writes of another server's snapshot that this step issues.
    snapshot_writes: Vec<Write>,
    /// The step is a restart: the state is what the disk gave back, and nothing is to be written.
    pub(super) restarted: bool,
}

impl<'a> Step<'a> {
    /// A step from a state. `before` is the same, but for the logs.
    pub(super) fn new(server: &'a RaftServer, before: &'a ServerState, state: ServerState) -> Self {
        Step {
            server,
            before,
            configured_before: state.configuration_position(),
            state,
            changed_from: None,
            sent: Vec::new(),
            snapshot_writes: Vec::new(),
            restarted: false,
        }
    }

    /// Whether this rule is broken.
    pub(super) fn mutated(&self, mutation: Mutation) -> bool {
        self.server.mutation == Some(mutation)
    }

    pub(super) fn send(&mut self, to: ServerId, message: Message) {
        self.sent.push(Output::Send { to, message });
    }

    pub(super) fn output(&mut self, output: Output) {
        self.sent.push(output);
    }

    /// Issues a write of another server's snapshot.
    pub(super) fn write(&mut self, write: Write) {
        self.snapshot_writes.push(write);
    }

    /// Appends an entry of the current term to the log. L7: this is all that a leader ever does to
    /// its log; only a follower replaces the end of one.
    pub(super) fn append(&mut self, payload: Payload) -> LogPosition {
        let position = self.state.log.append(self.state.term, payload);
        self.log_changed(position.index);
        position
    }

    /// Replaces the end of the log from `first` on.
    pub(super) fn replace_log_from(&mut self, first: LogIndex, entries: &[Entry]) {
        let last_index = self.state.log.last_index();
        if first <= last_index {
            self.output(Output::Truncated { first_index: first, last_index });
        }
        self.state.log.replace_from(first, entries);
        self.log_changed(first);
    }

    fn log_changed(&mut self, first: LogIndex) {
        self.changed_from = Some(self.changed_from.map_or(first, |earlier| earlier.min(first)));
        self.state.durable_index = self.state.durable_index.min(first.previous());
        self.take_newest_configuration();
    }

    /// Issues the writes that the step has made necessary, term and vote before entries, so that
    /// entries on disk always find the term they were accepted in there too.
    pub(super) fn finish(mut self, input: &Input) -> (ServerState, Vec<Output>) {
        let mut outputs: Vec<Output> = Vec::new();
        let ServerState { term, vote, incarnation, .. } = self.state;
        let mut writes = Vec::new();
        if (term, vote) != (self.before.term, self.before.vote) && !self.restarted {
            writes.push(Write::HardState { term, vote });
        }
        writes.append(&mut self.snapshot_writes);
        if let Some(first_index) = self.changed_from {
            let entries = Entries::from(self.state.log.from(first_index));
            writes.push(Write::Entries { leader_term: term, first_index, entries });
        }
        outputs.extend(writes.iter().map(|write| write.issued(incarnation)));
        self.state.writes.append(&mut writes);
        outputs.append(&mut self.sent);
        self.let_time_pass(input);
        outputs.extend(self.apply());
        if !self.restarted {
            outputs.extend(self.handed_over());
        }
        self.answer_reads();
        outputs.append(&mut self.sent);
        if !self.restarted {
            outputs.extend(self.notices(input));
        }
        (self.state, outputs)
    }
}
