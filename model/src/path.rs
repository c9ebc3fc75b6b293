//! A path through the model, from the start to a state, made readable: as a story for people and
//! as a trace for programs.

mod moment;
mod story;
mod stuck;
pub(crate) mod words;

pub use moment::Moment;
pub use story::Story;
pub use words::describe;

use crate::cluster::{Action, Cluster, State};
use crate::server::{Mutation, ServerState};
use kontiki_specs::Property;
use kontiki_specs::trace::{Trace, TraceHeader, TraceStep};
use stateright::Model;

/// A path: the actions, and every step of every server on the way.
pub struct Path<'a> {
    cluster: &'a Cluster,
    /// One for each action.
    moments: Vec<Moment>,
    /// The servers at the end.
    last: Vec<ServerState>,
    /// The properties that the end breaks.
    broken: Vec<Property>,
}

impl<'a> Path<'a> {
    /// Follows actions from the start. Ends early at an action that is not possible.
    pub fn follow(cluster: &'a Cluster, actions: &[Action]) -> Option<Path<'a>> {
        let mut state: State = cluster.init_states().into_iter().next()?;
        let mut moments = Vec::new();
        for action in actions {
            moments.push(Path::moment(cluster, &state, *action)?);
            state = cluster.next_state(&state, *action)?;
        }
        let broken = state.broken().iter().collect();
        Some(Path { cluster, moments, last: cluster.server_states(&state), broken })
    }

    /// What one action makes of its server.
    pub fn moment(cluster: &Cluster, state: &State, action: Action) -> Option<Moment> {
        let (server, turn) = cluster.turn(state, action);
        let before = cluster.server_states(state).into_iter().find(|state| state.id == server)?;
        Some(Moment { server, from: None, before, steps: turn.steps })
    }

    /// The number of actions.
    pub fn len(&self) -> usize {
        self.moments.len()
    }

    /// Whether the path ends where it starts.
    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }

    /// The path as a trace: one line for each step of a server.
    pub fn trace(&self, mutation: Option<Mutation>, about: &str) -> Trace {
        let steps = self.moments.iter().flat_map(|moment| {
            moment.steps.iter().map(|(input, outputs, after)| TraceStep {
                server: moment.server,
                from: None,
                input: input.clone(),
                outputs: outputs.clone(),
                observation: after.observe(),
            })
        });
        Trace {
            header: TraceHeader {
                scope: self.cluster.scope().clone(),
                mutation: mutation.map(|mutation| mutation.name().to_string()),
                violates: self.broken.first().copied(),
                about: about.to_string(),
            },
            steps: steps.collect(),
        }
    }

    /// The path as a story: numbered steps, what changed at each, and the end.
    pub fn story(&self) -> String {
        let story = Story {
            scope: self.cluster.scope(),
            servers: self.cluster.servers(),
            moments: &self.moments,
            last: &self.last,
            broken: &self.broken,
        };
        story.to_string()
    }
}
