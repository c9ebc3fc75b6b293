//! What a server of the library logs of itself, the model confirms.

use kontiki::core::{Config, Limits, Outputs, Raft};
use kontiki::storage::{HardState, MemoryStore};
use kontiki::{
    AppendOutcome, Entry, Input, LogIndex, Message, Output, Payload, Recorder, RecorderError,
    ServerId, Term,
};
use kontiki_conformance::recorded::{TraceFault, validate_trace};
use kontiki_specs::trace::Trace;

const IDS: [ServerId; 3] = [ServerId(1), ServerId(2), ServerId(3)];

/// A server that logs all it does, with a disk that is done at once.
struct Logged {
    raft: Raft<MemoryStore>,
    recorder: Recorder<Vec<u8>>,
    log: Vec<(Input, Outputs)>,
}

impl Logged {
    fn step(&mut self, input: Input) -> Result<(), Box<dyn std::error::Error>> {
        let mut outputs = Outputs::new();
        self.raft.step(input.clone(), &mut outputs)?;
        self.recorder.step(&self.raft, input.clone(), &outputs)?;
        let writes: Vec<Output> = outputs.iter().cloned().collect();
        self.log.push((input, outputs));
        for write in writes {
            self.raft.store_mut().write(&write);
            let completion = match write {
                Output::WriteHardState { incarnation, term, vote } => {
                    Input::HardStateWritten { incarnation, term, vote }
                }
                Output::WriteEntries { incarnation, leader_term, entries, .. } => {
                    let index = entries.last_index().unwrap_or_default();
                    Input::EntriesWritten { incarnation, leader_term, index }
                }
                _ => continue,
            };
            self.step(completion)?;
        }
        Ok(())
    }
}

/// Server 1 with three entries on its disk is elected, commits them in pieces, and steps down.
fn recorded(limit: impl FnOnce(&mut Limits)) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let entry = |index| Entry {
        term: Term(1),
        index: LogIndex(index),
        payload: Payload::Command(vec![b'x'; 3].into()),
    };
    let hard_state = HardState { term: Term(2), vote: None };
    let disk = MemoryStore::with(hard_state, (1..=3).map(entry).collect());
    let mut config = Config::new(IDS[0], IDS);
    limit(&mut config.limits);
    let raft = Raft::start(config, disk)?;
    let recorder = Recorder::begin(&raft, "A server elected after a restart", Vec::new())?;
    let mut server = Logged { raft, recorder, log: Vec::new() };
    let from = IDS[1];
    let deliver = |message| Input::Deliver { from, message };
    let term = Term(3);
    let matched = |index| AppendOutcome::Matched { index: LogIndex(index) };
    server.step(Input::ElectionTimeout)?;
    let promise = Message::RequestPreVoteReply { term: Term(2), granted: true };
    server.step(deliver(promise))?;
    server.step(deliver(Message::RequestVoteReply { term, granted: true }))?;
    server.step(Input::Propose { commands: vec![vec![b'y'; 5].into(); 3] })?;
    server.step(deliver(Message::AppendEntriesReply { term, outcome: matched(4) }))?;
    server.step(deliver(Message::AppendEntriesReply { term, outcome: matched(7) }))?;
    server.step(deliver(Message::LaterTerm { term: Term(9) }))?;
    let pieces = |outputs: &Outputs| {
        outputs.iter().filter(|output| matches!(output, Output::Apply { .. })).count()
    };
    assert!(server.log.iter().any(|(_, outputs)| pieces(outputs) > 1), "one step, several pieces");
    Ok(server.recorder.end()?)
}

#[test]
fn the_model_confirms_what_a_server_logs() {
    let trace = Trace::read(recorded(|_| {}).unwrap().as_slice()).unwrap();
    assert_eq!(validate_trace(&trace).unwrap(), trace.steps.len() as u64);
    let mut forged = trace.clone();
    forged.steps[3].observation.commit_index = LogIndex(3);
    let fault = validate_trace(&forged).unwrap_err();
    assert!(matches!(fault, TraceFault::Diverges { step: 4, .. }), "{fault}");
    assert!(fault.to_string().contains("+ commit: 3"), "{fault}");
}

/// Limits in bytes go with the trace, and decide what the model sends.
#[test]
fn limits_in_bytes_are_part_of_a_trace() {
    let small = |limits: &mut Limits| {
        limits.batch_bytes = 30;
        limits.window_bytes = 60;
    };
    let trace = Trace::read(recorded(small).unwrap().as_slice()).unwrap();
    assert_eq!(validate_trace(&trace).unwrap(), trace.steps.len() as u64);
    let without = |change: fn(&mut Trace)| {
        let mut other = trace.clone();
        change(&mut other);
        validate_trace(&other).is_err()
    };
    assert!(without(|trace| trace.header.scope.batch_bytes = None));
    assert!(without(|trace| trace.header.scope.window_bytes = None));
}

#[test]
fn what_a_trace_cannot_say_is_refused() {
    let start = |config| Raft::start(config, MemoryStore::new()).unwrap();
    let gap = start(Config::new(ServerId(4), [ServerId(2), ServerId(4)]));
    let error = Recorder::begin(&gap, "", Vec::new()).unwrap_err();
    assert!(matches!(error, RecorderError::Servers { server: ServerId(4) }), "{error}");
    let mut config = Config::new(IDS[0], IDS);
    config.limits.batch_entries = 1 << 20;
    let error = Recorder::begin(&start(config), "", Vec::new()).unwrap_err();
    assert!(error.to_string().contains("`batch` is 1048576"), "{error}");
}
