//! A recording that was altered is rejected, wherever and however; one that was cut short is told as such.

use kontiki_conformance::real_runs::{Agreement, RunFault, follow};
use kontiki_node::kontiki::core::{Config, Outputs, Raft, completion};
use kontiki_node::kontiki::driver::Observer;
use kontiki_node::kontiki::storage::{HardState, MemoryStore};
use kontiki_node::kontiki::{
    AppendOutcome, Entry, Input, LogIndex, Message, Payload, ReadId, Recorder, RecordingFiles,
    ServerId, Term,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use tempfile::TempDir;

const IDS: [ServerId; 3] = [ServerId(1), ServerId(2), ServerId(3)];

/// Files in memory, each of some steps.
#[derive(Default)]
struct Files(Rc<RefCell<Vec<Vec<u8>>>>);

impl RecordingFiles for Files {
    fn next_file(&mut self) -> io::Result<u64> {
        let mut files = self.0.borrow_mut();
        files.push(Vec::new());
        Ok(files.len() as u64)
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().last_mut().unwrap().extend_from_slice(lines);
        Ok(())
    }

    fn is_full(&self, lines: usize, beginning: usize) -> bool {
        self.0.borrow().last().unwrap().len() + lines > beginning + 6000
    }
}

/// A server with a disk that is done at once.
struct Recorded {
    raft: Raft<MemoryStore>,
    recorder: Recorder<Files>,
}

impl Recorded {
    fn take(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut outputs = Outputs::new();
            let failure = self.raft.step(input.clone(), &mut outputs).err();
            self.recorder.stepped(&self.raft, input, &outputs, failure.as_ref());
            for write in outputs.iter() {
                self.raft.store_mut().write(write);
                inputs.extend(completion(write));
            }
        }
    }
}

/// Server 1 with three entries on its disk is elected, commits them and others, answers reads, steps down,
/// loses entries, and is restarted.
fn files() -> Vec<String> {
    let entry = |index, term, command: &[u8]| Entry {
        term: Term(term),
        index: LogIndex(index),
        payload: Payload::Command(command.to_vec().into()),
    };
    let hard_state = HardState { term: Term(2), vote: None };
    let disk =
        MemoryStore::with(hard_state, (1..=3).map(|index| entry(index, 1, b"old")).collect());
    let mut config = Config::new(IDS[0], IDS);
    config.limits.batch_bytes = 60;
    let files = Files::default();
    let written = Rc::clone(&files.0);
    let raft = Raft::start(config.clone(), disk).unwrap();
    let recorder = Recorder::begin(&raft, files).unwrap();
    let mut server = Recorded { raft, recorder };
    let from = IDS[1];
    let deliver = |message| Input::Deliver { from, message };
    let term = Term(3);
    let matched = |index| {
        let outcome = AppendOutcome::Matched { index: LogIndex(index) };
        deliver(Message::AppendEntriesReply { term, outcome })
    };
    server.take(Input::ElectionTimeout);
    server.take(deliver(Message::RequestPreVoteReply { term: Term(2), granted: true }));
    server.take(deliver(Message::RequestVoteReply { term, granted: true }));
    server.take(Input::Propose { commands: vec![b"new".to_vec().into(); 4] });
    server.take(matched(4));
    server.take(Input::Read { read: ReadId(7) });
    server.take(deliver(Message::ConfirmLeadershipReply { term, round: 1 }));
    server.take(matched(7));
    server.take(Input::Executed { index: LogIndex(7) });
    let commands = vec![b"not UTF-8: \xff".to_vec().into()];
    server.take(Input::Propose { commands });
    server.take(deliver(Message::AppendEntries {
        term: Term(4),
        prev: entry(7, 3, b"").position(),
        entries: vec![entry(8, 4, b"another"), entry(9, 4, b"and one more")].into(),
        commit_index: LogIndex(8),
    }));
    server.take(Input::LeaderContactExpired);
    server.recorder.flush();
    // The process is killed, and starts again.
    let Recorded { raft, recorder } = server;
    drop(recorder);
    config.incarnation = 1;
    let raft = Raft::start(config, raft.into_store()).unwrap();
    let recorder = Recorder::begin(&raft, Files(Rc::clone(&written))).unwrap();
    let mut server = Recorded { raft, recorder };
    server.take(Input::ElectionTimeout);
    server.recorder.end();
    assert!(server.recorder.failure().is_none());
    let files = written.borrow();
    files.iter().map(|file| String::from_utf8(file.clone()).unwrap()).collect()
}

fn judged(files: &[Vec<u8>]) -> Result<Agreement, Box<RunFault>> {
    let directory = TempDir::new().unwrap();
    let path = |number: usize| -> PathBuf {
        directory.path().join(format!("server-1-{:06}.jsonl", number + 1))
    };
    for (number, file) in files.iter().enumerate() {
        std::fs::write(path(number), file).unwrap();
    }
    let paths: Vec<PathBuf> = (0..files.len()).map(path).collect();
    follow(&paths)
}

fn bytes(files: &[String]) -> Vec<Vec<u8>> {
    files.iter().map(|file| file.clone().into_bytes()).collect()
}

/// The lines of all files, with the number of the file of each.
fn lines(files: &[String]) -> Vec<(usize, &str)> {
    let numbered = files.iter().enumerate();
    numbered.flat_map(|(number, file)| file.lines().map(move |line| (number, line))).collect()
}

fn joined(files: usize, lines: &[(usize, String)]) -> Vec<Vec<u8>> {
    let mut joined = vec![Vec::new(); files];
    for (number, line) in lines {
        joined[*number].extend_from_slice(line.as_bytes());
        joined[*number].push(b'\n');
    }
    joined
}

fn owned(lines: &[(usize, &str)]) -> Vec<(usize, String)> {
    lines.iter().map(|(number, line)| (*number, (*line).to_string())).collect()
}

#[test]
fn the_model_confirms_what_a_server_records() {
    let files = files();
    assert!(files.len() > 3, "several files");
    let agreement = judged(&bytes(&files)).unwrap_or_else(|fault| panic!("{fault}"));
    let followed = &agreement.servers[&IDS[0]];
    assert_eq!((followed.starts, followed.restarts_judged, followed.torn), (2, 1, 1));
    assert!(followed.is_complete && followed.steps > 15 && followed.reads == 1, "{followed:?}");
    assert!(files.iter().any(|file| file.contains("[110,111,116")), "no text");
    // Whoever has only the last files begins in their midst.
    for first in 1..files.len() {
        let rest: Vec<Vec<u8>> = bytes(&files)[first..].to_vec();
        let agreement = judged(&rest).unwrap_or_else(|fault| panic!("{first}: {fault}"));
        assert!(!agreement.servers[&IDS[0]].is_complete);
    }
}

#[test]
fn a_line_that_is_dropped_or_stands_elsewhere_is_noticed() {
    let files = files();
    let all = lines(&files);
    let last_of_a_killed = |place: usize| {
        // The last line before a kill may be missing: nobody can know that there was one.
        let (number, line) = all[place];
        let is_last = all.get(place + 1).is_none_or(|(next, _)| *next != number);
        is_last && line.starts_with("{\"step\"")
    };
    for place in 0..all.len() {
        let mut dropped = owned(&all);
        dropped.remove(place);
        let found = judged(&joined(files.len(), &dropped));
        let last = all[place].1.starts_with("{\"end\"") && place + 1 == all.len();
        let allowed = last || last_of_a_killed(place);
        assert!(found.is_err() || allowed, "without line {place}: {}", all[place].1);
        let mut repeated = owned(&all);
        repeated.insert(place, repeated[place].clone());
        assert!(judged(&joined(files.len(), &repeated)).is_err(), "line {place} twice");
        if place + 1 < all.len() && all[place].0 == all[place + 1].0 {
            let mut swapped = owned(&all);
            swapped.swap(place, place + 1);
            assert!(judged(&joined(files.len(), &swapped)).is_err(), "lines {place} swapped");
        }
    }
}

/// Every number, word and truth value is altered once, in outputs, observations and all else.
#[test]
fn whatever_is_altered_in_a_line_is_noticed() {
    let files = files();
    let all = lines(&files);
    let (mut altered_values, mut unnoticed) = (0, Vec::new());
    for (place, (_, line)) in all.iter().enumerate() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        for pointer in leaves(&value, String::new()) {
            let mut other = value.clone();
            let leaf = other.pointer_mut(&pointer).unwrap();
            *leaf = match leaf.clone() {
                serde_json::Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
                serde_json::Value::Bool(truth) => (!truth).into(),
                serde_json::Value::String(text) => format!("{text}x").into(),
                _ => continue,
            };
            if makes_no_difference(&pointer) {
                continue;
            }
            let mut lines = owned(&all);
            lines[place].1 = serde_json::to_string(&Ordered(&other)).unwrap();
            altered_values += 1;
            let found = judged(&joined(files.len(), &lines));
            if found.is_ok() {
                unnoticed.push(format!("line {place}: {pointer} of {line}"));
            }
        }
    }
    assert_eq!(unnoticed, Vec::<String>::new());
    assert!(altered_values > 500, "{altered_values}");
}

/// Limits that nothing came near to. And what happened to a server is its recording's to say: where two inputs
/// have the same effects, one can stand for the other, and only what other servers recorded can tell.
fn makes_no_difference(pointer: &str) -> bool {
    pointer.starts_with("/rules/") || pointer.starts_with("/input")
}

/// A line as a recording has it: what kind of line it is stands first.
struct Ordered<'a>(&'a serde_json::Value);

impl serde::Serialize for Ordered<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let fields = self.0.as_object().unwrap();
        let first = ["format", "log", "checkpoint", "step", "end"];
        let is_end = fields.contains_key("end");
        let mut map = to.serialize_map(None)?;
        let first: Vec<&str> = match is_end {
            true => vec!["end"],
            false => first.into_iter().filter(|name| fields.contains_key(*name)).collect(),
        };
        for name in &first {
            map.serialize_entry(name, &fields[*name])?;
        }
        for (name, value) in fields.iter().filter(|(name, _)| !first.contains(&name.as_str())) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The ways to all parts that have no parts.
fn leaves(value: &serde_json::Value, way: String) -> Vec<String> {
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().flat_map(|(name, part)| leaves(part, format!("{way}/{name}"))).collect()
        }
        serde_json::Value::Array(parts) => {
            let numbered = parts.iter().enumerate();
            numbered.flat_map(|(number, part)| leaves(part, format!("{way}/{number}"))).collect()
        }
        _ => vec![way],
    }
}

/// A file that was cut anywhere is that of a process that was killed there, or an error with a place.
#[test]
fn a_file_that_is_cut_short_is_torn_or_wrong() {
    let files = bytes(&files());
    let whole = judged(&files).unwrap().servers[&IDS[0]].steps;
    for (number, file) in files.iter().enumerate() {
        let is_last = number + 1 == files.len();
        for end in (0..file.len()).step_by(if is_last { 1 } else { 37 }) {
            let mut cut = files.clone();
            cut[number].truncate(end);
            match judged(&cut) {
                Ok(agreement) => {
                    let followed = &agreement.servers[&IDS[0]];
                    assert!(followed.steps <= whole && followed.torn > 0, "{number} at {end}");
                }
                Err(fault) => assert!(!fault.to_string().is_empty()),
            }
            assert!(!is_last || judged(&cut).is_ok(), "the last at {end}");
        }
    }
}
