//! Simulated clusters of drivers: clients are told the truth, whatever goes wrong, and all of it can be
//! repeated.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

use kontiki_conformance::implementation::Memory;
use kontiki_conformance::recorded::{replay_trace, validate_trace};
use kontiki_conformance::simulate::{
    DriversOptions, DriversReport, SimulationError, simulate_drivers, trace_of_drivers,
};

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

/// `verify` asks for the same.
#[test]
fn everything_happens_in_what_verify_simulates() {
    for DriversOptions { seed, servers, steps } in DriversOptions::OF_VERIFY {
        let told = report(seed, servers, steps).told;
        let missing: Vec<&str> = told.missing().collect();
        assert!(missing.is_empty(), "{servers} drivers: none of {missing:?} in {told:?}");
        for rare in
            ["commands committed without an answer", "commands lost from sight in a snapshot"]
        {
            let happened = told.counts().any(|(what, _)| what == rare);
            assert!(happened || servers > 3, "no {rare} in {told:?}");
        }
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
