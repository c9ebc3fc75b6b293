//! The command as its user meets it: what it says of files that it cannot read or write.

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
        (vec!["validate", &folder], 1),
        (vec!["validate", "no/such.jsonl", &folder], 2),
    ] {
        let output = run(&arguments).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors.matches("(os error ").count(), said, "{arguments:?}: {errors}");
        assert_eq!(errors.matches("error: ").count(), said, "{arguments:?}: {errors}");
    }
}
