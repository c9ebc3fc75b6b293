//! What waits is bounded in bytes, and the bytes of what waits no more are free again.

use crate::cluster::{CLUSTER, Cluster, eventually};
use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::driver::Consistency;
use kontiki_node::kontiki::{LogIndex, ServerId};
use kontiki_node::{
    Client, Node, NodeConfig, Patience, RequestError, Security, SnapshotImage, StateMachine,
};
use std::collections::BTreeMap;
use std::future::ready;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

const S1: ServerId = ServerId(1);

/// Whoever does not wait for the answer gives the room back, too, and so does whoever was answered.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_have_ended_leave_their_room_to_others() {
    let cluster = Cluster::adjusted(1, |config| config.limits.request_bytes = 1024).await;
    assert_eq!(cluster.leader().await, S1);
    let handle = cluster.handle(S1);
    for number in 1..=200_u64 {
        let written = handle.write(number.to_le_bytes().to_vec()).await;
        assert_eq!(written, Ok(number));
        let read = handle.read(Consistency::Linearizable, ()).await;
        assert_eq!(read.map(|all| all.len()), Ok(200.min(number as usize)));
    }
    for number in 201..=250_u64 {
        // One that finds no room while others are being executed is not begun, and is asked for again.
        eventually("room", async || {
            tokio::select! {
                biased;
                answer = handle.write(number.to_le_bytes().to_vec()) => answer.ok().map(drop),
                () = ready(()) => Some(()),
            }
        })
        .await;
    }
    let written = eventually("room", async || {
        let written = handle.write(251_u64.to_le_bytes().to_vec()).await;
        assert!(written.is_ok() || matches!(written, Err(RequestError::Refused(_))), "{written:?}");
        written.ok()
    });
    assert_eq!(written.await, 251);
}

/// A state machine that takes anything.
struct Anything;

impl StateMachine for Anything {
    type Answer = ();
    type Query = ();
    type Reply = ();
    fn apply(&mut self, _: LogIndex, _: &Bytes) {}
    fn query(&self, (): ()) {}
    fn snapshot(&self) -> SnapshotImage {
        Box::new(|_: &mut dyn Write| Ok(()))
    }
    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

const COMMAND_BYTES: usize = 64 << 10;

/// Many times as much is sent as may wait, on the side of the sender and on that of the receiver.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_have_arrived_leave_their_room_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let ids = [1, 2].map(ServerId);
    let listeners = ids.map(|id| (id, TcpListener::bind("127.0.0.1:0").unwrap()));
    let addresses: BTreeMap<_, _> =
        listeners.iter().map(|(id, at)| (*id, at.local_addr().unwrap().to_string())).collect();
    let mut nodes = Vec::new();
    for (id, listener) in listeners {
        let disk = directory.path().join(id.to_string());
        let security = Security::Plaintext;
        let mut config = NodeConfig::new(CLUSTER, id, addresses.clone(), disk, listener, security);
        config.driver.raft.limits.command_bytes = COMMAND_BYTES as u64;
        config.driver.raft.limits.batch_bytes = COMMAND_BYTES as u64;
        config.limits.chunk_bytes = COMMAND_BYTES;
        // What is read and waits may have half a mebibyte more, which is what a frame may have.
        config.limits.peer_bytes = 4 * COMMAND_BYTES;
        nodes.push((id, Node::start(config, Anything).await.unwrap()));
    }
    let handles: BTreeMap<_, _> = nodes.iter().map(|(id, node)| (*id, node.handle())).collect();
    let client =
        Client::new(handles, Patience { total: Duration::from_secs(60), ..Default::default() });
    for number in 0..50 {
        // Both have to take it.
        assert_eq!(client.write(vec![7; COMMAND_BYTES]).await, Ok(()), "command {number}");
    }
    for (_, node) in nodes {
        node.shutdown().await;
    }
}
