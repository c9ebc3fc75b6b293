//! `specs/VERIFIED.md` is what the command writes.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use kontiki_conformance::verified::document;
use std::fs;
use std::path::Path;

#[test]
fn the_page_is_not_stale() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/VERIFIED.md");
    let same = fs::read_to_string(page).unwrap() == document().unwrap();
    assert!(same, "`cargo run --release -p kontiki-conformance -- document` writes it anew");
}

#[test]
fn every_place_of_the_template_is_filled() {
    let text = document().unwrap();
    assert!(!text.contains(['{', '}']), "a word in braces is left");
}
