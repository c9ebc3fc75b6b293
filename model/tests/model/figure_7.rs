//! Figure 7 of the paper: a new leader repairs followers whose logs diverge in every way (L10).

use kontiki_model::actor::servers;
use kontiki_model::properties::recovers;
use kontiki_model::server::{Disk, Log, RaftServer, ServerState};
use kontiki_specs::scope::{Scope, ScopeError};
use kontiki_specs::{Entry, LogIndex, Payload, Term};

/// The leader for term 8 when it is elected: the terms of its entries.
const LEADER: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];

/// The followers of the figure, with the letters that it gives them.
const FOLLOWERS: &[(char, &[u64])] = &[
    ('a', &[1, 1, 1, 4, 4, 5, 5, 6, 6]),
    ('b', &[1, 1, 1, 4]),
    ('c', &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
    ('d', &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
    ('e', &[1, 1, 1, 4, 4, 4, 4]),
    ('f', &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
];

fn server(of: &RaftServer, terms: &[u64], current: u64) -> ServerState {
    let entries = terms.iter().zip(1..).map(|(term, index)| Entry {
        term: Term(*term),
        index: LogIndex(index),
        payload: Payload::Noop,
    });
    let log = Log::from_entries(entries.collect());
    of.recover(Disk { term: Term(current), log, ..Disk::default() }, 0)
}

/// Three servers: the leader to be, a follower of the figure, and one with the leader's log, so
/// that the leader can be elected whatever the follower holds.
fn cluster(batch: u64) -> Result<Vec<RaftServer>, ScopeError> {
    let text = format!("servers = 3\nterms = 15\nlog = 15\nbatch = {batch}");
    Ok(servers(&Scope::parse("figure-7", "test", &text)?, None))
}

#[test]
fn every_divergence_is_repaired() {
    for batch in [1, 3] {
        let servers = cluster(batch).unwrap();
        for (letter, terms) in FOLLOWERS {
            let states = [
                server(&servers[0], LEADER, 8),
                server(&servers[1], terms, 7),
                server(&servers[2], LEADER, 7),
            ];
            let repaired = recovers(
                &servers.iter().collect::<Vec<_>>(),
                &states.iter().collect::<Vec<_>>(),
                false,
            );
            assert!(repaired, "follower {letter}, {batch} entries a message");
        }
    }
}

/// The leader and the follower alone, where the leader's log is the better one.
#[test]
fn the_leader_and_one_follower_are_enough() {
    let servers = cluster(1).unwrap();
    for (letter, terms) in FOLLOWERS.iter().filter(|(letter, _)| !"cd".contains(*letter)) {
        let states = [server(&servers[0], LEADER, 8), server(&servers[1], terms, 7)];
        let repaired =
            recovers(&[&servers[0], &servers[1]], &states.iter().collect::<Vec<_>>(), false);
        assert!(repaired, "follower {letter}");
    }
}
