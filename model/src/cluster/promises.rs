//! What servers have promised to leaders (rule C4), and what time therefore does not allow.
//!
//! A server that hears a leader's question is in contact for the minimum election timeout from then on
//! (E8). The lease that the question's round may give is over no later than that timeout after the
//! question was first sent, less what clocks drift apart. So the contact does not end before the time of the
//! round is up. A crash changes nothing in this: a server that starts is in contact anew.
//!
//! Time is no part of the state. Which round each server has heard of last is.

use super::tables::Tables;
use super::{Cluster, State};
use crate::environment::Turn;
use crate::server::{Mutation, RaftServer, Role, ServerState};
use kontiki_specs::{Input, Message, Term};
use smallvec::SmallVec;

/// A question of a leader: its term and its round.
pub(super) type Question = (Term, u64);

/// That a server has heard the question of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Promise {
    /// The server's place.
    pub(super) server: u8,
    /// The leader's term.
    pub(super) term: Term,
    /// The last round that the server has heard of in this term.
    pub(super) round: u64,
}

/// What servers have promised, in no order.
pub(super) type Promises = SmallVec<[Promise; 2]>;

impl Promise {
    /// Whether a server leads in that term and may have a lease that the promise is for: the time of the
    /// round is not up.
    pub(super) fn binds(&self, state: &ServerState) -> bool {
        matches!(&state.role, Role::Leader { reads, .. }
            if state.term == self.term && !reads.lease.given_up && reads.lease.over < self.round)
    }

    /// Breaks C4: whether it would bind if the time of a round began with the answers. Then only an
    /// earlier round, which had its answers before the question was sent, is sure to be over first.
    fn binds_from_answer(&self, state: &ServerState) -> bool {
        matches!(&state.role, Role::Leader { reads, .. }
            if state.term == self.term && reads.lease.round.is_some_and(|given_by| given_by < self.round))
    }
}

/// The question that a server answers in a turn, where leases depend on it.
pub(super) fn confirms(server: &RaftServer, turn: &Turn) -> Option<Question> {
    if !server.options.leases {
        return None;
    }
    match &turn.steps.first()?.0 {
        Input::Deliver { message: Message::ConfirmLeadership { term, round }, .. } => {
            (*term == turn.after().term).then_some((*term, *round))
        }
        _ => None,
    }
}

/// Notes what the server in a place has promised.
pub(super) fn note(promises: &mut Promises, server: usize, question: Option<Question>) {
    let Some((term, round)) = question else { return };
    let server = server as u8; // A scope has at most 7 servers.
    let earlier = promises.iter_mut().find(|one| (one.server, one.term) == (server, term));
    match earlier {
        Some(promise) => promise.round = promise.round.max(round),
        None => promises.push(Promise { server, term, round }),
    }
}

/// Forgets the promises that bind nobody any more.
pub(super) fn forget_kept(promises: &mut Promises, binds: impl Fn(&Promise) -> bool) {
    promises.retain(|promise| binds(promise));
}

impl Cluster {
    /// C4: whether a server still owes its contact to a leader.
    pub(super) fn is_bound(&self, tables: &Tables, state: &State, server: u8) -> bool {
        let binds = match self.servers.first().and_then(|server| server.mutation) {
            Some(Mutation::LeaseOutlivesPromise) => return false,
            Some(Mutation::LeaseFromAnswer) => Promise::binds_from_answer,
            _ => Promise::binds,
        };
        let mut own = state.promises.iter().filter(|promise| promise.server == server);
        own.any(|promise| {
            let mut states = state.servers.iter().map(|number| &tables.states[*number as usize]);
            states.any(|known| binds(promise, &known.state))
        })
    }
}
