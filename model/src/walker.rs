//! The second explorer: breadth-first, level by level, by itself.
//!
//! stateright's depth-first search decides the scopes. This one counts the same states another
//! way, finds the shortest counterexamples, and keeps for every state how it was first reached.
//! It works on any stateright [`Model`] whose states tell their identity by `Hash`.

use rustc_hash::FxHashMap;
use stateright::Model;
use std::hash::Hash;
use xxhash_rust::xxh3::Xxh3;

/// How a state was first reached: from which state, by which of its actions.
#[derive(Clone, Copy)]
struct Arrival {
    from: u32,
    action: u32,
}

/// What a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk<A> {
    /// Distinct states seen.
    pub unique_states: u64,
    /// States generated, repeats included.
    pub generated_states: u64,
    /// The number of states on the longest of the shortest paths.
    pub depth: u64,
    /// The actions that lead to the first state at which the walk was told to stop.
    pub stopped_at: Option<Vec<A>>,
    /// The walk ended because it had seen as many states as it was allowed.
    pub exhausted_limit: bool,
}

/// Walks all states breadth-first until `stop` says so of one, at most `limit` of them, calling
/// `progress` with the counts so far after every level and now and then.
///
/// Among states of one depth the first is the one whose path comes first in the order of actions.
pub fn walk<M>(
    model: &M,
    limit: u64,
    mut stop: impl FnMut(&M::State) -> bool,
    mut progress: impl FnMut(u64, u64, u64),
) -> Walk<M::Action>
where
    M: Model,
    M::State: Hash,
    M::Action: Clone,
{
    let mut walk = Walk {
        unique_states: 0,
        generated_states: 0,
        depth: 0,
        stopped_at: None,
        exhausted_limit: false,
    };
    let mut seen: FxHashMap<u64, ()> = FxHashMap::default();
    let mut arrivals: Vec<Arrival> = Vec::new();
    let mut level: Vec<(u32, M::State)> = Vec::new();
    for state in model.init_states() {
        walk.generated_states += 1;
        if seen.insert(identity(&state), ()).is_none() {
            arrivals.push(Arrival { from: u32::MAX, action: 0 });
            level.push((last_number(&arrivals), state));
        }
    }
    let mut actions = Vec::new();
    if let Some((number, _)) = level.iter().find(|(_, state)| stop(state)) {
        walk.stopped_at = Some(path_to(model, &arrivals, *number));
    }
    while !level.is_empty() && walk.stopped_at.is_none() && !walk.exhausted_limit {
        walk.depth += 1;
        let mut next_level = Vec::new();
        'level: for (number, state) in level {
            model.actions(&state, &mut actions);
            for (place, action) in (0_u32..).zip(actions.drain(..)) {
                let Some(next) = model.next_state(&state, action) else { continue };
                walk.generated_states += 1;
                if seen.insert(identity(&next), ()).is_some() {
                    continue;
                }
                arrivals.push(Arrival { from: number, action: place });
                let next_number = last_number(&arrivals);
                if stop(&next) {
                    walk.stopped_at = Some(path_to(model, &arrivals, next_number));
                    break 'level;
                }
                if arrivals.len() as u64 >= limit {
                    walk.exhausted_limit = true;
                    break 'level;
                }
                next_level.push((next_number, next));
                if arrivals.len().is_multiple_of(65_536) {
                    progress(arrivals.len() as u64, walk.generated_states, walk.depth);
                }
            }
        }
        level = next_level;
    }
    walk.unique_states = arrivals.len() as u64;
    progress(walk.unique_states, walk.generated_states, walk.depth);
    walk
}

/// The actions that lead to a state from the start.
fn path_to<M: Model>(model: &M, arrivals: &[Arrival], state: u32) -> Vec<M::Action> {
    let mut places = Vec::new();
    let mut at = arrivals[state as usize];
    while at.from != u32::MAX {
        places.push(at.action);
        at = arrivals[at.from as usize];
    }
    let mut path = Vec::new();
    let mut state = model.init_states().into_iter().next();
    for place in places.into_iter().rev() {
        let Some(current) = &state else { break };
        let mut actions = Vec::new();
        model.actions(current, &mut actions);
        let again = actions.swap_remove(place as usize);
        let mut actions = Vec::new();
        model.actions(current, &mut actions);
        state = model.next_state(current, again);
        path.push(actions.swap_remove(place as usize));
    }
    path
}

fn last_number(arrivals: &[Arrival]) -> u32 {
    u32::try_from(arrivals.len() - 1).unwrap_or(u32::MAX - 1)
}

fn identity(state: &impl Hash) -> u64 {
    let mut hasher = Xxh3::new();
    state.hash(&mut hasher);
    hasher.digest()
}
