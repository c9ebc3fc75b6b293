//! What a story shows: its observations, looked at from several sides.

use bytes::Bytes;
use kontiki_conformance::stories::{Story, all};
use kontiki_specs::trace::TraceStep;
use kontiki_specs::{Entry, Input, Observation, Output, Payload, RoleObservation, ServerId};

pub fn story(name: &str) -> Story {
    all().unwrap().into_iter().find(|story| story.name == name).unwrap()
}

/// The steps of one server.
pub fn steps(story: &Story, server: u64) -> impl Iterator<Item = &TraceStep> {
    story.trace.steps.iter().filter(move |step| step.server == ServerId(server))
}

/// A server as it is in the end.
pub fn last(story: &Story, server: u64) -> &Observation {
    &steps(story, server).last().unwrap().observation
}

/// Whether a server is in this state at some time.
pub fn ever(story: &Story, server: u64, state: impl Fn(&Observation) -> bool) -> bool {
    steps(story, server).any(|step| state(&step.observation))
}

pub fn leads(of: &Observation) -> bool {
    matches!(of.role, RoleObservation::Leader { .. })
}

pub fn follows(of: &Observation, server: u64) -> bool {
    matches!(of.role, RoleObservation::Follower { leader, .. } if leader == Some(ServerId(server)))
}

pub fn terms(log: &[Entry]) -> Vec<u64> {
    log.iter().map(|entry| entry.term.0).collect()
}

/// How often a command stands in a log.
pub fn count(command: &'static str, log: &[Entry]) -> usize {
    let payload = Payload::Command(Bytes::from_static(command.as_bytes()));
    log.iter().filter(|entry| entry.payload == payload).count()
}

/// For each life of a server, the entries that it applies.
pub fn applied(story: &Story, server: u64) -> Vec<Vec<Entry>> {
    let mut lives = vec![Vec::new()];
    for step in steps(story, server) {
        if matches!(step.input, Input::Restart { .. }) {
            lives.push(Vec::new());
        }
        for output in &step.outputs {
            if let Output::Apply { entries } = output {
                lives.last_mut().unwrap().extend(entries.iter().cloned());
            }
        }
    }
    lives
}

/// All these servers have the same log in the end, and have committed and applied all of it.
pub fn assert_one_log(story: &Story, servers: &[u64]) {
    for server in servers {
        let end = last(story, *server);
        assert_eq!(end.log, last(story, servers[0]).log, "{}, S{server}", story.name);
        let length = end.log.len() as u64;
        let reached = [end.durable_index.0, end.commit_index.0, end.applied_index.0];
        assert_eq!(reached, [length; 3], "{}, S{server}", story.name);
    }
}
