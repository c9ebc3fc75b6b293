//! What a cluster is for.

use crate::cluster::Cluster;
use kontiki_node::NodeConfig;
use kontiki_node::kontiki::ServerId;
use kontiki_node::kontiki::driver::Consistency;
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_servers_restart() {
    let mut cluster = Cluster::start(3).await;
    let ids: Vec<ServerId> = cluster.nodes.keys().copied().collect();
    for _ in 0..20 {
        cluster.write().await;
    }
    cluster.check().await;
    for id in &ids {
        cluster.shutdown(*id).await; // The others go on.
        cluster.write().await;
        cluster.restart(*id).await;
        cluster.write().await;
        cluster.check().await;
    }
    for id in &ids {
        cluster.shutdown(*id).await;
    }
    for id in &ids {
        cluster.restart(*id).await;
    }
    cluster.check().await;
    cluster.write().await;
    cluster.check().await;
    assert!(!cluster.acknowledged.is_empty());
}

/// A node that is dropped stops as in a crash.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_leaders_are_dropped() {
    let mut cluster = Cluster::start(3).await;
    for _ in 0..4 {
        cluster.write().await;
        let leader = cluster.leader().await;
        drop(cluster.nodes.remove(&leader));
        cluster.write().await;
        cluster.restart(leader).await;
        cluster.check().await;
    }
    assert!(!cluster.acknowledged.is_empty());
}

/// All clients are answered, each with a count of its own.
#[tokio::test(flavor = "multi_thread")]
async fn many_clients_write_at_once() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.handle(cluster.leader().await);
    let writes = (0..500_u64).map(|number| {
        let leader = leader.clone();
        tokio::spawn(async move { leader.write(number.to_le_bytes().to_vec()).await })
    });
    let mut answers = Vec::new();
    for write in writes.collect::<Vec<_>>() {
        answers.extend(write.await.unwrap().ok());
    }
    let answered = answers.len();
    assert!(answered > 0);
    answers.sort_unstable();
    answers.dedup();
    assert_eq!(answers.len(), answered, "two were told the same");
    let status = leader.status().await.unwrap().server;
    assert!(status.counters.write_groups < 500, "many writes share a sync");
}

/// A leader that is shut down hands over. On a machine that is busy, an election timeout may pass nevertheless,
/// so this has several attempts.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_hands_over_before_it_ends() {
    let mut cluster = Cluster::start(3).await;
    for _ in 0..20 {
        cluster.write().await;
        let old = cluster.leader().await;
        let mut before = BTreeMap::new();
        for id in cluster.nodes.keys() {
            before.insert(*id, cluster.status(*id).await.server.counters.election_timeouts);
        }
        cluster.shutdown(old).await;
        let new = cluster.leader().await;
        assert_ne!(new, old);
        cluster.write().await;
        cluster.check().await;
        if cluster.status(new).await.server.counters.election_timeouts == before[&new] {
            return; // It was told to campaign.
        }
        cluster.restart(old).await;
    }
    panic!("every leader waited for an election timeout");
}

fn snapshots_often(config: &mut NodeConfig) {
    config.driver.raft.snapshot_bytes = 400;
    config.driver.raft.kept_entries = 1;
    config.limits.chunk_bytes = 16; // So that it takes many messages.
}

/// A server that was away is sent a snapshot, and starts from it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_is_sent_a_snapshot() {
    let mut cluster = Cluster::adjusted(3, snapshots_often).await;
    cluster.write().await;
    let leader = cluster.leader().await;
    let away = *cluster.nodes.keys().find(|id| **id != leader).unwrap();
    cluster.shutdown(away).await;
    for _ in 0..100 {
        cluster.write().await;
    }
    let leader = cluster.leader().await;
    let covered = cluster.handle(leader).snapshot().await;
    let taken = cluster.status(leader).await.server.snapshot;
    assert!(covered.is_ok() || taken.is_some(), "{covered:?}");
    cluster.restart(away).await;
    cluster.check().await;
    let installed = cluster.status(away).await.server.counters.snapshots_installed;
    assert!(installed >= 1, "it was sent entries");
    cluster.shutdown(away).await;
    cluster.restart(away).await;
    let status = cluster.status(away).await.server;
    assert!(status.snapshot.is_some());
    cluster.write().await;
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_server_joins_and_another_leads() {
    let mut cluster = Cluster::start(3).await;
    cluster.write().await;
    let fourth = ServerId(4);
    cluster.join(fourth).await;
    cluster.handle(fourth).admitted().await.unwrap();
    cluster.check().await;
    cluster.transfer(fourth).await;
    cluster.write().await;
    cluster.check().await;
    assert!(cluster.status(fourth).await.server.configuration.voters.contains(&fourth));
}

#[tokio::test(flavor = "multi_thread")]
async fn weaker_reads_are_served_too() {
    let mut cluster = Cluster::start(3).await;
    while cluster.acknowledged.is_empty() {
        cluster.write().await;
    }
    let leader = cluster.leader().await;
    let index = cluster.status(leader).await.server.commit_index;
    for id in cluster.nodes.keys() {
        for consistency in [Consistency::AtLeast(index), Consistency::Stale] {
            let read = cluster.handle(*id).read(consistency, ()).await.unwrap();
            assert!(read.contains(&cluster.acknowledged[0]));
        }
    }
}
