//! A trace is told as the model tells what the trace was made of.

use kontiki_conformance::stories::all;
use kontiki_conformance::tell::story;
use kontiki_model::mutants::run;
use kontiki_model::path::Path;
use kontiki_specs::trace::Trace;
use kontiki_specs::{LogIndex, mutation_rows};

/// Mutations found in a moment: with a synchronous disk and with a slow one, with crashes, with a
/// change of membership, and with a schedule that does not recover.
const QUICK: [&str; 5] = [
    "vote-twice",
    "answer-vote-before-durable",
    "forget-vote-on-restart",
    "single-change-without-own-commit",
    "no-no-op",
];

#[test]
fn a_trace_is_told_as_its_counterexample() {
    let mut told = 0;
    for row in mutation_rows().unwrap() {
        if !QUICK.contains(&row.name.as_str()) {
            continue;
        }
        let report = run(&row, |_, _, _| {}).unwrap();
        let path = Path::follow(&report.cluster, &report.counterexample.unwrap()).unwrap();
        let trace = path.trace(Some(report.mutation), &row.does);
        assert_eq!(story(&trace).unwrap(), path.story(), "{}", row.name);
        told += 1;
    }
    assert_eq!(told, QUICK.len());
}

#[test]
fn every_story_is_told() {
    for made in all().unwrap() {
        let told = story(&made.trace).unwrap();
        let step = made.trace.steps.last().unwrap();
        let headline = format!(". {} {}\n", step.server, step.input);
        assert!(told.contains(&headline) && told.contains("In the end:"), "{}: {told}", made.name);
    }
}

/// What is wrong with a log is an error that names the step.
#[test]
fn a_log_with_a_gap_is_an_error() {
    let stories = all().unwrap();
    let mut trace: Trace = stories.first().unwrap().trace.clone();
    let (place, step) =
        (0..).zip(&mut trace.steps).find(|(_, step)| !step.observation.log.is_empty()).unwrap();
    step.observation.log[0].index = LogIndex(7);
    let error = story(&trace).unwrap_err().to_string();
    assert!(error.starts_with(&format!("step {}: ", place + 1)), "{error}");
}
