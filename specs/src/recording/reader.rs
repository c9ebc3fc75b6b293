//! Reading a recording line by line, in memory for one line and one log.

use super::writer::FORMAT;
use super::{
    Checkpoint, End, MAX_RECORDING_LINE_BYTES, RECORDING_VERSION, RecordedReaction, RecordedRules,
    RecordedStep, RecordingEnd, RecordingError, RecordingHeader, RecordingProblem,
};
use crate::{Entry, Input, Observation, Output, ServerId};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::io::{BufRead, Read};

/// As much of a header as every version has.
#[derive(Deserialize)]
struct Preamble {
    format: String,
    version: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct HeaderIn {
    #[serde(rename = "format")]
    _format: IgnoredAny,
    #[serde(rename = "version")]
    _version: IgnoredAny,
    server: ServerId,
    incarnation: u64,
    file: u64,
    after_step: u64,
    rules: RecordedRules,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogIn {
    log: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointIn {
    checkpoint: Checkpoint,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepIn {
    step: u64,
    input: Input,
    #[serde(default)]
    outputs: Option<Vec<Output>>,
    #[serde(default)]
    observation: Option<Box<Observation>>,
    #[serde(default)]
    rejected: Option<String>,
    #[serde(default)]
    failed: Option<String>,
}

/// The kinds of lines, and how each begins: so they are told apart without being read twice.
const KINDS: [(&str, &str); 5] = [
    ("step", "{\"step\":"),
    ("log", "{\"log\":"),
    ("checkpoint", "{\"checkpoint\":"),
    ("end", "{\"end\":"),
    ("header", "{\"format\":"),
];

/// What comes next in a recording.
#[derive(Debug)]
pub enum Recorded {
    /// The server's state before the first step, with its whole log.
    Checkpoint(Box<Checkpoint>),
    /// A step.
    Step(Box<RecordedStep>),
    /// The end of the file. Nothing comes after it.
    End(End),
}

/// Reads one file of a recording.
pub struct RecordingReader<R> {
    source: R,
    line: Vec<u8>,
    number: u64,
    header: Option<RecordingHeader>,
    log: Vec<Entry>,
    /// The last step that was read, once there was a checkpoint.
    step: Option<u64>,
}

impl<R: BufRead> RecordingReader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// If the first line is no header.
    pub fn begin(source: R) -> Result<Self, RecordingError> {
        let (line, log) = (Vec::new(), Vec::new());
        let mut reader = RecordingReader { source, line, number: 0, header: None, log, step: None };
        reader.read_header().map_err(|problem| RecordingError::new(reader.number, problem))?;
        Ok(reader)
    }

    /// The header; nothing if the process ended before it was written.
    pub fn header(&self) -> Option<&RecordingHeader> {
        self.header.as_ref()
    }

    /// The number, from 1, of the line that was read last.
    pub fn line(&self) -> u64 {
        self.number
    }

    /// What comes next. The first is a checkpoint or an end.
    ///
    /// # Errors
    /// If the next line is not as it must be.
    pub fn read(&mut self) -> Result<Recorded, RecordingError> {
        self.next().map_err(|problem| RecordingError::new(self.number, problem))
    }

    fn read_header(&mut self) -> Result<(), RecordingProblem> {
        if !self.next_line()? {
            let beginning = KINDS[4].1.as_bytes();
            let torn = self.line.starts_with(beginning) || beginning.starts_with(&self.line);
            return if torn { Ok(()) } else { Err(RecordingProblem::NotARecording) };
        }
        let preamble: Preamble =
            serde_json::from_slice(&self.line).map_err(|_| RecordingProblem::NotARecording)?;
        if preamble.format != FORMAT {
            return Err(RecordingProblem::NotARecording);
        }
        if preamble.version != u64::from(RECORDING_VERSION) {
            return Err(RecordingProblem::Version { found: preamble.version });
        }
        let HeaderIn { server, incarnation, file, after_step, rules, .. } = self.parse("header")?;
        self.header = Some(RecordingHeader { server, incarnation, file, after_step, rules });
        Ok(())
    }

    fn next(&mut self) -> Result<Recorded, RecordingProblem> {
        let Some(after_step) = self.header.as_ref().map(|header| header.after_step) else {
            return Ok(Recorded::End(End::Torn));
        };
        loop {
            if !self.next_line()? {
                return Ok(Recorded::End(End::Torn));
            }
            match (self.kind()?, self.step) {
                ("log", None) => {
                    let LogIn { mut log } = self.parse("log")?;
                    self.log.append(&mut log);
                }
                ("checkpoint", None) => {
                    let CheckpointIn { mut checkpoint } = self.parse("checkpoint")?;
                    checkpoint.observation.log = std::mem::take(&mut self.log);
                    self.step = Some(after_step);
                    return Ok(Recorded::Checkpoint(Box::new(checkpoint)));
                }
                (found, None) => {
                    return Err(RecordingProblem::Order { expected: "a checkpoint", found });
                }
                ("step", Some(last)) => return self.step_after(last),
                ("end", Some(last)) => return self.end_after(last),
                (found, Some(_)) => {
                    return Err(RecordingProblem::Order { expected: "a step", found });
                }
            }
        }
    }

    fn step_after(&mut self, last: u64) -> Result<Recorded, RecordingProblem> {
        let StepIn { step: found, input, outputs, observation, rejected, failed } =
            self.parse("step")?;
        let expected = last.wrapping_add(1);
        if found != expected {
            return Err(RecordingProblem::Number { expected, found });
        }
        self.step = Some(found);
        let reaction = match (outputs, observation, rejected, failed) {
            (Some(outputs), Some(observation), None, None) => {
                RecordedReaction::Took { outputs, observation }
            }
            (None, None, Some(why), None) => RecordedReaction::Rejected(why),
            (None, None, None, Some(how)) => RecordedReaction::Failed(how),
            _ => return Err(RecordingProblem::Outcome),
        };
        let step = RecordedStep { step: found, input, reaction };
        let step = step.with_bytes_for_stand_ins().map_err(|_| RecordingProblem::ChunkData)?;
        Ok(Recorded::Step(Box::new(step)))
    }

    fn end_after(&mut self, last: u64) -> Result<Recorded, RecordingProblem> {
        let RecordingEnd { end, step: found } = self.parse("end")?;
        if found != last {
            return Err(RecordingProblem::Number { expected: last, found });
        }
        let nothing_more = !self.next_line()? && self.line.is_empty();
        if nothing_more { Ok(Recorded::End(end)) } else { Err(RecordingProblem::AfterEnd) }
    }

    fn kind(&self) -> Result<&'static str, RecordingProblem> {
        let begins = |(_, beginning): &&(_, &str)| self.line.starts_with(beginning.as_bytes());
        let kind = KINDS.iter().find(begins).map(|(kind, _)| *kind);
        let expected = "a log, a checkpoint, a step or an end";
        kind.ok_or(RecordingProblem::Order { expected, found: "strange" })
    }

    fn parse<T: DeserializeOwned>(&self, kind: &'static str) -> Result<T, RecordingProblem> {
        serde_json::from_slice(&self.line).map_err(|error| RecordingProblem::line(kind, &error))
    }

    /// Reads a line. Returns whether it is whole; if not, what there is of it is torn, or the
    /// file has ended.
    fn next_line(&mut self) -> Result<bool, RecordingProblem> {
        self.number += 1;
        self.line.clear();
        let read = (&mut self.source)
            .take(MAX_RECORDING_LINE_BYTES + 1)
            .read_until(b'\n', &mut self.line)
            .map_err(RecordingProblem::Unreadable)? as u64;
        if read > MAX_RECORDING_LINE_BYTES {
            return Err(RecordingProblem::LongLine);
        }
        Ok(self.line.ends_with(b"\n"))
    }
}
