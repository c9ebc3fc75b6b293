//! Whoever connects and does not belong here.

use crate::cluster::{CLUSTER, Cluster, eventually};
use crate::journal::Journal;
use kontiki_node::kontiki::ServerId;
use kontiki_node::{Node, TransportError};
use std::net::TcpListener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_cluster_is_refused_at_both_ends() {
    let mut cluster = Cluster::start(3).await;
    cluster.write().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = cluster.config(ServerId(3), listener);
    config.cluster = CLUSTER + 1;
    config.directory = cluster.directory.path().join("stranger");
    let stranger = Node::start(config, Journal::default()).await.unwrap();
    let is_wrong = |error: &TransportError| {
        let text = error.to_string();
        matches!(error, TransportError::WrongServer { named, expected }
            if named.cluster == CLUSTER + 1 && expected.cluster == CLUSTER)
            && text.contains(&format!("cluster {CLUSTER:032x}"))
    };
    eventually("a refusal at the stranger", async || {
        let peers = stranger.handle().status().await.unwrap().peers;
        assert!(peers.iter().all(|peer| !peer.connected));
        peers.iter().all(|peer| peer.last_error.as_deref().is_some_and(is_wrong)).then_some(())
    })
    .await;
    eventually("a refusal at the cluster", async || {
        let status = cluster.status(ServerId(1)).await;
        status.last_refusal.as_deref().is_some_and(is_wrong).then_some(())
    })
    .await;
    cluster.write().await;
    cluster.check().await;
}

/// What a server of this cluster says when it connects to the first.
pub fn hello(version: u8, from: u64) -> Vec<u8> {
    let mut hello = b"kontiki\n".to_vec();
    hello.extend_from_slice(&[version, 0]);
    hello.extend_from_slice(&CLUSTER.to_le_bytes());
    for number in [0, from, 1_u64, 0] {
        hello.extend_from_slice(&number.to_le_bytes());
    }
    hello.extend_from_slice(&u128::from(from).to_le_bytes());
    hello.extend_from_slice(&0_u64.to_le_bytes()); // No leases.
    hello
}

/// Sends bytes to the first server, waits until it closes the connection, and gives its reason.
async fn refused(cluster: &Cluster, bytes: &[u8]) -> String {
    let before = cluster.status(ServerId(1)).await.refused_connections;
    let mut stream = TcpStream::connect(cluster.addresses[&ServerId(1)]).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    // A reset will do as well: there may be bytes that nobody has read.
    drop(stream.read_to_end(&mut Vec::new()).await);
    let last = eventually("a refusal", async || {
        let status = cluster.status(ServerId(1)).await;
        status.last_refusal.filter(|_| status.refused_connections > before)
    });
    last.await.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_closes_the_connection_and_does_no_harm() {
    let mut cluster = Cluster::start(1).await;
    cluster.write().await;
    let frame = |length: u32, body: &[u8]| [&hello(1, 9)[..], &length.to_be_bytes(), body].concat();
    let web = b"GET / HTTP/1.1\r\nHost: kontiki.invalid\r\nAccept: */*\r\n\r\n".to_vec();
    let of_group =
        |kind, group: u64, rest: &[u8]| [&[1, kind], &group.to_le_bytes()[..], rest].concat();
    let mut no_lane = hello(1, 9);
    no_lane[9] = 7;
    let nonsense = [
        (no_lane, "no Kontiki server"),
        (web, "no Kontiki server"),
        (hello(77, 9), "version 77"),
        (frame(u32::MAX, &[1; 100]), "longer than"),
        (frame(10, &of_group(99, 0, &[])), "no message of kind 99"),
        (frame(2, &[8, 1]), "version 8"),
        (frame(0, &[]), "makes no sense"),
        (frame(11, &of_group(5, 0, &[0])), "makes no sense"),
        (frame(18, &of_group(15, 3, &[0; 8])), "group 3"),
    ];
    for (bytes, reason) in nonsense {
        let refusal = refused(&cluster, &bytes).await;
        assert!(refusal.contains(reason), "{reason}: {refusal}");
    }
    cluster.write().await;
    cluster.check().await;
}
