//! A short run in which nothing is wrong; and the judges are judged: each mistake that is planted in the
//! servers is found, by whom it has to be found by.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One cluster at a time.
static ALONE: Mutex<()> = Mutex::new(());
/// On a machine that stands still for seconds, a fault may not take effect in time, and a mistake may not
/// be made. Then a run shows nothing. It is made again, so many times in all.
const TRIES: u64 = 4;

/// What a run says that can make no disk fail. It ends at once, with this status.
const NO_DISKS: (&str, i32) = ("disks cannot be made to fail here", 2);

/// Tests of disks are left out where disks cannot be made to fail. Where they are said to be faulty, as `.ci/run` does,
/// that is an error: otherwise nobody would see that these tests do not run any more.
fn leave_out(output: &Output) {
    let told = told(output);
    assert!(std::env::var_os("KONTIKI_FAULTY_DISKS").is_none(), "disks are to fail here: {told}");
    eprintln!("faults of disks are left out: {told}");
}

fn has_no_disks(output: &Output) -> bool {
    told(output).contains(NO_DISKS.0) && output.status.code() == Some(NO_DISKS.1)
}

/// A run, in a directory of its own.
fn command(arguments: &[&str]) -> (Command, PathBuf) {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    let name = format!("kontiki-torment-tests-{}-{number}", std::process::id());
    let out = std::env::temp_dir().join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontiki-torment"));
    command.arg("run").arg("--out").arg(&out).args(arguments);
    (command, out)
}

/// Nothing if disks cannot be made to fail on this machine. What is left of a run in which something is
/// wrong that was not planted is kept.
fn run_with_disks(arguments: &[&str]) -> Option<Output> {
    let _alone = ALONE.lock();
    let mut tries = 1;
    loop {
        let (mut command, out) = command(arguments);
        let output = command.output().unwrap();
        if has_no_disks(&output) {
            leave_out(&output);
            return None;
        }
        let is_planted = |argument: &&str| ["--mistake", "--lying-disks"].contains(argument);
        let shows_nothing = finds_too_little(&out);
        if output.status.success() || shows_nothing || arguments.iter().any(is_planted) {
            std::fs::remove_dir_all(&out).unwrap();
        }
        if !shows_nothing || tries == TRIES {
            return Some(output);
        }
        tries += 1;
    }
}

/// Whether all that is found is that too little happened. A cluster that does not come back, or a server
/// that cannot be taken in, is another thing.
fn finds_too_little(out: &Path) -> bool {
    let findings = std::fs::read_dir(out).ok().and_then(|mut runs| {
        let run = runs.next()?.unwrap();
        std::fs::read_to_string(run.path().join("findings.txt")).ok()
    });
    let too_little = ["this shows nothing", "and nothing came of it"];
    findings.is_some_and(|found| {
        found.lines().all(|line| too_little.iter().any(|end| line.ends_with(end)))
    })
}

fn run(arguments: &[&str]) -> Output {
    let without = [arguments, &["--without-disk-faults"]].concat();
    run_with_disks(arguments).or_else(|| run_with_disks(&without)).unwrap()
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

/// Joint configurations, with and without the leader that has begun them.
#[test]
fn one_server_takes_the_place_of_another() {
    let output = run(&["--seed", "1", "--seconds", "20", "--faults", "replace,kill-leader"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("Replace"), "{}", told(&output));
}

/// Each of these judges finds it.
fn finds(mistake: &str, judges: &[&str]) {
    finds_among(3, 5, "kill-all,transfer,left-behind", mistake, judges);
}

fn finds_among(seed: u64, seconds: u64, faults: &str, mistake: &str, judges: &[&str]) {
    let seconds = seconds.to_string();
    let mut found = String::new();
    for seed in seed..seed + TRIES {
        let seed = seed.to_string();
        let arguments =
            ["--seed", &seed, "--seconds", &seconds, "--faults", faults, "--mistake", mistake];
        let output = run(&arguments);
        found = told(&output);
        let finds = |judge: &&str| found.lines().any(|line| line.starts_with(judge));
        let shows_something = !found.contains("the suite:");
        if output.status.code() == Some(1) && shows_something && judges.iter().all(finds) {
            return;
        }
    }
    panic!("{mistake} is not found by {judges:?}: {found}");
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
    finds_among(3, 12, "kill-all", "forgotten-session", &["the sessions: "]);
}

#[test]
fn an_answer_that_is_forgotten_is_found() {
    finds("forgotten-answer", &["the sessions: ", "the oracle: "]);
}

const OF_DISKS: &str = "power-loss-one,power-loss-majority,power-loss-all,kill-in-write,disk-fails,disk-full,disk-hangs";

#[test]
fn nothing_is_wrong_with_servers_whose_disks_fail() {
    let output = run_with_disks(&["--seed", "5", "--seconds", "20", "--faults", OF_DISKS]);
    let Some(output) = output else { return };
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("PowerLoss"), "{}", told(&output));
}

/// All servers come back as they were a second before.
#[test]
fn disks_that_lie_are_found() {
    let only = ["--lying-disks", "--faults", "power-loss-all"];
    let mut found = String::new();
    for seed in 3..3 + TRIES {
        let seed = seed.to_string();
        let output = run_with_disks(&[&["--seed", &seed, "--seconds", "4"], &only[..]].concat());
        let Some(output) = output else { return };
        found = told(&output);
        let loses = found.lines().any(|line| line.starts_with("the oracle: "));
        if loses && found.contains("it starts with what its disk cannot hold") {
            return;
        }
    }
    panic!("{found}");
}

/// However a run ends, nothing of it stays mounted, and no server stays.
#[test]
fn nothing_is_left_of_a_run_that_is_killed() {
    let _alone = ALONE.lock();
    let (mut command, out) = command(&["--seconds", "60"]);
    let mut run = command.stderr(Stdio::piped()).spawn().unwrap();
    let mounts = |process: &str| std::fs::read_to_string(format!("/proc/{process}/mountinfo"));
    let out_name = out.to_str().unwrap();
    let id = run.id().to_string();
    let begun = Instant::now();
    while !mounts(&id).unwrap_or_default().contains(out_name) {
        if run.try_wait().unwrap().is_some() {
            let output = run.wait_with_output().unwrap();
            assert!(has_no_disks(&output), "it ends early: {}", told(&output));
            return leave_out(&output);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is mounted");
    }
    assert!(!mounts("self").unwrap().contains(out_name), "others see it");
    std::thread::sleep(Duration::from_secs(2));
    run.kill().unwrap();
    run.wait().unwrap();
    let is_left = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter(|process| {
                let mounts = std::fs::read_to_string(process.path().join("mountinfo"));
                mounts.unwrap_or_default().contains(out_name)
            })
            .count()
            > 0
    };
    while is_left() {
        assert!(begun.elapsed() < Duration::from_secs(60), "servers are left");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::remove_dir_all(&out).unwrap();
}

/// Leases of a leader with such a clock outlast the promises of the others.
#[test]
fn a_stale_read_by_lease_is_found() {
    // Server 1 is to lead first, and is cut off then.
    finds_among(4, 8, "transfer,partition", "slow-clock", &["the history: ", "the checker: what"]);
}
