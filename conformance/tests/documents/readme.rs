//! The examples of the READMEs are those that are compiled.

#[test]
fn the_readme_shows_the_example_that_compiles() {
    let readme = include_str!("../../../README.md");
    let example = include_str!("../../../impl/examples/one_server.rs");
    let (_, code) = example.split_once("\n\n").unwrap_or_default();
    assert!(code.starts_with("use kontiki::"), "the example begins with its imports");
    assert!(readme.contains(code), "README.md shows impl/examples/one_server.rs");
}

#[test]
fn the_readme_of_the_library_shows_the_example_that_runs() {
    let readme = include_str!("../../../impl/README.md");
    let example = include_str!("../../../impl/node/examples/three_nodes.rs");
    assert!(example.lines().count() < 60, "the example is short");
    let (_, code) = example.split_once("\n\n").unwrap_or_default();
    assert!(code.starts_with("use kontiki_node::"), "the example begins with its imports");
    assert!(readme.contains(code), "impl/README.md shows impl/node/examples/three_nodes.rs");
}
