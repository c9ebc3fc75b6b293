//! Which configurations the logs hold, who is a quorum of them, and what must hold of them in the
//! whole cluster (rules M1, M2, M4, M6, M7).

use super::problem::Invariant;
use kontiki::core::Raft;
use kontiki::storage::MemoryStore;
use kontiki_specs::{
    Configuration, Entry, LogIndex, LogPosition, Payload, RoleKind, ServerId, Snapshot,
};
use std::sync::Arc;

/// A set of servers: the bit of a server is its place, one less than its id.
pub(super) type ServerSet = u8;

/// How many sets of servers there are.
const SETS: u32 = 1 << 7;

/// Every set of servers that is a quorum of a configuration: a bit for each set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quorums(u128);

impl Quorums {
    fn of(configuration: &Configuration) -> Quorums {
        let half = |voters: &mut dyn Iterator<Item = &ServerId>| {
            voters.fold((0_u8, 0_u32), |(set, all), voter| (set | bit(*voter), all + 1))
        };
        let (voters, all_voters) = half(&mut configuration.voters.iter());
        let (outgoing, all_outgoing) = half(&mut configuration.outgoing.iter());
        let majority =
            |of: ServerSet, all: u32, set: u32| 2 * (u32::from(of) & set).count_ones() > all;
        let is_quorum = |set: &u32| {
            majority(voters, all_voters, *set)
                && (all_outgoing == 0 || majority(outgoing, all_outgoing, *set))
        };
        Quorums((0..SETS).filter(is_quorum).fold(0, |quorums, set| quorums | 1 << set))
    }

    /// Whether this set is a quorum, with whoever is in it besides.
    pub(super) fn contains(self, set: ServerSet) -> bool {
        self.0 & (1_u128 << (u32::from(set) & (SETS - 1))) != 0
    }
}

/// The set of one server; the empty set for one that there is not.
fn bit(server: ServerId) -> ServerSet {
    match server.0 {
        id @ 1..=7 => 1 << (id - 1),
        _ => 0,
    }
}

/// A configuration and where it stands; index 0 is the one that servers are started with.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) position: LogPosition,
    pub(super) configuration: Arc<Configuration>,
    pub(super) quorums: Quorums,
}

impl Known {
    fn of(position: LogPosition, configuration: Configuration) -> Known {
        let quorums = Quorums::of(&configuration);
        Known { position, configuration: Arc::new(configuration), quorums }
    }

    /// Whether these servers are a quorum.
    pub(super) fn is_quorum(&self, servers: &[ServerId]) -> bool {
        self.quorums.contains(servers.iter().fold(0, |set, server| set | bit(*server)))
    }
}

/// The configurations of all servers, and how those that were committed followed each other.
#[derive(Clone, Debug)]
pub(super) struct Memberships {
    /// By place: that of the server's snapshot, or the one that it was started with, then those behind
    /// it in its log.
    known: Vec<Vec<Known>>,
    /// Those that were committed, in order. The first is the one that the cluster was started with.
    committed: Vec<(LogPosition, Configuration)>,
    /// What each server was started with.
    bootstrap: Vec<Known>,
    /// How many configurations that are not joint were committed.
    pub(super) completed: u64,
    /// How many of these made learners voters.
    pub(super) promotions: u64,
    /// How often a configuration was truncated from a log.
    pub(super) aborted: u64,
    /// How many leaders were elected by a joint configuration.
    pub(super) elected_while_joint: u64,
}

impl Memberships {
    /// Of a cluster with so many servers, of which the first `voters` are started as a cluster.
    pub(super) fn new(servers: u64, voters: u64) -> Memberships {
        let first = |id| {
            let bootstrap = Configuration::of_voters((1..=voters).map(ServerId));
            let bootstrap = if id <= voters { bootstrap } else { Configuration::default() };
            Known::of(LogPosition::default(), bootstrap)
        };
        let bootstrap: Vec<Known> = (1..=servers).map(first).collect();
        let begin = bootstrap.first().map(|first| (*first.configuration).clone());
        Memberships {
            known: bootstrap.iter().map(|first| vec![first.clone()]).collect(),
            bootstrap,
            committed: vec![(LogPosition::default(), begin.unwrap_or_default())],
            completed: 0,
            promotions: 0,
            aborted: 0,
            elected_while_joint: 0,
        }
    }

    /// The end of a server's log was replaced, from an index on.
    pub(super) fn writes(&mut self, place: usize, first: LogIndex, entries: &[Entry]) {
        self.aborted += self.replace(place, first, entries);
    }

    /// A server's log is what its disk holds, and begins behind a snapshot, or before its end.
    pub(super) fn restarts(&mut self, place: usize, snapshot: Option<&Snapshot>, log: &[Entry]) {
        self.replace(place, LogIndex(1), log);
        if let (Some(known), Some(first)) = (self.known.get_mut(place), self.bootstrap.get(place)) {
            known.retain(|known| known.position.index.0 > 0);
            known.insert(0, first.clone());
        }
        self.has_snapshot(place, snapshot);
    }

    /// S1: a server has a snapshot, whose configuration stands for those before.
    pub(super) fn has_snapshot(&mut self, place: usize, snapshot: Option<&Snapshot>) {
        let (Some(known), Some(snapshot)) = (self.known.get_mut(place), snapshot) else { return };
        let (at, configuration) = (snapshot.configuration_position, &snapshot.configuration);
        let same = |first: &Known| first.position == at && *first.configuration == *configuration;
        if known.first().is_some_and(same) {
            return;
        }
        known.retain(|known| known.position.index > at.index);
        known.insert(0, Known::of(at, configuration.clone()));
    }

    /// S2: a server's log is gone, and a snapshot stands for it.
    pub(super) fn begins_behind(&mut self, place: usize, snapshot: &Snapshot) {
        if let Some(known) = self.known.get_mut(place) {
            let at = snapshot.configuration_position;
            *known = vec![Known::of(at, snapshot.configuration.clone())];
        }
    }

    /// Returns how many configurations are gone.
    fn replace(&mut self, place: usize, first: LogIndex, entries: &[Entry]) -> u64 {
        let Some(known) = self.known.get_mut(place) else { return 0 };
        let stays = |known: &Known| known.position.index < first || known.position.index.0 == 0;
        let gone = known.split_off(known.partition_point(stays));
        for entry in entries {
            if let Payload::Configuration(configuration) = &entry.payload {
                let same = |one: &&Known| {
                    one.position == entry.position() && *one.configuration == *configuration
                };
                let new = || Known::of(entry.position(), configuration.clone());
                known.push(gone.iter().find(same).cloned().unwrap_or_else(new));
            }
        }
        gone.len() as u64
    }

    /// What is in force at a server: the last configuration in its log (rule M2).
    pub(super) fn in_force(&self, place: usize) -> Option<&Known> {
        self.known.get(place)?.last()
    }

    /// Whether a server that knows of commits up to an index may have to seek election: it has a
    /// vote or, while it does not know the last configuration to be committed, had one before.
    pub(super) fn may_seek(&self, place: usize, commit_index: LogIndex) -> bool {
        let known = self.known.get(place).map(Vec::as_slice).unwrap_or_default();
        let votes = |known: &Known| {
            let Configuration { voters, outgoing, .. } = &*known.configuration;
            voters.iter().chain(outgoing).any(|voter| bit(*voter) == 1 << place)
        };
        match known {
            [.., before, last] if last.position.index > commit_index => {
                votes(last) || votes(before)
            }
            [.., last] => votes(last),
            [] => false,
        }
    }

    /// What elected a leader whose first entry stands there: the last configuration before it.
    pub(super) fn elected(&mut self, place: usize, first: LogIndex) -> Option<Quorums> {
        let known = self.known.get(place)?;
        let by = known.iter().rfind(|known| known.position.index < first)?;
        self.elected_while_joint += u64::from(!by.configuration.outgoing.is_empty());
        Some(by.quorums)
    }

    /// An entry was committed that nobody has committed before.
    pub(super) fn committed(&mut self, entry: &Entry) {
        let Payload::Configuration(configuration) = &entry.payload else { return };
        let (_, before) = self.committed_as_of(entry.index);
        let promotes = !before.learners.is_disjoint(&configuration.voters);
        self.promotions += u64::from(promotes);
        self.completed += u64::from(configuration.outgoing.is_empty());
        self.committed.push((entry.position(), configuration.clone()));
    }

    /// The last configuration that was committed up to an index, and where it stands.
    pub(super) fn committed_as_of(&self, index: LogIndex) -> (LogPosition, &Configuration) {
        let known = self.committed.partition_point(|(position, _)| position.index <= index);
        let (position, configuration) = &self.committed[known.max(1) - 1];
        (*position, configuration)
    }

    /// What must hold of one server after each of its steps.
    pub(super) fn check(
        &self,
        place: usize,
        raft: &Raft<MemoryStore>,
    ) -> Result<(), (Invariant, String)> {
        let Some(Known { position, configuration, .. }) = self.in_force(place) else {
            return Ok(());
        };
        let index = raft.configuration_index();
        if index != position.index || raft.configuration() != &**configuration {
            let how = format!(
                "{} at {index} is in force, and the last in the log is {configuration} at {}",
                raft.configuration(),
                position.index
            );
            return Err((Invariant::NewestConfiguration, how));
        }
        let votes = configuration.voters.contains(&raft.id())
            || configuration.outgoing.contains(&raft.id());
        if raft.role() == RoleKind::Leader && index <= raft.commit_index() && !votes {
            let how = format!("it leads, and {configuration} at {index} is committed");
            return Err((Invariant::LeaderBelongs, how));
        }
        Ok(())
    }

    /// What must hold after a log was changed. `last` are the ends of all logs, `is_committed` says
    /// what anybody has committed.
    pub(super) fn check_logs(
        &self,
        place: usize,
        last: &[LogPosition],
        is_committed: impl Fn(LogPosition) -> bool,
    ) -> Result<(), (Invariant, String)> {
        let known = self.known.get(place).map(Vec::as_slice).unwrap_or_default();
        let positions = known.iter().map(|known| known.position).filter(|at| at.index.0 > 0);
        let mut pending = positions.rev().filter(|at| !is_committed(*at));
        if let (Some(other), Some(one)) = (pending.next(), pending.next()) {
            let how = format!("its log holds configurations at {one} and {other}");
            return Err((Invariant::OnePendingConfiguration, how));
        }
        for other in (0..last.len()).filter(|other| *other != place) {
            if !self.overlap(place, other, last) {
                let how = format!(
                    "S{} and S{} could be elected in one term by different servers",
                    place + 1,
                    other + 1
                );
                return Err((Invariant::QuorumOverlap, how));
            }
        }
        Ok(())
    }

    /// Whether two servers that sought election in one term, in which nobody has voted, would each
    /// need a vote that the other needs. Who would vote for whom follows from their logs (E4).
    fn overlap(&self, one: usize, other: usize, last: &[LogPosition]) -> bool {
        let quorums = |place| self.in_force(place).map(|known| known.quorums);
        let (Some(of_one), Some(of_other)) = (quorums(one), quorums(other)) else { return true };
        if of_one == of_other {
            return true; // Two majorities of the same servers share one.
        }
        let key = |position: &LogPosition| (position.term, position.index);
        let voters = |place: usize| {
            let grants = |voter: &LogPosition| key(&last[place]) >= key(voter);
            let bits = last.iter().enumerate().filter(|(_, voter)| grants(voter));
            bits.fold(0, |set: ServerSet, (place, _)| set | 1 << place)
        };
        let (for_one, for_other) = (voters(one), voters(other));
        let apart =
            |set: ServerSet| of_one.contains(set & for_one) && of_other.contains(!set & for_other);
        !(0..=(SETS - 1) as ServerSet).any(apart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_specs::Term;

    fn of(voters: &[u64], outgoing: &[u64]) -> Configuration {
        let ids = |ids: &[u64]| ids.iter().copied().map(ServerId).collect();
        Configuration { voters: ids(voters), outgoing: ids(outgoing), ..Default::default() }
    }

    fn at(index: u64, term: u64) -> LogPosition {
        LogPosition { index: LogIndex(index), term: Term(term) }
    }

    fn appends(memberships: &mut Memberships, place: usize, at: LogPosition, now: Configuration) {
        let payload = Payload::Configuration(now);
        let entry = Entry { term: at.term, index: at.index, payload };
        memberships.writes(place, at.index, &[entry]);
    }

    #[test]
    fn quorums_are_majorities_of_both_halves() {
        let plain = Quorums::of(&of(&[1, 2, 3], &[]));
        assert!(plain.contains(0b011) && plain.contains(0b101_0101) && !plain.contains(0b111_1001));
        let joint = Quorums::of(&of(&[3, 4], &[1, 2, 3]));
        assert!(joint.contains(0b1101) && !joint.contains(0b1100) && !joint.contains(0b0111));
        let none = Quorums::of(&Configuration::default());
        assert!(!none.contains(0) && !none.contains(0b111_1111));
        let beyond = Quorums::of(&of(&[1, 9], &[]));
        assert!(!beyond.contains(0b111_1111));
    }

    #[test]
    fn two_servers_changed_at_once_can_elect_two_leaders() {
        let mut memberships = Memberships::new(5, 3);
        let last = [at(1, 1), at(0, 0), at(0, 0), at(1, 1), at(0, 0)];
        appends(&mut memberships, 0, at(1, 1), of(&[1, 2, 3, 4], &[]));
        assert_eq!(memberships.check_logs(0, &last, |_| false), Ok(()));
        appends(&mut memberships, 0, at(1, 1), of(&[1, 2, 3, 4, 5], &[]));
        let found = memberships.check_logs(0, &last, |_| false).map_err(|(invariant, _)| invariant);
        assert_eq!(found, Err(Invariant::QuorumOverlap));
        appends(&mut memberships, 0, at(1, 1), of(&[1, 2, 3, 4, 5], &[1, 2, 3]));
        assert_eq!(memberships.check_logs(0, &last, |_| false), Ok(()));
        assert_eq!(memberships.aborted, 2);
    }

    #[test]
    fn one_configuration_may_be_pending() {
        let mut memberships = Memberships::new(3, 3);
        let last = [at(2, 1), at(1, 1), at(0, 0)];
        for place in [0, 1] {
            appends(&mut memberships, place, at(1, 1), of(&[1, 2], &[]));
        }
        let first = Entry {
            term: Term(1),
            index: LogIndex(1),
            payload: Payload::Configuration(of(&[1, 2], &[])),
        };
        appends(&mut memberships, 0, at(2, 1), of(&[1], &[]));
        let found = memberships.check_logs(0, &last, |_| false).map_err(|(invariant, _)| invariant);
        assert_eq!(found, Err(Invariant::OnePendingConfiguration));
        memberships.committed(&first);
        assert_eq!((memberships.completed, memberships.promotions), (1, 0));
        let found = memberships
            .check_logs(0, &last, |at| at.index.0 == 1)
            .map_err(|(invariant, _)| invariant);
        assert_eq!(found, Ok(()));
    }
}
