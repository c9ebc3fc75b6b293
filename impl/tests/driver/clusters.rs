//! Clusters of drivers that work: failover, membership, transfers, group commit, reads at followers.

use crate::cluster::{CALM, Cluster, MILLISECOND, SECOND, Time};
use kontiki::driver::{DriverConfig, Timings};
use kontiki::{MembershipChange, RoleKind, ServerId};
use std::time::Duration;

const TIMEOUT: Time = 500 * MILLISECOND;

fn adjust(config: &mut DriverConfig) {
    config.timings = Timings::for_election_timeout(Duration::from_micros(TIMEOUT));
}

fn started(servers: u64, voters: u64, seed: u64) -> (Cluster, usize) {
    started_with(servers, voters, seed, adjust)
}

fn started_with(
    servers: u64,
    voters: u64,
    seed: u64,
    adjust: fn(&mut DriverConfig),
) -> (Cluster, usize) {
    let mut cluster = Cluster::new(servers, voters, seed, adjust);
    cluster.run_till(4 * TIMEOUT, |cluster| cluster.leader().is_some());
    cluster.run_until(cluster.now + TIMEOUT);
    let leader = cluster.leader().unwrap();
    (cluster, leader)
}

/// Asks, and waits until it is answered.
fn done(cluster: &mut Cluster, node: usize) {
    cluster.run_till(4 * TIMEOUT, |cluster| cluster.nodes[node].open.is_empty());
}

#[test]
fn in_calm_weather_one_server_leads_for_ever() {
    for seed in 0..10 {
        let (mut cluster, leader) = started(3, 3, seed);
        let term = cluster.nodes[leader].driver.server().term();
        cluster.run_until(cluster.now + 200 * SECOND);
        let server = cluster.nodes[leader].driver.server();
        assert_eq!((server.role(), server.term()), (RoleKind::Leader, term));
    }
}

#[test]
fn from_a_crash_of_the_leader_to_the_next_command_it_takes_less_than_two_timeouts() {
    let mut took: Vec<Time> = (0..41)
        .map(|seed| {
            let (mut cluster, leader) = started(3, 3, seed);
            let crash = cluster.now;
            cluster.crash(leader, 100 * SECOND);
            loop {
                cluster.run_till(20 * TIMEOUT, |cluster| cluster.leader().is_some());
                let next = cluster.leader().unwrap();
                let ticket = cluster.propose(next, 0, None);
                done(&mut cluster, next);
                if cluster.history.applied(ticket) {
                    return cluster.now - crash;
                }
            }
        })
        .collect();
    took.sort_unstable();
    assert!(took[20] < 2 * TIMEOUT, "the median is {} ms", took[20] / MILLISECOND);
}

#[test]
fn groups_of_writes_grow_with_the_load() {
    let (mut cluster, leader) = started(3, 3, 1);
    cluster.weather.write = 10 * MILLISECOND;
    let before = cluster.nodes[leader].driver.status().counters;
    for _ in 0..1000 {
        cluster.propose(leader, 10, None);
        cluster.run_until(cluster.now + 100);
    }
    done(&mut cluster, leader);
    let after = cluster.nodes[leader].driver.status().counters;
    assert_eq!(after.done - before.done, 1000);
    let batches = after.batches - before.batches;
    assert!((5..=25).contains(&batches), "{batches} batches in 100 ms");
    assert!(after.write_groups - before.write_groups <= batches + 1);
}

#[test]
fn reads_at_followers_see_what_was_acknowledged_before_and_need_no_heartbeat() {
    let (mut cluster, leader) = started(3, 3, 2);
    for _ in 0..50 {
        let ticket = cluster.propose(leader, 0, None);
        done(&mut cluster, leader);
        assert!(cluster.history.applied(ticket));
        let asked = cluster.now;
        for node in 0..3 {
            cluster.read(node, None);
        }
        cluster.run_till(TIMEOUT, |cluster| cluster.nodes.iter().all(|node| node.open.is_empty()));
        assert!(cluster.now - asked < 30 * MILLISECOND, "{} µs", cluster.now - asked);
    }
    assert_eq!(cluster.history.told["readable"], 150);
}

#[test]
fn a_server_is_taken_in_caught_up_made_a_voter_and_the_leader_taken_out() {
    let (mut cluster, leader) = started(4, 3, 3);
    for _ in 0..20 {
        cluster.propose(leader, 100, None);
    }
    done(&mut cluster, leader);
    cluster.change(leader, MembershipChange::AddLearner(ServerId(4)));
    done(&mut cluster, leader);
    cluster.run_until(cluster.now + TIMEOUT);
    cluster.change(leader, MembershipChange::AddVoter(ServerId(4)));
    done(&mut cluster, leader);
    let rest = (1..=4).map(ServerId).filter(|id| *id != Cluster::id(leader)).collect();
    cluster.change(leader, MembershipChange::Replace { voters: rest, learners: vec![] });
    assert!(cluster.nodes[leader].driver.status().change_under_way);
    done(&mut cluster, leader);
    assert_eq!(cluster.history.told["changed"], 3);
    cluster.run_till(4 * TIMEOUT, |cluster| cluster.leader().is_some());
    let next = cluster.leader().unwrap();
    assert_ne!(next, leader);
    let ticket = cluster.propose(next, 0, None);
    done(&mut cluster, next);
    assert!(cluster.history.applied(ticket));
    let status = cluster.nodes[next].driver.status();
    assert_eq!(status.configuration.voters.len(), 3);
    assert!(!status.change_under_way && status.followers.len() == 2);
}

#[test]
fn a_transfer_costs_less_than_an_election_timeout() {
    let (mut cluster, leader) = started(3, 3, 4);
    let to = (leader + 1) % 3;
    let asked = cluster.now;
    cluster.transfer(leader, Cluster::id(to));
    cluster.run_till(TIMEOUT, |cluster| cluster.leader() == Some(to));
    assert!(cluster.now - asked < TIMEOUT / 5);
    done(&mut cluster, leader);
    assert_eq!(cluster.history.told["transferred"], 1);
}

#[test]
fn a_leader_that_sleeps_is_replaced_and_follows_when_it_wakes() {
    for seed in 0..20 {
        let (mut cluster, leader) = started(3, 3, seed);
        cluster.sleep(leader, 60 * SECOND);
        cluster.run_until(cluster.now + 5 * SECOND);
        let next = cluster.leader().unwrap();
        assert_ne!(next, leader);
        let term = cluster.nodes[next].driver.server().term();
        cluster.propose(next, 0, None);
        cluster.run_until(cluster.now + 60 * SECOND);
        // Nobody was disturbed.
        assert_eq!(cluster.leader(), Some(next));
        assert_eq!(cluster.nodes[next].driver.server().term(), term);
        let executed = cluster.nodes[next].machine.executed;
        assert_eq!(cluster.nodes[leader].machine.executed, executed);
    }
}

#[test]
fn a_follower_that_sleeps_disturbs_nobody_when_it_wakes() {
    for seed in 0..20 {
        let (mut cluster, leader) = started(3, 3, seed);
        let term = cluster.nodes[leader].driver.server().term();
        cluster.sleep((leader + 1) % 3, 60 * SECOND);
        cluster.run_until(cluster.now + 70 * SECOND);
        assert_eq!(cluster.leader(), Some(leader));
        assert_eq!(cluster.nodes[leader].driver.server().term(), term);
    }
}

/// Snapshots are sent in chunks of 100 bytes, a round trip each, and one is due after as much log as clients
/// write in the time of two or three (rule S6).
#[test]
fn a_follower_catches_up_by_snapshot_while_clients_write_and_snapshots_are_due_all_the_while() {
    for seed in 0..10 {
        let (mut cluster, leader) = {
            let adjust = |config: &mut DriverConfig| {
                adjust(config);
                (config.raft.snapshot_bytes, config.raft.kept_entries) = (200, 10);
            };
            started_with(3, 3, seed, adjust)
        };
        let writes = |cluster: &mut Cluster, commands: u64| {
            for _ in 0..commands {
                cluster.propose(leader, 0, None);
                cluster.run_until(cluster.now + 2 * MILLISECOND);
            }
        };
        let other = (leader + 1) % 3;
        cluster.crash(other, 2 * SECOND);
        writes(&mut cluster, 1000);
        assert!(cluster.is_up(other));
        writes(&mut cluster, 1000);
        let [executed, of_other] = [leader, other].map(|node| cluster.nodes[node].machine.executed);
        assert!(executed.0 < of_other.0 + 20, "{of_other} of {executed}");
        let status = cluster.nodes[leader].driver.status();
        assert!(status.counters.snapshots_taken > 20, "{:?}", status.counters);
    }
}

#[test]
fn operators_see_who_lags() {
    let (mut cluster, leader) = started(3, 3, 5);
    let other = (leader + 1) % 3;
    cluster.crash(other, 10 * SECOND);
    for _ in 0..7 {
        cluster.propose(leader, 0, None);
    }
    done(&mut cluster, leader);
    let status = cluster.nodes[leader].driver.status();
    let lag = |node| {
        let follower = status.followers.iter().find(|one| one.id == Cluster::id(node));
        follower.map(|one| one.lag)
    };
    assert_eq!((status.role, status.followers.len()), (RoleKind::Leader, 2));
    assert_eq!((lag(other), lag((leader + 2) % 3)), (Some(7), Some(0)));
    assert_eq!(status.executed_index, status.commit_index);
    assert_eq!(cluster.weather.lost, CALM.lost);
}
