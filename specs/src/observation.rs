//! All of a server's state that the model and the implementation must agree on.

use crate::{
    Configuration, Entry, LogIndex, LogPosition, ReadId, ServerId, Snapshot, SnapshotId, Term,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A server as seen from outside, after a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Observation {
    /// The current term.
    pub term: Term,
    /// The vote in the current term.
    pub vote: Option<ServerId>,
    /// The term that is on disk.
    pub durable_term: Term,
    /// The vote that is on disk, cast in `durable_term`.
    pub durable_vote: Option<ServerId>,
    /// Where the log begins: right behind this entry, which is let go of; index and term 0 if none is.
    pub log_base: LogPosition,
    /// The whole log behind there, durable or not.
    pub log: Vec<Entry>,
    /// The snapshot that stands for what is let go of, and maybe more (rule S1).
    pub snapshot: Option<Snapshot>,
    /// Which snapshot is on disk.
    pub durable_snapshot: Option<SnapshotId>,
    /// The last entry that the snapshot covers that is being taken.
    pub taking: Option<LogPosition>,
    /// What it has of another server's snapshot.
    pub receiving: Option<Receiving>,
    /// The configuration in force (rule M2).
    pub configuration: Configuration,
    /// The index of its entry; 0 for the one that the server was started with.
    pub configuration_index: LogIndex,
    /// Which start of the server this is: its driver's number, to which each restart adds 1. No two
    /// incarnations share a write.
    pub incarnation: u64,
    /// Whether the disk makes no progress, as far as the driver has said (rule E12).
    pub disk_stalls: bool,
    /// The log is known to be durable up to this index.
    pub durable_index: LogIndex,
    /// The log is known to be committed up to this index.
    pub commit_index: LogIndex,
    /// The log has been handed to the state machine up to this index.
    pub applied_index: LogIndex,
    /// How many bytes of entries have been handed to the state machine since it had executed all that
    /// it was handed, as far as the driver has said (rule L8); 0 where nothing limits them.
    pub unexecuted_bytes: u64,
    /// How many bytes of entries have been handed to the state machine since a snapshot was last
    /// begun or installed, up to as many as make the next one due (rule S1); 0 where none ever is.
    pub bytes_since_snapshot: u64,
    /// The role, with what belongs to it.
    pub role: RoleObservation,
}

/// What a server has of another's snapshot, before that is whole (rule S2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Receiving {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// How many of its bytes have arrived, from the first on.
    pub received: u64,
    /// How many of these are on disk.
    pub durable: u64,
}

/// A role and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum RoleObservation {
    /// Answers requests.
    Follower {
        /// The leader of the current term, once heard from.
        leader: Option<ServerId>,
        /// Whether it has heard from that leader within the minimum election timeout (rule E8).
        leader_contact: bool,
    },
    /// Asks whether it could win an election.
    PreCandidate {
        /// Who would vote for it, itself included.
        pre_votes: BTreeSet<ServerId>,
    },
    /// Asks for votes.
    Candidate {
        /// Whose votes it holds; its own once that is durable.
        votes: BTreeSet<ServerId>,
        /// Whether the last leader told it to campaign (rule E10).
        transfer: bool,
    },
    /// Serves clients and replicates.
    Leader {
        /// What it knows of each follower.
        progress: BTreeMap<ServerId, FollowerProgress>,
        /// Who has answered since the last quorum check (rule E9).
        heard: BTreeSet<ServerId>,
        /// Who is to lead next, while leadership is being transferred (rule E10).
        transfer: Option<ServerId>,
        /// The reads that wait at it (rule C3).
        #[serde(default, skip_serializing_if = "WaitingReads::is_unused")]
        reads: WaitingReads,
    },
}

/// The reads that wait at a leader until a majority has confirmed that it leads (rule C3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WaitingReads {
    /// How many rounds of questions there have been in the leader's term.
    pub round: u64,
    /// Who has answered in the last of them, while it is under way.
    pub confirmed_by: BTreeSet<ServerId>,
    /// The reads that came before the last round began, in their order. Without any, a round is under
    /// way only for the lease that it may give.
    pub waiting: Vec<WaitingRead>,
    /// The reads that came after, which wait for the next round.
    pub next: Vec<WaitingRead>,
    /// Whether reads may be answered without a round of their own (rule C4).
    #[serde(default, skip_serializing_if = "Lease::is_unused")]
    pub lease: Lease,
}

/// What a leader knows of its lease (rule C4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lease {
    /// The round that the lease is from, while there is one.
    pub round: Option<u64>,
    /// No round up to this one can give a lease any more.
    pub over: u64,
    /// Whether another server was told to campaign: no round of this term can give a lease any more.
    pub given_up: bool,
}

impl Lease {
    /// Whether nothing has happened to it in the leader's term.
    pub fn is_unused(&self) -> bool {
        *self == Lease::default()
    }
}

/// Reads that wait at a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WaitingRead {
    /// The reads.
    pub read: ReadId,
    /// The follower that asks for them; nobody if the leader's own clients do.
    pub asked_by: Option<ServerId>,
}

impl WaitingReads {
    /// Whether nobody has asked for a read in the leader's term.
    pub fn is_unused(&self) -> bool {
        *self == WaitingReads::default()
    }
}

/// What a leader knows of one follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FollowerProgress {
    /// The follower's log is known to agree with the leader's, durably, up to this index.
    pub match_index: LogIndex,
    /// The first index to send next.
    pub next_index: LogIndex,
    /// How entries are sent.
    pub mode: ReplicationMode,
    /// How a learner catches up; nothing for a voter, or where no learner has to (rule M5).
    pub catch_up: Option<CatchUp>,
}

/// How far a learner has caught up. A round is over when it holds what the leader's log held as the
/// round began; it has caught up when a round was short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum CatchUp {
    /// A round is under way.
    Round {
        /// Which, from 1.
        number: u64,
        /// It is over when the learner holds the log up to this index.
        goal: LogIndex,
        /// Whether an election timeout has passed in it.
        long: bool,
    },
    /// A round was over within an election timeout, and since then the learner keeps up.
    Done {
        /// What the leader's log held when the last election timeout began, or the last round: if
        /// the learner does not hold the log up to here when the next begins, it has to catch up
        /// again.
        goal: LogIndex,
    },
}

/// How a leader sends entries to one follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicationMode {
    /// Looking for where the logs agree: one request, then wait for its answer.
    Probe,
    /// The logs agree before `next_index`: entries are sent as they come.
    Pipeline,
    /// The follower's next entry is let go of: it is sent a snapshot (rule S2). `next_index` is the
    /// one behind it.
    Snapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// How many of its bytes have arrived; all of them until the follower has said.
        offset: u64,
    },
}

/// As `a follower of S2, in contact`, or `a leader: S2 matches up to 3, next 4, probed; heard S2`.
impl fmt::Display for RoleObservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoleObservation::Follower { leader, leader_contact } => {
                match leader {
                    Some(leader) => write!(f, "a follower of {leader}")?,
                    None => write!(f, "a follower that knows of no leader")?,
                }
                write!(f, "{}", if *leader_contact { ", in contact" } else { "" })
            }
            RoleObservation::PreCandidate { pre_votes } => {
                write!(f, "a pre-candidate that {} would vote for", names(pre_votes))
            }
            RoleObservation::Candidate { votes, transfer } => {
                let told = if *transfer { ", told to campaign," } else { "" };
                write!(f, "a candidate{told} that {} voted for", names(votes))
            }
            RoleObservation::Leader { progress, heard, transfer, reads } => {
                let known = progress.iter().map(|(follower, known)| format!("{follower} {known}"));
                let mut parts: Vec<String> = known.collect();
                if !heard.is_empty() {
                    parts.push(format!("heard {}", names(heard)));
                }
                parts.extend(transfer.map(|to| format!("handing over to {to}")));
                if !reads.is_unused() {
                    parts.push(reads.to_string());
                }
                let parts = parts.join("; ");
                write!(f, "a leader{}{parts}", if parts.is_empty() { "" } else { ": " })
            }
        }
    }
}

fn names(servers: &BTreeSet<ServerId>) -> String {
    let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
    if names.is_empty() { "nobody".to_string() } else { names.join(" and ") }
}

/// As `read round 2, confirmed by S2, for read 1, next read 3 of S3`.
impl fmt::Display for WaitingReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read round {}", self.round)?;
        let list = |reads: &[WaitingRead]| {
            let names: Vec<String> = reads.iter().map(|waiting| waiting.to_string()).collect();
            names.join(" and ")
        };
        if !self.waiting.is_empty() || !self.confirmed_by.is_empty() {
            write!(f, ", confirmed by {}", names(&self.confirmed_by))?;
        }
        if !self.waiting.is_empty() {
            write!(f, ", for {}", list(&self.waiting))?;
        }
        if !self.next.is_empty() {
            write!(f, ", next {}", list(&self.next))?;
        }
        if !self.lease.is_unused() {
            write!(f, ", {}", self.lease)?;
        }
        Ok(())
    }
}

/// As `lease of round 2, rounds up to 1 over`.
impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.round {
            Some(round) => write!(f, "lease of round {round}")?,
            None if self.given_up => write!(f, "lease given up")?,
            None => write!(f, "no lease")?,
        }
        if self.over > 0 {
            write!(f, ", rounds up to {} over", self.over)?;
        }
        Ok(())
    }
}

/// As `read 1 of S2`.
impl fmt::Display for WaitingRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.read)?;
        self.asked_by.map_or(Ok(()), |follower| write!(f, " of {follower}"))
    }
}

/// As `matches up to 3, next 4, probed`.
impl fmt::Display for FollowerProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FollowerProgress { match_index, next_index, mode, catch_up } = self;
        write!(f, "matches up to {match_index}, next {next_index}, {mode}")?;
        catch_up.map_or(Ok(()), |catch_up| write!(f, ", {catch_up}"))
    }
}

/// As `in round 2 to 5`.
impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatchUp::Round { number, goal, long } => {
                let long = if *long { "long " } else { "" };
                write!(f, "in {long}round {number} to {goal}")
            }
            CatchUp::Done { goal } => write!(f, "caught up to {goal}"),
        }
    }
}

impl fmt::Display for ReplicationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplicationMode::Probe => f.write_str("probed"),
            ReplicationMode::Pipeline => f.write_str("pipelined"),
            ReplicationMode::Snapshot { snapshot, offset } => {
                write!(f, "sent {snapshot}, {offset} bytes so far")
            }
        }
    }
}
