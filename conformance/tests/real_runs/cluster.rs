//! Servers in this process, over loopback, that record what they do.

use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::driver::Consistency;
use kontiki_node::kontiki::{LogIndex, ServerId};
use kontiki_node::{
    Node, NodeConfig, RecordTo, RequestError, Security, SnapshotImage, Start, StartError,
    StateMachine,
};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test fails. It never does.
const PATIENCE: Duration = Duration::from_secs(60);

/// A state machine that knows how many bytes it was given.
#[derive(Default)]
pub struct Sum(u64);

impl StateMachine for Sum {
    type Answer = u64;
    type Query = ();
    type Reply = u64;

    fn apply(&mut self, _: LogIndex, command: &Bytes) -> u64 {
        self.0 += command.len() as u64;
        self.0
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }

    fn snapshot(&self) -> SnapshotImage {
        let sum = self.0;
        // So long that it goes in several chunks.
        Box::new(move |to: &mut dyn Write| to.write_all(&[sum.to_le_bytes(); 50].concat()))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        io::copy(from, &mut io::sink()).map(drop)
    }
}

pub struct Cluster {
    directory: TempDir,
    addresses: BTreeMap<ServerId, SocketAddr>,
    pub nodes: BTreeMap<ServerId, Node<Sum>>,
    most_bytes: u64,
}

impl Cluster {
    /// Starts three servers with leases, whose recordings have files of so many bytes.
    pub async fn start(most_bytes: u64) -> Cluster {
        let listeners: Vec<_> =
            (1..=3).map(|id| (ServerId(id), TcpListener::bind("127.0.0.1:0").unwrap())).collect();
        let address = |(id, at): &(ServerId, TcpListener)| (*id, at.local_addr().unwrap());
        let addresses = listeners.iter().map(address).collect();
        let directory = tempfile::tempdir().unwrap();
        let mut cluster = Cluster { directory, addresses, nodes: BTreeMap::new(), most_bytes };
        for (id, listener) in listeners {
            let config = cluster.config(id, listener);
            cluster.nodes.insert(id, Node::start(config, Sum::default()).await.unwrap());
        }
        cluster
    }

    pub fn recordings(&self) -> PathBuf {
        self.directory.path().join("recordings")
    }

    fn config(&self, id: ServerId, listener: TcpListener) -> NodeConfig {
        let addresses = self.addresses.iter().map(|(id, address)| (*id, address.to_string()));
        let disk = self.directory.path().join(id.to_string());
        let mut config =
            NodeConfig::new(1, id, addresses.collect(), disk, listener, Security::Plaintext);
        config.driver.raft.leases = true;
        config.driver.raft.kept_entries = 20;
        config.driver.raft.snapshot_bytes = 4096;
        config.limits.chunk_bytes = 150;
        let to = RecordTo::directory(self.recordings());
        config.record = Some(RecordTo { most_bytes: self.most_bytes, files: 1000, ..to });
        config
    }

    /// Ends a server as a crash would.
    pub fn kill(&mut self, id: ServerId) {
        self.nodes.remove(&id).unwrap();
    }

    pub async fn restart(&mut self, id: ServerId) {
        let listener =
            eventually("a port", async || TcpListener::bind(self.addresses[&id]).ok()).await;
        let node = eventually("a directory", async || {
            let config = self.config(id, listener.try_clone().unwrap());
            match Node::start(config, Sum::default()).await {
                Err(StartError::Store(kontiki_store::Error::InUse { .. })) => None,
                started => Some(started.unwrap()),
            }
        });
        let node = node.await;
        self.nodes.insert(id, node);
    }

    /// Starts a server that joins, and waits until it has.
    pub async fn join(&mut self, id: ServerId) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.addresses.insert(id, listener.local_addr().unwrap());
        let mut config = self.config(id, listener);
        config.start = Start::Join;
        self.nodes.insert(id, Node::start(config, Sum::default()).await.unwrap());
        self.nodes[&id].handle().admitted().await.unwrap();
    }

    pub async fn leader(&self) -> ServerId {
        eventually("a leader", async || {
            for (id, node) in &self.nodes {
                let status = node.handle().status().await.unwrap();
                assert_eq!(status.record_failure, None);
                if status.server.leader == Some(*id) {
                    return Some(*id);
                }
            }
            None
        })
        .await
    }

    /// Writes so many commands, several at a time.
    pub async fn write(&self, commands: u64) {
        let mut written = 0;
        while written < commands {
            let leader = self.leader().await;
            let handle = self.nodes[&leader].handle();
            let some = (0..16_u8).map(|_| {
                let handle = handle.clone();
                tokio::spawn(async move { handle.write(vec![b'x'; 40]).await })
            });
            for done in some.collect::<Vec<_>>() {
                match done.await.unwrap() {
                    Ok(_) => written += 1,
                    Err(RequestError::Refused(_) | RequestError::NotLeader { .. }) => {}
                    Err(error) => println!("{error}"),
                }
            }
        }
    }

    pub async fn read_everywhere(&self) {
        for node in self.nodes.values() {
            eventually("a read", async || {
                node.handle().read(Consistency::Linearizable, ()).await.ok()
            })
            .await;
        }
    }

    pub async fn shutdown(&mut self) {
        for node in std::mem::take(&mut self.nodes).into_values() {
            node.shutdown().await;
        }
    }
}

async fn eventually<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
