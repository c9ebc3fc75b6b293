//! What the shell tells the driver.

use super::{Instant, Ticket};
use bytes::Bytes;
use kontiki_specs::{LogIndex, LogPosition, MembershipChange, Message, ServerId, SnapshotId};

/// Something that has happened.
///
/// A request bears a ticket, and may bear a deadline, a moment at which the client gives up; without
/// one, it is [`super::Timings::request_timeout`] from now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message has arrived. Who sent it is for the shell to be sure of.
    Received {
        /// Who sent it.
        from: ServerId,
        /// What it says.
        message: Message,
    },
    /// A client asks for a command to be replicated (rule L1).
    Propose {
        /// The request.
        ticket: Ticket,
        /// The command, opaque to Raft.
        command: Bytes,
        /// When the client gives up.
        deadline: Option<Instant>,
    },
    /// A client asks to read (rules C3, C5).
    Read {
        /// The request.
        ticket: Ticket,
        /// What the read has to see.
        consistency: Consistency,
        /// When the client gives up.
        deadline: Option<Instant>,
    },
    /// An operator asks for another membership (rules M1, M6).
    ChangeMembership {
        /// The request.
        ticket: Ticket,
        /// What is to be changed.
        change: MembershipChange,
        /// The configuration that the change is meant for (rule M10).
        expected: Option<LogPosition>,
        /// When the operator gives up waiting. The change goes on.
        deadline: Option<Instant>,
    },
    /// An operator asks that another server lead (rule E10). It takes no longer than an election
    /// timeout.
    TransferLeadership {
        /// The request.
        ticket: Ticket,
        /// Who is to lead.
        to: ServerId,
    },
    /// An operator asks for a snapshot (rule S1). It takes as long as the state machine takes.
    TakeSnapshot {
        /// The request.
        ticket: Ticket,
    },
    /// A group of writes is durable, all of it.
    Written {
        /// The number of the group.
        group: u64,
    },
    /// A write has failed, or has not been made durable. What the disk holds is not known, so the server
    /// stops for good. To try again would be wrong: after a failed sync a second one may report success
    /// for what is lost.
    DiskFailed {
        /// What happened, for the operator.
        how: String,
    },
    /// The state machine has done all that it was handed, up to an index: it has executed entries, or was
    /// restored.
    Executed {
        /// The index of the last entry, or the last that the snapshot covers.
        index: LogIndex,
    },
    /// The state machine cannot go on. The server stops for good.
    StateMachineFailed {
        /// What happened, for the operator.
        how: String,
    },
    /// The snapshot that was asked for is durable, with all that was said of it.
    SnapshotTaken {
        /// The snapshot.
        snapshot: SnapshotId,
        /// How many bytes it has; at least one.
        size: u64,
    },
    /// The snapshot that was asked for is given up, and will not be on disk.
    SnapshotFailed {
        /// The snapshot.
        snapshot: SnapshotId,
    },
}

/// What a read has to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// Every write that was acknowledged to anybody, and every value that anybody has read, before the
    /// read began (rules C3, C5).
    Linearizable,
    /// At least what was executed up to an index: that of the client's last write, or of its last read,
    /// whichever is higher. The client sees its own writes and never goes back in time. It may miss
    /// what others were told since.
    AtLeast(LogIndex),
    /// Any state of the past. It is served at once.
    Stale,
}
