//! A snapshot that goes over a slow network.

use crate::cluster::{CLUSTER, eventually};
use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::{LogIndex, ServerId};
use kontiki_node::{Node, NodeConfig, Security, SnapshotImage, StateMachine};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener as Listener, TcpStream};
use tokio::sync::Mutex;

const SNAPSHOT_BYTES: usize = 384 << 10;
const CHUNK_BYTES: usize = 128 << 10;
/// A chunk takes longer than an election timeout.
const BYTES_A_SECOND: u64 = 100 << 10;

/// A state machine with a large snapshot.
struct Large;

impl StateMachine for Large {
    type Answer = ();
    type Query = ();
    type Reply = ();
    fn apply(&mut self, _: LogIndex, _: &Bytes) {}
    fn query(&self, (): ()) {}
    fn snapshot(&self) -> SnapshotImage {
        Box::new(|to: &mut dyn Write| to.write_all(&vec![7; SNAPSHOT_BYTES]))
    }
    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        io::copy(from, &mut io::sink()).map(|_| ())
    }
}

/// A network that carries so many bytes a second, in small pieces, of all connections in turn.
struct Slow {
    line: Mutex<()>,
    carried: AtomicU64,
}

impl Slow {
    /// Gives the address of the near end of the network. The server is at the far end.
    async fn to(server: String) -> (String, Arc<Slow>) {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let slow = Arc::new(Slow { line: Mutex::new(()), carried: AtomicU64::new(0) });
        let network = Arc::clone(&slow);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&server).await else { continue };
                let ((near_reads, near_writes), (far_reads, far_writes)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(Arc::clone(&network).carry(near_reads, far_writes));
                tokio::spawn(Arc::clone(&network).carry(far_reads, near_writes));
            }
        });
        (address, slow)
    }

    async fn carry(self: Arc<Self>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut piece = [0; 2048];
        while let Ok(count @ 1..) = from.read(&mut piece).await {
            let turn = self.line.lock().await;
            let time = count as u64 * 1_000_000 / BYTES_A_SECOND;
            tokio::time::sleep(Duration::from_micros(time)).await;
            self.carried.fetch_add(count as u64, Ordering::Relaxed);
            drop(turn);
            if to.write_all(&piece[..count]).await.is_err() {
                return;
            }
        }
    }
}

/// While a follower is sent a snapshot that takes several election timeouts, it hears the leader's heartbeats, and
/// wants no election. It is sent the snapshot once. On a machine that is busy, heartbeats may be late
/// nevertheless, so this has several attempts.
#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_pass_while_a_snapshot_goes_over_a_slow_network() {
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (elections, carried) = send_a_snapshot().await;
        if elections == 0 && carried < SNAPSHOT_BYTES as u64 * 3 / 2 {
            return;
        }
        seen.push((elections, carried));
    }
    panic!("election timeouts, and bytes that were sent: {seen:?}");
}

/// How often the follower wanted to be elected, and how many bytes it was sent.
async fn send_a_snapshot() -> (u64, u64) {
    let directory = tempfile::tempdir().unwrap();
    let ids = [1, 2, 3].map(ServerId);
    let mut listeners =
        BTreeMap::from(ids.map(|id| (id, TcpListener::bind("127.0.0.1:0").unwrap())));
    let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
    let mut addresses: BTreeMap<_, _> =
        listeners.iter().map(|(id, listener)| (*id, address(listener))).collect();
    let (near, slow) = Slow::to(addresses[&ids[2]].clone()).await;
    addresses.insert(ids[2], near);
    let at_far_end = address(&listeners[&ids[2]]);
    let start = async |id: ServerId, listener: TcpListener| {
        let disk = directory.path().join(id.to_string());
        let security = Security::Plaintext;
        let mut config = NodeConfig::new(CLUSTER, id, addresses.clone(), disk, listener, security);
        config.driver.raft.kept_entries = 1;
        config.limits.chunk_bytes = CHUNK_BYTES;
        Node::start(config, Large).await.unwrap()
    };
    let mut free = || listeners.pop_first().unwrap();
    let [first, second, third] = [free(), free(), free()];
    let nodes = [start(first.0, first.1).await, start(second.0, second.1).await];
    let follower = start(third.0, third.1).await;
    let write = async || {
        for node in &nodes {
            if node.handle().write("x").await.is_ok() {
                return Some(node.handle());
            }
        }
        None
    };
    eventually("a write", write).await;
    follower.shutdown().await;
    for _ in 0..10 {
        eventually("a write", write).await;
    }
    eventually("a snapshot", async || write().await?.snapshot().await.ok()).await;
    let listener = eventually("a port", async || TcpListener::bind(&at_far_end).ok()).await;
    let before = slow.carried.load(Ordering::Relaxed);
    let follower = start(ids[2], listener).await;
    let handle = follower.handle();
    let status = eventually("an installation", async || {
        let status = handle.status().await.unwrap().server;
        (status.counters.snapshots_installed > 0).then_some(status)
    });
    let elections = status.await.counters.election_timeouts;
    let carried = slow.carried.load(Ordering::Relaxed) - before;
    assert!(carried > SNAPSHOT_BYTES as u64, "it went another way");
    for node in nodes.into_iter().chain([follower]) {
        node.shutdown().await;
    }
    (elections, carried)
}
