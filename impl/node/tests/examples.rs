//! The example runs. Cargo builds examples along with the tests of a package, unless only some are asked for.

use std::env;
use std::process::Command;

#[test]
fn three_nodes_count() {
    let tests = env::current_exe().unwrap();
    let example = tests.ancestors().nth(2).unwrap().join("examples/three_nodes");
    let output = Command::new(&example).output();
    let output = output.expect("the example is built: cargo build -p kontiki-node --examples");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!(told, "the counter is 42\nS1 reads 42\nS2 reads 42\nS3 reads 42\n");
}
