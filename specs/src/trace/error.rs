//! What is wrong with a trace, and what to do.

use super::{FORMAT, MAX_LINE_BYTES, MAX_TRACE_BYTES, VERSION};
use crate::ServerId;
use crate::scope::ScopeFlaw;
use crate::spelling::printable;
use std::io;
use std::path::Path;
use thiserror::Error;

/// Why there is no trace: where it goes wrong, and how.
#[derive(Debug, Error)]
#[error("{origin}:{line}: {problem}")]
pub struct TraceError {
    origin: String,
    line: u64,
    problem: TraceProblem,
}

impl TraceError {
    pub(super) fn new(line: u64, problem: TraceProblem) -> TraceError {
        TraceError { origin: "trace".to_string(), line, problem }
    }

    pub(super) fn in_file(self, path: &Path) -> TraceError {
        TraceError { origin: path.display().to_string(), ..self }
    }

    /// The line, from 1, at which the trace goes wrong.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// What is wrong there.
    pub fn problem(&self) -> &TraceProblem {
        &self.problem
    }
}

/// What is wrong with a line of a trace.
#[derive(Debug, Error)]
pub enum TraceProblem {
    /// The first line is no header of a trace.
    #[error("not a Kontiki trace\n  its first line would be a header with \"format\":\"{FORMAT}\"")]
    NotATrace,
    /// The trace is of a version that this program does not read.
    #[error(
        "the trace has version {found}, and this program reads version {VERSION}\n  \
         record it again, or read it with the program that wrote it"
    )]
    Version {
        /// The trace's version.
        found: u64,
    },
    /// The line is not what its kind of line must be.
    #[error("wrong {kind} line: {reason} (column {column})\n  {}", shape(kind))]
    Line {
        /// "header", "step" or "end".
        kind: &'static str,
        /// What the JSON reader says.
        reason: String,
        /// Where in the line it says it, in bytes from 1.
        column: usize,
    },
    /// The header's scope contradicts itself.
    #[error("the header's scope is wrong: {0}")]
    Scope(ScopeFlaw),
    /// A step is missing, repeated or out of place.
    #[error(
        "step {found} stands where step {expected} must be\n  \
         steps are numbered 1, 2, 3 ...: lines are missing, repeated or out of order"
    )]
    Number {
        /// The number that must be here.
        expected: u64,
        /// The number that is here.
        found: u64,
    },
    /// A step of a server that the scope does not have.
    #[error("a step of {server}\n  the servers of the header's scope are 1 to {servers}")]
    Server {
        /// Whose step it is.
        server: ServerId,
        /// How many servers there are.
        servers: u64,
    },
    /// A step goes on from one that is not there, or is another server's.
    #[error(
        "the step goes on from step {from}, which is no earlier step of {server}\n  \
         leave `from` out to go on from its latest step; 0 is its first start"
    )]
    From {
        /// What the step goes on from.
        from: u64,
        /// Whose step it is.
        server: ServerId,
    },
    /// There is no end line.
    #[error(
        "the trace is cut short after {steps} steps\n  \
         its last line would be {{\"end\":true,\"steps\":N}}: record it again"
    )]
    CutShort {
        /// How many steps were read.
        steps: u64,
    },
    /// The end line says that it is not one.
    #[error("an end line with \"end\":false\n  write \"end\":true if the trace ends here")]
    EndIsFalse,
    /// The end line counts other steps than there are.
    #[error(
        "the end line counts {stated} steps, but {found} were read\n  \
         lines are missing or added: record the trace again"
    )]
    Count {
        /// What the end line says.
        stated: u64,
        /// How many steps were read.
        found: u64,
    },
    /// Something stands after the end line.
    #[error("something stands after the end line\n  one file holds one trace: remove the rest")]
    AfterEnd,
    /// The line is longer than [`MAX_LINE_BYTES`].
    #[error("the line is longer than {MAX_LINE_BYTES} bytes, so hardly a trace's")]
    LongLine,
    /// The trace is longer than [`MAX_TRACE_BYTES`].
    #[error("the trace is longer than {MAX_TRACE_BYTES} bytes\n  record fewer steps")]
    LongTrace,
    /// The file cannot be opened or read on.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
}

impl TraceProblem {
    pub(super) fn line(kind: &'static str, error: &serde_json::Error) -> TraceProblem {
        // The reader sees one line at a time and always calls it line 1.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let text = error.to_string();
        let reason = printable(text.strip_suffix(&place).unwrap_or(&text));
        TraceProblem::Line { kind, reason, column: error.column() }
    }
}

/// What a line of the kind looks like.
fn shape(kind: &str) -> &'static str {
    match kind {
        "header" => {
            "it has the fields format, version, scope, mutation, violates, about, and no others"
        }
        "end" => "it is {\"end\":true,\"steps\":N}, where N is the number of steps",
        _ => {
            "it has the fields step, server, input, outputs, observation, it may have from, and no others"
        }
    }
}
