//! How long everything takes, and which timings are possible (rule E11).

use std::time::Duration;
use thiserror::Error;

/// How long things take and how long the driver waits. What the first three say is believed: an
/// election that takes longer than they allow for is likely to be split, and to be held again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timings {
    /// The longest that a message and its answer take, as a rule. 20 ms unless changed.
    pub round_trip: Duration,
    /// The longest that a small write takes to be durable, as a rule. 50 ms unless changed.
    pub disk_write: Duration,
    /// By how much the clocks of two servers may differ in pace, in millionths: leases depend on it (rule
    /// C4), so all servers are told the same. Below 100 000; 10 000, one percent, unless changed. Clocks
    /// of computers differ by less than 200.
    pub drift_ppm: u32,
    /// The minimum election timeout (rules E1, E8, E9). Each wait is drawn at random, from here up to
    /// twice this. A second unless changed.
    pub election_timeout: Duration,
    /// How often a leader sends heartbeats (rule L12). 100 ms unless changed.
    pub heartbeat_interval: Duration,
    /// How soon after a commit, if nothing more is on its way, a leader tells its followers of the
    /// commit by a heartbeat before its time. It matters to reads at followers. 10 ms unless changed.
    pub announce_commit: Duration,
    /// After how long without a group of writes done a disk makes no progress (rule E12). Two seconds
    /// unless changed.
    pub disk_stalled: Duration,
    /// After how long a server that does not lead asks again for the read index (rule C5). 100 ms
    /// unless changed.
    pub read_again: Duration,
    /// How long requests wait that bear no deadline. Ten seconds unless changed.
    pub request_timeout: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Timings {
            round_trip: Duration::from_millis(20),
            disk_write: Duration::from_millis(50),
            drift_ppm: 10_000,
            election_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_millis(100),
            announce_commit: Duration::from_millis(10),
            disk_stalled: Duration::from_secs(2),
            read_again: Duration::from_millis(100),
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// So many heartbeats fit into an election timeout, at least: one may be lost, and the next one late,
/// without an election.
const HEARTBEATS_PER_TIMEOUT: u32 = 3;
/// From here on a drift is no drift, but a broken clock.
const DRIFT_LIMIT: u32 = 100_000;
const MILLION: u32 = 1_000_000;

impl Timings {
    /// All but the drift and the deadline of requests in proportion to this election timeout, as the
    /// default has them.
    pub fn for_election_timeout(election_timeout: Duration) -> Timings {
        Timings {
            round_trip: election_timeout / 50,
            disk_write: election_timeout / 20,
            election_timeout,
            heartbeat_interval: election_timeout / 10,
            announce_commit: election_timeout / 100,
            disk_stalled: election_timeout.saturating_mul(2),
            read_again: election_timeout / 10,
            ..Timings::default()
        }
    }

    /// How long it takes to win an election against nobody: two questions and their answers (with
    /// pre-vote), and a write at the candidate and at the voters.
    pub fn election_takes(&self) -> Duration {
        self.round_trip.saturating_add(self.disk_write).saturating_mul(2)
    }

    /// C4: how long a leader's lease lasts: on the slower of two clocks no longer than the minimum election
    /// timeout on the faster.
    pub fn lease(&self) -> Duration {
        let fast = MILLION.saturating_add(self.drift_ppm);
        let lease = self.election_timeout.as_nanos() * u128::from(MILLION) / u128::from(fast);
        Duration::from_nanos(u64::try_from(lease).unwrap_or(u64::MAX))
    }

    /// Whether a cluster with these can keep a leader and elect one: the time that a broadcast takes is
    /// well below the election timeout.
    ///
    /// # Errors
    /// The first thing that is wrong, and what would be right.
    pub fn check(&self) -> Result<(), TimingsError> {
        let positive = [
            ("election_timeout", self.election_timeout),
            ("heartbeat_interval", self.heartbeat_interval),
            ("disk_stalled", self.disk_stalled),
            ("read_again", self.read_again),
            ("request_timeout", self.request_timeout),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, duration)| duration.is_zero()) {
            return Err(TimingsError::Zero { name });
        }
        if self.drift_ppm >= DRIFT_LIMIT {
            return Err(TimingsError::Drift { drift_ppm: self.drift_ppm });
        }
        let election_timeout = self.election_timeout;
        // A slow clock at the leader, a fast one at the follower.
        let apart = self.heartbeat_interval.saturating_mul(HEARTBEATS_PER_TIMEOUT);
        let slow = apart.saturating_add(apart.saturating_mul(self.drift_ppm) / MILLION);
        let least = slow.saturating_add(self.round_trip);
        if least > election_timeout {
            let heartbeat_interval = self.heartbeat_interval;
            return Err(TimingsError::Heartbeats { heartbeat_interval, election_timeout, least });
        }
        // Timeouts are spread over one election timeout. If two servers wake less than an election apart,
        // the vote may be split.
        let least = self.election_takes().saturating_mul(2);
        if least > election_timeout {
            let takes = self.election_takes();
            return Err(TimingsError::Elections { election_timeout, takes, least });
        }
        let least = self.disk_write.saturating_mul(4).max(election_timeout);
        if least > self.disk_stalled {
            return Err(TimingsError::DiskStalled { disk_stalled: self.disk_stalled, least });
        }
        Ok(())
    }
}

/// Why no cluster works with [`Timings`] (rule E11).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TimingsError {
    /// Something takes no time.
    #[error("{name} is 0: set it to more")]
    Zero {
        /// What takes no time.
        name: &'static str,
    },
    /// Clocks that differ too much.
    #[error(
        "a drift of {drift_ppm} millionths: clocks that differ by a tenth or more are broken, \
         set it below {DRIFT_LIMIT}"
    )]
    Drift {
        /// The drift, in millionths.
        drift_ppm: u32,
    },
    /// Followers would campaign against a leader that lives.
    #[error(
        "with heartbeats every {heartbeat_interval:?}, an election timeout of {election_timeout:?} \
         deposes leaders that live: set it to {least:?} or more, or send heartbeats more often"
    )]
    Heartbeats {
        /// How often a leader sends heartbeats.
        heartbeat_interval: Duration,
        /// The minimum election timeout.
        election_timeout: Duration,
        /// The least that will do.
        least: Duration,
    },
    /// Votes would be split again and again.
    #[error(
        "an election takes {takes:?} with this network and disk, so an election timeout of \
         {election_timeout:?} splits votes: set it to {least:?} or more"
    )]
    Elections {
        /// The minimum election timeout.
        election_timeout: Duration,
        /// How long an election takes.
        takes: Duration,
        /// The least that will do.
        least: Duration,
    },
    /// A disk that is merely slow would cost leaders their office.
    #[error(
        "a disk counts as stalled after {disk_stalled:?}, which a slow one may take: set it to \
         {least:?} or more"
    )]
    DiskStalled {
        /// After how long a disk counts as stalled.
        disk_stalled: Duration,
        /// The least that will do.
        least: Duration,
    },
}
