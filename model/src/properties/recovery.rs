//! Recovery: from every reachable state, every majority can go on.
//!
//! Liveness as a safety property. The network is healed and empty, a majority of the voters is
//! up and can reach each other, the rest is down for good, and events come in a fair and benign
//! order. Then a leader must be elected, everything in its log must commit, and then a new
//! command must, on every server that is up, within a bound. A deadlock or a livelock is a
//! reachable state from which that fails.

use crate::server::{RaftServer, ServerState};
use bytes::Bytes;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Envelope, Input, LogIndex, Output, Term};
use std::collections::VecDeque;

/// Messages delivered before an exchange counts as never ending. A leader that repairs a log of
/// n entries needs some 2n a follower.
const DELIVERIES: usize = 2000;

/// Elections tried before nobody can win: one to learn of a later term, one to win, one to spare.
const ROUNDS: usize = 3;

/// Whether these servers, without all others, elect a leader that commits what its log holds and
/// then a new command; whichever of those with the best log is the one to seek election.
pub fn recovers(servers: &[&RaftServer], states: &[&ServerState]) -> bool {
    let states: Vec<ServerState> = states.iter().map(|state| (*state).clone()).collect();
    let mut schedule = Schedule { servers, states, network: VecDeque::new() };
    for place in 0..schedule.states.len() {
        schedule.complete_writes(place);
    }
    match schedule.has_recovered() {
        None => false,
        Some(true) => true,
        Some(false) => schedule
            .best_logs()
            .into_iter()
            .all(|seeker| schedule.clone().elect_and_commit(seeker).is_some()),
    }
}

/// Every majority of a scope's voters, by their places, the smallest first.
pub fn majorities(scope: &Scope) -> Vec<Vec<usize>> {
    let voters = usize::try_from(scope.voters).unwrap_or(0);
    let mut all: Vec<Vec<usize>> = (0_u32..1 << voters)
        .map(|set| (0..voters).filter(|place| set & (1 << place) != 0).collect())
        .filter(|places: &Vec<usize>| 2 * places.len() > voters)
        .collect();
    all.sort_by_key(Vec::len);
    all
}

#[derive(Clone)]
struct Schedule<'a> {
    servers: &'a [&'a RaftServer],
    states: Vec<ServerState>,
    network: VecDeque<Envelope>,
}

impl Schedule<'_> {
    /// A leader there may be has had its chance. Now the election timer of one server with the
    /// best log runs out, and no other's: it must learn by itself whatever it lacks.
    fn elect_and_commit(&mut self, seeker: usize) -> Option<()> {
        for _ in 0..ROUNDS {
            self.let_contact_expire();
            self.happen(seeker, Input::ElectionTimeout);
            self.deliver_all()?;
            if self.has_recovered()? {
                return Some(());
            }
        }
        None
    }

    fn best_logs(&self) -> Vec<usize> {
        let key = |state: &ServerState| (state.log.last().term, state.log.last().index);
        let best = self.states.iter().map(key).max();
        (0..self.states.len()).filter(|place| Some(key(&self.states[*place])) == best).collect()
    }

    /// Whether there is a leader that commits its whole log, and then a new command, everywhere.
    fn has_recovered(&mut self) -> Option<bool> {
        self.beat()?;
        let Some(leader) = self.leader() else { return Some(false) };
        if self.states[leader].commit_index != self.states[leader].log.last_index() {
            return Some(false);
        }
        self.happen(leader, Input::Propose { commands: vec![Bytes::from_static(b"recovered")] });
        self.deliver_all()?;
        self.beat()?;
        let expected = self.states[leader].log.last_index();
        let caught_up = |state: &ServerState| {
            state.applied_index == expected && state.disk.log == self.states[leader].log
        };
        Some(expected > LogIndex::ZERO && self.states.iter().all(caught_up))
    }

    fn leader(&self) -> Option<usize> {
        let newest: Term = self.states.iter().map(|state| state.term).max()?;
        self.states.iter().position(|state| state.is_leader() && state.term == newest)
    }

    /// Two heartbeats of every leader: one to repair what is behind, one to tell the commit.
    fn beat(&mut self) -> Option<()> {
        for _ in 0..2 {
            for place in 0..self.states.len() {
                self.happen(place, Input::HeartbeatTimeout);
            }
            self.deliver_all()?;
        }
        Some(())
    }

    /// Followers notice that they hear from no leader.
    fn let_contact_expire(&mut self) {
        for place in 0..self.states.len() {
            self.happen(place, Input::LeaderContactExpired);
        }
    }

    fn happen(&mut self, place: usize, input: Input) {
        let (after, outputs) = self.servers[place].step(&self.states[place], &input);
        self.states[place] = after;
        self.post(place, outputs);
        self.complete_writes(place);
    }

    fn complete_writes(&mut self, place: usize) {
        while let Some(write) = self.states[place].writes.first() {
            let (after, outputs) =
                self.servers[place].step(&self.states[place], &write.completion());
            self.states[place] = after;
            self.post(place, outputs);
        }
    }

    fn post(&mut self, place: usize, outputs: Vec<Output>) {
        let from = self.states[place].id;
        self.network.extend(outputs.into_iter().filter_map(|output| match output {
            Output::Send { to, message } => Some(Envelope { from, to, message }),
            _ => None,
        }));
    }

    /// Delivers until nothing is left; `None` if that does not end.
    fn deliver_all(&mut self) -> Option<()> {
        for _ in 0..DELIVERIES {
            let Some(Envelope { from, to, message }) = self.network.pop_front() else {
                return Some(());
            };
            if let Some(place) = self.states.iter().position(|state| state.id == to) {
                self.happen(place, Input::Deliver { from, message });
            }
        }
        None
    }
}
