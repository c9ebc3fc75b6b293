//! A trace as a story for people.
//!
//! A trace holds what shows of a server after each step. What its disk holds and which writes are
//! outstanding follows from the steps, so nothing here asks the model or the implementation: the
//! story is that of the trace, right or wrong.

use bytes::Bytes;
use kontiki_model::actor::servers;
use kontiki_model::path::{Moment, Story};
use kontiki_model::server::{
    Disk, Log, Mutation, ReceivedPart, Role, ServerState, StoredSnapshot, Taking, Write,
};
use kontiki_specs::scope::{self, Scope};
use kontiki_specs::trace::{Trace, TraceStep};
use kontiki_specs::{
    Entry, Input, LogIndex, LogPosition, Message, Output, Payload, RoleObservation, ServerId,
    Snapshot, SnapshotId, Term,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A step that cannot be told.
#[derive(Debug, thiserror::Error)]
#[error(
    "step {step}: the entries of {server}'s log are not numbered 1, 2, 3 ...\n  \
     entries are missing, repeated or out of order: record the trace again"
)]
pub struct TellError {
    step: u64,
    server: ServerId,
}

/// The trace as a story, as the model's commands tell their counterexamples.
///
/// # Errors
/// The first step in which a log has a gap.
pub fn story(trace: &Trace) -> Result<String, TellError> {
    let scope = &trace.header.scope;
    let mutation = trace.header.mutation.as_deref().and_then(Mutation::from_name);
    let servers = servers(scope, mutation);
    let boot: Vec<ServerState> = servers.iter().map(|server| server.boot()).collect();
    let mut told = Told::new(scope, boot);
    for (number, step) in (1..).zip(&trace.steps) {
        told.step(number, step).ok_or(TellError { step: number, server: step.server })?;
    }
    let broken: Vec<_> = trace.header.violates.into_iter().collect();
    let last = &told.latest;
    let story = Story { scope, servers: &servers, moments: &told.moments, last, broken: &broken };
    Ok(story.to_string())
}

/// What has been told so far.
struct Told {
    boot: Vec<ServerState>,
    /// Each server after its latest step.
    latest: Vec<ServerState>,
    /// After every step: the server, and the number of the moment that the step is part of.
    after: FxHashMap<u64, (ServerState, u64)>,
    moments: Vec<Moment>,
    synchronous_disk: bool,
}

impl Told {
    fn new(scope: &Scope, boot: Vec<ServerState>) -> Self {
        Told {
            latest: boot.clone(),
            boot,
            after: FxHashMap::default(),
            moments: Vec::new(),
            synchronous_disk: scope.disk == scope::Disk::Synchronous,
        }
    }

    /// Adds a step; `None` if its log has a gap.
    fn step(&mut self, number: u64, step: &TraceStep) -> Option<()> {
        let place = usize::try_from(step.server.0).ok()?.checked_sub(1)?;
        let (before, from) = match step.from {
            None => (self.latest.get(place)?.clone(), None),
            Some(from) => match self.after.get(&from) {
                Some((state, moment)) => (state.clone(), Some(*moment)),
                None => (self.boot.get(place)?.clone(), Some(0)),
            },
        };
        let after = after(&before, step)?;
        *self.latest.get_mut(place)? = after.clone();
        let taken = (step.input.clone(), step.outputs.clone(), after.clone());
        let completes = matches!(
            step.input,
            Input::HardStateWritten { .. }
                | Input::EntriesWritten { .. }
                | Input::ChunkWritten { .. }
                | Input::SnapshotInstalled { .. }
                | Input::SnapshotTaken { .. }
        );
        match self.moments.last_mut() {
            // What a synchronous disk completes belongs to the step that wrote it.
            Some(moment)
                if self.synchronous_disk
                    && completes
                    && step.from.is_none()
                    && moment.server == step.server =>
            {
                moment.steps.push(taken);
            }
            _ => {
                let server = step.server;
                self.moments.push(Moment { server, from, before, steps: vec![taken] });
            }
        }
        self.after.insert(number, (after, self.moments.len() as u64));
        Some(())
    }
}

/// The server after a step, its disk and its outstanding writes worked out.
fn after(before: &ServerState, step: &TraceStep) -> Option<ServerState> {
    let shown = &step.observation;
    let log = log(before, shown.log_base, &shown.log)?;
    let snapshot = shown.snapshot.as_ref().map(|about| stored(about, &log));
    let mut writes = before.writes.clone();
    let mut disk = before.disk.clone();
    if matches!(step.input, Input::Restart { .. }) {
        writes.clear();
        // A server starts with what is on its disk.
        disk.log = log.clone();
        disk.snapshot = snapshot.clone();
    } else if before.completion().as_ref() == Some(&step.input) && !writes.is_empty() {
        write(&mut disk, &writes.remove(0))?;
    } else if matches!(step.input, Input::SnapshotTaken { .. })
        && let Some(own) = &snapshot
        && Some(own.about.id) == shown.durable_snapshot
    {
        if disk.log.holds(own.about.id.last) {
            disk.log.let_go(shown.log_base.index);
        }
        disk.snapshot = snapshot.clone();
    }
    disk.term = shown.durable_term;
    disk.vote = shown.durable_vote;
    let receiving = receiving(before, step);
    disk.receiving = receiving.as_ref().and_then(|part| {
        let durable = shown.receiving.map_or(0, |shown| shown.durable);
        (durable > 0).then(|| of_length(&part.snapshot, durable))
    });
    writes.extend(
        step.outputs.iter().filter_map(|output| issued(output, shown.term, snapshot.as_ref())),
    );
    Some(ServerState {
        id: step.server,
        term: shown.term,
        vote: shown.vote,
        log,
        configuration: Arc::new(shown.configuration.clone()),
        configuration_index: shown.configuration_index,
        durable_index: shown.durable_index,
        commit_index: shown.commit_index,
        applied_index: shown.applied_index,
        state_machine: Arc::default(), // A trace does not tell.
        unexecuted_bytes: shown.unexecuted_bytes,
        bytes_since_snapshot: shown.bytes_since_snapshot,
        role: role(&shown.role),
        disk,
        snapshot,
        taking: taking(before, step),
        receiving,
        writes,
        disk_stalls: shown.disk_stalls,
        incarnation: shown.incarnation,
    })
}

/// The snapshot that is being taken.
fn taking(before: &ServerState, step: &TraceStep) -> Option<Taking> {
    let last = step.observation.taking?;
    let begun = step.outputs.iter().find_map(|output| match output {
        Output::TakeSnapshot { configuration, configuration_position, .. } => {
            let about = Snapshot {
                id: SnapshotId { last, taken_by: step.server },
                configuration: (**configuration).clone(),
                configuration_position: *configuration_position,
                size: 0,
            };
            Some(Taking { about, state_machine: Arc::default() })
        }
        _ => None,
    });
    begun.or_else(|| before.taking.clone())
}

/// What a server has of another's snapshot. Its bytes are not told.
fn receiving(before: &ServerState, step: &TraceStep) -> Option<ReceivedPart> {
    let shown = step.observation.receiving?;
    let offered = match &step.input {
        Input::Deliver { message: Message::InstallSnapshot { snapshot, .. }, .. } => {
            Some(&**snapshot)
        }
        _ => None,
    };
    let mut known = before.receiving.iter().map(|part| &part.snapshot).chain(offered);
    let snapshot = known.find(|snapshot| snapshot.id == shown.snapshot)?;
    Some(of_length(snapshot, shown.received))
}

fn of_length(snapshot: &Snapshot, bytes: u64) -> ReceivedPart {
    let bytes = Bytes::from(vec![0; usize::try_from(bytes).unwrap_or(0)]);
    ReceivedPart { snapshot: snapshot.clone(), bytes }
}

/// The disk after a write.
fn write(disk: &mut Disk, write: &Write) -> Option<()> {
    if let Write::Entries { first_index, entries, .. } = write {
        let kept = disk.log.entries().iter().filter(|entry| entry.index < *first_index);
        let base = disk.log.base().index;
        disk.log = Log::behind(base, without_gaps(kept.chain(entries.iter()).cloned().collect())?);
    } else {
        write.carry_out(disk);
    }
    Some(())
}

/// The log that a trace shows. What it has let go of is as it was known before, where it was.
fn log(before: &ServerState, base: LogPosition, shown: &[Entry]) -> Option<Log> {
    let known = before.log.up_to(base.index);
    let is_known = known.last().map(Entry::position).unwrap_or_default() == base;
    let unknown = |index| Entry { term: base.term, index: LogIndex(index), payload: Payload::Noop };
    let let_go: Vec<Entry> =
        if is_known { known.to_vec() } else { (1..=base.index.0).map(unknown).collect() };
    let entries = let_go.into_iter().chain(shown.iter().cloned()).collect();
    Some(Log::behind(base.index, without_gaps(entries)?))
}

fn stored(about: &Snapshot, log: &Log) -> StoredSnapshot {
    let executed = Arc::new(log.up_to(about.id.last.index).to_vec());
    StoredSnapshot { about: about.clone(), executed, state_machine: Arc::default() }
}

fn without_gaps(entries: Vec<Entry>) -> Option<Vec<Entry>> {
    let in_a_row = entries.iter().zip(1..).all(|(entry, index)| entry.index.0 == index);
    in_a_row.then_some(entries)
}

/// The write that an output of a server in this term asks for.
fn issued(output: &Output, leader_term: Term, snapshot: Option<&StoredSnapshot>) -> Option<Write> {
    match output {
        Output::WriteHardState { term, vote, .. } => {
            Some(Write::HardState { term: *term, vote: *vote })
        }
        Output::WriteEntries { leader_term, first_index, entries, .. } => Some(Write::Entries {
            leader_term: *leader_term,
            first_index: *first_index,
            entries: entries.clone(),
        }),
        Output::WriteChunk { snapshot, offset, data, .. } => Some(Write::Chunk {
            snapshot: (**snapshot).clone(),
            offset: *offset,
            data: data.clone(),
        }),
        Output::InstallSnapshot { .. } => {
            snapshot.map(|own| Write::Install { leader_term, snapshot: own.clone() })
        }
        _ => None,
    }
}

fn role(shown: &RoleObservation) -> Role {
    match shown.clone() {
        RoleObservation::Follower { leader, leader_contact } => {
            Role::Follower { leader, leader_contact }
        }
        RoleObservation::PreCandidate { pre_votes } => Role::PreCandidate { pre_votes },
        RoleObservation::Candidate { votes, transfer } => Role::Candidate { votes, transfer },
        RoleObservation::Leader { progress, heard, transfer, reads } => {
            Role::Leader { progress, heard, transfer, reads }
        }
    }
}
