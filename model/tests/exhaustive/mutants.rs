//! Every mutation is found, in few steps, and its counterexample can be told and written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

use super::do_all;
use kontiki_model::mutants::{MutantReport, job, run};
use kontiki_model::path::Path;
use kontiki_specs::trace::Trace;
use kontiki_specs::{MutationRow, Property, mutation_rows};

const MOST_STEPS: usize = 25;

/// Mutations that take more steps take long to be found, and are left to `cargo verify`: it finds every mutation, in
/// exactly as many steps as its row says. What is seen only here is that counterexamples can be told and written: those
/// of this length, and the longest.
const FEW_STEPS: usize = 12;

#[test]
fn mutations_are_found() {
    let mut rows = mutation_rows().unwrap();
    let longest = rows.iter().map(|row| row.steps).max().unwrap();
    assert!(longest <= MOST_STEPS, "{longest} steps");
    rows.retain(|row| row.steps <= FEW_STEPS || row.steps == longest);
    let jobs = rows.into_iter();
    let jobs = jobs.map(|row| job(row).unwrap().map(|report| is_found(&report.unwrap())));
    let found = do_all(jobs.collect()).len();
    assert!(found >= 70, "only {found} mutations have few steps");
}

/// Properties that no row is for. They fall as well, so they are no empty words.
#[test]
fn properties_without_a_row_fall_where_these_rules_are_broken() {
    let rows = mutation_rows().unwrap();
    for (name, property) in [
        ("vote-twice", Property::MonotonicVote),
        ("forget-term-on-restart", Property::MonotonicTerm),
        ("commit-older-term-by-counting", Property::OwnTermCommit),
        ("leave-joint-before-committed", Property::OnePendingConfiguration),
        ("lease-outlives-promise", Property::LeaseExcludesLeaders),
    ] {
        assert!(rows.iter().all(|row| row.property != property), "{property} has a row");
        let row = rows.iter().find(|row| row.name == name).unwrap();
        let row = MutationRow { property, ..row.clone() };
        is_found(&run(&row, |_, _, _| {}).unwrap());
    }
}

fn is_found(report: &MutantReport) {
    let row = &report.row;
    let actions = report.counterexample.as_ref();
    let actions = actions.unwrap_or_else(|| panic!("{} survived", row.name));
    assert!(actions.len() <= MOST_STEPS, "{}: {} steps", row.name, actions.len());
    let path = Path::follow(&report.cluster, actions).unwrap();
    let story = path.story();
    assert!(story.contains(&format!("This breaks {}", row.property)), "{story}");

    let trace = path.trace(Some(report.mutation), &row.does);
    let mut file = Vec::new();
    trace.write(&mut file).unwrap();
    assert_eq!(Trace::read(file.as_slice()).unwrap(), trace, "{}", row.name);
}
