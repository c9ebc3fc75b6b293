//! The cluster: every interleaving of what can happen to its servers, within a scope.
//!
//! [`Cluster`] composes the actors ([`crate::actor`]) into a stateright [`stateright::Model`]. It
//! adds what stateright's own `ActorModel` lacks: a network that is a plain set of messages,
//! crashes that lose writes, bounds on everything, properties of steps, and the reductions: dead
//! messages (`dead_messages`) and symmetry (`symmetry`). Neither is needed for the answer, only for
//! its speed; each can be switched off.

mod action;
mod bounds;
mod dead_messages;
mod fates;
mod hashes;
mod histories;
mod identity;
mod numbers;
mod promises;
mod queries;
mod rank;
mod reads;
mod reductions;
mod stand_ins;
mod state;
mod symmetry;
mod tables;
mod transitions;
mod verdicts;

pub use action::Action;
pub use reductions::Reductions;
pub use state::State;

use crate::environment::{Environment, Turn};
use crate::properties::{GoalSet, PropertySet};
use crate::server::{Mutation, RaftServer};
use bounds::Bounds;
use fates::Fates;
use histories::Histories;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Envelope, Goal, Input, Property, ServerId};
use numbers::place;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use symmetry::Renaming;
use tables::Tables;
use verdicts::Verdicts;

/// The model of a cluster within a scope. A clone shares what has been found out.
#[derive(Clone)]
pub struct Cluster {
    scope: Scope,
    servers: Vec<RaftServer>,
    bounds: Bounds,
    reductions: Reductions,
    properties: PropertySet,
    /// A goal that tells states apart: what a step has reached that reaches it is not taken for what
    /// another step has reached.
    sought: Option<Goal>,
    known: Arc<Mutex<Known>>,
}

/// What has been found out so far.
struct Known {
    tables: Tables,
    histories: Histories,
    fates: Fates,
    verdicts: Verdicts,
}

impl Cluster {
    /// The cluster that a scope describes, with at most one rule broken.
    pub fn new(scope: &Scope, mutation: Option<Mutation>, reductions: Reductions) -> Self {
        let servers = crate::actor::servers(scope, mutation);
        let renamings = Renaming::all(scope, reductions.symmetry);
        let known = Known {
            histories: Histories::new(&renamings),
            tables: Tables::new(servers.clone(), Environment::of(scope), renamings),
            fates: Fates::new(scope),
            verdicts: Verdicts::new(scope),
        };
        Cluster {
            scope: scope.clone(),
            servers,
            bounds: Bounds::of(scope, mutation),
            reductions,
            properties: scope.properties.iter().copied().collect(),
            sought: None,
            known: Arc::new(Mutex::new(known)),
        }
    }

    /// The same cluster, with nothing found out yet.
    pub(crate) fn anew(&self) -> Self {
        let mutation = self.servers.first().and_then(|server| server.mutation);
        Cluster::new(&self.scope, mutation, self.reductions)
    }

    /// The same cluster, looking for these properties only.
    #[must_use]
    pub fn with_properties(mut self, properties: impl IntoIterator<Item = Property>) -> Self {
        self.properties = properties.into_iter().collect();
        self
    }

    /// The same cluster, in which a state whose last step reached this goal is not taken for one
    /// that was reached in another way: so that the shortest way to the goal is found.
    #[must_use]
    pub fn seeking(mut self, goal: Goal) -> Self {
        self.sought = Some(goal);
        self
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The properties that are looked at.
    pub fn checked(&self) -> PropertySet {
        self.properties
    }

    /// The servers, in the order of their ids.
    pub fn servers(&self) -> &[RaftServer] {
        &self.servers
    }

    /// What an action is for the server that it happens to.
    pub fn explain(&self, state: &State, action: Action) -> (ServerId, Input) {
        let mut known = self.known();
        let tables = &mut known.tables;
        match action {
            Action::Deliver(message) => {
                let Envelope { from, to, message } =
                    tables.messages[message as usize].envelope.clone();
                (to, Input::Deliver { from, message })
            }
            Action::Event { server, event } => {
                let number = state.servers[usize::from(server)];
                let input = tables.events(number)[usize::from(event)].0.clone();
                (ServerId(u64::from(server) + 1), input)
            }
        }
    }

    /// The steps that an action consists of.
    pub fn turn(&self, state: &State, action: Action) -> (ServerId, Turn) {
        let (server, input) = self.explain(state, action);
        (server, self.known().tables.turn(state.servers[place(server)], input))
    }

    /// A lock that nobody holds for longer than one call; a panic elsewhere leaves nothing half
    /// done in tables that only grow.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a scope's goals leave to be reached.
pub fn missing_goals(scope: &Scope, reached: GoalSet) -> BTreeSet<Goal> {
    scope.sometimes.iter().copied().filter(|goal| !reached.contains(*goal)).collect()
}
