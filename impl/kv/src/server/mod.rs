//! A server: a node with the state machine, and clients that are served over TCP.

mod batch;
mod cluster;
mod connection;
mod failure;
mod introduce;
mod report;
mod sessions;
mod slots;

pub use crate::machine::KnownServer;
pub use report::{FollowerReport, PeerReport, RequestCounts, ServerReport};

use crate::machine::{Machine, Outside, Replicated};
use crate::operation::MOST_VALUE_BYTES;
use crate::resp::RequestLimits;
use batch::Batches;
use kontiki_node::kontiki::ServerId;
use kontiki_node::{Handle, Node, NodeConfig, StartError};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, io};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

/// How long a request may be. With all that a log entry has besides, it is below [`ENTRY_BYTES`].
const REQUEST: RequestLimits = RequestLimits {
    bytes: MOST_VALUE_BYTES + (64 << 10),
    argument_bytes: MOST_VALUE_BYTES,
    arguments: 64 << 10,
};
/// The largest log entry.
const ENTRY_BYTES: u64 = 2 << 20;
/// So many connections may have a long request under way at the same time. Others wait.
const LONG_REQUESTS: usize = 64;

/// Files of the disk, the page, and connections that are being refused.
const OTHER_FILES: u64 = 256;

/// What a server is told when it starts.
#[derive(Debug)]
pub struct ServerConfig {
    /// The node.
    pub node: NodeConfig,
    /// Where clients connect to.
    pub listener: TcpListener,
    /// The servers that clients are told of until those servers tell otherwise. What this server tells of itself
    /// is among them.
    pub servers: Vec<KnownServer>,
    /// The most clients that are connected at the same time.
    pub most_clients: usize,
}

impl ServerConfig {
    /// How many files may be open in the process of this server, connections among them.
    pub fn open_files(&self) -> u64 {
        let limits = &self.node.limits;
        // Two connections to each other server, and one to ask it something.
        let to_others = 3 * self.servers.len();
        let connections =
            self.most_clients + limits.connections + limits.unknown_connections + to_others;
        connections as u64 + OTHER_FILES
    }
}

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The node did not.
    #[error(transparent)]
    Node(#[from] StartError),
    /// Clients cannot be listened to.
    #[error("cannot listen to clients: {0}")]
    Listen(#[from] io::Error),
}

/// A server that runs. When this is dropped, it stops at once, as in a crash.
pub struct Server {
    node: Node<Replicated>,
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: Tasks,
}

/// Tasks that end when this is dropped.
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// What all connections know.
pub(crate) struct Shared {
    pub(crate) id: ServerId,
    pub(crate) handle: Handle<Replicated>,
    pub(crate) machine: Arc<Outside>,
    pub(crate) counts: Counts,
    pub(crate) started: Instant,
    pub(crate) port: u16,
    batches: Arc<Batches>,
    configured: BTreeMap<u64, KnownServer>,
    long_requests: Arc<Semaphore>,
}

/// What has happened since the server started, and how many clients are connected now.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) clients: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Shared {
    /// Where clients reach a server, if that is known.
    pub(crate) fn clients_of(&self, server: ServerId) -> Option<String> {
        let introduced = self.machine.servers();
        let known = introduced.get(&server.0).or_else(|| self.configured.get(&server.0));
        known.map(|known| known.clients.clone())
    }

    /// All servers that are known, in the order of their numbers. What a server has told itself counts more than
    /// what is configured.
    pub(crate) fn servers(&self) -> Vec<KnownServer> {
        let mut servers = self.configured.clone();
        servers.extend(self.machine.servers().iter().map(|(id, known)| (*id, known.clone())));
        servers.into_values().collect()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, address) = (&self.shared.id, &self.address);
        f.debug_struct("Server").field("id", id).field("address", address).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server. To be called within a tokio runtime that has IO and time.
    ///
    /// # Errors
    /// [`ServerError`] says what is wrong.
    pub async fn start(config: ServerConfig) -> Result<Server, ServerError> {
        let ServerConfig { mut node, listener, servers, most_clients } = config;
        node.driver.raft.limits.command_bytes = ENTRY_BYTES;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let id = node.driver.raft.id;
        let machine = Machine::default();
        let outside = machine.outside();
        let node = Node::start(node, Replicated::new(machine)).await?;
        let handle = node.handle();
        let batches = Batches::new(handle.clone());
        let shared = Arc::new(Shared {
            id,
            handle: handle.clone(),
            machine: Arc::clone(&outside),
            counts: Counts::default(),
            started: Instant::now(),
            port: address.port(),
            batches: Arc::clone(&batches),
            configured: servers.into_iter().map(|known| (known.id, known)).collect(),
            long_requests: Arc::new(Semaphore::new(LONG_REQUESTS)),
        });
        let tasks = Tasks(vec![
            tokio::spawn(async move { batches.run().await }),
            tokio::spawn(batch::expire(handle, outside)),
            tokio::spawn(introduce::introduce(Arc::clone(&shared))),
            tokio::spawn(accept(listener, Arc::clone(&shared), most_clients)),
        ]);
        Ok(Server { node, shared, address, tasks })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The node.
    pub fn node(&self) -> &Node<Replicated> {
        &self.node
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Shuts the server down: a leader hands over, and who waits is answered. Then the connections are closed.
    pub async fn shutdown(self) {
        let Server { node, mut tasks, .. } = self;
        node.shutdown().await;
        tasks.0.iter().for_each(JoinHandle::abort);
        for task in tasks.0.drain(..) {
            drop(task.await); // Its port is free now.
        }
    }
}

/// Takes connections. When this is dropped, they are closed.
async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>, most: usize) {
    let room = Arc::new(Semaphore::new(most));
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // There are too many open files, as a rule.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let permit = Arc::clone(&room).try_acquire_owned().ok();
        let number = shared.counts.connections.fetch_add(1, Ordering::Relaxed) + 1;
        connections.spawn(serve(stream, number, permit, Arc::clone(&shared)));
    }
}

async fn serve(
    stream: tokio::net::TcpStream,
    number: u64,
    permit: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
) {
    let Some(_permit) = permit else { return connection::refuse(stream).await };
    let _counted = Counted::new(&shared.counts.clients);
    connection::serve(stream, number, &shared).await;
}

/// Counts as one as long as it is there.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
