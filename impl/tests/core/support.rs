//! A server with a disk that completes writes when told, and short ways to feed it.

use kontiki::core::{Config, Outputs, Raft, StepError, completion};
use kontiki::storage::MemoryStore;
use kontiki::{
    AppendOutcome, Entries, Entry, Input, LogIndex, LogPosition, Message, Output, Payload,
    ServerId, Term,
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
