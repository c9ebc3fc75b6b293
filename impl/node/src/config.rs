//! What a node is told when it starts.

use crate::clock::Clock;
use crate::error::StartError;
use crate::record::RecordTo;
use crate::security::{Protection, Security};
use crate::start::Start;
use kontiki::ServerId;
use kontiki::core::Config;
use kontiki::driver::DriverConfig;
use kontiki_store::{Identity, Options};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// A node: who it is, where its disk is, and how it reaches the others.
#[derive(Debug)]
pub struct NodeConfig {
    /// The cluster. No two clusters have the same number: draw it once at random.
    pub cluster: u128,
    /// The group, where a cluster has several. 0 unless changed.
    pub group: u64,
    /// The server and its timings. The incarnation is counted on disk, and the first configuration follows
    /// from [`NodeConfig::start`]: what stands here of the two is not used.
    pub driver: DriverConfig,
    /// The directory of the server's disk. Its parent must exist.
    pub directory: PathBuf,
    /// What the store may use.
    pub store: Options,
    /// Where the other servers connect to.
    pub listener: TcpListener,
    /// What the server does if its directory is empty.
    pub start: Start,
    /// The addresses of servers, as `host:port`. Once servers have reached each other, they tell each other
    /// where all of them are, and keep that on disk. Then these here are tried where the others fail. An
    /// entry for this server is where the others reach it; without one that is the listener's address.
    pub addresses: BTreeMap<ServerId, String>,
    /// Whether those addresses are used whatever other servers say: for servers that reach each other by
    /// different addresses, as through a proxy. Off unless changed.
    pub fixed_addresses: bool,
    /// How connections between servers are protected.
    pub security: Security,
    /// How much may wait.
    pub limits: NodeLimits,
    /// Where the server records what it does, to be judged by the model. Nowhere unless changed.
    pub record: Option<RecordTo>,
    /// How fast the server's clock runs, in millionths of the machine's. 1 000 000 unless changed. For tests
    /// alone, of what clocks that differ do to leases (rule C4).
    #[doc(hidden)]
    pub clock_rate_ppm: u32,
}

/// How much may wait in a node, besides what the driver bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// The most bytes of requests that have no answer yet. A request counts as its command and 256 bytes.
    /// 64 MiB unless changed.
    pub request_bytes: usize,
    /// The most bytes of messages that wait to be sent to one other server. Messages beyond that are
    /// dropped, newest first. On each of its connections no more than this is read that waits for the driver,
    /// and no longer frame is taken, unless `batch_bytes`, `command_bytes` or `chunk_bytes` are larger. These may
    /// differ between servers as long as none is larger than this at another. 16 MiB unless changed.
    pub peer_bytes: usize,
    /// The bytes of a snapshot in one message. 256 KiB unless changed.
    pub chunk_bytes: usize,
    /// The most connections of servers that have shown who they are. Each server has up to two. 64 unless
    /// changed.
    pub connections: usize,
    /// The most connections of others that have not yet shown who they are. A newcomer beyond that takes the
    /// place of another one, of the address that has most. 64 unless changed.
    pub unknown_connections: usize,
    /// How long the two sides of a connection wait for each other until it stands, and until bytes that were
    /// sent are taken. 5 seconds unless changed.
    pub patience: Duration,
}

impl Default for NodeLimits {
    fn default() -> Self {
        NodeLimits {
            request_bytes: 64 << 20,
            peer_bytes: 16 << 20,
            chunk_bytes: 256 << 10,
            connections: 64,
            unknown_connections: 64,
            patience: Duration::from_secs(5),
        }
    }
}

/// No frame is longer, whatever the limits.
const MOST_BYTES: u64 = 1 << 30;
/// What a message takes besides entries and bytes of a snapshot: a configuration, or the addresses of all
/// servers.
const FRAME_OVERHEAD: u64 = 512 << 10;

impl NodeConfig {
    /// A server that forms a cluster with these servers, all of them voters, with everything as usual. The
    /// servers of `addresses` are the same at every server of the cluster, this one among them.
    ///
    /// For a server that joins, set [`NodeConfig::start`].
    pub fn new(
        cluster: u128,
        id: ServerId,
        addresses: BTreeMap<ServerId, String>,
        directory: impl Into<PathBuf>,
        listener: TcpListener,
        security: Security,
    ) -> NodeConfig {
        let raft = Config::joining(id);
        let start = Start::Bootstrap { voters: addresses.keys().copied().collect() };
        // Random timeouts need no more than that servers draw different ones.
        let seed = RandomState::new().build_hasher().finish();
        NodeConfig {
            cluster,
            group: 0,
            driver: DriverConfig::new(raft, seed),
            directory: directory.into(),
            store: Options::default(),
            listener,
            start,
            addresses,
            fixed_addresses: false,
            security,
            limits: NodeLimits::default(),
            record: None,
            clock_rate_ppm: 1_000_000,
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity { cluster: self.cluster, group: self.group, server: self.driver.raft.id }
    }

    /// The longest frame that is taken or sent. Those of servers with larger limits fit in, as a rule: limits
    /// are changed at one server after the other, and an entry may be older than the limit.
    pub(crate) fn frame_bytes(&self) -> u64 {
        self.own_frame_bytes().max(self.limits.peer_bytes as u64)
    }

    /// The longest frame that follows from this server's limits.
    fn own_frame_bytes(&self) -> u64 {
        let limits = &self.driver.raft.limits;
        let largest = limits.batch_bytes.max(limits.command_bytes);
        largest.max(self.limits.chunk_bytes as u64).saturating_add(FRAME_OVERHEAD)
    }

    /// Looks at everything but the driver's part.
    pub(crate) fn check(&self) -> Result<Protection, StartError> {
        let patience = u64::try_from(self.limits.patience.as_millis()).unwrap_or(u64::MAX);
        let sizes = [
            ("the largest of batch_bytes, command_bytes and chunk_bytes", self.own_frame_bytes()),
            ("request_bytes", self.limits.request_bytes as u64),
            ("peer_bytes", self.limits.peer_bytes as u64),
            ("chunk_bytes", self.limits.chunk_bytes as u64),
            ("connections", self.limits.connections as u64),
            ("unknown_connections", self.limits.unknown_connections as u64),
            ("patience in milliseconds", patience),
            ("clock_rate_ppm", self.clock_rate_ppm.into()),
        ];
        let wrong = sizes.into_iter().find(|(_, value)| *value == 0 || *value > MOST_BYTES);
        if let Some((name, value)) = wrong {
            return Err(StartError::Size { name, value, most: MOST_BYTES - FRAME_OVERHEAD });
        }
        if self.driver.raft.leases && !Clock::GOES_ON_IN_SLEEP {
            return Err(StartError::LeasesWithoutClock);
        }
        let address = self.listener.local_addr();
        let address =
            address.map_err(|source| StartError::Io { action: "look at the listener", source })?;
        let protection = Protection::load(&self.security, self.identity())?;
        match protection.allows(address) {
            true => Ok(protection),
            false => Err(StartError::PlaintextBeyondLoopback { address }),
        }
    }
}
