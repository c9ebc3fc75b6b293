//! That reads are linearizable is judged by one number for each read: how much was committed anywhere
//! when it began (`cluster::reads`). Here stateright's own judge looks at the same runs: it knows
//! nothing of logs, only which writes and reads of a register began and ended, and in which order.

#![allow(
    clippy::unwrap_used,
    reason = "what a test unwraps, or cannot go on without, fails the test"
)]

use kontiki_model::cluster::{Action, Cluster, Reductions, State};
use kontiki_model::server::{Mutation, ServerState};
use kontiki_specs::scope::Scope;
use kontiki_specs::{Input, LogIndex, LogPosition, Output, Payload, Property, ReadId, ServerId};
use stateright::Model;
use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A write is named by the place of its entry in the log; nothing was written at first.
type Value = Option<LogPosition>;

/// What clients have seen of a run. Each operation has a thread of its own.
#[derive(Clone, Hash)]
struct Clients {
    history: LinearizabilityTester<u8, Register<Value>>,
    threads: u8,
    /// Writes that are not acknowledged, with the leader that has taken them.
    writes: Vec<(u8, ServerId, LogPosition)>,
    /// Reads that are not answered.
    reads: Vec<(u8, ServerId, ReadId)>,
    /// Reads that are answered, and wait until the read index is applied.
    ready: Vec<(u8, ServerId, LogIndex)>,
}

impl Clients {
    fn new() -> Self {
        Clients {
            history: LinearizabilityTester::new(Register(None)),
            threads: 0,
            writes: Vec::new(),
            reads: Vec::new(),
            ready: Vec::new(),
        }
    }

    fn begin(&mut self, operation: RegisterOp<Value>) -> u8 {
        self.threads += 1;
        self.history.on_invoke(self.threads, operation).unwrap();
        self.threads
    }

    fn note(
        &mut self,
        mutation: Option<Mutation>,
        server: ServerId,
        input: &Input,
        outputs: &[Output],
    ) {
        match input {
            Input::Read { read } => {
                let asked_again = *read != ReadId(0)
                    && self.reads.iter().any(|(_, at, other)| (*at, *other) == (server, *read));
                if !asked_again {
                    let thread = self.begin(RegisterOp::Read);
                    self.reads.push((thread, server, *read));
                }
            }
            Input::Restart { .. } => {
                self.writes.retain(|(_, at, _)| *at != server);
                self.reads.retain(|(_, at, _)| *at != server);
                self.ready.retain(|(_, at, _)| *at != server);
            }
            _ => {}
        }
        for output in outputs {
            match output {
                Output::Proposed { first, .. } if matches!(input, Input::Propose { .. }) => {
                    let thread = self.begin(RegisterOp::Write(Some(*first)));
                    self.writes.push((thread, server, *first));
                }
                Output::ReadReady { read, index } => {
                    if let Some(thread) = self.answered(server, *read) {
                        let waits = mutation != Some(Mutation::ReadBeforeApply);
                        let index = if waits { *index } else { LogIndex::ZERO };
                        self.ready.push((thread, server, index));
                    }
                }
                Output::ReadRefused { read, .. } => {
                    self.answered(server, *read);
                }
                _ => {}
            }
        }
    }

    fn answered(&mut self, server: ServerId, read: ReadId) -> Option<u8> {
        let place = self.reads.iter().position(|(_, at, other)| (*at, *other) == (server, read))?;
        Some(self.reads.remove(place).0)
    }

    /// What is committed is acknowledged, and what is applied is read.
    fn look(&mut self, server: &ServerState) {
        let acknowledged = |(_, at, position): &(u8, ServerId, LogPosition)| {
            *at == server.id
                && position.index <= server.commit_index
                && server.log.position_at(position.index) == *position
        };
        let (done, left): (Vec<_>, Vec<_>) = self.writes.drain(..).partition(acknowledged);
        self.writes = left;
        for (thread, ..) in done {
            self.history.on_return(thread, RegisterRet::WriteOk).unwrap();
        }
        let applied = |(_, at, index): &(u8, ServerId, LogIndex)| {
            *at == server.id && *index <= server.applied_index
        };
        let (done, left): (Vec<_>, Vec<_>) = self.ready.drain(..).partition(applied);
        self.ready = left;
        for (thread, ..) in done {
            let executed = server.log.up_to(server.applied_index).iter().rev();
            let mut writes = executed.filter(|one| matches!(one.payload, Payload::Command(_)));
            let value = writes.next().map(|entry| entry.position());
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

impl Run {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.state.key(), &self.clients, self.broken).hash(&mut hasher);
        hasher.finish()
    }
}

/// Which of the two judges find a read that is not linearizable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    by_property: bool,
    by_history: bool,
}

fn explore(scope: &str, mutation: Option<Mutation>) -> Found {
    let scope = Scope::parse("reads", "test", scope).unwrap();
    // Histories name no servers, but what waits at a server does.
    let reductions = Reductions { symmetry: false, ..Reductions::ALL };
    let cluster = Cluster::new(&scope, mutation, reductions);
    let (mut seen, mut queue, mut found) = (HashSet::new(), VecDeque::new(), Found::default());
    for state in cluster.init_states() {
        queue.push_back(Run { state, clients: Clients::new(), broken: false });
    }
    let mut actions: Vec<Action> = Vec::new();
    while let Some(run) = queue.pop_front() {
        cluster.actions(&run.state, &mut actions);
        for action in actions.drain(..) {
            let (server, turn) = cluster.turn(&run.state, action);
            let Some(state) = cluster.next_state(&run.state, action) else { continue };
            let mut clients = run.clients.clone();
            for (input, outputs, after) in &turn.steps {
                clients.note(mutation, server, input, outputs);
                clients.look(after);
            }
            let broken = run.broken || state.broken().contains(Property::LinearizableReads);
            let linearizable = clients.history.is_consistent();
            assert!(linearizable || broken, "{mutation:?}: only the history shows it: {turn:?}");
            found.by_property |= broken;
            found.by_history |= !linearizable;
            if found.by_property && found.by_history {
                return found;
            }
            let next = Run { state, clients, broken };
            if linearizable && seen.insert(next.hash()) {
                queue.push_back(next);
            }
        }
    }
    found
}

const LEADERS: &str = "servers = 3\nterms = 2\nlog = 3\ncommands = 1\nheartbeats = false\nreads = ";
const FOLLOWERS: &str =
    "servers = 2\nterms = 1\nlog = 2\ncommands = 1\nheartbeats = false\nfollower-reads = ";
const JOINT: &str = "servers = 3\nterms = 2\nlog = 3\ncommands = 1\nheartbeats = false\n\
    changes = [\"replace 1\"]\nreads = ";
const LEASE_CHANGE: &str = "servers = 2\nvoters = 1\nterms = 2\nlog = 5\ncommands = 1\n\
    heartbeats = false\nchanges = [\"replace 2\"]\nleader-contact = true\nleases = true\nreads = ";

fn both_see(mutation: Mutation, scope: &str, reads: u64) {
    let both = Found { by_property: true, by_history: true };
    assert_eq!(explore(&format!("{scope}{reads}"), Some(mutation)), both, "{mutation}");
}

#[test]
fn both_judges_see_the_same_mistakes() {
    both_see(Mutation::ReadWithoutRound, LEADERS, 1);
    both_see(Mutation::ReadBeforeOwnTermCommit, LEADERS, 1);
    both_see(Mutation::ReadSurvivesLeadership, LEADERS, 1);
    both_see(Mutation::ReadBeforeApply, FOLLOWERS, 1);
    both_see(Mutation::FollowerReadsAtOnce, FOLLOWERS, 1);
    both_see(Mutation::ReadNumberUsedAgain, FOLLOWERS, 2);
    both_see(Mutation::LeaseSurvivesChange, LEASE_CHANGE, 2);
}

#[test]
#[ignore = "takes minutes"]
fn both_judges_see_the_same_mistakes_in_larger_scopes() {
    both_see(Mutation::ReadRoundByCallersKey, LEADERS, 2);
    both_see(Mutation::ReadConfirmedByOneHalf, JOINT, 1);
}

#[test]
fn where_nothing_is_broken_no_judge_sees_anything() {
    let two = "servers = 2\nterms = 2\nlog = 3\ncommands = 1\nheartbeats = false\n";
    for scope in [
        format!("{FOLLOWERS}2"),
        format!("{LEASE_CHANGE}2"),
        format!("{two}reads = 1\nfollower-reads = 1"),
        "servers = 3\nterms = 1\nlog = 2\ncommands = 1\nheartbeats = false\nreads = 2".to_string(),
    ] {
        assert_eq!(explore(&scope, None), Found::default(), "{scope}");
    }
}
