//! What there is to know about a cluster that has been explored, and about its states.

use super::symmetry::Renaming;
use super::{Cluster, Known, State};
use crate::properties::GoalSet;
use crate::server::ServerState;
use kontiki_specs::Envelope;
use std::collections::HashSet;

impl Cluster {
    /// Goals that have been reached in any state or step so far.
    pub fn goals_reached(&self) -> GoalSet {
        self.known().tables.goals
    }

    /// Every state that some server has come to so far, and every message sent so far, under every
    /// renaming of interchangeable servers.
    pub fn local(&self) -> (HashSet<ServerState>, HashSet<Envelope>) {
        let Known { tables, .. } = &*self.known();
        let reached = tables.states.iter().filter(|local| local.reached);
        let sent = tables.messages.iter().filter(|message| message.sent);
        let renamings = &tables.renamings;
        let states = reached.flat_map(|local| renamings.iter().map(|as_| as_.state(&local.state)));
        let messages =
            sent.flat_map(|message| renamings.iter().map(|as_| as_.envelope(&message.envelope)));
        (states.collect(), messages.collect())
    }

    /// A state's servers, in the order of their ids.
    pub fn server_states(&self, state: &State) -> Vec<ServerState> {
        let Known { tables, .. } = &*self.known();
        state.servers.iter().map(|number| tables.states[*number as usize].state.clone()).collect()
    }

    /// The same server states under every renaming of interchangeable servers, in the order of
    /// the new ids. Only one if symmetry is switched off.
    pub fn renamed(&self, servers: &[ServerState]) -> Vec<Vec<ServerState>> {
        let rename = |renaming: &Renaming| {
            let mut renamed: Vec<_> = servers.iter().map(|state| renaming.state(state)).collect();
            renamed.sort_by_key(|state| state.id);
            renamed
        };
        self.known().tables.renamings.iter().map(rename).collect()
    }

    /// The messages that can still make a difference in a state.
    pub fn messages(&self, state: &State) -> Vec<Envelope> {
        let Known { tables, .. } = &*self.known();
        state
            .messages
            .iter()
            .map(|message| tables.messages[*message as usize].envelope.clone())
            .collect()
    }

    /// How many pairs there are of a server's state and a message that met in a cluster explored so
    /// far: the message could still make a difference there, and its receiver was in that state.
    pub fn meetings(&self) -> u64 {
        self.known().tables.looked_at().len() as u64
    }

    /// The first such pair that is `wanted`. Of those that differ only in the names of servers one
    /// is looked at, so what is wanted must not depend on names.
    pub fn find_meeting(
        &self,
        mut wanted: impl FnMut(&ServerState, &Envelope) -> bool,
    ) -> Option<(ServerState, Envelope)> {
        let Known { tables, .. } = &*self.known();
        tables.looked_at().into_iter().find_map(|(state, message)| {
            let state = &tables.states[state as usize].state;
            let envelope = &tables.messages[message as usize].envelope;
            wanted(state, envelope).then(|| (state.clone(), envelope.clone()))
        })
    }

    /// The first pair in one state of the cluster that is `wanted`.
    pub fn find_meeting_in(
        &self,
        state: &State,
        mut wanted: impl FnMut(&ServerState, &Envelope) -> bool,
    ) -> Option<(ServerState, Envelope)> {
        let Known { tables, .. } = &*self.known();
        state.messages.iter().find_map(|message| {
            let (_, receiver) = tables.ends(*message);
            let server = &tables.states[state.servers[receiver] as usize].state;
            let envelope = &tables.messages[*message as usize].envelope;
            wanted(server, envelope).then(|| (server.clone(), envelope.clone()))
        })
    }
}
