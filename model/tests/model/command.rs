//! The command as its user meets it: exit status, messages, files.

#![allow(clippy::unwrap_used, reason = "what a test unwraps fails the test")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_kontiki-model")).args(arguments).output()
}

fn scratch(name: &str, text: &str) -> std::io::Result<PathBuf> {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, text)?;
    Ok(file)
}

#[test]
fn a_scope_of_five_lines_is_checked_and_reported() {
    let text = "servers = 2\nterms = 2\nlog = 1\nrestarts = 1\ndisk = \"asynchronous\"\n";
    let scope = scratch("mine.toml", text).unwrap();
    let json = scratch("mine.json", "").unwrap();
    let (scope, json) = (scope.to_str().unwrap(), json.to_str().unwrap());
    let output = run(&["check", scope, "--cross-check", "--json", json]).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("fingerprint collision"));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!(report[0]["scope"], "mine");
    assert_eq!(report[0]["verdict"], "holds");
    assert_eq!(report[0]["properties"]["election-safety"], "holds");
    assert!(report[0]["unique_states"].as_u64().unwrap() > 100);
}

#[test]
fn a_broken_rule_is_told_and_fails() {
    let traces = env!("CARGO_TARGET_TMPDIR");
    let arguments = ["check", "election", "--mutation", "vote-twice", "--traces", traces];
    let output = run(&arguments).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("This breaks"), "{output:?}");
    assert!(PathBuf::from(traces).join("election.trace.jsonl").is_file());
}

#[test]
fn a_claim_is_decided_and_explained() {
    let (json, traces) = (scratch("claims.json", "").unwrap(), env!("CARGO_TARGET_TMPDIR"));
    let json = json.to_str().unwrap();
    let output = run(&["claims", "17", "--json", json, "--traces", traces]).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("\"Two leaders may exist at once.\": true"), "{told}");
    assert!(told.contains("states were seen."), "{told}");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!(report[0]["claim"], "two-leaders-at-once");
    assert_eq!((&report[0]["verdict"], &report[0]["scope"]), (&"true".into(), &"election".into()));
    assert_eq!(report[0]["steps"], 6);
}

#[test]
fn a_wrong_count_fails() {
    let text = "servers = 2\nterms = 1\nlog = 1\nunique-states = 3\n";
    let scope = scratch("pinned.toml", text).unwrap();
    let output = run(&["check", scope.to_str().unwrap()]).unwrap();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("COUNT DIFFERS: 3 pinned"));
}

#[test]
fn a_goal_that_is_not_reached_fails() {
    let text = "servers = 2\nterms = 1\nlog = 1\nsometimes = [\"two-leaders\"]\n";
    let scope = scratch("unreached.toml", text).unwrap();
    let output = run(&["check", scope.to_str().unwrap()]).unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("NOT REACHED: two-leaders"));
}

/// What a check that was ended early has seen is the same each time, and said.
#[test]
fn a_check_that_is_ended_early_says_what_it_knows() {
    let json = scratch("early.json", "").unwrap();
    let json = json.to_str().unwrap();
    let output = run(&["check", "long-log", "--max-states", "2000", "--json", json]).unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("long-log: no property is broken in the"), "{told}");
    let report = timeless(json);
    let states = report[0]["unique_states"].as_u64().unwrap();
    assert!((2001..100_000).contains(&states), "{states}");
    assert_eq!(report[0]["ended_early"], true);
    assert_eq!(report[0]["properties"]["election-safety"], "holds so far");
    assert_eq!(report[0]["properties"]["mismatch-reported"], "reached");
    run(&["check", "long-log", "first-steps", "--max-states", "2000", "--json", json]).unwrap();
    assert_eq!(timeless(json)[0], report[0]);
    let timed = run(&["check", "long-log", "--time", "1"]).unwrap();
    assert_eq!(timed.status.code(), Some(3), "{timed:?}");
}

/// A bound that is never reached changes nothing; a violation comes first.
#[test]
fn a_bound_hides_nothing() {
    let (all, less) = ("2731", "2730");
    let unbounded = run(&["check", "first-steps", "--max-states", all]).unwrap();
    assert_eq!(unbounded.status.code(), Some(0), "{unbounded:?}");
    let bounded = run(&["check", "first-steps", "--max-states", less]).unwrap();
    assert_eq!(bounded.status.code(), Some(3), "{bounded:?}");
    let traces = env!("CARGO_TARGET_TMPDIR");
    let broken = ["check", "election", "--mutation", "vote-twice", "--traces", traces];
    for bound in ["1", "3", "1000000"] {
        let bounded = run(&[&broken[..], &["--max-states", bound]].concat()).unwrap();
        let violated = bounded.status.code() == Some(1);
        assert_eq!(violated, bound != "1", "{bounded:?}");
    }
}

/// A report as JSON without what differs from one run to the next.
fn timeless(file: &str) -> serde_json::Value {
    let mut report: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    for row in report.as_array_mut().unwrap() {
        for key in ["seconds", "cpu_seconds", "peak_rss_bytes", "runs"] {
            row.as_object_mut().unwrap().remove(key);
        }
    }
    report
}

/// What comes out does not depend on how much is done side by side, nor does its order.
#[test]
fn side_by_side_and_one_after_the_other_are_the_same() {
    let names = ["vote-twice", "minority-elects", "keep-vote-in-new-term"];
    for (command, rest) in [
        ("check", &["outsider", "first-steps", "six-votes"][..]),
        ("check", &["election", "first-steps", "--mutation", "vote-twice"]),
        ("mutants", &names),
        ("claims", &["17"]),
    ] {
        let mut results = Vec::new();
        for (jobs, memory) in [("1", "2048"), ("4", "1000")] {
            let name = format!("{command}-{}-{jobs}-{memory}.json", rest[0]);
            let json = scratch(&name, "").unwrap();
            let json = json.to_str().unwrap();
            let fixed = [command, "--jobs", jobs, "--memory", memory, "--json", json];
            let traces = ["--traces", env!("CARGO_TARGET_TMPDIR")];
            let output = run(&[&fixed[..], &traces, rest].concat()).unwrap();
            results.push((output.status.code(), timeless(json)));
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(errors.contains("MiB at most"), "{errors}");
        }
        assert_eq!(results[0], results[1], "{command}");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let flawed = scratch("flawed.toml", "servers = 3\nterms = 2\nlgo = 1\n").unwrap();
    for (arguments, says) in [
        (vec!["check", flawed.to_str().unwrap()], "flawed.toml:3: unknown key `lgo`"),
        (vec!["check", "electoin"], "election"),
        (
            vec!["mutants", "vote-twise"],
            "unknown mutation `vote-twise`: did you mean `vote-twice`?",
        ),
        (vec!["check", "election", "--mutation", "zzz"], "unknown mutation `zzz`\n"),
        (vec!["claims", "two-leader"], "unknown claim `two-leader`: did you mean `two-leaders-at-"),
        (vec!["check", "--suite", "deeep"], "a similar value exists: 'deep'"),
        (vec!["list", "mutation"], "nothing is called `mutation`: did you mean `mutations`?"),
        (vec!["list", "electoin-safety"], "did you mean `election-safety`?"),
        (vec!["simulate", "election", "--walks", "0"], "0 is not in 1.."),
        (vec!["check", "--jobs", "0"], "invalid value '0' for '--jobs <N>'"),
        (vec!["check", "--max-states", "0"], "0 is not in 1.."),
        (vec!["explore", "election", "--address", "nowhere"], "`nowhere` is not an address"),
    ] {
        let output = run(&arguments).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(says), "{arguments:?}: {errors}");
    }
}

/// What the operating system says is said once.
#[test]
fn files_that_cannot_be_read_or_written() {
    let folder = format!("{}/folder.toml", env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).unwrap();
    let small = scratch("small.toml", "servers = 1\nterms = 1\nlog = 1\n").unwrap();
    let small = small.to_str().unwrap();
    for arguments in [
        vec!["check", "no/such.toml"],
        vec!["check", &folder],
        vec!["simulate", "no/such.toml"],
        vec!["explore", "no/such.toml"],
        vec!["check", small, "--json", &folder],
        vec!["check", small, "--json", "no/such/file.json"],
    ] {
        let output = run(&arguments).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors.matches("(os error ").count(), 1, "{arguments:?}: {errors}");
        assert_eq!(errors.matches("error: ").count(), 1, "{arguments:?}: {errors}");
    }
}

#[test]
fn only_what_is_asked_for_is_listed() {
    for (only, listed, left_out) in [
        ("mutations", "vote-twice", "two-leaders-at-once"),
        ("E3", "| E3 ", "| E4 "),
        ("figure-8", "commit-older-term-by-counting", "vote-twice"),
        ("deep", "deep-crash", "| first-steps"),
        ("rules", "| L12 ", "vote-twice"),
        ("vote-twice", "| 6 steps ", "two-leaders-at-once"),
        ("vote-twice", "votes for every candidate of a term that asks.", "forget-vote"),
    ] {
        let output = run(&["list", only]).unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains(listed) && !told.contains(left_out), "{only}: {told}");
    }
    let all = run(&["list"]).unwrap();
    let told = String::from_utf8_lossy(&all.stdout);
    for kind in ["| scope ", "| property ", "| goal ", "| mutation ", "| claim ", "| rule "] {
        assert!(told.contains(kind), "{told}");
    }
}

/// Who reads no further, as `head` does, is no reason to fail: the exit status is the command's.
#[test]
fn a_reader_that_goes_early_is_no_error() {
    let small = scratch("unread.toml", "servers = 1\nterms = 1\nlog = 1\n").unwrap();
    let small = small.to_str().unwrap();
    let traces = ["--traces", env!("CARGO_TARGET_TMPDIR")];
    let told = |arguments: &[&'static str]| [arguments, &traces].concat();
    for (arguments, status) in [
        (vec!["list"], 0),
        (vec!["check", small], 0),
        (vec!["check", "no/such.toml"], 2),
        (told(&["check", "election", "--mutation", "vote-twice"]), 1),
        (told(&["mutants", "vote-twice"]), 0),
        (told(&["claims", "17"]), 0),
        (told(&["simulate", "election", "--walks", "3"]), 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_kontiki-model"));
        let command = command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let ended = command.args(&arguments).status().unwrap();
        assert_eq!(ended.code(), Some(status), "{arguments:?}");
    }
}

#[test]
fn random_walks_find_a_broken_rule() {
    let traces = env!("CARGO_TARGET_TMPDIR");
    let walk = ["simulate", "election", "--walks", "50", "--seed", "7", "--traces", traces];
    let held = run(&walk).unwrap();
    assert_eq!(held.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&held.stdout).contains("Every property holds"), "{held:?}");
    let broken = [&walk[..], &["--mutation", "vote-twice"]].concat();
    assert_eq!(run(&broken).unwrap().status.code(), Some(1));
}
