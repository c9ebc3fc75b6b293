//! What a server is told when it starts.

use kontiki_specs::{Configuration, Entry, Payload, ServerId};
use thiserror::Error;

/// Who a server is, whom it knows, and what it may use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Which server this is.
    pub id: ServerId,
    /// Who votes. A server that is not among them answers, and never campaigns.
    pub configuration: Configuration,
    /// Ask for pre-votes before campaigning (rule E7). On unless changed.
    pub pre_vote: bool,
    /// In contact with a leader, ignore requests for votes (rule E8). On unless changed.
    pub leader_contact: bool,
    /// A leader without a majority steps down (rule E9). On unless changed.
    pub check_quorum: bool,
    /// How much of everything.
    pub limits: Limits,
}

/// Bounds on what a server sends, holds and takes. Entries count as [`entry_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The most entries in one message.
    pub batch_entries: u64,
    /// The most bytes of entries in one message; a larger entry goes alone.
    pub batch_bytes: u64,
    /// The most entries under way to one follower (rule L9).
    pub window_entries: u64,
    /// The most bytes under way to one follower; at least one message may be.
    pub window_bytes: u64,
    /// The largest command that is taken, in bytes.
    pub command_bytes: u64,
    /// How many bytes proposed to a leader may wait to be committed and to be on its own disk; at
    /// least one proposal may.
    pub uncommitted_bytes: u64,
    /// How many bytes of entries stay in memory, so that followers that keep up are served without
    /// reading the store. Those that are not yet durable and applied stay in any case.
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
            recent_bytes: 16 << 20,
        }
    }
}

impl Config {
    /// A server among these voters, with every rule on.
    pub fn new(id: ServerId, voters: impl IntoIterator<Item = ServerId>) -> Self {
        Config {
            id,
            configuration: Configuration { voters: voters.into_iter().collect() },
            pre_vote: true,
            leader_contact: true,
            check_quorum: true,
            limits: Limits::default(),
        }
    }

    /// Whether a server can run with this.
    ///
    /// # Errors
    /// The first thing that is wrong, and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.configuration.voters.is_empty() {
            return Err(ConfigError::NoVoters);
        }
        let limits = &self.limits;
        let at_least_one = [
            ("batch_entries", limits.batch_entries),
            ("batch_bytes", limits.batch_bytes),
            ("window_entries", limits.window_entries),
            ("window_bytes", limits.window_bytes),
            ("command_bytes", limits.command_bytes),
            ("uncommitted_bytes", limits.uncommitted_bytes),
        ];
        match at_least_one.iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(ConfigError::ZeroLimit { name }),
            None if limits.command_bytes > u64::from(u32::MAX) - ENTRY_OVERHEAD => {
                Err(ConfigError::LargeCommands)
            }
            None => Ok(()),
        }
    }

    /// The voters other than this server, in the order of their ids.
    pub(crate) fn other_voters(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.configuration.voters.iter().copied().filter(|voter| *voter != self.id)
    }

    pub(crate) fn is_voter(&self, server: ServerId) -> bool {
        self.configuration.voters.contains(&server)
    }
}

/// Why a server cannot start with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Nobody votes.
    #[error("no voters: name at least one server that votes")]
    NoVoters,
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

/// What an entry counts for against the limits, in bytes.
pub fn entry_bytes(entry: &Entry) -> u64 {
    match &entry.payload {
        Payload::Noop => ENTRY_OVERHEAD,
        Payload::Command(command) => command_entry_bytes(command),
    }
}

/// What the entry of a command will count for, in bytes.
pub(crate) fn command_entry_bytes(command: &[u8]) -> u64 {
    ENTRY_OVERHEAD + command.len() as u64
}
