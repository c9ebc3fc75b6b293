//! What operators ask of a cluster, at random: what makes sense as a rule, and what does not.

use super::action::{Action, Expected, SnapshotOf};
use super::parameters::{Compaction, Parameters};
use kontiki_specs::{Configuration, LogIndex, MembershipChange, ServerId};
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// How often operators ask in a run that is not long.
const REQUESTS: RangeInclusive<u32> = 0..=200;

/// How many entries more than the last a snapshot is to cover, where snapshots are taken seldom.
const SELDOM: u64 = 40;
/// What state machines that compact by themselves do at once: several snapshots may so end with one
/// entry.
const ROUND: u64 = 8;

/// Who changes the membership of a cluster, and asks for snapshots.
pub(super) struct Operator {
    servers: u64,
    /// Servers must catch up as learners before they become voters.
    catch_up: bool,
    compaction: Compaction,
    requests_left: u32,
}

impl Operator {
    pub(super) fn new(parameters: &Parameters, times: u32, random: &mut StdRng) -> Operator {
        Operator {
            servers: parameters.servers,
            catch_up: parameters.catch_up_rounds > 0,
            compaction: parameters.compaction,
            requests_left: times * random.random_range(REQUESTS),
        }
    }

    /// Whether there is anything that operators still want in this run.
    pub(super) fn wants(&self) -> bool {
        self.requests_left > 0
    }

    /// Asks a server, in which this configuration is in force, for another one.
    pub(super) fn change(
        &mut self,
        server: ServerId,
        now: &Configuration,
        random: &mut StdRng,
    ) -> Action {
        self.requests_left -= 1;
        let change = match random.random_range(0..12) {
            0 => self.any(random),
            1 => self.nonsense(now, random),
            2..=4 => self.replacement(now, random),
            _ => self.sensible(now, random).unwrap_or_else(|| self.any(random)),
        };
        let expected = match random.random_range(0..8) {
            0..4 => Expected::Unsaid,
            4..7 => Expected::Right,
            _ => Expected::Wrong,
        };
        Action::ChangeMembership { server, change, expected }
    }

    /// Asks a server to let any other lead, itself, a learner or a stranger too.
    pub(super) fn transfer(&mut self, server: ServerId, random: &mut StdRng) -> Action {
        self.requests_left -= 1;
        Action::TransferLeadership { server, to: ServerId(random.random_range(1..=self.servers)) }
    }

    /// Asks a server for a snapshot, if it is time for one: of all that is applied and on disk, or of
    /// what a state machine is done with that lags behind, and now and then of too much or too little.
    pub(super) fn snapshot(
        &self,
        server: ServerId,
        settled: LogIndex,
        covered: LogIndex,
        random: &mut StdRng,
    ) -> Option<Action> {
        let new = settled.0.saturating_sub(covered.0);
        let due = match self.compaction {
            Compaction::Never => return None,
            Compaction::Seldom => new >= SELDOM,
            Compaction::Often => new > 0,
        };
        let of = match random.random_range(0..32) {
            0 => SnapshotOf::TooMuch,
            1 => SnapshotOf::AllBut(random.random_range(0..=settled.0)),
            _ if !due => return None,
            2..16 => SnapshotOf::AllBut(0),
            16..24 => SnapshotOf::AllBut(random.random_range(0..new)),
            _ => SnapshotOf::AllBut(settled.0 % ROUND),
        };
        Some(Action::TakeSnapshot { server, of })
    }

    /// A change of one server to which it can be applied. More come in than go.
    fn sensible(&self, now: &Configuration, random: &mut StdRng) -> Option<MembershipChange> {
        let mut drawn = |from: &mut dyn Iterator<Item = ServerId>| {
            let from: Vec<ServerId> = from.collect();
            (!from.is_empty()).then(|| from[random.random_range(0..from.len())])
        };
        let Configuration { voters, learners, .. } = now;
        let voter = drawn(&mut voters.iter().copied());
        let learner = drawn(&mut learners.iter().copied());
        let is_stranger =
            |server: &ServerId| !voters.contains(server) && !learners.contains(server);
        let stranger = drawn(&mut (1..=self.servers).map(ServerId).filter(is_stranger));
        match random.random_range(0..11) {
            0..3 => stranger.map(MembershipChange::AddLearner),
            3..7 => learner.map(MembershipChange::AddVoter),
            7 => stranger.map(MembershipChange::AddVoter),
            8 => voter.map(MembershipChange::Demote),
            9 => voter.map(MembershipChange::Remove),
            _ => learner.map(MembershipChange::Remove),
        }
    }

    /// Any change of one server. Nobody is added whom there is not: a cluster could wait for that
    /// one for ever.
    fn any(&self, random: &mut StdRng) -> MembershipChange {
        let known = ServerId(random.random_range(1..=self.servers));
        let any = ServerId(random.random_range(0..=self.servers + 1));
        match random.random_range(0..4) {
            0 => MembershipChange::AddLearner(known),
            1 => MembershipChange::AddVoter(known),
            2 => MembershipChange::Demote(any),
            _ => MembershipChange::Remove(any),
        }
    }

    /// Any set of voters and learners. Of those who do not vote there are few among the voters if
    /// they would have to catch up first.
    fn replacement(&self, now: &Configuration, random: &mut StdRng) -> MembershipChange {
        let (mut voters, mut learners) = (Vec::new(), Vec::new());
        for server in (1..=self.servers).map(ServerId) {
            let votes = if now.voters.contains(&server) {
                random.random_ratio(3, 4)
            } else if now.learners.contains(&server) {
                random.random()
            } else {
                random.random_ratio(1, if self.catch_up { 32 } else { 2 })
            };
            if votes {
                voters.push(server);
            } else if random.random_ratio(1, 3) {
                learners.push(server);
            }
        }
        MembershipChange::Replace { voters, learners }
    }

    /// A replacement that is refused whatever the configuration is.
    fn nonsense(&self, now: &Configuration, random: &mut StdRng) -> MembershipChange {
        let list = |of: &BTreeSet<ServerId>| of.iter().copied().collect::<Vec<_>>();
        let (mut voters, mut learners) = (list(&now.voters), list(&now.learners));
        let one = ServerId(random.random_range(1..=self.servers));
        match random.random_range(0..5) {
            0 => voters.clear(),
            1 => voters.extend([one, one]),
            2 => learners.extend([one, one]),
            3 => {
                voters.push(one);
                learners.push(one);
            }
            _ => {} // Nothing is changed.
        }
        MembershipChange::Replace { voters, learners }
    }
}
