//! A cluster in this process, whose servers can be stopped and started.

use crate::journal::Journal;
use kontiki_node::kontiki::driver::Consistency;
use kontiki_node::kontiki::{MembershipChange, ServerId};
use kontiki_node::{
    Handle, Node, NodeConfig, NodeStatus, RequestError, Security, Start, StartError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test fails. It never does.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const CLUSTER: u128 = 0x6b6f_6e74_696b_6921;

pub struct Cluster {
    pub directory: TempDir,
    pub addresses: BTreeMap<ServerId, SocketAddr>,
    /// The servers that form the cluster.
    pub founders: BTreeSet<ServerId>,
    pub nodes: BTreeMap<ServerId, Node<Journal>>,
    pub adjust: fn(&mut NodeConfig),
    /// The numbers of all commands that were acknowledged.
    pub acknowledged: Vec<u64>,
    pub next: u64,
}

impl Cluster {
    /// Starts so many servers.
    pub async fn start(servers: u64) -> Cluster {
        Cluster::adjusted(servers, |_| {}).await
    }

    /// As [`Cluster::start`], with configurations that are changed by a function.
    pub async fn adjusted(servers: u64, adjust: fn(&mut NodeConfig)) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let listeners: Vec<_> = (1..=servers)
            .map(|id| (ServerId(id), TcpListener::bind("127.0.0.1:0").unwrap()))
            .collect();
        let address =
            |(id, listener): &(ServerId, TcpListener)| (*id, listener.local_addr().unwrap());
        let addresses = listeners.iter().map(address).collect();
        let (nodes, acknowledged) = (BTreeMap::new(), Vec::new());
        let founders = (1..=servers).map(ServerId).collect();
        let mut cluster =
            Cluster { directory, addresses, founders, nodes, adjust, acknowledged, next: 0 };
        for (id, listener) in listeners {
            let config = cluster.config(id, listener);
            cluster.nodes.insert(id, Node::start(config, Journal::default()).await.unwrap());
        }
        cluster
    }

    pub fn config(&self, id: ServerId, listener: TcpListener) -> NodeConfig {
        let addresses = self.addresses.iter().map(|(id, address)| (*id, address.to_string()));
        let directory = self.directory.path().join(id.to_string());
        let mut config = NodeConfig::new(
            CLUSTER,
            id,
            addresses.collect(),
            directory,
            listener,
            Security::Plaintext,
        );
        config.start = Start::Bootstrap { voters: self.founders.clone() };
        (self.adjust)(&mut config);
        config
    }

    /// Starts a server that was stopped, once its port and its directory are free.
    pub async fn restart(&mut self, id: ServerId) {
        let listener =
            eventually("a port", async || TcpListener::bind(self.addresses[&id]).ok()).await;
        let node = eventually("a directory", async || {
            let config = self.config(id, listener.try_clone().unwrap());
            match Node::start(config, Journal::default()).await {
                Err(StartError::Store(kontiki_store::Error::InUse { .. })) => None,
                started => Some(started.unwrap()),
            }
        });
        let node = node.await;
        self.nodes.insert(id, node);
    }

    /// What a server is told that joins. It knows the addresses of all that there are.
    pub fn joining(&mut self, id: ServerId) -> NodeConfig {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.addresses.insert(id, listener.local_addr().unwrap());
        let mut config = self.config(id, listener);
        config.start = Start::Join;
        config
    }

    /// Starts a server that joins.
    pub async fn join(&mut self, id: ServerId) {
        let config = self.joining(id);
        self.nodes.insert(id, Node::start(config, Journal::default()).await.unwrap());
    }

    pub async fn shutdown(&mut self, id: ServerId) {
        self.nodes.remove(&id).unwrap().shutdown().await;
    }

    pub fn handle(&self, id: ServerId) -> Handle<Journal> {
        self.nodes[&id].handle()
    }

    pub async fn status(&self, id: ServerId) -> NodeStatus {
        self.handle(id).status().await.unwrap()
    }

    /// Some server that leads, as soon as there is one.
    pub async fn leader(&self) -> ServerId {
        eventually("a leader", async || {
            for (id, node) in &self.nodes {
                let status = node.handle().status().await.unwrap().server;
                if status.leader == Some(*id) {
                    return Some(*id);
                }
            }
            None
        })
        .await
    }

    /// Has a server lead.
    pub async fn transfer(&self, to: ServerId) {
        eventually("a transfer", async || {
            let leader = self.leader().await;
            match leader == to {
                true => Some(()),
                false => self.handle(leader).transfer(to).await.ok(),
            }
        })
        .await;
    }

    /// Changes the membership.
    pub async fn change(&self, change: MembershipChange) {
        eventually("a change", async || {
            let leader = self.leader().await;
            self.handle(leader).change_membership(change.clone(), None).await.ok()
        })
        .await;
    }

    /// Writes the next number, at whichever server takes it. One that may have been written is not written
    /// again.
    pub async fn write(&mut self) {
        self.next += 1;
        let number = self.next;
        let written = eventually("a write", async || {
            let leader = self.leader().await;
            match self.handle(leader).write(number.to_le_bytes().to_vec()).await {
                Ok(_) => Some(true),
                Err(RequestError::Done { .. } | RequestError::Unknown(_)) => Some(false),
                Err(error) => {
                    assert!(error.is_certainly_not_done());
                    None
                }
            }
        });
        if written.await {
            self.acknowledged.push(number);
        }
    }

    /// Reads at every server, and finds all that was acknowledged, once and in order.
    pub async fn check(&self) {
        for id in self.nodes.keys() {
            let all = eventually("a read", async || {
                self.handle(*id).read(Consistency::Linearizable, ()).await.ok()
            });
            let all = all.await;
            assert!(all.is_sorted_by(|a, b| a < b), "{id} has executed {all:?}");
            let lost: Vec<_> = self.acknowledged.iter().filter(|one| !all.contains(one)).collect();
            assert!(lost.is_empty(), "{id} has lost {lost:?} of {all:?}");
        }
    }
}

/// Waits until something has come about.
pub async fn eventually<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
