//! A server with a disk that completes writes when told, and short ways to feed it.

use kontiki::bytes::Bytes;
use kontiki::core::{Config, Outputs, Raft, StepError, chunk, completion, snapshot_taken};
use kontiki::storage::MemoryStore;
use kontiki::{
    AppendOutcome, Configuration, Entries, Entry, Input, LogIndex, LogPosition, Message, Output,
    Payload, ServerId, Snapshot, SnapshotId, Term,
};

pub const S1: ServerId = ServerId(1);
pub const S2: ServerId = ServerId(2);
pub const S3: ServerId = ServerId(3);

/// Server 1 of three, with the basic rules only.
pub fn config() -> Config {
    let mut config = Config::new(S1, [S1, S2, S3]);
    config.pre_vote = false;
    config.leader_contact = false;
    config.check_quorum = false;
    config
}

pub fn start(config: Config) -> Raft<MemoryStore> {
    Raft::start(config, MemoryStore::new()).unwrap()
}

/// Takes a step with a disk that is done at once: writes are carried out, and their completions
/// are steps too. What is put out besides writes comes back.
pub fn step(raft: &mut Raft<MemoryStore>, input: Input) -> Vec<Output> {
    let mut outputs = Outputs::new();
    raft.step(input, &mut outputs).unwrap();
    let mut effects = Vec::new();
    for output in outputs.drain() {
        raft.store_mut().write(&output);
        match completion(&output) {
            Some(completion) => effects.extend(step(raft, completion)),
            None => effects.push(output),
        }
    }
    effects
}

/// Takes a step that must be refused, and must change nothing.
pub fn refused(raft: &mut Raft<MemoryStore>, input: Input) -> StepError {
    let before = raft.clone();
    let mut outputs = Outputs::new();
    let error = raft.step(input, &mut outputs).unwrap_err();
    assert!(*raft == before && outputs.is_empty(), "{error} changed something");
    error
}

pub fn deliver(from: ServerId, message: Message) -> Input {
    Input::Deliver { from, message }
}

pub fn at(index: u64, term: u64) -> LogPosition {
    LogPosition { index: LogIndex(index), term: Term(term) }
}

pub fn entry(index: u64, term: u64) -> Entry {
    Entry { term: Term(term), index: LogIndex(index), payload: Payload::Noop }
}

/// Entries from a position on, of these terms.
pub fn append(term: u64, prev: LogPosition, terms: &[u64], commit: u64) -> Message {
    let entries: Entries =
        (prev.index.0 + 1..).zip(terms).map(|(index, term)| entry(index, *term)).collect();
    Message::AppendEntries { term: Term(term), prev, entries, commit_index: LogIndex(commit) }
}

pub fn vote(term: u64) -> Message {
    Message::RequestVoteReply { term: Term(term), granted: true }
}

pub fn matched(term: u64, index: u64) -> Message {
    let outcome = AppendOutcome::Matched { index: LogIndex(index) };
    Message::AppendEntriesReply { term: Term(term), outcome }
}

pub fn mismatch(term: u64, prev_index: u64, hint: LogPosition) -> Message {
    let outcome = AppendOutcome::Mismatch { prev_index: LogIndex(prev_index), hint };
    Message::AppendEntriesReply { term: Term(term), outcome }
}

/// Server 1 as the leader of term 1, with its no-op acknowledged by server 2 and so committed.
pub fn leader(config: Config) -> Raft<MemoryStore> {
    let mut raft = start(config);
    step(&mut raft, Input::ElectionTimeout);
    step(&mut raft, deliver(S2, vote(1)));
    step(&mut raft, deliver(S2, matched(1, 1)));
    assert_eq!(raft.commit_index(), LogIndex(1));
    raft
}

/// The entries sent to a server, message by message.
pub fn sent_to(outputs: &[Output], server: ServerId) -> Vec<Entries> {
    let appended = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message: Message::AppendEntries { entries, .. } } if *to == server => {
            Some(entries.clone())
        }
        _ => None,
    });
    appended.collect()
}

pub fn propose(sizes: &[usize]) -> Input {
    Input::Propose { commands: sizes.iter().map(|size| vec![b'x'; *size].into()).collect() }
}

pub fn take(index: u64) -> Input {
    Input::TakeSnapshot { index: LogIndex(index) }
}

/// Has a server take a snapshot with these bytes, and the disk forget what it may.
pub fn snapshot(raft: &mut Raft<MemoryStore>, index: u64, bytes: &'static [u8]) {
    let asked = step(raft, take(index));
    let [output] = &asked[..] else { panic!("{asked:?} is not one request") };
    for output in taken(raft, output, bytes) {
        raft.store_mut().write(&output);
    }
}

/// The snapshot that is asked for is on disk. What the disk may forget, it has not forgotten yet.
pub fn taken(raft: &mut Raft<MemoryStore>, asked: &Output, bytes: &'static [u8]) -> Vec<Output> {
    let (snapshot, input) = snapshot_taken(asked, raft.id(), bytes.len() as u64).unwrap();
    raft.store_mut().keep_snapshot(snapshot, Bytes::from_static(bytes));
    let (writes, effects) = begin(raft, input);
    assert!(writes.is_empty(), "{writes:?}");
    effects
}

/// A snapshot that server 2 has taken, of so many bytes, with the configuration of the beginning.
pub fn of_two(last: LogPosition, size: u64) -> Snapshot {
    Snapshot {
        id: SnapshotId { last, taken_by: S2 },
        configuration: Configuration::of_voters([S1, S2, S3]),
        configuration_position: at(0, 0),
        size,
    }
}

/// Offers a snapshot, with bytes of it or none.
pub fn install(term: u64, snapshot: &Snapshot, offset: u64, data: &'static [u8]) -> Message {
    let (snapshot, data) = (Box::new(snapshot.clone()), Bytes::from_static(data));
    Message::InstallSnapshot { term: Term(term), snapshot, offset, data }
}

/// Says how much of a snapshot has arrived.
pub fn arrived(term: u64, snapshot: SnapshotId, offset: u64, received: u64) -> Message {
    Message::InstallSnapshotReply { term: Term(term), snapshot, offset, received }
}

/// What a driver sends for the outputs of a server, of a snapshot so many bytes at a time.
pub fn sends(
    raft: &Raft<MemoryStore>,
    outputs: &[Output],
    most: usize,
) -> Vec<(ServerId, Message)> {
    let read = |offset: u64| {
        let (bytes, from) =
            (raft.store().snapshot_bytes().unwrap(), usize::try_from(offset).unwrap());
        bytes.slice(from..bytes.len().min(from + most))
    };
    let message = |output: &Output| match output {
        Output::Send { to, message } => Some((*to, message.clone())),
        Output::SendChunk { offset, .. } => chunk(output, read(*offset)),
        _ => None,
    };
    outputs.iter().filter_map(message).collect()
}

/// Takes a step with a disk that is done with nothing: writes come back, and what else is put out.
pub fn begin(raft: &mut Raft<MemoryStore>, input: Input) -> (Vec<Output>, Vec<Output>) {
    let mut outputs = Outputs::new();
    raft.step(input, &mut outputs).unwrap();
    outputs.drain().partition(|output| completion(output).is_some())
}

/// A write that was begun is complete.
pub fn complete(raft: &mut Raft<MemoryStore>, write: &Output) -> Vec<Output> {
    raft.store_mut().write(write);
    let (writes, effects) = begin(raft, completion(write).unwrap());
    assert!(writes.is_empty(), "{writes:?}");
    effects
}
