//! What servers say to each other: one variant for each request and each reply.

use crate::{Entries, LogIndex, LogPosition, ReadId, ServerId, Snapshot, SnapshotId, Term};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A message, with the servers it goes from and to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The sender.
    pub from: ServerId,
    /// The receiver.
    pub to: ServerId,
    /// What is said.
    pub message: Message,
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}: {}", self.from, self.to, self.message)
    }
}

/// A Raft message. Every variant carries the sender's term at the time of sending.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Message {
    /// Asks whether the receiver would vote for the sender in the term after `term` (rule E7).
    /// Nobody's term changes for it beyond `term`, in which the sender already is.
    RequestPreVote {
        /// The sender's current term, not the one it would campaign in.
        term: Term,
        /// The last entry of the sender's log.
        last: LogPosition,
    },
    /// Answers [`Message::RequestPreVote`].
    RequestPreVoteReply {
        /// The term of the request.
        term: Term,
        /// Whether the sender would vote for the receiver.
        granted: bool,
    },
    /// Asks for the receiver's vote in `term` (rule E2).
    RequestVote {
        /// The term of the election.
        term: Term,
        /// The last entry of the candidate's log.
        last: LogPosition,
        /// Whether the last leader told the candidate to campaign, so that leader contact does
        /// not stand against it (rules E8, E10).
        transfer: bool,
    },
    /// Answers [`Message::RequestVote`].
    RequestVoteReply {
        /// The term of the election.
        term: Term,
        /// Whether the sender gave the receiver its vote.
        granted: bool,
    },
    /// Replicates entries (rule L2); without entries it is a heartbeat (rule L12).
    AppendEntries {
        /// The leader's term.
        term: Term,
        /// The entry just before the first of `entries`.
        prev: LogPosition,
        /// Consecutive entries, the first at `prev.index + 1`.
        entries: Entries,
        /// The leader's commit index.
        commit_index: LogIndex,
    },
    /// Answers [`Message::AppendEntries`].
    AppendEntriesReply {
        /// The leader's term.
        term: Term,
        /// Whether the logs matched.
        outcome: AppendOutcome,
    },
    /// Offers the leader's snapshot to a follower whose next entry the leader has let go of, and
    /// brings part of it (rule S2).
    InstallSnapshot {
        /// The leader's term.
        term: Term,
        /// The snapshot. Boxed: messages are moved often, and few bring one.
        snapshot: Box<Snapshot>,
        /// Where in its bytes `data` begins.
        offset: u64,
        /// Some of its bytes; none if the leader asks how many have arrived, which is also its
        /// heartbeat to this follower.
        data: Bytes,
    },
    /// Answers [`Message::InstallSnapshot`], unless the receiver has all that the snapshot covers:
    /// then [`Message::AppendEntriesReply`] does.
    InstallSnapshotReply {
        /// The leader's term.
        term: Term,
        /// The snapshot of the request.
        snapshot: SnapshotId,
        /// The `offset` of the request.
        offset: u64,
        /// How many of the snapshot's bytes have arrived, from the first on.
        received: u64,
    },
    /// A leader asks whether it still leads (rule C3).
    ConfirmLeadership {
        /// The leader's term.
        term: Term,
        /// The round that the question belongs to. The leader counts its rounds from 1 in each term.
        round: u64,
    },
    /// Answers [`Message::ConfirmLeadership`]: the sender knows of no later term.
    ConfirmLeadershipReply {
        /// The leader's term.
        term: Term,
        /// The round of the question.
        round: u64,
    },
    /// A follower asks its leader up to where the state machine must have executed the log before a
    /// read that has begun may be served (rule C5).
    ReadIndex {
        /// The current term.
        term: Term,
        /// The read. No other read of the sender ever has the same number.
        read: ReadId,
    },
    /// Answers [`Message::ReadIndex`].
    ReadIndexReply {
        /// The leader's term.
        term: Term,
        /// The read.
        read: ReadId,
        /// The read index.
        index: LogIndex,
    },
    /// A leader tells a voter to campaign at once (rules E10, M4). It is not answered.
    TimeoutNow {
        /// The leader's term.
        term: Term,
    },
    /// Answers any request of an earlier term (rule E6): the sender of that request is behind.
    LaterTerm {
        /// The term of the server that answers.
        term: Term,
    },
}

/// What became of an [`Message::AppendEntries`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum AppendOutcome {
    /// The follower's log agrees with the leader's up to `index`, and is durable up to there.
    Matched {
        /// The last index that is known to agree.
        index: LogIndex,
    },
    /// The follower has no entry at the request's `prev`, or one of another term.
    Mismatch {
        /// The `prev.index` of the request that is refused.
        prev_index: LogIndex,
        /// Where the logs may agree: the follower's last entry before `prev_index` whose term is
        /// not later than the request's `prev.term` (rule L2).
        hint: LogPosition,
    },
}

impl Message {
    /// The term the message carries.
    pub fn term(&self) -> Term {
        match self {
            Message::RequestPreVote { term, .. }
            | Message::RequestPreVoteReply { term, .. }
            | Message::RequestVote { term, .. }
            | Message::RequestVoteReply { term, .. }
            | Message::AppendEntries { term, .. }
            | Message::AppendEntriesReply { term, .. }
            | Message::InstallSnapshot { term, .. }
            | Message::InstallSnapshotReply { term, .. }
            | Message::ConfirmLeadership { term, .. }
            | Message::ConfirmLeadershipReply { term, .. }
            | Message::ReadIndex { term, .. }
            | Message::ReadIndexReply { term, .. }
            | Message::TimeoutNow { term }
            | Message::LaterTerm { term } => *term,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = |granted: &bool| if *granted { "granted" } else { "refused" };
        match self {
            Message::RequestPreVote { term, last } => {
                write!(f, "RequestPreVote term {term}, last {last}")
            }
            Message::RequestPreVoteReply { term, granted } => {
                write!(f, "pre-vote {} in term {term}", answer(granted))
            }
            Message::RequestVote { term, last, transfer } => {
                let told = if *transfer { ", told to campaign" } else { "" };
                write!(f, "RequestVote term {term}, last {last}{told}")
            }
            Message::RequestVoteReply { term, granted } => {
                write!(f, "vote {} in term {term}", answer(granted))
            }
            Message::AppendEntries { term, prev, entries, commit_index } => {
                write!(f, "AppendEntries term {term}, after {prev}, ")?;
                match &**entries {
                    [] => write!(f, "no entries")?,
                    [entry] => write!(f, "{entry}")?,
                    [first, .., last] => write!(f, "{first} to {last}")?,
                }
                write!(f, ", commit {commit_index}")
            }
            Message::AppendEntriesReply { term, outcome } => match outcome {
                AppendOutcome::Matched { index } => {
                    write!(f, "matched up to {index} in term {term}")
                }
                AppendOutcome::Mismatch { prev_index, hint } => {
                    write!(f, "mismatch at {prev_index} in term {term}, try {hint}")
                }
            },
            Message::InstallSnapshot { term, snapshot, offset, data } if data.is_empty() => {
                write!(f, "InstallSnapshot term {term}, {snapshot}, asks about byte {offset}")
            }
            Message::InstallSnapshot { term, snapshot, offset, data } => {
                let end = offset.saturating_add(data.len() as u64);
                write!(f, "InstallSnapshot term {term}, {snapshot}, bytes {offset} to {end}")?;
                write!(f, " of {}", snapshot.size)
            }
            Message::InstallSnapshotReply { term, snapshot, received, .. } => {
                write!(f, "has {received} bytes of {snapshot} in term {term}")
            }
            Message::ConfirmLeadership { term, round } => {
                write!(f, "asks whether it leads in term {term}, round {round}")
            }
            Message::ConfirmLeadershipReply { term, round } => {
                write!(f, "knows of no term later than {term}, round {round}")
            }
            Message::ReadIndex { term, read } => {
                write!(f, "asks for the read index of {read} in term {term}")
            }
            Message::ReadIndexReply { term, read, index } => {
                write!(f, "the read index of {read} is {index} in term {term}")
            }
            Message::TimeoutNow { term } => write!(f, "campaign at once, in term {term}"),
            Message::LaterTerm { term } => write!(f, "the term is {term}"),
        }
    }
}
