//! Recovery: from every reachable state, every majority can go on.
//!
//! Liveness as a safety property. The network is healed and empty, some servers are up and can
//! reach each other, the rest is down for good, and events come in a fair and benign order. If those
//! that are up hold a majority of the newest configuration among them, of both halves of a joint
//! one, then a leader must be elected, everything in its log must commit, a change of membership
//! must be completed, and then a new command must commit, on every member that is up, within a
//! bound; and each voter that is up must be able to take leadership over. A deadlock or a livelock
//! is a reachable state from which that fails.

mod account;

pub use account::{Account, AccountTurn, Attempt};

use super::quorum::{is_member, is_quorum, votes_in};
use crate::environment::{executed, message};
use crate::server::{RaftServer, ServerState};
use bytes::Bytes;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Envelope, Input, LogIndex, Output, Payload, Term};
use std::collections::VecDeque;

/// Messages delivered before an exchange counts as never ending. A leader that repairs a log of
/// n entries needs some 2n a follower.
const DELIVERIES: usize = 2000;

/// Elections tried before nobody can win: one to learn of a later term, one to win, one to spare.
const ROUNDS: usize = 3;

/// Whether these servers, without all others, elect a leader that commits what its log holds and
/// then a new command; whichever of those with the best log is the one to seek election. True, too,
/// if the one with the best log would need servers that are not among them. With `transfers`, each
/// voter must be able to take leadership over besides.
pub fn recovers(servers: &[&RaftServer], states: &[&ServerState], transfers: bool) -> bool {
    Schedule::of(servers, states, transfers).failing().is_none()
}

/// The benign schedule by which these servers do not recover; `None` if they do.
pub fn failing_schedule(
    servers: &[&RaftServer],
    states: &[&ServerState],
    transfers: bool,
) -> Option<Account> {
    let mut schedule = Schedule::of(servers, states, transfers);
    schedule.account = Some(Account::default());
    schedule.failing()?.account
}

/// The sets of servers, by their places, that may have to recover by themselves, the smallest
/// first: every majority of the voters, or any set if who votes may change.
pub fn sets_to_recover(scope: &Scope) -> Vec<Vec<usize>> {
    let changes = !scope.changes.is_empty();
    let servers = if changes { scope.servers } else { scope.voters };
    let servers = usize::try_from(servers).unwrap_or(0);
    let mut all: Vec<Vec<usize>> = (1_u32..1 << servers)
        .map(|set| (0..servers).filter(|place| set & (1 << place) != 0).collect())
        .filter(|places: &Vec<usize>| changes || 2 * places.len() > servers)
        .collect();
    all.sort_by_key(Vec::len);
    all
}

#[derive(Clone)]
struct Schedule<'a> {
    servers: &'a [&'a RaftServer],
    states: Vec<ServerState>,
    network: VecDeque<Envelope>,
    /// Whether the scope has transfers of leadership.
    transfers: bool,
    /// What has been done so far, where that is to be told.
    account: Option<Account>,
}

impl<'a> Schedule<'a> {
    fn of(servers: &'a [&'a RaftServer], states: &[&ServerState], transfers: bool) -> Self {
        let states = states.iter().map(|state| (*state).clone()).collect();
        Schedule { servers, states, network: VecDeque::new(), transfers, account: None }
    }
}

impl Schedule<'_> {
    /// Runs the schedule. Gives it back, at its end, if the servers should recover and do not.
    fn failing(mut self) -> Option<Self> {
        self.prepare("The disks complete their writes, and a transfer of leadership expires");
        for place in 0..self.states.len() {
            self.complete_writes(place);
            self.happen(place, Input::TransferExpired);
        }
        if !self.best_logs().into_iter().all(|seeker| self.holds_quorum_of(seeker)) {
            return None;
        }
        match self.has_recovered() {
            None => return Some(self),
            Some(true) => return None,
            Some(false) => {}
        }
        self.best_logs().into_iter().find_map(|seeker| {
            let mut schedule = self.clone();
            schedule.elect_and_commit(seeker).is_none().then_some(schedule)
        })
    }

    /// A leader there may be has had its chance. Now the election timer of one server with the
    /// best log runs out, and no other's: it must learn by itself whatever it lacks.
    fn elect_and_commit(&mut self, seeker: usize) -> Option<()> {
        let mut seeker = seeker;
        for round in 1..=ROUNDS {
            self.prepare("Time passes, and contact between leaders and followers expires");
            self.let_contact_expire();
            if !may_seek(&self.states[seeker], self.servers[seeker]) {
                seeker = *self.best_logs().first()?; // It has stepped down as an outsider.
            }
            self.attempt(|schedule| {
                let id = schedule.states[seeker].id;
                format!("The election timer of {id} runs out ({round} of {ROUNDS} tries)")
            });
            self.happen(seeker, Input::ElectionTimeout);
            self.deliver_all()?;
            if self.has_recovered()? {
                return Some(());
            }
        }
        None
    }

    /// Of those that may seek election, the ones with the best log; nobody is without a vote.
    fn best_logs(&self) -> Vec<usize> {
        let may = |place: &usize| may_seek(&self.states[*place], self.servers[*place]);
        let all = || (0..self.states.len()).filter(may);
        let best = all().map(|place| end_of_log(&self.states[place])).max();
        all().filter(|place| Some(end_of_log(&self.states[*place])) == best).collect()
    }

    /// Whether enough of the servers that are up count in a server's configuration. One that has
    /// left may hold a better log than those that stay: it will not vote for them.
    fn holds_quorum_of(&self, place: usize) -> bool {
        let seeker = &self.states[place];
        let votes = |state: &&ServerState| end_of_log(state) <= end_of_log(seeker);
        let is_up = |id| self.states.iter().filter(votes).any(|state| state.id == id);
        is_quorum(&seeker.configuration, is_up)
    }

    /// Whether there is a leader that commits its whole log, and then a new command, everywhere.
    fn has_recovered(&mut self) -> Option<bool> {
        self.beat()?;
        let Some(leader) = self.leader() else {
            return self.still_missing(|_| "nobody leads".into());
        };
        let ServerState { commit_index, log, configuration, .. } = &self.states[leader];
        if *commit_index != log.last_index() || !configuration.outgoing.is_empty() {
            return self.still_missing(|schedule| uncommitted(&schedule.states[leader]));
        }
        self.attempt(|schedule| {
            format!("A client gives a command to {}, which leads", schedule.states[leader].id)
        });
        self.happen(leader, Input::Propose { commands: vec![Bytes::from_static(b"recovered")] });
        self.deliver_all()?;
        self.beat()?;
        let expected = self.states[leader].log.last_index();
        let caught_up = |state: &ServerState| {
            !is_member(&self.states[leader].configuration, state.id)
                || (state.applied_index == expected && holds_all(state, &self.states[leader]))
        };
        if expected == LogIndex::ZERO {
            return self.still_missing(|_| "the command was not appended".into());
        }
        if let Some(behind) = self.states.iter().find(|state| !caught_up(state)) {
            let id = behind.id;
            return self.still_missing(|_| {
                format!("{id} has not applied everything up to {expected}, or not durably")
            });
        }
        self.can_be_handed_over(leader)
    }

    /// E10: every other voter that is up can take leadership over, where a scope has transfers.
    fn can_be_handed_over(&mut self, leader: usize) -> Option<bool> {
        if !self.transfers {
            return Some(true);
        }
        for to in 0..self.states.len() {
            let id = self.states[to].id;
            if to == leader || !self.states[leader].configuration.voters.contains(&id) {
                continue;
            }
            let mut schedule = self.clone();
            schedule.attempt(|schedule| {
                format!("An operator asks {} to hand over to {id}", schedule.states[leader].id)
            });
            schedule.happen(leader, Input::TransferLeadership { to: id });
            let went_on = schedule.deliver_all().and_then(|()| schedule.beat());
            let new = &schedule.states[to];
            let leads = schedule.leader() == Some(to);
            if went_on.is_none() || !leads || new.commit_index != new.log.last_index() {
                let missing = if leads { uncommitted(new) } else { format!("{id} does not lead") };
                self.account = schedule.account; // What comes next goes on from before the request.
                went_on?;
                return self.still_missing(|_| missing + "; the request is taken back");
            }
        }
        Some(true)
    }

    /// The leader of the latest term.
    fn leader(&self) -> Option<usize> {
        let leaders = (0..self.states.len()).filter(|place| self.states[*place].is_leader());
        leaders.max_by_key(|place| self.states[*place].term)
    }

    /// Two heartbeats of every leader: one to repair what is behind, one to tell the commit.
    fn beat(&mut self) -> Option<()> {
        self.attempt(|_| "Heartbeats are due, twice".to_string());
        for _ in 0..2 {
            for place in 0..self.states.len() {
                self.happen(place, Input::HeartbeatTimeout);
            }
            self.deliver_all()?;
        }
        Some(())
    }

    /// Followers notice that they hear from no leader, and leaders that they hear from no majority:
    /// at the second look, as they may have heard from one before.
    fn let_contact_expire(&mut self) {
        for place in 0..self.states.len() {
            self.happen(place, Input::LeaderContactExpired);
            self.happen(place, Input::QuorumContactExpired);
            self.happen(place, Input::QuorumContactExpired);
        }
    }

    fn happen(&mut self, place: usize, input: Input) {
        self.step(place, &input);
        self.complete_writes(place);
    }

    fn complete_writes(&mut self, place: usize) {
        while let Some(completion) =
            self.states[place].completion().or_else(|| executed(&self.states[place]))
        {
            self.step(place, &completion);
        }
    }

    fn step(&mut self, place: usize, input: &Input) {
        let (after, outputs) = self.servers[place].step(&self.states[place], input);
        if let Some(account) = &mut self.account {
            account.step(&self.states[place], input, &outputs, &after);
        }
        self.states[place] = after;
        self.post(place, outputs);
    }

    /// What is tried next. Put into words only where it is to be told.
    fn attempt(&mut self, what: impl FnOnce(&Self) -> String) {
        let what = self.account.is_some().then(|| what(self));
        if let (Some(account), Some(what)) = (&mut self.account, what) {
            account.attempt(what, false);
        }
    }

    /// What is done before something is tried.
    fn prepare(&mut self, what: &str) {
        if let Some(account) = &mut self.account {
            account.attempt(what.to_string(), true);
        }
    }

    /// The servers have not recovered yet, and this is why.
    fn still_missing(&mut self, why: impl FnOnce(&Self) -> String) -> Option<bool> {
        let why = self.account.is_some().then(|| why(self));
        if let (Some(account), Some(why)) = (&mut self.account, why) {
            account.missing(why);
        }
        Some(false)
    }

    fn post(&mut self, place: usize, outputs: Vec<Output>) {
        let sender = &self.states[place];
        let messages = outputs.iter().filter_map(|output| message(sender, output, 1));
        let from = sender.id;
        self.network.extend(messages.map(|(to, message)| Envelope { from, to, message }));
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
        let _ = self.still_missing(|_| {
            format!("after {DELIVERIES} deliveries there are still messages under way")
        });
        None
    }
}

/// Whether the whole log of a leader is on a server's disk, in the log or under the snapshot.
fn holds_all(state: &ServerState, leader: &ServerState) -> bool {
    leader.log.entries().iter().all(|entry| state.disk.holds(entry))
        && state.disk.log.last_index() == leader.log.last_index()
}

/// What a leader lacks that has not committed its log, or not completed a change.
fn uncommitted(leader: &ServerState) -> String {
    let ServerState { id, term, commit_index, log, .. } = leader;
    if *commit_index == log.last_index() {
        return format!("{id} leads in term {term}, but its configuration stays joint");
    }
    let end = log.last();
    format!(
        "{id} leads in term {term}, but its log up to {end} is committed up to {commit_index} only"
    )
}

fn end_of_log(state: &ServerState) -> (Term, LogIndex) {
    let last = state.log.last();
    (last.term, last.index)
}

/// M4: whether a server is one that may have to seek election: it votes in its configuration, or in
/// the one before while it does not know that its own is committed.
fn may_seek(state: &ServerState, server: &RaftServer) -> bool {
    let before = state.log.up_to(state.configuration_index.previous()).iter().rev();
    let before = before.into_iter().find_map(|entry| match &entry.payload {
        Payload::Configuration(configuration) => Some(configuration),
        _ => None,
    });
    let pending = state.configuration_index > state.commit_index;
    votes_in(&state.configuration, state.id)
        || (pending && votes_in(before.unwrap_or(&server.bootstrap), state.id))
}
