//! How a cluster begins, what can happen next, and what comes of it.

use super::dead_messages::drop_dead_messages;
use super::histories::Histories;
use super::identity::{Keys, keys};
use super::numbers::{StateNumber, place};
use super::tables::Move;
use super::{Action, Cluster, Known, State, promises, reads};
use crate::actor::actor_system;
use crate::properties::{GoalSet, PropertySet, StepVerdict, stateright_properties};
use kontiki_specs::{Input, Property};
use smallvec::SmallVec;
use stateright::Model;

impl Cluster {
    /// The state after a server's move; `next` is the state before with the new counts.
    fn after(
        &self,
        known: &mut Known,
        state: &State,
        mut next: State,
        server: usize,
        made: &Move,
    ) -> State {
        let Known { tables, histories, fates, .. } = known;
        let committed = histories.get(state.history).committed.len() as u64;
        let linearizable = reads::note(&mut next.reads, server, &made.reads, committed);
        next.servers[server] = made.after;
        promises::note(&mut next.promises, server, made.confirms);
        promises::forget_kept(&mut next.promises, |promise| {
            next.servers.iter().any(|server| promise.binds(&tables.states[*server as usize].state))
        });
        let after = &mut tables.states[made.after as usize];
        after.reached = true;
        next.history =
            histories.extend(state.history, &made.commits, &after.state, &tables.renamings);
        for message in &made.sent {
            tables.messages[*message as usize].sent = true;
            if let Err(place) = next.messages.binary_search(message) {
                next.messages.insert(place, *message);
            }
        }
        if self.reductions.dead_messages {
            let crashes = self.bounds.may_crash(next.counts);
            // When no crash is left, terms stay, and any message may be dead.
            let last_crash = crashes != self.bounds.may_crash(state.counts);
            let moved = (!last_crash).then_some(server);
            drop_dead_messages(tables, fates, &self.bounds, &mut next, moved, crashes);
        }
        let mut verdict = made.verdict;
        verdict.broken.insert_if(!linearizable, Property::LinearizableReads);
        self.judge(known, &mut next, verdict);
        next
    }

    /// Gives a state its key, and the verdicts on it and on the step that led to it.
    fn judge(&self, known: &mut Known, state: &mut State, step: StepVerdict) {
        let Known { tables, histories, verdicts, .. } = known;
        let history = histories.get(state.history);
        let sought = self.sought.is_some_and(|goal| step.goals.contains(goal));
        let told_apart = u64::from(sought) << 63 | step.broken.bits();
        let Keys { servers, whole } = keys(tables, history, state, told_apart);
        state.key = whole;
        let verdict = verdicts.judge(tables, (&state.servers, history), servers, self.properties);
        state.broken = verdict.broken;
        state.broken.extend(step.broken);
        state.broken = state.broken.intersection(self.properties);
        state.goals = verdict.goals;
        state.goals.extend(step.goals);
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut known = self.known();
        let tables = &mut known.tables;
        let booted = actor_system(&self.scope, &self.servers).init_states();
        let servers: SmallVec<[StateNumber; 5]> =
            booted[0].actor_states.iter().map(|state| tables.number_state(state)).collect();
        for number in &servers {
            tables.states[*number as usize].reached = true;
        }
        let mut state = State {
            servers,
            messages: SmallVec::new(),
            history: Histories::START,
            reads: Default::default(),
            promises: Default::default(),
            counts: Default::default(),
            broken: PropertySet::EMPTY,
            goals: GoalSet::EMPTY,
            key: 0,
        };
        self.judge(&mut known, &mut state, StepVerdict::default());
        vec![state]
    }

    /// Only actions that make a difference and stay within the bounds are offered.
    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut known = self.known();
        let tables = &mut known.tables;
        let mut messages = state.messages.clone();
        // By content: numbers depend on what was seen first, and a path is told by places in this
        // list, which must mean the same in another run.
        messages.sort_unstable_by_key(|message| (tables.ends(*message), tables.rank(*message)));
        for message in messages {
            let (_, receiver) = tables.ends(message);
            let made = tables.delivery(state.servers[receiver], message);
            if made.has_effect && made.within_bounds {
                actions.push(Action::Deliver(message));
            }
        }
        for (server, number) in (0_u8..).zip(&state.servers) {
            let bound = self.is_bound(tables, state, server);
            for (event, (input, made)) in (0_u8..).zip(tables.events(*number)) {
                let allowed = || {
                    asks_again(state, usize::from(server), input)
                        || self.bounds.allow(state.counts, input)
                            && !(bound && *input == Input::LeaderContactExpired)
                };
                if made.has_effect && made.within_bounds && allowed() {
                    actions.push(Action::Event { server, event });
                }
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut known = self.known();
        let tables = &mut known.tables;
        let mut counted = state.clone();
        let (server, made) = match action {
            Action::Deliver(message) => {
                let receiver = place(tables.messages[message as usize].envelope.to);
                (receiver, tables.delivery(state.servers[receiver], message).clone())
            }
            Action::Event { server, event } => {
                let server = usize::from(server);
                let (input, made) = &tables.events(state.servers[server])[usize::from(event)];
                if !asks_again(state, server, input) {
                    counted.counts = self.bounds.count(state.counts, input);
                }
                (server, made.clone())
            }
        };
        Some(self.after(&mut known, state, counted, server, &made))
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        stateright_properties(&self.scope, self.properties)
    }

    fn format_action(&self, action: &Action) -> String {
        format!("{action:?}")
    }
}

/// Whether a driver asks again for a read that it waits for.
fn asks_again(state: &State, server: usize, input: &Input) -> bool {
    matches!(input, Input::Read { read } if reads::is_open(&state.reads, server, *read))
}
