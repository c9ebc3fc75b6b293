//! The judge is judged: a trace in which anything is dropped, swapped or altered is rejected.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

use kontiki_conformance::atlas::Atlas;
use kontiki_conformance::implementation::Memory;
use kontiki_conformance::record::record;
use kontiki_conformance::recorded::{TraceFault, replay_trace, validate_trace};
use kontiki_model::check::{CheckOptions, check};
use kontiki_specs::scope::Scope;
use kontiki_specs::trace::{Trace, TraceStep};
use kontiki_specs::{Input, Output};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Every committed story, by its file's name.
fn stories() -> Vec<(String, Trace)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/traces");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut stories: Vec<_> = files
        .map(|path| (path.file_name().unwrap().to_string_lossy().to_string(), path))
        .map(|(name, path)| (name, Trace::load(path).unwrap()))
        .collect();
    stories.sort_by(|a, b| a.0.cmp(&b.0));
    stories
}

/// The atlas of a small scope, as a trace.
fn small_atlas() -> Trace {
    let text = "servers = 2\nterms = 1\nlog = 2\ndisk = 'asynchronous'\ncheck-quorum = true";
    let scope = Scope::parse("small", "test", text).unwrap();
    let atlas = Atlas::of(&check(&scope, &CheckOptions::default(), |_| {}).cluster);
    let mut bytes = Vec::new();
    record(&atlas, &mut bytes).unwrap();
    Trace::read(bytes.as_slice()).unwrap()
}

fn text(trace: &Trace) -> String {
    let mut bytes = Vec::new();
    trace.write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

fn both(trace: &Trace) -> [Result<u64, TraceFault>; 3] {
    [replay_trace(trace, Memory::Warm), replay_trace(trace, Memory::Cold), validate_trace(trace)]
}

#[test]
fn every_story_is_replayed_and_validated() {
    let stories = stories();
    assert!(stories.len() >= 20, "{} stories", stories.len());
    for (name, trace) in &stories {
        for result in both(trace) {
            match result {
                Ok(steps) => assert_eq!(steps, trace.steps.len() as u64, "{name}"),
                Err(fault) => panic!("{name}: {fault}"),
            }
        }
    }
}

#[test]
fn a_line_dropped_or_swapped_is_no_trace() {
    for (name, trace) in &stories() {
        let text = text(trace);
        let lines: Vec<&str> = text.lines().collect();
        for place in 0..lines.len() {
            let mut dropped = lines.clone();
            dropped.remove(place);
            assert!(Trace::read(joined(&dropped).as_bytes()).is_err(), "{name}: line {place}");
        }
        for place in 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(place - 1, place);
            assert!(Trace::read(joined(&swapped).as_bytes()).is_err(), "{name}: line {place}");
        }
    }
}

/// Steps that leave a mark which nothing but themselves can leave.
fn leaves_a_mark(step: &TraceStep) -> bool {
    let grows =
        |output: &Output| matches!(output, Output::Proposed { .. } | Output::WriteHardState { .. });
    matches!(step.input, Input::ElectionTimeout | Input::Propose { .. })
        && step.outputs.iter().any(grows)
}

/// Whether a server's story begins there with what is on its disk: a premise, which may be any.
fn is_premise(trace: &Trace, place: usize) -> bool {
    let step = &trace.steps[place];
    matches!(step.input, Input::Restart { .. })
        && trace.steps[..place].iter().all(|before| before.server != step.server)
}

/// A forger who numbers the lines anew.
#[test]
fn a_step_left_out_or_moved_is_noticed() {
    let mut tried = 0;
    for (name, trace) in &stories() {
        for place in 0..trace.steps.len() - 1 {
            let step = &trace.steps[place];
            let mut later = trace.steps[place + 1..].iter();
            let next = later.find(|later| later.server == step.server);
            // A crash may take the mark away again.
            let goes_on = next.is_some_and(|next| !matches!(next.input, Input::Restart { .. }));
            if leaves_a_mark(step) && goes_on {
                let mut forged = trace.clone();
                forged.steps.remove(place);
                assert!(both(&forged).iter().all(Result::is_err), "{name}: without {place}");
                tried += 1;
            }
            let next = &trace.steps[place + 1];
            let observed = (&step.observation, &next.observation);
            if step.server == next.server && observed.0 != observed.1 {
                let mut forged = trace.clone();
                forged.steps.swap(place, place + 1);
                assert!(both(&forged).iter().all(Result::is_err), "{name}: swapped {place}");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

/// A message that nobody sent.
#[test]
fn a_delivery_altered_is_noticed() {
    let mut tried = 0;
    for (name, trace) in &stories() {
        for place in 0..trace.steps.len() {
            let mut forged = trace.clone();
            let step = &mut forged.steps[place];
            let recorded = |id| trace.steps.iter().any(|step| step.server == id);
            if let Input::Deliver { from, message } = &mut step.input
                && recorded(*from)
            {
                let mut value = serde_json::to_value(&*message).unwrap();
                let Some(term) = value.pointer_mut(&pointer(&value.clone(), "term")) else {
                    panic!("{name}: every message has a term")
                };
                *term = Value::from(term.as_u64().unwrap() + 5);
                *message = serde_json::from_value(value).unwrap();
                assert!(both(&forged).iter().all(Result::is_err), "{name}: step {place}");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

/// The JSON pointer to a field directly in the one variant of an enum.
fn pointer(value: &Value, field: &str) -> String {
    let variant = value.as_object().and_then(|object| object.keys().next());
    format!("/{}/{field}", variant.map_or("", String::as_str))
}

/// Every number, string, flag and null in what a step put out and in what it left is altered in
/// turn; an element is dropped from every list.
#[test]
fn anything_altered_is_noticed() {
    let mut tried = 0;
    let mut traces = stories();
    traces.push(("atlas".to_string(), small_atlas()));
    for (name, trace) in &traces {
        // Of long traces, every so many steps, a different selection for each trace.
        let stride = 1 + trace.steps.len() / 8;
        for place in (name.len() % stride..trace.steps.len()).step_by(stride) {
            if is_premise(trace, place) {
                continue;
            }
            for forged in alterations(&trace.steps[place]) {
                let mut whole = trace.clone();
                whole.steps[place] = forged;
                let results = both(&whole);
                assert!(
                    results.iter().all(Result::is_err),
                    "{name}: step {place} altered to {:?}",
                    whole.steps[place]
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "only {tried} alterations");
}

/// The step with one thing altered, in every way that is still a step.
fn alterations(step: &TraceStep) -> Vec<TraceStep> {
    let mut all = Vec::new();
    let outputs = serde_json::to_value(&step.outputs).unwrap();
    for altered in altered(&outputs) {
        if let Ok(outputs) = serde_json::from_value(altered) {
            all.push(TraceStep { outputs, ..step.clone() });
        }
    }
    let observation = serde_json::to_value(&step.observation).unwrap();
    for altered in altered(&observation) {
        if let Ok(observation) = serde_json::from_value(altered) {
            all.push(TraceStep { observation, ..step.clone() });
        }
    }
    all.retain(|forged| forged != step);
    all
}

/// A value with one thing in it altered, in every way.
fn altered(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![Value::from(1)],
        Value::Bool(flag) => vec![Value::from(!flag)],
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            vec![Value::from(number + 1), Value::from(number.saturating_sub(1)), Value::Null]
        }
        Value::String(word) => ["follower", "leader", "probe", "pipeline", "noop"]
            .into_iter()
            .filter(|other| other != word)
            .map(Value::from)
            .collect(),
        Value::Array(items) => {
            let dropped = (0..items.len()).map(|place| {
                let mut fewer = items.clone();
                fewer.remove(place);
                Value::from(fewer)
            });
            let changed = items
                .iter()
                .enumerate()
                .flat_map(|(place, item)| altered(item).into_iter().map(move |item| (place, item)));
            let changed = changed.map(|(place, item)| {
                let mut other = items.clone();
                other[place] = item;
                Value::from(other)
            });
            dropped.chain(changed).collect()
        }
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| altered(field).into_iter().map(move |field| (name, field)))
            .map(|(name, field)| {
                let mut other = fields.clone();
                other.insert(name.clone(), field);
                Value::from(other)
            })
            .collect(),
    }
}

#[test]
fn what_cannot_be_compared_says_why() {
    let mut trace = small_atlas();
    trace.header.mutation = Some("vote-twice".to_string());
    for result in both(&trace) {
        assert!(matches!(result, Err(TraceFault::Mutated { .. })));
    }
    trace.header.mutation = None;
    trace.steps.clear();
    for result in both(&trace) {
        assert!(matches!(result, Err(TraceFault::NoSteps)));
    }
}
