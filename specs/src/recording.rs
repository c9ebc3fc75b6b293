//! Recordings: what one server did in a real run, in files of bounded length.
//!
//! A trace ([`crate::trace`]) has the whole log in every line and belongs to a scope. A recording is for
//! runs of any length: a line has of the log only what its step wrote. So that a reader can start with any
//! file, every file begins with the whole state of the server:
//!
//! ```text
//! {"format":"kontiki-recording","version":1,"server":1,"incarnation":2,"file":7,"after-step":0,"rules":{...}}
//! {"log":[...]}
//! {"checkpoint":{"observation":{...},"writes":[],"receiving":null}}
//! {"step":1,"input":"election-timeout","outputs":[...],"observation":{...}}
//! {"step":2,"input":{...},"rejected":"..."}
//! {"end":"full","step":2}
//! ```
//!
//! The lines are those of [`RecordingHeader`], then of the log in pieces, then of [`Checkpoint`], then of
//! [`RecordedStep`], and at last of [`RecordingEnd`]. Steps are numbered from 1 within a start of the server.
//! Where `after-step` is 0 the server has just started.
//!
//! A process that is killed leaves a file without an end, whose last line may be torn. That is no mistake
//! ([`End::Torn`]).
//!
//! The bytes of other servers' snapshots are not in a recording: [`RecordedStep::without_snapshot_bytes`]
//! says what stands for them.

mod error;
mod reader;
mod stand_in;
mod writer;

pub use error::{RecordingError, RecordingProblem};
pub use reader::{Recorded, RecordingReader};
pub use writer::RecordingLines;

use crate::{Configuration, Input, LogIndex, Observation, Output, ServerId, Snapshot};
use serde::{Deserialize, Serialize};

/// The version of the format that this program writes, and the only one that it reads.
pub const RECORDING_VERSION: u32 = 1;

/// The longest line of a recording, in bytes.
pub const MAX_RECORDING_LINE_BYTES: u64 = 256 * 1024 * 1024;

/// What a file of a recording is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecordingHeader {
    /// The server.
    pub server: ServerId,
    /// Which start of the server this is.
    pub incarnation: u64,
    /// The number of the file, from 1. The files of a server are numbered in the order in which they were
    /// written, whatever the starts.
    pub file: u64,
    /// After how many steps of this start the file begins; 0 if the server has just started.
    pub after_step: u64,
    /// What the server was told when it started.
    pub rules: RecordedRules,
}

/// What a server was told when it started, as far as its steps depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecordedRules {
    /// The configuration that the cluster was started with; nothing if the server waits to be taken in.
    pub bootstrap: Option<Configuration>,
    /// Rule E7.
    pub pre_vote: bool,
    /// Rule E8.
    pub leader_contact: bool,
    /// Rule C4.
    pub leases: bool,
    /// Rule E9.
    pub check_quorum: bool,
    /// In how many rounds a learner must catch up; 0 if it need not (rule M5).
    pub catch_up_rounds: u64,
    /// How many entries that a snapshot covers stay in the log (rule S1).
    pub kept_entries: u64,
    /// After how many bytes of entries a snapshot is due; 0 if never (rule S1).
    pub snapshot_bytes: u64,
    /// The most entries in one message.
    pub batch_entries: u64,
    /// The most bytes of entries in one message (rule L9).
    pub batch_bytes: u64,
    /// The most entries under way to one follower (rule L9).
    pub window_entries: u64,
    /// The most bytes of entries under way to one follower (rule L9).
    pub window_bytes: u64,
    /// The most bytes of entries that are handed over before they are executed; `None` if nothing limits
    /// them (rule L8).
    pub apply_bytes: Option<u64>,
    /// The largest command, in bytes.
    pub command_bytes: u64,
    /// How many bytes of commands may wait to be committed.
    pub uncommitted_bytes: u64,
    /// How many reads may wait at a leader.
    pub waiting_reads: u64,
}

/// The whole state of a server between two steps, but for its log, which stands in lines of its own
/// before this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Checkpoint {
    /// What is observed. [`RecordingReader`] puts the log in; in its line there is none.
    pub observation: Observation,
    /// The inputs that will say that the outstanding writes are complete, the oldest first. None of these
    /// writes replaces entries or installs a snapshot.
    pub writes: Vec<Input>,
    /// The last index of the log on disk, which may be beyond what the server knows to be durable. The
    /// outstanding writes of entries go on from there.
    pub disk_last_index: LogIndex,
    /// The snapshot of another server of which it has a part.
    pub receiving: Option<Snapshot>,
}

/// What a server did at one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedStep {
    /// The number of the step, from 1 in each start of the server.
    pub step: u64,
    /// What happened to it.
    pub input: Input,
    /// What it did.
    pub reaction: RecordedReaction,
}

/// What a server did at an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedReaction {
    /// It took the step.
    Took {
        /// What it asked for, in order.
        outputs: Vec<Output>,
        /// Its state after the step. Of the log it has what the step wrote: the entries from the first that
        /// an output writes, or none.
        observation: Box<Observation>,
    },
    /// It turned the input away and has not changed: why, in words.
    Rejected(String),
    /// Its store failed, and it has stopped: how, in words.
    Failed(String),
}

/// How a file of a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The next file goes on.
    Full,
    /// The server was shut down.
    Ended,
    /// The process ended before it could say more. No line says so.
    #[serde(skip)]
    Torn,
}

/// The last line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordingEnd {
    /// How the file ends.
    pub end: End,
    /// The number of the last step.
    pub step: u64,
}
