//! A short run in which nothing is wrong; and the judges are judged: each mistake that is planted in the
//! servers is found, by whom it has to be found by.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::process::{Command, Output};
use std::sync::Mutex;

/// One cluster at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn run(arguments: &[&str]) -> Output {
    let _alone = ALONE.lock();
    let out = std::env::temp_dir().join(format!("kontiki-torment-tests-{}", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontiki-torment"));
    command.arg("run").arg("--out").arg(&out).args(arguments);
    let output = command.output().unwrap();
    if output.status.success() || arguments.contains(&"--mistake") {
        std::fs::remove_dir_all(&out).unwrap();
    }
    output
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn nothing_is_wrong_with_servers_that_make_no_mistake() {
    let output = run(&["--seed", "11", "--seconds", "25"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("nothing is wrong"));
}

/// Each of these judges finds it.
fn finds(mistake: &str, judges: &[&str]) {
    finds_among("3", 5, "kill-all,transfer,left-behind", mistake, judges);
}

fn finds_among(seed: &str, seconds: u64, faults: &str, mistake: &str, judges: &[&str]) {
    let seconds = seconds.to_string();
    let arguments =
        ["--seed", seed, "--seconds", &seconds, "--faults", faults, "--mistake", mistake];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let found = told(&output);
    for judge in judges {
        assert!(found.lines().any(|line| line.starts_with(judge)), "{judge}: {mistake}: {found}");
    }
    assert!(!found.contains("the suite:"), "{found}");
}

#[test]
fn a_lost_acknowledged_write_is_found() {
    finds("lost-write", &["the oracle: ", "the checker: what"]);
}

#[test]
fn a_stale_read_is_found() {
    finds("stale-read", &["the history: ", "the checker: what"]);
}

#[test]
fn a_command_that_is_executed_twice_is_found() {
    finds("double-apply", &["the oracle: ", "the checker: what"]);
}

#[test]
fn a_state_machine_that_differs_is_found() {
    finds("different-machine", &["the oracle: state machines differ"]);
}

#[test]
fn a_session_that_is_forgotten_is_found() {
    // Long enough for snapshots, and for starts from them.
    finds_among("3", 12, "kill-all", "forgotten-session", &["the sessions: "]);
}

#[test]
fn an_answer_that_is_forgotten_is_found() {
    finds("forgotten-answer", &["the sessions: ", "the oracle: "]);
}

/// Leases of a leader with such a clock outlast the promises of the others.
#[test]
fn a_stale_read_by_lease_is_found() {
    // Server 1 is to lead first, and is cut off then.
    finds_among(
        "4",
        5,
        "transfer,partition",
        "slow-clock",
        &["the history: ", "the checker: what"],
    );
}
