//! What a server is told when it starts.

use kontiki_specs::{Configuration, Entry, Payload, ServerId};
use thiserror::Error;

/// Who a server is, whom it knows, and what it may use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Which server this is.
    pub id: ServerId,
    /// The configuration that the cluster was started with, in force while neither the log holds one
    /// nor a snapshot (rules M2, S1): the same at every server that it was started with. A server
    /// that joins a running cluster has none, and waits until a leader sends it the log.
    pub bootstrap: Option<Configuration>,
    /// Tells the writes of this start from those before, whose completions may still come though no
    /// write itself may: larger than any number used before in this process over the same disk. 0
    /// unless changed, which will do for a server whose process ends with it, as far as writes go. A
    /// [`crate::driver::Driver`] also numbers reads by it, and there it has to grow with every start.
    /// [`kontiki_specs::Input::Restart`] adds 1; [`super::Raft::config`] has the number in use.
    pub incarnation: u64,
    /// Ask for pre-votes before campaigning (rule E7). On unless changed.
    pub pre_vote: bool,
    /// In contact with a leader, ignore requests for votes (rule E8). On unless changed.
    pub leader_contact: bool,
    /// A leader answers reads at once while it has a lease (rule C4). Off unless changed: it is correct
    /// only if the driver keeps to what the crate's documentation says of clocks, at every server of the
    /// cluster, so all have it on or none. Needs `leader_contact`.
    pub leases: bool,
    /// A leader without a majority steps down (rule E9). On unless changed.
    pub check_quorum: bool,
    /// In how many rounds a learner must catch up before it may become a voter (rule M5); 10 unless
    /// changed. With 0 any server may be made a voter at any time, and a leader may have to wait
    /// for it with all that it is to commit.
    pub catch_up_rounds: u64,
    /// How many of the entries that the server's snapshot covers stay in its log, at least (rule S1);
    /// 1024 unless changed. A follower that lags by no more is sent entries; one that lags by more
    /// is sent the snapshot.
    pub kept_entries: u64,
    /// After how many bytes of entries handed to the state machine the server says that a snapshot is
    /// due (rule S1); 0 if never, 64 MiB unless changed. Entries count as [`entry_bytes`].
    pub snapshot_bytes: u64,
    /// How much of everything.
    pub limits: Limits,
}

/// Bounds on what a server sends, holds and takes. Entries count as [`entry_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The most entries in one message.
    pub batch_entries: u64,
    /// The most bytes of entries in one message, and read from the store at a time; a larger entry
    /// goes alone.
    pub batch_bytes: u64,
    /// The most entries under way to one follower (rule L9).
    pub window_entries: u64,
    /// The most bytes under way to one follower in pipeline; one entry may be, whatever its size.
    pub window_bytes: u64,
    /// The largest command that is taken, in bytes.
    pub command_bytes: u64,
    /// How many bytes of proposed commands may wait to be committed and to be on the leader's own
    /// disk; at least one proposal may, whatever its size. No-ops and configurations do not count.
    pub uncommitted_bytes: u64,
    /// How many reads may wait at a leader for its majority to confirm it, its own and those that
    /// followers ask for (rules C3, C5). Reads that are asked for with one number count as one.
    pub waiting_reads: u64,
    /// The most bytes of entries that the state machine is handed before the driver says that it has
    /// executed them all ([`kontiki_specs::Input::Executed`], rule L8); one entry may be handed over,
    /// whatever its size. So no step asks for more to be applied. With [`u64::MAX`] everything is
    /// handed over at once, and the driver need not say anything.
    pub apply_bytes: u64,
    /// How many bytes of entries stay in memory, so that followers that keep up are served without
    /// reading the store. Those that are not yet durable and committed stay in any case.
    pub recent_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            batch_entries: 1024,
            batch_bytes: 1 << 20,
            window_entries: 8192,
            window_bytes: 8 << 20,
            command_bytes: 1 << 20,
            uncommitted_bytes: 64 << 20,
            waiting_reads: 4096,
            apply_bytes: 16 << 20,
            recent_bytes: 16 << 20,
        }
    }
}

impl Config {
    /// A server among these voters, with every rule on.
    pub fn new(id: ServerId, voters: impl IntoIterator<Item = ServerId>) -> Self {
        Config {
            id,
            bootstrap: Some(Configuration::of_voters(voters)),
            incarnation: 0,
            pre_vote: true,
            leader_contact: true,
            leases: false,
            check_quorum: true,
            catch_up_rounds: 10,
            kept_entries: 1024,
            snapshot_bytes: 64 << 20,
            limits: Limits::default(),
        }
    }

    /// A server that waits to be taken into a running cluster, with every rule on.
    pub fn joining(id: ServerId) -> Self {
        Config { bootstrap: None, ..Config::new(id, []) }
    }

    /// Whether a server can run with this.
    ///
    /// # Errors
    /// The first thing that is wrong, and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some(bootstrap) = &self.bootstrap {
            if bootstrap.voters.is_empty() {
                return Err(ConfigError::NoVoters);
            }
            if let Some(server) = bootstrap.voters.intersection(&bootstrap.learners).next() {
                return Err(ConfigError::LearnerIsVoter { server: *server });
            }
        }
        if self.leases && !self.leader_contact {
            return Err(ConfigError::LeasesWithoutContact);
        }
        let limits = &self.limits;
        let at_least_one = [
            ("batch_entries", limits.batch_entries),
            ("batch_bytes", limits.batch_bytes),
            ("window_entries", limits.window_entries),
            ("window_bytes", limits.window_bytes),
            ("command_bytes", limits.command_bytes),
            ("uncommitted_bytes", limits.uncommitted_bytes),
            ("waiting_reads", limits.waiting_reads),
            ("apply_bytes", limits.apply_bytes),
        ];
        match at_least_one.iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(ConfigError::ZeroLimit { name }),
            None if limits.command_bytes > u64::from(u32::MAX) - ENTRY_OVERHEAD => {
                Err(ConfigError::LargeCommands)
            }
            None => Ok(()),
        }
    }
}

/// Why a server cannot start with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Nobody votes.
    #[error("no voters: name at least one server that votes, or none at all to join a cluster")]
    NoVoters,
    /// A server that votes and does not.
    #[error("{server} is listed as voter and as learner: take it out of one list")]
    LearnerIsVoter {
        /// The server.
        server: ServerId,
    },
    /// Leases, without what followers promise by.
    #[error("leases is set, but leader_contact is not: set both, or leave leases out")]
    LeasesWithoutContact,
    /// A limit that lets nothing through.
    #[error("the limit {name} is 0: set it to at least 1")]
    ZeroLimit {
        /// The limit.
        name: &'static str,
    },
    /// Commands larger than any frame.
    #[error("command_bytes is 4 GiB or more: set it lower")]
    LargeCommands,
}

/// What an entry counts for besides its command, in bytes: its term, index and kind.
const ENTRY_OVERHEAD: u64 = 24;
/// What each server in a configuration counts for, in bytes.
const SERVER_BYTES: u64 = 8;

/// What an entry counts for against the limits, in bytes.
#[inline]
pub fn entry_bytes(entry: &Entry) -> u64 {
    match &entry.payload {
        Payload::Noop => ENTRY_OVERHEAD,
        Payload::Command(command) => command_entry_bytes(command),
        Payload::Configuration(Configuration { voters, outgoing, learners }) => {
            let servers = voters.len() + outgoing.len() + learners.len();
            ENTRY_OVERHEAD + servers as u64 * SERVER_BYTES
        }
    }
}

/// How many of the entries, from the first on, stay within a limit, in bytes; the first in any case.
pub fn count_within(entries: &[Entry], max_bytes: u64) -> usize {
    let mut bytes = 0_u64;
    let over = entries.iter().position(|entry| {
        bytes += entry_bytes(entry);
        bytes > max_bytes
    });
    over.map_or(entries.len(), |over| over.max(1))
}

/// What the entry of a command will count for, in bytes.
#[inline]
pub(crate) fn command_entry_bytes(command: &[u8]) -> u64 {
    ENTRY_OVERHEAD + command.len() as u64
}
