//! How a server is, for people and programs: in `KONTIKI.STATUS`, `INFO`, the metrics and the page.

use super::Shared;
use crate::machine::KnownServer;
use kontiki_node::kontiki::driver::FollowerStatus;
use kontiki_node::kontiki::{RoleKind, ServerId};
use kontiki_node::{NodeStatus, RequestError, Standing};
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// A server at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServerReport {
    /// Its number.
    pub id: u64,
    /// What it does at present.
    pub role: String,
    /// The latest term that it has seen.
    pub term: u64,
    /// Who leads in that term, as far as it knows.
    pub leader: Option<u64>,
    /// The end of its log.
    pub last_index: u64,
    /// Its log is on disk up to here.
    pub durable_index: u64,
    /// It knows the log to be committed up to here.
    pub commit_index: u64,
    /// Its state machine has executed the log up to here.
    pub executed_index: u64,
    /// The last index that its newest snapshot covers.
    pub snapshot_index: Option<u64>,
    /// Whether a snapshot is being taken.
    pub takes_snapshot: bool,
    /// The servers that vote.
    pub voters: Vec<u64>,
    /// During a change, those that vote besides because they did before.
    pub outgoing: Vec<u64>,
    /// The servers that only receive the log.
    pub learners: Vec<u64>,
    /// Whether the membership is being changed.
    pub change_under_way: bool,
    /// Who is to lead next, while leadership is being handed over.
    pub transfers_to: Option<u64>,
    /// Whether its disk makes no progress.
    pub disk_stalls: bool,
    /// Why it takes no part in the cluster, if it does not.
    pub apart: Option<String>,
    /// Why it has stopped for good.
    pub stopped: Option<String>,
    /// How many requests wait at it.
    pub waiting: u64,
    /// What a leader knows of the others. Nothing at any other server.
    pub followers: Vec<FollowerReport>,
    /// All servers that clients are told of.
    pub servers: Vec<KnownServer>,
    /// The other servers that it connects to.
    pub peers: Vec<PeerReport>,
    /// Connections from others that were refused.
    pub refused_connections: u64,
    /// How many keys it has.
    pub keys: u64,
    /// How many clients are connected to it.
    pub clients: u64,
    /// What clients have asked of it since it started.
    pub requests: RequestCounts,
    /// How long ago it started, in seconds.
    pub uptime_seconds: u64,
}

/// A follower, as its leader knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FollowerReport {
    /// Its number.
    pub id: u64,
    /// How many entries it lacks.
    pub lag: u64,
    /// It has the log up to here.
    pub match_index: u64,
}

/// Another server that is connected to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PeerReport {
    /// Its number.
    pub id: u64,
    /// Where it is looked for.
    pub address: String,
    /// Whether a connection to it stands.
    pub connected: bool,
    /// How many messages to it were dropped because too much waited.
    pub dropped: u64,
    /// Why the last connection ended.
    pub error: Option<String>,
}

/// What clients have asked of a server since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RequestCounts {
    /// Operations that write.
    pub writes: u64,
    /// Operations that read.
    pub reads: u64,
    /// Those that were not done, or of which that is not known.
    pub failed: u64,
    /// Connections of clients.
    pub connections: u64,
}

impl ServerReport {
    /// How the server is now.
    pub(crate) async fn of(shared: &Shared) -> Result<ServerReport, RequestError> {
        let NodeStatus { server, standing, stopped, peers, refused_connections, .. } =
            shared.handle.status().await?;
        let ids = |servers: &mut dyn Iterator<Item = &ServerId>| servers.map(|id| id.0).collect();
        let counts = &shared.counts;
        Ok(ServerReport {
            id: server.id.0,
            role: server.role.to_string(),
            term: server.term.0,
            leader: server.leader.map(|leader| leader.0),
            last_index: server.last_index.0,
            durable_index: server.durable_index.0,
            commit_index: server.commit_index.0,
            executed_index: server.executed_index.0,
            snapshot_index: server.snapshot.map(|snapshot| snapshot.last.index.0),
            takes_snapshot: server.taking_snapshot.is_some(),
            voters: ids(&mut server.configuration.voters.iter()),
            outgoing: ids(&mut server.configuration.outgoing.iter()),
            learners: ids(&mut server.configuration.learners.iter()),
            change_under_way: server.change_under_way,
            transfers_to: server.transfers_to.map(|to| to.0),
            disk_stalls: server.disk_stalls,
            apart: apart(&standing),
            stopped: stopped.map(|cause| cause.to_string()),
            waiting: server.waiting,
            followers: server.followers.iter().map(FollowerReport::from).collect(),
            servers: shared.servers(),
            peers: peers
                .iter()
                .map(|peer| PeerReport {
                    id: peer.server.0,
                    address: peer.address.clone(),
                    connected: peer.connected,
                    dropped: peer.dropped,
                    error: peer.last_error.as_ref().map(ToString::to_string),
                })
                .collect(),
            refused_connections,
            keys: shared.machine.count(),
            clients: counts.clients.load(Ordering::Relaxed),
            requests: RequestCounts {
                writes: counts.writes.load(Ordering::Relaxed),
                reads: counts.reads.load(Ordering::Relaxed),
                failed: counts.failed.load(Ordering::Relaxed),
                connections: counts.connections.load(Ordering::Relaxed),
            },
            uptime_seconds: shared.started.elapsed().as_secs(),
        })
    }

    /// Whether it leads.
    pub fn leads(&self) -> bool {
        self.role == RoleKind::Leader.to_string()
    }

    /// How many entries its state machine has not executed, of those that it knows to be committed.
    pub fn lag(&self) -> u64 {
        self.commit_index.saturating_sub(self.executed_index)
    }

    /// As `INFO` tells it, in sections.
    pub(super) fn info(&self, port: u16) -> String {
        let role = if self.leads() { "master" } else { "slave" };
        let leader = self.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
        let followers: String = self
            .followers
            .iter()
            .map(|follower| {
                let FollowerReport { id, lag, match_index } = follower;
                format!("follower_{id}:match={match_index},lag={lag}\r\n")
            })
            .collect();
        let voters: Vec<String> = self.voters.iter().map(ToString::to_string).collect();
        format!(
            "# Server\r\nredis_version:7.2.0\r\nkontiki_version:{version}\r\nredis_mode:cluster\r\n\
             process_id:{process}\r\ntcp_port:{port}\r\nuptime_in_seconds:{uptime}\r\n\r\n\
             # Clients\r\nconnected_clients:{clients}\r\n\r\n\
             # Replication\r\nrole:{role}\r\n\r\n\
             # Kontiki\r\nserver:{id}\r\nraft_role:{raft_role}\r\nleader:{leader}\r\nterm:{term}\r\n\
             voters:{voters}\r\nlast_index:{last}\r\ndurable_index:{durable}\r\n\
             commit_index:{commit}\r\nexecuted_index:{executed}\r\nlag:{lag}\r\n{followers}\
             change_under_way:{change}\r\n\r\n\
             # Stats\r\ntotal_connections_received:{connections}\r\ntotal_writes:{writes}\r\n\
             total_reads:{reads}\r\ntotal_failed:{failed}\r\n\r\n\
             # Cluster\r\ncluster_enabled:1\r\n\r\n\
             # Keyspace\r\ndb0:keys={keys}\r\n",
            version = env!("CARGO_PKG_VERSION"),
            process = std::process::id(),
            uptime = self.uptime_seconds,
            clients = self.clients,
            id = self.id,
            raft_role = self.role,
            term = self.term,
            voters = voters.join(","),
            last = self.last_index,
            durable = self.durable_index,
            commit = self.commit_index,
            executed = self.executed_index,
            lag = self.lag(),
            change = u8::from(self.change_under_way),
            connections = self.requests.connections,
            writes = self.requests.writes,
            reads = self.requests.reads,
            failed = self.requests.failed,
            keys = self.keys,
        )
    }
}

/// Why a server takes no part in the cluster, if it does not.
fn apart(standing: &Standing) -> Option<String> {
    match standing {
        Standing::Member => None,
        Standing::Forming { missing } => {
            let missing: Vec<String> = missing.iter().map(|server| server.0.to_string()).collect();
            Some(format!("waits to form the cluster with {}", missing.join(", ")))
        }
        Standing::Joining { waits, .. } => Some(format!("joins the cluster: {waits}")),
        Standing::Removed { by } => Some(format!("was taken out of the cluster, by {by}")),
        Standing::Refused(error) => Some(error.to_string()),
    }
}

impl From<&FollowerStatus> for FollowerReport {
    fn from(follower: &FollowerStatus) -> Self {
        let match_index = follower.progress.match_index.0;
        FollowerReport { id: follower.id.0, lag: follower.lag, match_index }
    }
}
