//! A recording that was altered is rejected, wherever and however; one that was cut short is told as such.

use crate::recorded::{Files, IDS, Recorded, judged_together};
use kontiki_conformance::real_runs::{Agreement, RunFault};
use kontiki_node::kontiki::core::{Config, Raft};
use kontiki_node::kontiki::storage::{HardState, MemoryStore};
use kontiki_node::kontiki::{
    AppendOutcome, Entry, Input, LogIndex, Message, Payload, ReadId, Recorder, Term,
};
use std::rc::Rc;

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
    let (mut server, written) = Recorded::begin(config.clone(), disk);
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
    // It knows another leader of that term, and must turn this away.
    let message = Message::ConfirmLeadership { term: Term(4), round: 1 };
    server.take(Input::Deliver { from: IDS[2], message });
    server.take(Input::LeaderContactExpired);
    server.recorder.flush();
    // The process is killed, and starts again.
    let Recorded { raft, recorder, .. } = server;
    drop(recorder);
    config.incarnation = 1;
    let raft = Raft::start(config, raft.into_store()).unwrap();
    let recorder = Recorder::begin(&raft, Files(Rc::clone(&written))).unwrap();
    let mut server = Recorded { raft, recorder, sent: Vec::new() };
    server.take(Input::ElectionTimeout);
    server.recorder.end();
    assert!(server.recorder.failure().is_none());
    let files = written.borrow();
    files.iter().map(|file| String::from_utf8(file.clone()).unwrap()).collect()
}

fn judged(files: &[Vec<u8>]) -> Result<Agreement, Box<RunFault>> {
    judged_together(&[(IDS[0], files)])
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
    assert_eq!((followed.turned_away, followed.store_failures), (1, 0));
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

/// What a server says when its store fails, and from then on.
const STORE_FAILS: &str = "stopped: the store failed: no such luck";
const HAS_STOPPED: &str = "the server has stopped because its store failed: start it again";

/// The line of a step, as if the store had failed there; any other line as it is.
fn failed(line: &str, how: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    match value.get("step").zip(value.get("input")) {
        Some((step, input)) => {
            format!("{{\"step\":{step},\"input\":{input},\"failed\":\"{how}\"}}")
        }
        None => line.to_string(),
    }
}

/// The places of the steps, with whether each is the last of its start. The first start ends with the last
/// file but one.
fn steps(all: &[(usize, &str)], files: usize) -> Vec<(usize, bool)> {
    let is_step = |line: &str| line.starts_with("{\"step\"");
    let start = |place: usize| all[place].0 + 1 == files;
    let places: Vec<usize> = (0..all.len()).filter(|place| is_step(all[*place].1)).collect();
    let next = places.iter().skip(1).map(Some).chain([None]);
    let is_last =
        |place, next: Option<&usize>| next.is_none_or(|next| start(*next) != start(place));
    places.iter().zip(next).map(|(place, next)| (*place, is_last(*place, next))).collect()
}

#[test]
fn who_goes_on_after_the_store_failed_is_noticed() {
    let files = files();
    let all = lines(&files);
    for (place, is_last) in steps(&all, files.len()) {
        for how in [STORE_FAILS, HAS_STOPPED] {
            let mut forged = owned(&all);
            forged[place].1 = failed(all[place].1, how);
            let found = judged(&joined(files.len(), &forged));
            let allowed = is_last && how == STORE_FAILS;
            assert_eq!(found.is_ok(), allowed, "line {place} with {how}");
            assert!(found.is_err() || found.unwrap().servers[&IDS[0]].store_failures == 1);
        }
    }
}

/// A server that has stopped says so at whatever comes, until it is started again.
#[test]
fn a_store_that_fails_once_is_told_and_no_more() {
    let files = files();
    let all = lines(&files);
    let (second, _) = steps(&all, files.len()).into_iter().rfind(|(_, is_last)| *is_last).unwrap();
    let begins = (0..all.len()).find(|place| all[*place].0 + 1 == files.len()).unwrap();
    let mut forged = owned(&all);
    let mut how = STORE_FAILS;
    for place in begins..=second {
        forged[place].1 = failed(all[place].1, how);
        if forged[place].1 != all[place].1 {
            how = HAS_STOPPED;
        }
    }
    let agreement = judged(&joined(files.len(), &forged)).unwrap_or_else(|fault| panic!("{fault}"));
    let followed = &agreement.servers[&IDS[0]];
    assert_eq!((followed.store_failures, how), (1, HAS_STOPPED));
    assert!(followed.to_string().contains("1 starts that ended as the store failed"), "{followed}");
    // Its store cannot fail a second time.
    forged[second].1 = failed(all[second].1, STORE_FAILS);
    let several = forged.iter().filter(|(_, line)| line.contains("\"failed\"")).count() > 1;
    assert_eq!(judged(&joined(files.len(), &forged)).is_err(), several);
    // Who has stopped has no next file.
    let mut forged = owned(&all);
    let full = all.iter().position(|(_, line)| line.starts_with("{\"end\"")).unwrap();
    forged[full - 1].1 = failed(all[full - 1].1, STORE_FAILS);
    assert!(matches!(
        *judged(&joined(files.len(), &forged)[..1]).unwrap_err(),
        RunFault::At { .. }
    ));
}

#[test]
fn a_rejection_for_another_reason_is_noticed() {
    let files = files();
    let all = lines(&files);
    let place = all.iter().position(|(_, line)| line.contains("\"rejected\"")).unwrap();
    let why = "S3 claims to lead in term 4, in which S2 leads";
    assert!(all[place].1.contains(why), "{}", all[place].1);
    for other in [
        "",
        "S3 claims to lead in term 4, in which S1 leads",
        "S3 claims to lead in term 5, in which S2 leads",
        "S2 claims to lead in term 4, in which S2 leads",
        "the term of entry 8 contradicts what is committed up to 8",
        "the completion of a write that is not the oldest outstanding",
        "a message from the server to itself",
    ] {
        let mut forged = owned(&all);
        forged[place].1 = all[place].1.replace(why, other);
        let fault = judged(&joined(files.len(), &forged)).unwrap_err().to_string();
        assert!(fault.contains("two servers would act as leader in one term"), "{fault}");
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
