//! Three servers of openraft that call each other.

use crate::load::Cluster;
use crate::openraft_store::{Command, Counter, Log, Types};
use anyhow::{Context, Result};
use bytes::Bytes;
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::error::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, v2::RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{Config, OptionalSend, Raft, SnapshotPolicy};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

type Server = Raft<Types, Counter>;

/// The servers.
pub struct OpenraftCluster {
    leader: Server,
    executed: Vec<Arc<AtomicU64>>,
}

/// Where the servers find each other.
#[derive(Clone, Default)]
struct Router(Arc<Mutex<BTreeMap<u64, Server>>>);

/// One server, as another one calls it.
struct Link(Option<Server>);

impl OpenraftCluster {
    /// Starts them, and waits until one leads.
    pub async fn start() -> Result<OpenraftCluster> {
        let config = Config {
            snapshot_policy: SnapshotPolicy::Never,
            max_payload_entries: 1024,
            ..Config::default()
        };
        let config = Arc::new(config.validate()?);
        let (router, mut executed, mut servers) = (Router::default(), Vec::new(), Vec::new());
        for id in 1..=3 {
            let counter = Counter::default();
            executed.push(Arc::clone(&counter.executed));
            let config = Arc::clone(&config);
            let server = Raft::new(id, config, router.clone(), Log::default(), counter).await?;
            router.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, server.clone());
            servers.push(server);
        }
        let leader = servers.first().context("there is no server")?.clone();
        let members: BTreeMap<u64, ()> = (1..=3).map(|id| (id, ())).collect();
        leader.initialize(members).await?;
        leader.wait(Some(Duration::from_secs(10))).current_leader(1, "the first leads").await?;
        Ok(OpenraftCluster { leader, executed })
    }
}

impl Cluster for OpenraftCluster {
    async fn write(&self, command: Bytes) -> bool {
        self.leader.client_write(Command(command)).await.is_ok()
    }

    fn executed(&self) -> impl Iterator<Item = u64> + Send {
        self.executed.iter().map(|executed| executed.load(Ordering::Relaxed))
    }
}

impl RaftNetworkFactory<Types> for Router {
    type Network = Link;

    async fn new_client(&mut self, target: u64, (): &()) -> Link {
        Link(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&target).cloned())
    }
}

fn unreachable() -> Unreachable<Types> {
    Unreachable::from_string("the server is not there")
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let server = self.0.as_ref().ok_or_else(unreachable)?;
        server.append_entries(request).await.map_err(|_| unreachable().into())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let server = self.0.as_ref().ok_or_else(unreachable)?;
        server.vote(request).await.map_err(|_| unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _: VoteOf<Types>,
        _: SnapshotOf<Types, ()>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(unreachable().into())
    }
}
