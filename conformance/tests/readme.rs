//! The README's example is the one that is compiled.

#[test]
fn the_readme_shows_the_example_that_compiles() {
    let readme = include_str!("../../README.md");
    let example = include_str!("../../impl/examples/one_server.rs");
    let (_, code) = example.split_once("\n\n").unwrap_or_default();
    assert!(code.starts_with("use kontiki::"), "the example begins with its imports");
    assert!(readme.contains(code), "README.md shows impl/examples/one_server.rs");
}
