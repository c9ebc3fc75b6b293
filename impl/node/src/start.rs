//! How a server comes into its cluster (rule M9).

use crate::error::AdmissionError;
use kontiki::{LogPosition, ServerId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a server does that has an empty directory.
///
/// A server whose directory says that it has come into its cluster goes on, whatever is said here. So a
/// process manager can start a server with the same arguments again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// It forms a new cluster together with the other servers of this list, all of them voters. The list
    /// is the same at all of them, and each of them has to be reached once before the cluster is formed.
    Bootstrap {
        /// The first voters, this server among them.
        voters: BTreeSet<ServerId>,
    },
    /// It asks the servers whose addresses it knows for the leader, has itself added to the cluster as a
    /// learner, and has itself made a voter when it has caught up (rule M5).
    Join,
    /// It does not start: the directory of a server that has been in a cluster must not be empty.
    Existing,
}

/// Whether a server belongs to its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has an empty directory and forms the cluster. It waits for these servers to answer.
    Forming {
        /// Those that have not been reached, or that are not forming the same cluster yet.
        missing: BTreeSet<ServerId>,
    },
    /// It asks to be taken into the cluster.
    Joining {
        /// Whether the leader has made it a learner. Before that it takes no part in anything.
        admitted: bool,
        /// Why it is not a voter yet, in words.
        waits: Arc<str>,
    },
    /// It has come into the cluster.
    Member,
    /// It was taken out of the cluster. It does not campaign, and takes no requests. If it is added again,
    /// it goes on.
    Removed {
        /// Where the committed configuration stands that the server is not in.
        by: LogPosition,
    },
    /// It must not take part. Nothing will change that while it runs.
    Refused(AdmissionError),
}

impl Standing {
    /// Whether the server takes requests and campaigns.
    pub(crate) fn takes_part(&self) -> bool {
        matches!(self, Standing::Joining { admitted: true, .. } | Standing::Member)
    }

    /// Whether the server listens to messages of Raft. A server that was removed does: it may be added
    /// again.
    pub(crate) fn listens(&self) -> bool {
        self.takes_part() || matches!(self, Standing::Removed { .. })
    }
}
