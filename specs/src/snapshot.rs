//! Snapshots: what stands for the beginning of a log (rules S1 to S5).

use crate::{Configuration, LogPosition, ServerId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which snapshot: no two whose bytes may differ have the same (rule S1). Two servers may write what
/// they have executed in different ways, so the position alone does not say whose bytes these are; and
/// a server takes only one snapshot of a position in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SnapshotId {
    /// The last entry that it covers.
    pub last: LogPosition,
    /// The server that took it.
    pub taken_by: ServerId,
}

/// A snapshot, without its bytes: those are the state machine's, and Raft looks at none of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Snapshot {
    /// Which snapshot it is.
    pub id: SnapshotId,
    /// The configuration as of the last entry that it covers.
    pub configuration: Configuration,
    /// Where that configuration's entry stood; index and term 0 for the one that servers are started
    /// with.
    pub configuration_position: LogPosition,
    /// How many bytes it has.
    pub size: u64,
}

/// As `S1's of 3@2`.
impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'s of {}", self.taken_by, self.last)
    }
}

/// As its id.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}
