//! The stories: as committed they are what the model does, and each shows what it says.

#![allow(clippy::unwrap_used, reason = "what a test unwraps fails the test")]

mod laws;
mod points;
mod reads;
mod seen;

use kontiki_conformance::stories::{Director, Story, StoryProblem, all};
use kontiki_specs::trace::Trace;
use std::path::PathBuf;

const REGENERATE: &str =
    "cargo test -p kontiki-conformance --test comparison -- --ignored write_stories";

fn file(story: &Story) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/traces");
    PathBuf::from(folder).join(story.file_name())
}

#[test]
fn the_files_are_what_the_stories_make() {
    for story in all().unwrap() {
        let mut bytes = Vec::new();
        story.trace.write(&mut bytes).unwrap();
        let committed = std::fs::read(file(&story)).unwrap_or_default();
        assert!(
            bytes == committed,
            "specs/traces/{} is not what the story makes now\n  if that is meant: {REGENERATE}",
            story.file_name()
        );
    }
}

#[test]
fn the_files_read_back_as_the_stories() {
    for story in all().unwrap() {
        let read = Trace::load(file(&story)).unwrap();
        assert!(read == story.trace, "{} reads back as another story", story.name);
    }
}

#[test]
#[ignore = "writes the files of the stories anew"]
fn write_stories() {
    for story in all().unwrap() {
        std::fs::create_dir_all(file(&story).parent().unwrap()).unwrap();
        story.trace.save(file(&story)).unwrap();
    }
}

/// What a story asks for and cannot have is an error that says where and what.
#[test]
fn what_cannot_happen_is_an_error() {
    let scope = "servers = 3\nterms = 1\nlog = 1\nleader-contact = true";
    let mut cluster = Director::new("impossible", "", scope).unwrap();
    let error = cluster.deliver(1, 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "story impossible, after 0 steps: nothing is under way from S1 to S2"
    );
    let mut fails = |what: fn(&mut Director) -> Result<(), _>| what(&mut cluster).unwrap_err();
    use StoryProblem::*;
    assert!(matches!(*fails(|c| c.lose(1, 4)).problem, NothingUnderWay { .. }));
    assert!(matches!(*fails(|c| c.timeout(4)).problem, NoServer(_)));
    assert!(matches!(*fails(|c| c.complete_writes(1)).problem, NothingToWrite(_)));
    assert!(matches!(*fails(|c| c.complete_snapshot(1)).problem, NoSnapshot(_)));
    assert!(matches!(*fails(|c| c.heartbeat(1)).problem, Impossible { .. }));
    assert!(matches!(*fails(|c| c.crash(1)).problem, Crashes(0)));
    assert!(matches!(*fails(|c| c.tear(1, 1)).problem, Impossible { .. }));
    // In contact with a leader no election timer runs out.
    cluster.elect(1, &[2]).unwrap();
    cluster.settle().unwrap();
    assert!(matches!(*cluster.timeout(2).unwrap_err().problem, Impossible { .. }));
    assert!(matches!(*cluster.propose(1, "x=1").unwrap_err().problem, BeyondScope(_)));
    assert!(matches!(*cluster.start_from(1, Default::default()).unwrap_err().problem, Started(_)));
    assert!(matches!(*Director::new("wrong", "", "").unwrap_err().problem, Scope(_)));
}
