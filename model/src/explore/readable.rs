//! A cluster for the eye: the same model, with states that print as tables, actions that print as
//! sentences, and sequence diagrams. The Explorer serves this one.

use super::table::table;
use super::{Judged, stateright_properties};
use crate::actor::{Shown, actor_id, actor_system};
use crate::cluster::{Action, Cluster, State};
use crate::path::Path;
use crate::properties::{GoalSet, PropertySet};
use kontiki_specs::{Input, Property, ServerId};
use stateright::Model;
use stateright::actor::ActorModelAction;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A [`Cluster`] that explains itself.
pub struct ReadableCluster(pub Cluster);

/// A state and its table.
#[derive(Clone)]
pub struct ReadableState {
    state: State,
    table: String,
}

impl PartialEq for ReadableState {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
}

impl Hash for ReadableState {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.state.hash(hasher);
    }
}

impl fmt::Debug for ReadableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table)
    }
}

/// An action in words.
#[derive(Clone)]
pub struct ReadableAction {
    action: Action,
    server: ServerId,
    input: Input,
}

impl PartialEq for ReadableAction {
    fn eq(&self, other: &Self) -> bool {
        (self.server, &self.input) == (other.server, &other.input)
    }
}

impl fmt::Debug for ReadableAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.input)
    }
}

impl Judged for ReadableState {
    fn broken(&self) -> PropertySet {
        self.state.broken()
    }

    fn goals(&self) -> GoalSet {
        self.state.goals()
    }
}

impl ReadableCluster {
    fn readable(&self, state: State) -> ReadableState {
        let broken: Vec<Property> = state.broken().iter().collect();
        let servers = self.0.server_states(&state);
        let table = table(&servers, &self.0.messages(&state), &broken);
        ReadableState { state, table }
    }
}

impl Model for ReadableCluster {
    type State = ReadableState;
    type Action = ReadableAction;

    fn init_states(&self) -> Vec<ReadableState> {
        self.0.init_states().into_iter().map(|state| self.readable(state)).collect()
    }

    fn actions(&self, state: &ReadableState, actions: &mut Vec<ReadableAction>) {
        let mut plain = Vec::new();
        self.0.actions(&state.state, &mut plain);
        actions.extend(plain.into_iter().map(|action| {
            let (server, input) = self.0.explain(&state.state, action);
            ReadableAction { action, server, input }
        }));
    }

    fn next_state(&self, state: &ReadableState, action: ReadableAction) -> Option<ReadableState> {
        Some(self.readable(self.0.next_state(&state.state, action.action)?))
    }

    fn format_step(&self, state: &ReadableState, action: ReadableAction) -> Option<String> {
        let next = self.0.next_state(&state.state, action.action)?;
        let moment = Path::moment(&self.0, &state.state, action.action)?;
        let change = moment.headline() + "\n  " + &moment.changes().join("\n  ") + "\n";
        Some(format!("{change}\n{}", self.readable(next).table))
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        stateright_properties(self.0.scope(), self.0.checked())
    }

    /// stateright's own sequence diagram, drawn by the `ActorModel` that the cluster is made of.
    fn as_svg(&self, path: stateright::Path<ReadableState, ReadableAction>) -> Option<String> {
        let actors = actor_system(self.0.scope(), self.0.servers());
        let mut actions = Vec::new();
        for (state, action) in path.into_vec() {
            let Some(action) = action else { break };
            let (server, turn) = self.0.turn(&state.state, action.action);
            let first = turn.steps.into_iter().next().map(|(input, ..)| input)?;
            actions.push(match first {
                Input::Deliver { from, message } => ActorModelAction::Deliver {
                    src: actor_id(from),
                    dst: actor_id(server),
                    msg: Shown(message),
                },
                event => ActorModelAction::Timeout(actor_id(server), Shown(event)),
            });
        }
        let start = actors.init_states().pop()?;
        let drawn = stateright::Path::from_actions(&actors, start, &actions)?;
        actors.as_svg(drawn)
    }
}
