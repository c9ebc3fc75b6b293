//! What the driver asks the shell to do.

use super::{Outcome, StopCause, Ticket};
use crate::core::Rejection;
use bytes::Bytes;
use kontiki_specs::{
    Entries, LogIndex, LogPosition, Message, Output, RoleKind, ServerId, Snapshot, SnapshotId, Term,
};

/// Something to be done. Nothing has to wait for anything else, with two exceptions: writes are done in
/// the order of their groups, and the state machine does what it is asked in order ([`Effect::Apply`],
/// [`Effect::Restore`] and [`Effect::TakeSnapshot`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a message. It may be lost, repeated or overtaken.
    Send {
        /// The receiver.
        to: ServerId,
        /// What to say.
        message: Message,
    },
    /// Read bytes of the snapshot and send them.
    SendChunk(ChunkRequest),
    /// Carry out these writes in order, make all of them durable, and then say
    /// [`super::Event::Written`]. No group is handed out while another one is under way.
    Write(WriteGroup),
    /// The disk may forget the log's entries up to here, and snapshots older than the newest.
    DropEntries {
        /// The last of them.
        through: LogIndex,
    },
    /// Execute these committed entries, in order. When all that was handed over is executed, say
    /// [`super::Event::Executed`]. The outcomes of those commands among them that somebody waits
    /// for here follow at once.
    Apply {
        /// Consecutive entries, the first right behind the last that was handed over.
        entries: Entries,
    },
    /// Put the state machine into the state of this snapshot, which is on disk, and then say
    /// [`super::Event::Executed`].
    Restore {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// Take a snapshot of the state machine: exactly of what it has come to by all that was handed
    /// to it before this, and nothing after. Make that durable together with what is said here, and then
    /// say [`super::Event::SnapshotTaken`]. Nothing waits for it: a state machine that can keep a copy of
    /// its state goes on at once.
    TakeSnapshot {
        /// The snapshot. Its size is 0 here: what is put on disk has to say the true one.
        snapshot: Box<Snapshot>,
    },
    /// Tell whoever waits. Every ticket gets one outcome.
    Answer {
        /// The request.
        ticket: Ticket,
        /// What became of it.
        outcome: Outcome,
    },
    /// Tell the operators.
    Notice(Notice),
}

/// Writes that become durable together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteGroup {
    /// Names the group in [`super::Event::Written`]. They are numbered from 1.
    pub number: u64,
    /// The writes: `WriteHardState`, `WriteEntries`, `WriteChunk` and `InstallSnapshot`, at least one. A
    /// crash may leave the first of them done, and the next one in part
    /// ([`crate::storage::LogStore`]).
    pub writes: Vec<Output>,
}

/// Bytes of a snapshot that are to be sent (rule S2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRequest {
    /// The receiver.
    pub to: ServerId,
    /// The term to send them in.
    pub term: Term,
    /// The snapshot.
    pub snapshot: Box<Snapshot>,
    /// The first byte to send.
    pub offset: u64,
}

impl ChunkRequest {
    /// The message that brings these bytes: at least one, from the offset on. A shell that has not got
    /// them any more sends nothing, and the next heartbeat asks the follower again.
    pub fn message(self, data: Bytes) -> Message {
        let ChunkRequest { term, snapshot, offset, .. } = self;
        Message::InstallSnapshot { term, snapshot, offset, data }
    }
}

/// What operators and logs want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The server has taken another role.
    RoleChanged {
        /// The new role.
        role: RoleKind,
    },
    /// The server knows another leader than before, or none any more.
    LeaderChanged {
        /// The current term.
        term: Term,
        /// Who leads in it, as far as the server knows.
        leader: Option<ServerId>,
    },
    /// A configuration that is not joint is known to be committed.
    ChangeCompleted {
        /// Where it stands.
        position: LogPosition,
    },
    /// A learner has caught up (rule M5).
    CaughtUp {
        /// The learner.
        server: ServerId,
    },
    /// A learner is too slow to catch up (rule M5).
    TooSlow {
        /// The learner.
        server: ServerId,
    },
    /// The leader hands over from now on (rule E10).
    TransferBegun {
        /// Who is to lead.
        to: ServerId,
    },
    /// The transfer has taken too long (rule E10).
    TransferGivenUp {
        /// Who was to lead.
        to: ServerId,
    },
    /// The server that handed over leads no more (rule E10).
    TransferEnded {
        /// Who was to lead.
        to: ServerId,
    },
    /// The disk has made no progress for [`super::Timings::disk_stalled`] (rule E12).
    DiskStalled,
    /// A disk that had stalled goes on.
    DiskGoesOn,
    /// A message, or something else that the server was told, makes no sense. Nothing has changed.
    Rejected {
        /// Who sent the message, if it was one.
        from: Option<ServerId>,
        /// What is wrong with it.
        rejection: Rejection,
    },
    /// A group of writes is said to be durable that is not under way. Nothing has changed.
    UnknownGroup {
        /// The number of the group.
        group: u64,
    },
    /// A snapshot is said to be taken or given up that is not being taken. Nothing has changed.
    UnknownSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// The server has stopped for good, and everybody who waited has an outcome.
    Stopped {
        /// Why.
        cause: StopCause,
    },
}
