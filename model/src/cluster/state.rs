//! A state of the cluster.

use super::bounds::Counts;
use super::numbers::{HistoryNumber, MessageNumber, StateNumber};
use super::promises::Promises;
use super::reads::OpenReads;
use crate::properties::{GoalSet, Judged, PropertySet};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};

/// A state of the cluster. Servers, messages and the history of commits are numbers that the
/// [`super::Cluster`] it came from can look up.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) servers: SmallVec<[StateNumber; 5]>,
    /// Messages that can still make a difference, in the order of their numbers.
    pub(super) messages: SmallVec<[MessageNumber; 14]>,
    pub(super) history: HistoryNumber,
    /// The reads that are under way, in the order in which they began.
    pub(super) reads: OpenReads,
    /// What servers have promised to leaders whose leases that still concerns (rule C4).
    pub(super) promises: Promises,
    /// What has happened of what may happen only so often.
    pub(super) counts: Counts,
    /// Properties broken by the state or by the step that led to it.
    pub(super) broken: PropertySet,
    pub(super) goals: GoalSet,
    /// The state's identity: equal for states that differ only in the names of servers.
    pub(super) key: u128,
}

impl State {
    /// The properties that this state, or the step that led to it, breaks.
    pub fn broken(&self) -> PropertySet {
        self.broken
    }

    /// The goals that this state, or the step that led to it, reaches.
    pub fn goals(&self) -> GoalSet {
        self.goals
    }

    /// The numbers of the servers' states: equal numbers of one cluster mean equal states.
    pub fn server_numbers(&self) -> &[u32] {
        &self.servers
    }

    /// The state's identity, equal for states that differ only in the names of servers.
    pub fn key(&self) -> u128 {
        self.key
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for State {}

/// What stateright takes for a state's identity: the canonical key.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key.hash(hasher);
    }
}

impl Judged for State {
    fn broken(&self) -> PropertySet {
        self.broken
    }

    fn goals(&self) -> GoalSet {
        self.goals
    }
}
