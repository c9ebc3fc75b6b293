//! What a server asks for.

use crate::{
    Configuration, Entries, LogIndex, LogPosition, Message, ReadId, ServerId, Snapshot, SnapshotId,
    Term,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One effect of a step, to be carried out by the driver in the order given.
///
/// No output has to be held back: what depends on a write is put out only when the write's
/// completion has come in. Writes are carried out in the order issued.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Output {
    /// Send a message. It may be lost, repeated or overtaken.
    Send {
        /// The receiver.
        to: ServerId,
        /// What to say.
        message: Message,
    },
    /// Make term and vote durable (rule E3), then say so by `Input::HardStateWritten`.
    WriteHardState {
        /// The incarnation in which the write is issued; names it together with what it writes.
        incarnation: u64,
        /// The current term.
        term: Term,
        /// The vote in that term.
        vote: Option<ServerId>,
    },
    /// Drop what the disk's log holds from `first_index` on, append `entries` there, make that
    /// durable, then say so by `Input::EntriesWritten`.
    WriteEntries {
        /// The incarnation in which the write is issued: which start of the server this is.
        incarnation: u64,
        /// The term in which the write is issued; names it together with the incarnation and the
        /// last index.
        leader_term: Term,
        /// The index of the first entry.
        first_index: LogIndex,
        /// Consecutive entries, at least one.
        entries: Entries,
    },
    /// Make durable a snapshot of what the state machine has executed up to `last`, with all that is
    /// said of it here, then say so by `Input::SnapshotTaken` (rule S1). Nothing waits for it, and it
    /// need not keep its place among the writes (rule S3).
    TakeSnapshot {
        /// The incarnation in which it is asked for.
        incarnation: u64,
        /// The last entry that it covers.
        last: LogPosition,
        /// The configuration as of there.
        configuration: Box<Configuration>,
        /// Where that configuration's entry stands.
        configuration_position: LogPosition,
    },
    /// So many bytes of entries have been handed to the state machine since a snapshot was last begun
    /// or installed that it is time for the next (rule S1). Whether there is to be one is the owner's
    /// to say. Said once, and not while a snapshot is being taken. A driver whose request is refused then
    /// has to ask again by itself.
    SnapshotDue,
    /// The disk may forget the log's entries up to this index, and snapshots older than the server's:
    /// the snapshot on disk stands for them. It may do so at any later time, or never (rules S1, S4).
    DropEntries {
        /// The last of them.
        through: LogIndex,
    },
    /// Send a chunk of the server's snapshot: as many bytes from `offset` on as one message may
    /// carry, at least one, in a `Message::InstallSnapshot` with what is said here (rule S2).
    SendChunk {
        /// The receiver.
        to: ServerId,
        /// The term to send it in.
        term: Term,
        /// The snapshot.
        snapshot: Box<Snapshot>,
        /// The first byte to send.
        offset: u64,
    },
    /// Make these bytes of another server's snapshot durable, then say so by `Input::ChunkWritten`
    /// (rule S2). Where `offset` is 0, all that was received of any other snapshot goes first.
    WriteChunk {
        /// The incarnation in which the write is issued.
        incarnation: u64,
        /// The snapshot.
        snapshot: Box<Snapshot>,
        /// Where in its bytes `data` belongs: right behind what was written before.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// Make the snapshot that has been received the server's own, durably; after that drop the whole
    /// log on disk, which goes on behind the snapshot's last entry; then say so by
    /// `Input::SnapshotInstalled` (rule S2).
    InstallSnapshot {
        /// The incarnation in which the write is issued.
        incarnation: u64,
        /// The snapshot.
        snapshot: Box<Snapshot>,
    },
    /// Put the state machine into the state of this snapshot, which has been received (rule S2).
    Restore {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// Apply these committed entries to the state machine, in this order (rule L8). When all that was
    /// handed over is executed, say so by `Input::Executed`: no more is handed over than a limit.
    Apply {
        /// Consecutive entries, at least one, the first right after the last applied.
        entries: Entries,
    },
    /// The proposed commands, or the configuration of a change of membership, were appended, in a
    /// row; they are not committed yet.
    Proposed {
        /// Where the first of them stands in the leader's log. All are of its term.
        first: LogPosition,
        /// Where the last of them stands.
        last_index: LogIndex,
    },
    /// Entries were dropped from the log, because the leader has others in their place. A client that
    /// waits for one of them is to be told that its command may not have happened. It may happen yet:
    /// another server may hold it, be elected, and bring it back here. So does a change of membership
    /// end that was appended there.
    Truncated {
        /// The first of them.
        first_index: LogIndex,
        /// The last of them.
        last_index: LogIndex,
    },
    /// A change of membership is complete: a configuration that is not joint is known to be
    /// committed. A change that goes through a joint configuration, which is what `Proposed` then
    /// names, is complete with the next configuration after that. Said at every member, and again
    /// after a restart, of earlier changes too.
    ChangeCompleted {
        /// Where the configuration stands.
        position: LogPosition,
    },
    /// A learner has caught up: it may be made a voter as long as it keeps up (rule M5). One that
    /// falls behind begins anew, and this is said again when it has caught up.
    CaughtUp {
        /// The learner.
        server: ServerId,
    },
    /// A learner is too slow: it has not caught up in all the rounds that it is given. They begin
    /// anew (rule M5).
    TooSlow {
        /// The learner.
        server: ServerId,
    },
    /// The leader hands over from now on (rule E10).
    TransferBegun {
        /// Who is to lead.
        to: ServerId,
    },
    /// The transfer has taken too long. The leader takes requests again.
    TransferGivenUp {
        /// Who was to lead.
        to: ServerId,
    },
    /// The server does not lead any more, which is how a transfer ends well. Who leads instead,
    /// `LeaderChanged` will tell.
    TransferEnded {
        /// Who was to lead.
        to: ServerId,
    },
    /// These reads may be served as soon as the state machine has executed the log up to the read index,
    /// or was restored from a snapshot that covers it, and not before (rule C3). That the log was handed
    /// over so far is not enough. Where nothing waits under that number, this means nothing.
    ReadReady {
        /// The reads.
        read: ReadId,
        /// The read index.
        index: LogIndex,
    },
    /// These reads are not served here: the server knows of no leader, leads no more, or has too many
    /// waiting (rule C3). What may still come under that number means nothing.
    ReadRefused {
        /// The reads.
        read: ReadId,
        /// Why.
        refusal: Refusal,
    },
    /// A request of a client or an operator was refused. It certainly has not been carried out.
    Refused {
        /// Why.
        refusal: Refusal,
    },
    /// The server has taken another role.
    RoleChanged {
        /// The new role.
        role: RoleKind,
    },
    /// The server knows another leader than before, or the same in another term, or none any more.
    LeaderChanged {
        /// The current term.
        term: Term,
        /// Who leads in it, as far as the server knows.
        leader: Option<ServerId>,
    },
    /// Begin to wait for an election timeout anew, for a time drawn at random (rule E1): the server
    /// has heard from a leader, is asked for a vote by the candidate that has its vote, seeks
    /// election, or leads no more.
    ResetElectionTimer {
        /// It has heard from a leader, and rule E8 is on: begin to wait for the minimum election
        /// timeout anew, too, and when that has passed give it `Input::LeaderContactExpired`.
        leader_contact: bool,
    },
}

/// Why a request of a client or an operator was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Refusal {
    /// Only the leader serves; this may be it.
    NotLeader {
        /// The leader this server last heard from in its current term.
        leader: Option<ServerId>,
    },
    /// There was no command in the proposal.
    NothingProposed,
    /// A command is larger than this server takes. It is no use to try again.
    CommandTooLarge {
        /// The command's size, in bytes.
        size: u64,
        /// The largest size taken, in bytes.
        limit: u64,
    },
    /// The leader has too much that is not committed yet. Later it may have room.
    TooMuchUncommitted {
        /// The commands that wait to be committed, in bytes.
        uncommitted: u64,
        /// How many bytes may wait.
        limit: u64,
    },
    /// Too many reads wait at this leader, its own and those of followers. Later it may have room.
    TooManyReads {
        /// How many may wait.
        limit: u64,
    },
    /// Leadership is being transferred: no command and no change of membership is taken until that has
    /// succeeded or is given up (rule E10).
    TransferUnderWay {
        /// Who is to lead.
        to: ServerId,
    },
    /// Leadership goes to another voter only (rule E10).
    NotAnotherVoter {
        /// Who was to lead.
        server: ServerId,
    },
    /// No snapshot of an entry that has not been applied, or that is not on this server's disk
    /// (rule S1). Later it may be.
    NotSettled {
        /// The last index that has been applied and is on disk.
        settled: LogIndex,
    },
    /// The server does not know the configuration as of that index: it waits to be taken in, and has
    /// not heard of any yet (rule S1).
    ConfigurationUnknown,
    /// There is a snapshot of that index or a later one (rule S1).
    SnapshotExists {
        /// The last entry that it covers.
        last: LogPosition,
    },
    /// A snapshot is being taken (rule S1).
    SnapshotUnderWay {
        /// The last entry that it covers.
        last: LogPosition,
    },
    /// A change of membership is under way: the configuration at this index is joint or not
    /// committed yet (rule M7).
    ChangePending {
        /// Where the configuration stands.
        index: LogIndex,
    },
    /// Not the configuration that the operator believes is in force, but that at this position
    /// (rule M10).
    OtherConfiguration {
        /// Where the configuration in force stands; index and term 0 for the one that servers are
        /// started with.
        position: LogPosition,
    },
    /// The leader has not committed an entry of its own term yet (rule M6). Soon it will have.
    NothingCommittedInTerm,
    /// Nobody would be left to vote (rule M10).
    NoVoters,
    /// The server is no member, so it can be neither demoted nor removed (rule M10).
    UnknownServer {
        /// The server.
        server: ServerId,
    },
    /// The server is that already, or is listed twice (rule M10).
    Duplicate {
        /// The server.
        server: ServerId,
    },
    /// The server would be learner and voter (rule M10).
    LearnerIsVoter {
        /// The server.
        server: ServerId,
    },
    /// The configuration in force is the one asked for (rule M10).
    NothingToChange,
    /// The server is not a learner that has caught up, so it cannot become a voter (rule M5).
    NotCaughtUp {
        /// The server.
        server: ServerId,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotLeader { leader: Some(leader) } => write!(f, "{leader} leads"),
            Refusal::NotLeader { leader: None } => {
                write!(f, "it does not lead and knows no leader")
            }
            Refusal::NothingProposed => write!(f, "no command was proposed"),
            Refusal::CommandTooLarge { size, limit } => {
                write!(f, "a command of {size} bytes; at most {limit} are taken")
            }
            Refusal::TooMuchUncommitted { uncommitted, limit } => {
                write!(f, "{uncommitted} bytes wait to be committed; at most {limit} may")
            }
            Refusal::TransferUnderWay { to } => write!(f, "leadership is being handed to {to}"),
            Refusal::NotAnotherVoter { server } => write!(f, "{server} is not another voter"),
            Refusal::NotSettled { settled } => {
                write!(f, "entries up to {settled} are applied and on disk")
            }
            Refusal::ConfigurationUnknown => {
                write!(f, "it does not know who belongs to the cluster")
            }
            Refusal::TooManyReads { limit } => {
                write!(f, "{limit} reads wait, and no more may")
            }
            Refusal::SnapshotExists { last } => write!(f, "there is a snapshot of {last}"),
            Refusal::SnapshotUnderWay { last } => write!(f, "a snapshot of {last} is being taken"),
            Refusal::ChangePending { index } => {
                write!(f, "the change at {index} is not complete")
            }
            Refusal::OtherConfiguration { position } => {
                write!(f, "the configuration in force is that at {position}")
            }
            Refusal::NothingCommittedInTerm => {
                write!(f, "the leader has committed nothing in its term yet")
            }
            Refusal::NoVoters => write!(f, "nobody would be left to vote"),
            Refusal::UnknownServer { server } => write!(f, "{server} is no member"),
            Refusal::Duplicate { server } => {
                write!(f, "{server} is that already, or is listed twice")
            }
            Refusal::LearnerIsVoter { server } => {
                write!(f, "{server} would be learner and voter")
            }
            Refusal::NothingToChange => write!(f, "that configuration is in force already"),
            Refusal::NotCaughtUp { server } => {
                write!(f, "{server} is not a learner that has caught up")
            }
        }
    }
}

/// The roles of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleKind {
    /// Answers requests.
    Follower,
    /// Asks whether it could win an election (rule E7).
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Serves clients and replicates.
    Leader,
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoleKind::Follower => "follower",
            RoleKind::PreCandidate => "pre-candidate",
            RoleKind::Candidate => "candidate",
            RoleKind::Leader => "leader",
        })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Send { to, message } => write!(f, "sends {to}: {message}"),
            Output::WriteHardState { term, vote: Some(vote), .. } => {
                write!(f, "writes term {term} and its vote for {vote}")
            }
            Output::WriteHardState { term, vote: None, .. } => write!(f, "writes term {term}"),
            Output::WriteEntries { entries, .. } => match &**entries {
                [] => write!(f, "writes no entries"),
                [entry] => write!(f, "writes {entry}"),
                [first, .., last] => write!(f, "writes {first} to {last}"),
            },
            Output::TakeSnapshot { last, .. } => write!(f, "begins a snapshot of {last}"),
            Output::SnapshotDue => write!(f, "finds that a snapshot is due"),
            Output::DropEntries { through } => write!(f, "lets go of entries up to {through}"),
            Output::SendChunk { to, snapshot, offset, .. } => {
                write!(f, "sends {to} a chunk of {snapshot} from byte {offset}")
            }
            Output::WriteChunk { snapshot, offset, data, .. } => {
                let end = offset.saturating_add(data.len() as u64);
                write!(f, "writes bytes {offset} to {end} of {snapshot}")
            }
            Output::InstallSnapshot { snapshot, .. } => write!(f, "installs {snapshot}"),
            Output::Restore { snapshot } => write!(f, "restores its state from {snapshot}"),
            Output::Apply { entries } => match &**entries {
                [] => write!(f, "applies nothing"),
                [entry] => write!(f, "applies {entry}"),
                [first, .., last] => write!(f, "applies {first} to {last}"),
            },
            Output::Proposed { first, last_index } if first.index == *last_index => {
                write!(f, "appends it at {first}")
            }
            Output::Proposed { first, last_index } => {
                write!(f, "appends them from {first} to {last_index}")
            }
            Output::CaughtUp { server } => write!(f, "{server} has caught up"),
            Output::TooSlow { server } => write!(f, "{server} is too slow to catch up"),
            Output::ReadReady { read, index } => {
                write!(f, "may serve {read} when {index} is applied")
            }
            Output::ReadRefused { read, refusal } => write!(f, "refuses {read}: {refusal}"),
            Output::Refused { refusal } => write!(f, "refuses: {refusal}"),
            Output::Truncated { first_index, last_index } if first_index == last_index => {
                write!(f, "drops entry {first_index}")
            }
            Output::Truncated { first_index, last_index } => {
                write!(f, "drops entries {first_index} to {last_index}")
            }
            Output::ChangeCompleted { position } => {
                write!(f, "knows the configuration at {position} to be committed")
            }
            Output::TransferBegun { to } => write!(f, "begins to hand over to {to}"),
            Output::TransferGivenUp { to } => write!(f, "gives up handing over to {to}"),
            Output::TransferEnded { to } => write!(f, "leads no more; {to} was to lead"),
            Output::RoleChanged { role } => write!(f, "becomes {role}"),
            Output::LeaderChanged { term, leader: Some(leader) } => {
                write!(f, "knows {leader} to lead in term {term}")
            }
            Output::LeaderChanged { leader: None, .. } => write!(f, "knows no leader"),
            Output::ResetElectionTimer { leader_contact: false } => {
                write!(f, "resets its election timer")
            }
            Output::ResetElectionTimer { leader_contact: true } => {
                write!(f, "resets its timers of election and leader contact")
            }
        }
    }
}
