//! A scope's atlas: everything that any server can be asked to do inside the scope.
//!
//! The checker explores clusters, and drops messages that can make no difference any more. A real
//! network delivers those too, late, repeated, of older terms. So the atlas pairs every state that
//! a server comes to with every message that is ever sent to it, whether or not they meet.

use crate::nonsense::must_be_rejected;
use bytes::Bytes;
use kontiki_model::actor::servers;
use kontiki_model::cluster::Cluster;
use kontiki_model::environment::{Environment, Turn, another_configuration, snapshot_completion};
use kontiki_model::server::{RaftServer, ServerState};
use kontiki_specs::scope::Scope;
use kontiki_specs::{Envelope, Input, LogIndex, MembershipChange, ReadId, ServerId};
use rustc_hash::{FxHashMap, FxHashSet};

/// The states of a scope's servers and what can happen to them.
pub struct Atlas {
    scope: Scope,
    servers: Vec<RaftServer>,
    environment: Environment,
    states: FxHashSet<ServerState>,
    /// For each receiver, the messages that are sent to it, in a fixed order.
    deliveries: FxHashMap<ServerId, Vec<Input>>,
}

/// How many transitions an atlas has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transitions {
    /// All of them.
    pub all: u64,
    /// Of these, those whose input cannot come about where everybody keeps the rules, and which the
    /// implementation has to turn away.
    pub turned_away: u64,
}

impl Atlas {
    /// The atlas of a cluster that has been explored to its end.
    pub fn of(cluster: &Cluster) -> Atlas {
        let scope = cluster.scope().clone();
        let (states, sent) = cluster.local();
        let mut atlas = Atlas {
            servers: servers(&scope, None),
            environment: Environment::of(&scope),
            scope,
            states: states.into_iter().collect(),
            deliveries: FxHashMap::default(),
        };
        let mut messages: FxHashSet<Envelope> = sent.into_iter().collect();
        // What is dropped from the exploration is answered all the same, and so on.
        let mut new: Vec<Envelope> = messages.iter().cloned().collect();
        while !new.is_empty() {
            let answers: FxHashSet<Envelope> =
                new.iter().flat_map(|one| atlas.answers(one)).collect();
            new = answers.into_iter().filter(|answer| messages.insert(answer.clone())).collect();
        }
        let mut messages: Vec<Envelope> = messages.into_iter().collect();
        messages.sort_by_cached_key(|envelope| format!("{envelope:?}"));
        for Envelope { from, to, message } in messages {
            atlas.deliveries.entry(to).or_default().push(Input::Deliver { from, message });
        }
        atlas
    }

    /// What a message is answered with by states that it does not change.
    fn answers(&self, envelope: &Envelope) -> Vec<Envelope> {
        let Some(server) = self.server(envelope.to) else { return Vec::new() };
        let input = Input::Deliver { from: envelope.from, message: envelope.message.clone() };
        let mut answers = Vec::new();
        for state in self.states.iter().filter(|state| state.id == envelope.to) {
            let (after, outputs) = server.step(state, &input);
            if after != *state || must_be_rejected(state, &input) {
                continue;
            }
            let messages =
                outputs.iter().filter_map(|output| self.environment.message(state, output));
            let from = envelope.to;
            answers.extend(messages.map(|(to, message)| Envelope { from, to, message }));
        }
        answers
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The model's servers, in the order of their ids.
    pub fn servers(&self) -> &[RaftServer] {
        &self.servers
    }

    /// The model's server of that id.
    pub fn server(&self, id: ServerId) -> Option<&RaftServer> {
        self.servers.iter().find(|server| server.id == id)
    }

    /// How many states of servers there are.
    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// Whether some server comes to this state.
    pub fn contains(&self, state: &ServerState) -> bool {
        self.states.contains(state)
    }

    /// How many transitions there are: states with what can happen to them.
    pub fn transitions(&self) -> Transitions {
        let mut transitions = Transitions::default();
        for state in &self.states {
            for input in self.inputs(state) {
                transitions.all += 1;
                transitions.turned_away += u64::from(must_be_rejected(state, &input));
            }
        }
        transitions
    }

    /// All that can happen to a server in this state: what the scope lets happen, every message,
    /// and timers, proposals and completions that mean nothing at the moment.
    pub fn inputs<'a>(&'a self, state: &ServerState) -> impl Iterator<Item = Input> + 'a {
        let mut inputs = Vec::new();
        if let Some(server) = self.server(state.id) {
            inputs = self.environment.events(server, state);
        }
        for input in out_of_place(state, &self.scope) {
            if !inputs.contains(&input) {
                inputs.push(input);
            }
        }
        let deliveries = self.deliveries.get(&state.id).into_iter().flatten().cloned();
        inputs.into_iter().chain(deliveries)
    }

    /// What the model makes of an input: with a synchronous disk, its completions too.
    pub fn turn(&self, state: &ServerState, input: &Input) -> Option<Turn> {
        let server = self.server(state.id)?;
        Some(self.environment.happen(server, state, input.clone()))
    }
}

/// What a driver may come with at any time, sensible or not.
fn out_of_place(state: &ServerState, scope: &Scope) -> Vec<Input> {
    let incarnation = state.incarnation;
    let mut inputs = vec![
        Input::ElectionTimeout,
        Input::HeartbeatTimeout,
        Input::LeaderContactExpired,
        Input::QuorumContactExpired,
        Input::Propose { commands: Vec::new() },
        Input::Propose { commands: vec![Bytes::from_static(b"one")] },
        Input::Propose { commands: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")] },
        Input::TransferExpired,
        Input::Restart { torn: None },
        Input::Restart { torn: Some(0) },
        Input::DiskStalled,
        Input::HardStateWritten { incarnation, term: state.term, vote: state.vote },
        Input::EntriesWritten {
            incarnation,
            leader_term: state.term,
            index: state.log.last_index(),
        },
    ];
    // A completion that comes before that of an older write, and one of an earlier incarnation, of
    // a write that is lost.
    for incarnation in [incarnation, incarnation.wrapping_sub(1)] {
        inputs.extend(state.writes.iter().map(|write| write.completion(incarnation)));
    }
    if scope.snapshots > 0 {
        inputs.extend([
            Input::TakeSnapshot { index: LogIndex::ZERO },
            Input::TakeSnapshot { index: state.applied_index },
            Input::TakeSnapshot { index: state.log.last_index() },
            Input::TakeSnapshot { index: state.log.last_index().next() },
            Input::SnapshotTaken { incarnation, last: state.covered(), size: 1 },
            Input::SnapshotTaken { incarnation, last: state.log.last(), size: 1 },
        ]);
    }
    if scope.snapshot_failures {
        let last = state.taking.as_ref().map(|taking| taking.about.id.last).unwrap_or_default();
        let earlier = incarnation.wrapping_sub(1);
        inputs.extend([
            Input::SnapshotFailed { incarnation: earlier, last },
            Input::SnapshotFailed { incarnation, last: state.covered() },
            Input::SnapshotFailed { incarnation, last: state.log.last() },
        ]);
    }
    if scope.apply_bytes.is_some() {
        let indexes = [state.applied_index.previous(), state.applied_index, state.commit_index];
        inputs.extend(indexes.map(|index| Input::Executed { index }));
        inputs.push(Input::Executed { index: state.log.last_index().next() });
    }
    // A snapshot that was being taken before a crash is complete now.
    if let Some(Input::SnapshotTaken { last, size, .. }) = snapshot_completion(state) {
        let incarnation = incarnation.wrapping_sub(1);
        inputs.push(Input::SnapshotTaken { incarnation, last, size });
    }
    if scope.reads > 0 || scope.follower_reads > 0 {
        inputs.extend([ReadId(0), ReadId(1)].map(|read| Input::Read { read }));
    }
    if scope.leases {
        inputs.extend([0, 1, 2, u64::MAX].map(|round| Input::LeaseExpired { round }));
    }
    let expecting = |change: &MembershipChange, expected| Input::ChangeMembership {
        change: change.clone(),
        expected,
    };
    for change in changes(scope) {
        inputs.push(expecting(&change, None));
    }
    for change in &scope.changes {
        inputs.push(expecting(change, Some(state.configuration_position())));
        inputs.push(expecting(change, Some(another_configuration(state))));
    }
    let everybody = 1..=scope.servers + 1;
    inputs.extend(everybody.map(|to| Input::TransferLeadership { to: ServerId(to) }));
    inputs
}

/// Changes of membership that may be asked for at any time, sensible or not. What they lead to may
/// lie outside the scope; then it is compared, and not gone on from.
fn changes(scope: &Scope) -> Vec<MembershipChange> {
    use MembershipChange::{AddLearner, AddVoter, Demote, Remove, Replace};
    let stranger = ServerId(scope.servers + 1);
    let all: Vec<ServerId> = (1..=scope.servers).map(ServerId).collect();
    let mut changes = vec![AddLearner(stranger), AddVoter(stranger)];
    for server in all.iter().copied().chain([stranger]) {
        changes.extend([Demote(server), Remove(server)]);
    }
    let replace = |voters: &[ServerId], learners: &[ServerId]| Replace {
        voters: voters.to_vec(),
        learners: learners.to_vec(),
    };
    let (first, last) = (ServerId(1), ServerId(scope.servers));
    changes.extend([
        AddLearner(first),
        AddVoter(first),
        AddLearner(last),
        AddVoter(last),
        replace(&[], &[]),
        replace(&[], &[stranger]),
        replace(&all, &[]),
        replace(&all[..1], &all[1..]),
        replace(&[first, first], &[]),
        replace(&all, &[stranger, stranger]),
        replace(&all, &[last]),
        replace(&[stranger], &all),
    ]);
    changes
}
