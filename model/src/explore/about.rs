//! What is explored: the scope, the rule that is broken, and the shortest way to what that breaks.

use super::bounds::bounds;
use crate::cluster::{Action, Cluster, State};
use crate::walker::walk;
use kontiki_specs::{MutationRow, Property};
use serde::Serialize;
use stateright::Model;
use std::fmt::Write;

/// More states than a counterexample is looked for in before the Explorer is served without one.
const MOST_STATES: u64 = 5_000_000;

/// What the Explorer's page says of what it shows.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    scope: String,
    bounds: Vec<String>,
    mutation: Option<Broken>,
    /// The properties that are looked at: name and meaning.
    properties: Vec<(&'static str, &'static str)>,
    counterexample: Option<Counterexample>,
}

/// The rule that is broken.
#[derive(Clone, Debug, Serialize)]
struct Broken {
    name: String,
    rule: String,
    does: String,
}

/// The shortest way to a broken property.
#[derive(Clone, Debug, Serialize)]
struct Counterexample {
    /// As the Explorer names paths: the place of each action among those possible, after the place
    /// of the first state.
    path: String,
    steps: usize,
    /// What its end breaks.
    breaks: Vec<&'static str>,
}

impl About {
    /// Describes a cluster. If a rule is broken, its shortest counterexample is looked for: to the
    /// property that is meant to break, if the scope has it, otherwise to any.
    pub fn of(cluster: &Cluster, mutation: Option<MutationRow>) -> About {
        let scope = cluster.scope();
        let meant = mutation.as_ref().map(|row| row.property);
        let meant = meant.filter(|meant| cluster.checked().contains(*meant));
        let counterexample =
            mutation.as_ref().and_then(|_| shortest_counterexample(cluster, meant));
        let describe = |property: Property| (property.name(), property.description());
        About {
            scope: scope.name.clone(),
            bounds: bounds(scope),
            mutation: mutation.map(|MutationRow { name, rule, does, .. }| Broken {
                name,
                rule,
                does,
            }),
            properties: cluster.checked().iter().map(describe).collect(),
            counterexample,
        }
    }

    /// The path of the shortest counterexample, as it stands in the page's address.
    pub fn counterexample(&self) -> Option<&str> {
        self.counterexample.as_ref().map(|found| found.path.as_str())
    }
}

/// Looked for in a cluster of its own, which judges nothing but the property that is meant: so it is
/// found sooner. Places of actions, unlike their numbers, mean the same in both.
fn shortest_counterexample(cluster: &Cluster, meant: Option<Property>) -> Option<Counterexample> {
    let searched = cluster.anew();
    let searched = match meant {
        Some(property) => searched.with_properties([property]),
        None => searched,
    };
    let stop = |state: &State| !state.broken().is_empty();
    let actions = walk(&searched, MOST_STATES, stop, |_, _, _| {}).stopped_at?;
    let mut state = searched.init_states().pop()?;
    let mut end = cluster.init_states().pop()?;
    let mut path = String::from("/0");
    for action in &actions {
        let place = possible(&searched, &state).iter().position(|other| other == action)?;
        let _ = write!(path, "/{place}");
        state = searched.next_state(&state, *action)?;
        end = cluster.next_state(&end, *possible(cluster, &end).get(place)?)?;
    }
    let breaks = end.broken().iter().map(Property::name).collect();
    Some(Counterexample { path, steps: actions.len(), breaks })
}

fn possible(cluster: &Cluster, state: &State) -> Vec<Action> {
    let mut actions = Vec::new();
    cluster.actions(state, &mut actions);
    actions
}
