//! The cluster: every interleaving of what can happen to its servers, within a scope.
//!
//! [`Cluster`] composes the actors ([`crate::actor`]) into a stateright [`Model`]. It adds what
//! stateright's own `ActorModel` lacks: a network that is a plain set of messages, crashes that
//! lose writes, bounds on everything, properties of steps, and the reductions: dead messages
//! (`fate`) and symmetry (`symmetry`). Neither is needed for the answer, only for its speed; each
//! can be switched off.

mod action;
mod fate;
mod symmetry;
mod tables;

pub use action::Action;

use crate::actor::actor_system;
use crate::environment::{Environment, Turn};
use crate::properties::{
    ClusterView, GoalSet, PropertySet, StepVerdict, judge_state, recovers, sets_to_recover,
};
use crate::server::{Mutation, RaftServer, ServerState};
use fate::Fate;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Envelope, Goal, Input, MembershipChange, Property, ServerId};
use smallvec::SmallVec;
use stateright::Model;
use std::collections::{BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use symmetry::Renaming;
use tables::{HistoryNumber, LetterNumber, Move, StateNumber, Tables, place};

/// A state of the cluster. Servers, messages and the history of commits are numbers that the
/// [`Cluster`] it came from can look up.
#[derive(Clone, Debug)]
pub struct State {
    servers: SmallVec<[StateNumber; 5]>,
    /// Messages that can still make a difference, in the order of their numbers.
    letters: SmallVec<[LetterNumber; 14]>,
    history: HistoryNumber,
    restarts: u8,
    /// Commands proposed so far, where their number is bounded.
    commands: u8,
    /// Transfers of leadership begun so far.
    transfers: u8,
    /// Which of the scope's changes of membership have been begun, by a bit for each.
    changes: u8,
    /// Properties broken by the state or by the step that led to it.
    broken: PropertySet,
    goals: GoalSet,
    /// The state's identity: equal for states that differ only in the names of servers.
    key: u128,
}

impl State {
    /// The properties that this state, or the step that led to it, breaks.
    pub fn broken(&self) -> PropertySet {
        self.broken
    }

    /// The goals that this state, or the step that led to it, reaches.
    pub fn goals(&self) -> GoalSet {
        self.goals
    }

    /// The numbers of the servers' states: equal numbers of one cluster mean equal states.
    pub fn server_numbers(&self) -> &[u32] {
        &self.servers
    }

    /// The state's identity, equal for states that differ only in the names of servers.
    pub fn key(&self) -> u128 {
        self.key
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for State {}

/// What stateright takes for a state's identity: the canonical key.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key.hash(hasher);
    }
}

/// The reductions of the state space. Each leaves the set of reachable server states as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reductions {
    /// Drop messages that can make no difference any more.
    pub dead_messages: bool,
    /// Take states that differ only in the names of servers for one.
    pub symmetry: bool,
}

impl Reductions {
    /// All of them.
    pub const ALL: Reductions = Reductions { dead_messages: true, symmetry: true };
    /// None of them.
    pub const NONE: Reductions = Reductions { dead_messages: false, symmetry: false };
}

/// What has been found out about a set of server states and a history.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    broken: PropertySet,
    goals: GoalSet,
}

/// The model of a cluster within a scope. A clone shares what has been found out.
#[derive(Clone)]
pub struct Cluster {
    scope: Scope,
    servers: Vec<RaftServer>,
    reductions: Reductions,
    properties: PropertySet,
    /// A goal that tells states apart: what a step has reached that reaches it is not taken for what
    /// another step has reached.
    sought: Option<Goal>,
    /// The sets of servers that may have to recover by themselves.
    sets_to_recover: Vec<Vec<usize>>,
    tables: Arc<Mutex<Tables>>,
}

impl Cluster {
    /// The cluster that a scope describes, with at most one rule broken.
    pub fn new(scope: &Scope, mutation: Option<Mutation>, reductions: Reductions) -> Self {
        let servers = crate::actor::servers(scope, mutation);
        let renamings = Renaming::all(scope, reductions.symmetry);
        let tables = Tables::new(servers.clone(), Environment::of(scope), renamings);
        Cluster {
            scope: scope.clone(),
            servers,
            reductions,
            properties: scope.properties.iter().copied().collect(),
            sought: None,
            sets_to_recover: sets_to_recover(scope),
            tables: Arc::new(Mutex::new(tables)),
        }
    }

    /// The same cluster, with nothing found out yet.
    pub(crate) fn anew(&self) -> Self {
        let mutation = self.servers.first().and_then(|server| server.mutation);
        Cluster::new(&self.scope, mutation, self.reductions)
    }

    /// The same cluster, looking for these properties only.
    #[must_use]
    pub fn with_properties(mut self, properties: impl IntoIterator<Item = Property>) -> Self {
        self.properties = properties.into_iter().collect();
        self
    }

    /// The same cluster, in which a state whose last step reached this goal is not taken for one
    /// that was reached in another way: so that the shortest way to the goal is found.
    #[must_use]
    pub fn seeking(mut self, goal: Goal) -> Self {
        self.sought = Some(goal);
        self
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The properties that are looked at.
    pub fn checked(&self) -> PropertySet {
        self.properties
    }

    /// The servers, in the order of their ids.
    pub fn servers(&self) -> &[RaftServer] {
        &self.servers
    }

    /// Goals that have been reached in any state or step so far.
    pub fn goals_reached(&self) -> GoalSet {
        self.tables().goals
    }

    /// How many distinct server states, messages and transitions of a server have been seen.
    pub fn local_counts(&self) -> (usize, usize, usize) {
        self.tables().counts()
    }

    /// Every state that some server has come to so far, and every message sent so far, under every
    /// renaming of interchangeable servers.
    pub fn local(&self) -> (HashSet<ServerState>, HashSet<Envelope>) {
        let tables = self.tables();
        let reached = tables.states.iter().filter(|local| local.reached);
        let sent = tables.letters.iter().filter(|letter| letter.sent);
        let renamings = &tables.renamings;
        let states = reached.flat_map(|local| renamings.iter().map(|as_| as_.state(&local.state)));
        let letters =
            sent.flat_map(|letter| renamings.iter().map(|as_| as_.envelope(&letter.envelope)));
        (states.collect(), letters.collect())
    }

    /// A state's servers, in the order of their ids.
    pub fn server_states(&self, state: &State) -> Vec<ServerState> {
        let tables = self.tables();
        state.servers.iter().map(|number| tables.states[*number as usize].state.clone()).collect()
    }

    /// The same server states under every renaming of interchangeable servers, in the order of
    /// the new ids. Only one if symmetry is switched off.
    pub fn renamed(&self, servers: &[ServerState]) -> Vec<Vec<ServerState>> {
        let rename = |renaming: &Renaming| {
            let mut renamed: Vec<_> = servers.iter().map(|state| renaming.state(state)).collect();
            renamed.sort_by_key(|state| state.id);
            renamed
        };
        self.tables().renamings.iter().map(rename).collect()
    }

    /// The messages that can still make a difference in a state.
    pub fn messages(&self, state: &State) -> Vec<Envelope> {
        let tables = self.tables();
        state
            .letters
            .iter()
            .map(|letter| tables.letters[*letter as usize].envelope.clone())
            .collect()
    }

    /// How many pairs there are of a server's state and a message that met in a cluster explored so
    /// far: the message could still make a difference there, and its receiver was in that state.
    pub fn meetings(&self) -> u64 {
        self.tables().looked_at().len() as u64
    }

    /// The first such pair that is `wanted`. Of those that differ only in the names of servers one
    /// is looked at, so what is wanted must not depend on names.
    pub fn find_meeting(
        &self,
        mut wanted: impl FnMut(&ServerState, &Envelope) -> bool,
    ) -> Option<(ServerState, Envelope)> {
        let tables = self.tables();
        tables.looked_at().into_iter().find_map(|(state, letter)| {
            let state = &tables.states[state as usize].state;
            let envelope = &tables.letters[letter as usize].envelope;
            wanted(state, envelope).then(|| (state.clone(), envelope.clone()))
        })
    }

    /// The first pair in one state of the cluster that is `wanted`.
    pub fn find_meeting_in(
        &self,
        state: &State,
        mut wanted: impl FnMut(&ServerState, &Envelope) -> bool,
    ) -> Option<(ServerState, Envelope)> {
        let tables = self.tables();
        state.letters.iter().find_map(|letter| {
            let (_, receiver) = tables.ends(*letter);
            let server = &tables.states[state.servers[receiver] as usize].state;
            let envelope = &tables.letters[*letter as usize].envelope;
            wanted(server, envelope).then(|| (server.clone(), envelope.clone()))
        })
    }

    /// What an action is for the server that it happens to.
    pub fn explain(&self, state: &State, action: Action) -> (ServerId, Input) {
        let mut tables = self.tables();
        match action {
            Action::Deliver(letter) => {
                let Envelope { from, to, message } =
                    tables.letters[letter as usize].envelope.clone();
                (to, Input::Deliver { from, message })
            }
            Action::Event { server, event } => {
                let number = state.servers[usize::from(server)];
                let input = tables.events(number)[usize::from(event)].0.clone();
                (ServerId(u64::from(server) + 1), input)
            }
        }
    }

    /// The steps that an action consists of.
    pub fn turn(&self, state: &State, action: Action) -> (ServerId, Turn) {
        let (server, input) = self.explain(state, action);
        (server, self.tables().turn(state.servers[place(server)], input))
    }

    /// A lock that nobody holds for longer than one call; a panic elsewhere leaves nothing half
    /// done in tables that only grow.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_crash(&self, restarts: u8) -> bool {
        u64::from(restarts) < self.scope.restarts
    }

    /// Whether the cluster's bounds, as opposed to one server's, leave room for an input.
    fn allows(&self, state: &State, input: &Input) -> bool {
        match input {
            Input::Restart { .. } => self.may_crash(state.restarts),
            Input::Propose { commands } => self
                .scope
                .commands
                .is_none_or(|bound| u64::from(state.commands) + commands.len() as u64 <= bound),
            Input::TransferLeadership { .. } => u64::from(state.transfers) < self.scope.transfers,
            Input::ChangeMembership { change, .. } => self.next_of(state, change).is_some(),
            _ => true,
        }
    }

    /// The bit of a change that is in the scope's list and has not been begun yet.
    fn next_of(&self, state: &State, change: &MembershipChange) -> Option<u8> {
        let places = self.scope.changes.iter().enumerate();
        let mut bits = places.filter(|(_, other)| *other == change).map(|(place, _)| 1 << place);
        bits.find(|bit| state.changes & bit == 0)
    }

    /// Counts an input against the cluster's bounds.
    fn count(&self, state: &mut State, input: &Input) {
        match input {
            Input::Restart { .. } => state.restarts += 1,
            Input::Propose { commands } if self.scope.commands.is_some() => {
                state.commands += commands.len() as u8; // The scope bounds them to 15.
            }
            Input::TransferLeadership { .. } => state.transfers += 1,
            Input::ChangeMembership { change, .. } => {
                state.changes |= self.next_of(state, change).unwrap_or(0);
            }
            _ => {}
        }
    }

    /// The state after a server's move; `next` is the state before with the new counts.
    fn after(
        &self,
        tables: &mut Tables,
        state: &State,
        mut next: State,
        server: usize,
        made: &Move,
    ) -> State {
        next.servers[server] = made.after;
        tables.states[made.after as usize].reached = true;
        next.history = tables.extend_history(state.history, made);
        for letter in &made.sent {
            tables.letters[*letter as usize].sent = true;
            if let Err(place) = next.letters.binary_search(letter) {
                next.letters.insert(place, *letter);
            }
        }
        if self.reductions.dead_messages {
            self.drop_dead_messages(tables, state, &mut next, server);
        }
        let (servers_key, key) = self.keys(tables, &next, made.verdict);
        next.key = key;
        let verdict = self.verdict(tables, &next, servers_key);
        next.broken = verdict.broken;
        next.broken.extend(made.verdict.broken);
        next.broken = next.broken.intersection(self.properties);
        next.goals = verdict.goals;
        next.goals.extend(made.verdict.goals);
        next
    }

    /// Drops the messages that the move has made dead: the receiver or, for a request's answers,
    /// the sender is the server that moved; or no crash is left, so that terms stay.
    fn drop_dead_messages(
        &self,
        tables: &mut Tables,
        before: &State,
        next: &mut State,
        server: usize,
    ) {
        let crashes = self.may_crash(next.restarts);
        let recheck_all = crashes != self.may_crash(before.restarts);
        let servers = &next.servers;
        let mut answered: SmallVec<[(LetterNumber, u32); 8]> = SmallVec::new();
        next.letters.retain(|letter| {
            let (from, to) = tables.ends(*letter);
            if !recheck_all && to != server && from != server {
                return true;
            }
            match tables.fate(servers[to], *letter, crashes) {
                Fate::Alive => true,
                Fate::Dead => false,
                Fate::Answered(answers) => {
                    let lives = tables.any_answer_lives(answers, servers[from], crashes);
                    if lives {
                        answered.push((*letter, answers));
                    }
                    lives
                }
            }
        });
        let mut spare: SmallVec<[LetterNumber; 8]> = SmallVec::new();
        for (letter, answers) in &answered {
            let (from, to) = tables.ends(*letter);
            let replaced = answered.iter().any(|(other, others)| {
                tables.ends(*other) == (from, to)
                    && tables.rank(*other) < tables.rank(*letter)
                    && tables.same_live_answers(*answers, *others, servers[from], crashes)
            });
            if replaced {
                spare.push(*letter);
            }
        }
        if !spare.is_empty() {
            next.letters.retain(|letter| !spare.contains(letter));
        }
    }

    /// The canonical key of a state's servers and history, and that of the whole state.
    fn keys(&self, tables: &Tables, state: &State, step: StepVerdict) -> (u128, u128) {
        let history = &tables.histories[state.history as usize].hashes;
        let sums = tables.renamings.iter().enumerate().map(|(place, renaming)| {
            let hashes = |number: &StateNumber| tables.states[*number as usize].hashes[place];
            let servers = state.servers.iter().map(hashes).fold(0, u128::wrapping_add);
            let changes = u128::from(renaming.changes_made(state.changes));
            (symmetry::mix(servers, history[place]), changes)
        });
        let sums: SmallVec<[(u128, u128); 24]> = sums.collect();
        let least = sums.iter().copied().min().unwrap_or_default();
        let ties = sums.iter().enumerate().filter(|(_, sum)| **sum == least);
        let letters = ties.map(|(renaming, _)| {
            let hashes = |number: &LetterNumber| tables.letters[*number as usize].hashes[renaming];
            state.letters.iter().map(hashes).fold(0, u128::wrapping_add)
        });
        let letters = letters.min().unwrap_or_default();
        let (servers_key, changes) = least;
        let counts = [state.restarts, state.commands, state.transfers].map(u128::from);
        let counts = counts.into_iter().fold(changes, |sum, count| sum << 8 | count);
        let sought = self.sought.is_some_and(|goal| step.goals.contains(goal));
        let rest = counts << 64 | u128::from(sought) << 32 | u128::from(step.broken.bits());
        (servers_key, symmetry::mix(symmetry::mix(servers_key, letters), rest))
    }

    fn verdict(&self, tables: &mut Tables, state: &State, servers_key: u128) -> Verdict {
        if let Some(verdict) = tables.verdicts.get(&servers_key) {
            return *verdict;
        }
        let servers: Vec<&ServerState> =
            state.servers.iter().map(|number| &tables.states[*number as usize].state).collect();
        let (mut broken, goals) = judge_state(&ClusterView {
            bootstrap: &self.servers[0].bootstrap,
            servers: &servers,
            committed: &tables.histories[state.history as usize].committed,
        });
        if self.properties.contains(Property::Recovery) {
            broken.insert_if(!self.all_recover(tables, state), Property::Recovery);
        }
        let verdict = Verdict { broken, goals };
        tables.goals.extend(goals);
        tables.verdicts.insert(servers_key, verdict);
        verdict
    }

    fn all_recover(&self, tables: &mut Tables, state: &State) -> bool {
        self.sets_to_recover.iter().all(|up| {
            let numbers: SmallVec<[StateNumber; 4]> =
                up.iter().map(|place| state.servers[*place]).collect();
            if let Some(known) = tables.recoveries.get(&numbers) {
                return *known;
            }
            let servers: Vec<&RaftServer> = up.iter().map(|place| &self.servers[*place]).collect();
            let states: Vec<&ServerState> =
                numbers.iter().map(|number| &tables.states[*number as usize].state).collect();
            let recovered = recovers(&servers, &states);
            tables.recoveries.insert(numbers, recovered);
            recovered
        })
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut tables = self.tables();
        let booted = actor_system(&self.scope, &self.servers).init_states();
        let servers: SmallVec<[StateNumber; 5]> =
            booted[0].actor_states.iter().map(|state| tables.number_state(state)).collect();
        for number in &servers {
            tables.states[*number as usize].reached = true;
        }
        let mut state = State {
            servers,
            letters: SmallVec::new(),
            history: 0,
            restarts: 0,
            commands: 0,
            transfers: 0,
            changes: 0,
            broken: PropertySet::EMPTY,
            goals: GoalSet::EMPTY,
            key: 0,
        };
        let (servers_key, key) = self.keys(&tables, &state, StepVerdict::default());
        state.key = key;
        let verdict = self.verdict(&mut tables, &state, servers_key);
        state.broken = verdict.broken.intersection(self.properties);
        state.goals = verdict.goals;
        vec![state]
    }

    /// Only actions that make a difference and stay within the bounds are offered.
    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut tables = self.tables();
        let mut letters = state.letters.clone();
        // By content: numbers depend on what was seen first, and a path is told by places in this
        // list, which must mean the same in another run.
        letters.sort_unstable_by_key(|letter| (tables.ends(*letter), tables.rank(*letter)));
        for letter in letters {
            let (_, receiver) = tables.ends(letter);
            let made = tables.delivery(state.servers[receiver], letter);
            if made.has_effect && made.within_bounds {
                actions.push(Action::Deliver(letter));
            }
        }
        for (server, number) in (0_u8..).zip(&state.servers) {
            for (event, (input, made)) in (0_u8..).zip(tables.events(*number)) {
                if made.has_effect && made.within_bounds && self.allows(state, input) {
                    actions.push(Action::Event { server, event });
                }
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut tables = self.tables();
        let mut counted = state.clone();
        let (server, made) = match action {
            Action::Deliver(letter) => {
                let receiver = place(tables.letters[letter as usize].envelope.to);
                (receiver, tables.delivery(state.servers[receiver], letter).clone())
            }
            Action::Event { server, event } => {
                let server = usize::from(server);
                let (input, made) = &tables.events(state.servers[server])[usize::from(event)];
                self.count(&mut counted, input);
                (server, made.clone())
            }
        };
        Some(self.after(&mut tables, state, counted, server, &made))
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        crate::explore::stateright_properties(&self.scope, self.properties)
    }

    fn format_action(&self, action: &Action) -> String {
        format!("{action:?}")
    }
}

/// What a scope's goals leave to be reached.
pub fn missing_goals(scope: &Scope, reached: GoalSet) -> BTreeSet<Goal> {
    scope.sometimes.iter().copied().filter(|goal| !reached.contains(*goal)).collect()
}
