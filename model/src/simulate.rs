//! Random walks, for scopes that are too large to exhaust.

use crate::cluster::{Action, Cluster, Reductions, State};
use crate::properties::GoalSet;
use crate::server::Mutation;
use kontiki_specs::scope::Scope;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use stateright::Model;

/// Steps of a walk that has not ended by itself.
pub const LONGEST_WALK: usize = 400;

/// Walks that share one cluster's tables; then new ones are begun, so that memory stays bounded.
const WALKS_PER_CLUSTER: u64 = 200;

/// What the walks found.
pub struct SimulationReport {
    /// Walks taken, the last one included.
    pub walks: u64,
    /// Steps in all of them.
    pub steps: u64,
    /// The longest walk.
    pub longest: usize,
    /// Goals reached.
    pub goals: GoalSet,
    /// The walk that broke a property, and its cluster.
    pub counterexample: Option<(Cluster, Vec<Action>)>,
}

/// Takes random walks from the start, each from its own seed, until one breaks a property.
pub fn simulate(
    scope: &Scope,
    mutation: Option<Mutation>,
    seed: u64,
    walks: u64,
    mut progress: impl FnMut(u64, u64),
) -> SimulationReport {
    let mut report = SimulationReport {
        walks: 0,
        steps: 0,
        longest: 0,
        goals: GoalSet::EMPTY,
        counterexample: None,
    };
    let mut cluster = Cluster::new(scope, mutation, Reductions::ALL);
    for walk in 0..walks {
        if walk % WALKS_PER_CLUSTER == 0 && walk > 0 {
            report.goals.extend(cluster.goals_reached());
            cluster = Cluster::new(scope, mutation, Reductions::ALL);
        }
        let (actions, broken) = take_walk(&cluster, seed.wrapping_add(walk));
        report.walks += 1;
        report.steps += actions.len() as u64;
        report.longest = report.longest.max(actions.len());
        progress(report.walks, report.steps);
        if broken {
            report.goals.extend(cluster.goals_reached());
            report.counterexample = Some((cluster, actions));
            return report;
        }
    }
    report.goals.extend(cluster.goals_reached());
    report
}

/// One walk: each step any of the possible ones, until none is left, the walk is long enough, or
/// a property is broken.
fn take_walk(cluster: &Cluster, seed: u64) -> (Vec<Action>, bool) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut taken = Vec::new();
    let mut possible = Vec::new();
    let Some(mut state): Option<State> = cluster.init_states().pop() else { return (taken, false) };
    while state.broken().is_empty() && taken.len() < LONGEST_WALK {
        possible.clear();
        cluster.actions(&state, &mut possible);
        if possible.is_empty() {
            break;
        }
        let action = possible[random.random_range(0..possible.len())];
        let Some(next) = cluster.next_state(&state, action) else { break };
        taken.push(action);
        state = next;
    }
    (taken, !state.broken().is_empty())
}
