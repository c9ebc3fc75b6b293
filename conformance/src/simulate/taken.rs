//! A step that a server has taken, with what it was before.

use super::state_machine::Content;
use kontiki::core::Raft;
use kontiki::storage::MemoryStore;
use kontiki_specs::{Input, Message, Output, RoleKind, RoleObservation, ServerId, SnapshotId};

/// What is known of a step besides the server as it is afterwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    /// The server's place: one less than its id.
    pub(super) place: usize,
    /// Its role before.
    pub(super) role: RoleKind,
    /// To whom it was handing leadership over before (rule E10).
    pub(super) transfers_to: Option<ServerId>,
    /// Who was known to hold its whole log before, if it led without a vote (rule M4).
    pub(super) heirs: &'a [ServerId],
    /// Whether it was campaigning because a leader had told it to (rule E10).
    pub(super) was_told: bool,
    /// What it had of another server's snapshot before: which one, and how many bytes.
    pub(super) received: Option<(SnapshotId, u64)>,
    /// Whether it was taking a snapshot before.
    pub(super) was_taking: bool,
    /// How many reads its round of questions under way counted for before (rule C3).
    pub(super) in_round: usize,
    /// Whether it had a lease before (rule C4).
    pub(super) had_lease: bool,
    /// Whether it has one afterwards.
    pub(super) has_lease: bool,
    pub(super) input: &'a Input,
    pub(super) outputs: &'a [Output],
    /// What its state machine came to by each snapshot that it was restored from, and each entry that
    /// it executed, in the order of the outputs; after a restart, first what it starts with.
    pub(super) contents: &'a [Content],
}

impl Taken<'_> {
    /// E10, M4: who is told to campaign is the voter that leadership goes to, holding the leader's
    /// whole log, or one that holds the whole log of a leader without a vote, which steps down, or
    /// whose answer has made it do so. A leader that hands over takes nothing new. `raft` is the
    /// server after the step.
    pub(super) fn transfers_in_order(&self, raft: &Raft<MemoryStore>) -> Result<(), String> {
        if let Some(to) = self.transfers_to.filter(|_| self.takes()) {
            return Err(format!("it takes something new while it hands over to {to}"));
        }
        let told = |to: &ServerId| {
            if raft.role() == RoleKind::Leader {
                return raft.transfers_to() == Some(*to) && holds_all(raft, *to);
            }
            let answers = matches!(self.input, Input::Deliver { from, .. } if from == to);
            self.role == RoleKind::Leader && (answers || self.heirs.contains(to))
        };
        let mut tells = self.tells();
        match tells.find(|to| !told(to) || !raft.configuration().voters.contains(to)) {
            Some(to) => Err(format!("{to} is told to campaign")),
            None => Ok(()),
        }
    }

    /// Who was told to campaign in the step.
    pub(super) fn tells(&self) -> impl Iterator<Item = ServerId> {
        self.outputs.iter().filter_map(|output| match output {
            Output::Send { to, message: Message::TimeoutNow { .. } } => Some(*to),
            _ => None,
        })
    }

    /// Whether something was appended that clients or operators have asked for.
    pub(super) fn takes(&self) -> bool {
        self.outputs.iter().any(|output| matches!(output, Output::Proposed { .. }))
    }
}

/// Whether a follower is known to hold a leader's whole log.
fn holds_all(leader: &Raft<MemoryStore>, follower: ServerId) -> bool {
    who_holds_all(leader).contains(&follower)
}

/// Who is known to hold a leader's whole log.
fn who_holds_all(leader: &Raft<MemoryStore>) -> Vec<ServerId> {
    let last_index = leader.last_index();
    match leader.observe_from(last_index).map(|seen| seen.role) {
        Ok(RoleObservation::Leader { progress, .. }) => {
            let all = progress.into_iter().filter(|(_, known)| known.match_index == last_index);
            all.map(|(follower, _)| follower).collect()
        }
        _ => Vec::new(),
    }
}

/// Who may take over from a server that leads without a vote, because they lack nothing.
pub(super) fn heirs(raft: &Raft<MemoryStore>) -> Vec<ServerId> {
    if raft.configuration().voters.contains(&raft.id()) { Vec::new() } else { who_holds_all(raft) }
}
