//! Logs what a server does, to be checked against the model.

use crate::core::{Config, Outputs, Raft};
use crate::storage::{LogStore, StoreError};
use kontiki_specs::scope::{Disk, Scope, ScopeFlaw};
use kontiki_specs::trace::{TraceHeader, TraceStep, TraceWriter};
use kontiki_specs::{Configuration, Input, Property, ServerId};
use std::collections::BTreeSet;
use std::io::{self, Write};
use thiserror::Error;

/// Writes a trace of one server, step by step. `kontiki-conformance validate` checks it.
///
/// A trace begins with the state that the server starts with, and holds the whole log at every
/// step: this is for finding out what went wrong, not for every day.
#[derive(Debug)]
pub struct Recorder<W> {
    server: ServerId,
    writer: TraceWriter<W>,
}

/// Why a trace cannot be recorded.
#[derive(Debug, Error)]
pub enum RecorderError {
    /// A trace names servers 1, 2, 3 ... up to 7, the voters first.
    #[error("a trace names voters from 1 on without gaps, up to 7, and this server is {server}")]
    Servers {
        /// The server.
        server: ServerId,
    },
    /// A limit is beyond what a trace can say.
    #[error("a trace cannot say this: {0}")]
    Scope(ScopeFlaw),
    /// The older part of the log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The trace cannot be written.
    #[error("the trace cannot be written: {0}")]
    Io(io::Error),
}

/// By hand: what `#[from]` marks is a source, and its text would be printed a second time.
impl From<io::Error> for RecorderError {
    fn from(error: io::Error) -> Self {
        RecorderError::Io(error)
    }
}

impl<W: Write> Recorder<W> {
    /// Begins a trace of a server that has just started, and taken no step.
    ///
    /// # Errors
    /// If the server's configuration or limits cannot be said in a trace, or it cannot be written.
    pub fn begin<S: LogStore>(raft: &Raft<S>, about: &str, to: W) -> Result<Self, RecorderError> {
        let header = TraceHeader {
            scope: scope(raft.config())?,
            mutation: None,
            violates: None,
            about: about.to_string(),
        };
        let mut recorder = Recorder { server: raft.id(), writer: TraceWriter::begin(&header, to)? };
        recorder.step(raft, Input::Restart { torn: None }, &Outputs::new())?;
        Ok(recorder)
    }

    /// Writes a step that the server has just taken. `outputs` are those of this step alone.
    ///
    /// # Errors
    /// If the log cannot be read or the trace cannot be written.
    pub fn step<S: LogStore>(
        &mut self,
        raft: &Raft<S>,
        input: Input,
        outputs: &Outputs,
    ) -> Result<(), RecorderError> {
        self.writer.step(&TraceStep {
            server: self.server,
            from: None,
            input,
            outputs: outputs.iter().cloned().collect(),
            observation: raft.observe()?,
        })?;
        Ok(())
    }

    /// Ends the trace and gives back what it was written to. One that has no end is taken for one
    /// cut short.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn end(self) -> Result<W, RecorderError> {
        Ok(self.writer.end()?)
    }
}

/// The configuration and limits of a server as a trace says them.
fn scope(config: &Config) -> Result<Scope, RecorderError> {
    // In a trace's scope who does not vote at the start is waiting to be taken in: so that is what
    // a server is that joins, if all before it vote.
    let joining = Configuration::of_voters((1..config.id.0).map(ServerId));
    let bootstrap = config.bootstrap.as_ref().unwrap_or(&joining);
    let voters = bootstrap.voters.len() as u64;
    let consecutive = bootstrap.voters.iter().map(|voter| voter.0).eq(1..=voters);
    let votes = bootstrap.voters.contains(&config.id) || config.bootstrap.is_none();
    let plain = bootstrap.outgoing.is_empty() && bootstrap.learners.is_empty();
    if !consecutive || voters == 0 || !votes || !plain {
        return Err(RecorderError::Servers { server: config.id });
    }
    let scope = Scope {
        name: "recorded".to_string(),
        description: "What a server did.".to_string(),
        suite: None,
        servers: voters.max(config.id.0),
        voters,
        terms: 15, // How far a server goes is not bounded by this.
        log: 15,
        commands: None,
        batch: config.limits.batch_entries,
        window: config.limits.window_entries,
        batch_bytes: Some(config.limits.batch_bytes),
        window_bytes: Some(config.limits.window_bytes),
        apply_bytes: Some(config.limits.apply_bytes).filter(|limit| *limit < u64::MAX),
        restarts: 0,
        disk: Disk::Asynchronous,
        disk_stalls: true,
        pre_vote: config.pre_vote,
        leader_contact: config.leader_contact,
        check_quorum: config.check_quorum,
        heartbeats: true,
        changes: Vec::new(),
        catch_up_rounds: config.catch_up_rounds,
        transfers: 0,
        snapshots: 0, // As with restarts: how many there are is not bounded by this.
        chunks: 1,
        kept_entries: config.kept_entries,
        reads: 0,
        leases: config.leases,
        follower_reads: 0,
        sessions: 0,
        session_commands: 1,
        most_sessions: 1,
        most_answers: 1,
        session_ends: false,
        snapshot_bytes: Some(config.snapshot_bytes).filter(|bytes| *bytes > 0),
        snapshot_failures: false,
        properties: BTreeSet::from([Property::ElectionSafety]),
        sometimes: BTreeSet::new(),
        unique_states: None,
        local_transitions: None,
        turned_away: None,
    };
    scope.check().map_err(RecorderError::Scope)?;
    Ok(scope)
}
