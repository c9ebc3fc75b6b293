//! stateright's own `ActorModel`, without anything of Kontiki's around it, reaches the same
//! server states together as the cluster does: a third explorer, and the plainest.

use kontiki_model::actor::{ServerActor, actor_system, servers};
use kontiki_model::cluster::{Cluster, Reductions};
use kontiki_model::environment::Environment;
use kontiki_model::server::ServerState;
use kontiki_model::walker::walk;
use kontiki_specs::scope::Scope;
use stateright::actor::{ActorModel, ActorModelState, Network};
use stateright::{Model, Property};
use std::collections::HashSet;

/// An `ActorModel` whose network does not remember the last message: in a set it means nothing.
struct Plain(ActorModel<ServerActor, Scope>);

impl Model for Plain {
    type State = ActorModelState<ServerActor, ()>;
    type Action = <ActorModel<ServerActor, Scope> as Model>::Action;

    fn init_states(&self) -> Vec<Self::State> {
        self.0.init_states()
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        self.0.actions(state, actions);
    }

    fn next_state(&self, state: &Self::State, action: Self::Action) -> Option<Self::State> {
        let mut next = self.0.next_state(state, action)?;
        if let Network::UnorderedDuplicating(_, last) = &mut next.network {
            *last = None;
        }
        let bounds = Environment::of(&self.0.cfg);
        next.actor_states.iter().all(|server| bounds.contains(server)).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        Vec::new()
    }
}

fn by_actor_model(scope: &Scope) -> HashSet<Vec<ServerState>> {
    let model = Plain(actor_system(scope, &servers(scope, None)));
    let mut reached = HashSet::new();
    walk(
        &model,
        u64::MAX,
        |state| {
            reached.insert(state.actor_states.iter().map(|server| (**server).clone()).collect());
            false
        },
        |_, _, _| {},
    );
    reached
}

fn by_cluster(scope: &Scope) -> HashSet<Vec<ServerState>> {
    let cluster = Cluster::new(scope, None, Reductions::ALL);
    let mut reached = HashSet::new();
    let mut note = |state: &<Cluster as Model>::State| {
        reached.extend(cluster.renamed(&cluster.server_states(state)));
        false
    };
    walk(&cluster, u64::MAX, &mut note, |_, _, _| {});
    reached
}

#[test]
fn the_actor_model_reaches_the_same() {
    for text in [
        "servers = 1\nterms = 3\nlog = 3",
        "servers = 2\nterms = 2\nlog = 1",
        "servers = 2\nterms = 2\nlog = 2",
        "servers = 2\nterms = 2\nlog = 1\ndisk = 'asynchronous'",
        "servers = 2\nterms = 2\nlog = 1\nleader-contact = true\ncheck-quorum = true",
        "servers = 2\nterms = 2\nlog = 1\npre-vote = true",
    ] {
        let scope = Scope::parse("test", "test", text).unwrap();
        assert!(by_actor_model(&scope) == by_cluster(&scope), "{text}");
    }
}
