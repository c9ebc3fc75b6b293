//! The command as its user meets it: exit status, and what it says.

#![allow(clippy::unwrap_used, reason = "what a test unwraps fails the test")]

use std::fs;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_kontiki-conformance")).args(arguments).output()
}

/// What the operating system says is said once for each file.
#[test]
fn files_that_cannot_be_read_or_written() {
    let folder = format!("{}/folder.toml", env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).unwrap();
    for (arguments, said) in [
        (vec!["verify", "no/such.toml"], 1),
        (vec!["verify", &folder], 1),
        (vec!["record", &folder, "-o", "atlas.jsonl"], 1),
        (vec!["record", "first-steps", "-o", &folder], 1),
        (vec!["replay", "no/such.jsonl"], 1),
        (vec!["validate", "no/such.jsonl"], 1),
        (vec!["validate", "no/such.jsonl", "no/other.jsonl"], 2),
        (vec!["validate", &folder], 0),
        (vec!["tell", "no/such.jsonl"], 1),
    ] {
        let output = run(&arguments).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors.matches("(os error ").count(), said, "{arguments:?}: {errors}");
        assert_eq!(errors.matches("error: ").count(), said.max(1), "{arguments:?}: {errors}");
    }
    let empty = run(&["validate", &folder]).unwrap();
    let errors = String::from_utf8_lossy(&empty.stderr);
    assert!(errors.contains(&format!("{folder} has no recording")), "{errors}");
}

#[test]
fn a_trace_is_told() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/traces/transfer.trace.jsonl");
    let output = run(&["tell", file]).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("  1. S1 election timeout\n"), "{told}");
    assert!(told.contains("RequestVote term 2, last 2@1, told to campaign\n"), "{told}");
    assert!(told.contains("\nIn the end:\n"), "{told}");
}

/// A broken file gets an error that says where, whatever is broken.
#[test]
fn a_broken_trace_is_an_error_with_its_line() {
    let whole = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/traces/transfer.trace.jsonl");
    let whole = fs::read_to_string(whole).unwrap();
    let file = format!("{}/broken.trace.jsonl", env!("CARGO_TARGET_TMPDIR"));
    let without = |line: usize| {
        let kept = whole.lines().enumerate().filter(|(place, _)| place + 1 != line);
        kept.map(|(_, text)| format!("{text}\n")).collect::<String>()
    };
    for (text, says) in [
        (without(4), ":4: step 4 stands where step 3 must be"),
        (whole.replacen("\"server\":1", "\"server\":9", 1), ":2: a step of S9"),
        (whole.replacen("election-timeout", "elation", 1), ":2: wrong step line"),
        (whole.lines().take(3).collect::<Vec<_>>().join("\n"), "the trace is cut short"),
        (String::new(), ":1: not a Kontiki trace"),
    ] {
        fs::write(&file, text).unwrap();
        let output = run(&["tell", &file]).unwrap();
        assert_eq!(output.status.code(), Some(2), "{says}: {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(says) && !errors.contains("panicked"), "{says}: {errors}");
    }
}

/// Who reads no further, as `head` does, is no reason to fail: the exit status is the command's.
#[test]
fn a_reader_that_goes_early_is_no_error() {
    let small = scratch("unread.toml", "servers = 1\nterms = 1\nlog = 1\n");
    let written = format!("{}/unread.md", env!("CARGO_TARGET_TMPDIR"));
    for (arguments, status) in [
        (vec!["tell", "figure-8"], 0),
        (vec!["replay", "figure-8"], 0),
        (vec!["validate", "figure-8", "no/such.jsonl"], 2),
        (vec!["verify", &small], 0),
        (vec!["record", &small, "-o", &written], 0),
        (vec!["document", "-o", &written], 0),
        (vec!["simulate", "--steps", "3000", "--servers", "3"], 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_kontiki-conformance"));
        let command = command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let ended = command.args(&arguments).status().unwrap();
        assert_eq!(ended.code(), Some(status), "{arguments:?}");
    }
}

fn scratch(name: &str, text: &str) -> String {
    let file = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn what_cannot_be_done_is_said() {
    for (arguments, says) in [
        (vec!["verify", "electoin"], "did you mean `election`?"),
        (vec!["verify", "--suite", "cii"], "a similar value exists: 'ci'"),
        (vec!["simulate", "--steps", "0"], "0 is not in 1.."),
        (vec!["simulate", "--servers", "0"], "0 servers: a simulated cluster has 1 to 7"),
        (vec!["replay", "figure-9"], "unknown story `figure-9`: did you mean `figure-8`"),
    ] {
        let output = run(&arguments).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(says), "{arguments:?}: {errors}");
    }
}

/// Each way to fail has its exit status.
#[test]
fn a_scope_of_ones_own_is_verified() {
    let small = "servers = 2\nterms = 1\nlog = 1\n";
    for (name, more, status, says) in [
        ("holds.toml", "", 0, "holds"),
        ("states.toml", "unique-states = 3\n", 5, "COUNT DIFFERS: 3 pinned"),
        ("transitions.toml", "local-transitions = 3456\n", 5, "TRANSITIONS DIFFER: 3 456 pinned"),
        ("turned-away.toml", "turned-away = 34\n", 5, "TURNED AWAY DIFFER: 34 pinned"),
        ("goal.toml", "sometimes = [\"two-leaders\"]\n", 4, "NOT REACHED: two-leaders"),
    ] {
        let scope = scratch(name, &format!("{small}{more}"));
        let output = run(&["verify", &scope]).unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        for told in [&output.stdout, &output.stderr] {
            assert!(String::from_utf8_lossy(told).contains(says), "{name}: {output:?}");
        }
    }
}

#[test]
fn a_story_is_replayed_by_its_name() {
    for command in ["replay", "validate"] {
        let output = run(&[command, "figure-8"]).unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(" steps agree"), "{output:?}");
    }
}

#[test]
fn a_simulation_says_that_all_held() {
    let output = run(&["simulate", "--steps", "3000", "--servers", "3"]).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("Everything that must hold held"), "{told}");
}
