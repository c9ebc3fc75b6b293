//! A new cluster of what one server has, after a majority was lost for good.

use crate::cluster::{CLUSTER, Cluster, eventually};
use crate::journal::Journal;
use kontiki_node::kontiki::{MembershipChange, ServerId};
use kontiki_node::recovery::{RecoveryError, examine, recover};
use kontiki_node::{Node, NodeConfig, Start, TransportError};
use std::fs;
use std::net::TcpListener;

const NEW: u128 = CLUSTER + 7;
const S3: ServerId = ServerId(3);

fn snapshots_often(config: &mut NodeConfig) {
    config.driver.raft.snapshot_bytes = 400;
    config.driver.raft.kept_entries = 1;
}

fn of_the_new_cluster(config: &mut NodeConfig) {
    config.cluster = NEW;
}

/// Four servers of which three are lost. The one that is left is recovered, and others join it.
async fn one_survivor_goes_on(adjust: fn(&mut NodeConfig)) {
    let mut cluster = Cluster::adjusted(5, adjust).await;
    for _ in 0..50 {
        cluster.write().await;
    }
    cluster.check().await; // So all servers have everything.
    // Members have come and gone, by a joint configuration too: the log has some that are not to be gone by.
    cluster.join(ServerId(6)).await;
    cluster.handle(ServerId(6)).admitted().await.unwrap();
    let voters = [3, 4, 5, 6].map(ServerId);
    cluster.change(MembershipChange::Replace { voters: voters.into(), learners: Vec::new() }).await;
    for id in [1, 2].map(ServerId) {
        cluster.shutdown(id).await;
    }
    cluster.write().await;
    cluster.check().await;
    for id in voters {
        cluster.shutdown(id).await;
    }
    let root = cluster.directory.path().to_owned();
    let (old, new) = (root.join("S3"), root.join("recovered"));
    let survivor = examine(&old).unwrap();
    assert_eq!(survivor.owner.server, S3);
    assert_eq!(survivor.configuration.voters, voters.into());
    assert_eq!(
        survivor.snapshot.is_some(),
        root.join("S3")
            .read_dir()
            .unwrap()
            .any(|file| { file.unwrap().file_name().to_string_lossy().ends_with(".snapshot") })
    );
    let shown = survivor.to_string();
    assert!(shown.contains(&survivor.confirmation()) && shown.contains("lost"), "{shown}");

    let confirmation = survivor.confirmation();
    let refused = recover(&old, &new, NEW, "yes").err().unwrap();
    assert!(matches!(refused, RecoveryError::OtherConfirmation { .. }), "{refused}");
    let refused = recover(&old, &new, CLUSTER, &confirmation).err().unwrap();
    assert!(matches!(refused, RecoveryError::SameCluster), "{refused}");
    let refused = recover(root.join("S9"), &new, NEW, &confirmation).err().unwrap();
    assert!(matches!(refused, RecoveryError::Store(_)), "{refused}");
    // An attempt that was interrupted leaves this.
    fs::create_dir(root.join("recovered.recovering")).unwrap();
    fs::write(root.join("recovered.recovering").join("identity"), "half").unwrap();
    assert_eq!(recover(&old, &new, NEW, &confirmation).unwrap(), survivor);
    assert!(!root.join("recovered.recovering").exists());
    let refused = recover(&old, &new, NEW, &confirmation).err().unwrap();
    assert!(matches!(refused, RecoveryError::Exists { .. }), "{refused}");

    // The new cluster: the survivor alone, and then others, with the ids of those that were lost.
    let acknowledged = cluster.acknowledged.clone();
    let mut recovered = Cluster::start(0).await;
    recovered.adjust = of_the_new_cluster;
    recovered.acknowledged = acknowledged;
    recovered.next = 1000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    recovered.addresses.insert(S3, listener.local_addr().unwrap());
    let mut config = recovered.config(S3, listener);
    config.start = Start::Existing;
    config.directory = new;
    recovered.nodes.insert(S3, Node::start(config, Journal::default()).await.unwrap());
    recovered.check().await;
    let status = recovered.status(S3).await.server;
    assert_eq!(status.configuration.voters, [S3].into());
    for id in [ServerId(1), ServerId(2)] {
        recovered.join(id).await;
        recovered.handle(id).admitted().await.unwrap();
    }
    recovered.write().await;
    recovered.check().await;

    // One of the old cluster that comes back is not listened to.
    cluster.addresses.insert(S3, recovered.addresses[&S3]);
    cluster.restart(ServerId(5)).await;
    eventually("a refusal", async || {
        let peers = cluster.status(ServerId(5)).await.peers;
        let third = peers.into_iter().find(|peer| peer.server == S3)?;
        let error = third.last_error?;
        matches!(*error, TransportError::WrongServer { .. }).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_with_a_log_goes_on() {
    one_survivor_goes_on(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_with_a_snapshot_goes_on() {
    one_survivor_goes_on(snapshots_often).await;
}
