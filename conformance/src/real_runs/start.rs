//! The model's server in the state that a file begins with.

use kontiki_model::server::{
    Disk, Log, Options, RaftServer, ReceivedPart, Role, ServerState, StoredSnapshot, Taking, Write,
    stands_for,
};
use kontiki_specs::recording::{Checkpoint, RecordedRules};
use kontiki_specs::{
    Entries, Entry, Input, LogIndex, LogPosition, Observation, RoleObservation, ServerId, Snapshot,
    SnapshotId,
};
use std::sync::Arc;

/// The model's server with these rules.
pub(super) fn server(id: ServerId, rules: &RecordedRules) -> RaftServer {
    RaftServer {
        id,
        bootstrap: Arc::new(rules.bootstrap.clone().unwrap_or_default()),
        options: Options {
            pre_vote: rules.pre_vote,
            leader_contact: rules.leader_contact,
            leases: rules.leases,
            check_quorum: rules.check_quorum,
            batch: rules.batch_entries.max(1),
            window: rules.window_entries.max(1),
            batch_bytes: rules.batch_bytes,
            window_bytes: rules.window_bytes,
            apply_bytes: rules.apply_bytes,
            catch_up_rounds: rules.catch_up_rounds,
            kept_entries: rules.kept_entries,
            snapshot_bytes: Some(rules.snapshot_bytes).filter(|bytes| *bytes > 0),
            sessions: false, // Commands are the state machine's.
            foreign_snapshots: true,
        },
        mutation: None,
    }
}

/// As a server starts, nothing is on its way to disk, and the log is what the disk has.
pub(super) fn check_start(begins: &Checkpoint) -> Result<(), String> {
    let shown = &begins.observation;
    let end = shown.log.last().map_or(shown.log_base.index, |entry| entry.index);
    match begins.writes.is_empty() && begins.disk_last_index == end {
        true => Ok(()),
        false => Err("as it starts, its log is not what its disk has".to_string()),
    }
}

/// A disk that holds what a server shows as it starts.
pub(super) fn disk(begins: &Checkpoint) -> Result<Disk, String> {
    let shown = &begins.observation;
    let last = shown.snapshot.as_ref().map(|own| own.id.last);
    let receiving = receiving(begins)?.map(|part| ReceivedPart {
        bytes: part.bytes.slice(..durable(shown, part.bytes.len())),
        ..part
    });
    Ok(Disk {
        term: shown.durable_term,
        vote: shown.durable_vote,
        log: log(shown.log_base, shown.log.clone(), last)?,
        snapshot: shown.snapshot.as_ref().map(stored),
        receiving: receiving.filter(|part| !part.bytes.is_empty()),
    })
}

fn durable(shown: &Observation, received: usize) -> usize {
    let durable = shown.receiving.map_or(0, |part| part.durable);
    usize::try_from(durable).unwrap_or(usize::MAX).min(received)
}

/// A log behind its base. An entry stands for all that is let go of.
fn log(
    base: LogPosition,
    entries: Vec<Entry>,
    snapshot: Option<LogPosition>,
) -> Result<Log, String> {
    if !entries.iter().zip(base.index.0 + 1..).all(|(entry, index)| entry.index.0 == index) {
        return Err(format!("its log is not without gaps behind {base}"));
    }
    if base == LogPosition::default() {
        return Ok(Log::from_entries(entries));
    }
    if base.index == LogIndex::ZERO || snapshot.is_none_or(|last| last.index < base.index) {
        return Err(format!("its log begins behind {base}, for which no snapshot stands"));
    }
    let all = [stands_for(base)].into_iter().chain(entries).collect();
    Ok(Log::behind(base.index, all))
}

/// A snapshot of which nothing is known but what it covers.
pub(super) fn stored(about: &Snapshot) -> StoredSnapshot {
    StoredSnapshot {
        about: about.clone(),
        executed: Arc::new(vec![stands_for(about.id.last)]),
        state_machine: Arc::default(),
    }
}

/// The most bytes of a snapshot in transfer that a file may begin with.
const MOST_RECEIVED: u64 = 1 << 32;

fn receiving(begins: &Checkpoint) -> Result<Option<ReceivedPart>, String> {
    match (&begins.observation.receiving, &begins.receiving) {
        (None, None) => Ok(None),
        (Some(shown), Some(snapshot)) if shown.snapshot == snapshot.id => {
            if shown.received > snapshot.size || shown.durable > shown.received {
                return Err(format!("it has more of {snapshot} than there is"));
            }
            if shown.received > MOST_RECEIVED {
                return Err(format!("it has {} bytes of {snapshot}", shown.received));
            }
            let bytes = vec![0; usize::try_from(shown.received).unwrap_or_default()].into();
            Ok(Some(ReceivedPart { snapshot: snapshot.clone(), bytes }))
        }
        _ => Err("what it receives is said in two ways".to_string()),
    }
}

/// The state that a file begins with in the midst of a start. What is not shown follows from what is: a
/// checkpoint is made only where it does.
pub(super) fn state(server: &RaftServer, begins: &Checkpoint) -> Result<ServerState, String> {
    let shown = &begins.observation;
    let disk = disk(begins)?;
    let mut state = server.recover(disk, shown.incarnation);
    if shown.snapshot.as_ref().map(|own| own.id) != shown.durable_snapshot {
        return Err("its snapshot is not the one on disk".to_string());
    }
    state.term = shown.term;
    state.vote = shown.vote;
    state.receiving = receiving(begins)?;
    state.configuration = Arc::new(shown.configuration.clone());
    state.configuration_index = shown.configuration_index;
    state.durable_index = shown.durable_index;
    state.commit_index = shown.commit_index;
    state.applied_index = shown.applied_index;
    state.unexecuted_bytes = shown.unexecuted_bytes;
    state.bytes_since_snapshot = shown.bytes_since_snapshot;
    state.disk_stalls = shown.disk_stalls;
    state.role = role(&shown.role);
    state.taking = taking(server, &state, shown)?;
    state.writes = writes(&mut state, begins)?;
    Ok(state)
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

/// S1: the snapshot that is being taken, with the configuration as of there.
fn taking(
    server: &RaftServer,
    state: &ServerState,
    shown: &Observation,
) -> Result<Option<Taking>, String> {
    let Some(last) = shown.taking else { return Ok(None) };
    if !state.log.holds(last) {
        return Err(format!("it takes a snapshot of {last}, which its log does not hold"));
    }
    let (configuration_position, configuration) =
        state.configuration_as_of(last.index, &server.bootstrap);
    let id = SnapshotId { last, taken_by: server.id };
    let configuration = (*configuration).clone();
    let about = Snapshot { id, configuration, configuration_position, size: 0 };
    Ok(Some(Taking { about, state_machine: Arc::default() }))
}

/// The outstanding writes. The disk has of the log what none of them writes.
fn writes(state: &mut ServerState, begins: &Checkpoint) -> Result<Vec<Write>, String> {
    let mut writes = Vec::new();
    let mut first_index = begins.disk_last_index.next();
    for completion in &begins.writes {
        writes.push(match completion {
            Input::HardStateWritten { term, vote, .. } => {
                Write::HardState { term: *term, vote: *vote }
            }
            Input::ChunkWritten { received, .. } => chunk(begins, *received)?,
            Input::EntriesWritten { leader_term, index, .. } => {
                let new = state.log.from(first_index).iter();
                let new = new.take_while(|entry| entry.index <= *index);
                let entries: Entries = new.cloned().collect();
                let write = Write::Entries { leader_term: *leader_term, first_index, entries };
                first_index = index.next();
                write
            }
            other => return Err(format!("a write is outstanding of which none may be: {other}")),
        });
    }
    let (written, end) = (first_index.previous(), state.log.last_index());
    if written != end {
        return Err(format!("of a log up to {end}, {written} is on disk or on its way there"));
    }
    state.disk.log.truncate_from(begins.disk_last_index.next());
    Ok(writes)
}

fn chunk(begins: &Checkpoint, received: u64) -> Result<Write, String> {
    let shown = begins.observation.receiving;
    let (Some(shown), Some(snapshot)) = (shown, &begins.receiving) else {
        return Err("a chunk is outstanding of no snapshot".to_string());
    };
    let length = received.checked_sub(shown.durable).filter(|_| received == shown.received);
    let length = length.and_then(|length| usize::try_from(length).ok());
    let length = length.ok_or("the outstanding chunk is not the last that was received")?;
    let data = vec![0; length].into();
    Ok(Write::Chunk { snapshot: snapshot.clone(), offset: shown.durable, data })
}
