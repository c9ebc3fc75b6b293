//! Writing the lines of a recording.

use super::{
    Checkpoint, End, MAX_RECORDING_LINE_BYTES, RECORDING_VERSION, RecordedReaction, RecordedStep,
    RecordingEnd, RecordingHeader,
};
use crate::{Entry, Input, Observation, Output};
use serde::Serialize;
use std::io;

pub(super) const FORMAT: &str = "kontiki-recording";

#[derive(Serialize)]
struct HeaderOut<'a> {
    format: &'a str,
    version: u32,
    #[serde(flatten)]
    header: &'a RecordingHeader,
}

#[derive(Serialize)]
struct LogOut<'a> {
    log: &'a [Entry],
}

#[derive(Serialize)]
struct CheckpointOut<'a> {
    checkpoint: &'a Checkpoint,
}

#[derive(Serialize)]
struct StepOut<'a> {
    step: u64,
    input: &'a Input,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<&'a [Output]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observation: Option<&'a Observation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'a str>,
}

/// How many entries of the log stand in a line.
const ENTRIES: usize = 64;

/// Lines of a recording, for whoever writes them to a file.
#[derive(Debug, Default)]
pub struct RecordingLines {
    bytes: Vec<u8>,
}

impl RecordingLines {
    /// The lines so far, which are not there any more afterwards.
    pub fn take(&mut self) -> impl AsRef<[u8]> + '_ {
        Taken(&mut self.bytes)
    }

    /// How many bytes they have.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What a file begins with. `checkpoint` has the whole log.
    ///
    /// # Errors
    /// If a line becomes too long.
    pub fn begin(
        &mut self,
        header: &RecordingHeader,
        mut checkpoint: Checkpoint,
    ) -> io::Result<()> {
        self.line(&HeaderOut { format: FORMAT, version: RECORDING_VERSION, header })?;
        for log in std::mem::take(&mut checkpoint.observation.log).chunks(ENTRIES) {
            self.line(&LogOut { log })?;
        }
        self.line(&CheckpointOut { checkpoint: &checkpoint })
    }

    /// A step.
    ///
    /// # Errors
    /// If the line becomes too long.
    pub fn step(&mut self, recorded: &RecordedStep) -> io::Result<()> {
        let RecordedStep { step, input, reaction } = recorded;
        let nothing = StepOut {
            step: *step,
            input,
            outputs: None,
            observation: None,
            rejected: None,
            failed: None,
        };
        self.line(&match reaction {
            RecordedReaction::Took { outputs, observation } => {
                StepOut { outputs: Some(outputs), observation: Some(observation), ..nothing }
            }
            RecordedReaction::Rejected(why) => StepOut { rejected: Some(why), ..nothing },
            RecordedReaction::Failed(how) => StepOut { failed: Some(how), ..nothing },
        })
    }

    /// The end of a file, after this step.
    ///
    /// # Errors
    /// None that can be met.
    pub fn end(&mut self, end: End, step: u64) -> io::Result<()> {
        self.line(&RecordingEnd { end, step })
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let before = self.bytes.len();
        serde_json::to_writer(&mut self.bytes, line)?;
        self.bytes.push(b'\n');
        if (self.bytes.len() - before) as u64 > MAX_RECORDING_LINE_BYTES {
            self.bytes.truncate(before);
            let why = format!("a line of more than {MAX_RECORDING_LINE_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(())
    }
}

/// Bytes that are gone when this is dropped. Their memory is used again.
struct Taken<'a>(&'a mut Vec<u8>);

impl AsRef<[u8]> for Taken<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}
