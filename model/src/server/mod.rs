//! One Raft server: a deterministic function from a state and an input to a state and outputs.
//!
//! This is the definition that everything else is compared with, so it is written to be read
//! beside the paper. Each file holds one group of rules, and each rule is a small function with its
//! number. A [`Mutation`] breaks a rule inside one function and nowhere else: the rule's own, or, for
//! the many wrong ways to count a majority, the one in `broken_majorities` that the rule asks first.

mod broken_majorities;
mod change;
mod commit;
mod contact;
mod disk;
mod election;
mod install;
mod learners;
mod lease;
mod log;
mod membership;
mod mutation;
mod notices;
mod offer;
mod pre_vote;
mod quorum;
mod read;
mod replication;
mod sessions;
mod snapshot;
mod state;
mod step;
mod stored;
mod terms;
mod transfer;

pub(crate) use change::changed;
pub use install::stands_for;
pub use log::{Log, entry_bytes};
pub use mutation::Mutation;
pub use read::number_of_follower_read;
pub use sessions::StateMachine;
pub use state::{Disk, Role, ServerState, Write};
pub use stored::{ReceivedPart, StoredSnapshot, Taking, executed, renamed};

use kontiki_specs::{Configuration, Input, Output, ServerId};
use std::sync::Arc;
use step::Step;

/// A server's fixed part: who it is, whom it knows, which rules are on.
#[derive(Clone, Debug)]
pub struct RaftServer {
    /// Which server this is.
    pub id: ServerId,
    /// The configuration in force while its log holds none (rule M2).
    pub bootstrap: Arc<Configuration>,
    /// What the cluster has chosen.
    pub options: Options,
    /// The rule that is broken, if one is.
    pub mutation: Option<Mutation>,
}

/// What a cluster may choose. The paper's basic algorithm has none of the rules, and no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Rule E7.
    pub pre_vote: bool,
    /// Rule E8.
    pub leader_contact: bool,
    /// Rule C4.
    pub leases: bool,
    /// Rule E9.
    pub check_quorum: bool,
    /// The most entries in one message; at least 1.
    pub batch: u64,
    /// The most entries under way to one follower in pipeline; at least 1 (rule L9).
    pub window: u64,
    /// The most bytes of entries in one message; a larger entry goes alone (rule L9).
    pub batch_bytes: u64,
    /// The most bytes of entries under way to one follower in pipeline; one entry may be, whatever
    /// its size (rule L9).
    pub window_bytes: u64,
    /// The most bytes of entries that the state machine is handed before it has executed them all;
    /// one entry may be, whatever its size; `None` if nothing limits them (rule L8).
    pub apply_bytes: Option<u64>,
    /// In how many rounds a learner must catch up before it may become a voter; 0 if it need not
    /// (rule M5).
    pub catch_up_rounds: u64,
    /// How many entries that a snapshot covers stay in the log (rule S1).
    pub kept_entries: u64,
    /// After how many bytes of entries a snapshot is due; `None` if never (rule S1).
    pub snapshot_bytes: Option<u64>,
    /// Whether commands are those of sessions (rule C2). Otherwise nothing is asked of them.
    pub sessions: bool,
    /// Whether the bytes of snapshots are written by state machines of which the model knows nothing.
    /// Then any bytes stand for what they are said to stand for.
    pub foreign_snapshots: bool,
}

impl RaftServer {
    /// The server as it starts for the first time (rule E1).
    pub fn boot(&self) -> ServerState {
        self.recover(Disk::default(), 0)
    }

    /// The server as it starts with what its disk holds, in an incarnation of its own.
    pub fn recover(&self, disk: Disk, incarnation: u64) -> ServerState {
        ServerState::recover(self, disk, incarnation)
    }

    /// What the server does when `input` happens to it. Any input is possible in any state; one
    /// that does not apply changes nothing.
    pub fn step(&self, state: &ServerState, input: &Input) -> (ServerState, Vec<Output>) {
        let stepped = self.go_on(state, state.clone(), input);
        debug_assert!(
            self.advance(state.clone(), input) == stepped,
            "a rule looks at the logs before"
        );
        stepped
    }

    /// As [`RaftServer::step`], for whoever does not need the state any more: nobody shares its logs, so
    /// they are not copied before they are changed, however long they are.
    pub fn advance(&self, state: ServerState, input: &Input) -> (ServerState, Vec<Output>) {
        let before = state.without_logs();
        self.go_on(&before, state, input)
    }

    /// What the server does in a state. `before` is the same state; no rule looks at its logs.
    fn go_on(
        &self,
        before: &ServerState,
        state: ServerState,
        input: &Input,
    ) -> (ServerState, Vec<Output>) {
        let mut step = Step::new(self, before, state);
        match input {
            Input::Deliver { from, message } => step.receive(*from, message),
            Input::ElectionTimeout => step.election_timeout(),
            Input::HeartbeatTimeout => step.heartbeat_timeout(),
            Input::LeaderContactExpired => step.leader_contact_expired(),
            Input::QuorumContactExpired => step.quorum_contact_expired(),
            Input::TransferExpired => step.transfer_expired(),
            Input::Propose { commands } => step.propose(commands),
            Input::Read { read } => step.read(*read),
            Input::LeaseExpired { round } => step.lease_expired(*round),
            Input::ChangeMembership { change, expected } => {
                step.change_membership(change, *expected);
            }
            Input::TransferLeadership { to } => step.transfer_leadership(*to),
            Input::HardStateWritten { term, vote, .. } => {
                step.hard_state_written(input, *term, *vote);
            }
            Input::EntriesWritten { leader_term, index, .. } => {
                step.entries_written(input, *leader_term, *index);
            }
            Input::Executed { index } => step.executed(*index),
            Input::TakeSnapshot { index } => step.take_snapshot(*index),
            Input::SnapshotTaken { incarnation, last, size } => {
                step.snapshot_taken(*incarnation, *last, *size);
            }
            Input::SnapshotFailed { incarnation, last } => {
                step.snapshot_failed(*incarnation, *last);
            }
            Input::ChunkWritten { .. } | Input::SnapshotInstalled { .. } => {
                step.snapshot_written(input);
            }
            Input::DiskStalled => step.disk_stalled(),
            Input::Restart { torn } => step.restart(*torn),
        }
        step.leave_joint();
        step.step_down_outside(input);
        step.hand_over(input);
        step.finish(input)
    }
}
