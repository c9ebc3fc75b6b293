//! What is wrong with a real run.

use crate::divergence::{Divergence, Occasion, Reaction};
use kontiki_specs::recording::RecordingError;
use kontiki_specs::{Input, LogIndex, LogPosition, ServerId, Term};
use std::fmt;
use std::path::PathBuf;

/// Where a run goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// The server.
    pub server: ServerId,
    /// Which start of the server.
    pub incarnation: u64,
    /// The step in that start, from 1; 0 as it starts.
    pub step: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, server, incarnation, step } = self;
        write!(f, "{}:{line}: {server}, start {incarnation}, step {step}", file.display())
    }
}

/// What is wrong with a run, and where it shows.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    /// A file cannot be read as a recording.
    #[error(transparent)]
    Unreadable(RecordingError),
    /// A file that is none of a recording's.
    #[error("{}: the file has no header, and its name is none of a recording's: server-ID-NUMBER.jsonl", file.display())]
    NoServer {
        /// The file.
        file: PathBuf,
    },
    /// Two files are the same part of a recording.
    #[error("{} and {}: both files have the same number: give each file once", file.display(), other.display())]
    SameNumber {
        /// One file.
        file: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// There is nothing to judge.
    #[error("there is no recording here: a server writes one where NodeConfig::record says")]
    Nothing,
    /// What a server did does not go with what others did.
    #[error("{server}: {fault}")]
    Between {
        /// The server.
        server: ServerId,
        /// What it is.
        fault: Fault,
    },
    /// A server did what it may not.
    #[error("{place}: {fault}")]
    At {
        /// Where it shows.
        place: Place,
        /// What it is.
        fault: Fault,
    },
}

/// What a server did that it may not.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A step is not the model's.
    #[error("{}", story(.before, .divergence))]
    Diverges {
        /// The steps before it, the last ones, with the number of the first.
        before: (u64, Vec<Input>),
        /// How the two differ.
        divergence: Box<Divergence>,
    },
    /// A file does not go on where the one before it ended.
    #[error(
        "the file does not go on where the one before it ended: {how}\n  files are missing, or altered"
    )]
    Disconnected {
        /// How.
        how: String,
    },
    /// A file begins with another state than the one before ended with.
    #[error("the file begins with another state than the one before it ended with\n{}", differences(.expected, .found))]
    OtherState {
        /// The model's.
        expected: Box<Reaction>,
        /// What the file says.
        found: Box<Reaction>,
    },
    /// A file begins with a state that no server can be in.
    #[error("the file begins with a state that cannot be: {how}")]
    Impossible {
        /// Why not.
        how: String,
    },
    /// A server comes back with what its disk cannot hold.
    #[error(
        "it starts with what its disk cannot hold after the last start ended, with {outstanding} writes under way\n\
         if none of these was done, with this (-), and it has started with this (+):\n{}", differences(.expected, .found)
    )]
    Restart {
        /// How many writes were outstanding.
        outstanding: usize,
        /// The model's state after a crash, if no outstanding write was done.
        expected: Box<Reaction>,
        /// The server's.
        found: Box<Reaction>,
    },
    /// Two servers have executed different entries at one index, or one has at two times.
    #[error(
        "it executes an entry of term {term} at {index} where {other} has executed another, of term {other_term}"
    )]
    ExecutesAnother {
        /// The index.
        index: LogIndex,
        /// The term of the entry.
        term: Term,
        /// Who has executed another.
        other: ServerId,
        /// The term of that.
        other_term: Term,
    },
    /// A snapshot covers another entry than was executed.
    #[error("it has a snapshot of {last}, where {other} has executed an entry of term {term}")]
    OtherSnapshot {
        /// The last entry that the snapshot covers.
        last: LogPosition,
        /// Who has executed another.
        other: ServerId,
        /// The term of that.
        term: Term,
    },
    /// Two leaders in one term.
    #[error("it leads in term {term}, in which {other} leads")]
    SecondLeader {
        /// The term.
        term: Term,
        /// The other leader.
        other: ServerId,
    },
    /// Two votes in one term.
    #[error("it votes for {vote} in term {term}, and has voted for {other} before")]
    SecondVote {
        /// The term.
        term: Term,
        /// The vote.
        vote: ServerId,
        /// The earlier vote.
        other: ServerId,
    },
    /// A server goes on after its store has failed.
    #[error(
        "it goes on, but its store failed at step {step}: a server that has stopped does nothing until it is started again"
    )]
    GoesOn {
        /// The step at which it failed.
        step: u64,
    },
    /// A server says that its store has failed before, and it has not.
    #[error("it says that its store has failed before, and no step of this start says so")]
    NeverFailed,
    /// A message that nobody has sent.
    #[error("it receives what {from} has never sent to it")]
    NeverSent {
        /// Who was to have sent it.
        from: ServerId,
    },
}

fn story((first, before): &(u64, Vec<Input>), divergence: &Divergence) -> String {
    let mut story = "model and server differ\n".to_string();
    for (number, input) in (*first..).zip(before) {
        story += &format!("  {number:>8}. {input}\n");
    }
    let at = match &divergence.at {
        Occasion::Input(input) => input.to_string(),
        other => other.to_string(),
    };
    story + &format!("       >>> {at}\n{}", differences(&divergence.expected, &divergence.found))
}

fn differences(expected: &Reaction, found: &Reaction) -> String {
    let lines = crate::divergence::differing_lines(expected, found);
    let lines = lines.iter().map(|line| format!("\n  {line}"));
    format!("what was expected (-) and what came instead (+):{}", lines.collect::<String>())
}
