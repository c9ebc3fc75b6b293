//! A cluster for the eye: the same model, with states that print as what the Explorer's page lays
//! out in tables, actions that print as sentences, and sequence diagrams.

use super::diagram::diagram;
use super::view::View;
use crate::cluster::{Action, Cluster, State};
use crate::path::Path;
use crate::properties::{GoalSet, Judged, PropertySet, stateright_properties};
use kontiki_specs::{Input, ServerId};
use stateright::Model;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A [`Cluster`] that explains itself.
pub struct ReadableCluster(Arc<Cluster>);

/// A state that prints as JSON.
#[derive(Clone)]
pub struct ReadableState {
    state: State,
    cluster: Arc<Cluster>,
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
        let view = View::of(&self.cluster, &self.state);
        f.write_str(&serde_json::to_string(&view).map_err(|_| fmt::Error)?)
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
        write!(f, "{} {}", self.server, self.input)
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
    /// Makes a cluster readable.
    pub fn new(cluster: Cluster) -> Self {
        ReadableCluster(Arc::new(cluster))
    }

    fn readable(&self, state: State) -> ReadableState {
        ReadableState { state, cluster: Arc::clone(&self.0) }
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

    /// What the step changes, a line for each thing.
    fn format_step(&self, state: &ReadableState, action: ReadableAction) -> Option<String> {
        Some(Path::moment(&self.0, &state.state, action.action)?.changes().join("\n"))
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        stateright_properties(self.0.scope(), self.0.checked())
    }

    fn as_svg(&self, path: stateright::Path<ReadableState, ReadableAction>) -> Option<String> {
        let steps = path.into_vec().into_iter();
        let steps = steps.filter_map(|(state, action)| Some((state, action?)));
        let moments: Option<Vec<_>> =
            steps.map(|(state, step)| Path::moment(&self.0, &state.state, step.action)).collect();
        let servers: Vec<ServerId> = self.0.servers().iter().map(|server| server.id).collect();
        Some(diagram(&servers, &moments?))
    }
}
