//! Majorities and quorums: rules E5 and M1.

use super::Mutation;
use super::step::Step;
use kontiki_specs::{Configuration, ServerId};
use std::collections::BTreeSet;

impl Step<'_> {
    /// E5, M1: whether these servers hold a majority of the voters and, while the configuration is
    /// joint, one of the outgoing voters too. Nobody else counts.
    pub(super) fn is_quorum(&self, servers: &BTreeSet<ServerId>) -> bool {
        self.is_quorum_of(&self.state.configuration, servers)
    }

    /// M2: whether a leader may commit what these servers hold. What counts is the configuration in
    /// force, committed or not.
    pub(super) fn commits(&self, holders: &BTreeSet<ServerId>) -> bool {
        self.broken_commit(holders).unwrap_or_else(|| self.is_quorum(holders))
    }

    pub(super) fn is_quorum_of(
        &self,
        configuration: &Configuration,
        servers: &BTreeSet<ServerId>,
    ) -> bool {
        let Configuration { voters, outgoing, .. } = configuration;
        let majority = |of| self.is_majority(of, servers);
        self.broken_quorum(configuration, servers)
            .unwrap_or_else(|| majority(voters) && (outgoing.is_empty() || majority(outgoing)))
    }

    /// E5: whether these servers are more than half of the voters.
    pub(super) fn is_majority(
        &self,
        voters: &BTreeSet<ServerId>,
        servers: &BTreeSet<ServerId>,
    ) -> bool {
        2 * self.electors(voters).intersection(servers).count() > voters.len()
    }

    /// E5: whose votes count where these are the voters: theirs, and nobody else's.
    fn electors(&self, voters: &BTreeSet<ServerId>) -> BTreeSet<ServerId> {
        if self.mutated(Mutation::CountVotesFromOutside) {
            return voters | &self.server.bootstrap.voters;
        }
        voters.clone()
    }

    /// M1: the servers whose votes and copies of the log count.
    fn electorate(&self) -> BTreeSet<ServerId> {
        let Configuration { voters, outgoing, .. } = &*self.state.configuration;
        &self.electors(voters) | &self.electors(outgoing)
    }

    /// M1: whether a server's vote and its copy of the log count.
    pub(super) fn counts(&self, server: ServerId) -> bool {
        self.electorate().contains(&server)
    }

    /// The other servers whose votes count.
    pub(super) fn other_electors(&self) -> BTreeSet<ServerId> {
        let mut others = self.electorate();
        others.remove(&self.state.id);
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Options, RaftServer};
    use std::sync::Arc;

    fn run(first: u64, end: u64) -> BTreeSet<ServerId> {
        (first..end).map(ServerId).collect()
    }

    fn server(bootstrap: Configuration) -> RaftServer {
        RaftServer {
            id: ServerId(1),
            bootstrap: Arc::new(bootstrap),
            options: Options {
                pre_vote: false,
                leader_contact: false,
                leases: false,
                check_quorum: false,
                batch: 1,
                batch_bytes: u64::MAX,
                window_bytes: u64::MAX,
                apply_bytes: None,
                window: 1,
                catch_up_rounds: 0,
                kept_entries: 0,
                snapshot_bytes: None,
                sessions: false,
                foreign_snapshots: false,
            },
            mutation: None,
        }
    }

    /// Those in a set outnumber those that are not.
    fn outnumber(half: &BTreeSet<ServerId>, set: &BTreeSet<ServerId>) -> bool {
        let (inside, outside): (Vec<ServerId>, Vec<ServerId>) =
            half.iter().partition(|server| set.contains(server));
        inside.len() > outside.len()
    }

    /// One of the groups of 1 to 7 voters, alone and with every run of servers as the outgoing half.
    fn small_groups() -> impl Iterator<Item = Configuration> {
        let halves = (1..9).flat_map(|first| (first..9).map(move |end| (first, end)));
        let pairs = halves.flat_map(|outgoing| (2..9).map(move |voters| (voters, outgoing)));
        pairs.map(|(voters, (first, end))| Configuration {
            voters: run(1, voters),
            outgoing: run(first, end),
            learners: run(voters.max(end), 9),
        })
    }

    #[test]
    fn in_every_small_group_a_quorum_outnumbers_the_rest_of_each_half() {
        let sets: Vec<BTreeSet<ServerId>> = (0_u32..256)
            .map(|set| (1..9).filter(|id| set & (1 << (id - 1)) != 0).map(ServerId).collect())
            .collect();
        for configuration in small_groups() {
            let Configuration { voters, outgoing, .. } = &configuration;
            let server = server(configuration.clone());
            let state = server.boot();
            let step = Step::new(&server, &state, state.clone());
            for set in &sets {
                let due =
                    outnumber(voters, set) && (outgoing.is_empty() || outnumber(outgoing, set));
                assert_eq!(step.is_quorum(set), due, "{configuration:?} {set:?}");
            }
        }
    }
}
