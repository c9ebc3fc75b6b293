//! A server of a scope as a stateright [`Actor`], and the [`ActorModel`] that composes a cluster of
//! them.
//!
//! Whatever may happen to a server besides messages is a timer of the actor. After every step the
//! timers are those of the events that the scope lets happen in the new state.

use crate::environment::Environment;
use crate::server::{Mutation, Options, RaftServer, ServerState};
use kontiki_specs::scope::Scope;
use kontiki_specs::{Configuration, Input, Message, ServerId};
use stateright::actor::{Actor, ActorModel, Id, Network, Out, model_timeout};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A value with a short `Debug`, for diagrams, and some order, which stateright asks for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shown<T>(pub T);

impl<T: fmt::Display> fmt::Debug for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Debug + Eq> Ord for Shown<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        format!("{:?}", self.0).cmp(&format!("{:?}", other.0))
    }
}

impl<T: fmt::Debug + Eq> PartialOrd for Shown<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The servers of a scope, with at most one rule broken. Those outside the first configuration do
/// not know it: they wait to be taken in.
pub fn servers(scope: &Scope, mutation: Option<Mutation>) -> Vec<RaftServer> {
    let bootstrap = Arc::new(Configuration::of_voters((1..=scope.voters).map(ServerId)));
    let none = Arc::new(Configuration::default());
    let options = Options {
        pre_vote: scope.pre_vote,
        leader_contact: scope.leader_contact,
        leases: scope.leases,
        check_quorum: scope.check_quorum,
        batch: scope.batch.max(1),
        window: scope.window.max(1),
        batch_bytes: scope.batch_bytes.unwrap_or(u64::MAX),
        window_bytes: scope.window_bytes.unwrap_or(u64::MAX),
        apply_bytes: scope.apply_bytes,
        catch_up_rounds: scope.catch_up_rounds,
        kept_entries: scope.kept_entries,
        snapshot_bytes: scope.snapshot_bytes,
        sessions: scope.sessions > 0,
        foreign_snapshots: false,
    };
    (1..=scope.servers)
        .map(ServerId)
        .map(|id| RaftServer {
            id,
            bootstrap: Arc::clone(if id.0 <= scope.voters { &bootstrap } else { &none }),
            options,
            mutation,
        })
        .collect()
}

/// A server, and what the scope lets happen to it.
#[derive(Clone, Debug)]
pub struct ServerActor {
    server: RaftServer,
    environment: Environment,
}

/// The actors of a scope on a network that loses, repeats and reorders.
pub fn actor_system(scope: &Scope, servers: &[RaftServer]) -> ActorModel<ServerActor, Scope> {
    let environment = Environment::of(scope);
    let actor = |server: &RaftServer| ServerActor {
        server: server.clone(),
        environment: environment.clone(),
    };
    ActorModel::new(scope.clone(), ())
        .actors(servers.iter().map(actor))
        .init_network(Network::new_unordered_duplicating([]))
}

/// stateright counts actors from 0, Kontiki servers from 1.
fn server_id(actor: Id) -> ServerId {
    ServerId(usize::from(actor) as u64 + 1)
}

/// The actor that a server is.
pub fn actor_id(server: ServerId) -> Id {
    Id::from(usize::try_from(server.0).unwrap_or(usize::MAX).saturating_sub(1))
}

impl ServerActor {
    fn react(&self, state: &mut Cow<'_, ServerState>, input: Input, out: &mut Out<Self>) {
        let turn = self.environment.happen(&self.server, state, input);
        for (output, sender) in turn.outputs_after() {
            if let Some((to, message)) = self.environment.message(sender, output) {
                out.send(actor_id(to), Shown(message));
            }
        }
        if turn.after() != &**state {
            self.set_timers(Some(state), turn.after(), out);
            *state.to_mut() = turn.after().clone();
        }
    }

    fn set_timers(&self, before: Option<&ServerState>, after: &ServerState, out: &mut Out<Self>) {
        let events = |state| self.environment.events(&self.server, state);
        for event in before.map(events).unwrap_or_default() {
            out.cancel_timer(Shown(event));
        }
        for event in events(after) {
            out.set_timer(Shown(event), model_timeout());
        }
    }
}

impl Actor for ServerActor {
    type Msg = Shown<Message>;
    type Timer = Shown<Input>;
    type State = ServerState;
    type Storage = ();
    type Random = ();

    fn name(&self) -> String {
        self.server.id.to_string()
    }

    fn on_start(&self, _: Id, _: &Option<()>, out: &mut Out<Self>) -> ServerState {
        let state = self.server.boot();
        self.set_timers(None, &state, out);
        state
    }

    fn on_msg(
        &self,
        _: Id,
        state: &mut Cow<'_, ServerState>,
        src: Id,
        message: Shown<Message>,
        out: &mut Out<Self>,
    ) {
        self.react(state, Input::Deliver { from: server_id(src), message: message.0 }, out);
    }

    fn on_timeout(
        &self,
        _: Id,
        state: &mut Cow<'_, ServerState>,
        event: &Shown<Input>,
        out: &mut Out<Self>,
    ) {
        // stateright has cancelled the timer; what is still possible is set again.
        out.set_timer(event.clone(), model_timeout());
        self.react(state, event.0.clone(), out);
    }
}
