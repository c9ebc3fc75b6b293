//! What holds in every story.

use super::seen::{applied, last, leads};
use kontiki_conformance::stories::{Story, all};
use kontiki_specs::{Entry, LogIndex, Observation, Payload, ServerId};
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

/// What a server takes for committed, of what it has not let go of.
fn known_committed(observation: &Observation) -> impl Iterator<Item = &Entry> {
    observation.log.iter().filter(|entry| entry.index <= observation.commit_index)
}

/// All that any server ever took for committed, in order.
fn committed(story: &Story) -> Vec<Entry> {
    let steps = story.trace.steps.iter();
    let known = steps.flat_map(|step| known_committed(&step.observation));
    let history: BTreeMap<LogIndex, Entry> = known.map(|at| (at.index, at.clone())).collect();
    assert!(history.keys().map(|index| index.0).eq(1..=history.len() as u64), "{}", story.name);
    history.into_values().collect()
}

fn place(index: LogIndex) -> usize {
    usize::try_from(index.0).unwrap()
}

#[test]
fn what_is_committed_is_never_lost() {
    for story in all().unwrap() {
        let history = committed(&story);
        for step in &story.trace.steps {
            let observation = &step.observation;
            assert!(place(observation.commit_index) <= history.len(), "{}", story.name);
            for entry in known_committed(observation) {
                assert_eq!(*entry, history[place(entry.index) - 1], "{}", story.name);
            }
            let covered = observation.snapshot.as_ref().map(|own| own.id.last);
            if let Some(last) = covered {
                assert_eq!(last, history[place(last.index) - 1].position(), "{}", story.name);
            }
        }
        let voters = voters_after(&story, &history);
        let durable = voters.iter().filter(|server| {
            let end = last(&story, server.0);
            let base = place(end.log_base.index);
            end.durable_index.0 >= history.len() as u64 && end.log.starts_with(&history[base..])
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
            for (covered, life) in applied(&story, server) {
                let next = &history[usize::try_from(covered).unwrap()..];
                assert!(next.starts_with(&life), "{}, S{server}", story.name);
            }
        }
    }
}
