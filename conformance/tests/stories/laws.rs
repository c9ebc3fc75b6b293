//! What holds in every story.

use super::seen::{applied, last, leads};
use kontiki_conformance::stories::{Story, all};
use kontiki_specs::{Entry, Payload, ServerId};
use std::collections::{BTreeMap, BTreeSet};

/// Nobody reads a long story.
#[test]
fn they_are_short_and_say_what_they_show() {
    let mut names = BTreeSet::new();
    for story in all().unwrap() {
        let header = &story.trace.header;
        assert!(names.insert(story.name.clone()), "{} is told twice", story.name);
        assert_eq!(header.scope.name, story.name);
        assert!(header.about.ends_with('.') && !header.about.contains("  "), "{}", header.about);
        assert!(header.about.len() < 300, "{}", header.about);
        assert!((10..=85).contains(&story.trace.steps.len()), "{}", story.name);
        assert_eq!((&header.mutation, header.violates), (&None, None));
    }
}

#[test]
fn a_term_has_one_leader() {
    for story in all().unwrap() {
        let mut leaders = BTreeMap::new();
        for step in story.trace.steps.iter().filter(|step| leads(&step.observation)) {
            let leader = *leaders.entry(step.observation.term).or_insert(step.server);
            assert_eq!(leader, step.server, "{}", story.name);
        }
        assert!(!leaders.is_empty(), "{}: nobody leads", story.name);
    }
}

/// The longest log that any server ever took for committed.
fn committed(story: &Story) -> &[Entry] {
    let committed = story.trace.steps.iter().map(|step| {
        let observation = &step.observation;
        &observation.log[..usize::try_from(observation.commit_index.0).unwrap()]
    });
    committed.max_by_key(|log| log.len()).unwrap()
}

#[test]
fn what_is_committed_is_never_lost() {
    for story in all().unwrap() {
        let history = committed(&story);
        for step in &story.trace.steps {
            let observation = &step.observation;
            let length = usize::try_from(observation.commit_index.0).unwrap();
            assert_eq!(observation.log[..length], history[..length], "{}", story.name);
        }
        let voters = voters_after(&story, history);
        let durable = voters.iter().filter(|server| {
            let end = last(&story, server.0);
            end.durable_index.0 >= history.len() as u64 && end.log.starts_with(history)
        });
        assert!(2 * durable.count() > voters.len(), "{}", story.name);
    }
}

/// Who votes when this much of the log is committed.
fn voters_after(story: &Story, history: &[Entry]) -> BTreeSet<ServerId> {
    let configuration = history.iter().rev().find_map(|entry| match &entry.payload {
        Payload::Configuration(configuration) => Some(configuration.voters.clone()),
        _ => None,
    });
    configuration.unwrap_or_else(|| (1..=story.trace.header.scope.voters).map(ServerId).collect())
}

#[test]
fn nothing_is_applied_twice_in_one_life() {
    for story in all().unwrap() {
        let history = committed(&story);
        for server in 1..=story.trace.header.scope.servers {
            for life in applied(&story, server) {
                assert!(history.starts_with(&life), "{}, S{server}", story.name);
            }
        }
    }
}
