//! Who belongs to a cluster.

use crate::ServerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The servers whose votes and acknowledgements count.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The voters: a majority of them elects and commits.
    pub voters: BTreeSet<ServerId>,
}
