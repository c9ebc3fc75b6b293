//! What does not start, and what stops.

use crate::cluster::{Cluster, eventually};
use crate::journal::{Journal, PANIC};
use kontiki_node::kontiki::ServerId;
use kontiki_node::kontiki::driver::{Doubt, Reason, StopCause};
use kontiki_node::{Node, RequestError, Security, StartError};
use std::net::TcpListener;
use std::time::Instant;

fn free() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_the_machine_has_to_be_asked_for() {
    let mut cluster = Cluster::start(1).await;
    cluster.shutdown(ServerId(1)).await;
    let everywhere = || TcpListener::bind("0.0.0.0:0").unwrap();
    let config = cluster.config(ServerId(1), everywhere());
    let refused = Node::start(config, Journal::default()).await.err().unwrap();
    assert!(matches!(refused, StartError::PlaintextBeyondLoopback { .. }), "{refused}");
    assert!(refused.to_string().contains("PlaintextBeyondLoopback"));
    let mut config = cluster.config(ServerId(1), everywhere());
    config.security = Security::PlaintextBeyondLoopback;
    Node::start(config, Journal::default()).await.unwrap().shutdown().await;
}

/// C4: what a server promises with leases is on its disk before it can promise anything, and what it promised
/// before is over when it promises less.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_promises_is_on_its_disk() {
    let mut cluster = Cluster::adjusted(1, |config| config.driver.raft.leases = true).await;
    let of = cluster.config(ServerId(1), free());
    let (file, timeout) = (of.directory.join("members"), of.driver.timings.election_timeout);
    let promises = |nanoseconds: u128| {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("\npromise {nanoseconds}\n")), "{text}");
    };
    promises(timeout.as_nanos());
    cluster.shutdown(ServerId(1)).await;
    cluster.adjust = |_| {};
    let begun = Instant::now();
    cluster.restart(ServerId(1)).await;
    assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());
    promises(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_open_once_and_belongs_to_one_server() {
    let mut cluster = Cluster::start(1).await;
    let config = cluster.config(ServerId(1), free());
    let refused = Node::start(config, Journal::default()).await.err().unwrap();
    assert!(matches!(refused, StartError::Store(kontiki_store::Error::InUse { .. })), "{refused}");
    cluster.shutdown(ServerId(1)).await;
    let mut config = cluster.config(ServerId(1), free());
    config.group = 5;
    let refused = Node::start(config, Journal::default()).await.err().unwrap();
    let is_other = matches!(refused, StartError::Store(kontiki_store::Error::OtherOwner { .. }));
    assert!(is_other, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_settings_are_refused() {
    let cluster = Cluster::start(1).await;
    let mut config = cluster.config(ServerId(1), free());
    config.limits.chunk_bytes = 0;
    let refused = Node::start(config, Journal::default()).await.err().unwrap();
    assert!(matches!(refused, StartError::Size { name: "chunk_bytes", .. }), "{refused}");
    let mut config = cluster.config(ServerId(1), free());
    config.driver.timings.heartbeat_interval = config.driver.timings.election_timeout;
    let refused = Node::start(config, Journal::default()).await.err().unwrap();
    assert!(matches!(refused, StartError::Driver(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_machine_that_panics_stops_the_server() {
    let mut cluster = Cluster::start(1).await;
    cluster.write().await;
    let handle = cluster.handle(ServerId(1));
    let answer = handle.write(PANIC).await;
    assert_eq!(answer, Err(RequestError::Unknown(Doubt::Stopped)));
    eventually("a stop", async || handle.status().await.unwrap().stopped).await;
    let stopped = handle.status().await.unwrap().stopped;
    assert!(matches!(stopped, Some(StopCause::StateMachine(_))), "{stopped:?}");
    let later = handle.write(7_u64.to_le_bytes().to_vec()).await;
    assert_eq!(later, Err(RequestError::Refused(Reason::Stopping)));
    cluster.shutdown(ServerId(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_names_the_leader_and_a_node_that_has_ended_says_so() {
    let mut cluster = Cluster::start(3).await;
    cluster.write().await;
    let (follower, refused) = eventually("a refusal that names the leader", async || {
        let leader = cluster.leader().await;
        let follower = *cluster.nodes.keys().find(|id| **id != leader)?;
        let refused = cluster.handle(follower).write(&b"12345678"[..]).await.err();
        let names = |error: &_| matches!(error, RequestError::NotLeader { leader: Some(_) });
        Some(follower).zip(refused.filter(names))
    })
    .await;
    assert!(refused.is_certainly_not_done());
    let handle = cluster.handle(follower);
    cluster.shutdown(follower).await;
    let refused = handle.write(&b"12345678"[..]).await;
    assert_eq!(refused, Err(RequestError::Refused(Reason::Stopping)));
    assert!(handle.status().await.is_err());
}

/// As many bytes of requests wait as may, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn requests_without_bound_are_refused() {
    let cluster = Cluster::adjusted(3, |config| config.limits.request_bytes = 1024).await;
    let leader = cluster.handle(cluster.leader().await);
    let writes = (0..50_u64).map(|number| {
        let leader = leader.clone();
        tokio::spawn(async move { leader.write(number.to_le_bytes().to_vec()).await })
    });
    let mut refused = 0;
    for write in writes.collect::<Vec<_>>() {
        let too_many = RequestError::Refused(Reason::TooManyWaiting { limit: 1024 });
        refused += u32::from(write.await.unwrap() == Err(too_many));
    }
    assert!(refused > 0);
}

/// A leader whose snapshot is damaged cannot bring up a follower, so it makes way for one that can.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_snapshot_is_damaged_stops_and_another_one_sends_its_own() {
    let mut cluster = Cluster::adjusted(3, |config| {
        config.driver.raft.snapshot_bytes = 400;
        config.driver.raft.kept_entries = 1;
    })
    .await;
    cluster.write().await;
    let leader = cluster.leader().await;
    let away = *cluster.nodes.keys().find(|id| **id != leader).unwrap();
    cluster.shutdown(away).await;
    for _ in 0..50 {
        cluster.write().await;
    }
    let leader = cluster.leader().await;
    let snapshot = eventually("a snapshot", async || {
        let status = cluster.status(leader).await.server;
        let directory = cluster.directory.path().join(leader.to_string());
        let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
        let mut snapshots = files.filter(|file| file.extension() == Some("snapshot".as_ref()));
        snapshots.next().filter(|_| status.snapshot.is_some() && status.taking_snapshot.is_none())
    });
    let snapshot = snapshot.await;
    let mut bytes = std::fs::read(&snapshot).unwrap();
    bytes[3] ^= 1;
    std::fs::write(&snapshot, bytes).unwrap();
    cluster.restart(away).await;
    eventually("a stop", async || {
        let stopped = cluster.status(leader).await.stopped?;
        let StopCause::Disk(why) = stopped else { panic!("{stopped:?}") };
        assert!(why.contains("snapshot") && why.contains("does not match"), "{why}");
        Some(())
    })
    .await;
    cluster.nodes.remove(&leader);
    cluster.write().await;
    cluster.check().await;
}
