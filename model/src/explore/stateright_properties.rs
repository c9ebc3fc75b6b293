//! Properties and goals in stateright's form.

use crate::cluster::{Cluster, State};
use crate::properties::PropertySet;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Goal, Property};
use stateright::Expectation;

/// stateright wants plain functions, one for each property; the verdict is in the state.
fn unbroken<const PLACE: usize>(_: &Cluster, state: &State) -> bool {
    !state.broken().contains(Property::ALL[PLACE])
}

fn reached<const PLACE: usize>(_: &Cluster, state: &State) -> bool {
    state.goals().contains(Goal::ALL[PLACE])
}

macro_rules! functions {
    ($function:ident: $($place:literal)*) => { [$($function::<$place>,)*] };
}

const UNBROKEN: [fn(&Cluster, &State) -> bool; 17] =
    functions!(unbroken: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
const REACHED: [fn(&Cluster, &State) -> bool; 17] =
    functions!(reached: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);

const _: () = assert!(UNBROKEN.len() == Property::ALL.len() && REACHED.len() == Goal::ALL.len());

/// The properties of a scope, as "always", and its goals, as "sometimes".
///
/// stateright does not go on from a state once every property has its discovery. As long as one
/// property holds it does, and a broken one ends the run.
pub fn stateright_properties(
    scope: &Scope,
    properties: PropertySet,
) -> Vec<stateright::Property<Cluster>> {
    let always = Property::ALL.iter().zip(UNBROKEN).filter(|(p, _)| properties.contains(**p));
    let always = always.map(|(property, condition)| stateright::Property {
        expectation: Expectation::Always,
        name: property.name(),
        condition,
    });
    let sometimes = Goal::ALL.iter().zip(REACHED).filter(|(goal, _)| scope.sometimes.contains(goal));
    let sometimes = sometimes.map(|(goal, condition)| stateright::Property {
        expectation: Expectation::Sometimes,
        name: goal.name(),
        condition,
    });
    always.chain(sometimes).collect()
}
