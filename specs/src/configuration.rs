//! Who belongs to a cluster.

use crate::ServerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The members of a cluster, and whose votes and acknowledgements count.
///
/// One of these is in force at every server: that of the last configuration entry in its log, or
/// the one it was started with (rule M2). Without any member it is that of a server that waits to
/// be taken into a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The voters: a majority of them elects and commits.
    pub voters: BTreeSet<ServerId>,
    /// While the configuration is joint: the voters before the change, a majority of whom is
    /// needed besides (rule M1). Otherwise empty.
    pub outgoing: BTreeSet<ServerId>,
    /// Members that receive the log and count for nothing (rule M5). None is among the voters; one
    /// that is among the outgoing counts until the change is complete.
    pub learners: BTreeSet<ServerId>,
}

impl Configuration {
    /// A configuration of voters only.
    pub fn of_voters(voters: impl IntoIterator<Item = ServerId>) -> Self {
        Configuration { voters: voters.into_iter().collect(), ..Configuration::default() }
    }
}

/// As `{S1 S2}`, with learners `{S1 S2 +S3}`, joint `{S1 S2}→{S1 S3}`.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |of: &BTreeSet<ServerId>, before: &str| -> Vec<String> {
            of.iter().map(|server| format!("{before}{server}")).collect()
        };
        if !self.outgoing.is_empty() {
            write!(f, "{{{}}}→", names(&self.outgoing, "").join(" "))?;
        }
        let members = [names(&self.voters, ""), names(&self.learners, "+")].concat();
        write!(f, "{{{}}}", members.join(" "))
    }
}
