//! That each command of a session is executed once is judged by what became of commands
//! (`properties::sessions`). Here stateright's own judge looks at the same runs: it knows nothing of logs
//! and copies, only which writes and reads of a register began and ended, and in which order. A write
//! that is sent again is the same write.

#![allow(
    clippy::unwrap_used,
    reason = "what a test unwraps, or cannot go on without, fails the test"
)]

use kontiki_model::cluster::{Action, Cluster, Reductions, State};
use kontiki_model::server::{Mutation, ServerState};
use kontiki_specs::scope::Scope;
use kontiki_specs::{
    CommandOutcome, Input, LogIndex, Output, Payload, Property, SessionCommand, SessionId,
};
use stateright::Model;
use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A write is named by its session and sequence number; nothing was written at first.
type Write = (SessionId, u64);
type Value = Option<Write>;

/// What clients have seen of a run. Each operation has a thread of its own.
#[derive(Clone, Hash)]
struct Clients {
    history: LinearizabilityTester<u8, Register<Value>>,
    threads: u8,
    /// Every write that was ever sent.
    writes: BTreeMap<Write, u8>,
    /// Of these, those that were answered.
    answered: Vec<Write>,
    /// Reads that are answered by a read index, and wait until it is applied.
    ready: Vec<(u8, LogIndex)>,
    /// Reads that are not answered.
    reads: VecDeque<u8>,
}

fn write(bytes: &bytes::Bytes) -> Option<Write> {
    match SessionCommand::decode(bytes) {
        Ok(SessionCommand::InSession { session, sequence, .. }) => Some((session, sequence.get())),
        _ => None,
    }
}

/// What stands in a server's register, and what it has answered to writes: by what became of commands.
fn executed(server: &ServerState) -> Vec<(Write, CommandOutcome)> {
    let entries = server.log.up_to(server.applied_index).iter();
    let commands = entries.filter_map(|entry| match &entry.payload {
        Payload::Command(bytes) => {
            Some((write(bytes)?, *server.state_machine.outcomes.get(&entry.index)?))
        }
        _ => None,
    });
    commands.collect()
}

impl Clients {
    fn new() -> Self {
        Clients {
            history: LinearizabilityTester::new(Register(None)),
            threads: 0,
            writes: BTreeMap::new(),
            answered: Vec::new(),
            ready: Vec::new(),
            reads: VecDeque::new(),
        }
    }

    fn begin(&mut self, operation: RegisterOp<Value>) -> u8 {
        self.threads += 1;
        self.history.on_invoke(self.threads, operation).unwrap();
        self.threads
    }

    fn note(&mut self, input: &Input, outputs: &[Output]) {
        match input {
            Input::Read { .. } => {
                let thread = self.begin(RegisterOp::Read);
                self.reads.push_back(thread);
            }
            Input::Propose { commands } => {
                for own in commands.iter().filter_map(write) {
                    if !self.writes.contains_key(&own) {
                        let thread = self.begin(RegisterOp::Write(Some(own)));
                        self.writes.insert(own, thread);
                    }
                }
            }
            _ => {}
        }
        for output in outputs {
            match output {
                Output::ReadReady { index, .. } => {
                    let thread = self.reads.pop_front().unwrap();
                    self.ready.push((thread, *index));
                }
                Output::ReadRefused { .. } => {
                    self.reads.pop_front();
                }
                _ => {}
            }
        }
    }

    /// What was executed is answered, and what is applied is read.
    fn look(&mut self, server: &ServerState) {
        use CommandOutcome as O;
        let executed = executed(server);
        for (own, outcome) in &executed {
            let answers = matches!(outcome, O::Executed | O::Repeated { .. });
            if answers && !self.answered.contains(own) {
                self.answered.push(*own);
                self.history.on_return(self.writes[own], RegisterRet::WriteOk).unwrap();
            }
        }
        let last = executed.iter().rev().find(|(_, outcome)| *outcome == O::Executed);
        let value = last.map(|(own, _)| *own);
        let applied = server.applied_index;
        let (done, left): (Vec<_>, Vec<_>) =
            self.ready.drain(..).partition(|(_, index)| *index <= applied);
        self.ready = left;
        for (thread, _) in done {
            self.history.on_return(thread, RegisterRet::ReadOk(value)).unwrap();
        }
    }
}

/// A run, as far as it matters what comes next.
struct Run {
    state: State,
    clients: Clients,
    /// Whether the property was broken on the way.
    broken: bool,
}

/// Which of the two judges find that a command was executed twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    by_property: bool,
    by_history: bool,
}

/// One server: in its log is the only order that there is.
const SCOPE: &str = "servers = 1\nterms = 1\nlog = 6\nheartbeats = false\nreads = 1\nsessions = 1\n\
    session-commands = 2\n";

fn explore(scope: &str, mutation: Option<Mutation>) -> Found {
    let scope = Scope::parse("sessions", "test", scope).unwrap();
    let cluster = Cluster::new(&scope, mutation, Reductions::ALL);
    let (mut seen, mut queue, mut found) = (HashSet::new(), VecDeque::new(), Found::default());
    for state in cluster.init_states() {
        queue.push_back(Run { state, clients: Clients::new(), broken: false });
    }
    let mut actions: Vec<Action> = Vec::new();
    while let Some(run) = queue.pop_front() {
        cluster.actions(&run.state, &mut actions);
        for action in actions.drain(..) {
            let (_, turn) = cluster.turn(&run.state, action);
            let Some(state) = cluster.next_state(&run.state, action) else { continue };
            let mut clients = run.clients.clone();
            for (input, outputs, after) in &turn.steps {
                clients.note(input, outputs);
                clients.look(after);
            }
            let broken = run.broken || state.broken().contains(Property::ExecutedOnce);
            let linearizable = clients.history.is_consistent();
            assert!(linearizable || broken, "{mutation:?}: only the history shows it: {turn:?}");
            found.by_property |= broken;
            found.by_history |= !linearizable;
            let mut hasher = DefaultHasher::new();
            (state.key(), &clients, broken).hash(&mut hasher);
            if linearizable && seen.insert(hasher.finish()) {
                queue.push_back(Run { state, clients, broken });
            }
        }
    }
    found
}

#[test]
fn both_judges_see_that_a_command_is_executed_twice() {
    for (mutation, most_answers) in [
        (Mutation::NoSessions, 2),
        (Mutation::AnswerDroppedEarly, 2),
        (Mutation::EndedSessionExecutes, 1),
    ] {
        let both = Found { by_property: true, by_history: true };
        let scope = format!("{SCOPE}most-answers = {most_answers}\n");
        assert_eq!(explore(&scope, Some(mutation)), both, "{mutation}");
    }
}

#[test]
fn where_nothing_is_broken_no_judge_sees_anything() {
    for most_answers in [1, 2] {
        let scope = format!("{SCOPE}session-ends = true\nmost-answers = {most_answers}\n");
        assert_eq!(explore(&scope, None), Found::default(), "{scope}");
    }
}
