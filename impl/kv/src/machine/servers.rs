//! Where the servers are, for clients: each tells it through the log, so that all know it, a server that joined
//! later among them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A server that clients can be sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KnownServer {
    /// Its number.
    pub id: u64,
    /// Where clients connect to, as `host:port`.
    pub clients: String,
    /// Where its page is, as `host:port`, if it has one.
    pub http: Option<String>,
}

/// All servers that have told where they are, by number. A copy is shared until one more tells so.
pub type KnownServers = Arc<BTreeMap<u64, KnownServer>>;
