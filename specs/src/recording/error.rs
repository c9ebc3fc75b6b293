//! What is wrong with a recording, and what to do.

use super::writer::FORMAT;
use super::{MAX_RECORDING_LINE_BYTES, RECORDING_VERSION};
use crate::spelling::printable;
use std::io;
use std::path::Path;
use thiserror::Error;

/// Why a recording cannot be read: where it goes wrong, and how.
#[derive(Debug, Error)]
#[error("{origin}:{line}: {problem}")]
pub struct RecordingError {
    origin: String,
    line: u64,
    problem: RecordingProblem,
}

impl RecordingError {
    pub(super) fn new(line: u64, problem: RecordingProblem) -> RecordingError {
        RecordingError { origin: "recording".to_string(), line, problem }
    }

    /// That a file cannot be opened.
    pub fn unreadable(error: io::Error) -> RecordingError {
        RecordingError::new(1, RecordingProblem::Unreadable(error))
    }

    /// The same, of this file.
    #[must_use]
    pub fn in_file(self, path: &Path) -> RecordingError {
        RecordingError { origin: path.display().to_string(), ..self }
    }

    /// The line, from 1, at which the recording goes wrong.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// What is wrong there.
    pub fn problem(&self) -> &RecordingProblem {
        &self.problem
    }
}

/// What is wrong with a line of a recording.
#[derive(Debug, Error)]
pub enum RecordingProblem {
    /// The first line is no header of a recording.
    #[error(
        "not a recording of a Kontiki server\n  its first line would be a header with \"format\":\"{FORMAT}\""
    )]
    NotARecording,
    /// The recording is of a version that this program does not read.
    #[error(
        "the recording has version {found}, and this program reads version {RECORDING_VERSION}\n  \
         read it with the program that belongs to the server"
    )]
    Version {
        /// The recording's version.
        found: u64,
    },
    /// A line that no line of a recording begins like, or one that stands in the wrong place.
    #[error(
        "a {found} line stands where {expected} must be\n  lines are missing, added or altered"
    )]
    Order {
        /// What must stand here.
        expected: &'static str,
        /// What kind of line stands here.
        found: &'static str,
    },
    /// The line is not what its kind of line must be.
    #[error("wrong {kind} line: {reason} (column {column})\n  the line was altered")]
    Line {
        /// Which kind.
        kind: &'static str,
        /// What the JSON reader says.
        reason: String,
        /// Where in the line it says it, in bytes from 1.
        column: usize,
    },
    /// A step is missing, repeated or out of place.
    #[error(
        "step {found} stands where step {expected} must be\n  \
         lines are missing, repeated or out of order"
    )]
    Number {
        /// The number that must be here.
        expected: u64,
        /// The number that is here.
        found: u64,
    },
    /// What stands for bytes of a snapshot is none of that.
    #[error("the data of a snapshot's chunk is no length with a fingerprint: the line was altered")]
    ChunkData,
    /// A step has several outcomes or none.
    #[error(
        "the step has not exactly one of: outputs and observation, rejected, failed\n  \
         the line was altered"
    )]
    Outcome,
    /// Something stands after the end line.
    #[error("something stands after the end line: remove it")]
    AfterEnd,
    /// The line is too long.
    #[error("the line is longer than {MAX_RECORDING_LINE_BYTES} bytes, so hardly a recording's")]
    LongLine,
    /// The file cannot be opened or read on.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
}

impl RecordingProblem {
    pub(super) fn line(kind: &'static str, error: &serde_json::Error) -> RecordingProblem {
        // The reader sees one line at a time and always calls it line 1.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let text = error.to_string();
        let reason = printable(text.strip_suffix(&place).unwrap_or(&text));
        RecordingProblem::Line { kind, reason, column: error.column() }
    }
}
