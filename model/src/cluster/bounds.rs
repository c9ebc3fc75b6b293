//! The bounds of a scope that count over the whole cluster, as opposed to one server's.

use crate::server::{Mutation, number_of_follower_read};
use kontiki_specs::scope::Scope;
use kontiki_specs::{Input, MembershipChange, ReadId};

/// How often something may happen, over the whole cluster.
#[derive(Clone)]
pub(super) struct Bounds {
    restarts: u64,
    /// `None` if only the logs bound the commands.
    commands: Option<u64>,
    transfers: u64,
    snapshots: u64,
    reads: u64,
    follower_reads: u64,
    changes: Vec<MembershipChange>,
    /// The rule that is broken: one may be how reads are numbered.
    mutation: Option<Mutation>,
}

/// How often it has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) restarts: u8,
    /// Commands proposed so far, where their number is bounded.
    pub(super) commands: u8,
    /// Transfers of leadership begun so far.
    pub(super) transfers: u8,
    /// Snapshots begun so far.
    pub(super) snapshots: u8,
    /// Reads asked of leaders so far.
    pub(super) reads: u8,
    /// Reads asked of other servers so far.
    pub(super) follower_reads: u8,
    /// Which of the scope's changes of membership have been begun, by a bit for each.
    pub(super) changes: u8,
}

impl Bounds {
    pub(super) fn of(scope: &Scope, mutation: Option<Mutation>) -> Self {
        Bounds {
            restarts: scope.restarts,
            commands: scope.commands,
            transfers: scope.transfers,
            snapshots: scope.snapshots,
            reads: scope.reads,
            follower_reads: scope.follower_reads,
            changes: scope.changes.clone(),
            mutation,
        }
    }

    /// Whether a crash is left.
    pub(super) fn may_crash(&self, counts: Counts) -> bool {
        u64::from(counts.restarts) < self.restarts
    }

    /// Whether there is room for an input.
    pub(super) fn allow(&self, counts: Counts, input: &Input) -> bool {
        match input {
            Input::Restart { .. } => self.may_crash(counts),
            Input::Propose { commands } => self
                .commands
                .is_none_or(|bound| u64::from(counts.commands) + commands.len() as u64 <= bound),
            Input::TransferLeadership { .. } => u64::from(counts.transfers) < self.transfers,
            Input::TakeSnapshot { .. } => u64::from(counts.snapshots) < self.snapshots,
            Input::Read { read: ReadId(0) } => u64::from(counts.reads) < self.reads,
            Input::Read { read } => self.numbers_to_come(counts).next() == Some(*read),
            Input::ChangeMembership { change, .. } => self.next_of(counts, change).is_some(),
            _ => true,
        }
    }

    /// The counts after an input.
    pub(super) fn count(&self, mut counts: Counts, input: &Input) -> Counts {
        match input {
            Input::Restart { .. } => counts.restarts += 1,
            Input::Propose { commands } if self.commands.is_some() => {
                counts.commands += commands.len() as u8; // The scope bounds them to 15.
            }
            Input::TransferLeadership { .. } => counts.transfers += 1,
            Input::TakeSnapshot { .. } => counts.snapshots += 1,
            Input::Read { read: ReadId(0) } => counts.reads += 1,
            Input::Read { .. } => counts.follower_reads += 1,
            Input::ChangeMembership { change, .. } => {
                counts.changes |= self.next_of(counts, change).unwrap_or(0);
            }
            _ => {}
        }
        counts
    }

    /// C5: the numbers that reads asked of servers that do not lead will have.
    pub(super) fn numbers_to_come(&self, counts: Counts) -> impl Iterator<Item = ReadId> {
        let (earlier, mutation) = (u64::from(counts.follower_reads), self.mutation);
        (earlier..self.follower_reads).map(move |place| number_of_follower_read(place, mutation))
    }

    /// The bit of a change that is in the scope's list and has not been begun yet.
    fn next_of(&self, counts: Counts, change: &MembershipChange) -> Option<u8> {
        let places = self.changes.iter().enumerate();
        let mut bits = places.filter(|(_, other)| *other == change).map(|(place, _)| 1 << place);
        bits.find(|bit| counts.changes & bit == 0)
    }
}
