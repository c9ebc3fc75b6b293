//! A cluster that is explored only so far.

use crate::cluster::{Action, Cluster, State};
use crate::properties::stateright_properties;
use stateright::Model;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When an exploration ends before all is seen; never, if nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// From how many states it goes on.
    pub states: Option<u64>,
    /// How long it takes.
    pub time: Option<Duration>,
}

/// A cluster in which nothing more happens once a bound is reached, so that whoever explores it
/// comes to an end. What was seen until then is judged as ever.
pub(crate) struct Bounded {
    cluster: Cluster,
    states: u64,
    deadline: Option<Instant>,
    gone_on_from: AtomicU64,
    ended_early: AtomicBool,
    lifted: AtomicBool,
}

impl Bounded {
    pub(crate) fn new(cluster: Cluster, bounds: Bounds) -> Bounded {
        Bounded {
            cluster,
            states: bounds.states.unwrap_or(u64::MAX),
            deadline: bounds.time.and_then(|time| Instant::now().checked_add(time)),
            gone_on_from: AtomicU64::new(0),
            ended_early: AtomicBool::new(false),
            lifted: AtomicBool::new(false),
        }
    }

    /// Lifts the bounds, so that a path can be followed again.
    pub(crate) fn lift(&self) {
        self.lifted.store(true, Ordering::Relaxed);
    }

    /// Whether there was a state that was not gone on from.
    pub(crate) fn ended_early(&self) -> bool {
        self.ended_early.load(Ordering::Relaxed)
    }

    /// Every state is gone on from once, so the calls are counted.
    fn goes_on(&self) -> bool {
        if self.lifted.load(Ordering::Relaxed) {
            return true;
        }
        let enough = self.gone_on_from.fetch_add(1, Ordering::Relaxed) >= self.states
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if enough {
            self.ended_early.store(true, Ordering::Relaxed);
        }
        !enough
    }
}

impl Model for Bounded {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.cluster.init_states()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.goes_on() {
            self.cluster.actions(state, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.cluster.next_state(state, action)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        stateright_properties(self.cluster.scope(), self.cluster.checked())
    }
}
