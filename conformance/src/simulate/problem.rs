//! What can be wrong in a simulated cluster.

use crate::divergence::Divergence;
use kontiki_specs::{Input, ServerId};
use std::fmt;

/// What is wrong after a step of a server, or at the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A server did something else than the model does.
    Divergence(Box<Divergence>),
    /// Something does not hold that must hold in every cluster.
    Broken {
        /// What does not hold.
        invariant: Invariant,
        /// The server whose step broke it.
        server: ServerId,
        /// What is there instead.
        how: String,
    },
    /// A server panicked.
    Panicked {
        /// The server.
        server: ServerId,
        /// What happened to it.
        input: Box<Input>,
        /// What it said.
        said: String,
    },
    /// In spite of kind treatment the cluster does not come to where it must.
    Stuck {
        /// What is missing.
        missing: String,
    },
}

/// What must hold in a cluster after every step, whatever went wrong before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// At most one server leads in a term, and once only.
    OneLeader,
    /// When a server becomes leader, a quorum of its configuration has on disk the vote for it, or
    /// a later term.
    VotesOnDisk,
    /// A leader's log holds what was committed in earlier terms.
    LeaderCompleteness,
    /// A leader replaces nothing in its log.
    LeaderAppendOnly,
    /// Entries of the same term and index are the same and follow the same entry, in all logs
    /// that there ever were.
    LogMatching,
    /// What servers commit is the beginning of one history.
    OneHistory,
    /// What is applied is that history in order, each entry once, from behind the snapshot again after
    /// a restart, and as soon as it is committed.
    AppliedInOrder,
    /// Two state machines that have come to the same index, by entries or by a snapshot, are the same.
    SameContent,
    /// What a snapshot says is so: it is of what is committed, with the configuration as of there
    /// (rule S1).
    SnapshotOfCommitted,
    /// What is let go of, in memory or on disk, is covered by the snapshot beside it (rule S1).
    NothingLetGoUncovered,
    /// What is on disk of a snapshot, or arrives of one, is what its taker wrote (rule S2).
    SnapshotBytes,
    /// What is committed is on the disks of a quorum of the configuration that committed it.
    CommittedOnDisks,
    /// The configuration in force at a server is the last in its log (rule M2).
    NewestConfiguration,
    /// No log holds two configurations that nobody has committed (rule M7).
    OnePendingConfiguration,
    /// No two servers could be elected in one term, as far as logs decide, by quorums of their
    /// configurations that share no server (rules M1, M6).
    QuorumOverlap,
    /// No server leads that knows a configuration to be committed in which it has no vote (M4).
    LeaderBelongs,
    /// Only who may be is told to campaign, and who hands over takes nothing new (rule E10).
    OrderlyTransfer,
    /// The entries of a message are those of the sender's log right behind the position that they
    /// are placed behind.
    SentFromLog,
    /// What each server says must hold of itself.
    OwnInvariant,
    /// No server is sent what no honest cluster sends.
    HonestMessages,
    /// A read sees all that was acknowledged, and all that any read had seen, when it began (rules C3,
    /// C5).
    LinearizableReads,
    /// Every request has one outcome, unless its server crashes.
    OneOutcome,
    /// What clients are told of their commands is true (requirement C8).
    TrueOutcomes,
    /// A read that was refused, or whose server went down, is not served later.
    ReadsEndOnce,
    /// What a server remembers of sessions, and what becomes of commands there, is what the model says
    /// (rule C2).
    SameSessions,
    /// A command of a session is executed once, and every answer to it is that one (rule C2).
    ExecutedOnce,
    /// A server that starts from a disk is the same as one that restarted from it.
    StartFromDisk,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invariant::OneLeader => "at most one server leads in a term, and once",
            Invariant::VotesOnDisk => "a leader has the votes of a quorum on disk",
            Invariant::LeaderCompleteness => {
                "a leader's log holds what was committed in earlier terms"
            }
            Invariant::LeaderAppendOnly => "a leader replaces nothing in its log",
            Invariant::LogMatching => {
                "entries of the same term and index are the same and follow the same entry"
            }
            Invariant::OneHistory => "what servers commit is the beginning of one history",
            Invariant::AppliedInOrder => {
                "what is applied is what is committed, in order, each entry once"
            }
            Invariant::SameContent => "state machines that have come to one index are the same",
            Invariant::SnapshotOfCommitted => {
                "a snapshot is of what is committed, with the configuration as of there"
            }
            Invariant::NothingLetGoUncovered => "what is let go of is covered by a snapshot",
            Invariant::SnapshotBytes => "a snapshot's bytes are what its taker wrote",
            Invariant::CommittedOnDisks => "what is committed is on the disks of a quorum",
            Invariant::NewestConfiguration => "the configuration in force is the last in the log",
            Invariant::OnePendingConfiguration => {
                "no log holds two configurations that nobody has committed"
            }
            Invariant::QuorumOverlap => "quorums that could elect in one term share a server",
            Invariant::LeaderBelongs => "no leader knows that it has no vote any more",
            Invariant::OrderlyTransfer => "leadership is handed over in order",
            Invariant::SentFromLog => {
                "the entries of a message are the next ones of the sender's log"
            }
            Invariant::OwnInvariant => "a server's own invariants hold",
            Invariant::HonestMessages => "no server is sent what no honest cluster sends",
            Invariant::LinearizableReads => {
                "a read sees what was committed, and all of it that was when the read began"
            }
            Invariant::OneOutcome => "every request has one outcome",
            Invariant::TrueOutcomes => "what clients are told of their commands is true",
            Invariant::ReadsEndOnce => "a read that has ended is not served again",
            Invariant::SameSessions => "a server remembers of sessions what the model does",
            Invariant::ExecutedOnce => {
                "a command of a session is executed once, and answered as it was then"
            }
            Invariant::StartFromDisk => {
                "a server that starts from a disk is the same as one that restarted from it"
            }
        })
    }
}

/// Problems of one kind are taken for the same one while a schedule is shrunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Divergence,
    Broken(Invariant),
    Panicked,
    Stuck,
}

impl Problem {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Problem::Divergence(_) => Kind::Divergence,
            Problem::Broken { invariant, .. } => Kind::Broken(*invariant),
            Problem::Panicked { .. } => Kind::Panicked,
            Problem::Stuck { .. } => Kind::Stuck,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Divergence(divergence) => {
                write!(f, "the implementation differs from the model: {divergence}")
            }
            Problem::Broken { invariant, server, how } => {
                write!(f, "after a step of {server} it does not hold that {invariant}: {how}")
            }
            Problem::Panicked { server, input, said } => {
                write!(f, "{server} panics ({input}): {said}")
            }
            Problem::Stuck { missing } => {
                write!(f, "the network is whole and enough servers are up, but {missing}")
            }
        }
    }
}
