//! Properties and goals in stateright's form.

use super::{GoalSet, PropertySet};
use kontiki_specs::scope::Scope;
use kontiki_specs::{Goal, Property};
use stateright::{Expectation, Model};

/// A state that carries the verdict on itself.
pub trait Judged {
    /// What the state, or the step that led to it, breaks.
    fn broken(&self) -> PropertySet;
    /// What it reaches.
    fn goals(&self) -> GoalSet;
}

/// stateright wants plain functions, one for each property; the verdict is in the state.
fn unbroken<M: Model<State: Judged>, const PLACE: usize>(_: &M, state: &M::State) -> bool {
    !state.broken().contains(Property::ALL[PLACE])
}

fn reached<M: Model<State: Judged>, const PLACE: usize>(_: &M, state: &M::State) -> bool {
    state.goals().contains(Goal::ALL[PLACE])
}

macro_rules! functions {
    ($function:ident: $($place:literal)*) => { [$($function::<M, $place>,)*] };
}

const PROPERTIES: usize = Property::ALL.len();
const GOALS: usize = Goal::ALL.len();

/// The properties of a scope, as "always", and its goals, as "sometimes".
///
/// stateright does not go on from a state once every property has its discovery. As long as one
/// property holds it does, and a broken one ends the run.
pub fn stateright_properties<M: Model<State: Judged>>(
    scope: &Scope,
    properties: PropertySet,
) -> Vec<stateright::Property<M>> {
    type Condition<M> = fn(&M, &<M as Model>::State) -> bool;
    let unbroken: [Condition<M>; PROPERTIES] = functions!(
        unbroken: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29
        30 31 32 33 34 35 36
    );
    let reached: [Condition<M>; GOALS] = functions!(
        reached: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29
        30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59
        60 61 62 63 64 65 66 67 68
    );
    let always = Property::ALL.iter().zip(unbroken).filter(|(p, _)| properties.contains(**p));
    let always = always.map(|(property, condition)| stateright::Property {
        expectation: Expectation::Always,
        name: property.name(),
        condition,
    });
    let sometimes =
        Goal::ALL.iter().zip(reached).filter(|(goal, _)| scope.sometimes.contains(goal));
    let sometimes = sometimes.map(|(goal, condition)| stateright::Property {
        expectation: Expectation::Sometimes,
        name: goal.name(),
        condition,
    });
    always.chain(sometimes).collect()
}
