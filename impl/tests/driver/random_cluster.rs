//! Clusters of drivers under faults: what clients are told is true, and in the end the cluster works.

use crate::cluster::{Cluster, MILLISECOND, SECOND, STORM, Weather};
use crate::random::Random;
use kontiki::driver::{DriverConfig, Timings};
use kontiki::{LogIndex, MembershipChange, ServerId};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

fn adjust(config: &mut DriverConfig) {
    config.timings = Timings::for_election_timeout(Duration::from_millis(500));
    config.timings.disk_write = Duration::from_millis(20);
    config.raft.snapshot_bytes = 2000;
    config.raft.kept_entries = 5;
    config.raft.limits.apply_bytes = 300;
    config.raft.limits.uncommitted_bytes = 2000;
    config.raft.limits.batch_entries = 8;
    config.raft.limits.window_entries = 16;
    config.raft.limits.waiting_reads = 4;
    config.limits.batch_commands = 4;
    config.limits.waiting_commands = 40;
    config.limits.waiting_reads = 30;
    config.limits.group_bytes = 600;
}

/// What goes wrong in one run.
struct Plan {
    weather: Weather,
    crashes: u64,
    sleeps: u64,
    cuts: u64,
    changes: u64,
}

fn plan(random: &mut Random) -> Plan {
    let mut weather = STORM;
    weather.lost = random.one_of(&[0, 10, 100, 300]);
    weather.stalls = random.one_of(&[0, 0, 2, 20]);
    weather.execute = random.one_of(&[MILLISECOND, 20 * MILLISECOND, 100 * MILLISECOND]);
    weather.delay = random.one_of(&[MILLISECOND, 20 * MILLISECOND, 200 * MILLISECOND]);
    let crashes = random.one_of(&[0, 5, 30]);
    let (sleeps, cuts) = (random.one_of(&[0, 5, 20]), random.one_of(&[0, 10, 30]));
    Plan { weather, crashes, sleeps, cuts, changes: random.one_of(&[0, 0, 30]) }
}

/// One thing that happens to a cluster.
fn happen(cluster: &mut Cluster, plan: &Plan) {
    let servers = cluster.nodes.len() as u64;
    let node = usize::try_from(cluster.random.below(servers)).unwrap();
    let other = usize::try_from(cluster.random.below(servers)).unwrap();
    if cluster.random.per_mille(plan.crashes) {
        let down = cluster.random.between(1, 3 * SECOND);
        return cluster.crash(node, down);
    }
    if cluster.random.per_mille(plan.sleeps) {
        let asleep = cluster.random.between(1, 5 * SECOND);
        return cluster.sleep(node, asleep);
    }
    if cluster.random.per_mille(plan.cuts) {
        if cluster.random.per_mille(500) {
            cluster.cut.clear();
        } else {
            cluster.cut.insert((node, other));
            if cluster.random.per_mille(500) {
                cluster.cut.insert((other, node));
            }
        }
        return;
    }
    if !cluster.is_up(node) {
        return;
    }
    // Most clients know who leads.
    let leader = cluster.leader().filter(|_| cluster.random.per_mille(800)).unwrap_or(node);
    if cluster.random.per_mille(plan.changes) {
        let change = change(cluster, servers);
        cluster.change(leader, change);
        return;
    }
    let patience = cluster.random.one_of(&[None, Some(50 * MILLISECOND), Some(SECOND)]);
    match cluster.random.below(100) {
        0..60 => {
            for _ in 0..cluster.random.one_of(&[1, 1, 2, 10]) {
                let bytes = cluster.random.one_of(&[0, 10, 100, 700]);
                cluster.propose(leader, bytes, patience);
            }
        }
        60..80 => drop(cluster.read(node, patience)),
        80..90 => drop(cluster.read(leader, patience)),
        90..96 => {
            let most = cluster.history.committed.0 + 1;
            let index = LogIndex(cluster.random.below(most));
            cluster.read_at_least(node, index);
        }
        96..98 => drop(cluster.take_snapshot(node)),
        _ => drop(cluster.transfer(leader, Cluster::id(other))),
    }
}

fn change(cluster: &mut Cluster, servers: u64) -> MembershipChange {
    let server = ServerId(cluster.random.between(1, servers));
    match cluster.random.below(5) {
        0 => MembershipChange::AddLearner(server),
        1 | 2 => MembershipChange::AddVoter(server),
        3 => MembershipChange::Remove(server),
        _ => {
            let votes: Vec<bool> = (0..servers).map(|_| cluster.random.per_mille(700)).collect();
            let voters = (1..=servers).filter(|id| votes[usize::try_from(*id - 1).unwrap()]);
            MembershipChange::Replace { voters: voters.map(ServerId).collect(), learners: vec![] }
        }
    }
}

fn run(seed: u64) -> BTreeMap<&'static str, u64> {
    let mut random = Random::new(seed);
    let plan = plan(&mut random);
    let adjust = if plan.changes > 0 {
        |config: &mut DriverConfig| {
            adjust(config);
            config.raft.catch_up_rounds = 0;
        }
    } else {
        adjust
    };
    let servers = if plan.changes > 0 { 4 } else { 3 };
    let mut cluster = Cluster::new(servers, 3, seed, adjust);
    cluster.run_till(10 * SECOND, |cluster| cluster.leader().is_some());
    cluster.weather = plan.weather;
    for _ in 0..600 {
        happen(&mut cluster, &plan);
        let pause = cluster.random.between(1, 20 * MILLISECOND);
        cluster.run_until(cluster.now + pause);
    }
    recover(&mut cluster);
    cluster.history.told
}

/// Within bounded time a leader commits a new command, everybody has an outcome, and all members have
/// executed the same.
fn recover(cluster: &mut Cluster) {
    cluster.heal();
    cluster.run_until(cluster.now + 5 * SECOND); // A write that stalls is done by then.
    cluster.run_till(20 * SECOND, |cluster| {
        let leader = cluster.leader().map(|leader| &cluster.nodes[leader].driver);
        leader.is_some_and(|leader| {
            let server = leader.server();
            server.transfers_to().is_none() && server.commit_index() == server.last_index()
        })
    });
    // Requests without a deadline have ten seconds.
    cluster.run_till(12 * SECOND, |cluster| cluster.nodes.iter().all(|node| node.open.is_empty()));
    let leader = cluster.leader().unwrap();
    let ticket = cluster.propose(leader, 0, None);
    cluster.run_till(2 * SECOND, |cluster| cluster.nodes[leader].open.is_empty());
    cluster.read(leader, None);
    cluster.run_till(2 * SECOND, |cluster| {
        let server = cluster.nodes[leader].driver.server();
        let members = &server.configuration().voters;
        members.iter().all(|member| {
            let node = usize::try_from(member.0 - 1).unwrap();
            cluster.nodes[node].machine.executed == server.last_index()
        }) && cluster.nodes[leader].open.is_empty()
    });
    assert!(cluster.history.applied(ticket));
    cluster.history.check();
    let commands = cluster.history.commands();
    let executed = cluster.nodes[leader].machine.executed;
    for node in &cluster.nodes {
        let members = &cluster.nodes[leader].driver.server().configuration().voters;
        if members.contains(&node.driver.server().id()) {
            assert_eq!((node.machine.executed, &node.machine.commands), (executed, &commands));
        }
    }
}

/// More of them with `SEEDS=0..5000`.
fn seeds() -> Range<u64> {
    let Ok(seeds) = std::env::var("SEEDS") else { return 0..150 };
    let (first, end) = seeds.split_once("..").unwrap();
    first.parse().unwrap()..end.parse().unwrap()
}

#[test]
fn what_clients_are_told_is_true_and_in_the_end_the_cluster_works() {
    let mut told: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in seeds() {
        println!("seed {seed}");
        for (kind, times) in run(seed) {
            *told.entry(kind).or_default() += times;
        }
    }
    println!("{told:?}");
    for kind in [
        "applied",
        "readable",
        "changed",
        "transferred",
        "snapshot taken",
        "not leader",
        "overwritten",
        "refused",
        "unknown",
    ] {
        assert!(told.get(kind).is_some_and(|times| *times > 0), "nobody is told {kind}: {told:?}");
    }
}
