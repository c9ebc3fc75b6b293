//! All that can happen to a server.

use crate::{LogIndex, LogPosition, MembershipChange, Message, ReadId, ServerId, SnapshotId, Term};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One event. A server is a deterministic function of its state and an input; time, randomness,
/// the network and the disk are all in the choice of the next input.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Input {
    /// A message arrives.
    Deliver {
        /// Who sent it.
        from: ServerId,
        /// What it says.
        message: Message,
    },
    /// The election timer ran out (rule E1). The driver gives it to a server that is not leader,
    /// and only after the minimum election timeout since it last heard from a leader.
    ElectionTimeout,
    /// A leader's heartbeat timer ran out (rule L12).
    HeartbeatTimeout,
    /// The minimum election timeout has passed since the server last heard from a leader (E8).
    LeaderContactExpired,
    /// An election timeout has passed since the leader last looked who answers it (rule E9), and
    /// how quickly its learners catch up and whether they keep up (rule M5).
    QuorumContactExpired,
    /// An election timeout has passed since leadership was to be transferred (rule E10).
    TransferExpired,
    /// Clients ask for commands to be replicated (rule L1): all in this order, or none.
    Propose {
        /// The commands, opaque to Raft; at least one.
        #[serde(with = "crate::command_text::list")]
        commands: Vec<Bytes>,
    },
    /// Clients ask to read (rules C3, C5): any number of reads, which are answered together by
    /// [`crate::Output::ReadReady`] or [`crate::Output::ReadRefused`]. Whatever was committed anywhere
    /// before this input, they will see. The answer of another server may be lost: ask again, then.
    Read {
        /// The reads. To ask again for the same reads, and no others, use the same number.
        read: ReadId,
    },
    /// The time is up for the lease that a round gives, whether it has given one or not (rule C4). The
    /// driver of a leader says so of every round, no later than the minimum election timeout after it first
    /// put out a [`crate::Message::ConfirmLeadership`] of that round, less what clocks may drift apart in
    /// that time.
    LeaseExpired {
        /// The round. Those before it are over, too.
        round: u64,
    },
    /// An operator asks for another membership (rules M1, M5, M6).
    ChangeMembership {
        /// What is to be changed.
        change: MembershipChange,
        /// The position of the configuration entry that the operator believes to be in force; index
        /// and term 0 for the one that servers are started with. The change is refused if another
        /// one is (rule M10).
        expected: Option<LogPosition>,
    },
    /// An operator asks the leader to let another voter lead (rule E10).
    TransferLeadership {
        /// Who is to lead.
        to: ServerId,
    },
    /// The oldest outstanding write is on disk; it was an [`crate::Output::WriteHardState`].
    HardStateWritten {
        /// The incarnation in which the write was issued.
        incarnation: u64,
        /// The term that was written.
        term: Term,
        /// The vote that was written.
        vote: Option<ServerId>,
    },
    /// The oldest outstanding write is on disk; it was an [`crate::Output::WriteEntries`].
    EntriesWritten {
        /// The incarnation in which the write was issued.
        incarnation: u64,
        /// The term in which the write was issued.
        leader_term: Term,
        /// The last index that was written.
        index: LogIndex,
    },
    /// The state machine has executed all that it was handed by [`crate::Output::Apply`] so far, up
    /// to `index`, and can be handed more (rule L8). A driver says so whenever the state machine has
    /// nothing left to do, or less often. If more has been handed over meanwhile, this comes too
    /// late and means nothing: there will be another. After a restart, nothing may be said of what was
    /// handed over before it.
    Executed {
        /// The last entry that the state machine was handed.
        index: LogIndex,
    },
    /// The owner asks for a snapshot of what has been applied up to `index` (rules S1, S3, S5).
    TakeSnapshot {
        /// The last index that the snapshot is to cover: one that has been applied and is on the
        /// server's disk. A state machine
        /// may lag behind what it was handed, or keep what it has executed by itself; it says how far.
        index: LogIndex,
    },
    /// The snapshot that [`crate::Output::TakeSnapshot`] asked for is on disk, with all that the
    /// output says of it.
    SnapshotTaken {
        /// The incarnation in which it was asked for.
        incarnation: u64,
        /// The last entry that it covers.
        last: LogPosition,
        /// How many bytes it has; at least one.
        size: u64,
    },
    /// The snapshot that [`crate::Output::TakeSnapshot`] asked for is given up, and will not be on
    /// disk: the server may be asked for another (rule S1).
    SnapshotFailed {
        /// The incarnation in which it was asked for.
        incarnation: u64,
        /// The last entry that it was to cover.
        last: LogPosition,
    },
    /// The oldest outstanding write is on disk; it was an [`crate::Output::WriteChunk`].
    ChunkWritten {
        /// The incarnation in which the write was issued.
        incarnation: u64,
        /// The snapshot.
        snapshot: SnapshotId,
        /// How many of its bytes are on disk.
        received: u64,
    },
    /// The oldest outstanding write is on disk; it was an [`crate::Output::InstallSnapshot`].
    SnapshotInstalled {
        /// The incarnation in which the write was issued.
        incarnation: u64,
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// The oldest outstanding write has been under way for longer than the driver puts up with
    /// (rule E12). It may be said again, and means nothing while no write is outstanding.
    DiskStalled,
    /// The server crashes and starts again from its disk. Writes not yet complete are lost.
    Restart {
        /// Of the oldest outstanding write only part was lost. If it is of entries, what it
        /// replaces is gone, and this many of its entries, not all, are on disk (rule L11). If it is
        /// of a chunk, this many of its bytes, not all, are on disk, at least one. If it installs a
        /// snapshot, 0 says that the snapshot is on disk and the log is not gone yet (rule S2).
        torn: Option<u64>,
    },
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Deliver { from, message } => write!(f, "receives from {from}: {message}"),
            Input::ElectionTimeout => write!(f, "election timeout"),
            Input::HeartbeatTimeout => write!(f, "heartbeat timeout"),
            Input::LeaderContactExpired => write!(f, "leader contact expires"),
            Input::QuorumContactExpired => write!(f, "quorum contact expires"),
            Input::TransferExpired => write!(f, "leadership transfer expires"),
            Input::Propose { commands } if commands.len() == 1 => {
                write!(f, "a client proposes a command")
            }
            Input::Propose { commands } => write!(f, "clients propose {} commands", commands.len()),
            Input::Read { read } => write!(f, "clients ask for {read}"),
            Input::LeaseExpired { round } => write!(f, "lease of round {round} expires"),
            Input::ChangeMembership { change, expected: None } => {
                write!(f, "an operator asks: {change}")
            }
            Input::ChangeMembership { change, expected: Some(expected) } => {
                write!(f, "an operator asks, if configuration {expected} is in force: {change}")
            }
            Input::TransferLeadership { to } => {
                write!(f, "an operator asks that {to} lead")
            }
            Input::HardStateWritten { term, vote: Some(vote), .. } => {
                write!(f, "disk has written term {term} and the vote for {vote}")
            }
            Input::HardStateWritten { term, vote: None, .. } => {
                write!(f, "disk has written term {term}")
            }
            Input::EntriesWritten { leader_term, index, .. } => {
                write!(f, "disk has written entries up to {index}, issued in term {leader_term}")
            }
            Input::Executed { index } => write!(f, "state machine has executed all up to {index}"),
            Input::TakeSnapshot { index } => write!(f, "is to take a snapshot of {index}"),
            Input::SnapshotTaken { last, .. } => write!(f, "has taken a snapshot of {last}"),
            Input::SnapshotFailed { last, .. } => {
                write!(f, "has failed to take a snapshot of {last}")
            }
            Input::ChunkWritten { snapshot, received, .. } => {
                write!(f, "disk has written {received} bytes of {snapshot}")
            }
            Input::SnapshotInstalled { snapshot, .. } => write!(f, "disk has installed {snapshot}"),
            Input::DiskStalled => write!(f, "disk makes no progress"),
            Input::Restart { torn: None } => write!(f, "crashes and restarts from its disk"),
            Input::Restart { torn: Some(entries) } => {
                write!(f, "crashes, {entries} entries into a write, and restarts from its disk")
            }
        }
    }
}
