//! The roles, each with what belongs to it and nothing else.

use super::progress::Progress;
use super::sizes::Sizes;
use kontiki_specs::{LogIndex, RoleKind, ServerId, WaitingReads};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Leader),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    /// The leader of this term, once heard from.
    pub(crate) leader: Option<ServerId>,
    /// Whether that was within the minimum election timeout (rule E8).
    pub(crate) leader_contact: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PreCandidate {
    /// Who would vote for it.
    pub(crate) pre_votes: BTreeSet<ServerId>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    /// Whose votes it holds; its own only when that is durable.
    pub(crate) votes: BTreeSet<ServerId>,
    /// Whether the last leader told it to campaign (rule E10).
    pub(crate) transfer: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// Every other member, in the order of their ids.
    pub(crate) followers: Vec<Progress>,
    /// The last entry that was there before this leader's first.
    pub(crate) inherited: LogIndex,
    /// The sizes of its own entries that are not committed yet, or not on its own disk; of those
    /// that nobody has proposed, 0.
    pub(crate) unsettled: Sizes,
    /// Who is to lead next, while leadership is being transferred (rule E10).
    pub(crate) transfer: Option<ServerId>,
    /// The reads that wait at it (rule C3).
    pub(crate) reads: WaitingReads,
}

impl Leader {
    /// L9: what is committed and on this leader's own disk, up to an index, does not wait any more.
    pub(crate) fn settle(&mut self, settled: LogIndex, last_index: LogIndex) {
        let waiting = last_index.0 - settled.max(self.inherited).0;
        self.unsettled.pop(self.unsettled.entries().saturating_sub(waiting));
    }

    /// Up to where a follower is known to hold the log.
    pub(crate) fn held_by(&self, follower: ServerId) -> LogIndex {
        self.progress(follower).map_or(LogIndex::ZERO, |progress| progress.match_index)
    }

    pub(crate) fn progress(&self, follower: ServerId) -> Option<&Progress> {
        self.followers.iter().find(|progress| progress.id == follower)
    }

    pub(crate) fn progress_mut(&mut self, follower: ServerId) -> Option<&mut Progress> {
        self.followers.iter_mut().find(|progress| progress.id == follower)
    }
}

impl Role {
    pub(crate) fn kind(&self) -> RoleKind {
        match self {
            Role::Follower(_) => RoleKind::Follower,
            Role::PreCandidate(_) => RoleKind::PreCandidate,
            Role::Candidate(_) => RoleKind::Candidate,
            Role::Leader(_) => RoleKind::Leader,
        }
    }

    pub(crate) fn is_leader(&self) -> bool {
        matches!(self, Role::Leader(_))
    }
}
