//! Traces: what the servers of a cluster did, step by step.
//!
//! A trace is a file of JSON Lines. The first line is a header that names the format, its version
//! and the scope; then comes one line for each step, numbered from 1; the last line says how many
//! steps there are, so that a trace cut short is recognised:
//!
//! ```text
//! {"format":"kontiki-trace","version":7,"scope":{...},"mutation":null,"violates":null,"about":"..."}
//! {"step":1,"server":1,"input":"election-timeout","outputs":[...],"observation":{...}}
//! {"end":true,"steps":1}
//! ```
//!
//! A step goes on from what the server was after its step before. If it has `"from":N`, it goes on
//! from what the server was after step N instead, or from its first start if N is 0: so a trace can
//! hold everything that may happen next, not only what did.
//!
//! A command is written as text if it is text, otherwise as a list of bytes.
//!
//! Reading refuses whatever is not exactly that: a trace that is not consumed to its end, or not
//! understood to the last field, compares nothing.

mod error;
mod lines;
mod writer;

pub use error::{TraceError, TraceProblem};
pub use writer::TraceWriter;

use crate::scope::Scope;
use crate::{Input, Observation, Output, Property, ServerId};
use lines::Lines;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// The version of the format that this program writes, and the only one that it reads.
pub const VERSION: u32 = 7;

/// The longest line of a trace, in bytes.
pub const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;

/// The longest trace, in bytes.
pub const MAX_TRACE_BYTES: u64 = 1024 * 1024 * 1024;

const FORMAT: &str = "kontiki-trace";

/// What a trace is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceHeader {
    /// The scope that the trace lies in.
    pub scope: Scope,
    /// The mutation that the servers ran with, if any.
    pub mutation: Option<String>,
    /// The property that the last step violates, if any.
    pub violates: Option<Property>,
    /// What the trace shows, in words.
    pub about: String,
}

/// What one server did at one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// The server; one of the scope's.
    pub server: ServerId,
    /// The number, from 1, of the earlier step of the server that this one goes on from; 0 for its
    /// first start; `None` for its latest step in the trace.
    pub from: Option<u64>,
    /// What happened to it.
    pub input: Input,
    /// What it asked for, in order.
    pub outputs: Vec<Output>,
    /// Its state after the step.
    pub observation: Observation,
}

/// A header and the steps, in the order in which they were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What the trace is about.
    pub header: TraceHeader,
    /// The steps.
    pub steps: Vec<TraceStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderIn {
    #[serde(rename = "format")]
    _format: IgnoredAny,
    #[serde(rename = "version")]
    _version: IgnoredAny,
    scope: Scope,
    #[serde(deserialize_with = "present")]
    mutation: Option<String>,
    #[serde(deserialize_with = "present")]
    violates: Option<Property>,
    about: String,
}

/// As much of a header as every version has.
#[derive(Deserialize)]
struct Preamble {
    format: String,
    version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepIn {
    step: u64,
    server: ServerId,
    #[serde(default)]
    from: Option<u64>,
    input: Input,
    outputs: Vec<Output>,
    observation: Observation,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    end: bool,
    steps: u64,
}

/// Tells an end line from a step.
#[derive(Deserialize)]
struct EndProbe {
    #[serde(rename = "end")]
    _end: IgnoredAny,
}

/// Null is null: without this, a field that is missing would pass for null.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

impl Trace {
    /// Writes the trace.
    ///
    /// # Errors
    /// Those of `w`, and `InvalidInput` if [`Trace::read`] would refuse what is to be written.
    pub fn write(&self, w: impl Write) -> io::Result<()> {
        let mut writer = TraceWriter::begin(&self.header, w)?;
        for step in &self.steps {
            writer.step(step)?;
        }
        writer.end().map(drop)
    }

    /// Reads a trace to its end.
    ///
    /// # Errors
    /// The first line that is not as it must be, what is wrong with it, and what to do.
    pub fn read(r: impl BufRead) -> Result<Trace, TraceError> {
        let mut lines = Lines::new(r);
        read(&mut lines).map_err(|problem| TraceError::new(lines.number(), problem))
    }

    /// Writes the trace to a file. If that fails midway, reading it will say that it is cut short.
    ///
    /// # Errors
    /// As [`Trace::write`], and if the file cannot be created.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.write(BufWriter::new(File::create(path)?))
    }

    /// Reads a trace from a file.
    ///
    /// # Errors
    /// As [`Trace::read`], and if the file cannot be opened.
    pub fn load(path: impl AsRef<Path>) -> Result<Trace, TraceError> {
        let path = path.as_ref();
        let trace = match File::open(path) {
            Ok(file) => Trace::read(BufReader::new(file)),
            Err(error) => Err(TraceError::new(1, TraceProblem::Unreadable(error))),
        };
        trace.map_err(|error| error.in_file(path))
    }
}

fn is_server(server: ServerId, scope: &Scope) -> bool {
    (1..=scope.servers).contains(&server.0)
}

/// Whether a step of a server may go on from there, given the servers of the steps before it.
fn goes_on(from: Option<u64>, server: ServerId, before: &[ServerId]) -> bool {
    match from.map(|from| from.checked_sub(1)) {
        None | Some(None) => true,
        Some(Some(place)) => {
            usize::try_from(place).ok().and_then(|place| before.get(place)) == Some(&server)
        }
    }
}

fn read<R: BufRead>(lines: &mut Lines<R>) -> Result<Trace, TraceProblem> {
    let header = read_header(lines.next()?.ok_or(TraceProblem::NotATrace)?)?;
    let mut steps = Vec::new();
    let mut servers = Vec::new();
    loop {
        let count = steps.len() as u64;
        let line = lines.next()?.ok_or(TraceProblem::CutShort { steps: count })?;
        // A step is tried first since nearly all lines are steps.
        match parse::<StepIn>("step", line) {
            Ok(step) => {
                let step = accept(step, count + 1, &header.scope, &servers)?;
                servers.push(step.server);
                steps.push(step);
            }
            Err(_) if !line.ends_with(b"\n") && !is_end(line) => {
                return Err(TraceProblem::CutShort { steps: count });
            }
            Err(problem) if !is_end(line) => return Err(problem),
            Err(_) => {
                check_end(&parse("end", line)?, count)?;
                break;
            }
        }
    }
    match lines.next()? {
        None => Ok(Trace { header, steps }),
        Some(_) => Err(TraceProblem::AfterEnd),
    }
}

fn is_end(line: &[u8]) -> bool {
    serde_json::from_slice::<EndProbe>(line).is_ok()
}

fn read_header(line: &[u8]) -> Result<TraceHeader, TraceProblem> {
    let preamble: Preamble = serde_json::from_slice(line).map_err(|_| TraceProblem::NotATrace)?;
    if preamble.format != FORMAT {
        return Err(TraceProblem::NotATrace);
    }
    if preamble.version != u64::from(VERSION) {
        return Err(TraceProblem::Version { found: preamble.version });
    }
    let HeaderIn { scope, mutation, violates, about, .. } = parse("header", line)?;
    scope.check().map_err(TraceProblem::Scope)?;
    Ok(TraceHeader { scope, mutation, violates, about })
}

fn accept(
    step: StepIn,
    expected: u64,
    scope: &Scope,
    before: &[ServerId],
) -> Result<TraceStep, TraceProblem> {
    let StepIn { step: found, server, from, input, outputs, observation } = step;
    if found != expected {
        return Err(TraceProblem::Number { expected, found });
    }
    if !is_server(server, scope) {
        return Err(TraceProblem::Server { server, servers: scope.servers });
    }
    if !goes_on(from, server, before) {
        return Err(TraceProblem::From { from: from.unwrap_or_default(), server });
    }
    Ok(TraceStep { server, from, input, outputs, observation })
}

fn check_end(end: &EndLine, found: u64) -> Result<(), TraceProblem> {
    match end {
        EndLine { end: false, .. } => Err(TraceProblem::EndIsFalse),
        EndLine { steps, .. } if *steps != found => {
            Err(TraceProblem::Count { stated: *steps, found })
        }
        EndLine { .. } => Ok(()),
    }
}

fn parse<T: DeserializeOwned>(kind: &'static str, line: &[u8]) -> Result<T, TraceProblem> {
    serde_json::from_slice(line).map_err(|error| TraceProblem::line(kind, &error))
}
