//! What a node tells operators: metrics by the facade `metrics`, and notices by the facade `tracing`.

use crate::network::PeerStatus;
use crate::node::NodeStatus;
use crate::start::Standing;
use kontiki::driver::{Counters, Notice, StopCause};
use kontiki::{RoleKind, ServerId};
use metrics::{Counter, Gauge, Histogram, Label};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A metric that a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What it says.
    pub says: &'static str,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that goes up and down.
    Gauge,
    /// A number that only grows while the process runs.
    Counter,
    /// How often which values came.
    Histogram,
}

macro_rules! metrics {
    ($($constant:ident, $kind:ident, $name:literal, $says:literal;)*) => {
        $(const $constant: &str = $name;)*
        /// Every metric that a node has. Each bears the labels `cluster`, `group` and `server`.
        pub const METRICS: &[Metric] =
            &[$(Metric { name: $name, kind: MetricKind::$kind, says: $says },)*];
    };
}

metrics! {
    LEADS, Gauge, "kontiki_leads", "1 if the server leads, otherwise 0.";
    LEADER, Gauge, "kontiki_leader", "The id of the leader that the server knows, 0 if it knows none.";
    TERM, Gauge, "kontiki_term", "The latest term that the server has seen.";
    TAKES_PART, Gauge, "kontiki_takes_part", "1 if the server serves its cluster: as a member, or as one that the others let in and that is no member yet. Otherwise 0.";
    RUNS, Gauge, "kontiki_runs", "0 if the server has stopped for good, otherwise 1.";
    LAST_INDEX, Gauge, "kontiki_last_index", "The index of the last entry of the log.";
    DURABLE_INDEX, Gauge, "kontiki_durable_index", "The log is on disk up to here.";
    COMMIT_INDEX, Gauge, "kontiki_commit_index", "The log is known to be committed up to here.";
    EXECUTED_INDEX, Gauge, "kontiki_executed_index", "The state machine has executed the log up to here.";
    SNAPSHOT_INDEX, Gauge, "kontiki_snapshot_index", "The last entry that the newest snapshot covers, 0 without one.";
    VOTERS, Gauge, "kontiki_voters", "How many voters the configuration in force has.";
    LEARNERS, Gauge, "kontiki_learners", "How many learners the configuration in force has.";
    LAG, Gauge, "kontiki_follower_lag", "How many entries a follower lacks, as its leader knows it; label `follower`. 0 at servers that do not lead.";
    CONNECTED, Gauge, "kontiki_peers_connected", "To how many servers a connection stands.";
    WAITING, Gauge, "kontiki_waiting_requests", "How many requests wait for their outcome.";
    STALLED, Gauge, "kontiki_disk_stalled", "1 while a group of writes takes too long (rule E12), otherwise 0.";
    CERTIFICATES_END, Gauge, "kontiki_certificates_end_seconds", "When the server's certificate ends, or one between it and the authority, in seconds since 1970. 0 without TLS.";
    ELECTION_TIMEOUTS, Counter, "kontiki_election_timeouts", "Times that the server heard no leader for an election timeout.";
    LEADER_CHANGES, Counter, "kontiki_leader_changes", "Times that another leader became known, or none any more.";
    RECEIVED, Counter, "kontiki_messages_received", "Messages received.";
    SENT, Counter, "kontiki_messages_sent", "Messages sent.";
    REJECTED, Counter, "kontiki_messages_rejected", "Messages and other inputs that made no sense.";
    DROPPED, Counter, "kontiki_messages_dropped", "Messages that were not sent because too much waited.";
    REFUSED, Counter, "kontiki_connections_refused", "Connections of others that were refused, or closed because of what came.";
    DISK_STALLS, Counter, "kontiki_disk_stalls", "Times that the disk stalled.";
    APPLIED, Counter, "kontiki_entries_applied", "Entries handed to the state machine.";
    SNAPSHOTS_TAKEN, Counter, "kontiki_snapshots_taken", "Snapshots taken.";
    SNAPSHOTS_FAILED, Counter, "kontiki_snapshots_failed", "Snapshots given up.";
    SNAPSHOTS_INSTALLED, Counter, "kontiki_snapshots_installed", "Snapshots received from a leader and installed.";
    DONE, Counter, "kontiki_requests_done", "Requests that were done.";
    NOT_DONE, Counter, "kontiki_requests_not_done", "Requests that certainly were not done.";
    UNKNOWN, Counter, "kontiki_requests_unknown", "Requests that may have been done.";
    SYNC_SECONDS, Histogram, "kontiki_sync_seconds", "How long a sync of the log took, in seconds.";
    SYNC_WRITES, Histogram, "kontiki_sync_writes", "How many writes became durable by one sync.";
}

/// Who a node is, in labels.
#[derive(Clone, Debug)]
pub(crate) struct Labels(Vec<Label>);

impl Labels {
    pub(crate) fn new(identity: kontiki_store::Identity) -> Labels {
        Labels(vec![
            Label::new("cluster", format!("{:032x}", identity.cluster)),
            Label::new("group", identity.group.to_string()),
            Label::new("server", identity.server.0.to_string()),
        ])
    }

    fn gauge(&self, name: &'static str) -> Gauge {
        metrics::gauge!(name, self.0.iter())
    }

    fn counter(&self, name: &'static str) -> Counter {
        metrics::counter!(name, self.0.iter())
    }
}

/// What the thread that waits for the disk measures.
#[derive(Clone)]
pub(crate) struct DiskMetrics {
    seconds: Histogram,
    writes: Histogram,
}

impl DiskMetrics {
    pub(crate) fn new(labels: &Labels) -> DiskMetrics {
        DiskMetrics {
            seconds: metrics::histogram!(SYNC_SECONDS, labels.0.iter()),
            writes: metrics::histogram!(SYNC_WRITES, labels.0.iter()),
        }
    }

    pub(crate) fn synced(&self, took: Duration, writes: usize) {
        self.seconds.record(took.as_secs_f64());
        self.writes.record(f64::from(u32::try_from(writes).unwrap_or(u32::MAX)));
    }
}

/// What a metric is at one moment.
type Value = fn(&NodeStatus) -> u64;

/// Since 1970.
fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Where all that follows from a status goes. The handles are looked up once.
pub(crate) struct Metrics {
    labels: Labels,
    gauges: Vec<(Gauge, Value)>,
    counters: Vec<(Counter, Value)>,
    lags: BTreeMap<ServerId, Gauge>,
}

impl Metrics {
    pub(crate) fn new(labels: Labels) -> Metrics {
        let gauges: [(&'static str, Value); 16] = [
            (LEADS, |now| u64::from(now.server.role == RoleKind::Leader)),
            (LEADER, |now| now.server.leader.map_or(0, |leader| leader.0)),
            (TERM, |now| now.server.term.0),
            (TAKES_PART, |now| u64::from(now.standing.takes_part())),
            (RUNS, |now| u64::from(now.stopped.is_none())),
            (LAST_INDEX, |now| now.server.last_index.0),
            (DURABLE_INDEX, |now| now.server.durable_index.0),
            (COMMIT_INDEX, |now| now.server.commit_index.0),
            (EXECUTED_INDEX, |now| now.server.executed_index.0),
            (SNAPSHOT_INDEX, |now| now.server.snapshot.map_or(0, |own| own.last.index.0)),
            (VOTERS, |now| now.server.configuration.voters.len() as u64),
            (LEARNERS, |now| now.server.configuration.learners.len() as u64),
            (CONNECTED, |now| now.peers.iter().filter(|peer| peer.connected).count() as u64),
            (WAITING, |now| now.server.waiting),
            (STALLED, |now| u64::from(now.server.disk_stalls)),
            (CERTIFICATES_END, |now| now.certificates_end.map_or(0, seconds)),
        ];
        let counters: [(&'static str, Value); 15] = [
            (ELECTION_TIMEOUTS, |now| counted(now).election_timeouts),
            (LEADER_CHANGES, |now| counted(now).leader_changes),
            (RECEIVED, |now| counted(now).received),
            (SENT, |now| counted(now).sent),
            (REJECTED, |now| counted(now).rejected),
            (DROPPED, |now| now.peers.iter().map(|peer: &PeerStatus| peer.dropped).sum()),
            (REFUSED, |now| now.refused_connections),
            (DISK_STALLS, |now| counted(now).disk_stalls),
            (APPLIED, |now| counted(now).applied),
            (SNAPSHOTS_TAKEN, |now| counted(now).snapshots_taken),
            (SNAPSHOTS_FAILED, |now| counted(now).snapshots_failed),
            (SNAPSHOTS_INSTALLED, |now| counted(now).snapshots_installed),
            (DONE, |now| counted(now).done),
            (NOT_DONE, |now| counted(now).not_done),
            (UNKNOWN, |now| counted(now).unknown),
        ];
        for Metric { name, kind, says } in METRICS {
            match kind {
                MetricKind::Gauge => metrics::describe_gauge!(*name, *says),
                MetricKind::Counter => metrics::describe_counter!(*name, *says),
                MetricKind::Histogram => metrics::describe_histogram!(*name, *says),
            }
        }
        let gauges = gauges.map(|(name, value)| (labels.gauge(name), value)).into();
        let counters = counters.map(|(name, value)| (labels.counter(name), value)).into();
        Metrics { labels, gauges, counters, lags: BTreeMap::new() }
    }

    pub(crate) fn set(&mut self, now: &NodeStatus) {
        #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
        let float = |value: u64| value as f64;
        self.gauges.iter().for_each(|(gauge, value)| gauge.set(float(value(now))));
        self.counters.iter().for_each(|(counter, value)| counter.absolute(value(now)));
        let lags: BTreeMap<_, _> =
            now.server.followers.iter().map(|one| (one.id, one.lag)).collect();
        for (server, gauge) in &self.lags {
            gauge.set(float(lags.get(server).copied().unwrap_or(0)));
        }
        for (server, lag) in lags {
            self.lags.entry(server).or_insert_with(|| {
                let mut labels = self.labels.0.clone();
                labels.push(Label::new("follower", server.0.to_string()));
                let gauge = metrics::gauge!(LAG, labels.iter());
                gauge.set(float(lag));
                gauge
            });
        }
    }
}

fn counted(now: &NodeStatus) -> &Counters {
    &now.server.counters
}

/// Tells of something that the driver has noticed.
pub(crate) fn notice(server: ServerId, notice: &Notice) {
    let id = server.0;
    match notice {
        Notice::RoleChanged { role } => tracing::info!(server = id, ?role, "role changed"),
        Notice::LeaderChanged { term, leader } => {
            let leader = leader.map_or(0, |leader| leader.0);
            tracing::info!(server = id, term = term.0, leader, "leader changed");
        }
        Notice::ChangeCompleted { position } => {
            let (index, term) = (position.index.0, position.term.0);
            tracing::info!(server = id, index, term, "membership changed");
        }
        Notice::CaughtUp { server } => {
            tracing::info!(server = id, learner = server.0, "learner has caught up");
        }
        Notice::TooSlow { server } => {
            tracing::warn!(server = id, learner = server.0, "learner is too slow");
        }
        Notice::TransferBegun { to } => tracing::info!(server = id, to = to.0, "transfer begun"),
        Notice::TransferGivenUp { to } => {
            tracing::warn!(server = id, to = to.0, "transfer given up");
        }
        Notice::TransferEnded { to } => tracing::info!(server = id, to = to.0, "transfer ended"),
        Notice::DiskStalled => tracing::warn!(server = id, "disk stalled"),
        Notice::DiskGoesOn => tracing::info!(server = id, "disk goes on"),
        Notice::Rejected { from, rejection } => {
            let from = from.map_or(0, |from| from.0);
            tracing::warn!(server = id, from, %rejection, "message rejected");
        }
        Notice::UnknownGroup { group } => {
            tracing::error!(server = id, group, "unknown group of writes");
        }
        Notice::UnknownSnapshot { snapshot } => {
            tracing::error!(server = id, %snapshot, "unknown snapshot");
        }
        Notice::Stopped { cause: StopCause::Asked } => tracing::info!(server = id, "stopped"),
        Notice::Stopped { cause } => tracing::error!(server = id, %cause, "stopped for good"),
    }
}

/// Tells how a server stands to its cluster.
pub(crate) fn standing(server: ServerId, standing: &Standing) {
    let id = server.0;
    match standing {
        Standing::Forming { missing } => {
            let missing: Vec<u64> = missing.iter().map(|server| server.0).collect();
            tracing::info!(server = id, ?missing, "waits to form the cluster");
        }
        Standing::Joining { admitted, waits } => {
            tracing::info!(server = id, admitted, %waits, "waits to join the cluster");
        }
        Standing::Member => tracing::info!(server = id, "takes part in the cluster"),
        Standing::Removed { by } => {
            tracing::warn!(
                server = id,
                index = by.index.0,
                term = by.term.0,
                "removed from the cluster"
            );
        }
        Standing::Refused(error) => {
            tracing::error!(server = id, %error, "refused by the cluster");
        }
    }
}
