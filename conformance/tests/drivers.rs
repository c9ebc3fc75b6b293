//! Simulated clusters of drivers: clients are told the truth, whatever goes wrong, and all of it can be
//! repeated.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

use kontiki_conformance::implementation::Memory;
use kontiki_conformance::recorded::{replay_trace, validate_trace};
use kontiki_conformance::simulate::{
    DriversOptions, DriversReport, SimulationError, simulate_drivers, trace_of_drivers,
};
use std::collections::BTreeMap;

fn report(seed: u64, servers: u64, steps: u64) -> DriversReport {
    let report = simulate_drivers(&DriversOptions { seed, servers, steps }, |_| {}).unwrap();
    if let Some(finding) = &report.finding {
        panic!("{finding}");
    }
    report
}

#[test]
fn nothing_is_found_whatever_the_number_of_servers() {
    for servers in 1..=7 {
        assert!(report(servers, servers, 100_000).steps >= 100_000);
    }
}

#[test]
fn everything_happens_in_a_million_steps() {
    let told = report(1, 3, 1_000_000).told;
    let told: BTreeMap<&str, u64> = told.counts().collect();
    for what in [
        "commands applied",
        "commands committed without an answer",
        "commands overwritten",
        "commands lost from sight in a snapshot",
        "reads served",
        "changes completed",
        "transfers ended",
        "transfers given up",
        "requests sent to another server",
        "requests that found no room",
        "requests that were too late",
        "requests given up without an answer",
        "requests cut short by a stop",
        "requests refused by a server that stops",
        "snapshots taken",
        "snapshots taken for operators",
        "snapshots failed",
        "state machines restored",
        "crashes",
        "servers shut down",
        "servers that stopped by themselves",
        "processes stopped for a while",
        "jumps of clocks",
    ] {
        assert!(told.get(what).is_some_and(|times| *times > 0), "no {what} in {told:?}");
    }
}

#[test]
fn a_seed_says_it_all() {
    let one = report(7, 3, 30_000);
    assert_eq!(one, report(7, 3, 30_000));
    assert_ne!(one, report(8, 3, 30_000));
}

#[test]
fn a_run_is_a_trace_that_both_sides_follow() {
    for seed in 0..8 {
        let trace = trace_of_drivers(seed, 3, format!("seed {seed}"));
        assert!(trace.steps.len() > 100, "seed {seed}: {} steps", trace.steps.len());
        assert_eq!(validate_trace(&trace).unwrap(), trace.steps.len() as u64);
        assert_eq!(replay_trace(&trace, Memory::Warm).unwrap(), trace.steps.len() as u64);
    }
}

#[test]
fn so_many_servers_are_not_simulated() {
    for servers in [0, 8] {
        let refused = simulate_drivers(&DriversOptions { seed: 1, servers, steps: 1 }, |_| {});
        assert_eq!(refused.unwrap_err(), SimulationError::Servers(servers));
    }
}
