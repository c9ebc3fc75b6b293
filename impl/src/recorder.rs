//! Records what a server does, to be checked against the model.

use crate::core::{Config, Outputs, Raft, StepError, is_completion};
use crate::driver::Observer;
use crate::storage::{LogStore, StoreError};
use kontiki_specs::recording::{
    Checkpoint, End, RecordedReaction, RecordedRules, RecordedStep, RecordingHeader, RecordingLines,
};
use kontiki_specs::{Input, LogIndex, Output};
use std::io;
use thiserror::Error;

/// Where a recording is written to: files, one after the other.
pub trait RecordingFiles {
    /// Begins the next file. Its number, from 1; it is the next after those of earlier starts.
    ///
    /// # Errors
    /// If there can be no file.
    fn next_file(&mut self) -> io::Result<u64>;

    /// Writes whole lines to the file, so that they are there though the process be killed.
    ///
    /// # Errors
    /// If they cannot be written. No more is written after that.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Whether the file has so many bytes that the next should be begun. `lines` more are about to be
    /// written. `beginning` is how many stood before its first step.
    fn is_full(&self, lines: usize, beginning: usize) -> bool;
}

/// Writes a recording of one server ([`kontiki_specs::recording`]), step by step, as an [`Observer`] of its
/// driver. `kontiki-conformance validate` has the model judge it.
///
/// Call [`Recorder::flush`] before anything that a step asks for is carried out. Then whatever has left
/// the server is in the recording, though the process be killed, and the model can judge what a killed
/// server comes back with. So a server that records is slower, and it waits for the files. A recording
/// with gaps would be of little use: what came after a gap could be judged by nobody.
///
/// Every file begins with the server's whole log. To write that takes a while where the log is long: let
/// the server take snapshots often ([`Config::snapshot_bytes`]).
#[derive(Debug)]
pub struct Recorder<F> {
    files: F,
    lines: RecordingLines,
    /// Of this start.
    steps: u64,
    /// How many bytes of the file stand before its first step.
    beginning: usize,
    /// So many writes have to be complete before there can be a checkpoint: one of them replaces
    /// entries or the whole log, and what it replaces is on disk until then, and nowhere else.
    writes_before_checkpoint: usize,
    last_index: LogIndex,
    /// The last index of the log on disk, as far as writes are complete.
    disk_last_index: LogIndex,
    failure: Option<RecorderError>,
}

/// Why no more is recorded.
#[derive(Debug, Error)]
pub enum RecorderError {
    /// The older part of the log cannot be read.
    #[error("the recording ends, because the log cannot be read: {0}")]
    Store(StoreError),
    /// The files cannot be written.
    #[error("the recording ends, because it cannot be written: {0}")]
    Io(io::Error),
}

/// By hand: what `#[from]` marks is a source, and its text would be printed a second time.
impl From<io::Error> for RecorderError {
    fn from(error: io::Error) -> Self {
        RecorderError::Io(error)
    }
}

impl From<StoreError> for RecorderError {
    fn from(error: StoreError) -> Self {
        RecorderError::Store(error)
    }
}

/// How many bytes of lines are gathered at most before they are written, whatever the driver does.
const MOST_GATHERED: usize = 1 << 20;

impl<F: RecordingFiles> Recorder<F> {
    /// Begins a recording of a server that has just started, and taken no step.
    ///
    /// # Errors
    /// If the log cannot be read or the files cannot be written.
    pub fn begin<S: LogStore>(raft: &Raft<S>, files: F) -> Result<Self, RecorderError> {
        let mut recorder = Recorder {
            files,
            lines: RecordingLines::default(),
            steps: 0,
            beginning: 0,
            writes_before_checkpoint: 0,
            last_index: raft.last_index(),
            disk_last_index: raft.last_index(),
            failure: None,
        };
        recorder.begin_file(raft)?;
        Ok(recorder)
    }

    /// Why nothing more is recorded, if that is so.
    pub fn failure(&self) -> Option<&RecorderError> {
        self.failure.as_ref()
    }

    /// Writes what was recorded so far. A failure ends the recording, and [`Recorder::failure`] tells it.
    pub fn flush(&mut self) {
        if self.failure.is_none() {
            self.failure = self.write().err();
        }
    }

    /// Ends the recording: the server was shut down.
    pub fn end(&mut self) {
        if self.failure.is_none() {
            self.failure = self.lines.end(End::Ended, self.steps).err().map(RecorderError::Io);
        }
        self.flush();
    }

    fn write(&mut self) -> Result<(), RecorderError> {
        if !self.lines.is_empty() {
            self.files.append(self.lines.take().as_ref())?;
        }
        Ok(())
    }

    fn record<S: LogStore>(
        &mut self,
        raft: &Raft<S>,
        input: Input,
        outputs: &Outputs,
        failure: Option<&StepError>,
    ) -> Result<(), RecorderError> {
        self.note_writes(raft, &input, outputs, failure.is_some());
        let reaction = match failure {
            None => {
                let first = written(outputs).unwrap_or(raft.last_index().next());
                RecordedReaction::Took {
                    outputs: outputs.iter().cloned().collect(),
                    observation: Box::new(raft.observe_from(first)?),
                }
            }
            Some(StepError::Rejected(rejection)) => {
                RecordedReaction::Rejected(rejection.to_string())
            }
            Some(failure) => RecordedReaction::Failed(failure.to_string()),
        };
        self.steps += 1;
        let step = RecordedStep { step: self.steps, input, reaction };
        self.lines.step(&step.without_snapshot_bytes())?;
        let full = self.files.is_full(self.lines.len(), self.beginning);
        if full && self.writes_before_checkpoint == 0 && !raft.is_stopped() {
            self.lines.end(End::Full, self.steps)?;
            self.write()?;
            self.begin_file(raft)?;
        } else if self.lines.len() > MOST_GATHERED {
            self.write()?;
        }
        Ok(())
    }

    /// Sees to it that no checkpoint is made while a disk holds what nothing else does.
    fn note_writes<S: LogStore>(
        &mut self,
        raft: &Raft<S>,
        input: &Input,
        outputs: &Outputs,
        failed: bool,
    ) {
        if is_completion(input) && !failed {
            self.writes_before_checkpoint = self.writes_before_checkpoint.saturating_sub(1);
            match input {
                Input::EntriesWritten { index, .. } => self.disk_last_index = *index,
                Input::SnapshotInstalled { snapshot, .. } => {
                    self.disk_last_index = snapshot.last.index;
                }
                _ => {}
            }
        }
        let replaces = outputs.iter().any(|output| match output {
            Output::WriteEntries { first_index, .. } => *first_index <= self.last_index,
            Output::InstallSnapshot { .. } => true,
            _ => false,
        });
        if replaces {
            self.writes_before_checkpoint = raft.awaited_completions().count();
        }
        self.last_index = raft.last_index();
    }

    fn begin_file<S: LogStore>(&mut self, raft: &Raft<S>) -> Result<(), RecorderError> {
        let file = self.files.next_file()?;
        let header = RecordingHeader {
            server: raft.id(),
            incarnation: raft.config().incarnation,
            file,
            after_step: self.steps,
            rules: rules(raft.config()),
        };
        let checkpoint = Checkpoint {
            observation: raft.observe()?,
            writes: raft.awaited_completions().collect(),
            disk_last_index: self.disk_last_index,
            receiving: raft.receiving_snapshot().cloned(),
        };
        self.lines.begin(&header, checkpoint)?;
        self.beginning = self.lines.len();
        self.write()
    }
}

impl<S: LogStore, F: RecordingFiles> Observer<S> for Recorder<F> {
    fn observes(&self) -> bool {
        self.failure.is_none()
    }

    fn stepped(
        &mut self,
        server: &Raft<S>,
        input: Input,
        outputs: &Outputs,
        failure: Option<&StepError>,
    ) {
        if self.failure.is_none() {
            self.failure = self.record(server, input, outputs, failure).err();
        }
    }
}

/// The first index that these outputs write.
fn written(outputs: &Outputs) -> Option<LogIndex> {
    outputs.iter().find_map(|output| match output {
        Output::WriteEntries { first_index, .. } => Some(*first_index),
        _ => None,
    })
}

fn rules(config: &Config) -> RecordedRules {
    let limits = &config.limits;
    RecordedRules {
        bootstrap: config.bootstrap.clone(),
        pre_vote: config.pre_vote,
        leader_contact: config.leader_contact,
        leases: config.leases,
        check_quorum: config.check_quorum,
        catch_up_rounds: config.catch_up_rounds,
        kept_entries: config.kept_entries,
        snapshot_bytes: config.snapshot_bytes,
        batch_entries: limits.batch_entries,
        batch_bytes: limits.batch_bytes,
        window_entries: limits.window_entries,
        window_bytes: limits.window_bytes,
        apply_bytes: Some(limits.apply_bytes).filter(|limit| *limit < u64::MAX),
        command_bytes: limits.command_bytes,
        uncommitted_bytes: limits.uncommitted_bytes,
        waiting_reads: limits.waiting_reads,
    }
}
